"""Events that are looked at again for every gate: the same values as from a walk for each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.gating.apply import gate
from cytosepsis.gating.looking import LookedAt
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import ROOT, Axis, GatingPlan, Polygon, Rectangle, axes_of, path_of
from effort import COMPILED, examples
from events import raw_of
from random_plans import CHANNELS, many_rows, plans

# Without the compiler numpy's scalars warn of what compiled code does silently: x / 0 is infinite.
pytestmark = [] if COMPILED else [pytest.mark.filterwarnings("ignore::RuntimeWarning")]


def looked_at(plan, rows):
    """The events of some rows, and the plans that they were walked for."""
    raw, walked = raw_of(rows, CHANNELS), []

    def walk(plan, measures):
        walked.append(plan)
        return gate(raw, plan, measures=measures, spillover="none").values

    return LookedAt(walk, plan), walk, walked


@examples(30)
@given(plans(), st.integers(0, 2**32 - 1))
def test_values_are_those_of_a_walk(plan, seed):
    events, walk, _ = looked_at(plan, many_rows(plan, 40, seed))
    for one in plan:
        axes = axes_of(one) or (Axis("A"),)
        for path in (one.parent, path_of(one)):
            leading = plan.leading_to(path)
            measures = tuple(dict.fromkeys(Measure.on(path, axis) for axis in axes))
            wanted = walk(leading, measures)
            got = events(leading, measures)
            assert all(np.array_equal(got[m], wanted[m], equal_nan=True) for m in measures)


def test_each_axis_is_walked_once_and_no_gate_at_all():
    a, b = Axis("A"), Axis("B")
    plan = GatingPlan(
        (
            Rectangle("left", ROOT, (a,), (None,), (0.0,)),
            Polygon("low", "root/left", a, b, ((-9, -9), (9, -9), (9, 0), (-9, 0))),
        )
    )
    rows = np.random.default_rng(1).normal(size=(20_000, len(CHANNELS)))
    events, _, walked = looked_at(plan, rows)
    low = Measure.on("root/left/low", b)
    n_low = len(events(plan, (low,))[low])
    assert n_low == np.sum((rows[:, 2] < 0) & (rows[:, 3] <= 0))
    assert len(events(plan.leading_to("root/left"), (Measure.on("root/left", a),))) == 1
    assert [len(one.gates) for one in walked] == [0]


def test_axes_told_ahead_are_walked_with_the_first():
    a, b, c = Axis("A"), Axis("B"), Axis("C")
    plan = GatingPlan((Rectangle("left", ROOT, (a,), (None,), (0.0,)),))
    raw = raw_of(np.random.default_rng(2).normal(size=(50, len(CHANNELS))), CHANNELS)
    asked = []

    def walk(plan, measures):
        asked.append([measure.channel for measure in measures])
        return gate(raw, plan, measures=measures, spillover="none").values

    events = LookedAt(walk, plan, ahead=(b, a))
    for axis in (a, b, a, c):
        measure = Measure.on("root/left", axis)
        wanted = gate(raw, plan, measures=(measure,), spillover="none").values[measure]
        assert np.array_equal(events(plan, (measure,))[measure], wanted)
    assert asked == [["A", "B"], ["C"]]
