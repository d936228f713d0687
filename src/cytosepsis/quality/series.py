"""A channel's levels along the acquisition, cut where they change: of long files and of short ones.

Per bin of a long file, five quantiles are taken on a scale that is logarithmic but near zero, in
decades, and cut where they move together. Bins of a short file hold too few events for quantiles;
there the events are counted in the six classes between the file's own five.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels.levels import class_segments, running_medians, segments
from cytosepsis.quality.stretches import noise_of, quantile_of
from cytosepsis.quality.trace import PROBABILITIES, Trace

# Per segment, in squared standard errors summed over the five quantiles, or twice a logarithm of
# likelihoods. Quantiles of a bin move together by chance too (their squares sum to up to 2.5 times
# a chi-square of one degree).
PENALTY = 30.0
_SURE = 4.0  # standard errors that a segment's level has to differ by, beside the limit
_SURE_SHORT = 2.5  # the same where the cut itself is sure by counts
_LEAST_NOISE = 0.002  # decades: cells of the histogram are up to 0.013 wide
_DRIFT_SURE = 10.0  # standard errors of a running level, as a drift is at least large
_DRIFT_SURE_SHORT = 6.0
_DRIFT_EVENTS = 125  # or more, of which a short file's running level is taken
_TREND = 4.0  # standard errors of a rank correlation with time

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_CHANCE = np.array(PROBABILITIES)
_MIDDLE = PROBABILITIES.index(0.5)
# Slopes of a line over the probabilities, as weights of its values.
_SLOPES = np.array([np.gradient(values, _CHANCE) for values in np.eye(len(PROBABILITIES))])


@dataclass(frozen=True, slots=True)
class Series:
    """Levels of a channel along the file, in decades, cut into segments."""

    bins: Ints  # (n,): numbers of the bins that have values
    starts: Ints  # (n_segments,): first place of each segment among them
    levels: Floats  # (5, n): of which a segment's level is the mean
    noise: Floats  # (5,): standard error of one bin of them
    sure: float  # standard errors that a segment's level has to differ by
    running: Floats | None  # (5, n): what shows a drift; None: there is none
    drift_sure: Floats  # (5,): size of a drift that chance does not reach
    smeared: int  # bins over which the running levels draw out a step

    @property
    def n(self) -> int:
        """Number of bins that have values."""
        return len(self.bins)


def series_of(trace: Trace, channels: Sequence[int]) -> Iterator[tuple[int, Series]]:
    """Each channel's series; those that have values in the same bins are made together."""
    present: Bools = np.all(np.isfinite(trace.quantiles[:, channels]), axis=2)
    together: dict[bytes, list[int]] = {}
    for place, channel in enumerate(channels):
        together.setdefault(present[:, place].tobytes(), []).append(channel)
    for pattern, members in together.items():
        bins = np.flatnonzero(np.frombuffer(pattern, dtype=np.bool_))
        if trace.values is None:
            yield from zip(members, _long(trace, bins, members), strict=True)
        else:
            yield from ((channel, _short(trace, bins, channel)) for channel in members)


def _long(trace: Trace, bins: Ints, channels: Sequence[int]) -> Iterator[Series]:
    """Series of channels that are cut by the quantiles of their bins."""
    values = np.ascontiguousarray(trace.quantiles[bins][:, channels].transpose(1, 2, 0))
    levels = np.arcsinh(values / _scale(values[:, _MIDDLE], values)[:, None, None]) / math.log(10.0)
    middle = quantile_of(np.sort(levels, axis=-1), 0.5)
    counted = np.diff(trace.edges).mean()
    noise = np.maximum(noise_of(levels), 0.5 * _expected_noise(middle, counted))
    noise = np.maximum(noise, _LEAST_NOISE)
    centred, weights = levels - middle[:, :, None], 1.0 / noise**2
    width = max(4, len(bins) // 10) // 2 * 2 + 1
    for place in range(len(channels)):
        starts = segments(centred[place], weights[place], PENALTY)
        yield Series(
            bins=bins,
            starts=starts,
            levels=levels[place],
            noise=noise[place],
            sure=_SURE,
            # a drift that is large enough is cut more than once
            running=running_medians(levels[place], width) if len(starts) > 2 else None,
            drift_sure=_DRIFT_SURE * noise[place] / math.sqrt(width),
            smeared=0,
        )


def _short(trace: Trace, bins: Ints, channel: int) -> Series:
    """A channel that is cut by counts, which have no noise to be guessed.

    Where no signal changes, events of any stretch fall in the classes at the same odds. What tells
    how far a segment is away are the quantiles of its events.
    """
    assert trace.values is not None
    values = trace.values[:, channel]
    numbers = np.repeat(np.arange(trace.n_bins), np.diff(trace.edges))
    kept = np.isfinite(values) & np.isin(numbers, bins)
    values, places = values[kept], np.searchsorted(bins, numbers[kept])
    ordered = np.sort(values)
    borders = _quantiles(ordered)
    classes = np.searchsorted(borders, values)
    n_classes = len(borders) + 1
    counts = np.bincount(places * n_classes + classes, minlength=n_classes * len(bins))
    starts = class_segments(np.ascontiguousarray(counts.reshape(-1, n_classes).T), PENALTY)
    scale = _scale(values[None], values[None])[0]
    levels = np.arcsinh(values / scale) / math.log(10.0)
    noise = _expected_noise(_quantiles(np.arcsinh(ordered / scale) / math.log(10.0)), 1.0)
    noise = np.maximum(noise, _LEAST_NOISE)
    parts = np.split(levels, np.searchsorted(places, starts[1:]))
    means = np.array([_quantiles(np.sort(part)) for part in parts])
    per_bin = len(values) / len(bins)
    width = min(max(_DRIFT_EVENTS, len(values) // 8), len(values))
    drifts = len(starts) > 1 or abs(_trend(values)) > _TREND
    return Series(
        bins=bins,
        starts=starts,
        levels=np.repeat(means, np.diff([*starts, len(bins)]), axis=0).T.copy(),
        noise=noise / math.sqrt(per_bin),
        sure=_SURE_SHORT,
        running=_running(levels, len(bins), width) if drifts else None,
        drift_sure=_DRIFT_SURE_SHORT * noise / math.sqrt(width),
        smeared=round(width / per_bin),
    )


def _running(levels: Floats, n: int, width: int) -> Floats:
    """Quantiles of `width` events about each of n places, at the ends of as many beside: (5, n)."""
    centres = (np.arange(n) + 0.5) * len(levels) / n
    firsts = np.clip(np.round(centres - 0.5 * width), 0, len(levels) - width).astype(np.int64)
    windows = np.sort(levels[firsts[:, None] + np.arange(width)], axis=1)
    return _quantiles(windows)


def _trend(values: Floats) -> float:
    """Rank correlation with the order of events, in standard errors."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    n = len(values)
    return float(np.corrcoef(ranks, np.arange(n))[0, 1]) * math.sqrt(n - 1)


def _scale(middles: Floats, values: Floats) -> Floats:
    """Values below which a channel's decades are linear: half of its middle.

    (n_channels,) of (n_channels, …). The same values in another unit give the same decades.
    """
    scale = 0.5 * quantile_of(np.sort(np.abs(middles), axis=-1), 0.5)
    for channel in np.flatnonzero(scale == 0.0):
        others = np.abs(values[channel][values[channel] != 0.0])
        scale[channel] = 0.5 * float(np.median(others)) if len(others) else 1.0
    return scale


def _expected_noise(middle: Floats, n: float) -> Floats:
    """Standard errors that quantiles of n values have by chance, from the spacing between them.

    `middle` are a channel's quantiles, (…, 5).
    """
    noise: Floats = np.sqrt(_CHANCE * (1.0 - _CHANCE) / n) * (middle @ _SLOPES)
    return noise


def _quantiles(ordered: Floats) -> Floats:
    """The five quantiles of ascending values: (5, …) of (…, n)."""
    return np.array([quantile_of(ordered, probability) for probability in PROBABILITIES])
