"""Hills and their outlines against naive twins, and what they are for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive_gates
from cytosepsis.kernels.density import smooth_2d
from cytosepsis.kernels.hills import hills, reach
from effort import examples

GRIDS = st.integers(2, 6).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 30).map(float), min_size=n, max_size=n), min_size=2, max_size=6
    )
)


@examples(150)
@given(GRIDS, st.sampled_from([0.0, 1.0, 4.0]), st.sampled_from([0.6, 0.9]))
def test_hills_is_its_twin(grid, significant, shallow):
    got = hills(np.array(grid), 1.5, significant, shallow)
    assert got.tolist() == naive_gates.hills(grid, 1.5, significant, shallow)


@examples(60)
@given(GRIDS, st.integers(0, 2**32 - 1))
def test_reach_is_its_twin(grid, seed):
    rng = np.random.default_rng(seed)
    shape = np.array(grid).shape
    inside, beyond = rng.random(shape) < 0.7, rng.random(shape) < 0.2
    got = reach(inside, beyond, 1.0, 1.0, 12, 0.25)
    assert got.tolist() == pytest.approx(naive_gates.reach(inside, beyond, 1.0, 1.0, 12, 0.25))


def test_two_clouds_are_two_hills_and_noise_is_none():
    rng = np.random.default_rng(1)
    counts = np.zeros((64, 64))
    for x, y, n in ((20, 20, 3000), (45, 40, 300)):
        for a, b in rng.normal((x, y), 4, (n, 2)):
            counts[int(np.clip(a, 0, 63)), int(np.clip(b, 0, 63))] += 1
    labels = hills(smooth_2d(counts, 1.6), 1.6, 4.0, 0.9)
    found = {int(v) for v in np.unique(labels) if counts[labels == v].sum() > 30} - {-1}
    assert len(found) == 2
    assert labels[20, 20] != labels[45, 40]


def test_an_empty_grid_has_no_hill():
    assert (hills(np.zeros((5, 4)), 1.5, 4.0, 0.9) == -1).all()
