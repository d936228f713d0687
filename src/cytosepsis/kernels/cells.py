"""Values counted in cells, and quantiles read from the counts: no logarithm, no sorting.

The cells are the upper bits of a float, as fine as 1/32 of the value; the same cells serve values
of 32 and of 64 bits. A value's place in the order of its kind is an integer, its *key*: the bits,
turned where the value is negative. Integers become vector instructions; a NaN's key lies beyond
those of the infinities.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import borrowing

Ints = NDArray[np.int64]
Words = NDArray[np.int32]
Floats = NDArray[np.float64]

# Cells: the sign, 64 powers of two from 2**-20 on, 5 bits of the mantissa. What is smaller lies in
# the two cells about zero, what is larger in the outermost ones.
BITS = 5
LOWEST = (1023 - 20) << BITS
N_MAGNITUDES = 64 << BITS
N_CELLS = 2 * N_MAGNITUDES
N_GROUPS = N_CELLS >> BITS  # of the cells of one power of two
INFINITE = 0x7FF0000000000000  # key of infinity; of minus infinity it is ~INFINITE
LARGEST = 0x7FFFFFFFFFFFFFFF  # above every key
UNCOUNTED = N_CELLS  # place of what is no number, beside the cells
LANES = 4  # counts of powers of two, side by side: an addition does not wait for the one before it
_SHIFT = 52 - BITS

# The same of values of 32 bits.
_WORD_LOWEST = (127 - 20) << BITS
_WORD_SHIFT = 23 - BITS
_WORD_INFINITE = 0x7F800000
_WORD_LARGEST = 0x7FFFFFFF


def _cell_edges() -> Floats:
    """Lower edge of each cell, and the upper edge of the last: (N_CELLS + 1,)."""
    bits = (np.arange(1, N_MAGNITUDES + 1, dtype=np.int64) + LOWEST) << _SHIFT
    above = bits.view(np.float64)
    return np.concatenate([-above[::-1], [0.0], above])


CELL_EDGES = _cell_edges()


@borrowing
def key_of(bits: int) -> int:
    """Integer of the same order as the float64 of these bits: of a negative one they are turned."""
    return bits ^ ((bits >> 63) & LARGEST)


@borrowing
def key_range(bits: Ints, n: int) -> tuple[int, int]:
    """Least and largest key of the first n of some values."""
    low = LARGEST
    high = -LARGEST
    for k in range(n):
        key = key_of(bits[k])
        low = min(low, key)
        high = max(high, key)
    return low, high


@borrowing
def word_ranges(words: Words, low: Words, high: Words) -> None:
    """Least and largest key of float32 at each place of a group of rows; words has whole rows.

    A group is as long as `low` and `high`. Columns are not taken apart: the loop over places runs
    over neighbours in memory, and `word_range` gathers the places of a column.
    """
    for place in range(low.size):
        low[place] = _WORD_LARGEST
        high[place] = -_WORD_LARGEST - 1
    size = np.uint64(low.size)
    first = np.uint64(0)
    for _ in range(words.size // low.size):
        _widen(words[first : first + size], low, high)
        first += size
    _widen(words[first:], low, high)


@borrowing
def _widen(group: Words, low: Words, high: Words) -> None:
    """Let the ends reach the keys of a group of float32, place by place."""
    for place in range(group.size):
        key = np.int32(group[place] ^ ((group[place] >> 31) & _WORD_LARGEST))
        low[place] = key if key < low[place] else low[place]
        high[place] = key if key > high[place] else high[place]


@borrowing
def word_range(
    low: Words, high: Words, column: int, stride: int, word: Words, value: Floats
) -> tuple[int, int]:
    """Least and largest key, those of float64, of one column of what `word_ranges` has found.

    `word` and `value`, (≥ 1,) each, are scratch.
    """
    least = low[column]
    most = high[column]
    for place in range(column, low.size, stride):
        least = min(least, low[place])
        most = max(most, high[place])
    return _wide_key(least, word, value), _wide_key(most, word, value)


@borrowing
def _wide_key(key: int, word: Words, value: Floats) -> int:
    """The key, as a float64, of the float32 that has a key; `word` and `value` are scratch."""
    word[0] = np.int32(key ^ ((key >> 31) & _WORD_LARGEST))
    value[0] = word.view(np.float32)[0]
    return key_of(value.view(np.int64)[0])


@borrowing
def cell_of(key: int) -> int:
    """The cell that counts a value of this key; infinities lie in the outermost ones."""
    magnitude = key ^ (key >> 63)
    cell = min(max((magnitude >> _SHIFT) - LOWEST, 0), N_MAGNITUDES - 1)
    return N_MAGNITUDES + (cell ^ (key >> 63))


@borrowing
def count(
    bits: Ints,
    first: int,
    stop: int,
    every: int,
    keys: Ints,
    cells: Words,
    counts: Words,
    groups: Words,
) -> None:
    """Count one of `every` so many of some float64, from place `first` to before `stop`.

    counts is (N_CELLS + 1,), groups (LANES, N_GROUPS + 1); keys and cells are scratch.
    """
    n = max(0, -((first - stop) // every))
    place = np.uint64(first)
    for k in range(n):
        keys[k] = bits[place]
        place += np.uint64(every)
    for k in range(n):
        key = key_of(keys[k])
        is_number = ~INFINITE <= key <= INFINITE
        cells[k] = cell_of(key) if is_number else UNCOUNTED
    _add(cells, n, counts, groups)


@borrowing
def count_words(
    words: Words,
    column: int,
    stride: int,
    first: int,
    stop: int,
    every: int,
    picked: Words,
    cells: Words,
    counts: Words,
    groups: Words,
) -> None:
    """Count as `count` does the float32 of one column, where they lie: rows `first` to `stop`."""
    n = max(0, -((first - stop) // every))
    place = np.uint64(first * stride + column)
    step = np.uint64(every * stride)
    for k in range(n):
        picked[k] = words[place]
        place += step
    for k in range(n):
        magnitude = picked[k] & _WORD_LARGEST
        cell = min(max((magnitude >> _WORD_SHIFT) - _WORD_LOWEST, 0), N_MAGNITUDES - 1)
        cell = N_MAGNITUDES + (cell ^ (picked[k] >> 31))
        cells[k] = cell if magnitude <= _WORD_INFINITE else UNCOUNTED
    _add(cells, n, counts, groups)


@borrowing
def _add(cells: Words, n: int, counts: Words, groups: Words) -> None:
    for k in range(n):
        cell = np.uint32(cells[k])
        counts[cell] += np.int32(1)
        groups[k & (LANES - 1), cell >> np.uint32(BITS)] += np.int32(1)


@borrowing
def read_quantiles(counts: Words, groups: Words, probabilities: Floats, out: Floats) -> None:
    """Quantiles of counted values, evenly spread in their cells; NaN of none. Clears the counts.

    `probabilities` ascend, in (0, 1). Values in the two cells about zero are zero. Cells are
    skipped by whole powers of two: most are empty.
    """
    sums = groups[0]
    for lane in range(1, LANES):
        for group in range(N_GROUPS + 1):
            sums[group] += groups[lane, group]
            groups[lane, group] = 0
    total = 0
    for group in range(N_GROUPS):
        total += sums[group]
    group = 0
    before = 0
    for k in range(probabilities.size):
        out[k] = math.nan
        if total == 0:
            continue
        wanted = probabilities[k] * total
        while before + sums[group] < wanted:
            before += sums[group]
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
        if sums[group] > 0:
            sums[group] = 0
            for place in range(group << BITS, (group + 1) << BITS):
                counts[place] = 0
