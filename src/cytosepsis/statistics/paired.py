"""Paired differences: exact Wilcoxon signed-rank test, Hodges-Lehmann estimate and interval.

The null distribution is that of all sign changes of the ranks that are there, ties included
(Streitberg & Röhmel 1986); zero differences leave the test (Wilcoxon) and stay in the estimate.
Hollander, Wolfe & Chicken, Nonparametric Statistical Methods, 3rd edition, chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from cytosepsis.statistics.auc import midranks

Numbers = NDArray[np.float64]

# The distribution holds n² numbers; a trial with more pairs takes the normal approximation.
MAX_EXACT = 500


@dataclass(frozen=True, slots=True)
class SignedRank:
    """A signed-rank test of differences."""

    statistic: float  # sum of the ranks of positive differences
    p_value: float  # two-sided
    n: int  # differences that are not zero
    n_zeros: int
    n_ties: int  # differences that share their size with another
    method: str  # `exact` or `normal`


@dataclass(frozen=True, slots=True)
class Shift:
    """A Hodges-Lehmann estimate; the interval is None where n is too small for its level."""

    estimate: float
    low: float | None
    high: float | None
    confidence: float | None  # attained by the interval: at least what was asked for


def signed_rank(differences: Numbers) -> SignedRank | None:
    """Test whether differences lie symmetrically about 0; None where all are zero, or none is."""
    kept = differences[differences != 0.0]
    n_zeros = len(differences) - len(kept)
    if len(kept) == 0:
        return None
    ranks = midranks(np.abs(kept))
    statistic = float(ranks[kept > 0].sum())
    _, counts = np.unique(ranks, return_counts=True)
    n_ties = int(counts[counts > 1].sum())
    if len(kept) > MAX_EXACT:
        p_value = _normal_p(statistic, ranks)
        return SignedRank(statistic, p_value, len(kept), n_zeros, n_ties, "normal")
    # mid-ranks are halves: twice their sum is whole
    doubled = np.rint(2 * ranks).astype(np.int64)
    cumulative = np.cumsum(_distribution(doubled))
    observed = round(2 * statistic)
    below = float(cumulative[observed])
    above = 1.0 - (float(cumulative[observed - 1]) if observed > 0 else 0.0)
    p_value = min(1.0, 2.0 * min(below, above))
    return SignedRank(statistic, p_value, len(kept), n_zeros, n_ties, "exact")


def hodges_lehmann(differences: Numbers, level: float = 0.95) -> Shift | None:
    """Median of the Walsh averages, with the interval that the signed-rank test does not reject.

    The interval's ends are Walsh averages; its level is that of the test without ties, which ties
    make conservative.
    """
    n = len(differences)
    if n == 0:
        return None
    first, second = np.triu_indices(n)
    walsh = np.sort((differences[first] + differences[second]) / 2.0)
    estimate = float(np.median(walsh))
    tail = (1.0 - level) / 2.0
    if n > MAX_EXACT:
        mean, sd = n * (n + 1) / 4, (n * (n + 1) * (2 * n + 1) / 24) ** 0.5
        depth = int(np.floor(mean + float(ndtri(tail)) * sd))
        attained = 1.0 - 2.0 * float(ndtr((depth - mean) / sd))
    else:
        cumulative = np.cumsum(_distribution(np.arange(1, n + 1)))
        # the largest count of averages that may be left out at each end
        depth = int(np.searchsorted(cumulative, tail, side="right"))
        if depth == 0:
            return Shift(estimate, None, None, None)
        attained = 1.0 - 2.0 * float(cumulative[depth - 1])
    return Shift(estimate, float(walsh[depth - 1]), float(walsh[len(walsh) - depth]), attained)


def _distribution(ranks: NDArray[np.int64]) -> Numbers:
    """Probability of each sum of ranks when each takes part with probability one half."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    reached = 0
    for rank in ranks:
        step = int(rank)
        shifted = chances[: reached + 1] / 2.0
        chances[: reached + 1] = shifted
        chances[step : step + reached + 1] += shifted
        reached += step
    return chances


def _normal_p(statistic: float, ranks: Numbers) -> float:
    mean, variance = ranks.sum() / 2.0, float((ranks**2).sum()) / 4.0
    distance = max(0.0, abs(statistic - mean) - 0.5)  # correction of continuity
    return float(2.0 * ndtr(-distance / variance**0.5))
