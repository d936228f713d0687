"""Values on a transform's scale, and back: its parameters lowered to the numbers of the kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import transforms as kt
from cytosepsis.transforms import (
    Asinh,
    Biex,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    OffsetLog,
    Transform,
    check,
)


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
            slack = kt.table_gap(scale, b, d, ratio, slope, roots)
            return _row(transform, kt.LOGICLE, *numbers, table=roots, slack=slack)
        case Hyperlog():
            return _row(transform, kt.HYPERLOG, *_hyperlog_numbers(transform))
        case Biex():
            return _row(transform, kt.TABLE, table=_biex_table(transform))


def _row(
    transform: Transform,
    kind: int,
    *numbers: float,
    table: NDArray[np.float64] | None = None,
    slack: float = 0.0,
) -> Lowered:
    low = -math.inf if transform.bound_min is None else transform.bound_min
    high = math.inf if transform.bound_max is None else transform.bound_max
    row = [*numbers, *(0.0,) * (kt.N_NUMBERS - len(numbers))]
    row[kt.BOUND_MIN], row[kt.BOUND_MAX], row[kt.SLACK] = low, high, slack
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
