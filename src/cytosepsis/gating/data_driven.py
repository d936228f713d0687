"""Frozen gates whose place is found in each sample: what is asked for, not what was found.

They are resolved on the events of their parent (`adaptive`), and then are plain gates of that
sample. What happens where one cannot be found is part of it (`on_fail`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cytosepsis.gating.axis import Axis
from cytosepsis.gating.region import Bounds, Region, region_faults

OnFail = Literal["fail", "reference", "batch"]
Method = Literal["valley", "tail", "quantile", "control", "peak", "same"]
Peak = Literal["tallest", "lowest", "highest"]


@dataclass(frozen=True, slots=True)
class Singlet:
    """Single particles: those whose height (y) follows their area (x) as that of most does.

    A band around a robust line of height on area, whose width grows with the area as the scatter
    of the heights does.
    """

    name: str
    parent: str
    x: Axis
    y: Axis
    width: float = 4.0  # robust standard deviations to either side
    min_events: int = 100  # of the parent; fewer say little of a line
    on_fail: OnFail = "fail"
    reference: Region | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """One side of a cut on one axis; the cut itself belongs to the upper side.

    `valley`: the lowest place between two peaks. `tail`: where the flank of a peak has run out.
    `quantile`: a quantile of the parent's events. `control`: a quantile of a control tube's events
    in the same parent. `peak`: the middle of a peak. `same`: the cut that another threshold gate
    found. Both of these may be moved by an `offset`: divisions halve a dye, equally far each.
    """

    name: str
    parent: str
    x: Axis
    method: Method
    keep: Literal["above", "below"] = "above"
    bandwidth: float = 1.0  # factor on the rule-of-thumb bandwidth of the density
    valley: Literal["main", "first", "last"] = "main"  # valley: which of those that stand out
    peak: Peak = "tallest"  # tail: of which peak
    side: Literal["right", "left"] = "right"  # tail: which flank
    tolerance: float = 0.01  # tail: slope at the cut, of the flank's steepest
    quantile: float | None = None  # quantile, control: share of events below the cut
    control: str | None = None  # control: role of the tube in the sample sheet
    offset: float = 0.0  # peak, same: how far from there the cut lies, on the axis
    same: str | None = None  # same: the other gate, by full path
    low: float | None = None  # the cut may lie from here
    high: float | None = None  # to here
    min_events: int = 100  # of the parent; fewer show no shape
    max_drift: float | None = None  # from the reference, on the axis
    on_fail: OnFail = "fail"
    reference: Region | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cloud of events near a place where it is expected, told from its neighbours.

    `mixture`: robust t-mixture of all clouds; the border is where the cluster's own share of the
    events falls below one half, or where its own tail ends. `density`: the hill of the smoothed
    density on which the expected place lies.
    """

    name: str
    parent: str
    x: Axis
    y: Axis
    centre: tuple[float, float]  # where it is expected, on the scales of the axes
    drift: tuple[float, float]  # how far from there its middle may lie, on each axis
    method: Literal["mixture", "density"] = "mixture"
    mass: float = 0.99  # share of the cluster's own events within its tail's end
    components: int = 8  # clouds at most, the cluster included
    purity: float = 0.93  # by the mixture: a gate that keeps more of others is none
    min_events: int = 50  # of the cluster
    on_fail: OnFail = "fail"
    reference: Region | None = None


@dataclass(frozen=True, slots=True)
class Densest:
    """The part of the plane where events lie densest, holding a share of the parent."""

    name: str
    parent: str
    x: Axis
    y: Axis
    fraction: float = 0.8
    min_events: int = 100  # of the parent
    on_fail: OnFail = "fail"
    reference: Region | None = None


DataDrivenGate = Singlet | Threshold | Cluster | Densest


def axes_asked(gate: DataDrivenGate) -> tuple[Axis, ...]:
    """Return the axes that a data-driven gate looks at."""
    return (gate.x,) if isinstance(gate, Threshold) else (gate.x, gate.y)


def data_driven_faults(gate: DataDrivenGate) -> Iterator[tuple[str, str]]:
    """Name each fault of the gate's own parameters, with the key meant."""
    if gate.min_events < 1:
        yield "min_events", f"at least 1 is meant, found {gate.min_events}"
    if gate.on_fail not in ("fail", "reference", "batch"):
        yield "on_fail", f"{gate.on_fail!r} is none of fail, reference, batch"
    if gate.on_fail == "reference" and gate.reference is None:
        yield "reference", "on_fail is 'reference', so the gate needs one"
    if gate.reference is not None:
        yield from _reference_faults(gate, gate.reference)
    match gate:
        case Singlet():
            if not (math.isfinite(gate.width) and gate.width > 0):
                yield "width", f"must be positive, found {gate.width:g}"
        case Threshold():
            yield from _threshold_faults(gate)
        case Cluster():
            yield from _cluster_faults(gate)
        case Densest():
            if not 0 < gate.fraction < 1:
                yield "fraction", f"between 0 and 1 is meant, found {gate.fraction:g}"


def _reference_faults(gate: DataDrivenGate, reference: Region) -> Iterator[tuple[str, str]]:
    if isinstance(gate, Threshold) != isinstance(reference, Bounds):
        wanted = "a cut" if isinstance(gate, Threshold) else "vertices, or an ellipse,"
        yield "reference", f"{wanted} is meant here"
        return
    yield from (("reference", fault) for fault in region_faults(reference, len(axes_asked(gate))))


def _threshold_faults(gate: Threshold) -> Iterator[tuple[str, str]]:
    if not (math.isfinite(gate.bandwidth) and gate.bandwidth > 0):
        yield "bandwidth", f"must be positive, found {gate.bandwidth:g}"
    if not 0 < gate.tolerance < 1:
        yield "tolerance", f"between 0 and 1 is meant, found {gate.tolerance:g}"
    if gate.method in ("quantile", "control"):
        if gate.quantile is None:
            yield "quantile", f"method {gate.method!r} needs one"
        elif not 0 < gate.quantile < 1:
            yield "quantile", f"between 0 and 1 is meant, found {gate.quantile:g}"
    if not math.isfinite(gate.offset):
        yield "offset", "must be finite"
    if gate.method == "control" and not gate.control:
        yield "control", "method 'control' needs the role of the control tube"
    if gate.method == "same" and not gate.same:
        yield "same", "method 'same' needs the other threshold gate"
    low = -math.inf if gate.low is None else gate.low
    high = math.inf if gate.high is None else gate.high
    if not low < high:
        yield "range", f"min {low:g} must be less than max {high:g}"
    if gate.max_drift is not None:
        if not gate.max_drift > 0:
            yield "max_drift", f"must be positive, found {gate.max_drift:g}"
        if gate.reference is None:
            yield "max_drift", "is counted from the reference, which the gate lacks"


def _cluster_faults(gate: Cluster) -> Iterator[tuple[str, str]]:
    for key, pair in (("centre", gate.centre), ("drift", gate.drift)):
        if len(pair) != 2 or not all(math.isfinite(value) for value in pair):
            yield key, f"two finite numbers are needed, found {list(pair)}"
    if any(value <= 0 for value in gate.drift):
        yield "drift", f"must be positive, found {list(gate.drift)}"
    if not 0 < gate.mass < 1:
        yield "mass", f"between 0 and 1 is meant, found {gate.mass:g}"
    if not 0 <= gate.purity < 1:
        yield "purity", f"from 0 to less than 1, found {gate.purity:g}"
    if not 2 <= gate.components <= 16:
        yield "components", f"from 2 to 16, found {gate.components}"
