"""A marker's course by outcome: a linear mixed model with a random intercept per patient.

value ~ day + event + day × event (+ site), by restricted maximum likelihood (statsmodels). It
describes; it predicts nothing, because later draws take part.
"""
# ruff: noqa: PLC0415 - statsmodels takes a second: imported where a model is fitted

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from cytosepsis.statistics.auc import Mask, Numbers

TERMS = ("day", "event", "day_x_event")

# The first is quick and stops at a variance of 0, where the second still finds its way.
_METHODS = ("lbfgs", "powell")


@dataclass(frozen=True, slots=True)
class Effect:
    """One fixed effect of a mixed model, on the scale of the values."""

    term: str
    estimate: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """Wald's 95 % interval."""
        half = float(ndtri(0.975)) * self.error
        return self.estimate - half, self.estimate + half

    @property
    def p_value(self) -> float:
        """Wald's p, two-sided."""
        return float(2.0 * ndtr(-abs(self.estimate) / self.error))


@dataclass(frozen=True, slots=True)
class MixedFit:
    """The fixed effects of a mixed model, and whether it settled."""

    effects: tuple[Effect, ...]
    n_values: int
    n_patients: int
    at_border: bool  # the patients' variance was estimated as 0, or the optimiser did not settle


def fit_course(
    values: Numbers,
    days: Numbers,
    events: Mask,
    patients: NDArray[np.int64],
    strata: NDArray[np.int64] | None = None,
) -> MixedFit | None:
    """Fit; None where the design is not of full rank or no patient has two values.

    Days are centred on their mean, so that `event` is the difference on a mean day.
    """
    centred = days - days.mean() if len(days) else days
    event = events.astype(np.float64)
    columns = [np.ones(len(values)), centred, event, centred * event]
    if strata is not None:
        columns += [(strata == level).astype(np.float64) for level in np.unique(strata)[1:]]
    x = np.column_stack(columns)
    repeated = len(np.unique(patients)) < len(patients)
    if not repeated or np.linalg.matrix_rank(x) < x.shape[1] or len(x) <= x.shape[1] + 1:
        return None
    if np.ptp(values) == 0:
        return None
    for method in _METHODS:
        fit = _fitted(values, x, patients, method)
        if fit is not None:
            return fit
    return None


def _fitted(
    values: Numbers, x: Numbers, patients: NDArray[np.int64], method: str
) -> MixedFit | None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        try:
            fit = MixedLM(values, x, groups=patients).fit(reml=True, method=[method])
        except (np.linalg.LinAlgError, ValueError):
            return None
    estimates, errors = np.asarray(fit.fe_params), np.asarray(fit.bse_fe)
    if not (np.isfinite(estimates).all() and np.isfinite(errors).all() and (errors > 0).all()):
        return None
    effects = tuple(
        Effect(term, float(estimates[i + 1]), float(errors[i + 1])) for i, term in enumerate(TERMS)
    )
    at_border = bool(doubts) or not fit.converged
    return MixedFit(effects, len(values), len(np.unique(patients)), at_border)
