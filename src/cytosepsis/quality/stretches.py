"""What the checks share: the noise of a series of bins, windows, and a fraction's verdict."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cytosepsis.quality.report import Kind, Window
from cytosepsis.quality.settings import QualitySettings, Verdict
from cytosepsis.quality.trace import Trace

Floats = NDArray[np.float64]

# Median and 85th percentile of the distance from the mean, in standard deviations.
_MEDIAN, _P85 = 0.6745, 1.4395


def noise_of(levels: Floats) -> Floats:
    """Standard deviation of one bin's level, for each series of (..., n_bins).

    From the differences between neighbours, so that steps and drifts do not count as noise: their
    median, or their 85th percentile where that says more, as of a level that seldom jumps. 0 of
    fewer than two bins.
    """
    if levels.shape[-1] < 2:
        return np.zeros(levels.shape[:-1])
    steps = np.sort(np.abs(np.diff(levels, axis=-1)), axis=-1)
    noise: Floats = np.maximum(quantile_of(steps, 0.5) / _MEDIAN, quantile_of(steps, 0.85) / _P85)
    return noise / math.sqrt(2.0)


def quantile_of(ordered: Floats, probability: float) -> Floats:
    """Quantile of each row of (..., n) ascending values, between the two that are nearest."""
    place = probability * (ordered.shape[-1] - 1)
    low: Floats = ordered[..., int(place)]
    high: Floats = ordered[..., min(int(place) + 1, ordered.shape[-1] - 1)]
    between: Floats = low + (place - int(place)) * (high - low)
    return between


def window_of(kind: Kind, trace: Trace, first_bin: int, last_bin: int, size: float) -> Window:
    """The window of a run of bins."""
    first, stop = int(trace.edges[first_bin]), int(trace.edges[last_bin + 1])
    start_seconds, stop_seconds = seconds_of(trace, first_bin, last_bin)
    return Window(kind, first, stop - first, start_seconds, stop_seconds, size)


def seconds_of(trace: Trace, first_bin: int, last_bin: int) -> tuple[float | None, float | None]:
    """When a run of bins begins and ends on the file's clock; None without a clock."""
    clock = trace.clock
    if clock is None:
        return None, None
    start = float(clock.start[first_bin])
    last = last_bin + 1
    stop = float(clock.start[last] if last < trace.n_bins else clock.start[-1] + clock.elapsed[-1])
    return (
        start if np.isfinite(start) else None,
        stop if np.isfinite(stop) else None,
    )


def verdict_of(fraction: float, settings: QualitySettings) -> Verdict:
    """The verdict on a fraction of flagged events."""
    if fraction > settings.fail_fraction:
        return "fail"
    return "review" if fraction > settings.review_fraction else "pass"
