"""The oracle: every kernel again, slow and obvious, in plain Python. No numba, no cleverness."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

from cytosepsis.gating.plan import (
    Axis,
    Boolean,
    Ellipse,
    GatingPlan,
    Polygon,
    Ratio,
    Rectangle,
    path_of,
)
from cytosepsis.transforms import (
    Asinh,
    Biex,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    OffsetLog,
    Transform,
)

# --- decoding


def decoded(
    data: bytes, letter: str, order: str, n_columns: int, masks: Sequence[int] = ()
) -> list[list[float]]:
    """Rows of numbers from stored bytes: struct letter (f d B H I), byte order (< or >)."""
    size = struct.calcsize(letter)
    rows = []
    for start in range(0, len(data), size * n_columns):
        row = []
        for column in range(n_columns):
            (number,) = struct.unpack_from(order + letter, data, start + column * size)
            row.append(float(number & masks[column] if masks else number))
        rows.append(row)
    return rows


def unpacked(data: bytes, widths: Sequence[int], n_rows: int, big_endian: bool) -> list[list[int]]:
    """Rows of integers from one stream of bits, written out as 0s and 1s."""
    forms = [f"{byte:08b}" for byte in data]
    stream = "".join(forms if big_endian else (form[::-1] for form in forms))
    rows, place = [], 0
    for _ in range(n_rows):
        row = []
        for bits in widths:
            digits = stream[place : place + bits]
            row.append(int(digits if big_endian else digits[::-1], 2))
            place += bits
        rows.append(row)
    return rows


# --- transforms: the published formulas, in decimal numbers of 60 digits, roots by halving

DIGITS = 60


def transform(t: Transform, value: float) -> float:
    """Value on the transformed scale, correctly rounded for all that matters; bounds applied."""
    if math.isnan(value):
        return value
    with localcontext() as context:
        context.prec = DIGITS
        context.Emin, context.Emax = -999_999, 999_999
        result = _unbounded(t, value)
    if t.bound_min is not None and result < t.bound_min:
        return t.bound_min
    if t.bound_max is not None and result > t.bound_max:
        return t.bound_max
    return result


def _unbounded(t: Transform, value: float) -> float:
    if isinstance(t, Log):
        if value < 0:
            return math.nan
        if value == 0:
            return -math.inf
    if isinstance(t, OffsetLog):
        value = max(value, t.offset)
    if math.isinf(value) and not isinstance(t, Biex):
        return value
    x = Decimal(value) if math.isfinite(value) else value
    ln10 = Decimal(10).ln()
    match t:
        case Linear(T, A):
            return float((x + Decimal(A)) / (Decimal(T) + Decimal(A)))
        case Log(T, M):
            return float((x / Decimal(T)).log10() / Decimal(M) + 1)
        case OffsetLog(offset, decades):
            return float((x / Decimal(offset)).log10() / Decimal(decades))
        case Asinh(T, M, A):
            reach = Decimal(M) * ln10
            z = x * (reach.exp() - (-reach).exp()) / 2 / Decimal(T)
            size = (abs(z) + (z * z + 1).sqrt()).ln()
            return float(
                (size.copy_sign(z) + Decimal(A) * ln10) / ((Decimal(M) + Decimal(A)) * ln10)
            )
        case Logicle(T, W, M, A):
            curve, zero = biexponential(T, W, M, A)
        case Hyperlog(T, W, M, A):
            curve, zero = hyperlogarithm(T, W, M, A)
        case Biex():
            return interpolated(biex_table(t), value)
    return float(root_of(curve, zero, x))


def biexponential(
    T: float, W: float, M: float, A: float
) -> tuple[Callable[[Decimal], Decimal], Decimal]:
    """a·e^(by) - c·e^(-dy) - f and its zero x1 (Moore & Parks 2012, equations 6 to 13)."""
    top, width, decades, additional = (Decimal(number) for number in (T, W, M, A))
    b = (decades + additional) * Decimal(10).ln()
    w = width / (decades + additional)
    x2 = additional / (decades + additional)
    x1, x0 = x2 + w, x2 + 2 * w
    d = halved(lambda d: 2 * (d.ln() - b.ln()) + w * (b + d), b / Decimal(10) ** 30, b)
    c_a = (x0 * (b + d)).exp()
    f_a = (b * x1).exp() - c_a / (d * x1).exp()
    a = top / (b.exp() - f_a - c_a / d.exp())
    c, f = c_a * a, f_a * a
    return (lambda y: a * (b * y).exp() - c * (-d * y).exp() - f), x1


def hyperlogarithm(
    T: float, W: float, M: float, A: float
) -> tuple[Callable[[Decimal], Decimal], Decimal]:
    """a·e^(by) + c·y - f and its zero x1 (Gating-ML 2.0, 6.5)."""
    top, width, decades, additional = (Decimal(number) for number in (T, W, M, A))
    b = (decades + additional) * Decimal(10).ln()
    w = width / (decades + additional)
    x2 = additional / (decades + additional)
    x1, x0 = x2 + w, x2 + 2 * w
    e0 = (b * x0).exp()
    c_a = e0 / w
    f_a = (b * x1).exp() + c_a * x1
    a = top / (b.exp() + c_a - f_a)
    c, f = c_a * a, f_a * a
    return (lambda y: a * (b * y).exp() + c * y - f), x1


def root_of(curve: Callable[[Decimal], Decimal], zero: Decimal, x: Decimal) -> Decimal:
    """y where the curve, mirrored at its zero, is x."""
    size = abs(x)
    high = Decimal(1)
    while curve(zero + high) < size:
        high *= 2
    u = halved(lambda u: curve(zero + u) - size, Decimal(0), high)
    return zero + u.copy_sign(x)


def halved(function: Callable[[Decimal], Decimal], low: Decimal, high: Decimal) -> Decimal:
    """Root of an increasing function between low and high, to about 36 digits."""
    for _ in range(120):
        middle = (low + high) / 2
        if function(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def biex_table(t: Biex) -> list[float]:
    """FlowJo's table as FlowUtils builds it (`xforms.generate_biex_lut`), number by number."""
    basis = math.log10(abs(t.width))
    decades = t.positive - basis / 2
    extra = max(t.negative, 0.0) + basis / 2
    zero = min(int(extra * t.length / (extra + decades)), t.length // 2)
    if zero > 0:
        decades = extra * t.length / zero
    basis = basis / (2 * decades)
    b = math.log(10) * decades
    with localcontext() as context:
        context.prec = 30
        w, rise = Decimal(basis), Decimal(b)
        fall = halved(lambda d: 2 * (d / rise).ln() + w * (rise + d), rise / 10**30, rise)
        d = float(fall) if basis else b
    lowest = t.max_range / math.exp(b)
    shift = math.exp((b + d) * (basis + extra / decades))

    def value(row: int) -> float:
        place = row / (t.length + 1)
        return math.exp(place * b) - math.exp(-d * place) * shift

    offset = value(zero)
    return [
        lowest * (value(row) - offset)
        if row >= zero
        else -lowest * (value(2 * zero - row) - offset)
        for row in range(t.length + 1)
    ]


def interpolated(table: Sequence[float], value: float) -> float:
    """Row number of a value in an increasing table, by straight lines; its ends beyond it."""
    if value <= table[0]:
        return 0.0
    if value >= table[-1]:
        return float(len(table) - 1)
    row = max(k for k in range(len(table)) if table[k] < value)
    return row + (value - table[row]) / (table[row + 1] - table[row])


# --- regions


def in_polygon(vertices: Sequence[Sequence[float]], x: float, y: float) -> bool:
    """Even-odd rule in exact fractions, border inside; nothing that is not finite lies inside."""
    if not (math.isfinite(x) and math.isfinite(y)):
        return False
    px, py = Fraction(x), Fraction(y)
    corners = [(Fraction(vx), Fraction(vy)) for vx, vy in vertices]
    inside = False
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        cross = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
        if cross == 0 and min(ax, bx) <= px <= max(ax, bx) and min(ay, by) <= py <= max(ay, by):
            return True
        if (ay > py) != (by > py) and px < ax + (py - ay) * (bx - ax) / (by - ay):
            inside = not inside
    return inside


def in_interval(low: float | None, high: float | None, value: float) -> bool:
    """low ≤ value < high; None is open, NaN is in no interval."""
    if math.isnan(value):
        return False
    return (low is None or value >= low) and (high is None or value < high)


def in_ellipse(
    mean: Sequence[float],
    precision: Sequence[Sequence[float]],
    distance_square: float,
    point: Sequence[float],
) -> bool:
    """(v - mean)ᵀ precision (v - mean) ≤ distance², summed row by row."""
    total = 0.0
    for r in range(len(mean)):
        row = 0.0
        for c in range(len(mean)):
            row += precision[r][c] * (point[c] - mean[c])
        total += row * (point[r] - mean[r])
    return total <= distance_square


def ellipse_distance(
    mean: Sequence[float], covariance: Sequence[Sequence[float]], point: Sequence[float]
) -> Fraction:
    """(v - mean)ᵀ covariance⁻¹ (v - mean), exactly (Cramer's rule, two dimensions)."""
    (a, b), (c, d) = ((Fraction(v) for v in row) for row in covariance)
    x, y = (Fraction(p) - Fraction(m) for p, m in zip(point, mean, strict=True))
    return (x * (d * x - b * y) + y * (a * y - c * x)) / (a * d - b * c)


# --- walk

Terms = tuple[tuple[int, float], ...]  # (column, weight) of every detector of an axis


def axis_value(terms: Terms, row: Sequence[float]) -> float:
    """A linear combination of an event's columns, from left to right."""
    column, weight = terms[0]
    total = row[column] * weight
    for column, weight in terms[1:]:
        total += row[column] * weight
    return total


def linear_value(axis: Axis, terms: Callable[[Axis], Terms], row: Sequence[float]) -> float:
    """Value of an axis before its transform: of a channel, or of one divided by another."""
    value = axis_value(terms(replace(axis, ratio=None)), row)
    if axis.ratio is None:
        return value
    divisor = replace(axis, channel=axis.ratio.divisor, ratio=None)
    return ratio(axis.ratio, value, axis_value(terms(divisor), row))


def ratio(r: Ratio, x: float, y: float) -> float:
    """fratio of Gating-ML 2.0, with IEEE's division by zero; bounds applied."""
    above, below = x - r.offset, y - r.divisor_offset
    if below != 0:
        value = r.factor * (above / below)
    elif above == 0 or math.isnan(above):
        value = math.nan
    else:
        value = r.factor * math.copysign(math.inf, above) * math.copysign(1.0, below)
    if r.bound_min is not None and value < r.bound_min:
        return r.bound_min
    if r.bound_max is not None and value > r.bound_max:
        return r.bound_max
    return value


def populations(
    plan: GatingPlan,
    events: Sequence[Sequence[float]],
    *,
    terms: Callable[[Axis], Terms],
    transformed: Callable[[Transform | None, float], float],
    precisions: Mapping[str, Sequence[Sequence[float]]],
) -> dict[str, list[bool]]:
    """Membership of every population, one event and one gate at a time.

    `precisions` holds the inverse covariance of each ellipse, by path.
    """
    members: dict[str, list[bool]] = {"root": [True] * len(events)}
    for gate in plan:
        found = []
        for number, row in enumerate(events):

            def value(axis: Axis, row: Sequence[float] = row) -> float:
                return transformed(axis.transform, linear_value(axis, terms, row))

            match gate:
                case Rectangle():
                    inside = all(
                        in_interval(low, high, value(axis))
                        for axis, low, high in zip(
                            gate.axes, gate.minimum, gate.maximum, strict=True
                        )
                    )
                case Polygon():
                    inside = in_polygon(gate.vertices, value(gate.x), value(gate.y))
                case Ellipse():
                    inside = in_ellipse(
                        gate.mean,
                        precisions[path_of(gate)],
                        gate.distance_square,
                        [value(axis) for axis in gate.axes],
                    )
                case Boolean():
                    held = [
                        members[operand.gate][number] != operand.complement
                        for operand in gate.operands
                    ]
                    inside = any(held) if gate.operator == "or" else all(held)
                    inside = not inside if gate.operator == "not" else inside
            found.append(members[gate.parent][number] and inside != gate.complement)
        members[path_of(gate)] = found
    return members


# --- density


def bin_counts(values, low, high, n_bins):
    counts = [0.0] * n_bins
    for value in values:
        if low <= value < high:
            counts[min(int((value - low) * (n_bins / (high - low))), n_bins - 1)] += 1.0
    return counts


def bin_counts_2d(x, y, x_low, x_high, y_low, y_high, n_x, n_y):
    grid = []
    for i in range(n_x):
        column = [
            b
            for a, b in zip(x, y, strict=True)
            if x_low <= a < x_high
            and min(int((a - x_low) * (n_x / (x_high - x_low))), n_x - 1) == i
        ]
        grid.append(bin_counts(column, y_low, y_high, n_y))
    return grid


def connected_regions(inside):
    """Labels of cells that touch: each cell takes the least label around it until none changes."""
    n_x, n_y = len(inside), len(inside[0])
    labels = [[1 + x * n_y + y if inside[x][y] else 0 for y in range(n_y)] for x in range(n_x)]
    changed = True
    while changed:
        changed = False
        for x in range(n_x):
            for y in range(n_y):
                around = [
                    labels[a][b]
                    for a in range(max(x - 1, 0), min(x + 2, n_x))
                    for b in range(max(y - 1, 0), min(y + 2, n_y))
                    if labels[a][b]
                ]
                if labels[x][y] and min(around) < labels[x][y]:
                    labels[x][y] = min(around)
                    changed = True
    names = sorted({label for row in labels for label in row if label})
    return [[1 + names.index(label) if label else 0 for label in row] for row in labels]


def spread_counts(ordered, low, high, n_bins, reach):
    width = (high - low) / n_bins
    different = sorted(set(ordered))
    counts = [0.0] * n_bins
    for place, value in enumerate(different):
        mass = sum(other == value for other in ordered)
        before = different[place - 1] if place else -math.inf
        after = different[place + 1] if place + 1 < len(different) else math.inf
        begin = value - min(reach, (value - before) / 2)
        end = value + min(reach, (after - value) / 2)
        for k in range(n_bins):
            overlap = min(end, low + (k + 1) * width) - max(begin, low + k * width)
            counts[k] += mass * max(0.0, overlap) / (end - begin)
    return counts


def smooth(counts, sigma):
    if sigma <= 0:
        return list(counts)
    reach = math.ceil(4 * sigma)
    weight = {k: math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)}
    total = sum(weight.values())
    return [
        sum(count * weight.get(k - i, 0.0) / total for i, count in enumerate(counts))
        for k in range(len(counts))
    ]


def smooth_2d(counts, sigma):
    rows = [smooth(row, sigma) for row in counts]
    columns = [smooth(column, sigma) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def local_maxima(density):
    """Middles of the runs of equal, positive values that are higher than what is beside them."""
    runs = [[k for k, _ in run] for _, run in itertools.groupby(enumerate(density), lambda p: p[1])]
    found = []
    for run in runs:
        value = density[run[0]]
        left = density[run[0] - 1] if run[0] else -math.inf
        right = density[run[-1] + 1] if run[-1] + 1 < len(density) else -math.inf
        if value > 0 and left < value > right and len(run) < len(density):
            found.append((run[0] + run[-1]) // 2)
    return found


def lowest_between(density, left, right):
    least = min(density[left : right + 1])
    places = [k for k in range(left, right + 1) if density[k] == least]
    return (places[0] + places[-1]) // 2


def shortest_interval(ordered, n_inside):
    if len(ordered) < n_inside:
        return math.nan, math.nan
    widths = [ordered[k + n_inside - 1] - ordered[k] for k in range(len(ordered) - n_inside + 1)]
    places = [k for k, width in enumerate(widths) if width == min(widths)]
    middle = (places[0] + places[-1]) // 2
    return ordered[middle], ordered[middle + n_inside - 1]


# --- rows


def row_digest(words: Sequence[int]) -> int:
    """Digest of one row's words, in whole numbers cut to 64 bits."""
    cut = 2**64 - 1

    def mixed(value: int) -> int:
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & cut
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & cut
        return value ^ (value >> 31)

    total = len(words)
    for k, word in enumerate(words):
        factor = mixed((k + 1) * 0x9E3779B97F4A7C15 & cut) | 1
        total = (total + (word + 1) * factor) & cut
    return mixed(total)
