"""Data-driven gates of a TOML plan: their keys, read with every fault at its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from cytosepsis.gating.axis import Axis
from cytosepsis.gating.data_driven import (
    Cluster,
    DataDrivenGate,
    Densest,
    Singlet,
    Threshold,
)
from cytosepsis.gating.region import Bounds, Outline, Oval, Region
from cytosepsis.gating.toml_table import TomlTable, suggestion

Maker = Callable[[TomlTable, str, str, tuple[Axis, ...]], DataDrivenGate]

_COMMON = ("min_events", "on_fail", "reference")
_STAND_IN = 1.0  # for a number that is faulty and has been noted


def _singlet(table: TomlTable, name: str, parent: str, axes: tuple[Axis, ...]) -> Singlet:
    given = _numbers(table, Singlet, "width") | _common(table, Singlet)
    return Singlet(name, parent, axes[0], axes[1], **given)


def _threshold(table: TomlTable, name: str, parent: str, axes: tuple[Axis, ...]) -> Threshold:
    method = _word(table, Threshold, "method", needed=True)
    given = _numbers(table, Threshold, "bandwidth", "tolerance", "quantile", "max_drift", "offset")
    for key in ("keep", "valley", "peak", "side"):
        if key in table.values:
            given[key] = _word(table, Threshold, key)
    given |= {key: table.text(key) for key in ("control", "same") if key in table.values}
    if "range" in table.values:
        side = table.child("range")
        side.refuse_others(("min", "max"))
        for key, field in (("min", "low"), ("max", "high")):
            if key in side.values:
                given[field] = side.number(key)
    given |= _common(table, Threshold)
    if "reference" in table.values:
        cut = table.number("reference")
        above = given.get("keep", "above") == "above"
        given["reference"] = cut_region(cut, above=above)
    for key, methods in _OF_METHODS.items():
        if key in table.values and method not in methods:
            table.fault(key, f"means nothing to method {method!r}; only to {' and '.join(methods)}")
    return Threshold(name, parent, axes[0], method, **given)


# Keys that only some methods of a threshold heed: one that is given in vain is a slip.
_OF_METHODS = {
    "bandwidth": ("valley", "tail", "peak"),
    "valley": ("valley",),
    "peak": ("tail", "peak"),
    "offset": ("peak", "same"),
    "side": ("tail",),
    "tolerance": ("tail",),
    "quantile": ("quantile", "control"),
    "control": ("control",),
    "same": ("same",),
}


def _cluster(table: TomlTable, name: str, parent: str, axes: tuple[Axis, ...]) -> Cluster:
    given: dict[str, Any] = _numbers(table, Cluster, "mass", "purity")
    for key in ("centre", "drift"):
        pair = table.numbers(key)
        if len(pair) != 2:
            if pair:
                table.fault(key, f"two numbers are needed, one for each axis, found {list(pair)}")
            pair = (_STAND_IN, _STAND_IN)
        given[key] = pair
    if "method" in table.values:
        given["method"] = _word(table, Cluster, "method")
    if "components" in table.values:
        given["components"] = _whole(table, "components", Cluster)
    given |= _common(table, Cluster)
    return Cluster(name, parent, axes[0], axes[1], **given)


def _densest(table: TomlTable, name: str, parent: str, axes: tuple[Axis, ...]) -> Densest:
    given = _numbers(table, Densest, "fraction") | _common(table, Densest)
    return Densest(name, parent, axes[0], axes[1], **given)


def cut_region(cut: float, *, above: bool) -> Bounds:
    """One side of a cut, which belongs to the upper side."""
    return Bounds((cut,), (None,)) if above else Bounds((None,), (cut,))


def _common(table: TomlTable, kind: type[DataDrivenGate]) -> dict[str, Any]:
    """Read what every data-driven gate has; a threshold's reference is a number, read by itself."""
    given: dict[str, Any] = {}
    if "min_events" in table.values:
        given["min_events"] = _whole(table, "min_events", kind)
    if "on_fail" in table.values:
        given["on_fail"] = _word(table, kind, "on_fail")
    if "reference" in table.values and kind is not Threshold:
        given["reference"] = _region(table.child("reference"))
    return given


def _region(table: TomlTable) -> Region | None:
    if "vertices" in table.values:
        table.refuse_others(("vertices",), " of a reference with vertices")
        rows = table.rows("vertices")
        if all(len(row) == 2 for row in rows):
            return Outline(tuple((row[0], row[1]) for row in rows))
        table.fault("vertices", "two numbers are needed for each")
        return None
    table.refuse_others(("mean", "covariance", "distance_square"), " of a reference")
    return Oval(table.numbers("mean"), table.rows("covariance"), table.number("distance_square"))


def _numbers(table: TomlTable, kind: type[DataDrivenGate], *keys: str) -> dict[str, Any]:
    values = {key: table.number(key) for key in keys if key in table.values}
    defaults = {field.name: field.default for field in fields(kind)}
    # A number that is faulty has been noted; its default raises no second fault.
    return {k: defaults[k] if math.isnan(v) else v for k, v in values.items()}


def _whole(table: TomlTable, key: str, kind: type[DataDrivenGate]) -> int:
    value = table.number(key)
    if math.isfinite(value) and value.is_integer():
        return int(value)
    if not math.isnan(value):
        table.fault(key, f"a whole number was expected, found {value:g}")
    default = next(field.default for field in fields(kind) if field.name == key)
    assert isinstance(default, int)
    return default


def _word(table: TomlTable, kind: type[DataDrivenGate], key: str, *, needed: bool = False) -> Any:
    """Look up one of the words that the record's field allows; the first where it is none."""
    words = get_args(get_type_hints(kind)[key])
    word = table.text(key) if needed or key in table.values else ""
    if word in words:
        return word
    if word:
        table.fault(key, f"no {key} {word!r}; {suggestion(word, words)}")
    return words[0]


# type → how its keys are read, the keys it has, the axes it needs
DATA_DRIVEN: Mapping[str, tuple[Maker, tuple[str, ...], tuple[str, ...]]] = {
    "singlet": (_singlet, ("x", "y", "width", *_COMMON), ("x", "y")),
    "threshold": (
        _threshold,
        (
            *("x", "method", "keep", "bandwidth", "valley", "peak", "side", "tolerance"),
            *("quantile", "control", "offset", "same", "range", "max_drift", *_COMMON),
        ),
        ("x",),
    ),
    "cluster": (
        _cluster,
        ("x", "y", "centre", "drift", "method", "mass", "purity", "components", *_COMMON),
        ("x", "y"),
    ),
    "density": (_densest, ("x", "y", "fraction", *_COMMON), ("x", "y")),
}
