"""What a population's values say: exact order statistics, moments, and their intervals.

All on linear, compensated values. Values that are not finite take no part; a statistic that is not
defined is None, never NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# Standard normal quantiles: 0.975, and the one standard deviation of the robust CV.
Z_975 = 1.959963984540054
_SORTED_WHOLE = 2**16
P_LOW, P_HIGH = 0.15865525393145707, 0.8413447460685429


@dataclass(frozen=True, slots=True)
class Summary:
    """Statistics of one population in one channel; None where not defined."""

    n: int
    median: float | None
    geometric_mean: float | None  # None where any value is not positive
    mean: float | None
    sd: float | None  # n - 1
    robust_cv: float | None  # (P84.13 - P15.87) / (2 · median), a fraction; None if median ≤ 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with its 95 % interval from the cells alone; None where not defined."""

    value: float | None
    low: float | None
    high: float | None


def summarize(values: NDArray[np.float64]) -> Summary:
    """All statistics of (n,) values; quantiles interpolate linearly (Hyndman & Fan's type 7)."""
    finite = _finite(values)
    n = len(finite)
    if n == 0:
        return Summary(len(values), None, None, None, None, None)
    low, median, high = _quantiles(finite, (P_LOW, 0.5, P_HIGH))
    mean = float(np.mean(finite))
    return Summary(
        n=len(values),
        median=median,
        geometric_mean=_geometric_mean(finite),
        mean=mean,
        sd=float(np.std(finite, ddof=1)) if n > 1 else None,
        robust_cv=(high - low) / (2.0 * median) if median > 0 else None,
    )


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The finite ones of some values: the values themselves, not a copy, where all are."""
    known = np.isfinite(values)
    return values if known.all() else values[known]


def even_quantiles(values: NDArray[np.float64], n: int) -> tuple[float, ...]:
    """n quantiles of (n_cells,) values, evenly from the least to the greatest; () without cells."""
    finite = _finite(values)
    if len(finite) == 0:
        return ()
    return tuple(np.quantile(finite, np.linspace(0.0, 1.0, n)).tolist())


def _quantiles(finite: NDArray[np.float64], shares: tuple[float, ...]) -> list[float]:
    """Quantiles by one selection: numpy's `quantile` to the last digit, in half its time."""
    places = [share * (len(finite) - 1) for share in shares]
    ranks = sorted({rank for place in places for rank in (math.floor(place), math.ceil(place))})
    ordered = _ordered(finite, ranks)
    found = []
    for place in places:
        below, above = float(ordered[math.floor(place)]), float(ordered[math.ceil(place)])
        part = place - math.floor(place)
        step = (above - below) * part
        # from the nearer side, as numpy interpolates, so that the result lies between the two
        found.append(below + step if part < 0.5 else above - (above - below) * (1.0 - part))
    return found


def _ordered(finite: NDArray[np.float64], ranks: list[int]) -> NDArray[np.float64]:
    """Values of which those at the ranks stand where sorting puts them.

    Few are sorted whole: numpy does that by vector instructions, which selection of several ranks
    does not have.
    """
    return np.sort(finite) if len(finite) <= _SORTED_WHOLE else np.partition(finite, ranks)


def _geometric_mean(finite: NDArray[np.float64]) -> float | None:
    if finite.min() <= 0.0:
        return None
    return math.exp(float(np.mean(np.log(finite))))


def estimate(
    values: NDArray[np.float64], statistic: Literal["median", "geometric_mean"]
) -> Estimate:
    """Return the statistic that is quantified, with its 95 % interval.

    The median's interval lies between order statistics (binomial, normal approximation with the
    ranks rounded outwards), so it assumes no distribution; the geometric mean's is Student's on
    the logarithms. One value gives itself, without width.
    """
    finite = _finite(values)
    if len(finite) == 0:
        return Estimate(None, None, None)
    if statistic == "median":
        return _median_estimate(finite)
    value = _geometric_mean(finite)
    if value is None:
        return Estimate(None, None, None)
    return _geometric_mean_estimate(finite, value)


def _median_estimate(finite: NDArray[np.float64]) -> Estimate:
    n = len(finite)
    reach = Z_975 * math.sqrt(n) / 2.0
    low = max(0, math.floor(n / 2.0 - reach) - 1)
    high = min(n - 1, math.ceil(n / 2.0 + reach))
    middle = (n - 1) // 2, n // 2
    ordered = _ordered(finite, sorted({low, *middle, high}))
    # halves first: the sum of two huge values must not overflow
    median = float(ordered[middle[0]] / 2.0 + ordered[middle[1]] / 2.0)
    if middle[0] == middle[1]:
        median = float(ordered[middle[0]])
    return Estimate(median, float(ordered[low]), float(ordered[high]))


def _geometric_mean_estimate(finite: NDArray[np.float64], value: float) -> Estimate:
    from scipy.special import stdtrit  # noqa: PLC0415  (a tenth of a second)

    n = len(finite)
    if n == 1:
        return Estimate(value, value, value)
    error = float(np.std(np.log(finite), ddof=1)) / math.sqrt(n)
    reach = float(stdtrit(n - 1, 0.975)) * error
    return Estimate(value, value * math.exp(-reach), value * math.exp(reach))
