"""Cox's partial likelihood where a patient's weight in the risk set changes with time.

What Fine and Gray's model is fitted by (`fine_gray`); with weights of 0 and 1 it is Cox's own.
Ties as Efron, 10.1080/01621459.1977.10480613. Robust variance: Lin & Wei 1989,
10.1080/01621459.1989.10478874. Both as in R's `coxph(weights=, cluster=)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_MAX_STEPS = 40
_TOLERANCE = 1e-10
# A hazard ratio of exp(20) per SD is none: the likelihood has no maximum.
_DIVERGED = 20.0


@dataclass(frozen=True, slots=True)
class RiskSets:
    """Who is at risk at each time of an event, and whose event it is.

    Rows are the distinct times of events in each stratum.
    """

    weights: Numbers  # (n_times, n_patients); 0: not at risk
    events: NDArray[np.bool_]  # (n_times, n_patients); an event has the weight 1


@dataclass(frozen=True, slots=True)
class CoxFit:
    """Log hazard ratios per unit of the covariates."""

    coefficients: Numbers  # (p,)
    covariance: Numbers  # (p, p), inverse information
    robust_covariance: Numbers  # (p, p), sandwich over patients


def fit_weighted_cox(risks: RiskSets, covariates: Numbers) -> CoxFit | None:
    """Maximise the partial likelihood by Newton's method; None where it has no maximum."""
    scale = covariates.std(axis=0)
    if not len(risks.weights) or (scale == 0).any():
        return None
    x = (covariates - covariates.mean(axis=0)) / scale
    ties = _Ties.of(risks)
    beta = np.zeros(x.shape[1])
    state = _state(ties, x, beta)
    for _ in range(_MAX_STEPS):
        try:
            step = np.linalg.solve(state.information, state.score)
        except np.linalg.LinAlgError:
            return None
        tried, new = beta + step, state
        for _ in range(30):  # halve until the likelihood does not fall
            if np.abs(tried).max() > _DIVERGED:
                return None
            new = _state(ties, x, tried)
            if new.likelihood >= state.likelihood - 1e-9:
                break
            step = step / 2
            tried = beta + step
        beta, state = tried, new
        if np.abs(step).max() < _TOLERANCE:
            return _finished(ties, x, beta, state, scale)
    return None


@dataclass(frozen=True, slots=True)
class _Ties:
    """One row per event: its time's risk set, and how much of its ties has left (Efron)."""

    risks: RiskSets
    row: NDArray[np.intp]  # (n_events,) row of the risk sets
    share: Numbers  # (n_events,) of the tied events that has left
    n_tied: NDArray[np.intp]  # (n_events,)
    of_patient: NDArray[np.intp]  # (n_events,) whose event

    @classmethod
    def of(cls, risks: RiskSets) -> _Ties:
        row, patient = np.nonzero(risks.events)
        counts = risks.events.sum(axis=1)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        n_tied = counts[row]
        share = (np.arange(len(row)) - first[row]) / n_tied
        return cls(risks, row, share, n_tied, patient)


@dataclass(frozen=True, slots=True)
class _State:
    likelihood: float
    score: Numbers
    information: Numbers
    total: Numbers  # (n_events,) weighted risk of the risk set
    mean: Numbers  # (n_events, p) weighted mean of the covariates in it


def _state(ties: _Ties, x: Numbers, beta: Numbers) -> _State:
    n, p = x.shape
    risk = np.exp(x @ beta)
    squares = (x[:, :, None] * x[:, None, :]).reshape(n, p * p)
    sums = np.column_stack([np.ones(n), x, squares]) * risk[:, None]
    at_risk = ties.risks.weights @ sums
    dying = ties.risks.events @ sums
    left = at_risk[ties.row] - ties.share[:, None] * dying[ties.row]
    total = left[:, 0]
    mean = left[:, 1 : p + 1] / total[:, None]
    second = (left[:, p + 1 :] / total[:, None]).sum(axis=0).reshape(p, p)
    own = x[ties.of_patient]
    return _State(
        likelihood=float((own @ beta).sum() - np.log(total).sum()),
        score=(own - mean).sum(axis=0),
        information=second - mean.T @ mean,
        total=total,
        mean=mean,
    )


def _finished(
    ties: _Ties, x: Numbers, beta: Numbers, state: _State, scale: Numbers
) -> CoxFit | None:
    try:
        covariance = np.linalg.inv(state.information)
    except np.linalg.LinAlgError:
        return None
    residuals = _score_residuals(ties, x, beta, state)
    robust = covariance @ (residuals.T @ residuals) @ covariance
    unit = np.outer(scale, scale)
    return CoxFit(beta / scale, covariance / unit, robust / unit)


def _score_residuals(ties: _Ties, x: Numbers, beta: Numbers, state: _State) -> Numbers:
    """Score residual of each patient, (n, p)."""
    residuals = np.zeros_like(x)
    mean_of_ties = np.zeros((len(ties.risks.weights), x.shape[1]))
    np.add.at(mean_of_ties, ties.row, state.mean / ties.n_tied[:, None])
    np.add.at(residuals, ties.of_patient, x[ties.of_patient] - mean_of_ties[ties.row])
    hazard = 1.0 / state.total
    part = ties.risks.weights[ties.row] - ties.share[:, None] * ties.risks.events[ties.row]
    risk = np.exp(x @ beta)
    cumulative = part.T @ np.column_stack([hazard, hazard[:, None] * state.mean])
    residuals -= risk[:, None] * (x * cumulative[:, :1] - cumulative[:, 1:])
    return residuals
