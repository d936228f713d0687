"""Kernels that judge series of levels, against their naive twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive_stability as naive
from cytosepsis.kernels import levels
from effort import examples

SERIES = st.integers(1, 2).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(-8, 8).map(float), min_size=n, max_size=n), min_size=1, max_size=9
    )
)


@examples(120)
@given(SERIES, st.floats(0.1, 50.0))
def test_segments_are_the_best_partition(series: list[list[float]], penalty: float) -> None:
    weights = [0.5, 2.0][: len(series[0])]
    got = levels.segments(np.array(series).T, np.array(weights), penalty)
    assert got[0] == 0
    assert np.all(np.diff(got) > 0)
    cost = naive.partition_cost(series, weights, penalty, got.tolist())
    assert cost == pytest.approx(naive.best_partition_cost(series, weights, penalty))


COUNTS = st.integers(1, 3).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 30), min_size=n, max_size=n), min_size=1, max_size=8)
)


@examples(120)
@given(COUNTS, st.floats(0.1, 50.0))
def test_segments_of_classes_are_the_likeliest(counts: list[list[int]], penalty: float) -> None:
    rows = np.array(counts, dtype=np.int64).T
    got = levels.class_segments(np.ascontiguousarray(rows), penalty).tolist()
    cost = naive.class_cost(rows.tolist(), penalty, got)
    best = naive.best_of_partitions(
        len(counts), lambda starts: naive.class_cost(rows.tolist(), penalty, starts)
    )
    assert cost == pytest.approx(best, abs=1e-9)


ARRIVALS = st.lists(st.tuples(st.integers(1, 60), st.floats(0.01, 10.0)), min_size=1, max_size=8)


@examples(120)
@given(ARRIVALS, st.floats(0.1, 50.0))
def test_segments_of_arrivals_are_the_likeliest(
    arrivals: list[tuple[int, float]], penalty: float
) -> None:
    events, seconds = [n for n, _ in arrivals], [t for _, t in arrivals]
    got = levels.rate_segments(np.array(events), np.array(seconds), penalty).tolist()
    cost = naive.rate_cost(events, seconds, penalty, got)
    best = naive.best_of_partitions(
        len(events), lambda starts: naive.rate_cost(events, seconds, penalty, starts)
    )
    assert cost == pytest.approx(best, abs=1e-9)


@examples(100)
@given(
    st.lists(st.integers(-3, 3).map(float) | st.sampled_from([np.nan, np.inf]), max_size=30),
    st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=5).map(sorted),
    st.integers(1, 6),
)
def test_classes_are_counted_as_their_twin_does(
    values: list[float], borders: list[float], n_bins: int
) -> None:
    edges = np.arange(n_bins + 1) * len(values) // n_bins
    got = levels.class_counts(np.array(values, dtype=np.float64), edges, np.array(borders))
    assert got.tolist() == naive.class_counts(values, edges.tolist(), borders)


def test_segments_of_no_bins_are_none() -> None:
    assert levels.segments(np.empty((2, 0)), np.ones(2), 1.0).tolist() == []
    assert levels.class_segments(np.empty((6, 0), dtype=np.int64), 1.0).tolist() == []
    assert levels.rate_segments(np.empty(0, dtype=np.int64), np.empty(0), 1.0).tolist() == []


@examples(150)
@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0.0, 3.0))
def test_departures_are_their_twins(n_series: int, n_bins: int, seed: int, step: float) -> None:
    rng = np.random.default_rng(seed)
    starts = np.flatnonzero(rng.random(n_bins) < 0.3)
    starts = np.unique(np.append(0, starts))
    values = rng.standard_normal((n_series, n_bins)) * 0.05
    for start in starts:
        values[:, start:] += step * rng.standard_normal((n_series, 1))
    noise = rng.uniform(0.01, 0.1, n_series)
    got = levels.departures(values, starts, noise, 4.0, 0.15)
    wanted = naive.departures(values.tolist(), starts.tolist(), noise.tolist(), 4.0, 0.15)
    assert got.tolist() == pytest.approx(wanted)


@examples(150)
@given(
    st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30),
    st.integers(0, 12).map(lambda half: 2 * half + 1),
)
def test_running_medians_are_their_twins(values: list[float], width: int) -> None:
    got = levels.running_medians(np.array([values, values[::-1]]), width)
    wanted = naive.running_medians(values, width)
    assert got.tolist() == [wanted, wanted[::-1]]
