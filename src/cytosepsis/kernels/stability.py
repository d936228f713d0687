"""What a file's events are like along its acquisition: one pass that fills bins of events.

Memory is that of the bins, whatever the size of the file. The quantiles of a bin come from counts
in cells (`cells`). Loops over all events have no branches, so that the compiler makes vectors of
them; of rows of float32 the ends of all columns are found before any column is taken out.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import borrowing, viewing
from cytosepsis.kernels.cells import (
    INFINITE,
    LARGEST,
    Words,
    count,
    count_words,
    key_of,
    key_range,
    read_quantiles,
    word_range,
    word_ranges,
)
from cytosepsis.kernels.decode import (
    FLOAT32,
    FLOAT32_SWAPPED,
    Bytes,
    Views,
    decode_all,
    seen_as_numbers,
    swap32,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK = 1024  # rows decoded at a time; as many as the scratch of `Views` serves
GROUP = 32  # rows whose ends are found side by side

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
    groups: NDArray[np.int32]  # (n_channels, LANES, N_GROUPS + 1): of each power of two
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
    bits: NDArray[np.uint32]  # (2 * BLOCK,): scratch of `Views`
    numbers: NDArray[np.uint32]  # (BLOCK,): scratch of `Views`
    values: Floats  # (BLOCK,): scratch
    steps: Floats  # (BLOCK,): scratch
    keys: Ints  # (BLOCK,): scratch
    picked: Words  # (BLOCK,): scratch
    cells: Words  # (BLOCK,): scratch
    words: Words  # (BLOCK * n_items,): rows of float32 whose bytes were swapped
    ends: Words  # (2, GROUP * n_items): scratch


@borrowing
def follow(
    track: Track, data: Bytes, code: int, stride: np.uint64, n_rows: int, first: int
) -> None:
    """Take the bytes of a block of rows, the first of which is event `first`, into the bins.

    Blocks come in file order. A bin's quantiles are written when its last event has come.
    """
    # A call that hands on all of `track` copies it: arrays one by one, but where that is rare.
    bits = track.values.view(np.int64)
    views = seen_as_numbers(data, track.bits, track.numbers)
    items: Any = np.int64(stride)
    are_words = code in (FLOAT32, FLOAT32_SWAPPED)
    for start in range(0, n_rows, BLOCK):
        rows = min(BLOCK, n_rows - start)
        begin = first + start
        offset: Any = np.uint64(start) * stride  # a place, unsigned as `decode` wants it
        number = _bin_of(track.edges, begin)
        words = _words(views, code, offset, np.uint64(rows) * stride, track.words)
        if are_words:
            word_ranges(words, track.ends[0], track.ends[1])
        for c in range(track.column.size):
            column = track.column[c]
            item: Any = np.int64(column)
            if are_words:
                low, high = word_range(
                    track.ends[0], track.ends[1], item, items, track.picked, track.values
                )
            else:
                decode_all(views, code, column + offset, stride, rows, track.mask[c], track.values)
                low, high = key_range(bits, rows)
            # A NaN's key lies beyond those of the infinities.
            if low <= track.extremes[c, 0] or high >= min(track.extremes[c, 1], track.top[c]):
                if are_words:
                    decode_all(
                        views, code, column + offset, stride, rows, track.mask[c], track.values
                    )
                limits = (track.top[c], track.above[c])
                _tally(bits, rows, (low, high), limits, track.extremes[c], track.tally[c])
            counts = track.counts[c]
            groups = track.groups[c]
            place = number
            done = 0
            while done < rows:
                stop = min(rows, track.edges[place + 1] - begin)
                counted = done + (-(begin + done)) % track.every
                if are_words:
                    count_words(
                        words,
                        item,
                        items,
                        counted,
                        stop,
                        track.every,
                        track.picked,
                        track.cells,
                        counts,
                        groups,
                    )
                else:
                    count(bits, counted, stop, track.every, track.keys, track.cells, counts, groups)
                if stop == track.edges[place + 1] - begin:
                    read_quantiles(counts, groups, track.probabilities, track.quantiles[place, c])
                    place += 1
                done = stop
        if track.time_column < stride:
            column = track.time_column + offset
            decode_all(views, code, column, stride, rows, track.time_mask, track.values)
            _follow_times(track, rows, begin, number)


@viewing
def _words(views: Views, code: int, first: np.uint64, n: np.uint64, out: Words) -> Words:
    """Stored numbers of 32 bits as integers of this machine's byte order, in out if swapped."""
    words = views.u32[first : first + n]
    if code == FLOAT32_SWAPPED:
        _swap(words, out.view(np.uint32))
        words = out.view(np.uint32)[: words.size]
    return words.view(np.int32)


@borrowing
def _swap(stored: NDArray[np.uint32], out: NDArray[np.uint32]) -> None:
    for place in range(stored.size):
        out[place] = swap32(stored[place])


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
def _follow_times(track: Track, rows: int, begin: int, number: int) -> None:
    """Take the clock of a block, decoded, into its bins, the first of which is `number`."""
    done = 0
    while done < rows:
        stop = min(rows, track.edges[number + 1] - begin)
        _follow_clock(track, track.values[done:stop], begin + done, number)
        number += 1
        done = stop


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
