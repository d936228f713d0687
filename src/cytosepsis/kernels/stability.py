"""What a file's events are like along its acquisition: one pass that fills bins of events.

Memory is that of the bins, whatever the size of the file. The quantiles of a bin come from counts
in cells as fine as 1/32 of the value, which are the upper bits of a float64: no logarithm, no
sorting. Loops over all events have no branches, so that the compiler makes vectors of them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import borrowing
from cytosepsis.kernels.decode import Views, decode_all

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK = 1024  # rows decoded at a time; as many as the scratch of `Views` serves

# Cells: the sign, 64 powers of two from 2**-20 on, 5 bits of the mantissa. What is smaller lies in
# the two cells about zero, what is larger in the outermost ones.
BITS = 5
LOWEST = (1023 - 20) << BITS
N_MAGNITUDES = 64 << BITS
N_CELLS = 2 * N_MAGNITUDES
N_GROUPS = N_CELLS >> BITS  # of the cells of one power of two
INFINITE = 0x7FF0000000000000  # key of infinity; of minus infinity it is ~INFINITE
LARGEST = 0x7FFFFFFFFFFFFFFF  # above every key
_SHIFT = 52 - BITS
_UNCOUNTED = N_CELLS  # place of what is no number, beside the cells


def _cell_edges() -> Floats:
    """Lower edge of each cell, and the upper edge of the last: (N_CELLS + 1,)."""
    bits = (np.arange(1, N_MAGNITUDES + 1, dtype=np.int64) + LOWEST) << _SHIFT
    above = bits.view(np.float64)
    return np.concatenate([-above[::-1], [0.0], above])


CELL_EDGES = _cell_edges()

# Columns of `tally`.
N_NAN = 0
N_TOP = 1  # at or above the top of the scale
N_ABOVE = 2  # beyond what the scale can hold
N_AT_LEAST = 3  # of exactly the least value
N_AT_MOST = 4  # of exactly the largest value

# Places in `clock` and `ticks`.
LATEST, EARLIEST, BEFORE, TICK, FALL = 0, 1, 2, 3, 4
N_TIMED, N_BACKWARD, N_RESTARTS = 0, 1, 2


class Track(NamedTuple):
    """What is followed, and where it is written; channels are columns of the file."""

    edges: Ints  # (n_bins + 1,): first event of each bin
    # channels
    column: NDArray[np.uint64]
    mask: Ints
    top: Ints  # key at and above which a detector is saturated; LARGEST: not known
    above: Ints  # key beyond which $PnR is not this scale's limit; LARGEST: not known
    # of the bin in hand, zero between bins; the last place is of what is no number
    counts: NDArray[np.int32]  # (n_channels, N_CELLS + 1): of each cell
    groups: NDArray[np.int32]  # (n_channels, N_GROUPS + 1): of each power of two
    probabilities: Floats
    quantiles: Floats  # (n_bins, n_channels, n_probabilities)
    extremes: Ints  # (n_channels, 2): keys of the least and largest value
    tally: Ints  # (n_channels, 5)
    every: int  # one of so many events is counted in the bins
    # time; column n_items where there is none
    time_column: np.uint64
    time_mask: int
    start: Floats  # (n_bins,): clock of the first event of a bin
    elapsed: Floats  # (n_bins,): from the last event before the bin to its last event
    gap: Floats  # (n_bins,): longest time between two events that ends in the bin
    gap_event: Ints  # (n_bins,): the event after it
    restart_event: Ints  # (n,): the first event after the clock fell back
    restart_from: Floats  # (n,): the clock before
    restart_to: Floats  # (n,): and after
    clock: Floats  # (5,)
    ticks: Ints  # (3,)
    values: Floats  # (BLOCK,): scratch
    steps: Floats  # (BLOCK,): scratch
    cells: NDArray[np.uint64]  # (BLOCK,): scratch


@borrowing
def follow(
    track: Track, views: Views, code: int, stride: np.uint64, n_rows: int, first: int
) -> None:
    """Take a block of rows, the first of which is event `first`, into the bins.

    Blocks come in file order. A bin's quantiles are written when its last event has come.
    """
    # A call that hands on all of `track` copies it: arrays one by one, but where that is rare.
    bits = track.values.view(np.int64)
    for start in range(0, n_rows, BLOCK):
        rows = min(BLOCK, n_rows - start)
        begin = first + start
        offset: Any = np.uint64(start) * stride  # a place, unsigned as `decode` wants it
        number = _bin_of(track.edges, begin)
        for c in range(track.column.size):
            column = track.column[c] + offset
            decode_all(views, code, column, stride, rows, track.mask[c], track.values)
            low, high = _range(bits, rows)
            # A NaN's key lies beyond those of the infinities.
            if low <= track.extremes[c, 0] or high >= min(track.extremes[c, 1], track.top[c]):
                limits = (track.top[c], track.above[c])
                _tally(bits, rows, (low, high), limits, track.extremes[c], track.tally[c])
            counts = track.counts[c]
            groups = track.groups[c]
            place = number
            done = 0
            while done < rows:
                stop = min(rows, track.edges[place + 1] - begin)
                counted = done + (-(begin + done)) % track.every
                _count(bits, counted, stop, track.every, track.cells, counts, groups)
                if stop == track.edges[place + 1] - begin:
                    read_quantiles(counts, groups, track.probabilities, track.quantiles[place, c])
                    place += 1
                done = stop
        if track.time_column < stride:
            column = track.time_column + offset
            decode_all(views, code, column, stride, rows, track.time_mask, track.values)
            done = 0
            while done < rows:
                stop = min(rows, track.edges[number + 1] - begin)
                _follow_clock(track, track.values[done:stop], begin + done, number)
                number += 1
                done = stop


@borrowing
def _bin_of(edges: Ints, event: int) -> int:
    """Number of the bin that an event lies in."""
    low = 0
    high = edges.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if edges[middle] <= event:
            low = middle
        else:
            high = middle
    return low


@borrowing
def key_of(bits: int) -> int:
    """Integer of the same order as the float64 of these bits: of a negative one they are turned."""
    return bits ^ ((bits >> 63) & LARGEST)


@borrowing
def _range(bits: Ints, rows: int) -> tuple[int, int]:
    """Least and largest key of some values."""
    low = LARGEST
    high = -LARGEST
    for k in range(rows):
        key = key_of(bits[k])
        low = min(low, key)
        high = max(high, key)
    return low, high


@borrowing
def cell_of(key: int) -> int:
    """The cell that counts a value of this key; infinities lie in the outermost ones."""
    magnitude = key ^ (key >> 63)
    cell = min(max((magnitude >> _SHIFT) - LOWEST, 0), N_MAGNITUDES - 1)
    return N_MAGNITUDES + (cell ^ (key >> 63))


@borrowing
def _count(
    bits: Ints,
    first: int,
    stop: int,
    every: int,
    cells: NDArray[np.uint64],
    counts: NDArray[np.int32],
    groups: NDArray[np.int32],
) -> None:
    """Count every so many of some values in their cells."""
    n = max(0, -((first - stop) // every))
    keys = cells.view(np.int64)
    place = np.uint64(first)
    for k in range(n):
        keys[k] = bits[place]
        place += np.uint64(every)
    for k in range(n):
        key = key_of(keys[k])
        is_number = ~INFINITE <= key <= INFINITE
        cells[k] = cell_of(key) if is_number else _UNCOUNTED
    for k in range(n):
        counts[cells[k]] += np.int32(1)
        groups[cells[k] >> np.uint64(BITS)] += np.int32(1)


@borrowing
def _tally(
    bits: Ints,
    rows: int,
    reach: tuple[int, int],
    limits: tuple[int, int],
    extremes: Ints,
    tally: Ints,
) -> None:
    """Count what lies at the ends of a channel's scale.

    `reach` are the least and largest key of the values, `limits` the channel's `top` and `above`.
    """
    low, high = reach
    top, above = limits
    if low < ~INFINITE or high > INFINITE:
        low = LARGEST
        high = -LARGEST
        for k in range(rows):
            key = key_of(bits[k])
            if ~INFINITE <= key <= INFINITE:
                low = min(low, key)
                high = max(high, key)
            else:
                tally[N_NAN] += 1
    n_top = 0
    n_above = 0
    n_low = 0
    n_high = 0
    for k in range(rows):
        key = key_of(bits[k])
        is_number = key <= INFINITE
        n_top += is_number & (key >= top)
        n_above += is_number & (key > above)
        n_low += key == low
        n_high += key == high
    tally[N_TOP] += n_top
    tally[N_ABOVE] += n_above
    if low < extremes[0]:
        extremes[0] = low
        tally[N_AT_LEAST] = 0
    if low == extremes[0]:
        tally[N_AT_LEAST] += n_low
    if high > extremes[1]:
        extremes[1] = high
        tally[N_AT_MOST] = 0
    if high == extremes[1]:
        tally[N_AT_MOST] += n_high


@borrowing
def read_quantiles(
    counts: NDArray[np.int32], groups: NDArray[np.int32], probabilities: Floats, out: Floats
) -> None:
    """Quantiles of counted values, evenly spread in their cells; NaN of none. Clears the counts.

    `probabilities` ascend, in (0, 1). Values in the two cells about zero are zero. Cells are
    skipped by whole powers of two: most are empty.
    """
    total = 0
    for group in range(N_GROUPS):
        total += groups[group]
    group = 0
    before = 0
    for k in range(probabilities.size):
        out[k] = math.nan
        if total == 0:
            continue
        wanted = probabilities[k] * total
        while before + groups[group] < wanted:
            before += groups[group]
            group += 1
        place = group << BITS
        below = before
        while below + counts[place] < wanted:
            below += counts[place]
            place += 1
        low = CELL_EDGES[place]
        high = CELL_EDGES[place + 1]
        out[k] = 0.0
        if low != 0.0 and high != 0.0:
            out[k] = low + (wanted - below) / counts[place] * (high - low)
    for group in range(N_GROUPS):
        if groups[group] > 0:
            groups[group] = 0
            for place in range(group << BITS, (group + 1) << BITS):
                counts[place] = 0


@borrowing
def _follow_clock(track: Track, times: Floats, begin: int, number: int) -> None:
    """What passed in a bin, its longest gap, and falls of the clock."""
    clock = track.clock
    ticks = track.ticks
    first = _first_finite(times)
    if math.isnan(first):
        return
    if math.isnan(track.start[number]):
        track.start[number] = first
    if ticks[N_TIMED] == 0:
        clock[LATEST] = first
        clock[EARLIEST] = first
        clock[BEFORE] = first
    steps = track.steps[: times.size]
    if _ascends(times, steps, clock, track.gap, track.gap_event, begin, number):
        track.elapsed[number] += times[-1] - clock[LATEST]
        clock[LATEST] = times[-1]
        clock[BEFORE] = times[-1]
        ticks[N_TIMED] += times.size
    else:
        _follow_disorder(track, times, begin, number)


@borrowing
def _follow_disorder(track: Track, times: Floats, begin: int, number: int) -> None:
    """Do the same event by event, of a clock that falls or is no number in places.

    The clock restarts where it falls back by more than half of what it had run since its last
    start: two files joined, or a counter that was full. Smaller falls are disorder.
    """
    clock = track.clock
    ticks = track.ticks
    latest = clock[LATEST]
    before = clock[BEFORE]
    tick = clock[TICK]
    gap = track.gap[number]
    since = latest  # the clock when counting of `elapsed` began
    n_timed = 0
    n_backward = 0
    for k in range(times.size):
        t = times[k]
        step = t - latest
        if step > 0.0 and step < math.inf:
            tick = min(tick, step)
            if step > gap:
                gap = step
                track.gap_event[number] = begin + k
            latest = t
            before = t
            n_timed += 1
            continue
        if not math.isfinite(t):
            continue
        n_timed += 1
        n_backward += t < before
        before = t
        if -step > 0.5 * (latest - clock[EARLIEST]):
            _note_restart(track, begin + k, latest, t)
            track.elapsed[number] += latest - since
            since = t
            latest = t
        elif step < 0.0:
            clock[FALL] = max(clock[FALL], -step)
            clock[EARLIEST] = min(clock[EARLIEST], t)
    track.elapsed[number] += latest - since
    track.gap[number] = gap
    clock[LATEST] = latest
    clock[BEFORE] = before
    clock[TICK] = tick
    ticks[N_TIMED] += n_timed
    ticks[N_BACKWARD] += n_backward


@borrowing
def _ascends(
    times: Floats,
    steps: Floats,
    clock: Floats,
    gap: Floats,
    gap_event: Ints,
    begin: int,
    number: int,
) -> bool:
    """Whether the clock never falls, as it mostly does; then note its least and largest step.

    Steps are compared by their bits, which are in order where no step is below zero: compilers make
    vectors of the least integer, not of the least float64.
    """
    steps[0] = times[0] - clock[LATEST]
    for k in range(1, times.size):
        steps[k] = times[k] - times[k - 1]
    bits = steps.view(np.int64)
    least = LARGEST
    most = 0
    tick = LARGEST
    for k in range(bits.size):
        step = bits[k]
        least = min(least, step)
        most = max(most, step)
        tick = min(tick, step if step > 0 else LARGEST)
    if least < 0 or most >= INFINITE:
        return False
    known = clock.view(np.int64)
    known[TICK] = min(known[TICK], tick)
    if most > gap.view(np.int64)[number]:
        k = 0
        while bits[k] < most:
            k += 1
        gap[number] = steps[k]
        gap_event[number] = begin + k
    return True


@borrowing
def _note_restart(track: Track, event: int, before: float, after: float) -> None:
    """Note that the clock begins again; of very many restarts only the first."""
    number = track.ticks[N_RESTARTS]
    if number < track.restart_event.size:
        track.restart_event[number] = event
        track.restart_from[number] = before
        track.restart_to[number] = after
    track.ticks[N_RESTARTS] += 1
    track.clock[EARLIEST] = after


@borrowing
def _first_finite(values: Floats) -> float:
    for value in values:
        if math.isfinite(value):
            return value
    return math.nan
