"""The mixture of t-distributions against its naive twin, and against what was drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_t

import naive_gates
from cytosepsis.kernels.mixture import t_heights, t_mixture
from effort import COMPILED, examples

AREA = 1000.0
START = np.array([[0.6, 0.0, 0.0, 4.0, 0.5, 4.0, 20.0], [0.3, 8.0, 6.0, 4.0, -0.5, 2.0, 8.0]])


@examples(40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_t_mixture_is_its_twin(seed, n_steps):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(4, 5, 25), rng.normal(3, 4, 25)
    counts = rng.integers(1, 30, 25).astype(float)
    got, share, steps = t_mixture(x, y, counts, START, 0.25, AREA, n_steps, -np.inf)
    clouds, background = START.tolist(), 1 - START[:, 0].sum()
    for _ in range(n_steps):
        clouds, background = naive_gates.mixture_step(x, y, counts, clouds, background, AREA, 0.25)
    assert steps == n_steps
    assert got == pytest.approx(np.array(clouds), rel=1e-4, abs=1e-6)
    assert share.sum(axis=0) == pytest.approx(np.ones(25))


def test_every_step_makes_the_events_likelier():
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(0, 2, 60), rng.normal(9, 2, 30)])
    y = np.concatenate([rng.normal(0, 2, 60), rng.normal(7, 2, 30)])
    counts = np.ones(90)
    before = -np.inf
    for n_steps in range(1, 8):
        clouds, _, _ = t_mixture(x, y, counts, START, 0.25, AREA, n_steps, -np.inf)
        background = max(1e-9, 1 - clouds[:, 0].sum())
        now = naive_gates.mixture_likelihood(x, y, counts, clouds, background, AREA)
        assert now >= before - 1e-6
        before = now


@examples(40)
@given(st.integers(0, 2**32 - 1))
def test_heights_are_those_of_the_t_distribution(seed):
    rng = np.random.default_rng(seed)
    places = rng.normal(4, 6, (20, 2))
    heights = t_heights(START, places[:, 0].copy(), places[:, 1].copy())
    for cloud, got in zip(START, heights, strict=True):
        weight, x, y, xx, xy, yy, freedom = cloud
        wanted = multivariate_t((x, y), [[xx, xy], [xy, yy]], df=freedom).pdf(places)
        assert got == pytest.approx(weight * wanted, rel=1e-9)


@pytest.mark.skipif(not COMPILED, reason="thousands of events take minutes without the compiler")
def test_what_was_drawn_is_found():
    rng = np.random.default_rng(4)
    n = 4000
    first = (
        rng.multivariate_normal((0, 0), [[4, 1], [1, 3]], n)
        / np.sqrt(rng.chisquare(5, n) / 5)[:, None]
    )
    second = rng.multivariate_normal((12, 10), [[2, -0.5], [-0.5, 2]], n // 4)
    events = np.concatenate([first, second])
    clouds, _, steps = t_mixture(
        events[:, 0].copy(), events[:, 1].copy(), np.ones(len(events)), START, 0.01, AREA, 500, 1e-6
    )
    assert steps < 500
    assert clouds[:, 0] == pytest.approx([0.8, 0.2], abs=0.01)
    assert clouds[0, 1:6] == pytest.approx([0, 0, 4, 1, 3], abs=0.3)
    assert clouds[1, 1:6] == pytest.approx([12, 10, 2, -0.5, 2], abs=0.3)
    assert clouds[0, 6] == pytest.approx(5, abs=1)
    assert clouds[1, 6] > 15
