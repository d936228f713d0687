"""Kernels of acquisition quality against their naive twins, through the pass that runs them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive_stability as naive
from cytosepsis.fcs import RawEvents
from cytosepsis.gating.row_form import row_form, walk_blocks
from cytosepsis.kernels import cells
from cytosepsis.quality.trace import PROBABILITIES, Trace, Tracing, n_bins_of
from effort import examples
from events import raw_of

HARD = [0.0, -0.0, 1.0, -1.0, 5e-324, 2.0**-21, 1e300, -1e300, math.nan, math.inf, -math.inf]
VALUES = st.lists(
    st.floats(-1e6, 1e6) | st.sampled_from([*HARD, 262143.0, 262144.0, 300000.0]), min_size=1
)


def trace_events(raw: RawEvents, columns: tuple[int, ...]) -> Trace:
    """A whole file through the pass."""
    tracing = Tracing(raw, columns)
    for block in walk_blocks(raw, row_form(raw)):
        tracing.see(block)
    return tracing.trace()


def traced(values: list[float], times: list[float] | None = None) -> Trace:
    """Trace of one channel, several blocks of the decoder long where the values are many."""
    columns = [values] if times is None else [values, times]
    names = ("FL1-A",) if times is None else ("FL1-A", "Time")
    return trace_events(raw_of(np.column_stack(columns), names), (0,))


@examples(150)
@given(VALUES, st.integers(1, 40))
def test_ends_of_the_scale_are_their_twins(values: list[float], times: int) -> None:
    many = values * times
    got = traced(many)
    top = 262143.0
    wanted = naive.tally(many, top, 1.01 * top + 1.0)
    assert got.n_nan[0] == wanted["n_nan"]
    assert got.n_top[0] == wanted["n_top"]
    assert got.n_above[0] == wanted["n_above"]
    if wanted["n_nan"] < len(many):
        assert got.least[0] == wanted["least"]
        assert got.most[0] == wanted["most"]
        if wanted["least"] != 0.0:  # 0 and -0 are two values to the tally
            assert got.n_at_least[0] == wanted["n_at_least"]
        if wanted["most"] != 0.0:
            assert got.n_at_most[0] == wanted["n_at_most"]


@examples(150)
@given(VALUES, st.integers(1, 40))
def test_quantiles_of_a_bin_lie_in_the_cell_of_the_exact_ones(
    values: list[float], times: int
) -> None:
    many = values * times
    got = traced(many)
    for number in range(got.n_bins):
        inside = many[got.edges[number] : got.edges[number + 1]]
        for k, probability in enumerate(PROBABILITIES):
            wanted = naive.quantile(inside, probability)
            found = got.quantiles[number, 0, k]
            if math.isnan(wanted):
                assert math.isnan(found)
            else:
                low, high = naive.cell_edges(wanted)
                assert low <= found <= high


def test_quantiles_of_many_events_are_near_the_exact_ones() -> None:
    rng = np.random.default_rng(3)
    values = np.where(rng.random(40_000) < 0.3, 20_000.0, 100.0) * np.exp(
        rng.normal(0, 0.4, 40_000)
    )
    got = traced(values.tolist())
    for number in (0, 57, 199):
        exact = np.quantile(values[got.edges[number] : got.edges[number + 1]], PROBABILITIES)
        assert got.quantiles[number, 0] == pytest.approx(exact, rel=0.12)
    assert got.quantiles[:, 0, 2].mean() == pytest.approx(np.median(values), rel=0.02)


def test_of_large_bins_one_of_so_many_events_is_counted() -> None:
    n = 200 * 1_500
    values = np.arange(n, dtype=np.float64) % 1_500
    got = traced(values.tolist())
    assert got.n_bins == 200
    assert got.quantiles[:, 0, 2] == pytest.approx(np.full(200, 750.0), rel=0.02)
    assert got.least[0] == 0.0  # the ends are those of all events
    assert got.n_at_most[0] == 200


ROWS = st.lists(
    st.tuples(*[st.floats(width=32) | st.sampled_from([-0.0, 1e-40, 262143.0, 262144.0, 3e5])] * 3),
    min_size=1,
    max_size=80,
)


@examples(150)
@given(ROWS, st.integers(1, 40), st.sampled_from(["<f4", ">f4"]), st.integers(1, 2_000))
def test_rows_of_32_bits_are_followed_where_they_lie_as_their_doubles_are(
    rows: list[tuple[float, ...]], times: int, kind: str, per_block: int
) -> None:
    stored = np.array(rows * times, dtype=kind)
    names = ("FL1-A", "FL2-A", "FL3-A")
    with np.errstate(invalid="ignore"):
        whole = raw_of(stored.astype(np.float64), names)
    layout = replace(whole.layout, dtype=np.dtype(kind), row_bits=96)
    tracing = Tracing(replace(whole, layout=layout, decoded=None), (2, 0))
    for first in range(0, len(stored), per_block):
        tracing.see(stored[first : first + per_block])
    got, wanted = tracing.trace(), trace_events(whole, (2, 0))
    for part in ("edges", "quantiles", "n_nan", "n_top", "n_above", "n_at_least", "n_at_most"):
        np.testing.assert_array_equal(getattr(got, part), getattr(wanted, part), err_msg=part)
    for part in ("least", "most"):  # of values that are all NaN these are NaNs of some kind
        ours, theirs = getattr(got, part), getattr(wanted, part)
        np.testing.assert_array_equal(ours, theirs, err_msg=part)
        np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs), err_msg=part)


TIMES = st.lists(st.floats(0.0, 100.0) | st.sampled_from([math.nan, math.inf, 0.0]), min_size=1)


@examples(150)
@given(TIMES, st.booleans(), st.integers(1, 30))
def test_the_clock_is_its_twin(times: list[float], ordered: bool, repeats: int) -> None:
    many = sorted(times * repeats, key=lambda t: (math.isnan(t), t)) if ordered else times * repeats
    got = traced([1.0] * len(many), many)
    clock = got.clock
    assert clock is not None
    wanted = naive.clock(many, got.edges.tolist())
    assert clock.n_timed == wanted["n_timed"]
    assert clock.n_backward == wanted["n_backward"]
    assert clock.n_restarts == len(wanted["restarts"])  # type: ignore[arg-type]
    shown = list(zip(clock.restart_event, clock.restart_from, clock.restart_to, strict=True))
    assert shown == wanted["restarts"][:64]  # type: ignore[index]
    assert clock.elapsed == pytest.approx(wanted["elapsed"])
    assert clock.gap.tolist() == wanted["gap"]
    assert clock.gap_event.tolist() == wanted["gap_event"]
    assert clock.tick == wanted["tick"]
    assert clock.fall == wanted["fall"]


def test_edges_of_cells_ascend_and_hold_their_values() -> None:
    edges = cells.CELL_EDGES
    assert len(edges) == cells.N_CELLS + 1
    assert np.all(np.diff(edges) > 0)
    for value in (1.0, -1.0, 262143.0, 3e-7, -2.5e11):
        key = int(np.array([value]).view(np.int64)[0])
        key ^= (key >> 63) & cells.LARGEST
        place = cells.cell_of(key)
        assert edges[place] <= value <= edges[place + 1]


def test_bins_are_as_many_as_the_events_fill() -> None:
    assert [n_bins_of(n) for n in (0, 5, 20, 500, 1_999, 5_000, 20_000, 10**7)] == [
        *(0, 1, 20, 50, 199, 200, 200, 200),
    ]
