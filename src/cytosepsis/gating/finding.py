"""What came of the search for a data-driven gate in one sample: records that cross processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cytosepsis.gating.region import Bounds, Region

# few_events: too few to show anything. one_peak: no second peak stands out. no_valley: peaks, but
# no valley between them where the cut may lie. clamped: the cut was moved to the end of where it
# may lie. drifted: found, but further than allowed from where it was expected. not_converged: what
# was fitted does not describe the events.
GateStatus = Literal[
    "ok", "few_events", "one_peak", "no_valley", "clamped", "drifted", "not_converged"
]
# What stands as the gate: what was found, what the plan's `on_fail` names, what a reviewer gave,
# or nothing.
Standing = Literal["found", "reference", "batch", "override", "nothing"]
USABLE: tuple[GateStatus, ...] = ("ok", "clamped")  # clamping is what the plan's own range asks for


@dataclass(frozen=True, slots=True)
class Found:
    """Outcome of a search on the events of the parent: the region is None where there is none."""

    status: GateStatus
    region: Region | None
    numbers: tuple[tuple[str, float], ...] = ()  # name → what was found, on the axes' scales


@dataclass(frozen=True, slots=True)
class GateFinding:
    """How one data-driven gate was found in one sample, and the gate that stands for it."""

    path: str
    kind: Literal["singlet", "threshold", "cluster", "density", "given"]
    method: str  # of a threshold or a cluster; empty for the others
    status: GateStatus
    standing: Standing
    channels: tuple[str, ...]  # roles of the axes, in order
    n_parent: int  # events of the parent that were looked at
    region: Region | None  # of the gate that stands; None: nothing stands
    numbers: tuple[tuple[str, float], ...] = ()
    batch_digest: str | None = None  # SHA-256 of the batch reference in use


def cut_of(finding: GateFinding) -> float | None:
    """Return the cut of a threshold gate that stands; None of another."""
    match finding.region:
        case Bounds(minimum=(low,), maximum=(high,)) if (low is None) != (high is None):
            return high if low is None else low
        case _:
            return None
