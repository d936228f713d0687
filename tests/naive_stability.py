"""The oracle of `kernels.stability` and `kernels.levels`: plain loops, every partition tried."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence


def quantile(values: Sequence[float], probability: float) -> float:
    """The least value that at least this part of the values does not exceed."""
    ordered = sorted(value for value in values if not math.isnan(value))
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(probability * len(ordered)) - 1)]


def cell_edges(value: float) -> tuple[float, float]:
    """The cell about a value: 32 equal ones in every power of two from 2**-20 to 2**43."""
    size = min(abs(value), 2.0**44)
    if size < 2.0**-20 * (1 + 1 / 32):
        return 0.0, 0.0
    power = 2.0 ** min(math.floor(math.log2(size)), 43)
    if power > size:  # rounding of the logarithm
        power /= 2.0
    step = min(int((size / power - 1.0) * 32), 31)
    low, high = power * (1 + step / 32), power * (1 + (step + 1) / 32)
    return (-high, -low) if math.copysign(1.0, value) < 0 else (low, high)


def tally(values: Sequence[float], top: float, above: float) -> dict[str, float]:
    """What lies at the ends of a scale."""
    numbers = [value for value in values if not math.isnan(value)]
    least, most = min(numbers, default=math.inf), max(numbers, default=-math.inf)
    return {
        "n_nan": len(values) - len(numbers),
        "n_top": sum(value >= top for value in numbers),
        "n_above": sum(value > above for value in numbers),
        "least": least,
        "most": most,
        "n_at_least": numbers.count(least),
        "n_at_most": numbers.count(most),
    }


def clock(times: Sequence[float], edges: Sequence[int]) -> dict[str, object]:
    """What a clock shows bin by bin: first reading, time that passed, longest gap, restarts."""
    n_bins = len(edges) - 1
    start = [math.nan] * n_bins
    elapsed, gap, gap_event = [0.0] * n_bins, [0.0] * n_bins, [0] * n_bins
    restarts: list[tuple[int, float, float]] = []
    latest = earliest = before = None
    n_timed = n_backward = 0
    tick, fall = math.inf, 0.0
    for event, t in enumerate(times):
        place = max(b for b in range(n_bins) if edges[b] <= event)
        if not math.isfinite(t):
            continue
        n_timed += 1
        if math.isnan(start[place]):
            start[place] = t
        if latest is None or earliest is None or before is None:
            latest = earliest = before = t
            continue
        n_backward += t < before
        before = t
        step = t - latest
        if step > 0:
            elapsed[place] += step
            tick = min(tick, step)
            if step > gap[place]:
                gap[place], gap_event[place] = step, event
            latest = t
        elif step < 0 and -step > 0.5 * (latest - earliest):
            restarts.append((event, latest, t))
            latest = earliest = t
        elif step < 0:
            fall = max(fall, -step)
            earliest = min(earliest, t)
    return {
        "start": start,
        "elapsed": elapsed,
        "gap": gap,
        "gap_event": gap_event,
        "restarts": restarts,
        "n_timed": n_timed,
        "n_backward": n_backward,
        "tick": tick,
        "fall": fall,
    }


def partition_cost(
    levels: Sequence[Sequence[float]],
    weights: Sequence[float],
    penalty: float,
    starts: Sequence[int],
) -> float:
    """Weighted squares about the means of segments, and the penalty of each."""
    cost = 0.0
    for first, stop in itertools.pairwise([*starts, len(levels)]):
        cost += penalty
        for series, weight in enumerate(weights):
            values = [row[series] for row in levels[first:stop]]
            mean = sum(values) / len(values)
            cost += weight * sum((value - mean) ** 2 for value in values)
    return cost


def best_partition_cost(
    levels: Sequence[Sequence[float]], weights: Sequence[float], penalty: float
) -> float:
    """The least cost of all partitions."""
    return best_of_partitions(
        len(levels), lambda starts: partition_cost(levels, weights, penalty, starts)
    )


def class_cost(counts: Sequence[Sequence[int]], penalty: float, starts: Sequence[int]) -> float:
    """Minus twice the logarithm of the multinomial likelihood, and the penalty of each segment."""
    cost = 0.0
    for first, stop in itertools.pairwise([*starts, len(counts[0])]):
        sums = [sum(row[first:stop]) for row in counts]
        cost += penalty - 2.0 * sum(k * math.log(k / sum(sums)) for k in sums if k)
    return cost


def rate_cost(
    events: Sequence[int], seconds: Sequence[float], penalty: float, starts: Sequence[int]
) -> float:
    """Minus twice the logarithm of the likelihood of exponential waiting times, but a constant."""
    cost = 0.0
    for first, stop in itertools.pairwise([*starts, len(events)]):
        n, time = sum(events[first:stop]), sum(seconds[first:stop])
        cost += penalty - 2.0 * n * math.log(n / time)
    return cost


def best_of_partitions(n_bins: int, cost: Callable[[Sequence[int]], float]) -> float:
    """The least cost of all 2**(n_bins - 1) partitions."""
    inner = range(1, n_bins)
    return min(
        cost([0, *chosen])
        for size in range(n_bins)
        for chosen in itertools.combinations(inner, size)
    )


def class_counts(
    values: Sequence[float], edges: Sequence[int], borders: Sequence[float]
) -> list[list[int]]:
    """How many finite values of each bin lie above so many borders."""
    above = [
        [sum(value > border for border in borders) for value in values[a:b] if math.isfinite(value)]
        for a, b in itertools.pairwise(edges)
    ]
    return [[places.count(k) for places in above] for k in range(len(borders) + 1)]


def departures(
    levels: Sequence[Sequence[float]],
    starts: Sequence[int],
    noise: Sequence[float],
    sure: float,
    limit: float,
) -> list[float]:
    """Of each segment the second largest of the distances from the usual level that are sure."""
    borders = list(itertools.pairwise([*starts, len(levels[0])]))
    means = [[statistics.fmean(row[a:b]) for row in levels] for a, b in borders]

    def away(segment: int, level: Sequence[float]) -> float:
        first, stop = borders[segment]
        distances = []
        for mean, usual, error in zip(means[segment], level, noise, strict=True):
            is_sure = abs(mean - usual) > sure * error / math.sqrt(stop - first)
            distances.append(mean - usual if is_sure else 0.0)
        return sorted(distances, key=abs)[-2]

    def near(level: Sequence[float]) -> list[int]:
        return [k for k in range(len(borders)) if abs(away(k, level)) < limit]

    def n_bins(segments: Sequence[int]) -> int:
        return sum(borders[k][1] - borders[k][0] for k in segments)

    chosen = near(max(means, key=lambda level: n_bins(near(level))))
    usual = [
        sum(means[k][row] * n_bins([k]) for k in chosen) / n_bins(chosen)
        for row in range(len(levels))
    ]
    return [away(k, usual) for k in range(len(borders))]


def running_medians(values: Sequence[float], width: int) -> list[float]:
    """Median about each place of the series and its mirror images, laid end to end."""
    half = width // 2
    there_and_back = [*values, *values[-2:0:-1]]
    wide = [there_and_back[k % len(there_and_back)] for k in range(-half, len(values) + half)]
    return [statistics.median(wide[k : k + width]) for k in range(len(values))]
