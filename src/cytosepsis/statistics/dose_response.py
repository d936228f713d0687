"""Dose and response: Friedman's test over doses of the same patients, and a four-parameter curve.

response = lower + (upper − lower) / (1 + (dose / ed50)^slope), the log-logistic of Finney as R's
`drc` writes it (`LL.4`): slope > 0 falls with the dose, slope < 0 rises.
"""
# ruff: noqa: PLC0415 - scipy.optimize and scipy.stats are slow to import

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from cytosepsis.statistics.auc import Numbers

MIN_DOSES = 5  # a curve of four parameters through fewer says nothing of its fit


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """A fitted curve with the standard errors of its parameters."""

    slope: float
    lower: float
    upper: float
    ed50: float
    slope_error: float
    lower_error: float
    upper_error: float
    ed50_error: float
    residual_sd: float  # n − 4

    def at(self, dose: Numbers) -> Numbers:
        """The curve's response to each dose."""
        return _response(dose, self.slope, self.lower, self.upper, np.log(self.ed50))

    def ed50_interval(self) -> tuple[float, float]:
        """95 % interval of the ED50, symmetric on the log scale (delta method)."""
        half = float(ndtri(0.975)) * self.ed50_error / self.ed50
        return self.ed50 * float(np.exp(-half)), self.ed50 * float(np.exp(half))


def fit_dose_response(doses: Numbers, responses: Numbers) -> DoseResponse | None:
    """Least squares over all values; None below five doses, or where no curve settles.

    A curve whose ED50 lies outside the doses, or is not known to a factor of ten, is none.
    """
    used = np.unique(doses)
    if len(used) < MIN_DOSES or np.ptp(responses) == 0:
        return None
    from scipy.optimize import OptimizeWarning, curve_fit

    positive = used[used > 0]
    means = np.array([responses[doses == dose].mean() for dose in used])
    falls = means[0] > means[-1]
    best = None
    for steepness in (1.0, 3.0):
        start = (
            steepness if falls else -steepness,
            float(means.min()),
            float(means.max()),
            float(np.log(positive).mean()),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                found, covariance = curve_fit(
                    _response, doses, responses, p0=start, maxfev=20_000, xtol=1e-12, ftol=1e-12
                )
            except (RuntimeError, OptimizeWarning):
                continue
        squares = float(((responses - _response(doses, *found)) ** 2).sum())
        if best is None or squares < best[0]:
            best = (squares, found, covariance)
    return None if best is None else _checked(best[0], best[1], best[2], positive, len(doses))


def friedman(table: Numbers) -> float | None:
    """p of equal responses over the columns (doses) of complete rows (patients)."""
    complete = table[np.isfinite(table).all(axis=1)]
    if complete.shape[0] < 2 or complete.shape[1] < 3:
        return None
    if (np.ptp(complete, axis=1) == 0).all():
        return None
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*complete.T).pvalue)


def _checked(
    squares: float, found: Numbers, covariance: Numbers, positive: Numbers, n: int
) -> DoseResponse | None:
    if not np.isfinite(covariance).all():
        return None
    errors = np.sqrt(np.diag(covariance))
    log_ed50 = float(found[3])
    inside = np.log(positive.min()) <= log_ed50 <= np.log(positive.max())
    if not inside or errors[3] * float(ndtri(0.975)) > np.log(10.0):
        return None
    slope, lower, upper = (float(value) for value in found[:3])
    if lower > upper:  # the same curve written the other way round
        slope, lower, upper = -slope, upper, lower
        errors = errors[[0, 2, 1, 3]]
    ed50 = float(np.exp(log_ed50))
    return DoseResponse(
        slope=slope,
        lower=lower,
        upper=upper,
        ed50=ed50,
        slope_error=float(errors[0]),
        lower_error=float(errors[1]),
        upper_error=float(errors[2]),
        ed50_error=ed50 * float(errors[3]),
        residual_sd=(squares / (n - 4)) ** 0.5 if n > 4 else 0.0,
    )


def _response(dose: Numbers, slope: float, lower: float, upper: float, log_ed50: float) -> Numbers:
    with np.errstate(divide="ignore", over="ignore"):
        power = np.exp(slope * (np.log(dose) - log_ed50))
        response: Numbers = lower + (upper - lower) / (1.0 + power)
    return response
