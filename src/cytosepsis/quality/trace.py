"""A file's events along its acquisition: quantiles, clock and ends of scale, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import ChannelError
from cytosepsis.fcs import RawEvents
from cytosepsis.gating.row_form import RowForm, row_form
from cytosepsis.kernels import cells, stability
from cytosepsis.kernels.decode import FLOAT32_SWAPPED
from cytosepsis.panel import time_column

MOST_BINS = 200
BIN_EVENTS = 10  # or more
FEWEST_BINS = 20  # of files with fewer events
SHORT_EVENTS = 20_000  # fewer: every value is kept, for bins hold too few to take quantiles of
COUNTED_EVENTS = 500  # of each channel in a bin; of more, one of so many is counted
PROBABILITIES = (0.1, 0.25, 0.5, 0.75, 0.9)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Clock:
    """The file's time, in seconds."""

    start: Floats  # (n_bins,): clock at a bin's first event, counted on across restarts
    elapsed: Floats  # (n_bins,): from the last event before a bin to its last one
    gap: Floats  # (n_bins,): longest time between two events that ends in the bin
    gap_event: Ints  # (n_bins,): the event after it
    tick: float  # the least step; infinite where the clock never moves
    n_timed: int
    n_backward: int  # events before which the clock fell
    fall: float  # largest fall that is no restart
    n_restarts: int
    restart_event: Ints  # of the first restarts
    restart_from: Floats
    restart_to: Floats
    top: float | None  # the largest reading that $PnR allows
    in_seconds: bool  # whether the file says how long a unit of its clock is


@dataclass(frozen=True, slots=True)
class Trace:
    """What a file's events were like along its acquisition; channels as they were asked for."""

    n_events: int
    columns: tuple[int, ...]
    edges: Ints  # (n_bins + 1,): first event of each bin
    quantiles: Floats  # (n_bins, n_channels, 5): stored scale, log amplifiers undone
    least: Floats  # (n_channels,)
    most: Floats
    n_nan: Ints
    n_top: Ints  # at or above the top of the scale that $PnR gives
    n_above: Ints  # so far above it that it is not this scale's top
    n_at_least: Ints
    n_at_most: Ints
    clock: Clock | None
    values: Floats | None  # (n_channels, n_events) of a short file, as the quantiles are

    @property
    def n_bins(self) -> int:
        """Number of bins; 0 of a file without events."""
        return len(self.edges) - 1


class Tracing:
    """A trace in the making: shown every block of a file in file order, whoever reads it."""

    def __init__(self, raw: RawEvents, columns: Sequence[int]) -> None:
        self._raw, self._columns = raw, tuple(columns)
        self._form = row_form(raw)
        try:
            self._timed = time_column(raw.pnn)
        except ChannelError:  # several times of which none is called so: not to be guessed
            self._timed = None
        self._track = _track(raw, self._form, columns, self._timed)
        self._stride = np.uint64(raw.n_parameters)
        self._n_seen = 0
        self._values: list[Floats] = []  # of a short file

    def see(self, block: NDArray[Any]) -> None:
        """Follow the next block, rows in the form of `row_form`; it is not kept."""
        data = block.reshape(-1).view(np.uint8)
        code = self._form.code
        stability.follow(self._track, data, code, self._stride, len(block), self._n_seen)
        self._n_seen += len(block)
        if self._raw.n_events < SHORT_EVENTS:
            self._values.append(_stored(block, self._form, self._columns))

    def trace(self) -> Trace:
        """What was seen, of all blocks."""
        assert self._n_seen == self._raw.n_events, "a part of the file was not shown"
        track, timed = self._track, self._timed
        return Trace(
            n_events=self._raw.n_events,
            columns=self._columns,
            edges=track.edges,
            quantiles=track.quantiles,
            least=_value(track.extremes[:, 0]),
            most=_value(track.extremes[:, 1]),
            n_nan=track.tally[:, stability.N_NAN],
            n_top=track.tally[:, stability.N_TOP],
            n_above=track.tally[:, stability.N_ABOVE],
            n_at_least=track.tally[:, stability.N_AT_LEAST],
            n_at_most=track.tally[:, stability.N_AT_MOST],
            clock=None if timed is None else _clock(self._raw, self._form, track, timed),
            values=np.concatenate(self._values, axis=1) if self._values else None,
        )


def _stored(block: NDArray[Any], form: RowForm, columns: Sequence[int]) -> Floats:
    """Columns of a block as the pass sees them, integers masked: (n_channels, n)."""
    values = block[:, list(columns)]
    if values.dtype.kind == "u":
        values = values.astype(np.int64) & np.array([form.masks[column] for column in columns])
    return np.ascontiguousarray(values.T, dtype=np.float64)


def n_bins_of(n_events: int) -> int:
    """How many bins a number of events is cut into."""
    if n_events < FEWEST_BINS:
        return min(n_events, 1)
    return max(FEWEST_BINS, min(MOST_BINS, n_events // BIN_EVENTS))


def _track(
    raw: RawEvents, form: RowForm, columns: Sequence[int], timed: int | None
) -> stability.Track:
    n_bins, n_channels = n_bins_of(raw.n_events), len(columns)
    swapped = form.code == FLOAT32_SWAPPED
    tops = np.array([_stored_top(raw, form, column) for column in columns])
    unknown = np.isnan(tops)
    return stability.Track(
        edges=np.arange(n_bins + 1, dtype=np.int64) * raw.n_events // max(n_bins, 1),
        column=np.array(columns, dtype=np.uint64),
        mask=np.array([form.masks[column] for column in columns], dtype=np.int64),
        top=np.where(unknown, cells.LARGEST, _key(tops)),
        above=np.where(unknown, cells.LARGEST, _key(1.01 * tops + 1.0)),
        counts=np.zeros((n_channels, cells.N_CELLS + 1), dtype=np.int32),
        groups=np.zeros((n_channels, cells.LANES, cells.N_GROUPS + 1), dtype=np.int32),
        probabilities=np.array(PROBABILITIES),
        quantiles=np.full((n_bins, n_channels, len(PROBABILITIES)), np.nan),
        extremes=np.full((n_channels, 2), cells.LARGEST) * np.array([1, -1]),
        tally=np.zeros((n_channels, 5), dtype=np.int64),
        every=max(1, -(-raw.n_events // max(n_bins * COUNTED_EVENTS, 1))),
        time_column=np.uint64(raw.n_parameters if timed is None else timed),
        time_mask=0 if timed is None else form.masks[timed],
        start=np.full(n_bins, np.nan),
        elapsed=np.zeros(n_bins),
        gap=np.zeros(n_bins),
        gap_event=np.zeros(n_bins, dtype=np.int64),
        restart_event=np.zeros(64, dtype=np.int64),
        restart_from=np.zeros(64),
        restart_to=np.zeros(64),
        clock=np.array([np.nan, np.nan, np.nan, np.inf, 0.0]),
        ticks=np.zeros(3, dtype=np.int64),
        bits=np.empty(2 * stability.BLOCK, dtype=np.uint32),
        numbers=np.empty(stability.BLOCK, dtype=np.uint32),
        values=np.empty(stability.BLOCK),
        steps=np.empty(stability.BLOCK),
        keys=np.empty(stability.BLOCK, dtype=np.int64),
        picked=np.empty(stability.BLOCK, dtype=np.int32),
        cells=np.empty(stability.BLOCK, dtype=np.int32),
        words=np.empty(stability.BLOCK * raw.n_parameters if swapped else 0, dtype=np.int32),
        ends=np.empty((2, stability.GROUP * raw.n_parameters), dtype=np.int32),
    )


def _stored_top(raw: RawEvents, form: RowForm, column: int) -> float:
    """The top of a channel's scale in the numbers that the pass sees; NaN where $PnR is silent."""
    parameter = raw.parameters[column]
    top = parameter.top_of_scale
    if top is None:
        return np.nan
    return top if form.is_linear else top * parameter.applied_gain


def _clock(raw: RawEvents, form: RowForm, track: stability.Track, timed: int) -> Clock:
    unit = 1.0 if form.is_linear else raw.time_step
    n_restarts = int(track.ticks[stability.N_RESTARTS])
    shown = min(n_restarts, len(track.restart_event))
    elapsed = track.elapsed * unit
    # A bin begins `elapsed` after the bin before it began to be counted, at its own first event;
    # without restarts that is what the clock showed.
    first = track.start[np.isfinite(track.start)][:1]
    counted = np.cumsum(elapsed) - elapsed + (first[0] * unit if len(first) else np.nan)
    top = raw.parameters[timed].top_of_scale
    return Clock(
        start=np.where(n_restarts > 0, counted, track.start * unit),
        elapsed=elapsed,
        gap=track.gap * unit,
        gap_event=track.gap_event,
        tick=float(track.clock[stability.TICK]) * unit,
        n_timed=int(track.ticks[stability.N_TIMED]),
        n_backward=int(track.ticks[stability.N_BACKWARD]),
        fall=float(track.clock[stability.FALL]) * unit,
        n_restarts=n_restarts,
        restart_event=track.restart_event[:shown],
        restart_from=track.restart_from[:shown] * unit,
        restart_to=track.restart_to[:shown] * unit,
        top=None if top is None else top * raw.time_step,
        in_seconds="$TIMESTEP" in raw.keywords,
    )


def _key(values: Floats) -> Ints:
    bits = values.view(np.int64)
    return bits ^ ((bits >> 63) & cells.LARGEST)


def _value(keys: Ints) -> Floats:
    bits: Ints = keys ^ ((keys >> 63) & cells.LARGEST)
    return bits.view(np.float64)
