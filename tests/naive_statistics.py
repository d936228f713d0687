"""The statistical methods again, slow and obvious, in plain Python: sums written as defined."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction


def wins(case: float, other: float) -> float:
    """One pair of an AUC."""
    return 1.0 if case > other else 0.5 if case == other else 0.0


def delong(
    markers: Sequence[Sequence[float]], events: Sequence[bool]
) -> tuple[list[float], list[list[float]]]:
    """Areas and their covariance matrix, by the definitions of DeLong et al. 1988."""
    cases = [i for i, event in enumerate(events) if event]
    others = [i for i, event in enumerate(events) if not event]
    m, n = len(cases), len(others)
    v10 = [[sum(wins(x[i], x[j]) for j in others) / n for i in cases] for x in markers]
    v01 = [[sum(wins(x[i], x[j]) for i in cases) / m for j in others] for x in markers]
    areas = [sum(row) / m for row in v10]

    def covariance(a: Sequence[float], b: Sequence[float]) -> float:
        mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
        products = ((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
        return sum(products) / (len(a) - 1)

    k = range(len(markers))
    matrix = [
        [covariance(v10[r], v10[s]) / m + covariance(v01[r], v01[s]) / n for s in k] for r in k
    ]
    return areas, matrix


def signed_rank_p(differences: Sequence[float]) -> float:
    """Exact two-sided p: every choice of signs is tried."""
    kept = [d for d in differences if d != 0]
    sizes = [abs(d) for d in kept]
    ranks = [
        Fraction(sum(s < size for s in sizes) + sum(s <= size for s in sizes) + 1, 2)
        for size in sizes
    ]
    observed = sum(rank for rank, d in zip(ranks, kept, strict=True) if d > 0)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((False, True), repeat=len(kept))
    ]
    below = sum(total <= observed for total in sums)
    above = sum(total >= observed for total in sums)
    return float(min(Fraction(1), Fraction(2 * min(below, above), len(sums))))


def walsh_median(differences: Sequence[float]) -> float:
    """Hodges-Lehmann estimate: median of the means of all pairs, each with itself too."""
    n = len(differences)
    means = sorted((differences[i] + differences[j]) / 2 for i in range(n) for j in range(i, n))
    k = len(means)
    return (means[(k - 1) // 2] + means[k // 2]) / 2


def youden_best(values: Sequence[float], events: Sequence[bool]) -> float:
    """Largest sensitivity + specificity − 1 of calls `value >= cut`."""
    best = -1.0
    for cut in values:
        called = [value >= cut for value in values]
        pairs = list(zip(called, events, strict=True))
        sensitivity = sum(c and e for c, e in pairs) / sum(events)
        specificity = sum(not c and not e for c, e in pairs) / (len(events) - sum(events))
        if not all(called):
            best = max(best, sensitivity + specificity - 1)
    return best


def incidence(time: Sequence[float], status: Sequence[int], until: float) -> float:
    """Aalen-Johansen's cumulative incidence of status 1, step by step."""
    free, cumulated = 1.0, 0.0
    for moment in sorted(set(time)):
        if moment > until:
            break
        at_risk = sum(t >= moment for t in time)
        ones = sum(t == moment and s == 1 for t, s in zip(time, status, strict=True))
        twos = sum(t == moment and s == 2 for t, s in zip(time, status, strict=True))
        cumulated += free * ones / at_risk
        free *= 1 - (ones + twos) / at_risk
    return cumulated


def fine_gray_likelihood(
    time: Sequence[float], status: Sequence[int], x: Sequence[float], beta: float
) -> float:
    """Log partial likelihood of Fine and Gray's model of one covariate; no two times alike."""

    def uncensored_before(moment: float) -> float:
        share = 1.0
        for t, s in zip(time, status, strict=True):
            if t < moment and s == 0:
                share *= 1 - 1 / sum(u >= t for u in time)
        return share

    total = 0.0
    for t, s, own in zip(time, status, x, strict=True):
        if s != 1:
            continue
        risk = 0.0
        for u, v, other in zip(time, status, x, strict=True):
            if u >= t:
                risk += math.exp(beta * other)
            elif v == 2:
                weight = uncensored_before(t) / uncensored_before(u)
                risk += weight * math.exp(beta * other)
        total += beta * own - math.log(risk)
    return total


def van_elteren_u(values: Sequence[float], events: Sequence[bool]) -> float:
    """Mann-Whitney's U of the events."""
    cases = [v for v, e in zip(values, events, strict=True) if e]
    others = [v for v, e in zip(values, events, strict=True) if not e]
    return sum(wins(c, o) for c in cases for o in others)
