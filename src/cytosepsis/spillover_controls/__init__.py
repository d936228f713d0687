"""A spillover matrix from single-stain controls, with the report that judges it."""

from cytosepsis.spillover_controls.estimate import spillover_from_controls
from cytosepsis.spillover_controls.report import FromControls, SpilloverReport
from cytosepsis.spillover_controls.sheet import Control, read_controls

__all__ = ["Control", "FromControls", "SpilloverReport", "read_controls", "spillover_from_controls"]
