"""From a measured population and a bead line to AB/C: which beads, which doubts, which interval.

A pure function of results already computed, so a new bead run or limit never reads events again.
"""

from __future__ import annotations

from dataclasses import dataclass

from cytosepsis.flags import Status


@dataclass(frozen=True, slots=True)
class AbcResult:
    """Antibodies bound per cell of one sample, with its 95 % interval, or the reason for none."""

    population: str  # full path
    channel: str  # the role of the study
    n_cells: int
    intensity: float | None
    abc: float | None
    abc_low: float | None
    abc_high: float | None
    band: str | None  # e.g. "<5000", "5000-8000", "≥15000"; None: not banded
    bead_run: str | None
    status: Status
    flags: tuple[str, ...]  # every doubt about this number, those of sample and beads included
