"""Proportions with intervals, and what a cut-off does: sensitivity, predictive values, ratios."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import betaincinv, ndtri

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share of a number of patients; every field is None of nobody."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How a cut-off sorts patients with and without the event."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def n(self) -> int:
        """Patients in all."""
        events = self.true_positives + self.false_negatives
        return events + self.false_positives + self.true_negatives

    @property
    def sensitivity(self) -> Proportion:
        """Share of the events that are called, Wilson interval."""
        return wilson(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> Proportion:
        """Share of the others that are not called, Wilson interval."""
        return wilson(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def positive_predictive_value(self) -> Proportion:
        """Share of the called that have the event, in this cohort, Wilson interval."""
        return wilson(self.true_positives, self.true_positives + self.false_positives)

    @property
    def negative_predictive_value(self) -> Proportion:
        """Share of the not called that have no event, in this cohort, Wilson interval."""
        return wilson(self.true_negatives, self.true_negatives + self.false_negatives)

    @property
    def positive_likelihood_ratio(self) -> Proportion:
        """Sensitivity / (1 − specificity)."""
        return _ratio(
            self.true_positives,
            self.true_positives + self.false_negatives,
            self.false_positives,
            self.false_positives + self.true_negatives,
        )

    @property
    def negative_likelihood_ratio(self) -> Proportion:
        """(1 − sensitivity) / specificity."""
        return _ratio(
            self.false_negatives,
            self.true_positives + self.false_negatives,
            self.true_negatives,
            self.false_positives + self.true_negatives,
        )

    def net_benefit(self, threshold: float) -> float | None:
        """Events found minus weighted false calls, per patient.

        Vickers & Elkin 2006, 10.1177/0272989X06295361. `threshold` is the probability of the event
        from which one would act, between 0 and 1.
        """
        if self.n == 0:
            return None
        odds = threshold / (1.0 - threshold)
        return (self.true_positives - self.false_positives * odds) / self.n

    def net_benefit_of_all(self, threshold: float) -> float | None:
        """The net benefit of acting on everybody."""
        if self.n == 0:
            return None
        events = self.true_positives + self.false_negatives
        return (events - (self.n - events) * threshold / (1.0 - threshold)) / self.n


def wilson(count: int, n: int, level: float = 0.95) -> Proportion:
    """Wilson's score interval without correction of continuity, 10.1080/01621459.1927.10502953."""
    if n == 0:
        return Proportion(None, None, None)
    z = float(ndtri(0.5 + level / 2))
    share = count / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the bound is the end itself; rounding would leave 1e-17 beside it.
    low = 0.0 if count == 0 else centre - half
    high = 1.0 if count == n else centre + half
    return Proportion(share, low, high)


def exact(count: int, n: int, level: float = 0.95) -> Proportion:
    """Clopper and Pearson's exact interval."""
    if n == 0:
        return Proportion(None, None, None)
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - tail))
    return Proportion(count / n, low, high)


def _ratio(a: int, n_a: int, b: int, n_b: int) -> Proportion:
    """(a / n_a) / (b / n_b) with the log interval of Simel 1991, 10.1016/0895-4356(91)90128-V.

    None where the denominator is 0; without an interval where the numerator is.
    """
    if n_a == 0 or n_b == 0 or b == 0:
        return Proportion(None, None, None)
    ratio = (a / n_a) / (b / n_b)
    if a == 0:
        return Proportion(ratio, None, None)
    half = float(ndtri(0.975)) * math.sqrt(1 / a - 1 / n_a + 1 / b - 1 / n_b)
    return Proportion(ratio, ratio * math.exp(-half), ratio * math.exp(half))
