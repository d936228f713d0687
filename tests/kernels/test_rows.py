"""Digests of rows against their naive twin, and how evenly they are spread."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import naive
from cytosepsis.kernels.rows import row_digests
from effort import examples

ROWS = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 2**32 - 1), min_size=n, max_size=n), min_size=1, max_size=6
    )
)


@examples(100)
@given(ROWS)
def test_row_digests_is_its_twin(rows):
    got = row_digests(np.array(rows, dtype=np.uint32))
    assert got.tolist() == [naive.row_digest(row) for row in rows]


def test_digests_are_evenly_spread_over_neighbouring_rows():
    n = 20_000
    rows = np.column_stack([np.arange(n), np.zeros(n), np.full(n, 7)]).astype(np.uint32)
    digests = row_digests(rows)
    assert len(np.unique(digests)) == n
    counts, _ = np.histogram(digests.astype(np.float64), bins=16, range=(0, 2.0**64))
    assert np.abs(counts / (n / 16) - 1).max() < 0.12  # four standard deviations
