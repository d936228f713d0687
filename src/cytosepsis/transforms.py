"""Frozen transform types with the parameters of Gating-ML 2.0 (biex and FlowJo's log: FlowJo's).

A transform maps linear, compensated intensities to the axis on which a gate was drawn. The numbers
are computed in `kernels.transforms`; this module names, checks and lowers them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import GatingError
from cytosepsis.kernels import transforms as kt


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
    """A transform as the kernels take it: a kind, a row of numbers, a table (biex only)."""

    kind: int
    numbers: tuple[float, ...]
    table: tuple[float, ...] = ()


def lower(transform: Transform | None) -> Lowered:
    """Work out the numbers that the kernels need; GatingError where the parameters are invalid."""
    if transform is None:
        return Lowered(kt.NONE, (0.0,) * kt.N_NUMBERS)
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
            return _row(transform, kt.LOGICLE, *_logicle_numbers(transform))
        case Hyperlog():
            return _row(transform, kt.HYPERLOG, *_hyperlog_numbers(transform))
        case Biex():
            return _row(transform, kt.TABLE, table=_biex_table(transform))


def _row(
    transform: Transform, kind: int, *numbers: float, table: tuple[float, ...] = ()
) -> Lowered:
    low = -math.inf if transform.bound_min is None else transform.bound_min
    high = math.inf if transform.bound_max is None else transform.bound_max
    row = [*numbers, *(0.0,) * (kt.N_NUMBERS - len(numbers))]
    row[kt.BOUND_MIN], row[kt.BOUND_MAX] = low, high
    return Lowered(kind, tuple(row), table)


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


def _biex_table(t: Biex) -> tuple[float, ...]:
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
    return tuple(table.tolist())


def check(transform: Transform) -> None:
    """Refuse parameters outside what the standard allows, with the rule that is broken."""
    name = type(transform).__name__.lower()
    rules: list[tuple[bool, str]] = []
    match transform:
        case Linear(top, additional):
            rules = [(top > 0, "T > 0"), (0 <= additional <= top, "0 ≤ A ≤ T")]
        case Log(top, decades):
            rules = [(top > 0, "T > 0"), (decades > 0, "M > 0")]
        case Asinh(top, decades, additional):
            rules = [
                (top > 0, "T > 0"),
                (decades > 0, "M > 0"),
                (0 <= additional <= decades, "0 ≤ A ≤ M"),
            ]
        case OffsetLog(offset, decades):
            rules = [(offset > 0, "offset > 0"), (decades > 0, "decades > 0")]
        case Biex():
            rules = [
                (transform.width < -1.0, "width < -1"),
                (transform.positive > 0, "pos > 0"),
                (transform.negative >= 0, "neg ≥ 0"),
                (transform.max_range > 0, "maxRange > 0"),
                (transform.length >= 16, "length ≥ 16"),
            ]
        case Logicle() | Hyperlog():
            t, w, m, a = transform.top, transform.width, transform.decades, transform.additional
            rules = [
                (t > 0, "T > 0"),
                (m > 0, "M > 0"),
                (0 <= w <= m / 2, "0 ≤ W ≤ M / 2"),
                (-w <= a <= m - 2 * w, "-W ≤ A ≤ M - 2 W"),
            ]
            if isinstance(transform, Hyperlog):
                rules.append((w > 0, "W > 0"))
    finite = all(
        math.isfinite(value)
        for field in fields(transform)
        if (value := getattr(transform, field.name)) is not None
    )
    broken = [rule for holds, rule in rules if not holds] + ([] if finite else ["finite numbers"])
    low, high = transform.bound_min, transform.bound_max
    if low is not None and high is not None and not low < high:
        broken.append("boundMin < boundMax")
    if broken:
        raise GatingError(f"{name} transform wants {', '.join(broken)}; found {transform}")


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
    return lowered.kind, np.array(lowered.numbers), np.array(lowered.table or (0.0,))
