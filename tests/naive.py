"""The oracle: kernels again in plain, slow, obvious Python."""

from __future__ import annotations

import itertools
import math

# --- density


def bin_counts(values, low, high, n_bins):
    counts = [0.0] * n_bins
    for value in values:
        if low <= value < high:
            counts[min(int((value - low) * (n_bins / (high - low))), n_bins - 1)] += 1.0
    return counts


def bin_counts_2d(x, y, x_low, x_high, y_low, y_high, n_x, n_y):
    grid = []
    for i in range(n_x):
        column = [
            b
            for a, b in zip(x, y, strict=True)
            if x_low <= a < x_high
            and min(int((a - x_low) * (n_x / (x_high - x_low))), n_x - 1) == i
        ]
        grid.append(bin_counts(column, y_low, y_high, n_y))
    return grid


def spread_counts(ordered, low, high, n_bins, reach):
    width = (high - low) / n_bins
    different = sorted(set(ordered))
    counts = [0.0] * n_bins
    for place, value in enumerate(different):
        mass = sum(other == value for other in ordered)
        before = different[place - 1] if place else -math.inf
        after = different[place + 1] if place + 1 < len(different) else math.inf
        begin = value - min(reach, (value - before) / 2)
        end = value + min(reach, (after - value) / 2)
        for k in range(n_bins):
            overlap = min(end, low + (k + 1) * width) - max(begin, low + k * width)
            counts[k] += mass * max(0.0, overlap) / (end - begin)
    return counts


def smooth(counts, sigma):
    if sigma <= 0:
        return list(counts)
    reach = math.ceil(4 * sigma)
    weight = {k: math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)}
    total = sum(weight.values())
    return [
        sum(count * weight.get(k - i, 0.0) / total for i, count in enumerate(counts))
        for k in range(len(counts))
    ]


def smooth_2d(counts, sigma):
    rows = [smooth(row, sigma) for row in counts]
    columns = [smooth(column, sigma) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def local_maxima(density):
    """Middles of the runs of equal, positive values that are higher than what is beside them."""
    runs = [[k for k, _ in run] for _, run in itertools.groupby(enumerate(density), lambda p: p[1])]
    found = []
    for run in runs:
        value = density[run[0]]
        left = density[run[0] - 1] if run[0] else -math.inf
        right = density[run[-1] + 1] if run[-1] + 1 < len(density) else -math.inf
        if value > 0 and left < value > right and len(run) < len(density):
            found.append((run[0] + run[-1]) // 2)
    return found


def lowest_between(density, left, right):
    least = min(density[left : right + 1])
    places = [k for k in range(left, right + 1) if density[k] == least]
    return (places[0] + places[-1]) // 2


def shortest_interval(ordered, n_inside):
    if len(ordered) < n_inside:
        return math.nan, math.nan
    widths = [ordered[k + n_inside - 1] - ordered[k] for k in range(len(ordered) - n_inside + 1)]
    places = [k for k, width in enumerate(widths) if width == min(widths)]
    middle = (places[0] + places[-1]) // 2
    return ordered[middle], ordered[middle + n_inside - 1]
