"""Frozen transform types with the parameters of Gating-ML 2.0 (biex and FlowJo's log: FlowJo's).

A transform maps linear, compensated intensities to the axis on which a gate was drawn. This module
names and checks them; `transform_values` computes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

from cytosepsis.errors import GatingError

MAX_BIEX_LENGTH = 1 << 20  # rows of a table that is computed per plan; FlowJo's have 256 to 4096


@dataclass(frozen=True, slots=True)
class Linear:
    """(x + A) / (T + A): maps [-A, T] to [0, 1]. Gating-ML 2.0, 6.1."""

    top: float
    additional: float = 0.0
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """log10(x / T) / M + 1; NaN below zero. Gating-ML 2.0, 6.2."""

    top: float
    decades: float
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Asinh:
    """(asinh(x · sinh(M ln 10) / T) + A ln 10) / ((M + A) ln 10). Gating-ML 2.0, 6.3."""

    top: float
    decades: float
    additional: float = 0.0
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Logicle:
    """Root y of a·e^(by) - c·e^(-dy) - f = x. Moore & Parks 2012, 10.1002/cyto.a.22030."""

    top: float
    width: float
    decades: float
    additional: float = 0.0
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Hyperlog:
    """Root y of a·e^(by) + cy - f = x. Bagwell 2005, 10.1002/cyto.a.20114; Gating-ML 2.0, 6.5."""

    top: float
    width: float
    decades: float
    additional: float = 0.0
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Biex:
    """FlowJo's biexponential: linear interpolation in a table of `length` + 1 rows.

    Values beyond the table take its first or last row. Parameters carry FlowJo's meaning and
    defaults: `negative` extra decades, `width` basis (negative), `positive` decades, `max_range`.
    The scale runs from 0 to `length`.
    """

    negative: float = 0.0
    width: float = -10.0
    positive: float = 4.418540
    max_range: float = 262144.000029
    length: int = 4096
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class OffsetLog:
    """FlowJo 10's logarithm: log10(max(x, offset) / offset) / decades."""

    offset: float
    decades: float
    bound_min: float | None = None
    bound_max: float | None = None


Transform = Linear | Log | Asinh | Logicle | Hyperlog | Biex | OffsetLog


def transform_faults(transform: Transform) -> Iterator[str]:
    """Name each limit that a parameter breaks, under the standard's letters; none for a sound one.

    Where a parameter is not a finite number, only that is named: the other limits compare it.
    """
    names = [field.name for field in fields(transform)]
    unsound = [
        name
        for name in names
        if getattr(transform, name) is not None and not math.isfinite(getattr(transform, name))
    ]
    if unsound:
        yield f"{', '.join(unsound)} must be finite"
        return
    match transform:
        case Linear(top=t, additional=a):
            # The standard asks 0 <= A; a negative A is FlowJo's axis that starts above zero, and
            # any A above -T maps in the right direction.
            yield from _broken((t > 0, "T", t, "> 0"), (a > -t, "A", a, "> -T"))
        case Log(top=t, decades=m):
            yield from _broken((t > 0, "T", t, "> 0"), (m > 0, "M", m, "> 0"))
        case Asinh(top=t, decades=m, additional=a):
            yield from _broken(
                (t > 0, "T", t, "> 0"), (m > 0, "M", m, "> 0"), (0 <= a <= m, "A", a, "0 to M")
            )
        case Logicle(top=t, width=w, decades=m, additional=a):
            yield from _broken((w >= 0, "W", w, ">= 0"), *_two_sided(t, w, m, a))
        case Hyperlog(top=t, width=w, decades=m, additional=a):
            yield from _broken((w > 0, "W", w, "> 0"), *_two_sided(t, w, m, a))
        case Biex():
            yield from _biex_faults(transform)
        case OffsetLog(offset=offset, decades=decades):
            yield from _broken(
                (offset > 0, "offset", offset, "> 0"), (decades > 0, "decades", decades, "> 0")
            )
    low, high = transform.bound_min, transform.bound_max
    if low is not None and high is not None and not low < high:
        yield f"boundMin {low:g} must be less than boundMax {high:g}"


Limit = tuple[bool, str, float, str]


def _two_sided(t: float, w: float, m: float, a: float) -> tuple[Limit, ...]:
    """Limits that logicle and hyperlog share; Gating-ML 2.0, 6.4 and 6.5."""
    return (
        (t > 0, "T", t, "> 0"),
        (m > 0, "M", m, "> 0"),
        (2 * w <= m, "W", w, "at most M / 2"),
        (-w <= a <= m - 2 * w, "A", a, "-W to M - 2 W"),
    )


def _biex_faults(biex: Biex) -> Iterator[str]:
    width = biex.width
    whole = isinstance(biex.length, int) and 2 <= biex.length <= MAX_BIEX_LENGTH
    yield from _broken(
        (biex.max_range > 0, "maxRange", biex.max_range, "> 0"),
        (biex.negative >= 0, "neg", biex.negative, ">= 0"),
        (width <= -1, "width", width, "at most -1"),
        (whole, "length", biex.length, f"a whole number from 2 to {MAX_BIEX_LENGTH}"),
    )
    if width <= -1 and not biex.positive > math.log10(-width) / 2:
        yield f"pos is {biex.positive:g}, must be > log10(-width) / 2"


def _broken(*limits: Limit) -> Iterator[str]:
    for holds, name, found, wanted in limits:
        if not holds:
            yield f"{name} is {found:g}, must be {wanted}"


def check(transform: Transform) -> None:
    """Refuse parameters outside what the standard allows, naming each limit that is broken."""
    faults = "; ".join(transform_faults(transform))
    if faults:
        raise GatingError(f"{transform}: {faults}")
