"""ROC curves: scikit-learn's, the area under them DeLong's, and few corners."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytosepsis.statistics.auc import area, roc_points

values_and_events = st.lists(
    st.tuples(st.integers(-5, 5), st.booleans()), min_size=4, max_size=60
).filter(lambda rows: 2 <= sum(event for _, event in rows) <= len(rows) - 2)


@given(values_and_events)
@settings(max_examples=200)
def test_every_point_is_on_the_curve_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    values = np.array([value for value, _ in rows], dtype=np.float64)
    events = np.array([event for _, event in rows])
    thresholds, false, true = roc_points(values, events)
    theirs = metrics.roc_curve(events, values, drop_intermediate=False)
    by_threshold = {t: (x, y) for x, y, t in zip(*theirs, strict=True)}

    for threshold, x, y in zip(thresholds, false, true, strict=True):
        assert by_threshold[threshold] == (x, y)
    # what was left out lies on the line between its neighbours: the area is the same
    assert np.trapezoid(true, false) == pytest.approx(area(values, events).auc)


def test_a_curve_by_hand() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    events = np.array([False, True, False, True])
    thresholds, false, true = roc_points(values, events)

    assert thresholds.tolist() == [np.inf, 4.0, 3.0, 2.0, 1.0]
    assert false.tolist() == [0.0, 0.0, 0.5, 0.5, 1.0]
    assert true.tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]


def test_a_perfect_marker_has_one_corner() -> None:
    _, false, true = roc_points(np.arange(10.0), np.arange(10) > 5)

    assert (false.tolist(), true.tolist()) == ([0.0, 0.0, 1.0], [0.0, 1.0, 1.0])
