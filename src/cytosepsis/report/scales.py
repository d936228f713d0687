"""Axes as cytometrists read them: decades of a logicle scale, thousands of a linear one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cytosepsis.transforms import Asinh, Biex, Hyperlog, Linear, Log, Logicle, OffsetLog, Transform

_TRANSFORMS: dict[str, type[Transform]] = {
    kind.__name__.lower(): kind for kind in (Linear, Log, Asinh, Logicle, Hyperlog, Biex, OffsetLog)
}
_APART = 0.07  # of the axis: labels nearer than this would touch
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MAX_POWER = 9


@dataclass(frozen=True, slots=True)
class Ticks:
    """Where an axis is marked, on its own scale."""

    places: tuple[float, ...]
    labels: tuple[str, ...]  # of the places
    minor: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PlotAxis:
    """One axis of a picture, as the table `densities` tells it."""

    label: str
    scale: str
    transform: Transform | None
    low: float
    high: float
    n_bins: int

    @property
    def edges(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def place(self, value: float) -> float | None:
        """Where a linear value lies on the axis; None where it has no place or lies outside."""
        if self.scale == "log10":
            found = math.log10(value) if value > 0 else math.nan
        else:
            found = value if self.transform is None else _at(self.transform, value)
        return found if self.low <= found <= self.high else None


def axis_of(row: Mapping[str, Any], name: str) -> PlotAxis | None:
    """Axis x or y of a row of `densities`; None where it is a histogram's y."""
    if row[f"{name}_bins"] is None:
        return None
    scale = str(row[f"{name}_scale"])
    parameters = json.loads(row[f"{name}_parameters"] or "{}")
    return PlotAxis(
        label=_label(row, name),
        scale=scale,
        transform=_transform(scale, parameters),
        low=float(row[f"{name}_first_edge"]),
        high=float(row[f"{name}_last_edge"]),
        n_bins=int(row[f"{name}_bins"]),
    )


def _transform(scale: str, parameters: dict[str, Any]) -> Transform | None:
    if not parameters:
        return None
    if scale == "biex":
        parameters = {**parameters, "length": int(parameters["length"])}
    return _TRANSFORMS[scale](**parameters)


def _label(row: Mapping[str, Any], name: str) -> str:
    """The role, and the detector as flow software writes it; compensated ones as Comp-…."""
    channel, detector = str(row[f"{name}_channel"]), row[f"{name}_detector"]
    written = None if detector is None else str(detector)
    if written is not None and row[f"{name}_compensated"]:
        written = f"Comp-{written}"
    label = channel if written in (None, channel) else f"{channel} · {written}"
    divisor = row[f"{name}_divisor"]
    return label if divisor is None else f"{label} / {divisor}"


def ticks_of(axis: PlotAxis) -> Ticks:
    """Marks of an axis."""
    if axis.scale == "log10":
        return _decades(axis)
    if axis.transform is None or isinstance(axis.transform, Linear):
        return _even(axis)
    return _powers(axis)


def power_text(power: int, *, negative: bool = False) -> str:
    """10³, −10²: as axes label decades."""
    return f"{'−' if negative else ''}10{str(power).translate(_SUPERSCRIPTS)}"


def _even(axis: PlotAxis) -> Ticks:
    """Round numbers at equal distances, in thousands and millions."""
    values = _inverse_ends(axis)
    step = _round_step((values[1] - values[0]) / 5)
    first = math.ceil(values[0] / step)
    numbers = [step * k for k in range(first, math.floor(values[1] / step) + 1)]
    places = [n if axis.transform is None else float(_at(axis.transform, n)) for n in numbers]
    return Ticks(tuple(places), tuple(_short(n) for n in numbers))


def _inverse_ends(axis: PlotAxis) -> tuple[float, float]:
    if isinstance(axis.transform, Linear):
        span = axis.transform.top + axis.transform.additional
        return tuple(end * span - axis.transform.additional for end in axis.edges)  # type: ignore[return-value]
    return axis.edges


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below."""
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def _short(number: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "K")):
        if abs(number) >= size:
            return f"{number / size:g}{letter}".replace("-", "−")
    return f"{number:g}".replace("-", "−")


def _decades(axis: PlotAxis) -> Ticks:
    """Of an axis in decades."""
    powers = range(math.ceil(axis.low - 1e-9), math.floor(axis.high + 1e-9) + 1)
    between = [
        (power + math.log10(m), m * 10.0**power)
        for power in range(math.floor(axis.low), math.ceil(axis.high) + 1)
        for m in range(2, 10)
        if axis.low <= power + math.log10(m) <= axis.high
    ]
    minor = tuple(place for place, _ in between)
    if len(powers) >= 3:
        return Ticks(tuple(map(float, powers)), tuple(map(power_text, powers)), minor)
    # of few decades 2 and 5 are written too
    marks = [(float(power), 10.0**power) for power in powers]
    marks += [pair for pair in between if f"{pair[1]:e}"[0] in "25"]
    marks.sort()
    return Ticks(tuple(p for p, _ in marks), tuple(_short(v) for _, v in marks), minor)


def _powers(axis: PlotAxis) -> Ticks:
    """Zero, powers of ten and their negatives, as far as labels do not touch; 2 to 9 between."""
    transform = axis.transform
    assert transform is not None
    span = axis.high - axis.low
    wanted = [(0.0, "0")]
    wanted += [(10.0**p, power_text(p)) for p in range(_MAX_POWER, -1, -1)]
    wanted += [(-(10.0**p), power_text(p, negative=True)) for p in range(_MAX_POWER, -1, -1)]
    places: list[float] = []
    labels: list[str] = []
    for value, label in wanted:
        place = _at(transform, value)
        inside = axis.low <= place <= axis.high and _is_reached(transform, value, place)
        if inside and all(abs(place - other) >= _APART * span for other in places):
            places.append(place)
            labels.append(label)
    minor = [
        place
        for sign in (1.0, -1.0)
        for power in range(_MAX_POWER)
        for m in range(2, 10)
        if axis.low < (place := _at(transform, sign * m * 10.0**power)) < axis.high
    ]
    return Ticks(tuple(places), tuple(labels), _thinned(minor, span))


def _is_reached(transform: Transform, value: float, place: float) -> bool:
    """Whether a place stands for a value: FlowJo's scale shows all beyond its ends at the ends."""
    from cytosepsis.transform_values import inverse  # noqa: PLC0415  (brings the compiler)

    back = float(inverse(transform, np.array([place]))[0])
    return abs(back - value) <= 0.01 * abs(value) + 1e-6


def _thinned(minor: list[float], span: float) -> tuple[float, ...]:
    """Marks that are not a smear: around zero a logicle scale crowds them."""
    kept: list[float] = []
    for place in sorted(minor):
        if not kept or place - kept[-1] >= 0.004 * span:
            kept.append(place)
    return tuple(kept)


def _at(transform: Transform, value: float) -> float:
    from cytosepsis.transform_values import apply  # noqa: PLC0415  (brings the compiler)

    return float(apply(transform, np.array([value]))[0])
