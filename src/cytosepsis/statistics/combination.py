"""Two markers together: a logistic model with performance corrected for its optimism.

Harrell, Lee & Mark 1996, 10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4: the
model is fitted again on resampled patients, and judged there and on the patients as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytosepsis.statistics.auc import Area, Mask, Numbers, area
from cytosepsis.statistics.logistic import LogisticFit, fit_logistic, refit_logistic


@dataclass(frozen=True, slots=True)
class Combination:
    """What a model of several markers is worth."""

    fit: LogisticFit  # per SD of each marker
    apparent: Area  # on the patients it was fitted on
    optimism: float
    calibration_slope: float  # corrected; below 1: predictions are too extreme
    n_resamples: int  # in which the model had a maximum

    @property
    def corrected_auc(self) -> float:
        """The area to expect in new patients of the same kind."""
        return self.apparent.auc - self.optimism


def combine(
    markers: Numbers, events: Mask, *, rng: np.random.Generator, resamples: int = 200
) -> Combination | None:
    """Fit (n, k) markers and correct; None where there is no fit, or hardly any when resampled."""
    spread = markers.std(axis=0)
    scaled = (markers - markers.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    fit = fit_logistic(scaled, events)
    apparent = None if fit is None else area(fit.predict(scaled), events)
    if fit is None or apparent is None:
        return None
    optimism, slopes = [], []
    for _ in range(resamples):
        drawn = rng.integers(0, len(events), len(events))
        again = refit_logistic(scaled[drawn], events[drawn])
        if again is None:
            continue
        predicted = again[0] + scaled @ again[1:]
        there = area(predicted[drawn], events[drawn])
        here = area(predicted, events)
        slope = refit_logistic(predicted[:, None], events)
        if there is None or here is None or slope is None:
            continue
        optimism.append(there.auc - here.auc)
        slopes.append(float(slope[1]))
    if len(optimism) < resamples / 2:
        return None
    return Combination(
        fit, apparent, float(np.mean(optimism)), float(np.mean(slopes)), len(optimism)
    )
