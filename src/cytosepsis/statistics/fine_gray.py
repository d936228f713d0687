"""Fine and Gray's model of a cumulative incidence, by Cox's model with weights that fall.

Who had a competing event stays at risk, with the probability of not having been censored since:
Fine & Gray 1999, 10.1080/01621459.1999.10474144; by weights: Geskus 2011,
10.1111/j.1541-0420.2010.01420.x. Events come before censorings of the same time, as in R's
`finegray`. The robust variance takes the weights as known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.statistics.weighted_cox import CoxFit, RiskSets, fit_weighted_cox

Numbers = NDArray[np.float64]
CENSORED, EVENT, COMPETING = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Survival:
    """A survival step function: `at(t)` is the share beyond t."""

    times: Numbers
    shares: Numbers

    def at(self, time: Numbers) -> Numbers:
        """The share that survives beyond each time."""
        place = np.searchsorted(self.times, time, side="right")
        return np.concatenate([[1.0], self.shares])[place]

    def before(self, time: Numbers) -> Numbers:
        """The share that survives up to each time, that time excluded."""
        place = np.searchsorted(self.times, time, side="left")
        return np.concatenate([[1.0], self.shares])[place]


def fit_fine_gray(
    time: Numbers,
    status: NDArray[np.int64],
    covariates: Numbers,
    strata: NDArray[np.int64] | None = None,
) -> CoxFit | None:
    """Log subdistribution hazard ratios; None where the likelihood has no maximum.

    Parameters
    ----------
    time : (n,) positive
    status : (n,) 0 censored, 1 the event, 2 a competing event
    covariates : (n, p)
    strata : (n,) baseline hazards of their own, and censoring of their own; None: one
    """
    return fit_weighted_cox(fine_gray_risks(time, status, strata), covariates)


def fine_gray_risks(
    time: Numbers, status: NDArray[np.int64], strata: NDArray[np.int64] | None = None
) -> RiskSets:
    """Risk sets of the subdistribution: who had a competing event stays, with a falling weight."""
    groups = np.zeros(len(time), np.int64) if strata is None else strata
    weights, events = [], []
    for group in np.unique(groups):
        inside = groups == group
        censoring = censoring_curve(time[inside], status[inside])
        remaining = censoring.before(time)
        for moment in np.unique(time[inside & (status == EVENT)]):
            free = censoring.before(np.array([moment]))[0]
            gone = inside & (status == COMPETING) & (time < moment)
            # no share is left only where nobody is under observation any more
            weight = np.where(gone, free / np.where(remaining > 0, remaining, 1.0), 0.0)
            weights.append(np.where(inside & (time >= moment), 1.0, weight))
            events.append(inside & (status == EVENT) & (time == moment))
    shape = (len(weights), len(time))
    return RiskSets(np.array(weights).reshape(shape), np.array(events, dtype=bool).reshape(shape))


def censoring_curve(time: Numbers, status: NDArray[np.int64]) -> Survival:
    """Curve of not being censored (Kaplan-Meier); events leave before censorings of their time."""
    times = np.unique(time[status == CENSORED])
    shares, share = [], 1.0
    for moment in times:
        censored = int(((time == moment) & (status == CENSORED)).sum())
        at_risk = int((time > moment).sum()) + censored
        share *= 1.0 - censored / at_risk
        shares.append(share)
    return Survival(times, np.array(shares))
