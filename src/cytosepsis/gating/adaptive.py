"""Data-driven gates resolved on the events of one sample, parents first, to plain gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import GatingError
from cytosepsis.gating.batch import Batch, shrunk
from cytosepsis.gating.clusters import find_cluster, find_densest
from cytosepsis.gating.finding import USABLE, Found, GateFinding, Standing, cut_of
from cytosepsis.gating.given import GivenGate
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import (
    Boolean,
    Cluster,
    DataDrivenGate,
    Densest,
    Ellipse,
    FixedGate,
    Gate,
    GatingPlan,
    Operand,
    Polygon,
    Rectangle,
    Singlet,
    Threshold,
    axes_of,
    path_of,
)
from cytosepsis.gating.region import Bounds, Outline, Oval, Region, region_faults
from cytosepsis.gating.singlets import singlet_band
from cytosepsis.gating.valleys import (
    Cut,
    cut_at_peak,
    cut_at_quantile,
    cut_at_tail,
    cut_at_valley,
    ordered_finite,
)

Floats = NDArray[np.float64]


class Events(Protocol):
    """Events of a tube: the linear values of populations under a plan that is all fixed."""

    def __call__(self, plan: GatingPlan, measures: Sequence[Measure]) -> Mapping[Measure, Floats]:
        """Return the values of each measure."""
        ...


@dataclass(frozen=True, slots=True)
class Resolved:
    """A plan whose gates are all fixed, and how they were found."""

    plan: GatingPlan
    findings: tuple[GateFinding, ...]


def resolve(
    plan: GatingPlan,
    events: Events,
    *,
    controls: Mapping[str, Events] | None = None,
    given: Sequence[GivenGate] = (),
) -> Resolved:
    """Find every data-driven gate on its parent's events; gates that are `given` stand as they are.

    Parameters
    ----------
    plan
        Gates, parents first.
    events
        Of the sample.
    controls
        Of its control tubes, by their role in the sample sheet.
    given
        A reviewer's gates.

    """
    placed = _placed(plan, given)
    gates: list[FixedGate] = []
    findings: dict[str, GateFinding] = {}
    for gate in plan:
        path = path_of(gate)
        before = replace(plan, gates=tuple(gates))
        if path in placed:
            findings[path] = _given(gate, placed[path])
        elif isinstance(gate, DataDrivenGate):
            finding = _found(gate, before, events, controls or {}, findings)
            findings[path] = finding
        else:
            gates.append(gate)
            continue
        gates.append(concrete(gate, findings[path].region))
    return Resolved(replace(plan, gates=tuple(gates)), tuple(findings.values()))


def concrete(gate: Gate, region: Region | None) -> FixedGate:
    """Make the plain gate of a region on the axes of a gate; without a region it keeps no event."""
    axes = axes_of(gate)
    match region:
        case None:
            both = (Operand(gate.parent), Operand(gate.parent, complement=True))
            return Boolean(gate.name, gate.parent, "and", both)
        case Bounds(minimum, maximum):
            return Rectangle(gate.name, gate.parent, axes, minimum, maximum)
        case Outline(vertices):
            return Polygon(gate.name, gate.parent, axes[0], axes[1], vertices)
        case Oval(mean, covariance, square):
            return Ellipse(gate.name, gate.parent, axes, mean, covariance, square)


def _placed(plan: GatingPlan, given: Sequence[GivenGate]) -> dict[str, Region]:
    """Full path of each given gate; its region must lie on the gate's axes."""
    placed: dict[str, Region] = {}
    for one in given:
        named = [g for g in plan if one.path in (path_of(g), g.name)]
        if len(named) != 1:
            raise GatingError(
                f"a gate is given for {one.path!r}, which names {len(named)} gates of the plan; "
                f"it has: {', '.join(plan.paths[1:])}",
                step="gating",
            )
        gate = named[0]
        faults = "; ".join(region_faults(one.region, len(axes_of(gate))))
        if faults:
            raise GatingError(f"a gate is given for {path_of(gate)}: {faults}", step="gating")
        placed[path_of(gate)] = one.region
    return placed


def _given(gate: Gate, region: Region) -> GateFinding:
    channels = tuple(axis.channel for axis in axes_of(gate))
    return GateFinding(path_of(gate), "given", "", "ok", "override", channels, 0, region)


def _found(
    gate: DataDrivenGate,
    before: GatingPlan,
    events: Events,
    controls: Mapping[str, Events],
    findings: Mapping[str, GateFinding],
) -> GateFinding:
    values = _axis_values(gate, before, events)
    n_parent = len(values[0])
    match gate:
        case Singlet():
            found = singlet_band(*values, width=gate.width, min_events=gate.min_events)
        case Threshold():
            found = _threshold(gate, values[0], before, controls, findings)
        case Cluster():
            found = find_cluster(
                *values,
                centre=gate.centre,
                drift=gate.drift,
                mass=gate.mass,
                components=gate.components,
                min_events=gate.min_events,
                purity=gate.purity,
                by_mixture=gate.method == "mixture",
            )
        case Densest():
            found = find_densest(*values, fraction=gate.fraction, min_events=gate.min_events)
    standing, region = _standing(gate, found, before.batch)
    kinds: dict[type, Literal["singlet", "threshold", "cluster", "density"]] = {
        Singlet: "singlet",
        Threshold: "threshold",
        Cluster: "cluster",
        Densest: "density",
    }
    return GateFinding(
        path=path_of(gate),
        kind=kinds[type(gate)],
        method=gate.method if isinstance(gate, Threshold | Cluster) else "",
        status=found.status,
        standing=standing,
        channels=tuple(axis.channel for axis in axes_of(gate)),
        n_parent=n_parent,
        region=region,
        numbers=found.numbers,
        batch_digest=before.batch.digest if before.batch and gate.on_fail == "batch" else None,
    )


def _standing(
    gate: DataDrivenGate, found: Found, batch: Batch | None
) -> tuple[Standing, Region | None]:
    """What stands: what was found where it is usable, else what the plan says.

    A gate that leans on the batch is moved towards it by the shrinkage that the batch states.
    """
    usual = None
    if gate.on_fail == "batch" and batch is not None:
        usual = batch.region(path_of(gate))
    if found.status in USABLE and found.region is not None:
        if usual is not None and batch is not None:
            return "found", shrunk(found.region, usual, batch.shrinkage)
        return "found", found.region
    if gate.on_fail == "reference":
        return "reference", gate.reference
    return ("nothing", None) if usual is None else ("batch", usual)


# ------------------------------------------------------------------------------ thresholds


def _threshold(
    gate: Threshold,
    values: Floats,
    before: GatingPlan,
    controls: Mapping[str, Events],
    findings: Mapping[str, GateFinding],
) -> Found:
    if gate.method == "same":
        return _same(gate, findings)
    if gate.method == "control":
        assert gate.control is not None
        if gate.control not in controls:
            return Found("few_events", None, (("n_control_events", 0.0),))
        values = _axis_values(gate, before, controls[gate.control])[0]
    ordered = ordered_finite(values)
    if len(ordered) < gate.min_events:
        return Found("few_events", None)
    cut = _cut(gate, ordered)
    if cut.value is None:
        return Found(cut.status, None, cut.numbers)
    value, status = cut.value, cut.status
    near = _reference_cut(gate)
    if gate.max_drift is not None and near is not None and abs(value - near) > gate.max_drift:
        status = "drifted"
    low, high = gate.low, gate.high
    if (low is not None and value < low) or (high is not None and value > high):
        value = low if low is not None and value < low else high  # type: ignore[assignment]
        status = "clamped"
    return Found(status, _side(gate, value), (("cut", value), *cut.numbers[1:]))


def _cut(gate: Threshold, ordered: Floats) -> Cut:
    match gate.method:
        case "valley":
            near = _reference_cut(gate)
            return cut_at_valley(
                ordered,
                low=gate.low,
                high=gate.high,
                which=gate.valley,
                near=near,
                factor=gate.bandwidth,
            )
        case "peak":
            return cut_at_peak(ordered, peak=gate.peak, offset=gate.offset, factor=gate.bandwidth)
        case "tail":
            return cut_at_tail(
                ordered,
                peak=gate.peak,
                side=gate.side,
                tolerance=gate.tolerance,
                factor=gate.bandwidth,
            )
        case _:
            assert gate.quantile is not None
            return cut_at_quantile(ordered, gate.quantile)


def _same(gate: Threshold, findings: Mapping[str, GateFinding]) -> Found:
    other = findings.get(gate.same or "")
    if other is None:
        return Found("no_valley", None)
    cut = cut_of(other)
    if cut is None:
        return Found("no_valley" if other.status in USABLE else other.status, None)
    cut += gate.offset
    return Found(other.status, _side(gate, cut), (("cut", cut),))


def _reference_cut(gate: Threshold) -> float | None:
    match gate.reference:
        case Bounds(minimum=(low,), maximum=(high,)):
            return high if low is None else low
        case _:
            return None


def _side(gate: Threshold, cut: float) -> Bounds:
    return Bounds((cut,), (None,)) if gate.keep == "above" else Bounds((None,), (cut,))


# ------------------------------------------------------------------------------- the events


def _axis_values(gate: DataDrivenGate, before: GatingPlan, events: Events) -> list[Floats]:
    """Values of the parent's events on the gate's axes, transformed: one array (n,) per axis."""
    measures = [Measure.on(gate.parent, axis) for axis in axes_of(gate)]
    values = events(before.leading_to(gate.parent), tuple(dict.fromkeys(measures)))
    return [values[measure] for measure in measures]
