"""Time to an event: Kaplan-Meier, log-rank, Cox (statsmodels), cumulative incidences.

Fine and Gray's model, which statsmodels lacks, is in `fine_gray`.
"""
# ruff: noqa: PLC0415 - statsmodels takes a second: imported where a model is fitted

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from cytosepsis.statistics.fine_gray import COMPETING, EVENT, fit_fine_gray

Numbers = NDArray[np.float64]
Strata = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HazardRatio:
    """A hazard ratio per unit of the first covariate."""

    ratio: float
    low: float
    high: float
    p_value: float
    log_ratio: float
    error: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A share over time with a 95 % interval; before the first time it is the start's."""

    times: Numbers
    shares: Numbers
    low: Numbers
    high: Numbers
    at_risk: NDArray[np.int64]


def cox(
    time: Numbers, events: NDArray[np.bool_], covariates: Numbers, strata: Strata | None = None
) -> HazardRatio | None:
    """Cox's model, Efron's ties; None where the likelihood has no maximum.

    A competing event is a censoring here: its hazard ratio is cause-specific.
    """
    if (
        not events.any()
        or np.linalg.matrix_rank(covariates - covariates.mean(axis=0)) < (covariates.shape[1])
    ):
        return None
    from statsmodels.duration.hazard_regression import PHReg

    scale = covariates.std(axis=0)
    x = (covariates - covariates.mean(axis=0)) / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of divergence, which is judged below
        try:
            model = PHReg(time, x, status=events.astype(np.int64), strata=strata, ties="efron")
            fit = model.fit(disp=0)
        except (np.linalg.LinAlgError, ValueError):
            return None
    beta, errors = np.asarray(fit.params), np.asarray(fit.bse)
    # a coefficient of 10 per SD with a huge error is a likelihood that only rises
    if not (np.isfinite(beta).all() and np.isfinite(errors).all()):
        return None
    if np.abs(beta).max() > 10 or errors.max() > 10:
        return None
    return hazard_ratio(float(beta[0] / scale[0]), float(errors[0] / scale[0]))


def fine_gray(
    time: Numbers, status: NDArray[np.int64], covariates: Numbers, strata: Strata | None = None
) -> HazardRatio | None:
    """Subdistribution hazard ratio, robust error; None where the likelihood has no maximum."""
    fit = fit_fine_gray(time, status, covariates, strata)
    if fit is None:
        return None
    error = float(fit.robust_covariance[0, 0]) ** 0.5
    return hazard_ratio(float(fit.coefficients[0]), error) if error > 0 else None


def hazard_ratio(log_ratio: float, error: float, level: float = 0.95) -> HazardRatio:
    """A ratio with Wald's interval and p."""
    half = float(ndtri(0.5 + level / 2)) * error
    return HazardRatio(
        ratio=float(np.exp(log_ratio)),
        low=float(np.exp(log_ratio - half)),
        high=float(np.exp(log_ratio + half)),
        p_value=float(2.0 * ndtr(-abs(log_ratio) / error)),
        log_ratio=log_ratio,
        error=error,
    )


def log_rank(
    time: Numbers, events: NDArray[np.bool_], groups: Strata, strata: Strata | None = None
) -> float | None:
    """p of equal hazards in the groups; None where they are never at risk of an event together."""
    if len(np.unique(groups)) < 2 or not events.any():
        return None
    from statsmodels.duration.survfunc import survdiff

    status = events.astype(np.int64)
    more = {} if strata is None else {"strata": strata}
    try:
        _, p_value = survdiff(time, status, groups, **more)
    except np.linalg.LinAlgError:  # one group has left before the first event
        return None
    return float(p_value)


def kaplan_meier(time: Numbers, events: NDArray[np.bool_]) -> Curve:
    """Share without the event; log interval, as R's `survfit`. Nobody: an empty curve."""
    if not len(time):
        return _empty()
    from statsmodels.duration.survfunc import SurvfuncRight

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where nobody survives
        fit = SurvfuncRight(time, events.astype(np.int64))
    times, shares = np.asarray(fit.surv_times), np.asarray(fit.surv_prob)
    errors = np.asarray(fit.surv_prob_se)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = float(ndtri(0.975)) * errors / shares
        low, high = shares * np.exp(-half), np.minimum(1.0, shares * np.exp(half))
    alive = shares > 0
    return Curve(
        times,
        shares,
        np.where(alive, low, np.nan),
        np.where(alive, high, np.nan),
        np.asarray(fit.n_risk, np.int64),
    )


def cumulative_incidence(time: Numbers, status: NDArray[np.int64]) -> Curve:
    """Aalen and Johansen's share with the event, competing events in place; log-log interval."""
    if not len(time):
        return _empty()
    from statsmodels.duration.survfunc import CumIncidenceRight

    if not (status == EVENT).any():  # statsmodels numbers the causes that are there
        return _empty()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where nobody is left
        fit = CumIncidenceRight(time, status)
    times, shares = np.asarray(fit.times), np.asarray(fit.cinc[0])
    errors = np.asarray(fit.cinc_se[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        half = float(ndtri(0.975)) * errors / (shares * np.log(shares))
        low, high = shares ** np.exp(-half), shares ** np.exp(half)
    inside = (shares > 0) & (shares < 1)
    low, high = np.where(inside, low, np.nan), np.where(inside, high, np.nan)
    at_risk = np.array([int((time >= moment).sum()) for moment in times])
    return Curve(times, shares, np.minimum(low, high), np.maximum(low, high), at_risk)


def curve_at(curve: Curve, times: Numbers, *, start: float) -> Curve:
    """A step curve's values at given times; `start` before its first step."""
    place = np.searchsorted(curve.times, times, side="right")
    edge = np.array([start])
    return Curve(
        times,
        np.concatenate([edge, curve.shares])[place],
        np.concatenate([edge, curve.low])[place],
        np.concatenate([edge, curve.high])[place],
        np.zeros(len(times), np.int64),
    )


def _empty() -> Curve:
    nothing = np.zeros(0)
    return Curve(nothing, nothing, nothing, nothing, np.zeros(0, np.int64))


__all__ = [
    "COMPETING",
    "EVENT",
    "Curve",
    "HazardRatio",
    "cox",
    "cumulative_incidence",
    "curve_at",
    "fine_gray",
    "hazard_ratio",
    "kaplan_meier",
    "log_rank",
]
