"""A mixture of Gaussians of one common covariance, fitted where values are missing.

Expectation-maximisation on what was observed, so a patient without a visit is neither left out nor
given a value (Little & Rubin, Statistical Analysis with Missing Data, ch. 8 and 11). The common
covariance carries that a patient who is high on one day is high on the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Patterns = list[tuple[NDArray[np.int64], NDArray[np.bool_]]]
_RIDGE = 1e-4  # of log10²: an SD of 0.01 is below any assay's repeatability
_TOLERANCE = 1e-5  # of the log likelihood per row
_MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class Mixture:
    """Groups with their shares and means, and their one covariance."""

    weights: Matrix  # (n_groups,)
    means: Matrix  # (n_groups, n_columns)
    covariance: Matrix  # (n_columns, n_columns)
    log_likelihood: float

    @property
    def n_parameters(self) -> int:
        """Free parameters: shares, means, covariance."""
        k, d = self.means.shape
        return int(k - 1 + k * d + d * (d + 1) // 2)

    def probabilities(self, values: Matrix) -> Matrix:
        """Each row's probability of each group, (n_rows, n_groups); NaN: not observed."""
        patterns = _patterns(values)
        logs = _joint(values, patterns, self.weights, self.means, self.covariance)
        return np.exp(logs - _log_sum(logs)[:, None])


def fit_mixture(values: Matrix, starts: list[NDArray[np.int64]]) -> Mixture:
    """The best of several fits, each from a first guess of every row's group.

    Every row of `values` (n_rows, n_columns) has an observed value, and every column too.
    """
    fits = [_fit(values, start) for start in starts]
    return max(fits, key=lambda fit: fit.log_likelihood)


def bic(fit: Mixture, n_rows: int) -> float:
    """Bayesian information criterion: lower is better (Schwarz 1978, 10.1214/aos/1176344136)."""
    return float(-2.0 * fit.log_likelihood + fit.n_parameters * np.log(n_rows))


def _fit(values: Matrix, start: NDArray[np.int64]) -> Mixture:
    n = len(values)
    k = int(start.max()) + 1
    column_means = np.nanmean(values, axis=0)
    filled = np.where(np.isnan(values), column_means, values)
    shares = np.eye(k)[start]
    weights = shares.sum(axis=0) / n
    means = (shares.T @ filled) / np.maximum(shares.sum(axis=0), 1e-12)[:, None]
    rest = filled - means[start]
    covariance = rest.T @ rest / n + _RIDGE * np.eye(values.shape[1])
    patterns = _patterns(values)
    before = -np.inf
    for _ in range(_MAX_STEPS):
        logs = _joint(values, patterns, weights, means, covariance)
        totals = _log_sum(logs)
        after = float(totals.sum())
        if after - before < _TOLERANCE * n:
            break
        before = after
        shares = np.exp(logs - totals[:, None])
        weights, means, covariance = _maximise(values, patterns, shares, means, covariance)
    return Mixture(weights, means, covariance, after)


def _maximise(
    values: Matrix, patterns: Patterns, shares: Matrix, means: Matrix, covariance: Matrix
) -> tuple[Matrix, Matrix, Matrix]:
    """New parameters from each row's shares, missing values at their expectation in each group."""
    n, d = values.shape
    expected = np.empty((n, len(means), d))
    spread = np.zeros((d, d))
    for rows, seen in patterns:
        expected[rows] = np.where(seen, values[rows][:, None, :], means)
        if seen.all():
            continue
        unseen = ~seen
        across = covariance[np.ix_(seen, unseen)]
        gain = np.linalg.solve(covariance[np.ix_(seen, seen)], across)
        rest = values[rows][:, None, seen] - means[:, seen]
        expected[np.ix_(rows, np.arange(len(means)), np.flatnonzero(unseen))] += rest @ gain
        left = covariance[np.ix_(unseen, unseen)] - across.T @ gain
        spread[np.ix_(unseen, unseen)] += len(rows) * left
    sizes = np.maximum(shares.sum(axis=0), 1e-12)
    means = np.einsum("ik,ikd->kd", shares, expected) / sizes[:, None]
    rest = (expected - means) * np.sqrt(shares)[:, :, None]
    flat = rest.reshape(-1, d)
    return sizes / n, means, (spread + flat.T @ flat) / n + _RIDGE * np.eye(d)


def _joint(
    values: Matrix, patterns: Patterns, weights: Matrix, means: Matrix, covariance: Matrix
) -> Matrix:
    """Log of share times density of what was observed, (n_rows, n_groups)."""
    logs = np.empty((len(values), len(means)))
    for rows, seen in patterns:
        part = covariance[np.ix_(seen, seen)]
        lower = np.linalg.cholesky(part)
        rest = values[rows][:, None, seen] - means[None, :, seen]
        scaled = np.linalg.solve(lower, rest.reshape(-1, int(seen.sum())).T)
        squares = (scaled**2).sum(axis=0).reshape(len(rows), len(means))
        constant = seen.sum() * np.log(2 * np.pi) + 2 * np.log(np.diag(lower)).sum()
        logs[rows] = -0.5 * (squares + constant)
    return logs + np.log(np.maximum(weights, 1e-300))


def _patterns(values: Matrix) -> Patterns:
    """Rows that have the same columns observed, together."""
    kinds, which = np.unique(~np.isnan(values), axis=0, return_inverse=True)
    return [(np.flatnonzero(which.ravel() == i), seen) for i, seen in enumerate(kinds)]


def _log_sum(logs: Matrix) -> Matrix:
    top = logs.max(axis=1)
    return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(axis=1)))
