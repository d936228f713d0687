"""Logistic regression by statsmodels, refusing what has no maximum.

Whether a plane separates the classes, so that the odds ratio has no finite estimate, is decided by
a linear programme (Konis 2007, Linear programming algorithms for detecting separated data).
"""
# ruff: noqa: PLC0415 - statsmodels takes a second: imported where a model is fitted

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr, ndtri

from cytosepsis.statistics.auc import Mask, Numbers

# log odds per SD beyond which a fit only runs towards infinity
_DIVERGED = 20.0


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """Log odds ratios; the intercept comes first."""

    coefficients: Numbers  # (p + 1,)
    errors: Numbers  # (p + 1,)

    def odds_ratio(self, index: int, level: float = 0.95) -> tuple[float, float, float]:
        """Odds ratio of covariate `index` (from 0) with the ends of its Wald interval."""
        value, error = self.coefficients[index + 1], self.errors[index + 1]
        half = float(ndtri(0.5 + level / 2)) * error
        return float(np.exp(value)), float(np.exp(value - half)), float(np.exp(value + half))

    def p_value(self, index: int) -> float:
        """Wald's p, two-sided."""
        z = self.coefficients[index + 1] / self.errors[index + 1]
        return float(2.0 * ndtr(-abs(z)))

    def predict(self, covariates: Numbers) -> Numbers:
        """Log odds of each row."""
        return np.asarray(self.coefficients[0] + covariates @ self.coefficients[1:], np.float64)


def fit_logistic(covariates: Numbers, events: Mask) -> LogisticFit | None:
    """Fit; None where the classes are separated, a covariate is constant or they are collinear."""
    x = np.column_stack([np.ones(len(events)), covariates])
    if np.linalg.matrix_rank(x) < x.shape[1] or is_separated(covariates, events):
        return None
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        warnings.simplefilter("error", PerfectSeparationWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            fit = sm.Logit(events.astype(np.float64), x).fit(disp=0, maxiter=100)
        except (ConvergenceWarning, PerfectSeparationWarning, np.linalg.LinAlgError):
            return None
    errors = np.asarray(fit.bse, np.float64)
    if not np.isfinite(errors).all():
        return None
    return LogisticFit(np.asarray(fit.params, np.float64), errors)


def refit_logistic(covariates: Numbers, events: Mask) -> Numbers | None:
    """The coefficients alone, by Newton's method: for the thousands of fits of a bootstrap.

    None where the steps do not settle, as where the classes are separated.
    """
    x = np.column_stack([np.ones(len(events)), covariates])
    beta = np.zeros(x.shape[1])
    for _ in range(30):
        chance = expit(x @ beta)
        weight = chance * (1.0 - chance)
        try:
            step = np.linalg.solve((x * weight[:, None]).T @ x, x.T @ (events - chance))
        except np.linalg.LinAlgError:
            return None
        beta = beta + step
        if np.abs(beta).max() > _DIVERGED:
            return None
        if np.abs(step).max() < 1e-9:
            return beta
    return None


def is_separated(covariates: Numbers, events: Mask) -> bool:
    """Whether some plane has all events on one side, at most touching it, and all others beyond."""
    if not events.any() or events.all():
        return True
    scaled = covariates - covariates.mean(axis=0)
    spread = np.abs(scaled).max(axis=0)
    x = np.column_stack([np.ones(len(events)), scaled / np.where(spread > 0, spread, 1.0)])
    signed = np.where(events[:, None], x, -x)
    from scipy.optimize import linprog

    # maximise the distances Σ x·b under x·b ≥ 0 and |b| ≤ 1: 0 unless the classes separate
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(x)), bounds=(-1, 1))
    return bool(found.status == 0 and -found.fun > 1e-7)
