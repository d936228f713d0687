"""What an assay asks of acquisition quality, and by which limits it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Check = Literal["rate", "signal", "margin"]
Verdict = Literal["pass", "review", "fail"]

CHECKS: tuple[Check, ...] = ("rate", "signal", "margin")


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """Checks and limits; echoed in `run.json`."""

    checks: tuple[Check, ...] = CHECKS  # those that are made; () none
    # "keep": flagged events stay and the sample is flagged. "drop": those of `rate` and `signal`
    # leave before gating. Events at the margins always stay: without the brightest cells an
    # intensity would be too low.
    events: Literal["keep", "drop"] = "keep"
    min_events: int = 500  # fewer: rate and signal are not checked; 20 bins of 25 events
    # decades between a stretch of events and the file's usual level. Twice the largest wander of
    # undisturbed files that were looked at (docs/quality.md), half of a step of 0.3 decade.
    signal_shift: float = 0.15
    rate_ratio: float = 1.75  # between a stretch's flow rate and the usual one about it
    gap_seconds: float = 1.0  # without an event; longer than chance allows as well
    margin_fraction: float = 0.02  # of events at or above the top of a fluorescence scale
    scatter_margin_fraction: float = 0.10  # the same of scatter, whose scale clumps leave
    # of events piled up in a scale's lowest value. Not judged by default: unstained cells of log
    # amplifiers and of mass cytometers lie there.
    floor_fraction: float = 1.0
    review_fraction: float = 0.01  # of events flagged by a check; above: verdict "review"
    fail_fraction: float = 0.30  # of events flagged by a check; above: verdict "fail"
    bins: Literal["doubtful", "all"] = "doubtful"  # of which files the bins are kept for plots
