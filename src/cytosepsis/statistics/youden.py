"""The cut-off with the largest Youden index, and what resampling says of it.

A cut-off found on the data that judges it looks better than it is: its optimism is estimated by
Harrell's bootstrap, resampling patients within the classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.statistics.auc import Mask, Numbers
from cytosepsis.statistics.proportions import OperatingPoint


@dataclass(frozen=True, slots=True)
class YoudenCutoff:
    """A data-derived cut-off: called are values below it (`lower`) or from it upwards."""

    cutoff: float
    low: float  # 95 % percentile interval of resampled cut-offs
    high: float
    youden: float  # sensitivity + specificity − 1, on the data it was found on
    optimism: float  # how much of that the search itself makes
    point: OperatingPoint

    @property
    def corrected(self) -> float:
        """Youden's index without the optimism."""
        return self.youden - self.optimism


def youden_cutoff(
    values: Numbers, events: Mask, *, lower: bool, rng: np.random.Generator, resamples: int = 1000
) -> YoudenCutoff | None:
    """Find the cut-off; None where there is one class only, or one value.

    Cut-offs lie half way between neighbouring values; of equals the one with the higher
    sensitivity stands. `lower`: low values predict the event.
    """
    signed = -values if lower else values
    levels, place = np.unique(signed, return_inverse=True)
    n_events, n_others = int(events.sum()), int((~events).sum())
    if len(levels) < 2 or min(n_events, n_others) == 0:
        return None
    cases = np.bincount(place[events], minlength=len(levels)).astype(np.float64)
    others = np.bincount(place[~events], minlength=len(levels)).astype(np.float64)
    cuts = (levels[:-1] + levels[1:]) / 2
    observed = _indices(cases, others)
    best = int(np.argmax(observed))
    drawn_cases = rng.multinomial(n_events, cases / n_events, size=resamples)
    drawn_others = rng.multinomial(n_others, others / n_others, size=resamples)
    resampled = _indices(drawn_cases, drawn_others)
    chosen = np.argmax(resampled, axis=-1)
    apparent = resampled[np.arange(resamples), chosen]
    # nearest rank: a quantile between two cut-offs would be a value nobody searched
    low, high = np.quantile(cuts[chosen], [0.025, 0.975], method="inverted_cdf")
    ends = (float(low), float(high))
    if lower:
        ends = (-ends[1], -ends[0])
    return YoudenCutoff(
        cutoff=float(-cuts[best] if lower else cuts[best]),
        low=ends[0],
        high=ends[1],
        youden=float(observed[best]),
        optimism=float(np.mean(apparent - observed[chosen])),
        point=operating_point(signed, events, float(cuts[best]), lower=False),
    )


def operating_point(values: Numbers, events: Mask, cutoff: float, *, lower: bool) -> OperatingPoint:
    """Count what a cut-off calls: values below it (`lower`), or from it upwards."""
    called = values < cutoff if lower else values >= cutoff
    return OperatingPoint(
        true_positives=int((called & events).sum()),
        false_positives=int((called & ~events).sum()),
        false_negatives=int((~called & events).sum()),
        true_negatives=int((~called & ~events).sum()),
    )


def _indices(cases: NDArray[np.generic], others: NDArray[np.generic]) -> Numbers:
    """Youden's index of each cut between levels (last axis), for counts per level."""
    return _share_above(cases) - _share_above(others)


def _share_above(counts: NDArray[np.generic]) -> Numbers:
    total = counts.sum(axis=-1, keepdims=True)
    shares: Numbers = 1.0 - np.cumsum(counts, axis=-1)[..., :-1] / total
    return shares
