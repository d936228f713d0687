"""Binned counts in one and two dimensions, Gaussian smoothing, and the modes of a density."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import kernel

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Mask = NDArray[np.bool_]


@kernel
def bin_counts(values: Float, low: float, high: float, n_bins: int) -> Float:
    """Count values in `n_bins` equal bins of [low, high); NaN and values outside are left out.

    Returns float64 (n_bins,), so that it can be smoothed. `low < high` and `n_bins ≥ 1`.
    """
    counts = np.zeros(n_bins)
    scale = n_bins / (high - low)
    for value in values:
        if low <= value < high:
            # rounding can carry a value just below `high` to n_bins
            counts[min(int((value - low) * scale), n_bins - 1)] += 1.0
    return counts


@kernel
def bin_counts_2d(
    x: Float,
    y: Float,
    x_low: float,
    x_high: float,
    y_low: float,
    y_high: float,
    n_x: int,
    n_y: int,
) -> Float:
    """Count pairs in an equal grid; a pair with a NaN or outside on either axis is left out.

    Returns float64 (n_x, n_y); each side is [low, high).
    """
    counts = np.zeros((n_x, n_y))
    x_scale = n_x / (x_high - x_low)
    y_scale = n_y / (y_high - y_low)
    for k in range(x.size):
        if x_low <= x[k] < x_high and y_low <= y[k] < y_high:
            i = min(int((x[k] - x_low) * x_scale), n_x - 1)
            j = min(int((y[k] - y_low) * y_scale), n_y - 1)
            counts[i, j] += 1.0
    return counts


@kernel
def spread_counts(ordered: Float, low: float, high: float, n_bins: int, reach: float) -> Float:
    """Count values in equal bins, each value spread evenly over its quantisation cell.

    The cell of a value reaches half-way to the next different value on either side, at most
    `reach` (> 0). Quantised values give a smooth density instead of a comb; values that are not
    quantised stay where they are, as near as their neighbours.

    Parameters
    ----------
    ordered : (n,) ascending, finite
    low, high : mass that falls outside [low, high) is left out

    Returns
    -------
    float64 (n_bins,), summing to n where every cell lies inside
    """
    counts = np.zeros(n_bins)
    scale = n_bins / (high - low)
    n = ordered.size
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and ordered[stop] == ordered[start]:
            stop += 1
        value = ordered[start]
        left = reach if start == 0 else min(reach, 0.5 * (value - ordered[start - 1]))
        right = reach if stop == n else min(reach, 0.5 * (ordered[stop] - value))
        begin = (value - left - low) * scale
        end = (value + right - low) * scale
        _spread(counts, begin, end, float(stop - start))
        start = stop
    return counts


@kernel
def _spread(counts: Float, begin: float, end: float, mass: float) -> None:
    """Add a mass evenly over [begin, end), in units of bins."""
    n_bins = counts.size
    first = math.floor(begin)
    if end - begin < 1e-9:  # a cell far narrower than a bin
        if 0 <= first < n_bins:
            counts[first] += mass
        return
    density = mass / (end - begin)
    for k in range(max(first, 0), min(math.ceil(end), n_bins)):
        counts[k] += density * (min(end, k + 1.0) - max(begin, float(k)))


@kernel
def smooth(counts: Float, sigma: float) -> Float:
    """Convolve with a Gaussian of `sigma` bins, cut at 4 sigma; beyond the ends is nothing.

    Returns float64 (n_bins,); the mass of bins nearer than 4 sigma to an end is partly lost.
    `sigma` 0 gives a copy.
    """
    if sigma <= 0.0:
        return counts.copy()
    weights = _gaussian(sigma)
    n = counts.size
    reach = weights.size - 1
    out = np.zeros(n)
    for i in range(n):
        if counts[i] == 0.0:
            continue
        for k in range(max(0, i - reach), min(n, i + reach + 1)):
            out[k] += counts[i] * weights[abs(k - i)]
    return out


@kernel
def smooth_2d(counts: Float, sigma: float) -> Float:
    """Convolve a grid with a round Gaussian of `sigma` bins, as `smooth` along each axis."""
    if sigma <= 0.0:
        return counts.copy()
    weights = _gaussian(sigma)
    reach = weights.size - 1
    n_x, n_y = counts.shape
    rows = np.zeros((n_x, n_y))
    out = np.zeros((n_x, n_y))
    # The longest loops are inside, over neighbours in memory: they become vector instructions.
    for i in range(n_x):
        for k in range(-reach, reach + 1):
            weight = weights[abs(k)]
            for j in range(max(0, -k), min(n_y, n_y - k)):
                rows[i, j + k] += weight * counts[i, j]
    for i in range(n_x):
        for k in range(max(0, i - reach), min(n_x, i + reach + 1)):
            weight = weights[abs(k - i)]
            for j in range(n_y):
                out[k, j] += weight * rows[i, j]
    return out


@kernel
def _gaussian(sigma: float) -> Float:
    """Half of a normalised Gaussian kernel, centre first."""
    reach = math.ceil(4.0 * sigma)
    weights = np.empty(reach + 1)
    total = 0.0
    for k in range(reach + 1):
        weights[k] = math.exp(-0.5 * (k / sigma) ** 2)
        total += weights[k] if k == 0 else 2.0 * weights[k]
    return weights / total


@kernel
def connected_regions(inside: Mask) -> Int:
    """Number the regions of cells (n_x, n_y) that touch by an edge or a corner; 0 is outside.

    From 1, by their first cells row by row, as `scipy.ndimage.label` does: of which the import
    would be a fifth of a worker's start.
    """
    n_x, n_y = inside.shape
    labels = np.zeros((n_x, n_y), dtype=np.int64)
    waiting = np.empty((n_x * n_y, 2), dtype=np.int64)
    n_regions = 0
    for x in range(n_x):
        for y in range(n_y):
            if not inside[x, y] or labels[x, y] != 0:
                continue
            n_regions += 1
            labels[x, y] = n_regions
            waiting[0, 0], waiting[0, 1] = x, y
            n_waiting = 1
            while n_waiting > 0:
                n_waiting -= 1
                i, j = waiting[n_waiting, 0], waiting[n_waiting, 1]
                for a in range(max(i - 1, 0), min(i + 2, n_x)):
                    for b in range(max(j - 1, 0), min(j + 2, n_y)):
                        if inside[a, b] and labels[a, b] == 0:
                            labels[a, b] = n_regions
                            waiting[n_waiting, 0], waiting[n_waiting, 1] = a, b
                            n_waiting += 1
    return labels


@kernel
def local_maxima(density: Float) -> Int:
    """Indices of local maxima, ascending; of a flat top the middle bin; none of a flat line.

    Beyond the ends the density counts as lower, so an end bin can be a maximum; zero never is.
    """
    n = density.size
    found = np.empty(n, dtype=np.int64)
    n_found = 0
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and density[stop] == density[start]:
            stop += 1
        rises = start == 0 or density[start - 1] < density[start]
        falls = stop == n or density[stop] < density[start]
        if rises and falls and density[start] > 0.0 and stop - start < n:
            found[n_found] = (start + stop - 1) // 2
            n_found += 1
        start = stop
    return found[:n_found].copy()


@kernel
def lowest_between(density: Float, left: int, right: int) -> int:
    """Index of the least value in [left, right]; of several equal ones the middle one.

    The middle, so that of an empty stretch between two modes neither is favoured.
    """
    least = density[left]
    for k in range(left, right + 1):
        least = min(least, density[k])
    first = -1
    last = -1
    for k in range(left, right + 1):
        if density[k] == least:
            if first < 0:
                first = k
            last = k
    return (first + last) // 2


@kernel
def shortest_interval(ordered: Float, n_inside: int) -> tuple[float, float]:
    """Ends of the shortest interval that holds `n_inside` (≥ 1) of some ascending values.

    Of several equally short ones the middle one. NaN, NaN where there are fewer values. Says where
    a peak is and how wide, whatever else lies around it (the shorth: Rousseeuw 1984,
    10.2307/2288718, has half of the values inside).
    """
    n = ordered.size
    if n < n_inside:
        return math.nan, math.nan
    best = math.inf
    first = 0
    last = 0
    for k in range(n - n_inside + 1):
        width = ordered[k + n_inside - 1] - ordered[k]
        if width < best:
            best = width
            first = k
            last = k
        elif width == best:
            last = k
    middle = (first + last) // 2
    return ordered[middle], ordered[middle + n_inside - 1]
