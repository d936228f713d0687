import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from cytosepsis.compensation import Spillover, unmixing
from cytosepsis.errors import ChannelError, CompensationError, GatingError
from cytosepsis.gating.apply import gate, population_values
from cytosepsis.gating.lowering import Measure, lower_plan
from cytosepsis.gating.plan import (
    FILE_COMPENSATION,
    UNCOMPENSATED,
    Axis,
    Boolean,
    Ellipse,
    GatingPlan,
    Operand,
    Polygon,
    Ratio,
    Rectangle,
    axes_of,
    make_plan,
    path_of,
)
from cytosepsis.gating.row_form import row_form
from cytosepsis.kernels import transforms as kt
from cytosepsis.kernels import walk
from cytosepsis.kernels.program import unpack
from cytosepsis.transform_values import arrays, inverse
from cytosepsis.transforms import Linear, Log, Logicle
from effort import COMPILED, examples
from events import raw_of
from random_plans import CHANNELS, FLUORESCENCE, many_rows, plans, rows_for, spillover

# Without the compiler numpy's scalars warn of what compiled code does silently: x / 0 is infinite.
pytestmark = [] if COMPILED else [pytest.mark.filterwarnings("ignore::RuntimeWarning")]

COLUMNS = {name: k for k, name in enumerate(CHANNELS)}


weights_of = cache(unmixing)  # the oracle asks for each event anew


def terms_of(default: Spillover | None, named: Spillover):
    """Which columns, with which weights, make an axis: scatter and time are never compensated."""

    def terms(axis):
        column = COLUMNS[axis.channel]
        matrix = named if axis.compensation == "matrix" else default
        if axis.compensation == UNCOMPENSATED or matrix is None or axis.channel not in FLUORESCENCE:
            return ((column, 1.0),)
        weights = weights_of(matrix)
        j = matrix.detectors.index(axis.channel)
        return tuple(
            (COLUMNS[name], float(weights[i, j]))
            for i, name in enumerate(matrix.detectors)
            if weights[i, j] != 0
        )

    return terms


def kernel_transform():
    """Transform a value by the kernel's own definition: masks must be identical, edge by edge."""
    lowered = {}

    def transformed(transform, value):
        if transform not in lowered:
            lowered[transform] = arrays(transform)
        return kt.transform_value(*lowered[transform], value)

    return transformed


def wanted_of(plan, rows: Sequence[Sequence[float]], default):
    precisions = {
        path_of(g): np.linalg.inv(np.array(g.covariance)).tolist()
        for g in plan
        if isinstance(g, Ellipse)
    }
    return naive.populations(
        plan,
        rows,
        terms=terms_of(default, plan.spillovers[0][1] if plan.spillovers else default),
        transformed=kernel_transform(),
        precisions=precisions,
    )


def assert_as_naive(plan, rows, default):
    populations = gate(raw_of(rows, CHANNELS), plan, spillover=default or "none")
    wanted = wanted_of(plan, rows, default)
    assert populations.paths == plan.paths == tuple(wanted)
    masks = populations.masks()
    for path, members in wanted.items():
        assert masks[path].tolist() == members, path
        assert populations.n_events[path] == sum(members)
    return populations


DEFAULTS = st.sampled_from((None, 0, 1, 2)).map(lambda k: None if k is None else spillover(k))


# --- against the oracle


@examples(250)
@given(plans(), DEFAULTS, st.data())
def test_any_plan_on_events_where_it_hurts(plan, default, data):
    assert_as_naive(plan, data.draw(rows_for(plan)), default)


@examples(12)
@given(plans(most_gates=12), DEFAULTS, st.integers(0, 2**32 - 1))
def test_more_events_than_a_block(plan, default, seed):
    n = 2 * walk.BLOCK + 77 if COMPILED else walk.BLOCK + 5
    assert_as_naive(plan, many_rows(plan, n, seed).tolist(), default)


def test_a_measure_of_no_population_is_refused():
    plan = make_plan([Rectangle("g", "root", (Axis("A"),), (0.0,), (1.0,))])
    with pytest.raises(GatingError, match=r"no population g; the plan has root, root/g"):
        gate(raw_of([], CHANNELS), plan, measures=[Measure("g", "A")])


@pytest.mark.parametrize("additional", [0.0, 0.3])
def test_events_beside_the_edges_of_a_polygon_on_transformed_axes(additional):
    """As near as rough values can tell, and nearer."""
    logicle = Logicle(262144.0, 0.5, 4.5, additional)
    x, y = (Axis(name, logicle, UNCOMPENSATED) for name in ("A", "B"))
    vertices = ((0.2, 0.3), (0.7, 0.25), (0.9, 0.8), (0.5, 0.55), (0.2, 0.9), (0.2, 0.3))
    plan = make_plan([Polygon("p", "root", x, y, vertices)])
    rng = np.random.default_rng(4)
    rows = []
    for (ax, ay), (bx, by) in pairwise(vertices):
        for share in (0.0, 0.3, 0.77, 1.0):
            for size in (0.0, 1e-14, 1e-10, 1e-8, 3e-7, 1e-6, 1e-5, 1e-3):
                nudge = size * rng.uniform(-1.0, 1.0, 2)
                place = np.array([ax + share * (bx - ax), ay + share * (by - ay)]) + nudge
                values = inverse(logicle, place)
                rows.append([dict(zip("AB", values, strict=True)).get(c, 0.0) for c in CHANNELS])
    populations = assert_as_naive(plan, rows, None)
    assert 0.2 < populations.n_events["root/p"] / len(rows) < 0.8


@examples(40)
@given(plans(), st.data())
def test_transforms_against_the_published_formulas(plan, data):
    """With the oracle's own transforms: the same, but for events within rounding of an edge."""
    rows = data.draw(rows_for(plan, most=5))
    exact = naive.populations(
        without_ellipses(plan),
        rows,
        terms=terms_of(None, plan.spillovers[0][1]),
        transformed=lambda t, value: value if t is None else naive.transform(t, value),
        precisions={},
    )
    near = near_an_edge(plan, rows)
    masks = gate(raw_of(rows, CHANNELS), without_ellipses(plan), spillover="none").masks()
    for path, members in exact.items():
        for number, inside in enumerate(members):
            assert near[number] or masks[path][number] == inside


def without_ellipses(plan):
    """The plan with rectangles in place of ellipses, so that edges are easy to tell."""
    return replace(
        plan,
        gates=tuple(
            Rectangle(g.name, g.parent, g.axes, g.mean, (None,) * len(g.axes), g.complement)
            if isinstance(g, Ellipse)
            else g
            for g in plan
        ),
    )


def near_an_edge(plan, rows):
    """Whether a row moves in or out when its transformed values move by a rounding error."""
    transformed = kernel_transform()
    found = []
    for row in rows:
        answers = []
        for nudge in (-1e-9, 0.0, 1e-9):
            members = naive.populations(
                without_ellipses(plan),
                [row],
                terms=terms_of(None, plan.spillovers[0][1]),
                transformed=lambda t, v, nudge=nudge: (
                    transformed(t, v) if t is None else transformed(t, v) * (1 + nudge) + nudge
                ),
                precisions={},
            )
            answers.append(members)
        found.append(answers[0] != answers[1] or answers[1] != answers[2])
    return found


# --- laws


@pytest.mark.skipif(COMPILED, reason="compiled code returns no views: only plain Python can look")
@examples(30)
@given(plans(), DEFAULTS)
def test_a_packed_program_is_the_program(plan, default):
    lowered = lower_plan(
        plan,
        row_form(raw_of([], CHANNELS)),
        tuple(COLUMNS.items()),
        spillover=default,
        measures=(Measure("root", "B"),),
    )
    program, again_all = lowered.program, unpack(*lowered.packed)
    for name, part, again in zip(program._fields, program, again_all, strict=True):
        assert again.dtype == part.dtype, name
        np.testing.assert_array_equal(again, part, err_msg=name)


@examples(60)
@given(plans(), st.integers(0, 2**32 - 1))
def test_children_lie_in_parents_and_complements_partition_them(plan, seed):
    twins = []
    for g in plan:
        twins += [g, replace(g, name=f"not {g.name}", complement=not g.complement)]
    raw = raw_of(many_rows(plan, 300, seed), CHANNELS)
    masks = gate(raw, replace(plan, gates=tuple(twins)), spillover=spillover(2)).masks()
    for g in plan:
        parent, inside = masks[g.parent], masks[path_of(g)]
        outside = masks[f"{g.parent}/not {g.name}"]
        assert not (inside & ~parent).any()
        assert not (inside & outside).any()
        np.testing.assert_array_equal(inside | outside, parent)


@examples(40)
@given(plans(), st.integers(0, 2**32 - 1))
def test_the_order_of_events_changes_no_count_and_no_median(plan, seed):
    events = many_rows(plan, 1500 if COMPILED else 200, seed)
    measures = [Measure(path, "B") for path in plan.paths]
    order = np.random.default_rng(seed).permutation(len(events))
    one = gate(raw_of(events, CHANNELS), plan, spillover=spillover(2), measures=measures)
    two = gate(raw_of(events[order], CHANNELS), plan, spillover=spillover(2), measures=measures)
    assert dict(one.n_events) == dict(two.n_events)
    for measure in measures:
        np.testing.assert_array_equal(np.sort(one.values[measure]), np.sort(two.values[measure]))


@examples(60)
@given(st.integers(0, 2), st.integers(0, 2**32 - 1))
def test_spilling_then_compensating_is_the_identity(number, seed):
    matrix = spillover(number)
    true = np.random.default_rng(seed).normal(3000, 900, (200, 3))
    events = np.zeros((200, len(CHANNELS)))
    events[:, 2:5] = true @ matrix.array()
    measures = [Measure("root", name) for name in FLUORESCENCE]
    values = gate(
        raw_of(events, CHANNELS), GatingPlan(()), spillover=matrix, measures=measures
    ).values
    for k, measure in enumerate(measures):
        np.testing.assert_allclose(values[measure], true[:, k], rtol=1e-10)


# --- measured values


@examples(30)
@given(plans(), DEFAULTS, st.integers(0, 2**32 - 1))
def test_measured_values_are_the_linear_ones_of_the_population(plan, default, seed):
    rows = many_rows(plan, 200, seed).tolist()
    measures = [
        Measure(path, channel, compensation)
        for path in plan.paths
        for channel, compensation in (("B", "default"), ("B", UNCOMPENSATED), ("FSC-A", "default"))
    ]
    populations = gate(raw_of(rows, CHANNELS), plan, spillover=default or "none", measures=measures)
    members = wanted_of(plan, rows, default)
    terms = terms_of(default, spillover(2))
    for measure in measures:
        axis = Axis(measure.channel, None, measure.compensation)
        wanted = [
            naive.axis_value(terms(axis), row)
            for row, inside in zip(rows, members[measure.path], strict=True)
            if inside
        ]
        np.testing.assert_array_equal(populations.values[measure], wanted)


def test_values_over_several_blocks_come_in_file_order():
    n = 3 * walk.BLOCK + 1
    events = np.arange(n * 6, dtype=np.float64).reshape(n, 6)
    wanted = Measure("root/g", "B")
    plan = GatingPlan((Rectangle("g", "root", (Axis("A"),), (100.0,), (None,)),))
    found = gate(raw_of(events, CHANNELS), plan, spillover="none", measures=[wanted])
    np.testing.assert_array_equal(found.values[wanted], events[events[:, 2] >= 100, 3])


@examples(40)
@given(plans(), DEFAULTS, st.data())
def test_values_of_a_population_block_by_block(plan, default, data):
    """The values that its members have on any axes; that gates are left out changes nothing."""
    rows = data.draw(rows_for(plan))
    path = data.draw(st.sampled_from(plan.paths))
    axes = list(dict.fromkeys(axis for g in plan for axis in axes_of(g)))[:4] or [Axis("B")]
    raw = raw_of(rows, CHANNELS)
    blocks = population_values(raw, plan, path, axes, spillover=default or "none")
    found = np.concatenate(list(blocks), axis=1)
    members = wanted_of(plan, rows, default)[path]
    terms = terms_of(default, spillover(2))
    transformed = kernel_transform()
    for axis, values in zip(axes, found, strict=True):
        wanted = [
            transformed(axis.transform, naive.linear_value(axis, terms, row))
            for row, inside in zip(rows, members, strict=True)
            if inside
        ]
        np.testing.assert_array_equal(values, wanted)


def test_values_of_a_population_over_several_blocks():
    n = 3 * walk.BLOCK + 1
    events = np.arange(n * 6, dtype=np.float64).reshape(n, 6)
    plan = GatingPlan((Rectangle("g", "root", (Axis("A"),), (100.0,), (None,)),))
    axes = (Axis("B"), Axis("C", Linear(1e6, 0.0)))
    raw = raw_of(events, CHANNELS)
    root = np.concatenate(list(population_values(raw, plan, "root", axes, spillover="none")), 1)
    np.testing.assert_array_equal(root, [events[:, 3], events[:, 4] / 1e6])
    found = np.concatenate(list(population_values(raw, plan, "root/g", axes, spillover="none")), 1)
    np.testing.assert_array_equal(found, root[:, events[:, 2] >= 100])
    with pytest.raises(GatingError, match="no population root/h; the plan has root, root/g"):
        next(population_values(raw, plan, "root/h", axes, spillover="none"))


def test_the_part_of_a_plan_that_leads_to_a_population():
    a, b, c = (rectangle(0.0, None, name=name) for name in "abc")
    child = rectangle(1.0, None, name="d", parent="root/a")
    either = Boolean("e", "root", "or", (Operand("root/a/d"), Operand("root/c")))
    plan = GatingPlan((a, b, c, child, either))
    assert plan.leading_to("root").gates == ()
    assert plan.leading_to("root/a/d").gates == (a, child)
    assert plan.leading_to("root/e").gates == (a, c, child, either)


# --- small cases by hand


FIRST_AXIS = Axis("A")


def rectangle(low, high, *, parent="root", axis=FIRST_AXIS, name="g", complement=False):
    return Rectangle(name, parent, (axis,), (low,), (high,), complement)


def mask(plan, values, **keywords):
    events = np.zeros((len(values), 6))
    events[:, 2] = values
    return gate(raw_of(events, CHANNELS), plan, **keywords).mask(plan.paths[-1]).tolist()


def test_a_rectangle_keeps_its_minimum_and_not_its_maximum():
    below, above = math.nextafter(1.0, 0), math.nextafter(2.0, 0)
    values = [below, 1.0, above, 2.0, math.nan, math.inf, -math.inf]
    plan = GatingPlan((rectangle(1.0, 2.0),))
    assert mask(plan, values) == [False, True, True, False, False, False, False]


def test_open_sides_hold_infinity_but_not_nan():
    values = [-math.inf, -1.0, math.inf, math.nan]
    assert mask(GatingPlan((rectangle(None, None),)), values) == [True, True, True, False]
    assert mask(GatingPlan((rectangle(0.0, None),)), values) == [False, False, True, False]
    assert mask(GatingPlan((rectangle(None, 0.0),)), values) == [True, True, False, False]


def test_infinite_events_on_a_transformed_axis():
    """An infinite value stays infinite under a logicle, and is beyond any bound, however far."""
    axis = Axis("A", Logicle(262144.0, 0.5, 4.5))
    values = [-math.inf, -1.7e308, 0.0, 1.7e308, math.inf]
    low = GatingPlan((rectangle(-1000.0, None, axis=axis),))
    assert mask(low, values) == [False, True, True, True, True]
    high = GatingPlan((rectangle(None, -1000.0, axis=axis),))
    assert mask(high, values) == [True, False, False, False, False]
    up = GatingPlan((rectangle(1000.0, None, axis=axis),))
    assert mask(up, values) == [False, False, False, False, True]


def test_a_complement_takes_what_is_no_number():
    values = [1.0, 5.0, math.nan]
    plan = GatingPlan((rectangle(0.0, 2.0, complement=True),))
    assert mask(plan, values) == [False, True, True]


def test_a_logarithm_leaves_negative_values_out_of_any_region():
    axis = Axis("A", Log(1000.0, 4.0))
    assert mask(GatingPlan((rectangle(None, None, axis=axis),)), [-1.0, 1.0]) == [False, True]
    vertices = ((-9.0, -9.0), (9.0, -9.0), (9.0, 9.0), (-9.0, 9.0))
    polygon = GatingPlan((Polygon("g", "root", axis, Axis("B"), vertices),))
    assert mask(polygon, [-1.0, 1.0, 0.0]) == [False, True, False]


@pytest.mark.parametrize(
    ("operator", "operands", "wanted"),
    [
        ("and", (("a", False), ("b", False)), [False, False, True, False]),
        ("or", (("a", False), ("b", False)), [False, True, True, True]),
        ("and", (("a", False), ("b", True)), [False, True, False, False]),
        ("or", (("a", True), ("b", True)), [True, True, False, True]),
        ("not", (("a", False),), [True, False, False, True]),
        ("not", (("a", True),), [False, True, True, False]),
    ],
)
def test_booleans(operator, operands, wanted):
    gates = (
        rectangle(1.0, 3.0, name="a"),
        rectangle(2.0, 4.0, name="b"),
        Boolean(
            "c", "root", operator, tuple(Operand(f"root/{name}", flip) for name, flip in operands)
        ),
    )
    assert mask(GatingPlan(gates), [0.0, 1.0, 2.0, 3.0]) == wanted
    flipped = (*gates[:2], replace(gates[2], complement=True))
    assert mask(GatingPlan(flipped), [0.0, 1.0, 2.0, 3.0]) == [not value for value in wanted]


def test_a_boolean_stays_within_its_parent():
    gates = (
        rectangle(1.0, None, name="a"),
        rectangle(3.0, None, name="b"),
        Boolean("c", "root/a", "not", (Operand("root/b"),)),
    )
    assert mask(GatingPlan(gates), [0.0, 1.0, 2.0, 3.0]) == [False, True, True, False]


def test_one_gate_may_mix_compensated_and_uncompensated_axes():
    matrix = Spillover(("A", "B"), ("A", "B"), ((1.0, 0.5), (0.0, 1.0)))
    events = np.zeros((2, 6))
    events[:, 2] = [100.0, 0.0]
    events[:, 3] = [60.0, 60.0]  # the first event's B is mostly spilt light: 10 compensated
    raw = raw_of(events, CHANNELS)
    for compensation, wanted in (("default", [False, True]), (UNCOMPENSATED, [True, True])):
        plan = GatingPlan(
            (
                Rectangle(
                    "g",
                    "root",
                    (Axis("B", None, compensation), Axis("B", None, UNCOMPENSATED)),
                    (50.0, 60.0),
                    (None, None),
                ),
            )
        )
        assert gate(raw, plan, spillover=matrix).mask("root/g").tolist() == wanted


def test_scatter_and_time_are_never_compensated():
    names = ("FSC-A", "Time", "A")
    matrix = Spillover(names, names, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5, 1.0)))
    raw = raw_of([[10.0, 20.0, 30.0]], names)
    measures = [Measure("root", name) for name in names]
    found = gate(raw, GatingPlan(()), spillover=matrix, measures=measures).values
    assert [found[measure].tolist() for measure in measures] == [[10.0], [20.0], [30.0]]


def test_an_absent_share_of_infinity_is_nothing():
    matrix = Spillover(("A", "B"), ("A", "B"), ((1.0, 0.5), (0.0, 1.0)))
    events = np.zeros((1, 6))
    events[0, 2], events[0, 3] = 7.0, math.inf  # B does not spill into A
    measure = Measure("root", "A")
    raw = raw_of(events, CHANNELS)
    found = gate(raw, GatingPlan(()), spillover=matrix, measures=[measure])
    assert found.values[measure].tolist() == [7.0]


def test_the_matrix_of_the_file():
    keywords = {"$SPILLOVER": "2,A,B,1,0.5,0,1"}
    events = np.zeros((1, 6))
    events[0, 2:4] = 100.0, 60.0
    raw = raw_of(events, CHANNELS, keywords=keywords)
    by_file, by_name = Measure("root", "B"), Measure("root", "B", FILE_COMPENSATION)
    other = Spillover(("A", "B"), ("A", "B"), ((1.0, 0.1), (0.0, 1.0)))

    def values(matrix):
        found = gate(raw, GatingPlan(()), spillover=matrix, measures=[by_file, by_name]).values
        return [found[by_file][0], found[by_name][0]]

    assert values(None) == [10.0, 10.0]
    # a plan that names the file's matrix means it, whatever the caller gives for open axes
    assert values("none") == [60.0, 10.0]
    assert values(other) == [50.0, 10.0]


def test_a_plan_that_compensates_nothing_does_not_mind_a_broken_matrix():
    raw = raw_of(np.zeros((1, 6)), CHANNELS, keywords={"$SPILLOVER": "2,A,B,1,0.5"})
    plain = GatingPlan((rectangle(None, None, axis=Axis("A", None, UNCOMPENSATED)),))
    assert gate(raw, plain).n_events["root/g"] == 1
    scatter = GatingPlan((rectangle(None, None, axis=Axis("FSC-A")),))
    assert gate(raw, scatter).n_events["root/g"] == 1
    with pytest.raises(CompensationError, match="2 parameters need"):
        gate(raw, GatingPlan((rectangle(None, None),)))


def test_a_matrix_that_the_plan_does_not_bring():
    plan = GatingPlan((rectangle(0.0, 1.0, axis=Axis("A", None, "panel 2")),))
    with pytest.raises(CompensationError, match="refers to the matrix 'panel 2'; it brings: none"):
        gate(raw_of(np.zeros((1, 6)), CHANNELS), plan)


def test_more_detectors_than_fluorochromes():
    """A spectral matrix makes fluorochromes, by their names; a detector of it has no own value."""
    matrix = Spillover(("A", "B", "C"), ("x", "y"), ((1.0, 0.5, 0.0), (0.0, 0.5, 1.0)))
    raw = raw_of(np.ones((1, 6)), CHANNELS)
    measure = Measure("root", "A")
    with pytest.raises(CompensationError, match="spectral"):
        gate(raw, GatingPlan(()), spillover=matrix, measures=[measure])


def test_a_file_without_events():
    populations = gate(
        raw_of(np.empty((0, 6)), CHANNELS),
        GatingPlan((rectangle(0.0, 1.0),)),
        measures=[Measure("root/g", "A")],
    )
    assert dict(populations.n_events) == {"root": 0, "root/g": 0}
    assert populations.mask("root/g").shape == (0,)
    assert populations.values[Measure("root/g", "A")].shape == (0,)


def test_masks_that_are_asked_for():
    raw = raw_of(np.zeros((3, 6)), CHANNELS)
    populations = gate(raw, GatingPlan((rectangle(0.0, 1.0), rectangle(1.0, None, name="h"))))
    assert populations.mask("root").tolist() == [True] * 3
    asked = populations.masks(("root/h", "root/g", "root/h"))
    assert {path: found.tolist() for path, found in asked.items()} == {
        "root/h": [False] * 3,
        "root/g": [True] * 3,
    }
    with pytest.raises(GatingError, match="no population root/x; the plan has root, root/g"):
        populations.mask("root/x")


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e101, 1e-80])
def test_vertices_beyond_exact_arithmetic_are_refused(bad):
    plan = GatingPlan((Polygon("g", "root", Axis("A"), Axis("B"), ((0, 0), (1, 0), (1, bad))),))
    with pytest.raises(GatingError, match="root/g: coordinates of vertices"):
        gate(raw_of(np.zeros((1, 6)), CHANNELS), plan)


def test_a_covariance_that_cannot_be_inverted():
    plan = GatingPlan(
        (Ellipse("g", "root", (Axis("A"), Axis("B")), (0.0, 0.0), ((1.0, 1.0), (1.0, 1.0)), 1.0),)
    )
    with pytest.raises(GatingError, match="root/g: the covariance cannot be inverted"):
        gate(raw_of(np.zeros((1, 6)), CHANNELS), plan)


@pytest.mark.parametrize(
    "covariance",
    [
        ((1.0, 0.999999999999), (0.999999999999, 1.0)),  # a needle: its box must not cut it
        ((1.0, 0.9999999999), (0.9999999999, 1.0)),
        ((1.0, 0.99999999), (0.99999999, 1.0)),
        ((1.0, 0.5), (0.2, 1.0)),  # not symmetric
        ((1.0, 0.0), (0.0, -1.0)),  # no ellipse at all: a hyperbola, without end
        ((-1.0, 0.0), (0.0, -1.0)),  # everything
    ],
)
def test_odd_covariances_mean_what_their_inverse_says(covariance):
    plan = GatingPlan((Ellipse("g", "root", (Axis("A"), Axis("B")), (0.5, 0.0), covariance, 2.0),))
    random = np.random.default_rng(1)
    along = random.normal(0, 1.2, 500)
    rows = np.zeros((1000, 6))
    rows[:500, 2], rows[:500, 3] = along + 0.5, along + random.normal(0, 1e-6, 500)
    rows[500:, 2:4] = random.normal(0, 3, (500, 2))
    found = assert_as_naive(plan, rows.tolist(), None)
    assert found.n_events["root/g"] > 0


@pytest.mark.parametrize("lean", [0.3, 0.99999999, 0.9999999999, 0.99999999999])
@pytest.mark.parametrize("unit", [1.0, 777.7, 1e5])
def test_no_needle_is_cut_at_its_tips(lean, unit):
    """What is left out beforehand by the box around an ellipse is outside it, as computed."""
    axes = tuple(Axis(name, Linear(1.0)) for name in "AB")  # bare axes would not be narrowed
    covariance = ((1.0, lean * unit), (lean * unit, unit * unit))
    plan = GatingPlan((Ellipse("g", "root", axes, (0.0, 0.0), covariance, 2.0),))
    tip = math.sqrt(2.0) * (1 + np.append(-np.logspace(-4, -11, 200), np.logspace(-11, -4, 201)))
    rows = np.zeros((802, 6))
    (a, b), (_, d) = np.linalg.inv(np.array(covariance))
    rows[:401, 2], rows[:401, 3] = tip, -b / d * tip
    rows[401:, 2], rows[401:, 3] = b / a * unit * tip, -unit * tip
    found = assert_as_naive(plan, rows.tolist(), None)
    assert 0 < found.n_events["root/g"] < 802


# --- ratios and fluorochromes


@pytest.mark.parametrize(
    ("ratio", "values", "wanted"),
    [
        # 2 (x - 1) / (y - 3) on (x, y)
        (Ratio("B", 2.0, 1.0, 3.0), [(5.0, 7.0), (4.0, 7.0)], [True, False]),
        # by zero: infinite, or no number; an open side holds what is infinite
        (Ratio("B"), [(5.0, 0.0), (-5.0, 0.0), (0.0, 0.0), (math.nan, 1.0)], [True] + [False] * 3),
        (Ratio("B", bound_min=3.0), [(-9.0, 1.0), (-5.0, 0.0), (0.0, 0.0)], [True, True, False]),
        (Ratio("B", bound_max=1.0), [(9.0, 1.0)], [False]),
    ],
)
def test_ratios(ratio, values, wanted):
    events = np.zeros((len(values), 6))
    events[:, 2:4] = values
    plan = GatingPlan((rectangle(2.0, None, axis=Axis("A", ratio=ratio)),))
    assert gate(raw_of(events, CHANNELS), plan).mask("root/g").tolist() == wanted


def test_both_sides_of_a_ratio_are_compensated():
    matrix = Spillover(("A", "B"), ("A", "B"), ((1.0, 0.5), (0.0, 1.0)))
    events = np.zeros((1, 6))
    events[0, 2:5] = 100.0, 60.0, 5.0  # B is 10 when compensated
    for compensation, wanted in (("default", 10.0), (UNCOMPENSATED, 100 / 60)):
        axis = Axis("A", None, compensation, Ratio("B"))
        plan = GatingPlan((rectangle(wanted * 0.999, wanted * 1.001, axis=axis),))
        assert gate(raw_of(events, CHANNELS), plan, spillover=matrix).n_events["root/g"] == 1


SPECTRAL = Spillover(("A", "B", "C"), ("x", "B"), ((1.0, 0.5, 0.1), (0.1, 0.5, 1.0)), "panel 7")


def test_fluorochromes_are_unmixed_by_least_squares():
    true = np.random.default_rng(3).normal(1000, 300, (50, 2))
    events = np.random.default_rng(4).normal(0, 20, (50, 6))
    events[:, 2:5] += true @ SPECTRAL.array()
    raw = raw_of(events, CHANNELS)
    wanted = np.linalg.lstsq(SPECTRAL.array().T, events[:, 2:5].T, rcond=None)[0].T
    # as a caller's matrix, under a role, and as a matrix of the plan
    measures = [Measure("root", "dye"), Measure("root", "B")]
    found = gate(
        raw, GatingPlan(()), channels={"dye": "x"}, spillover=SPECTRAL, measures=measures
    ).values
    for k, measure in enumerate(measures):
        np.testing.assert_allclose(found[measure], wanted[:, k], rtol=1e-12)
    axes = (Axis("x", None, "panel"), Axis("A", None, UNCOMPENSATED))
    named = Rectangle("g", "root", axes, (1000.0, 900.0), (None, None))
    plan = GatingPlan((named,), (("panel", SPECTRAL),))
    np.testing.assert_array_equal(
        gate(raw, plan).mask("root/g"), (wanted[:, 0] >= 1000) & (events[:, 2] >= 900)
    )


def test_a_square_matrix_may_name_its_fluorochromes():
    matrix = Spillover(("A", "B"), ("FITC", "PE"), ((1.0, 0.5), (0.0, 1.0)))
    events = np.zeros((1, 6))
    events[0, 2:4] = 100.0, 60.0
    measures = [Measure("root", "PE"), Measure("root", "B")]
    found = gate(raw_of(events, CHANNELS), GatingPlan(()), spillover=matrix, measures=measures)
    assert [found.values[measure].tolist() for measure in measures] == [[10.0], [10.0]]


def test_of_a_roles_names_the_first_that_is_there_counts():
    matrix = Spillover(("A", "B"), ("FITC", "PE"), ((1.0, 0.5), (0.0, 1.0)))
    events = np.zeros((1, 6))
    events[0, 2:4] = 100.0, 60.0
    measure = Measure("root", "dye")
    for names, wanted in ((("A", "PE"), 100.0), (("PE", "A"), 10.0), (("x", "B", "FITC"), 10.0)):
        found = gate(
            raw_of(events, CHANNELS),
            GatingPlan(()),
            channels={"dye": names},
            spillover=matrix,
            measures=[measure],
        )
        assert found.values[measure].tolist() == [wanted]


def test_a_fluorochrome_needs_its_matrix():
    plan = GatingPlan((rectangle(0.0, None, axis=Axis("x", None, UNCOMPENSATED)),))
    with pytest.raises(ChannelError, match="the file has no channel for x"):
        gate(raw_of(np.ones((1, 6)), CHANNELS), plan, spillover=SPECTRAL)
