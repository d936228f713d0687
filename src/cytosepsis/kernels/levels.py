"""Levels along an acquisition: where they change, and how far they leave the usual one.

Series stand in rows, so that loops over the bins of one run over neighbours in memory.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import kernel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@kernel
def segments(levels: Floats, weights: Floats, penalty: float) -> Ints:
    """First bins of the segments of constant level, by exact minimisation.

    Minimises the weighted squares about each segment's means plus `penalty` per segment (optimal
    partitioning: Jackson 2005, 10.1109/LSP.2001.838216). Of equally good partitions the one whose
    last segment begins first.

    Parameters
    ----------
    levels : (n_series, n_bins), finite
    weights : (n_series,), of each series' squares

    Returns
    -------
    int64 (n_segments,), ascending, the first 0; empty of no bins
    """
    n_series, n = levels.shape
    sums = np.zeros((n_series, n + 1))
    for s in range(n_series):
        scale = math.sqrt(weights[s])
        for k in range(n):
            sums[s, k + 1] = sums[s, k] + scale * levels[s, k]
    # Of a segment's squares about its mean, the squares about zero are the same in any partition:
    # left out, and so are divisions, by a table that is read from its place n - stop on.
    shares = np.empty(n)
    for k in range(n):
        shares[k] = 1.0 / (n - k)
    best = np.zeros(n + 1)
    cost = np.zeros(n)  # with the last segment from each place on
    origin = np.zeros(n + 1, dtype=np.int64)
    for stop in range(1, n + 1):
        for start in range(stop):
            cost[start] = 0.0
        for s in range(n_series):
            row = sums[s]
            till = row[stop]
            for start in range(stop):
                total = till - row[start]
                cost[start] += total * total
        share = shares[n - stop :]
        for start in range(stop):
            cost[start] = best[start] - cost[start] * share[start]
        chosen = _cheapest(cost, stop)
        best[stop] = cost[chosen] + penalty
        origin[stop] = chosen
    return _starts(origin)


@kernel
def class_segments(counts: Ints, penalty: float) -> Ints:
    """First bins of the segments in which events fall in classes at constant odds.

    As `segments`, of minus twice the logarithm of the multinomial likelihood.

    Parameters
    ----------
    counts : (n_classes, n_bins)

    Returns
    -------
    int64 (n_segments,), ascending, the first 0; empty of no bins
    """
    n_classes, n = counts.shape
    # Unsigned, so that no index is tested for being negative; the last row is of all classes.
    before = np.zeros((n_classes + 1, n + 1), dtype=np.uint64)
    for c in range(n_classes):
        for k in range(n):
            before[c, k + 1] = before[c, k] + np.uint64(counts[c, k])
        for k in range(n + 1):
            before[n_classes, k] += before[c, k]
    entropy = np.zeros(int(before[n_classes, n]) + 1)  # 2 k log k
    for k in range(1, entropy.size):
        entropy[k] = 2.0 * k * math.log(k)
    best = np.zeros(n + 1)
    cost = np.zeros(n)  # with the last segment from each place on
    origin = np.zeros(n + 1, dtype=np.int64)
    for stop in range(1, n + 1):
        for start in range(stop):
            cost[start] = best[start]
        for c in range(n_classes + 1):
            row = before[c]
            till = row[stop]
            sign = 1.0 if c == n_classes else -1.0
            for start in range(stop):
                cost[start] += sign * entropy[till - row[start]]
        chosen = _cheapest(cost, stop)
        best[stop] = cost[chosen] + penalty
        origin[stop] = chosen
    return _starts(origin)


@kernel
def class_counts(values: Floats, edges: Ints, borders: Floats) -> Ints:
    """How many values of each bin lie between borders; those that are not finite are left out.

    Parameters
    ----------
    edges : (n_bins + 1,), first value of each bin
    borders : ascending; a value on a border is of the class below

    Returns
    -------
    int64 (n_borders + 1, n_bins)
    """
    n = edges.size - 1
    counts = np.zeros((borders.size + 1, n), dtype=np.int64)
    for k in range(n):
        for value in values[edges[k] : edges[k + 1]]:
            if math.isfinite(value):
                place = 0
                for border in borders:
                    place += value > border
                counts[place, k] += 1
    return counts


@kernel
def rate_segments(events: Ints, seconds: Floats, penalty: float) -> Ints:
    """First bins of the segments in which events arrive at a constant rate.

    As `segments`, of minus twice the logarithm of the likelihood of waiting times at random.

    Parameters
    ----------
    events, seconds : (n_bins,), positive: arrivals, and the time they took

    Returns
    -------
    int64 (n_segments,), ascending, the first 0; empty of no bins
    """
    n = events.size
    arrived = np.zeros(n + 1, dtype=np.int64)
    clock = np.zeros(n + 1)
    for k in range(n):
        arrived[k + 1] = arrived[k] + events[k]
        clock[k + 1] = clock[k] + seconds[k]
    best = np.zeros(n + 1)
    origin = np.zeros(n + 1, dtype=np.int64)
    for stop in range(1, n + 1):
        least = math.inf
        for start in range(stop):
            m = arrived[stop] - arrived[start]
            cost = 2.0 * m * math.log((clock[stop] - clock[start]) / m) + best[start]
            if cost < least:
                least = cost
                origin[stop] = start
        best[stop] = least + penalty
    return _starts(origin)


@kernel
def _cheapest(cost: Floats, n: int) -> int:
    """Place of the least of the first n costs; of equal ones the first."""
    least = cost[0]
    chosen = 0
    for place in range(1, n):
        if cost[place] < least:
            least = cost[place]
            chosen = place
    return chosen


@kernel
def _starts(origin: Ints) -> Ints:
    """The segments' first bins, where `origin` names the last one's of the bins before each."""
    stop = origin.size - 1
    found = np.empty(stop, dtype=np.int64)
    n_found = 0
    while stop > 0:
        stop = int(origin[stop])
        found[n_found] = stop
        n_found += 1
    return found[:n_found][::-1].copy()


@kernel
def departures(levels: Floats, starts: Ints, noise: Floats, sure: float, limit: float) -> Floats:
    """How far each segment lies from the usual level, signed.

    Of a segment's distances that are surely different, by `sure` standard errors, the second
    largest counts; 0 where there are fewer than two. The usual level is that of the segment to
    which the most bins are nearer than `limit`.

    Parameters
    ----------
    levels : (n_series, n_bins), finite; two series or more
    starts : (n_segments,), as `segments` returns them
    noise : (n_series,), standard error of one bin

    Returns
    -------
    float64 (n_segments,)
    """
    n_series, n = levels.shape
    m = starts.size
    lengths = np.empty(m, dtype=np.int64)
    means = np.zeros((m, n_series))
    for j in range(m):
        stop = starts[j + 1] if j + 1 < m else n
        lengths[j] = stop - starts[j]
        for s in range(n_series):
            for k in range(starts[j], stop):
                means[j, s] += levels[s, k]
            means[j, s] /= lengths[j]
    usual = 0
    most = -1
    for i in range(m):
        near = 0
        for j in range(m):
            if abs(_second(means[j], means[i], noise, sure / math.sqrt(lengths[j]))) < limit:
                near += lengths[j]
        if near > most:
            most = near
            usual = i
    level = np.zeros(n_series)
    for j in range(m):
        if abs(_second(means[j], means[usual], noise, sure / math.sqrt(lengths[j]))) < limit:
            for s in range(n_series):
                level[s] += means[j, s] * lengths[j] / most
    sizes = np.empty(m)
    for j in range(m):
        sizes[j] = _second(means[j], level, noise, sure / math.sqrt(lengths[j]))
    return sizes


@kernel
def _second(means: Floats, level: Floats, noise: Floats, sure: float) -> float:
    """Of the surely different distances the second largest, with its sign; else 0."""
    first = 0.0
    second = 0.0
    for s in range(means.size):
        distance = means[s] - level[s]
        if abs(distance) <= sure * noise[s]:
            continue
        if abs(distance) >= abs(first):
            second = first
            first = distance
        elif abs(distance) >= abs(second):
            second = distance
    return second


@kernel
def running_medians(series: Floats, width: int) -> Floats:
    """Median of the `width` (odd) bins about each one; beyond the ends the bins are mirrored.

    Parameters
    ----------
    series : (n_series, n_bins), finite

    Returns
    -------
    float64 (n_series, n_bins)
    """
    n_series, n = series.shape
    half = width // 2
    found = np.empty((n_series, n))
    window = np.empty(width)  # ascending
    for s in range(n_series):
        row = series[s]
        for taken in range(width):
            _settle(window, taken, row[_mirrored(taken - half, n)])
        found[s, 0] = window[half]
        for k in range(1, n):
            left = row[_mirrored(k - 1 - half, n)]
            place = 0
            while window[place] < left:
                place += 1
            while place < width - 1:
                window[place] = window[place + 1]
                place += 1
            _settle(window, width - 1, row[_mirrored(k + half, n)])
            found[s, k] = window[half]
    return found


@kernel
def _settle(window: Floats, place: int, value: float) -> None:
    """Put a value in its place among the first `place` ascending ones."""
    while place > 0 and window[place - 1] > value:
        window[place] = window[place - 1]
        place -= 1
    window[place] = value


@kernel
def _mirrored(place: int, n: int) -> int:
    """A place among n, mirrored at the first and the last of them, which are not repeated."""
    if n == 1:
        return 0
    place = abs(place) % (2 * (n - 1))
    return min(place, 2 * (n - 1) - place)
