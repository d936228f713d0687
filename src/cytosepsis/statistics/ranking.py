"""Which marker discriminates best, and how often it still does when patients are drawn again.

Strength is |AUC − ½|: the sign says which values go with the event, not how well they tell. Each
resample draws patients within the classes and ranks all markers on the same patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.statistics.auc import Mask, Numbers


@dataclass(frozen=True, slots=True)
class Rank:
    """The place of one marker among those compared."""

    marker: str
    rank: int  # from 1, on the data as they are
    strength: float  # |AUC − ½|
    first: float  # share of resamples in which it is first; shared firsts count in part
    low: int  # 95 % interval of its rank in the resamples
    high: int


def rank_markers(
    values: Mapping[str, Numbers],
    events: Mask,
    strata: NDArray[np.int64],
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> tuple[Rank, ...]:
    """Rank markers, the strongest first; NaN is a missing value. Markers without both classes: out.

    Every marker is judged on the patients who have it, pairs within strata only.
    """
    counts = _resampled(events, strata, rng, resamples)
    weights = np.vstack([np.ones((1, len(events))), counts])
    strengths, names = [], []
    for name, own in values.items():
        strength = _strength(own, events, strata, weights)
        if np.isfinite(strength[0]):
            names.append(name)
            strengths.append(np.nan_to_num(strength, nan=-1.0))
    if not names:
        return ()
    table = np.array(strengths)  # (n_markers, 1 + resamples)
    best = table[:, 1:].max(axis=0)
    leads = table[:, 1:] == best
    first = (leads / leads.sum(axis=0)).mean(axis=1)
    ranks = 1 + (table[:, None, :] < table[None, :, :]).sum(axis=1)
    ends = np.quantile(ranks[:, 1:], [0.025, 0.975], axis=1, method="inverted_cdf")
    found = [
        Rank(name, int(ranks[i, 0]), float(table[i, 0]), float(first[i]), int(a), int(b))
        for i, (name, a, b) in enumerate(zip(names, *ends, strict=True))
    ]
    return tuple(sorted(found, key=lambda rank: (rank.rank, names.index(rank.marker))))


def _resampled(
    events: Mask, strata: NDArray[np.int64], rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    """How often each patient is drawn in each resample, (resamples, n); classes keep their size."""
    counts = np.zeros((resamples, len(events)))
    for group in np.unique(strata):
        for event in (True, False):
            place = np.flatnonzero((strata == group) & (events == event))
            if len(place):
                even = np.full(len(place), 1.0 / len(place))
                counts[:, place] = rng.multinomial(len(place), even, size=resamples)
    return counts


def _strength(
    values: Numbers, events: Mask, strata: NDArray[np.int64], weights: NDArray[np.float64]
) -> Numbers:
    """|AUC − ½| under each row of weights; NaN where a class is missing."""
    wins, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    there = np.isfinite(values)
    for group in np.unique(strata):
        inside = np.flatnonzero(there & (strata == group))
        levels, place = np.unique(values[inside], return_inverse=True)
        if not len(levels):
            continue
        cases = _per_level(weights[:, inside] * events[inside], place, len(levels))
        others = _per_level(weights[:, inside] * ~events[inside], place, len(levels))
        below = np.cumsum(others, axis=1) - others / 2
        wins += (cases * below).sum(axis=1)
        pairs += cases.sum(axis=1) * others.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        strengths: Numbers = np.abs(wins / pairs - 0.5)
    return strengths


def _per_level(
    weights: NDArray[np.float64], place: NDArray[np.intp], n_levels: int
) -> NDArray[np.float64]:
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(n_levels))
    summed: NDArray[np.float64] = np.add.reduceat(weights[:, order], starts, axis=1)
    return summed
