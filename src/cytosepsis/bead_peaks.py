"""The peaks of a bead file: where the intensities of its events cluster.

Nothing is drawn at random and the order of events does not matter: the same file gives the same
peaks. What a peak stands for (level, blank, debris, doublets) is decided in `bead_levels`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels.density import (
    local_maxima,
    lowest_between,
    shortest_interval,
    smooth,
    spread_counts,
)

Float = NDArray[np.float64]

# Widths of the Gaussian that smooths the density, decades. A level of 2 to 20 % CV is 0.01 to 0.09
# decades wide; a small wide level needs the wide ones, two near narrow levels the narrow ones.
SCALES = (0.01, 0.02, 0.04, 0.08)
BIN_DECADES = 0.0025
# A valley parts two peaks where it is this deep beyond counting noise (in standard deviations) and
# at most this part of the lower peak.
VALLEY_SIGNIFICANCE = 5.0
VALLEY_DEPTH = 0.75
MIN_PEAK_EVENTS = 12  # fewer events are no peak at any width (√12 / 12 = 29 % counting noise)
WINDOW_SD = 2.5  # a peak's events lie within so many robust SDs of its median
_NO_SPREAD = 1e-6  # decades: a peak whose events are all equal

SATURATED_PILE = 0.01  # of a peak's events in the top value: the peak reaches the top


@dataclass(frozen=True, slots=True)
class Peak:
    """Events of one cluster of intensities, on the linear scale."""

    median: float
    geometric_mean: float  # NaN where an event is not positive
    low: float  # the window its events lie in, both ends included
    high: float
    n_events: int
    robust_sd: float  # (P84.13 - P15.87) / 2
    n_saturated: int  # events at or above the channel's top

    @property
    def is_saturated(self) -> bool:
        """Whether half of its events saturate: of its median only a lower bound is known."""
        return self.n_saturated >= 0.5 * self.n_events

    @property
    def cv(self) -> float:
        """Robust coefficient of variation, a fraction; infinite at or below zero."""
        return self.robust_sd / self.median if self.median > 0 else math.inf


def find_peaks(intensity: Float, *, top: float | None = None) -> tuple[Peak, ...]:
    """Clusters of intensities, dimmest first.

    The density of asinh(intensity / c), a logarithm that passes through zero, is looked at with
    several widths of smoothing; a peak is a maximum that at one width at least stands out of the
    valleys around it beyond counting noise. A peak's events lie around its median as far as its
    own robust SD reaches, never beyond its valleys.

    Parameters
    ----------
    intensity : (n_events,) linear scale; values that are not finite are left out
    top : greatest value that the detector can give, linear scale; None: unknown

    """
    ordered = np.sort(intensity[np.isfinite(intensity)])
    if ordered.size < MIN_PEAK_EVENTS:
        return ()
    scale = _linear_below(ordered)
    axis = np.arcsinh(ordered / scale) / math.log(10.0)
    margin = 4.0 * SCALES[-1]
    low = float(axis[0]) - margin
    n_bins = int((float(axis[-1]) + margin - low) / BIN_DECADES) + 1
    counts = spread_counts(axis, low, low + n_bins * BIN_DECADES, n_bins, BIN_DECADES * 10)
    modes = _modes(counts)
    densities = smooth(counts, SCALES[1] / BIN_DECADES)
    valleys = [lowest_between(densities, a, b) for a, b in pairwise(modes)]
    edges = low + (np.array([0, *valleys, n_bins - 1], dtype=np.float64) + 0.5) * BIN_DECADES
    bounds = np.searchsorted(axis, edges)
    ceiling = _ceiling(ordered, top)
    peaks = (_measure(ordered[a:b], axis[a:b], ceiling) for a, b in pairwise(bounds))
    return tuple(peak for peak in peaks if peak is not None)


def _linear_below(ordered: Float) -> float:
    """Intensity below which the axis is linear: a few times the noise, or the low end of the data.

    Negative values show the noise: their root mean square is the SD of a blank at zero. Five times
    that makes the blank as wide on the axis as a level of 20 % CV; on a steeper axis the events
    between a blank and a dim level would be stretched into a peak. Never less than ten
    quantisation steps, so that channels 1, 2, 3 of an integer file are no peaks.
    """
    negative = ordered[ordered < 0]
    positive = ordered[ordered > 0]
    if negative.size >= max(MIN_PEAK_EVENTS, 0.001 * ordered.size):
        kept = negative[negative >= np.quantile(negative, 0.01)]
        linear = 5.0 * float(np.sqrt(np.mean(np.square(kept))))
    elif positive.size:
        linear = float(np.quantile(positive, 0.01))
    else:
        linear = 0.0
    different = np.unique(ordered)
    step = float(np.diff(different).min()) if different.size > 1 else 0.0
    return max(linear, 10.0 * step) or 1.0


def _modes(counts: Float) -> list[int]:
    """Bins of the modes that are significant at one width at least, ascending.

    Starts with the narrowest smoothing; a wider one adds those of its modes in whose valley-to-
    valley stretch none is known: small and wide peaks.
    """
    known: list[int] = []
    for decades in SCALES:
        density = smooth(counts, decades / BIN_DECADES)
        modes = _significant(density, decades / BIN_DECADES)
        valleys = [lowest_between(density, a, b) for a, b in pairwise(modes)]
        ends = [0, *valleys, counts.size]
        new = [
            mode
            for mode, left, right in zip(modes, ends, ends[1:], strict=False)
            if not any(left <= other < right for other in known)
        ]
        known = sorted(known + new)
    return known


def _significant(density: Float, sigma: float) -> list[int]:
    """Local maxima left when those are merged that no significant valley parts.

    A smoothed density times the kernel's width is a weighted count; its variance is that count
    divided by √2 (the sum of squared over the sum of weights of a Gaussian).
    """
    events = density * (sigma * math.sqrt(2.0 * math.pi))
    modes = [int(mode) for mode in local_maxima(density)]
    valleys = [lowest_between(density, a, b) for a, b in pairwise(modes)]
    # beyond the first and last mode the density is nothing
    floors = [0.0, *(float(events[valley]) for valley in valleys), 0.0]
    while modes:
        heights = [float(events[mode]) for mode in modes]
        parted = [
            min(_parted(height, floors[k]), _parted(height, floors[k + 1]))
            for k, height in enumerate(heights)
        ]
        weakest = int(np.argmin(parted))
        if parted[weakest] >= 1.0:
            break
        # the higher of its two valleys goes with it: what remains is the deeper one
        floors[weakest : weakest + 2] = [min(floors[weakest], floors[weakest + 1])]
        del modes[weakest]
    return modes


def _parted(height: float, floor: float) -> float:
    """How well a valley parts a peak from what is beyond it: 1 and more is enough."""
    noise = math.sqrt(max(height + floor, 1e-300) / math.sqrt(2.0))
    significance = (height - floor) / noise / VALLEY_SIGNIFICANCE
    return significance if floor <= VALLEY_DEPTH * height else min(significance, 0.5)


def _ceiling(ordered: Float, top: float | None) -> float:
    """Intensity at which the detector saturates, of ascending values; infinite where none shows.

    The known top where events reach it and none passes it (by a hundredth: then it is not the limit
    of this detector), else the greatest value where events pile up on it: three
    or more, and more than twice as many as on the value before (a level's tail thins out).
    """
    greatest = float(ordered[-1])
    if top is not None and top <= greatest <= 1.01 * top + 1.0:
        return top
    first = int(np.searchsorted(ordered, greatest))
    n_tied = ordered.size - first
    n_before = first - int(np.searchsorted(ordered, ordered[first - 1])) if first else 0
    return greatest if n_tied >= 3 and n_tied > 2 * n_before else math.inf


def _measure(values: Float, axis: Float, ceiling: float) -> Peak | None:
    """Statistics of the events that belong to the peak of one valley-to-valley stretch.

    `values` and `axis` are the same events, ascending; `ceiling` is where the detector saturates.
    """
    if values.size < MIN_PEAK_EVENTS:
        return None
    n_saturated = int((values >= ceiling).sum())
    if n_saturated > SATURATED_PILE * values.size:  # cut by the top, it has no window of its own
        begin, end, reach = 0, values.size, math.inf
    else:
        begin, end, reach = _window(axis)
    inside = values[begin:end]
    if inside.size < MIN_PEAK_EVENTS:
        return None
    low, middle, high = np.quantile(inside, (0.1587, 0.5, 0.8413))
    return Peak(
        median=float(middle),
        geometric_mean=float(np.exp(np.mean(np.log(inside)))) if inside[0] > 0 else math.nan,
        low=float(inside[0]),
        high=float(inside[-1]),
        n_events=int(inside.size),
        robust_sd=float(high - low) / 2.0 / _sd_of_cut(reach),
        n_saturated=int((inside >= ceiling).sum()),
    )


def _window(axis: Float) -> tuple[int, int, float]:
    """First and last + 1 event of a peak, and its half-width in robust SDs.

    Begins at the shortest interval with three tenths of the events (up to half of few: the
    shortest of many small ones is a chance clump) and widens until the window fits the SD of what
    is in it: debris around a level leaves the window at the level. As wide on one side of the
    median as on the other, or a near valley would pull the median away.
    """
    n_inside = max(MIN_PEAK_EVENTS, min(axis.size // 2, 60), int(0.3 * axis.size))
    first, last = shortest_interval(axis, n_inside)
    tenths = NormalDist().inv_cdf(0.5 + 0.5 * n_inside / (axis.size + 1))
    centre = 0.5 * (first + last)
    spread = max(0.7 * (last - first) / 2.0 / tenths, _NO_SPREAD)
    begin, end, in_sd = 0, axis.size, WINDOW_SD
    for _ in range(30):
        room = min(centre - float(axis[0]), float(axis[-1]) - centre)
        in_sd = min(WINDOW_SD, max(1.0, room / spread))
        begin = int(np.searchsorted(axis, centre - in_sd * spread))
        end = int(np.searchsorted(axis, centre + in_sd * spread, side="right"))
        if end - begin < MIN_PEAK_EVENTS:
            break
        low, middle, high = np.quantile(axis[begin:end], (0.1587, 0.5, 0.8413))
        before = (centre, spread)
        centre = float(middle)
        spread = max(float(high - low) / 2.0 / _sd_of_cut(in_sd), _NO_SPREAD)
        if (centre, spread) == before:
            break
    return begin, end, in_sd


def _sd_of_cut(reach: float) -> float:
    """Robust SD of a normal distribution cut at ± `reach` of its SD, relative to the uncut one."""
    normal = NormalDist()
    inside = 2.0 * normal.cdf(reach) - 1.0
    return normal.inv_cdf(0.5 + 0.3413 * inside)
