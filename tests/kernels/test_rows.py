"""Rows chosen by their digests against the naive twin, and how evenly digests are spread."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from cytosepsis.kernels.rows import take_rows
from effort import examples


@st.composite
def tables(draw):
    kind = draw(st.sampled_from([np.uint8, np.uint32, np.uint64]))
    shape = draw(st.tuples(st.integers(0, 6), st.integers(1, 5)))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)


@examples(100)
@given(tables(), st.integers(0, 2**64 - 1), st.integers(0, 8), st.integers(0, 3))
def test_take_rows_is_its_twin(rows, limit, room, n_before):
    n_before = min(n_before, room)
    out = np.full((room, rows.shape[1]), 7, dtype=rows.dtype)
    n = take_rows(rows, np.uint64(limit), out, n_before)
    wanted = [row for row in rows.tolist() if naive.row_digest(row) < limit]
    if n_before + len(wanted) > room:
        assert n == room + 1
    else:
        assert n == n_before + len(wanted)
        assert out[n_before:n].tolist() == wanted
        assert (out[:n_before] == 7).all()
        assert (out[n:] == 7).all()


@pytest.mark.parametrize("kind", [np.uint32, np.uint64])
def test_choices_are_evenly_spread_over_neighbouring_rows(kind):
    n = 20_000
    rows = np.column_stack([np.arange(n), np.zeros(n), np.full(n, 7)]).astype(kind)
    counts = []
    for share in np.linspace(0, 1, 17)[1:-1]:
        out = np.empty_like(rows)
        counts.append(take_rows(rows, np.uint64(int(share * 2**64)), out, 0))
    parts = np.diff([0, *counts, n])
    assert np.abs(parts / (n / 16) - 1).max() < 0.12  # four standard deviations
