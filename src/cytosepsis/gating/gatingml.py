"""Gating-ML 2.0: gates read by FlowKit; hierarchy, bounds, ratios and matrices read here.

FlowKit ignores transform bounds and that a matrix is inverted already, fails on matrices that are
not square and on quadrants of a ratio, and loses a gate whose operand is its own parent; so it is
given a flat copy without matrices, in which ratios are channels, and all that is read here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cytosepsis.compensation import MAX_CONDITION_NUMBER, Spillover
from cytosepsis.errors import CompensationError, GatingError
from cytosepsis.gating.dependencies import in_order
from cytosepsis.gating.flowkit_gates import flowkit_door, region_of, transform_of
from cytosepsis.gating.markup import (
    DATA_TYPE,
    GATING,
    NOTES,
    TRANSFORMS,
    Element,
    as_file,
    local_name,
    named,
    read_markup,
)
from cytosepsis.gating.plan import (
    FILE_COMPENSATION,
    ROOT,
    UNCOMPENSATED,
    Axis,
    Boolean,
    FixedGate,
    GatingPlan,
    Operand,
    Ratio,
    Rectangle,
    make_plan,
)
from cytosepsis.transforms import Transform

_GATES = ("RectangleGate", "PolygonGate", "EllipsoidGate", "QuadrantGate", "BooleanGate")
_NEW = "\ue000"  # before the id of a ratio that FlowKit takes for a channel's name
_ADVICE = "Check the file against the Gating-ML 2.0 schema, or write the plan in TOML."


@dataclass(frozen=True, slots=True)
class _Document:
    """What a Gating-ML file says, apart from the gates themselves; keys are XML ids."""

    gates: dict[str, Element]  # in document order
    notes: dict[str, dict[str, str]]  # what `gatingml_export` noted beside gates and matrices
    gate_of: dict[str, str]  # population → its gate: quadrants are populations, their gate is not
    parent_of: dict[str, str]  # gate → population, "" at the root
    transforms: dict[str, Transform]
    ratios: dict[str, tuple[str, Ratio]]  # the channel that is divided, and by what
    spillovers: dict[str, Spillover]


def read_gatingml(path: str | Path, *, root: Element | None = None) -> GatingPlan:
    """Read a Gating-ML 2.0 file; each gate's name is its id. `root`: where it is parsed already.

    Raises
    ------
    GatingError
        Not Gating-ML 2.0; references to nothing, circles, and everything `make_plan` refuses.
    """
    path = Path(path)
    try:
        markup = read_markup(path) if root is None else root
        with flowkit_door(_ADVICE):
            strategy = _parsed(markup)
        document = _read_document(markup, strategy)
        gates = _gates(document, strategy)
        used = tuple((_name_of(name, document), s) for name, s in document.spillovers.items())
        return make_plan(gates, used, path.name, strict_ellipses=False)
    except GatingError as error:
        error.file = str(path)  # make_plan knew only its name
        error.with_context(step="gating")
        raise
    except CompensationError as error:
        raise GatingError(error.message, file=str(path), step="gating") from error


def _parsed(markup: Element) -> Any:
    """FlowKit's strategy of the gates without parents and matrices, ratios under our names."""
    from copy import deepcopy  # noqa: PLC0415

    from flowkit import parse_gating_xml  # noqa: PLC0415  (two seconds)

    flat = deepcopy(markup)
    for element in flat.findall(TRANSFORMS + "spectrumMatrix"):
        flat.remove(element)
    for element in _gate_elements(flat):
        element.attrib.pop(GATING + "parent_id", None)
        for dimension in list(element.iter(DATA_TYPE + "new-dimension")):
            dimension.tag = DATA_TYPE + "fcs-dimension"
            reference = dimension.attrib.pop(DATA_TYPE + "transformation-ref", "")
            dimension.set(DATA_TYPE + "name", _NEW + reference)
    return parse_gating_xml(as_file(flat))


def _gate_elements(markup: Element) -> list[Element]:
    return [element for element in markup if local_name(element) in _GATES]


def _read_document(markup: Element, strategy: Any) -> _Document:
    gates = {str(element.get(GATING + "id")): element for element in _gate_elements(markup)}
    gate_of: dict[str, str] = {}
    for name, element in gates.items():
        quadrants = [str(q.get(GATING + "id")) for q in element.findall(GATING + "Quadrant")]
        gate_of.update(dict.fromkeys(quadrants or [name], name))
    parent_of = {
        name: str(element.get(GATING + "parent_id", "")) for name, element in gates.items()
    }
    bounds = {
        str(element.get(TRANSFORMS + "id")): element
        for element in markup.findall(TRANSFORMS + "transformation")
    }
    transforms = {
        name: made
        for name, xform in strategy.transformations.items()
        if (made := _bounded(xform, bounds[name])) is not None
    }
    used = {
        str(element.get(GATING + "compensation-ref"))
        for gate in gates.values()
        for element in gate.iter(GATING + "dimension", GATING + "divider")
    }
    spillovers = {
        name: _spillover(element, name)
        for element in markup.findall(TRANSFORMS + "spectrumMatrix")
        if (name := str(element.get(TRANSFORMS + "id"))) in used
    }
    ratios = {name: _ratio(element) for name, element in bounds.items() if _is_ratio(element)}
    notes = {
        name: _notes(element)
        for name, element in [
            *gates.items(),
            *(
                (str(m.get(TRANSFORMS + "id")), m)
                for m in markup.findall(TRANSFORMS + "spectrumMatrix")
            ),
        ]
    }
    return _Document(gates, notes, gate_of, parent_of, transforms, ratios, spillovers)


def _notes(element: Element) -> dict[str, str]:
    note = element.find(f"{DATA_TYPE}custom_info/{NOTES}note")
    return {} if note is None else {str(key): str(value) for key, value in note.items()}


def _is_ratio(element: Element) -> bool:
    return element.find(TRANSFORMS + "fratio") is not None


def _ratio(element: Element) -> tuple[str, Ratio]:
    """Read `fratio`: A (x - B) / (y - C), x before y; FlowKit has held the schema against it."""
    fratio = element.find(TRANSFORMS + "fratio")
    x, y = named(fratio.findall(DATA_TYPE + "fcs-dimension"))
    a, b, c = (float(fratio.get(TRANSFORMS + key)) for key in "ABC")
    return x, Ratio(y, a, b, c, *_bounds(element))


def _bounds(element: Element) -> tuple[float | None, float | None]:
    low, high = (element.get(TRANSFORMS + key) for key in ("boundMin", "boundMax"))
    return None if low is None else float(low), None if high is None else float(high)


def _bounded(xform: Any, element: Element) -> Transform | None:
    low, high = _bounds(element)
    return transform_of(xform, bound_min=low, bound_max=high)


def _spillover(element: Element, name: str) -> Spillover:
    """Matrix of a spectrumMatrix element: rows are fluorochromes; Gating-ML 2.0, 5.3."""
    dimension = DATA_TYPE + "fcs-dimension"
    fluorochromes = named(element.findall(f"{TRANSFORMS}fluorochromes/{dimension}"))
    detectors = named(element.findall(f"{TRANSFORMS}detectors/{dimension}"))
    try:
        rows = tuple(
            tuple(float(entry.get(TRANSFORMS + "value", "")) for entry in row)
            for row in element.findall(TRANSFORMS + "spectrum")
        )
    except ValueError:  # FlowKit did not see the matrix, so no schema was held against it
        raise GatingError(f"matrix {name!r} has a coefficient that is not a number") from None
    if str(element.get(TRANSFORMS + "matrix-inverted-already", "")).strip() in ("true", "1"):
        rows = _inverted(rows, name, len(detectors), len(fluorochromes))
    return Spillover(tuple(detectors), tuple(fluorochromes), rows, name)


def _inverted(
    rows: tuple[tuple[float, ...], ...], name: str, n_detectors: int, n_fluorochromes: int
) -> tuple[tuple[float, ...], ...]:
    """What a matrix is the (pseudo-)inverse of: every matrix of a plan means the same.

    An inverted one has a row for every detector and a column for every fluorochrome.
    """
    if len(rows) != n_detectors or {len(row) for row in rows} != {n_fluorochromes}:
        raise GatingError(
            f"matrix {name!r} is inverted already, so it must have {n_detectors} rows (detectors) "
            f"of {n_fluorochromes} coefficients (fluorochromes)"
        )
    weights = np.array(rows)
    condition = float(np.linalg.cond(weights)) if np.isfinite(weights).all() else math.nan
    if not condition <= MAX_CONDITION_NUMBER:
        raise GatingError(
            f"matrix {name!r} is inverted already, and singular: condition number {condition:.3g}, "
            f"at most {MAX_CONDITION_NUMBER:.0e} is accepted"
        )
    square = n_detectors == n_fluorochromes
    spectra = np.linalg.inv(weights) if square else np.linalg.pinv(weights)
    return tuple(map(tuple, spectra.tolist()))


def _gates(document: _Document, strategy: Any) -> list[FixedGate]:
    """Our gates in an order in which they can be applied, parents and operands by full path."""
    parsed = {name: strategy.get_gate(name, (ROOT,)) for name in document.gates}
    needs = {name: _needs(document, name, gate) for name, gate in parsed.items()}
    regions = _complemented(document, parsed)
    paths: dict[str, str] = {"": ROOT}
    gates: list[FixedGate] = []
    for name in in_order(needs):
        if name in regions.values():
            continue
        parent = paths[document.parent_of[name]]
        for population, gate_name in document.gate_of.items():
            if gate_name == name:
                paths[population] = f"{parent}/{_name_of(population, document)}"
        made = _converted(parsed[regions.get(name, name)], name, parent, paths, document)
        gates += [replace(gate, complement=True) for gate in made] if name in regions else made
    return gates


def _name_of(population: str, document: _Document) -> str:
    return document.notes.get(population, {}).get("name", population)


def _complemented(document: _Document, parsed: Mapping[str, Any]) -> dict[str, str]:
    """Gates that were written as the `not` of a region, which is no population: the region."""
    used = [document.parent_of[name] for name in document.gates]
    used += [
        reference["ref"]
        for gate in parsed.values()
        if gate.gate_type == "BooleanGate"
        for reference in gate.gate_refs
    ]
    found: dict[str, str] = {}
    for name, gate in parsed.items():
        if gate.gate_type != "BooleanGate" or gate.type != "not":
            continue
        (reference,) = gate.gate_refs
        region = reference["ref"]
        if (
            document.notes.get(region, {}).get("region-of") == name
            and not reference["complement"]
            and used.count(region) == 1
            and document.parent_of[region] == document.parent_of[name]
        ):
            found[name] = region
    return found


def _needs(document: _Document, name: str, gate: Any) -> list[str]:
    """Gates that must stand before a gate: its parent's and its operands'."""
    references = [document.parent_of[name]] if document.parent_of[name] else []
    if gate.gate_type == "BooleanGate":
        references += [reference["ref"] for reference in gate.gate_refs]
    missing = [reference for reference in references if reference not in document.gate_of]
    if missing:
        raise GatingError(
            f"gate {name!r} refers to {', '.join(map(repr, missing))}, which is no population of "
            f"the file; it has: {', '.join(document.gate_of)}"
        )
    return [document.gate_of[reference] for reference in references]


def _converted(
    gate: Any, name: str, parent: str, paths: Mapping[str, str], document: _Document
) -> list[FixedGate]:
    match gate.gate_type:
        case "BooleanGate":
            operands = tuple(
                Operand(paths[reference["ref"]], bool(reference["complement"]))
                for reference in gate.gate_refs
            )
            if document.notes[gate.gate_name].get("operands") == "1":
                operands = tuple(dict.fromkeys(operands))  # one, twice for the standard's sake
            return [Boolean(_name_of(name, document), parent, gate.type, operands)]
        case "QuadrantGate":
            return _quadrants(gate, parent, document)
        case _:
            axes = [_axis(d.id, d, name, document) for d in gate.dimensions]
            return [region_of(gate, _name_of(name, document), parent, axes)]


def _quadrants(gate: Any, parent: str, document: _Document) -> list[FixedGate]:
    """One rectangle per quadrant, a child of the quadrant gate's parent."""
    axes = {d.id: _axis(d.dimension_ref, d, gate.gate_name, document) for d in gate.dimensions}
    rectangles: list[FixedGate] = []
    for name, quadrant in gate.quadrants.items():
        ranges = [quadrant.get_divider_range(reference) for reference in quadrant.divider_refs]
        rectangles.append(
            Rectangle(
                name,
                parent,
                tuple(axes[reference] for reference in quadrant.divider_refs),
                tuple(low for low, _ in ranges),
                tuple(high for _, high in ranges),
            )
        )
    return rectangles


def _axis(name: str, dimension: Any, gate: str, document: _Document) -> Axis:
    reference = dimension.transformation_ref
    if reference is not None and reference not in document.transforms:
        raise GatingError(f"gate {gate!r}: transform {reference!r} is not a scale of the file")
    transform = document.transforms[reference] if reference is not None else None
    ratio: Ratio | None = None
    if name.startswith(_NEW):
        name = name.removeprefix(_NEW)
        if name not in document.ratios:
            raise GatingError(f"gate {gate!r}: new dimension {name!r} is not a ratio of the file")
        name, ratio = document.ratios[name]
    match dimension.compensation_ref:
        case "uncompensated" | None:
            return Axis(name, transform, UNCOMPENSATED, ratio)
        case "FCS":
            return Axis(name, transform, FILE_COMPENSATION, ratio)
        case matrix:
            spillover = document.spillovers.get(matrix)
            if ratio is not None:
                ratio = replace(ratio, divisor=_detector(ratio.divisor, spillover))
            label = _name_of(str(matrix), document)
            return Axis(_detector(name, spillover), transform, label, ratio)


def _detector(name: str, spillover: Spillover | None) -> str:
    """What files have of a fluorochrome that the standard names: its own detector, if it has one.

    A fluorochrome of a spectral matrix has none, and keeps its name.
    """
    if spillover is not None and spillover.is_square and name in spillover.fluorochromes:
        return spillover.detectors[spillover.fluorochromes.index(name)]
    return name
