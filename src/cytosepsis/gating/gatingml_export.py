"""Plans written as Gating-ML 2.0; what the standard has no word for stands in `custom_info`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from cytosepsis.compensation import Spillover
from cytosepsis.errors import GatingError
from cytosepsis.gating.markup import (
    DATA_TYPE,
    GATING,
    NOTES,
    TRANSFORMS,
    Element,
    add,
    markup_text,
    new_root,
)
from cytosepsis.gating.plan import (
    DEFAULT_COMPENSATION,
    FILE_COMPENSATION,
    ROOT,
    UNCOMPENSATED,
    Axis,
    Boolean,
    Ellipse,
    FixedGate,
    GatingPlan,
    Polygon,
    Ratio,
    Rectangle,
    axes_of,
    fixed,
    path_of,
)
from cytosepsis.transforms import Asinh, Hyperlog, Linear, Log, Logicle, Transform

# The standard's element and letters, by field, for each scale that it knows.
_T, _W, _M, _A = (("top", "T"), ("width", "W"), ("decades", "M"), ("additional", "A"))
_SCALES: dict[type[Transform], tuple[str, tuple[tuple[str, str], ...]]] = {
    Linear: ("flin", (_T, _A)),
    Log: ("flog", (_T, _M)),
    Asinh: ("fasinh", (_T, _M, _A)),
    Logicle: ("logicle", (_T, _W, _M, _A)),
    Hyperlog: ("hyperlog", (_T, _W, _M, _A)),
}
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # of what XML allows, what every reader takes


def write_gatingml(
    plan: GatingPlan,
    path: str | Path,
    *,
    channels: Mapping[str, str] | None = None,
    compensation: str | Spillover = FILE_COMPENSATION,
) -> None:
    """Write a plan as Gating-ML 2.0, so that `read_gating` reads the same plan back.

    Ids are the populations' names where XML allows it and they stand once; else the name is noted
    beside an id made from it. A complement, which the standard knows only where a gate is referred
    to, is written as a gate and its `not`.

    Parameters
    ----------
    plan
        The plan.
    path
        File to write; it appears whole or not at all.
    channels
        $PnN of roles; other channels are written as they are called in the plan.
    compensation
        What stands for the choice that a plan may leave open, and a Gating-ML file may not: the
        file's own matrix ("FCS"), "uncompensated", or a matrix.

    Raises
    ------
    GatingError
        A scale that the standard does not have (FlowJo's biex and log), a matrix with one
        fluorochrome or detector, an operand that is root: one line per fault. Or the file cannot
        be written.
    """
    text = gatingml_text(plan, channels=channels, compensation=compensation)
    final = Path(path)
    partial = final.with_name(f"{final.name}.part")
    try:
        partial.write_bytes(text)
        partial.replace(final)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise GatingError(f"the plan cannot be written: {reason}", file=str(path)) from None
    finally:
        partial.unlink(missing_ok=True)


def gatingml_text(
    plan: GatingPlan,
    *,
    channels: Mapping[str, str] | None = None,
    compensation: str | Spillover = FILE_COMPENSATION,
) -> bytes:
    """Return the text that `write_gatingml` writes, UTF-8."""
    if plan.data_driven:
        raise GatingError(
            "the plan has data-driven gates, for which Gating-ML has no word; write the gates that "
            "were found in one sample",
            file=plan.source or None,
            step="gating",
        )
    chosen = _with_choices(plan, dict(channels or {}), compensation)
    faults = _faults(chosen)
    if faults:
        raise GatingError("\n".join(faults), file=plan.source or None, step="gating")
    return markup_text(_Writer(chosen).root)


def _with_choices(
    plan: GatingPlan, channels: Mapping[str, str], compensation: str | Spillover
) -> GatingPlan:
    """Return the plan with $PnN for roles, and a compensation for every axis."""
    spillovers = plan.spillovers
    name = compensation if isinstance(compensation, str) else compensation.source or "matrix"
    if isinstance(compensation, Spillover):
        while name in (*dict(spillovers), FILE_COMPENSATION, UNCOMPENSATED, DEFAULT_COMPENSATION):
            name += "_"
        spillovers = (*spillovers, (name, compensation))

    def made(axis: Axis) -> Axis:
        ratio = axis.ratio
        if ratio is not None:
            ratio = replace(ratio, divisor=channels.get(ratio.divisor, ratio.divisor))
        return Axis(
            channels.get(axis.channel, axis.channel),
            axis.transform,
            name if axis.compensation == DEFAULT_COMPENSATION else axis.compensation,
            ratio,
        )

    gates: list[FixedGate] = []
    for gate in plan:
        match gate:
            case Polygon():
                gates.append(replace(gate, x=made(gate.x), y=made(gate.y)))
            case Rectangle() | Ellipse():
                gates.append(replace(gate, axes=tuple(map(made, gate.axes))))
            case Boolean():
                gates.append(gate)
    used = {axis.compensation for gate in gates for axis in axes_of(gate)}
    return replace(
        plan,
        gates=tuple(gates),
        spillovers=tuple(item for item in spillovers if item[0] in used),
    )


def _faults(plan: GatingPlan) -> list[str]:
    faults = []
    for gate in plan:
        foreign = {
            axis.channel: type(axis.transform).__name__
            for axis in axes_of(gate)
            if axis.transform is not None and type(axis.transform) not in _SCALES
        }
        if foreign:
            scales = " and ".join(sorted(set(foreign.values())))
            faults.append(
                f"{path_of(gate)}: {', '.join(foreign)}: Gating-ML has no {scales} scale; redraw "
                "the gate on a logicle, asinh or log scale"
            )
        if isinstance(gate, Boolean) and any(o.gate == ROOT for o in gate.operands):
            faults.append(f"{path_of(gate)}: root holds every event, and has no id in Gating-ML")
    for name, spillover in plan.spillovers:
        if min(len(spillover.detectors), len(spillover.fluorochromes)) < 2:
            faults.append(f"matrix {name!r}: Gating-ML has none of one fluorochrome or detector")
    return list(dict.fromkeys(faults))


@dataclass(slots=True)
class _Ids:
    """Ids of a document: no two alike, whatever they name."""

    taken: set[str] = field(default_factory=set)

    def new(self, name: str) -> str:
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        stem = stem if _ID.fullmatch(stem) else f"_{stem}"
        made, number = stem, 2
        while made in self.taken:
            made, number = f"{stem}_{number}", number + 1
        self.taken.add(made)
        return made


class _Writer:
    """Builds the document: matrices, then each gate after the scales and ratios it needs."""

    def __init__(self, plan: GatingPlan) -> None:
        self.root = new_root(GATING + "Gating-ML")
        self.ids = _Ids({FILE_COMPENSATION, UNCOMPENSATED})
        self.spillovers = dict(plan.spillovers)
        self.gates = {path_of(gate): self.ids.new(gate.name) for gate in plan}
        self.matrices = {name: self.ids.new(name) for name in self.spillovers}
        self.scales: dict[Transform, str] = {}
        self.ratios: dict[tuple[str, Ratio], str] = {}
        for name, spillover in plan.spillovers:
            self._matrix(name, spillover)
        for gate in plan:
            self._gate(fixed(gate))

    # -- gates

    def _gate(self, gate: FixedGate) -> None:
        scales = [self._scale(axis.transform) for axis in axes_of(gate)]
        ratios = [self._ratio(axis) for axis in axes_of(gate)]
        own = self.gates[path_of(gate)]
        parent = self.gates.get(gate.parent)
        name = None if own == gate.name else gate.name
        if gate.complement:
            region = self.ids.new(f"{own}_region")
            self._region(gate, region, parent, _Notes(region_of=own), scales, ratios)
            element = self._opened("BooleanGate", own, parent, _Notes(name=name))
            _refer(add(element, GATING + "not"), region, complement=False)
        else:
            self._region(gate, own, parent, _Notes(name=name), scales, ratios)

    def _region(
        self,
        gate: FixedGate,
        own: str,
        parent: str | None,
        notes: _Notes,
        scales: list[str | None],
        ratios: list[str | None],
    ) -> None:
        if isinstance(gate, Boolean):
            self._boolean(gate, own, parent, notes)
            return
        kind = {Rectangle: "RectangleGate", Polygon: "PolygonGate", Ellipse: "EllipsoidGate"}
        element = self._opened(kind[type(gate)], own, parent, notes)
        for index, axis in enumerate(axes_of(gate)):
            bounds: tuple[float | None, float | None] = (None, None)
            if isinstance(gate, Rectangle):
                bounds = gate.minimum[index], gate.maximum[index]
            dimension = add(
                element,
                GATING + "dimension",
                GATING,
                compensation_ref=self.matrices.get(axis.compensation, axis.compensation),
                transformation_ref=scales[index],
                min=_number(bounds[0]),
                max=_number(bounds[1]),
            )
            ratio = ratios[index]
            if ratio is None:
                add(dimension, DATA_TYPE + "fcs-dimension", DATA_TYPE, name=self._name(axis))
            else:
                add(dimension, DATA_TYPE + "new-dimension", DATA_TYPE, transformation_ref=ratio)
        if isinstance(gate, Polygon):
            for vertex in gate.vertices:
                _point(add(element, GATING + "vertex"), "coordinate", vertex)
        elif isinstance(gate, Ellipse):
            _point(add(element, GATING + "mean"), "coordinate", gate.mean)
            matrix = add(element, GATING + "covarianceMatrix")
            for row in gate.covariance:
                _point(add(matrix, GATING + "row"), "entry", row)
            square = _number(gate.distance_square)
            add(element, GATING + "distanceSquare", DATA_TYPE, value=square)

    def _boolean(self, gate: Boolean, own: str, parent: str | None, notes: _Notes) -> None:
        alone = len(gate.operands) == 1 and gate.operator != "not"
        if alone:  # the standard wants two
            notes = replace(notes, operands="1")
        element = self._opened("BooleanGate", own, parent, notes)
        combination = add(element, GATING + gate.operator)
        for operand in gate.operands * (2 if alone else 1):
            _refer(combination, self.gates[operand.gate], complement=operand.complement)

    def _opened(self, kind: str, own: str, parent: str | None, notes: _Notes) -> Element:
        element = add(self.root, GATING + kind, GATING, id=own, parent__id=parent)
        _note(element, notes)
        return element

    # -- what gates refer to

    def _name(self, axis: Axis) -> str:
        return self._fluorochrome(axis.channel, axis.compensation)

    def _fluorochrome(self, channel: str, compensation: str) -> str:
        """What the standard calls a compensated detector: by the matrix's fluorochrome."""
        spillover = self.spillovers.get(compensation)
        if spillover is not None and spillover.is_square and channel in spillover.detectors:
            return spillover.fluorochromes[spillover.detectors.index(channel)]
        return channel

    def _scale(self, transform: Transform | None) -> str | None:
        if transform is None:
            return None
        if transform not in self.scales:
            kind, letters = _SCALES[type(transform)]
            self.scales[transform] = self.ids.new(kind)
            element = self._transformation(self.scales[transform], transform)
            numbers = {letter: _number(getattr(transform, name)) for name, letter in letters}
            add(element, TRANSFORMS + kind, TRANSFORMS, **numbers)
        return self.scales[transform]

    def _ratio(self, axis: Axis) -> str | None:
        if axis.ratio is None:
            return None
        divisor = self._fluorochrome(axis.ratio.divisor, axis.compensation)
        ratio = replace(axis.ratio, divisor=divisor)
        key = (self._name(axis), ratio)
        if key not in self.ratios:
            self.ratios[key] = self.ids.new("fratio")
            element = add(
                self._transformation(self.ratios[key], ratio),
                TRANSFORMS + "fratio",
                TRANSFORMS,
                A=_number(ratio.factor),
                B=_number(ratio.offset),
                C=_number(ratio.divisor_offset),
            )
            for name in (key[0], divisor):
                add(element, DATA_TYPE + "fcs-dimension", DATA_TYPE, name=name)
        return self.ratios[key]

    def _transformation(self, own: str, bounded: Transform | Ratio) -> Element:
        return add(
            self.root,
            TRANSFORMS + "transformation",
            TRANSFORMS,
            id=own,
            boundMin=_number(bounded.bound_min),
            boundMax=_number(bounded.bound_max),
        )

    def _matrix(self, name: str, spillover: Spillover) -> None:
        own = self.matrices[name]
        element = add(self.root, TRANSFORMS + "spectrumMatrix", TRANSFORMS, id=own)
        _note(element, _Notes(name=None if own == name else name))
        for kind, labels in (
            ("fluorochromes", spillover.fluorochromes),
            ("detectors", spillover.detectors),
        ):
            listed = add(element, TRANSFORMS + kind)
            for label in labels:
                add(listed, DATA_TYPE + "fcs-dimension", DATA_TYPE, name=label)
        for row in spillover.matrix:
            spectrum = add(element, TRANSFORMS + "spectrum")
            for value in row:
                add(spectrum, TRANSFORMS + "coefficient", TRANSFORMS, value=_number(value))


@dataclass(frozen=True, slots=True)
class _Notes:
    """What `gatingml.read_gatingml` needs to make the same plan again."""

    name: str | None = None  # of the population or matrix, where it is not its id
    region_of: str | None = None  # id of the population whose complement the element is
    operands: str | None = None  # how many of the operands are meant


def _note(element: Element, notes: _Notes) -> None:
    values = {key.name: getattr(notes, key.name) for key in fields(notes)}
    if any(value is not None for value in values.values()):
        add(add(element, DATA_TYPE + "custom_info"), NOTES + "note", "", **values)


def _refer(combination: Element, gate: str, *, complement: bool) -> None:
    flag = "true" if complement else None
    add(combination, GATING + "gateReference", GATING, ref=gate, use_as_complement=flag)


def _point(element: Element, kind: str, values: tuple[float, ...]) -> None:
    for value in values:
        add(element, GATING + kind, DATA_TYPE, value=_number(value))


def _number(value: float | None) -> str | None:
    """Shortest text that is read as the same double."""
    return None if value is None else repr(float(value))
