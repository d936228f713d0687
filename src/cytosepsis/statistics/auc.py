"""Area under the ROC curve with DeLong's variance, also within strata, and paired comparisons.

DeLong, DeLong & Clarke-Pearson 1988, 10.2307/2531595, by the mid-rank algorithm of Sun & Xu 2014,
10.1109/LSP.2014.2337313. Within strata only values of one stratum are compared with each other: the
area is the mean of the strata's areas weighted by their pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A variance over one value is none; a stratum below this takes no part.
MIN_PER_CLASS = 2


@dataclass(frozen=True, slots=True)
class Area:
    """An area under the ROC curve; P(value of an event > value of another), ties count half."""

    auc: float
    variance: float
    n_events: int
    n_others: int
    n_dropped: int = 0  # patients in strata with fewer than two of one class

    @property
    def is_perfect(self) -> bool:
        """Whether the classes do not overlap: DeLong's variance is 0 and says nothing."""
        return self.variance == 0.0

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """DeLong's (Wald) interval, cut at 0 and 1."""
        half = float(ndtri(0.5 + level / 2)) * self.variance**0.5
        return max(0.0, self.auc - half), min(1.0, self.auc + half)

    def p_value(self) -> float | None:
        """Two-sided, of an area of one half; None where the variance is 0."""
        return _two_sided(self.auc - 0.5, self.variance)


@dataclass(frozen=True, slots=True)
class AreaDifference:
    """The areas of two markers of the same patients, and their difference."""

    first: Area
    second: Area
    difference: float  # first − second
    variance: float

    @property
    def z(self) -> float | None:
        """DeLong's statistic; None where the variance is 0."""
        return None if self.variance <= 0.0 else self.difference / self.variance**0.5

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Wald interval of the difference."""
        half = float(ndtri(0.5 + level / 2)) * max(0.0, self.variance) ** 0.5
        return self.difference - half, self.difference + half

    def p_value(self) -> float | None:
        """Two-sided, of no difference; None where the variance is 0."""
        return _two_sided(self.difference, self.variance)


def area(values: Numbers, events: Mask, strata: NDArray[np.int64] | None = None) -> Area | None:
    """Area under the ROC curve; None where no stratum has two of each class.

    Parameters
    ----------
    values : (n,) marker values, no NaN
    events : (n,) whether the patient had the event
    strata : (n,) whole numbers; None: one stratum
    """
    areas = _areas(values[:, None], events, strata)
    return None if areas is None else areas.area(0)


def compare_areas(
    first: Numbers, second: Numbers, events: Mask, strata: NDArray[np.int64] | None = None
) -> AreaDifference | None:
    """Two markers of the same patients; None where no stratum has two of each class."""
    areas = _areas(np.column_stack([first, second]), events, strata)
    if areas is None:
        return None
    one, two = areas.area(0), areas.area(1)
    variance = one.variance + two.variance - 2.0 * float(areas.covariance[0, 1])
    # Two markers that rank alike: what rounding leaves is no variance.
    variance = variance if variance > 1e-15 else 0.0
    return AreaDifference(one, two, one.auc - two.auc, variance)


def roc_points(values: Numbers, events: Mask) -> tuple[Numbers, Numbers, Numbers]:
    """The corners of a ROC curve: high values call the event.

    Parameters
    ----------
    values : (n,) finite
    events : (n,) bool, both classes present

    Returns
    -------
    (thresholds, false positive rates, true positive rates), from the strictest threshold (nobody
    is called; infinite) to the mildest (all are). Called are values from a threshold upwards. A
    point on the straight line between its neighbours is left out.

    """
    levels, place = np.unique(-values, return_inverse=True)
    cases = np.bincount(place[events], minlength=len(levels))
    others = np.bincount(place[~events], minlength=len(levels))
    true = np.concatenate([[0], np.cumsum(cases)])
    false = np.concatenate([[0], np.cumsum(others)])
    thresholds = np.concatenate([[np.inf], -levels])
    # whole numbers: a corner is where the direction changes, exactly
    turn = np.diff(true)[:-1] * np.diff(false)[1:] != np.diff(true)[1:] * np.diff(false)[:-1]
    corner = np.concatenate([[True], turn, [True]])
    return thresholds[corner], (false / false[-1])[corner], (true / true[-1])[corner]


def midranks(values: Numbers) -> Numbers:
    """Ranks from 1, ties sharing their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Numbers = (last - (counts - 1) / 2.0)[place]
    return ranks


@dataclass(frozen=True, slots=True)
class _Areas:
    aucs: Numbers  # (n_markers,)
    covariance: NDArray[np.float64]  # (n_markers, n_markers)
    n_events: int
    n_others: int
    n_dropped: int

    def area(self, index: int) -> Area:
        variance = float(self.covariance[index, index])
        return Area(float(self.aucs[index]), variance, self.n_events, self.n_others, self.n_dropped)


def _areas(values: Numbers, events: Mask, strata: NDArray[np.int64] | None) -> _Areas | None:
    groups = np.zeros(len(events), np.int64) if strata is None else strata
    kept = []
    for group in np.unique(groups):
        here = groups == group
        cases, others = values[here & events], values[here & ~events]
        if min(len(cases), len(others)) >= MIN_PER_CLASS:
            kept.append((cases, others))
    if not kept:
        return None
    pairs = np.array([len(cases) * len(others) for cases, others in kept], np.float64)
    aucs = np.zeros(values.shape[1])
    covariance = np.zeros((values.shape[1], values.shape[1]))
    for weight, (cases, others) in zip(pairs / pairs.sum(), kept, strict=True):
        of_cases, of_others = _placements(cases, others)
        aucs += weight * of_cases.mean(axis=1)
        within = np.atleast_2d(np.cov(of_cases)) / len(cases)
        within = within + np.atleast_2d(np.cov(of_others)) / len(others)
        covariance += weight**2 * within
    n_events = sum(len(cases) for cases, _ in kept)
    n_others = sum(len(others) for _, others in kept)
    dropped = len(events) - n_events - n_others
    return _Areas(aucs, covariance, n_events, n_others, dropped)


def _placements(cases: Numbers, others: Numbers) -> tuple[Numbers, Numbers]:
    """For each case the share of others below it, for each other the share of cases above it."""
    m, n = len(cases), len(others)
    of_cases, of_others = [], []
    for one, two in zip(cases.T, others.T, strict=True):
        together = midranks(np.concatenate([one, two]))
        of_cases.append((together[:m] - midranks(one)) / n)
        of_others.append(1.0 - (together[m:] - midranks(two)) / m)
    return np.array(of_cases), np.array(of_others)


def _two_sided(difference: float, variance: float) -> float | None:
    if variance <= 0.0:
        return None
    return 2.0 * float(ndtr(-abs(difference) / variance**0.5))
