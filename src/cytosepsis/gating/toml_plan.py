"""Gating plans in TOML: the format of docs/gating.md, parsed with every problem at its place."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from cytosepsis.errors import GatingError
from cytosepsis.gating.batch import ENDING, Batch, read_batch
from cytosepsis.gating.plan import (
    DEFAULT_COMPENSATION,
    ROOT,
    UNCOMPENSATED,
    Axis,
    Boolean,
    DataDrivenGate,
    Ellipse,
    Gate,
    GatingPlan,
    Operand,
    Polygon,
    Ratio,
    Rectangle,
    examine,
    path_of,
)
from cytosepsis.gating.toml_data_driven import DATA_DRIVEN
from cytosepsis.gating.toml_table import TomlTable, suggestion
from cytosepsis.transforms import (
    Asinh,
    Biex,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    Transform,
    transform_faults,
)

# TOML key → field, by type of transform; the letters are those of Gating-ML 2.0, biex's FlowJo's.
_T, _W, _M, _A = {"T": "top"}, {"W": "width"}, {"M": "decades"}, {"A": "additional"}
_BOUNDS = {"boundMin": "bound_min", "boundMax": "bound_max"}
_BIEX = {
    "length": "length",
    "maxRange": "max_range",
    "neg": "negative",
    "width": "width",
    "pos": "positive",
}
_TRANSFORMS: dict[str, tuple[Callable[..., Transform], dict[str, str]]] = {
    "linear": (Linear, _T | _A | _BOUNDS),
    "log": (Log, _T | _M | _BOUNDS),
    "asinh": (Asinh, _T | _M | _A | _BOUNDS),
    "logicle": (Logicle, _T | _W | _M | _A | _BOUNDS),
    "hyperlog": (Hyperlog, _T | _W | _M | _A | _BOUNDS),
    "biex": (Biex, _BIEX | _BOUNDS),
}
_MAX_DIVIDERS = 100  # per axis of a quadrant gate


def read_toml_plan(path: str | Path) -> GatingPlan:
    """Read a gating plan; see docs/gating.md for every key.

    Raises
    ------
    GatingError
        The file cannot be read or is not TOML; or one line per problem, each with its place
        (`gates[2].vertices`, counted from 0).
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise GatingError(f"the plan cannot be read: {reason}", file=str(path)) from None
    except UnicodeDecodeError:
        raise GatingError("the plan is not UTF-8 text; save it as UTF-8", file=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise GatingError(f"the plan is not valid TOML: {error}", file=str(path)) from None
    try:
        return parse_toml_plan(document, source=path.name, folder=path.parent)
    except GatingError as error:
        raise error.with_context(file=str(path)) from None


def parse_toml_plan(
    document: Mapping[str, Any], *, source: str = "", folder: Path | None = None
) -> GatingPlan:
    """Turn a parsed TOML document into a plan; raises one GatingError for all that is wrong.

    A batch reference lies in the plan's `folder`.
    """
    faults: list[str] = []
    top = TomlTable(document, "", faults)
    transforms = parse_transforms(top.table("transforms", {}), faults)
    tables = top.array("gates", [])
    top.refuse_others(("transforms", "gates", "batch"))
    batch = _batch(top, folder)
    if not tables and not faults:
        faults.append("gates: a plan needs at least one [[gates]] table")
    gates: list[Gate] = []
    places: list[_Place] = []
    unread: set[int] = set()
    for index, values in enumerate(tables):
        n_faults = len(faults)
        found, place = _gates_of(values, f"gates[{index}]", transforms, faults)
        if len(faults) > n_faults:
            unread.update(range(len(gates), len(gates) + len(found)))
        gates += found
        places += [place] * len(found)
    resolved, gate_faults = examine(gates, unread=unread)
    for gate in resolved:
        if isinstance(gate, DataDrivenGate) and gate.on_fail == "batch" and "batch" not in document:
            faults.append(f"batch: {path_of(gate)} leans on a batch reference; the plan names none")
    for fault in gate_faults:
        faults.append(places[fault.index].line(fault.key, fault.message))
    if faults:
        # The quadrants of one gate share their parent, and so its faults.
        raise GatingError("\n".join(dict.fromkeys(faults)), step="gating")
    return GatingPlan(resolved, (), source, batch)


def _batch(top: TomlTable, folder: Path | None) -> Batch | None:
    """Read the reference that a plan names; it lies beside it."""
    if "batch" not in top.values:
        return None
    name = top.text("batch")
    if not name.endswith(ENDING) or Path(name).name != name:
        top.fault("batch", f"a file beside the plan that ends in {ENDING} is meant, found {name!r}")
        return None
    if folder is None:
        top.fault("batch", "a plan that lies in no file has no reference beside it")
        return None
    try:
        return read_batch(folder / name)
    except GatingError as error:
        top.fault("batch", error.message)
        return None


def parse_transforms(tables: Mapping[str, Any], faults: list[str]) -> dict[str, Transform | None]:
    """Read transforms by name, of `[transforms.<name>]` tables; None where one is faulty."""
    return {
        name: _transform(TomlTable.of(values, f"transforms.{name}", faults))
        for name, values in tables.items()
    }


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a gate stands in the document, for the faults found after it was read."""

    table: str
    label: str
    name_key: str = "name"

    def line(self, key: str, message: str) -> str:
        key = self.name_key if key == "name" else key
        return f"{self.table}.{key}{self.label}: {message}"


def _transform(table: TomlTable) -> Transform | None:
    n_faults = len(table.faults)
    kind = table.text("type")
    if kind not in _TRANSFORMS:
        if kind:
            table.fault("type", f"no transform {kind!r}; {suggestion(kind, _TRANSFORMS)}")
        return None
    make, names = _TRANSFORMS[kind]
    table.refuse_others(("type", *names), f" of a {kind} transform")
    defaults = {field.name: field.default for field in fields(make)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, name in names.items():
        if key in table.values or defaults[name] is MISSING:
            values[name] = table.number(key)
    if float(values.get("length", math.nan)).is_integer():
        values["length"] = int(values["length"])
    if len(table.faults) > n_faults:
        return None
    transform = make(**values)
    for fault in transform_faults(transform):
        table.fault("", fault)
    return transform if len(table.faults) == n_faults else None


@dataclass(frozen=True, slots=True)
class _Head:
    """What gates of every type have."""

    name: str
    parent: str
    axes: tuple[Axis, ...]
    complement: bool


def _gates_of(
    values: object, place: str, transforms: Mapping[str, Transform | None], faults: list[str]
) -> tuple[list[Gate], _Place]:
    """Gates of one [[gates]] table: one, or one per named quadrant."""
    table = TomlTable.of(values, place, faults)
    if isinstance(table.values.get("name"), str):
        table.label = f" ({table.values['name']})"
    kind = table.text("type")
    name = table.text("name", "" if kind == "quadrant" else MISSING)
    parent = table.text("parent", ROOT)
    where = _Place(place, table.label, "names" if kind == "quadrant" else "name")
    stand_in = Rectangle(name, parent, (), (), ())
    if kind in DATA_DRIVEN:
        read, known, needed = DATA_DRIVEN[kind]
        table.refuse_others(("name", "parent", "type", *known), f" of a {kind} gate")
        found = tuple(_axis(table, key, transforms) for key in needed)
        return [read(table, name, parent, found)], where
    if kind not in _GATES:
        if kind:
            table.fault("type", f"no gate {kind!r}; {suggestion(kind, (*_GATES, *DATA_DRIVEN))}")
        return [stand_in], where
    make, keys = _GATES[kind]
    table.refuse_others(("name", "parent", "type", *keys), f" of a {kind} gate")
    axes = tuple(
        _axis(table, key, transforms)
        for key in ("x", "y")
        if key in keys and (key in table.values or key == "x" or kind in ("polygon", "ellipse"))
    )
    return make(table, _Head(name, parent, axes, table.flag("complement", False))), where


def _axis(table: TomlTable, key: str, transforms: Mapping[str, Transform | None]) -> Axis:
    value = table.get(key, (str, Mapping), "a channel or a table with one", MISSING)
    if not isinstance(value, Mapping):
        return Axis("" if value is MISSING else str(value))
    axis = table.child(key, value)
    axis.refuse_others(("channel", "transform", "compensated", "ratio"), " of an axis")
    name = axis.text("transform", "")
    if name and name not in transforms:
        axis.fault(
            "transform", f"no transform {name!r} in [transforms]; {suggestion(name, transforms)}"
        )
    compensation = DEFAULT_COMPENSATION if axis.flag("compensated", True) else UNCOMPENSATED
    ratio = _ratio(axis.child("ratio")) if "ratio" in axis.values else None
    return Axis(axis.text("channel"), transforms.get(name), compensation, ratio)


def _ratio(table: TomlTable) -> Ratio:
    table.refuse_others(("divisor", "A", "B", "C", *_BOUNDS), " of a ratio")
    bounds = {field: table.number(key) for key, field in _BOUNDS.items() if key in table.values}
    factor, offset, divisor_offset = (
        table.number(key, default) for key, default in (("A", 1.0), ("B", 0.0), ("C", 0.0))
    )
    return Ratio(table.text("divisor"), factor, offset, divisor_offset, **bounds)


def _rectangle(table: TomlTable, head: _Head) -> list[Gate]:
    ranges = table.child("ranges")
    keys = ("x", "y")[: len(head.axes)]
    ranges.refuse_others(keys, " (the gate has no such axis)")
    low: list[float | None] = []
    high: list[float | None] = []
    for key in keys:
        side = ranges.child(key, ranges.values.get(key, {}))
        side.refuse_others(("min", "max"))
        low.append(side.number("min") if "min" in side.values else None)
        high.append(side.number("max") if "max" in side.values else None)
    return [Rectangle(head.name, head.parent, head.axes, tuple(low), tuple(high), head.complement)]


def _polygon(table: TomlTable, head: _Head) -> list[Gate]:
    vertices: list[tuple[float, float]] = []
    for index, row in enumerate(table.rows("vertices")):
        if len(row) == 2:
            vertices.append((row[0], row[1]))
        elif row or not table.values["vertices"][index]:  # else noted as no array of numbers
            table.fault(f"vertices[{index}]", f"two numbers are needed, found {list(row)}")
    x, y = head.axes
    return [Polygon(head.name, head.parent, x, y, tuple(vertices), head.complement)]


def _ellipse(table: TomlTable, head: _Head) -> list[Gate]:
    mean, covariance = table.numbers("mean"), table.rows("covariance")
    square = table.number("distance_square")
    return [Ellipse(head.name, head.parent, head.axes, mean, covariance, square, head.complement)]


def _boolean(table: TomlTable, head: _Head) -> list[Gate]:
    operator = table.text("operator")
    operands: list[Operand] = []
    for index, value in enumerate(table.array("operands")):
        if isinstance(value, str):
            operands.append(Operand(value))
            continue
        operand = table.child(f"operands[{index}]", value)
        operand.refuse_others(("gate", "complement"), " of an operand")
        operands.append(Operand(operand.text("gate"), operand.flag("complement", False)))
    return [Boolean(head.name, head.parent, operator, tuple(operands), head.complement)]  # type: ignore[arg-type]


def _quadrant(table: TomlTable, head: _Head) -> list[Gate]:
    """Lower to one rectangle per named quadrant; a divider belongs to the side above it."""
    dividers = table.child("dividers")
    keys = ("x", "y")[: len(head.axes)]
    dividers.refuse_others(keys, " (the gate has no such axis)")
    cuts = [dividers.numbers(key) for key in keys]
    for key, values in zip(keys, cuts, strict=True):
        finite = all(math.isfinite(value) for value in values)
        if not (values and finite and all(a < b for a, b in pairwise(values))):
            dividers.fault(key, f"ascending finite numbers are needed, found {list(values)}")
        if len(values) > _MAX_DIVIDERS:
            dividers.fault(key, f"at most {_MAX_DIVIDERS} dividers, found {len(values)}")
            return []
    cells = {
        spelling: cell
        for cell in product(*(range(len(values) + 1) for values in cuts))
        for spelling in _spellings(cell, [len(values) for values in cuts])
    }
    names = table.child("names")
    names.refuse_others(cells, ", no such quadrant")
    if not names.values:
        table.fault("names", "name at least one quadrant")
    chosen: dict[tuple[int, ...], str] = {}
    for key in names.values:
        cell = cells.get(key)
        if cell in chosen:
            names.fault(key, f"this quadrant is already named {chosen[cell]!r}")
        elif cell is not None:
            chosen[cell] = names.text(key)
    edges: list[tuple[float | None, ...]] = [(None, *values, None) for values in cuts]
    return [
        Rectangle(
            label,
            head.parent,
            head.axes,
            tuple(edge[i] for edge, i in zip(edges, cell, strict=True)),
            tuple(edge[i + 1] for edge, i in zip(edges, cell, strict=True)),
        )
        for cell, label in chosen.items()
    ]


def _spellings(cell: tuple[int, ...], n_dividers: list[int]) -> list[str]:
    """`1,0` always; `+-` where every axis has one divider: x first, + at or above the divider."""
    spellings = [",".join(str(i) for i in cell)]
    if all(n == 1 for n in n_dividers):
        spellings.append("".join("-+"[i] for i in cell))
    return spellings


_Maker = Callable[[TomlTable, _Head], list[Gate]]
_GATES: dict[str, tuple[_Maker, tuple[str, ...]]] = {
    "rectangle": (_rectangle, ("x", "y", "ranges", "complement")),
    "polygon": (_polygon, ("x", "y", "vertices", "complement")),
    "ellipse": (_ellipse, ("x", "y", "mean", "covariance", "distance_square", "complement")),
    "boolean": (_boolean, ("operator", "operands", "complement")),
    "quadrant": (_quadrant, ("x", "y", "dividers", "names")),
}
