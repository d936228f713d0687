"""Frozen transform types with the parameters of Gating-ML 2.0 (biex and FlowJo's log: FlowJo's).

A transform maps linear, compensated intensities to the axis on which a gate was drawn. The numbers
are computed in `kernels.transforms`; this module names, checks and lowers them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import GatingError
from cytosepsis.kernels import transforms as kt

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


@dataclass(frozen=True, slots=True)
class Lowered:
    """A transform as the kernels take it: a kind, a row of numbers, a table (biex and logicle)."""

    kind: int
    numbers: tuple[float, ...]
    table: NDArray[np.float64]  # one zero where the kind needs none


@lru_cache(maxsize=256)
def lower(transform: Transform | None) -> Lowered:
    """Work out the numbers that the kernels need; GatingError where the parameters are invalid."""
    if transform is None:
        return Lowered(kt.NONE, (0.0,) * kt.N_NUMBERS, np.zeros(1))
    check(transform)
    match transform:
        case Linear():
            return _row(
                transform, kt.LINEAR, transform.additional, transform.top + transform.additional
            )
        case Log():
            return _row(transform, kt.LOG, transform.top, 1.0 / transform.decades)
        case Asinh():
            ln10 = math.log(10.0)
            return _row(
                transform,
                kt.ASINH,
                math.sinh(transform.decades * ln10) / transform.top,
                transform.additional * ln10,
                (transform.decades + transform.additional) * ln10,
            )
        case OffsetLog():
            return _row(
                transform,
                kt.OFFSET_LOG,
                transform.offset,
                1.0 / transform.decades,
                math.log10(transform.offset),
            )
        case Logicle():
            numbers = _logicle_numbers(transform)
            scale, b, d, ratio, _, slope = numbers
            roots = np.empty(kt.N_CELLS)
            kt.logicle_roots(scale, b, d, ratio, slope, roots)
            row = _row(transform, kt.LOGICLE, *numbers, table=roots)
            gap = kt.table_gap(scale, b, d, ratio, slope, roots)
            return replace(row, numbers=(*row.numbers[: kt.SLACK], gap))
        case Hyperlog():
            return _row(transform, kt.HYPERLOG, *_hyperlog_numbers(transform))
        case Biex():
            return _row(transform, kt.TABLE, table=_biex_table(transform))


def _row(
    transform: Transform, kind: int, *numbers: float, table: NDArray[np.float64] | None = None
) -> Lowered:
    low = -math.inf if transform.bound_min is None else transform.bound_min
    high = math.inf if transform.bound_max is None else transform.bound_max
    row = [*numbers, *(0.0,) * (kt.N_NUMBERS - len(numbers))]
    row[kt.BOUND_MIN], row[kt.BOUND_MAX] = low, high
    return Lowered(kind, tuple(row), np.zeros(1) if table is None else table)


def _logicle_numbers(t: Logicle) -> tuple[float, ...]:
    """scale, b, d, (b/d)², zero crossing, slope there. Moore & Parks 2012, equations 6 to 13."""
    span = t.decades + t.additional
    width = t.width / span
    b = span * math.log(10.0)
    d = _logicle_d(b, width)
    zero = t.additional / span + width
    ratio = (b / d) ** 2
    u = 1.0 - zero
    scale = t.top / (math.expm1(b * u) - ratio * math.expm1(-d * u))
    return scale, b, d, ratio, zero, scale * (b + d * ratio)


def _logicle_d(b: float, width: float) -> float:
    """Root d of 2 (ln d - ln b) + width (b + d) = 0, between 0 and b; increasing in d."""
    if width == 0.0:
        return b
    d = b * math.exp(-width * b)  # from here Newton's steps on the concave function only rise
    for _ in range(200):
        step = (2.0 * math.log(d / b) + width * (b + d)) / (2.0 / d + width)
        following = d - step
        if following <= 0.0:
            following = d / 2.0
        if abs(following - d) <= 1e-16 * d:
            break
        d = following
    return d


def _hyperlog_numbers(t: Hyperlog) -> tuple[float, ...]:
    """scale, b, linear coefficient, (unused), zero crossing. Gating-ML 2.0, 6.5."""
    span = t.decades + t.additional
    width = t.width / span
    b = span * math.log(10.0)
    zero = t.additional / span + width
    # relative to a: a·e^(b·zero)·expm1(b·u) + c·u with c = a·e^(b·(zero + width)) / width
    rise = math.exp(b * zero)
    c = math.exp(b * (zero + width)) / width
    u = 1.0 - zero
    a = t.top / (rise * math.expm1(b * u) + c * u)
    return a * rise, b, a * c, 0.0, zero


def _biex_table(t: Biex) -> NDArray[np.float64]:
    """FlowJo's table: the linear value of each of `length` + 1 display channels.

    Built as FlowJo builds it (a logicle with rounded zero channel), so that its gates find the
    same cells: the zero crossing falls on a whole channel.
    """
    basis = math.log10(-t.width)
    positive = t.positive - basis / 2.0
    extra = max(t.negative, 0.0) + basis / 2.0
    zero = int(min(int(extra * t.length / (extra + positive)), t.length / 2))
    if zero > 0:
        positive = extra * t.length / zero
    basis = basis / (2.0 * positive)
    rise = math.log(10.0) * positive
    lowest = t.max_range / math.exp(rise)
    fall = _logicle_d(rise, basis)
    place = np.arange(t.length + 1) / (t.length + 1)
    values = np.exp(place * rise)
    shift = math.exp((rise + fall) * (basis + extra / positive))
    mirrored = np.exp(place * -fall) * shift
    offset = values[zero] - mirrored[zero]
    table = lowest * (values - mirrored - offset)
    table[:zero] = -table[2 * zero - np.arange(zero)]
    return np.ascontiguousarray(table)


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


def apply(transform: Transform | None, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transform linear values, shape kept. NaN gives NaN; a logarithm of a negative value NaN."""
    flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
    out = np.empty_like(flat)
    kt.transform_many(*arrays(transform), flat, out)
    return out.reshape(np.shape(values))


def inverse(transform: Transform | None, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear values of transformed ones, shape kept; the transform's bounds are not undone."""
    flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
    out = np.empty_like(flat)
    kt.inverse_many(*arrays(transform), flat, out)
    return out.reshape(np.shape(values))


def arrays(transform: Transform | None) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """A lowered transform as kernel arguments: kind, numbers (8,), table (one zero if none)."""
    lowered = lower(transform)
    return lowered.kind, np.array(lowered.numbers), lowered.table
