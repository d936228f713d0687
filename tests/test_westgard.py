"""Westgard's rules against hand-made series, one per rule, and against a slow twin."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.analysis.westgard import ChartLimits, Learning, broken_rules, scores, wide_runs

SERIES = {
    # rule: (scores, position → rules that this run breaks); every other run breaks none
    "in control": ([0.5, -0.3, 1.9, -1.9, 0.2, -0.6, 1.2, 0.1], {}),
    "1-2s": ([0.1, -0.4, 2.1, 0.3], {2: ("1-2s",)}),
    "1-2s below": ([0.1, -2.01, 0.3], {1: ("1-2s",)}),
    "on the limit": ([2.0, -2.0, 2.0], {}),
    "1-3s": ([0.2, 3.1, -0.2], {1: ("1-2s", "1-3s")}),
    "1-3s below": ([0.2, -3.2, 0.2], {1: ("1-2s", "1-3s")}),
    "2-2s": ([0.0, 2.2, 2.3, 0.0], {1: ("1-2s",), 2: ("1-2s", "2-2s")}),
    "2-2s needs one side": ([0.0, 2.2, -2.3, 0.0], {1: ("1-2s",), 2: ("1-2s",)}),
    "4-1s": ([-0.5, 1.1, 1.2, 1.5, 1.3, -0.2], {4: ("4-1s",)}),
    "4-1s, three are not enough": ([-0.5, 1.1, 1.2, 1.5, -0.2], {}),
    "4-1s below": ([-1.1, -1.2, -1.5, -1.3], {3: ("4-1s",)}),
    "10x": ([0.3, *[-0.2] * 10, 0.3], {10: ("10x",)}),
    "10x, nine are not enough": ([0.3, *[-0.2] * 9, 0.3], {}),
    "10x, the mean is no side": ([*[0.2] * 9, 0.0], {}),
    "a run without value": ([2.2, None, 2.3], {0: ("1-2s",), 2: ("1-2s", "2-2s")}),
}


@pytest.mark.parametrize("name", SERIES)
def test_each_rule_on_a_hand_made_series(name):
    z, expected = SERIES[name]

    assert broken_rules(z) == tuple(expected.get(i, ()) for i in range(len(z)))


def test_a_wide_range_counts_within_a_run_only():
    within = {"monday": [2.1, -2.0], "tuesday": [0.0, 0.1]}
    between = {"monday": [2.1], "tuesday": [-2.1]}

    assert wide_runs(within) == {"monday"}
    assert wide_runs(between) == frozenset()
    assert wide_runs({"monday": [2.0, -2.0], "tuesday": [None, 3.0]}) == frozenset()


def naive_rules(z):
    found = []
    for position, score in enumerate(z):
        last = [s for s in z[: position + 1] if s is not None]
        rules = ()
        if score is not None:
            for name, n, limit in (("1-2s", 1, 2), ("1-3s", 1, 3), ("2-2s", 2, 2), ("4-1s", 4, 1)):
                tail = last[-n:]
                if len(tail) == n and (
                    all(s > limit for s in tail) or all(s < -limit for s in tail)
                ):
                    rules += (name,)
            tail = last[-10:]
            if len(tail) == 10 and len({math.copysign(1, s) if s else 0 for s in tail}) == 1:
                rules += ("10x",) if tail[0] else ()
        found.append(rules)
    return tuple(found)


@given(st.lists(st.one_of(st.none(), st.floats(-4, 4)), max_size=40))
def test_the_rules_are_those_of_the_slow_twin(z):
    assert broken_rules(z) == naive_rules(z)


def test_limits_are_learned_once_and_never_move():
    rng = np.random.default_rng(5)
    values = list(rng.normal(100, 2, 60))
    learning = Learning(runs=20, provisional_runs=10)
    judged = scores(values, learning)

    assert [limits for _, limits in judged[:10]] == [None] * 10
    assert judged[10][1].provisional
    assert judged[10][1].n_runs == 10
    assert judged[20][1] == judged[59][1]
    assert judged[59][1].mean == pytest.approx(np.mean(values[:20]))
    assert judged[59][1].sd == pytest.approx(np.std(values[:20], ddof=1))
    # a later run, however wild, changes no earlier score
    assert scores([*values, 1e9], learning)[:60] == judged


def test_a_run_that_cannot_be_used_is_judged_but_teaches_nothing():
    values = [*[10.0, 11.0] * 5, 500.0, 10.5, math.nan, 10.2]
    usable = [True] * 10 + [False, True, True, True]
    judged = scores(values, Learning(runs=12, provisional_runs=10), usable=usable)

    assert judged[10][0] > 100
    assert judged[11][1].mean == 10.5
    assert judged[12][0] is None
    assert judged[13][1].provisional  # ten runs and one: not yet twelve


def test_the_labs_own_limits_need_no_learning():
    own = ChartLimits(mean=20_000.0, sd=1_000.0)
    judged = scores([23_500.0, 20_000.0], Learning(), given=[own, None])

    assert judged[0][0] == pytest.approx(3.5)
    assert judged[1] == (None, None)


def test_a_series_that_does_not_vary_has_no_limits():
    assert scores([1.0] * 30, Learning())[-1] == (None, None)
