"""Transforms of one value and of many, driven by a kind and a row of numbers.

Every transform is written around the point where it crosses zero, so that nothing cancels there:
logicle as P·(expm1(bu) - (b/d)²·expm1(-du)) with u = y - x₁, which is Moore & Parks' biexponential
with its constant eliminated (the condition that its second derivative vanishes at x₁ fixes the
ratio of the two exponentials). Its root is found by Newton's method with a third-order correction
from a start that is never too small, which on a convex increasing function cannot overshoot.

Most values start instead from a table of roots at the doubles whose mantissa has seven bits,
interpolated: from there, off by less than 1e-5, one step with its cubic convergence is enough.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import borrowing

Floats = NDArray[np.float64]

NONE = -1
LINEAR = 0
LOG = 1
ASINH = 2
LOGICLE = 3
HYPERLOG = 4
TABLE = 5
OFFSET_LOG = 6

# Columns of a row of numbers; 0 to 5 belong to the kind.
N_NUMBERS = 9
BOUND_MIN = 6
BOUND_MAX = 7
SLACK = 8  # of a logicle: how far the table's interpolation may be from its root

# The table of logicle roots: from 2⁻⁶ to 2⁴⁰, 128 to an octave.
KEPT_BITS = 7
SHIFT = 52 - KEPT_BITS
FRACTION = (1 << SHIFT) - 1
FIRST_CELL = (1023 - 6) << KEPT_BITS  # the bits of 2⁻⁶ as a double, shifted
N_CELLS = (46 << KEPT_BITS) + 1


@borrowing
def logicle_root(
    value: float, scale: float, b: float, d: float, ratio: float, slope: float
) -> float:
    """u ≥ 0 with scale·(expm1(b·u) - ratio·expm1(-d·u)) = value, for value > 0."""
    if value > 1e200 * scale:  # the rest of the function no longer counts, and would overflow
        return (math.log(value) - math.log(scale)) / b
    u = min(value / slope, math.log1p(value / scale) / b)
    for _ in range(40):
        rise = math.expm1(b * u)
        fall = math.expm1(-d * u)
        excess = scale * (rise - ratio * fall) - value
        first = scale * (b * (rise + 1.0) + d * ratio * (fall + 1.0))
        second = scale * b * b * (rise - fall)
        step = excess / first
        step = step / (1.0 - 0.5 * step * second / first)
        u -= step
        if abs(step) <= 4e-16 * max(u, 1e-3):
            break
    return u


@borrowing
def logicle_roots(
    scale: float, b: float, d: float, ratio: float, slope: float, out: Floats
) -> None:
    """Fill the table of roots, out (N_CELLS,)."""
    for cell in range(N_CELLS):
        out[cell] = logicle_root(value_in(cell, 0.0), scale, b, d, ratio, slope)


@borrowing
def value_in(cell: int, share: float) -> float:
    """The value at a share of a cell of the table."""
    octave = cell >> KEPT_BITS
    part = cell - (octave << KEPT_BITS) + share
    return (1.0 + part / (1 << KEPT_BITS)) * 2.0 ** (octave - 6)


@borrowing
def table_gap(scale: float, b: float, d: float, ratio: float, slope: float, table: Floats) -> float:
    """How far interpolation in the table of roots may be from the root, anywhere in it.

    The function is convex, its root concave; so is what the root has over the chord of a cell, and
    a concave function that is zero at both ends is nowhere more than twice what it is midway.
    """
    gap = 0.0
    for cell in range(N_CELLS - 1):
        root = logicle_root(value_in(cell, 0.5), scale, b, d, ratio, slope)
        gap = max(gap, root - 0.5 * (table[cell] + table[cell + 1]))
    return 2.0 * gap + 1e-12  # rounding, and what the exact transform is off by


@borrowing
def rough_root(value: float, table: Floats) -> float:
    """Root of a value > 0 by interpolation in the table; -1 where it does not reach, and of NaN."""
    bits = np.float64(value).view(np.int64)
    cell = (bits >> SHIFT) - FIRST_CELL
    if cell < 0 or cell >= N_CELLS - 1:
        return -1.0
    part = (bits & FRACTION) * (1.0 / (FRACTION + 1))
    return table[cell] + part * (table[cell + 1] - table[cell])


@borrowing
def guess_many(kind: int, numbers: Floats, table: Floats, values: Floats, out: Floats) -> float:
    """Transform (n,) values roughly into out (n,), which may be the values themselves.

    No result is further from the transformed value than the number that is returned; 0: exact.
    """
    if kind != LOGICLE:
        transform_many(kind, numbers, table, values, out)
        return 0.0
    zero, low, high = numbers[4], numbers[BOUND_MIN], numbers[BOUND_MAX]
    for i in range(len(values)):
        value = values[i]
        u = rough_root(abs(value), table)
        if u < 0.0:  # near zero, immense, or no number
            out[i] = transform_value(kind, numbers, table, value)
            continue
        result = zero + u if value > 0.0 else zero - u
        out[i] = min(max(result, low), high)
    return numbers[SLACK]


@borrowing
def logicle_root_near(value: float, numbers: Floats, table: Floats) -> float:
    """Like `logicle_root`, from the table where it reaches; within 3e-16 of it."""
    scale, b, d, ratio = numbers[0], numbers[1], numbers[2], numbers[3]
    u = rough_root(value, table)
    if u < 0.0:
        return logicle_root(value, scale, b, d, ratio, numbers[5])
    rise = math.exp(b * u)
    fall = math.exp(-d * u)
    excess = scale * ((rise - 1.0) - ratio * (fall - 1.0)) - value
    first = scale * (b * rise + d * ratio * fall)
    second = scale * b * b * (rise - fall)
    step = excess / first
    return u - step / (1.0 - 0.5 * step * second / first)


@borrowing
def hyperlog_root(value: float, scale: float, b: float, c: float) -> float:
    """u ≥ 0 with scale·expm1(b·u) + c·u = value, for value > 0."""
    if value > 1e200 * scale:
        return (math.log(value) - math.log(scale)) / b
    u = min(value / (scale * b + c), math.log1p(value / scale) / b)
    for _ in range(40):
        rise = math.expm1(b * u)
        excess = scale * rise + c * u - value
        first = scale * b * (rise + 1.0) + c
        second = scale * b * b * (rise + 1.0)
        step = excess / first
        step = step / (1.0 - 0.5 * step * second / first)
        u -= step
        if abs(step) <= 4e-16 * max(u, 1e-3):
            break
    return u


@borrowing
def table_value(table: Floats, value: float) -> float:
    """Linear interpolation of the row number in an increasing table; its ends beyond it."""
    last = len(table) - 1
    if value <= table[0]:
        return 0.0
    if value >= table[last]:
        return float(last)
    low = 0
    high = last
    while high - low > 1:
        middle = (low + high) // 2
        if table[middle] < value:
            low = middle
        else:
            high = middle
    return low + (value - table[low]) / (table[high] - table[low])


@borrowing
def unbounded_value(kind: int, numbers: Floats, table: Floats, value: float) -> float:
    """Transform one value, bounds of the transform not yet applied; NaN gives NaN, ±inf ±inf."""
    if kind == LINEAR:
        return (value + numbers[0]) / numbers[1]
    if kind == LOG:
        if value == 0.0:
            return -np.inf
        if value < 0.0:
            return np.nan
        ratio = value / numbers[0]
        if ratio < 1e-300 or ratio > 1e300:  # the quotient leaves the range of doubles
            return numbers[1] * (math.log10(value) - math.log10(numbers[0])) + 1.0
        return numbers[1] * math.log10(ratio) + 1.0
    if kind == ASINH:
        return (math.asinh(value * numbers[0]) + numbers[1]) / numbers[2]
    if kind == OFFSET_LOG:
        return numbers[1] * (math.log10(max(value, numbers[0])) - numbers[2])
    if kind == TABLE:
        return table_value(table, value)
    # logicle and hyperlog: mirrored at the zero crossing numbers[4]
    if math.isinf(value):
        return value
    if value == 0.0:
        return numbers[4]
    size = abs(value)
    if kind == LOGICLE:
        u = logicle_root_near(size, numbers, table)
    else:
        u = hyperlog_root(size, numbers[0], numbers[1], numbers[2])
    return numbers[4] + u if value > 0.0 else numbers[4] - u


@borrowing
def transform_value(kind: int, numbers: Floats, table: Floats, value: float) -> float:
    """Transform one value; results beyond the transform's bounds are set to the bound.

    Gating-ML 2.0, 6.7: bounds are part of the transform. NaN gives NaN.
    """
    if math.isnan(value):
        return value
    if kind == NONE:
        return value
    result = unbounded_value(kind, numbers, table, value)
    if result < numbers[BOUND_MIN]:
        return numbers[BOUND_MIN]
    if result > numbers[BOUND_MAX]:
        return numbers[BOUND_MAX]
    return result


@borrowing
def transform_many(kind: int, numbers: Floats, table: Floats, values: Floats, out: Floats) -> None:
    """Transform (n,) values into out (n,), which may be the values themselves."""
    if kind == LOGICLE:  # the frequent kind, with its choices outside the loop
        zero, low, high = numbers[4], numbers[BOUND_MIN], numbers[BOUND_MAX]
        for i in range(len(values)):
            value = values[i]
            size = abs(value)
            if not (0.0 < size < np.inf):
                out[i] = transform_value(kind, numbers, table, value)
                continue
            u = logicle_root_near(size, numbers, table)
            result = zero + u if value > 0.0 else zero - u
            out[i] = min(max(result, low), high)
        return
    for i in range(len(values)):
        out[i] = transform_value(kind, numbers, table, values[i])


@borrowing
def inverse_value(kind: int, numbers: Floats, table: Floats, value: float) -> float:
    """The linear value that a transformed one comes from; bounds are not undone."""
    if kind == NONE:
        return value
    if kind == LINEAR:
        return value * numbers[1] - numbers[0]
    if kind == LOG:
        return numbers[0] * 10.0 ** ((value - 1.0) / numbers[1])
    if kind == ASINH:
        return np.sinh(value * numbers[2] - numbers[1]) / numbers[0]
    if kind == OFFSET_LOG:
        return 10.0 ** (value / numbers[1] + numbers[2])
    if kind == TABLE:
        last = len(table) - 1
        place = min(max(value, 0.0), float(last))
        low = min(int(place), last - 1)
        return table[low] + (place - low) * (table[low + 1] - table[low])
    u = abs(value - numbers[4])
    if kind == LOGICLE:
        size = numbers[0] * (np.expm1(numbers[1] * u) - numbers[3] * np.expm1(-numbers[2] * u))
    else:
        size = numbers[0] * np.expm1(numbers[1] * u) + numbers[2] * u
    return size if value >= numbers[4] else -size


@borrowing
def inverse_many(kind: int, numbers: Floats, table: Floats, values: Floats, out: Floats) -> None:
    """Linear values of (n,) transformed ones, into out (n,)."""
    for i in range(len(values)):
        out[i] = inverse_value(kind, numbers, table, values[i])
