import math
import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from cytosepsis.kernels import kernel, regions
from effort import COMPILED, examples
from random_plans import shifted

# --- polygons

SQUARE = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))
BOW = ((0.0, 0.0), (4.0, 4.0), (4.0, 0.0), (0.0, 4.0))  # crosses itself: even-odd
NOTCHED = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 2.0), (0.0, 4.0))


def polygon(vertices, points, *, one_by_one=True):
    """Masks of both ways into the kernel: many points at once, and one by one without doubt."""
    corners = np.array(vertices, dtype=np.float64)
    x, y = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
    n = len(x)
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = np.array([low[0], high[0], low[1], high[1]])
    # the arrays are longer than what is asked for, as in the walk; what lies behind is not touched
    inside, crossings = np.ones(n + 3, dtype=np.bool_), np.full(n + 3, 7)
    room = regions.empty_expansion()
    regions.in_polygon(
        np.append(x, [1.0] * 3), np.append(y, [1.0] * 3), n, corners, box, inside, crossings, room
    )
    assert inside[n:].all()
    assert (crossings[n:] == 7).all()
    for i in range(n if one_by_one else 0):
        if np.isfinite(x[i]) and np.isfinite(y[i]) and abs(x[i]) < 1e101 and abs(y[i]) < 1e101:
            assert regions.polygon_contains(corners, x[i], y[i], room) == inside[i]
    return inside[:n].tolist()


def assert_as_naive(vertices, points):
    wanted = [naive.in_polygon(vertices, x, y) for x, y in points]
    for turn in range(len(vertices)):  # where one starts and which way one goes does not matter
        turned = (*vertices[turn:], *vertices[:turn])
        assert polygon(turned, points, one_by_one=turn == 0) == wanted
        assert polygon(turned[::-1], points, one_by_one=turn == 0) == wanted


@pytest.mark.parametrize("vertices", [SQUARE, BOW, NOTCHED])
def test_lattice_points_of_integer_polygons(vertices):
    points = [(x / 2, y / 2) for x in range(-2, 11) for y in range(-2, 11)]
    assert_as_naive(vertices, points)


def test_corners_edges_and_holes_by_hand():
    points = [(0, 0), (4, 2), (2, 4), (4, 4), (2, 2), (4.5, 2), (-1, 0), (5, 4)]
    assert polygon(SQUARE, points) == [True] * 5 + [False] * 3
    assert polygon(BOW, [(2, 2), (1, 2), (3, 2), (2, 1), (2, 3), (4, 2)]) == [
        True, True, True, False, False, True,
    ]  # fmt: skip
    assert polygon(NOTCHED, [(2, 2), (2, 2.5), (1, 3), (3, 3), (3, 3.5)]) == [
        True, False, True, True, False,
    ]  # fmt: skip


def test_what_is_no_number_lies_outside():
    bad = [math.nan, math.inf, -math.inf, 1e300, -1e300]
    points = [(b, 2.0) for b in bad] + [(2.0, b) for b in bad] + [(b, b) for b in bad]
    assert polygon(SQUARE, points) == [False] * len(points)


def test_degenerate_polygons_are_their_border():
    flat = ((0.0, 0.0), (4.0, 0.0), (2.0, 0.0))
    assert_as_naive(flat, [(1, 0), (4, 0), (5, 0), (1, 1e-300), (1, -1)])
    dot = ((1.0, 1.0), (1.0, 1.0), (1.0, 1.0))
    assert_as_naive(dot, [(1, 1), (1, 2), (2, 1)])
    doubled = ((0.0, 0.0), (0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (4.0, 4.0), (0.0, 0.0))
    assert_as_naive(doubled, [(0, 0), (1, 1), (2, 1), (1, 2), (4, 4), (2, 2), (3, 3)])


SMALL = st.integers(-4, 4).map(float)
# The exact test holds for vertices that are zero or at least 1e-74, and at most 1e100.
COORDINATE = st.one_of(
    SMALL,
    st.sampled_from((0.1, 0.2, 0.3, 0.7, 1 / 3, 262144.0, 1e-70, -1e-70, 1e100, -1e100)),
    st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-74),
)
POINT = st.one_of(SMALL, st.floats(-1e6, 1e6), st.sampled_from((5e-324, -5e-324, 1e-310, -0.0)))


@examples(250)
@given(
    st.lists(st.tuples(SMALL, SMALL), min_size=3, max_size=7),
    st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=6),
)
def test_integer_polygons(vertices, points):
    assert_as_naive(tuple(vertices), points)


@examples(200)
@given(
    st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=7),
    st.lists(st.tuples(POINT, POINT), min_size=1, max_size=6),
    st.data(),
)
def test_any_polygon_with_points_on_and_beside_its_edges(vertices, points, data):
    following = [*vertices[1:], vertices[0]]
    for _ in range(4):
        k = data.draw(st.integers(0, len(vertices) - 1))
        share = data.draw(st.sampled_from((0.0, 0.25, 0.5, 0.3)))
        (ax, ay), (bx, by) = vertices[k], following[k]
        x, y = ax + share * (bx - ax), ay + share * (by - ay)
        places = st.sampled_from((0, 0, 1, -1, 2, -40))
        points.append((shifted(x, data.draw(places)), shifted(y, data.draw(places))))
    assert_as_naive(tuple(vertices), points)


SLACK = st.sampled_from((0.0, 2.0**-20, 2.0**-7, 0.25))


@examples(250)
@given(
    st.lists(st.tuples(SMALL, SMALL), min_size=3, max_size=7),
    st.lists(st.tuples(SMALL | st.floats(-5, 5), SMALL | st.floats(-5, 5)), min_size=1, max_size=9),
    SLACK,
    SLACK,
    st.data(),
)
def test_a_point_known_roughly_is_settled_only_where_that_does_not_matter(
    vertices, points, slack_x, slack_y, data
):
    corners = np.array(vertices, dtype=np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = np.array([low[0], high[0], low[1], high[1]])
    part = st.sampled_from((-1.0, -0.5, 0.0, 1.0))  # products with the slacks are exact
    rough = [(x + slack_x * data.draw(part), y + slack_y * data.draw(part)) for x, y in points]
    x, y = (np.array(column) for column in zip(*rough, strict=True))
    n = len(rough)
    inside, doubtful = np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.int64)
    any_doubt = regions.polygon_sides(x, y, n, corners, box, slack_x, slack_y, inside, doubtful)
    wanted = np.array([naive.in_polygon(vertices, px, py) for px, py in points])
    moved = np.hypot(x - [p[0] for p in points], y - [p[1] for p in points])
    within = (moved <= np.hypot(slack_x, slack_y)) & ((doubtful == 0) | (not any_doubt))
    assert (inside == wanted)[within].all()
    far = (x < low[0] - 9) | (x > high[0] + 9)
    if slack_x == slack_y == 0.0 and far.all():
        assert not any_doubt or len(set(vertices)) < 3  # certain of what is certain


def test_points_next_to_a_slanted_edge():
    """Doubles around a line, where plain arithmetic gets the side wrong."""
    triangle = ((-17.3, -17.3), (24.1, 24.1), (-17.3, 24.1))
    points = [(0.5 + i * 2**-53, 0.5 + j * 2**-53) for i in range(-8, 9) for j in range(-8, 9)]
    wrong = 0
    ax, ay, bx, by = -17.3, -17.3, 24.1, 24.1
    for x, y in points:
        plain = (bx - ax) * (y - ay) - (x - ax) * (by - ay)
        exact = (Fraction(bx) - Fraction(ax)) * (Fraction(y) - Fraction(ay)) - (
            Fraction(x) - Fraction(ax)
        ) * (Fraction(by) - Fraction(ay))
        wrong += (plain > 0) != (exact > 0)
    assert wrong > 0  # so the exact test is needed here
    assert_as_naive(triangle, points)


@examples(300)
@given(*[st.sampled_from((0.0, 1.0, 0.1, 0.3, 1e-70, 1e100, -7.0)) for _ in range(6)], st.data())
def test_the_exact_side_of_an_edge(ax, ay, bx, by, px, py, data):
    px = shifted(px, data.draw(st.integers(-3, 3)))
    cross = (Fraction(bx) - Fraction(ax)) * (Fraction(py) - Fraction(ay)) - (
        Fraction(by) - Fraction(ay)
    ) * (Fraction(px) - Fraction(ax))
    side = regions.orient_exact(ax, ay, bx, by, px, py, regions.empty_expansion())
    assert side == (cross > 0) - (cross < 0)


FINITE = st.floats(-1e120, 1e120).filter(lambda value: value == 0 or abs(value) > 1e-120)


@examples(300)
@given(FINITE, FINITE)
def test_sums_and_products_with_their_errors_are_exact(a, b):
    total, error = regions.two_sum(a, b)
    assert Fraction(total) + Fraction(error) == Fraction(a) + Fraction(b)
    product, error = regions.two_product(a, b)
    assert Fraction(product) + Fraction(error) == Fraction(a) * Fraction(b)


@examples(200)
@given(st.lists(FINITE, min_size=1, max_size=16))
def test_an_expansion_keeps_the_exact_sum(values):
    room = regions.empty_expansion()
    length = 0
    for value in values:
        length = regions.grow(room, length, value)
        assert 1 <= length <= 16
    total = sum((Fraction(value) for value in values), Fraction(0))
    assert sum((Fraction(term) for term in room[:length].tolist()), Fraction(0)) == total
    last = float(room[length - 1])
    assert (last > 0) - (last < 0) == (total > 0) - (total < 0)


# --- ellipses


def ellipse(mean, covariance, limit, points):
    precision = np.linalg.inv(np.array(covariance))
    numbers = np.array([*mean, *precision.reshape(-1), limit])
    coordinates = np.ascontiguousarray(np.array(points, dtype=np.float64).T)
    inside = np.ones(len(points) + 2, dtype=np.bool_)
    regions.in_ellipse(coordinates, len(points), len(mean), numbers, inside)
    assert inside[len(points) :].all()
    wanted = [naive.in_ellipse(mean, precision.tolist(), limit, point) for point in points]
    assert inside[: len(points)].tolist() == wanted
    return wanted


def test_the_border_of_an_ellipse_is_inside():
    circle = ((4.0, 0.0), (0.0, 4.0))
    points = [(1, 2), (3, 2), (1, 4), (3.0000001, 2), (1, 4.0000001), (1, 0), (-1, 2)]
    inside = [True, True, True, False, False, True, True]
    assert ellipse((1.0, 2.0), circle, 1.0, points) == inside


def test_what_is_no_number_lies_in_no_ellipse():
    bad = [math.nan, math.inf, -math.inf, 1e300]
    points = [(b, 2.0) for b in bad] + [(2.0, b) for b in bad]
    assert not any(ellipse((0.0, 0.0), ((9.0, 1.0), (1.0, 9.0)), 100.0, points))


@examples(200)
@given(
    st.tuples(st.floats(-10, 10), st.floats(-10, 10)),
    st.floats(0.1, 10),
    st.floats(0.1, 10),
    st.floats(-0.95, 0.95),
    st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=1, max_size=8),
)
def test_ellipses_against_exact_fractions(mean, one, other, lean, points):
    covariance = ((one * one, lean * one * other), (lean * one * other, other * other))
    found = ellipse(mean, covariance, 2.0, points)
    for point, inside in zip(points, found, strict=True):
        distance = naive.ellipse_distance(mean, covariance, point)
        if abs(distance - 2) > Fraction(1, 10**9):
            assert inside == (distance <= 2)


# --- intervals


@examples(200)
@given(
    st.lists(st.floats() | st.sampled_from((1.0, 2.0, math.nan)), min_size=1, max_size=8),
    st.tuples(*[st.sampled_from((math.nan, -math.inf, math.inf, 0.0, 1.0, 2.0))] * 4),
)
def test_bands(values, sure):
    """A band is set afresh, or narrows what an earlier one has left."""
    n = len(values)
    for first, before in ((True, False), (False, True), (False, False)):
        inside, doubt = np.full(n + 1, before), np.ones(n + 1, dtype=np.bool_)
        any_doubt = regions.sure_band(np.array(values), n, np.array(sure), first, inside, doubt)
        in_low, in_high, out_low, out_high = sure
        unsure = []
        for i, value in enumerate(values):
            surely = value >= in_low and not value >= in_high
            maybe = value >= out_low and not value >= out_high
            assert inside[i] == (maybe and (first or before))
            unsure.append(maybe and not surely)
        assert any_doubt == any(unsure)
        if any_doubt:
            assert doubt[:n].tolist() == unsure
        assert inside[n] == before
        assert doubt[n]


# --- the mode with bounds checks


@pytest.mark.skipif(
    not COMPILED or os.environ.get("NUMBA_BOUNDSCHECK", "0") in ("", "0"),
    reason="only where NUMBA_BOUNDSCHECK=1 is set",
)
def test_bounds_checks_raise():
    @kernel
    def beyond(values, place):
        return values[place]

    with pytest.raises(IndexError):
        beyond(np.zeros(3), 3)
