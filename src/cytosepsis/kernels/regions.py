"""Whether points lie in polygons, rectangles and ellipses: exact on edges, NaN always outside.

A polygon's border belongs to it (Gating-ML 2.0, 5.1.2), so the side of an edge on which a point
lies must be known exactly. It is worked out in plain arithmetic with an error bound (Shewchuk
1997, 10.1007/PL00009321); points that the bound leaves in doubt are decided again, exactly, by
expansions. That is exact for vertices whose coordinates are zero or lie between 1e-74 and 1e100
in size (`LEAST`, `MOST`): no product of a point with them overflows or loses bits at the bottom.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import borrowing

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# (3 + 16 ε) ε with ε = 2⁻⁵³: bound on the error of a 2 × 2 determinant of differences.
ORIENT_ERROR = 3.3306690738754716e-16
SPLIT = 134217729.0  # 2²⁷ + 1
LEAST, MOST = 1e-74, 1e100
SCALE = 1.4272476927059599e45  # 2¹⁵⁰: lifts products of small coordinates over the underflow


@borrowing
def two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b as a rounded sum and its exact error."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


@borrowing
def two_product(a: float, b: float) -> tuple[float, float]:
    """a · b as a rounded product and its exact error."""
    product = a * b
    spread = SPLIT * a
    a_high = spread - (spread - a)
    a_low = a - a_high
    spread = SPLIT * b
    b_high = spread - (spread - b)
    b_low = b - b_high
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return product, error


@borrowing
def grow(expansion: Floats, length: int, value: float) -> int:
    """Add a value to a non-overlapping expansion of `length` terms, exactly; the new length."""
    carry = value
    kept = 0
    for k in range(length):
        carry, error = two_sum(carry, expansion[k])
        if error != 0.0:
            expansion[kept] = error
            kept += 1
    if carry != 0.0 or kept == 0:
        expansion[kept] = carry
        kept += 1
    return kept


@borrowing
def orient_exact(
    ax: float, ay: float, bx: float, by: float, px: float, py: float, expansion: Floats
) -> int:
    """Sign of (b - a) × (p - a), exactly: 1 left of the edge, -1 right, 0 on its line."""
    d1, e1 = two_sum(bx * SCALE, -ax * SCALE)
    d2, e2 = two_sum(py * SCALE, -ay * SCALE)
    d3, e3 = two_sum(px * SCALE, -ax * SCALE)
    d4, e4 = two_sum(by * SCALE, -ay * SCALE)
    length = 0
    for k in range(8):
        first = (d1, d1, e1, e1, -d3, -d3, -e3, -e3)[k]
        second = (d2, e2, d2, e2, d4, e4, d4, e4)[k]
        product, error = two_product(first, second)
        length = grow(expansion, length, error)
        length = grow(expansion, length, product)
    top = expansion[length - 1]  # non-overlapping: the last term carries the sign
    if top > 0.0:
        return 1
    return -1 if top < 0.0 else 0


@borrowing
def polygon_contains(vertices: Floats, px: float, py: float, expansion: Floats) -> bool:
    """Whether a point lies in a polygon (V, 2) by the even-odd rule, border included; exact."""
    inside = False
    n = len(vertices)
    for k in range(n):
        ax = vertices[k, 0]
        ay = vertices[k, 1]
        bx = vertices[(k + 1) % n, 0]
        by = vertices[(k + 1) % n, 1]
        if not (min(ay, by) <= py <= max(ay, by)):
            continue
        side = orient_exact(ax, ay, bx, by, px, py, expansion)
        if side == 0 and min(ax, bx) <= px <= max(ax, bx):
            return True
        if (ay <= py) != (by <= py) and (side > 0) == (by > ay):
            inside = not inside
    return inside


@borrowing
def in_polygon(
    x: Floats,
    y: Floats,
    n: int,
    vertices: Floats,
    box: Floats,
    inside: Bools,
    crossings: Ints,
    expansion: Floats,
) -> None:
    """Fill inside[:n] for points (x[i], y[i]); box is xmin, xmax, ymin, ymax of the vertices.

    What plain arithmetic leaves in doubt is decided exactly. `crossings` and `expansion` are
    scratch.
    """
    if polygon_sides(x, y, n, vertices, box, 0.0, 0.0, inside, crossings):
        decide(x, y, n, vertices, box, inside, crossings, expansion)


@borrowing
def polygon_sides(
    x: Floats,
    y: Floats,
    n: int,
    vertices: Floats,
    box: Floats,
    slack_x: float,
    slack_y: float,
    inside: Bools,
    crossings: Ints,
) -> bool:
    """Fill inside[:n] as far as it is certain; whether anything is not: then crossings marks it.

    The points may be off by as much as the slacks: then those are in doubt, too, from which an edge
    is no further away. From all others nothing within the slacks lies on the other side.

    The loop over edges is outside and the one over points inside it, without branches, so that
    it becomes vector instructions; `crossings` is scratch of a number's width, so that they need
    not be narrowed. A point of the box is no further from an edge than the box is wide and high,
    which bounds the error of its side.
    """
    doubts = np.int64(0)
    for i in range(n):
        crossings[i] = 0
    for k in range(len(vertices)):
        ax, ay, dx, dy, by, error = edge(vertices, box, k, slack_x, slack_y)
        for i in range(n):
            cross = dx * (y[i] - ay) - (x[i] - ax) * dy
            crossings[i] ^= np.int64((ay <= y[i]) & (y[i] < by) & (cross > 0.0))  # never of NaN
            doubts += np.int64(abs(cross) <= error)
    for i in range(n):
        within = (x[i] >= box[0]) & (x[i] <= box[1]) & (y[i] >= box[2]) & (y[i] <= box[3])
        inside[i] = within & (crossings[i] != 0)
    if doubts == 0:
        return False
    for i in range(n):
        crossings[i] = 0
    for k in range(len(vertices)):
        ax, ay, dx, dy, by, error = edge(vertices, box, k, slack_x, slack_y)
        for i in range(n):
            cross = dx * (y[i] - ay) - (x[i] - ax) * dy
            crossings[i] |= np.int64(abs(cross) <= error)
    return True


@borrowing
def decide(
    x: Floats,
    y: Floats,
    n: int,
    vertices: Floats,
    box: Floats,
    inside: Bools,
    crossings: Ints,
    expansion: Floats,
) -> None:
    """Settle exactly what `polygon_sides` has marked as doubtful; x and y are exact."""
    for i in range(n):
        if crossings[i] != 0:
            within = (x[i] >= box[0]) & (x[i] <= box[1]) & (y[i] >= box[2]) & (y[i] <= box[3])
            inside[i] = within and polygon_contains(vertices, x[i], y[i], expansion)


@borrowing
def edge(
    vertices: Floats, box: Floats, k: int, slack_x: float, slack_y: float
) -> tuple[float, float, float, float, float, float]:
    """Edge k from its lower end: x, y, dx, dy, its upper y, and the error that a side may have."""
    ax = vertices[k, 0]
    ay = vertices[k, 1]
    bx = vertices[(k + 1) % len(vertices), 0]
    by = vertices[(k + 1) % len(vertices), 1]
    if ay > by:
        ax, ay, bx, by = bx, by, ax, ay
    dx = bx - ax
    dy = by - ay
    # rounding keeps order: no difference of the box exceeds its computed width and height
    width, height = box[1] - box[0] + slack_x, box[3] - box[2] + slack_y
    error = ORIENT_ERROR * (abs(dx) * height + width * dy)
    error += (1.0 + 1e-9) * (abs(dx) * slack_y + slack_x * dy)
    if dx == 0.0 and dy == 0.0 and (width > 0.0 or height > 0.0):
        error = -1.0  # a vertex given twice: the edges beside it say all of it
    return ax, ay, dx, dy, by, error


@borrowing
def in_ellipse(
    coordinates: Floats, n: int, dimensions: int, numbers: Floats, inside: Bools
) -> None:
    """Fill inside[:n] with (v - mean)ᵀ precision (v - mean) ≤ distance².

    coordinates is (dimensions, ≥ n); numbers holds mean (d), precision (d × d, row by row) and
    distance². The border is inside.
    """
    limit = numbers[dimensions + dimensions * dimensions]
    for i in range(n):
        total = 0.0
        for r in range(dimensions):
            row = 0.0
            for c in range(dimensions):
                row += numbers[dimensions + r * dimensions + c] * (coordinates[c, i] - numbers[c])
            total += row * (coordinates[r, i] - numbers[r])
        inside[i] = total <= limit


@borrowing
def sure_band(x: Floats, n: int, sure: Floats, first: bool, inside: Bools, doubt: Bools) -> bool:
    """Interval test on the linear axis; returns whether anything is in doubt.

    sure = (in_low, in_high, out_low, out_high): in_low ≤ v < in_high is surely in, v < out_low
    and v ≥ out_high surely out, the rest must be asked of the transform. NaN bounds are open.
    inside[:n] is set (`first`) or cleared by what is surely out, doubt[:n] set by what is unsure.
    """
    in_low, in_high, out_low, out_high = sure[0], sure[1], sure[2], sure[3]
    if in_low == out_low and (in_high == out_high or (np.isnan(in_high) and np.isnan(out_high))):
        if first:
            for i in range(n):
                inside[i] = (x[i] >= out_low) & (not (x[i] >= out_high))
        else:
            for i in range(n):
                inside[i] = inside[i] & (x[i] >= out_low) & (not (x[i] >= out_high))
        return False
    if first:
        for i in range(n):
            inside[i] = True
    doubts = 0
    for i in range(n):
        value = x[i]
        surely = (value >= in_low) & (not (value >= in_high))
        maybe = (value >= out_low) & (not (value >= out_high))
        inside[i] = inside[i] & maybe
        doubt[i] = maybe & (not surely)
        doubts += maybe & (not surely)
    return doubts > 0


def empty_expansion() -> Floats:
    """Room for the exact arithmetic of one caller: 16 terms are the most that 8 products give."""
    return np.empty(20)
