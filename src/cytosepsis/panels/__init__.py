"""Ready assays beside mHLA-DR: gating plans with their channels, statistics and markers, as data.

Each panel is two files in `ready/`: the gating plan, and what study.toml says of the assay.
`write_panel` puts both into a study; from then on they are the study's own.
"""

from __future__ import annotations

from cytosepsis.panels.ready_panel import ReadyPanel, panel_names, read_panel
from cytosepsis.panels.sections import assay_sections
from cytosepsis.panels.writing import write_panel

__all__ = ["ReadyPanel", "assay_sections", "panel_names", "read_panel", "write_panel"]
