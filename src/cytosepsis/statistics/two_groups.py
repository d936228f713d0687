"""Mann and Whitney's test of two groups, also within strata (van Elteren), and the shift between.

Exact where the groups are small and nothing is tied; van Elteren 1960 weights a stratum by
1 / (its size + 1).
"""
# ruff: noqa: PLC0415 - scipy.stats is slow to import

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from cytosepsis.statistics.auc import Mask, Numbers, midranks
from cytosepsis.statistics.paired import Shift

# Up to here per group every arrangement is counted.
MAX_EXACT = 50


@dataclass(frozen=True, slots=True)
class RankSum:
    """A test whether one group's values lie above the other's."""

    p_value: float  # two-sided
    method: str  # `exact`, `normal` or `van Elteren`


def rank_sum(
    values: Numbers, events: Mask, strata: NDArray[np.int64] | None = None
) -> RankSum | None:
    """Compare the values of events with the others'; None of one group, or of one value.

    Values of different strata are never compared.
    """
    groups = np.zeros(len(events), np.int64) if strata is None else strata
    kept = [
        (values[here & events], values[here & ~events])
        for here in (groups == group for group in np.unique(groups))
        if (here & events).any() and (here & ~events).any()
    ]
    if not kept or all(len(np.unique(np.concatenate(pair))) == 1 for pair in kept):
        return None
    if len(kept) > 1:
        return RankSum(_van_elteren(kept), "van Elteren")
    from scipy.stats import mannwhitneyu

    cases, others = kept[0]
    both = np.concatenate([cases, others])
    small = min(len(cases), len(others)) <= MAX_EXACT and len(both) <= 4 * MAX_EXACT
    method = "exact" if small and len(np.unique(both)) == len(both) else "normal"
    test = mannwhitneyu(cases, others, method="exact" if method == "exact" else "asymptotic")
    return RankSum(float(test.pvalue), method)


def shift_between(first: Numbers, second: Numbers, level: float = 0.95) -> Shift | None:
    """Median difference first − second (Hodges-Lehmann); None of empty groups.

    The interval is exact up to 50 values a group, else the large-sample one.
    """
    m, n = len(first), len(second)
    if min(m, n) == 0:
        return None
    differences = np.sort((first[:, None] - second[None, :]).ravel())
    estimate, tail = float(np.median(differences)), (1 - level) / 2
    if max(m, n) <= MAX_EXACT:
        cumulative = np.cumsum(_rank_sum_distribution(m, n))
        depth = int(np.searchsorted(cumulative, tail, side="right"))
        attained = 1.0 - 2.0 * float(cumulative[depth - 1]) if depth else 0.0
    else:
        sd = (m * n * (m + n + 1) / 12) ** 0.5
        depth = int(np.floor(m * n / 2 + float(ndtri(tail)) * sd))
        attained = level
    if depth < 1:
        return Shift(estimate, None, None, None)
    return Shift(
        estimate, float(differences[depth - 1]), float(differences[m * n - depth]), attained
    )


def _rank_sum_distribution(m: int, n: int) -> Numbers:
    """Probability of each Mann-Whitney statistic 0 … m·n, by counting with whole numbers."""
    counts = [1] + [0] * (m * n)
    for step in range(1, m + 1):
        for total in range(m * n, n + step - 1, -1):
            counts[total] -= counts[total - n - step]
        for total in range(step, m * n + 1):
            counts[total] += counts[total - step]
    every = sum(counts)
    return np.array([count / every for count in counts])


def _van_elteren(kept: list[tuple[Numbers, Numbers]]) -> float:
    statistic, variance = 0.0, 0.0
    for cases, others in kept:
        m, n = len(cases), len(others)
        ranks = midranks(np.concatenate([cases, others]))
        weight = 1.0 / (m + n + 1)
        statistic += weight * (ranks[:m].sum() - m * (m + n + 1) / 2)
        variance += weight**2 * m * n * ranks.var(ddof=1) / (m + n)
    return float(2.0 * ndtr(-abs(statistic) / variance**0.5))
