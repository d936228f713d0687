"""Where a gate lies, without its axes: what a data-driven gate found, or a reviewer gave.

The three forms are those of the fixed gates. As text a region is one JSON object:
`{"min": [0.52], "max": [null]}`, `{"vertices": [[x, y], …]}`, or
`{"mean": […], "covariance": [[…], […]], "distance_square": d}`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cytosepsis.errors import GatingError


@dataclass(frozen=True, slots=True)
class Bounds:
    """minimum ≤ value < maximum on every axis; None is open."""

    minimum: tuple[float | None, ...]
    maximum: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """A polygon, border included."""

    vertices: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Oval:
    """(v - mean)ᵀ covariance⁻¹ (v - mean) ≤ distance_square."""

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    distance_square: float


Region = Bounds | Outline | Oval


def region_text(region: Region) -> str:
    """Write a region as one JSON object; floats survive to the bit."""
    match region:
        case Bounds():
            value: dict[str, Any] = {"min": region.minimum, "max": region.maximum}
        case Outline():
            value = {"vertices": region.vertices}
        case Oval():
            value = {
                "mean": region.mean,
                "covariance": region.covariance,
                "distance_square": region.distance_square,
            }
    return json.dumps(value, separators=(",", ":"))


def read_region(text: str, n_axes: int | None = None) -> Region:
    """Read what `region_text` wrote, or a person; GatingError says what is wrong with it."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise GatingError(f"a region is one JSON object; {error}") from None
    if not isinstance(value, dict):
        raise GatingError(f"a region is one JSON object, found {text[:60]!r}")
    try:
        region = _region_of(value)
    except (TypeError, ValueError):
        raise GatingError(f"a region holds numbers, found {text[:60]!r}") from None
    faults = list(region_faults(region, _n_axes(region) if n_axes is None else n_axes))
    if faults:
        raise GatingError("; ".join(faults))
    return region


def _region_of(value: dict[str, Any]) -> Region:
    def numbers(values: Any) -> tuple[float, ...]:
        return tuple(float(number) for number in values)

    def limits(values: Any) -> tuple[float | None, ...]:
        return tuple(None if number is None else float(number) for number in values)

    match sorted(value):
        case ["max", "min"]:
            return Bounds(limits(value["min"]), limits(value["max"]))
        case ["vertices"]:
            return Outline(tuple((float(x), float(y)) for x, y in value["vertices"]))
        case ["covariance", "distance_square", "mean"]:
            return Oval(
                numbers(value["mean"]),
                tuple(numbers(row) for row in value["covariance"]),
                float(value["distance_square"]),
            )
        case keys:
            raise GatingError(
                "a region has `min` and `max`, or `vertices`, or `mean`, `covariance` and "
                f"`distance_square`; found {', '.join(keys) or 'nothing'}"
            )


def _n_axes(region: Region) -> int:
    match region:
        case Bounds():
            return len(region.minimum)
        case Outline():
            return 2
        case Oval():
            return len(region.mean)


def region_faults(region: Region, n_axes: int) -> Iterator[str]:
    """Say what makes a region none, on so many axes."""
    match region:
        case Bounds(minimum, maximum):
            yield from _bounds_faults(minimum, maximum, n_axes)
        case Outline(vertices):
            finite = all(math.isfinite(v) for vertex in vertices for v in vertex)
            if n_axes != 2:
                yield f"vertices lie on two axes, the gate has {n_axes}"
            if not finite or len(set(vertices)) < 3:
                yield "at least 3 different vertices of finite numbers are needed"
        case Oval(mean, covariance, square):
            rows = [len(row) for row in covariance]
            if len(mean) != n_axes or rows != [n_axes] * n_axes:
                yield f"mean and covariance are needed for {n_axes} axes"
            elif n_axes == 2 and not _is_positive(covariance):
                yield "covariance must be symmetric and positive definite"
            if not (math.isfinite(square) and square > 0):
                yield f"distance_square must be positive, found {square:g}"


def _bounds_faults(
    minimum: tuple[float | None, ...], maximum: tuple[float | None, ...], n_axes: int
) -> Iterator[str]:
    if not len(minimum) == len(maximum) == n_axes:
        yield f"{n_axes} minima and maxima are needed, found {len(minimum)} and {len(maximum)}"
        return
    for low, high in zip(minimum, maximum, strict=True):
        if not (-math.inf if low is None else low) < (math.inf if high is None else high):
            yield f"min {low} must be less than max {high}"
    if all(bound is None for bound in (*minimum, *maximum)):
        yield "no side is bounded"


def _is_positive(covariance: tuple[tuple[float, ...], ...]) -> bool:
    (xx, xy), (yx, yy) = covariance
    return xx > 0 and yy > 0 and math.isclose(xy, yx, rel_tol=1e-9) and xx * yy > xy * yx
