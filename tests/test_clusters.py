"""Clusters and densest regions: found where they are, refused where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path

from cytosepsis.gating.clusters import find_cluster, find_densest
from effort import COMPILED, examples

pytestmark = pytest.mark.skipif(not COMPILED, reason="grids take minutes without the compiler")

WHERE = {"centre": (5.0, 5.0), "drift": (2.0, 2.0)}
HOW = {"mass": 0.995, "components": 8, "min_events": 50, "purity": 0.9}


def clouds(n, *, at=(5.0, 5.0), n_cluster=800, seed=1, spread=0.4):
    """A large cloud at the origin, another above it, and a small one: (x, y, is_small)."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.normal((0, 0), 0.6, (n, 2)),
        rng.normal((0.5, 7), 0.6, (n // 2, 2)),
        rng.normal(at, spread, (n_cluster, 2)),
    ]
    events = np.concatenate(parts)
    return events[:, 0], events[:, 1], np.arange(len(events)) >= n + n // 2


def found_in(x, y, by_mixture=True, **changed):
    return find_cluster(x, y, by_mixture=by_mixture, **(WHERE | HOW | changed))


def kept(found, x, y):
    return Path(np.array(found.region.vertices)).contains_points(np.column_stack([x, y]))


@pytest.mark.parametrize("by_mixture", [True, False])
@pytest.mark.parametrize("n_cluster", [100, 800, 20_000])
def test_a_cluster_is_found_whole_and_pure(by_mixture, n_cluster):
    x, y, small = clouds(20_000, n_cluster=n_cluster)
    found = found_in(x, y, by_mixture)
    inside = kept(found, x, y)
    assert found.status == "ok"
    assert inside[small].mean() > (0.97 if n_cluster > 100 else 0.94)
    assert small[inside].mean() > 0.97
    numbers = dict(found.numbers)
    assert numbers["purity"] == pytest.approx(small[inside].mean(), abs=0.03)
    assert numbers["n_cluster"] == pytest.approx(n_cluster, rel=0.05)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"n_cluster": 0}, "few_events"),
        ({"n_cluster": 30}, "few_events"),
        ({"at": (8.0, 5.0)}, "drifted"),
    ],
)
def test_what_is_not_there_is_not_found(changed, status):
    x, y, _ = clouds(20_000, **changed)
    found = found_in(x, y)
    assert (found.status, found.region) == (status, None)


def test_a_shoulder_of_a_large_cloud_is_no_cluster():
    rng = np.random.default_rng(2)
    large = rng.normal(3, 0.6, (20_000, 2))
    events = np.concatenate([large, rng.normal((4, 4), 0.4, (150, 2))])
    assert found_in(*events.T, drift=(1.5, 1.5)).status in ("one_peak", "drifted")


def test_two_clouds_where_one_is_expected_leave_open_which():
    x, y, _ = clouds(20_000, at=(4.0, 4.0))
    more = np.random.default_rng(3).normal((6.4, 6.4), 0.3, (700, 2))
    found = found_in(np.append(x, more[:, 0]), np.append(y, more[:, 1]))
    assert (found.status, found.region) == ("not_converged", None)
    assert "rival_x" in dict(found.numbers)


BAD = {
    "no events": np.empty((0, 2)),
    "one event": np.ones((1, 2)),
    "constant": np.full((500, 2), 5.0),
    "one axis constant": np.column_stack([np.full(500, 5.0), np.linspace(0, 9, 500)]),
    "not a number": np.full((500, 2), np.nan),
    "90 % on one value": np.where(
        (np.arange(2000) % 10 == 0)[:, None], np.random.default_rng(4).normal(5, 1, (2000, 2)), 5.0
    ),
    "huge": np.random.default_rng(5).normal(size=(500, 2)) * 1e300,
    "300 events": np.random.default_rng(6).normal(5, 1, (300, 2)),
}


@pytest.mark.parametrize("events", BAD.values(), ids=BAD.keys())
def test_bad_events_give_a_status(events):
    for found in (
        found_in(*events.T),
        found_in(*events.T, False),
        find_densest(*events.T, fraction=0.8, min_events=100),
    ):
        assert (found.region is not None) == (found.status == "ok")
        assert all(np.isfinite(value) for _, value in found.numbers)


@pytest.mark.parametrize("fraction", [0.3, 0.65, 0.95])
def test_the_densest_part_holds_the_fraction_asked_for(fraction):
    rng = np.random.default_rng(7)
    x, y = rng.multivariate_normal((0, 0), [[4, 1.5], [1.5, 1]], 30_000).T
    found = find_densest(x, y, fraction=fraction, min_events=100)
    assert kept(found, x, y).mean() == pytest.approx(fraction, abs=0.02)
    assert dict(found.numbers)["fraction"] == pytest.approx(fraction, abs=0.03)


def test_one_peak_cannot_hold_what_lies_around_two():
    rng = np.random.default_rng(8)
    x, y = np.concatenate([rng.normal(0, 1, (9000, 2)), rng.normal(20, 1, (9000, 2))]).T
    assert find_densest(x, y, fraction=0.8, min_events=100).status == "not_converged"


@examples(60)
@given(st.integers(0, 2**32 - 1), st.floats(-2, 2), st.floats(-2, 2), st.floats(-20, 20))
def test_a_cluster_moves_with_its_axes_and_no_order_moves_it(seed, log_x, log_y, shift):
    x, y, _ = clouds(3_000, n_cluster=300, seed=seed)
    one = found_in(x, y)
    order = np.random.default_rng(seed).permutation(len(x))
    assert found_in(x[order], y[order]) == one
    a, b = 10.0**log_x, 10.0**log_y
    other = found_in(
        x * a + shift,
        y * b - shift,
        centre=(5 * a + shift, 5 * b - shift),
        drift=(2 * a, 2 * b),
    )
    assert other.status == one.status == "ok"
    moved = np.array(one.region.vertices) * (a, b) + (shift, -shift)
    off = np.abs(np.array(other.region.vertices) - moved) / (a, b)
    # an event on the border of a cell may change it by rounding, and with it a ray by some cells
    assert np.quantile(off, 0.9) < 0.01
