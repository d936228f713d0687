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

from cytosepsis.kernels.levels import class_counts, class_segments, running_medians, segments
from cytosepsis.quality.stretches import noise_of, quantile_of
from cytosepsis.quality.trace import PROBABILITIES, Trace

# Per segment, in squared standard errors summed over the five quantiles, or twice a logarithm of
# likelihoods. Quantiles of a bin move together by chance too (their squares sum to up to 2.5 times
# a chi-square of one degree).
PENALTY = 30.0
_SURE = 4.0  # standard errors that a segment's level has to differ by, beside the limit
_SURE_SHORT = 2.0  # the same where the cut itself is sure by counts
_FEW_CHANNELS = 8  # that the penalty is made for
_LEAST_NOISE = 0.002  # decades: cells of the histogram are up to 0.013 wide
_DRIFT_SURE = 10.0  # standard errors of a running level, as a drift is at least large
_DRIFT_SURE_SHORT = 5.0
_DRIFT_EVENTS = 125  # or more, of which a short file's running level is taken
_MOST_DRIFT_EVENTS = 4_000  # of more, one of so many is taken
_FEWEST = 10  # bins of a short file, of which a drift can be told from a step
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
    course: Floats | None = None  # (n,): of a short file, what tells a drift from a step

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
        )


def _short(trace: Trace, bins: Ints, channel: int) -> Series:
    """A channel that is cut by counts, which have no noise to be guessed.

    Where no signal changes, events of any stretch fall in the classes at the same odds. What tells
    how far a segment is away are the quantiles of its events.
    """
    assert trace.values is not None
    values = trace.values[channel]
    finite = np.isfinite(values)
    borders = _quantiles(np.sort(values if finite.all() else values[finite]))
    counts = np.ascontiguousarray(class_counts(values, trace.edges, borders)[:, bins])
    # the more channels, the more of them seem to change by chance
    many = 2.0 * math.log(max(1.0, len(trace.columns) / _FEW_CHANNELS))
    starts = class_segments(counts, PENALTY + many)
    scale = _scale(trace.quantiles[None, bins, channel, _MIDDLE], values[None, finite])[0]
    noise = _expected_noise(np.arcsinh(borders / scale) / math.log(10.0), 1.0)
    noise = np.maximum(noise, _LEAST_NOISE)
    held = np.cumsum(counts.sum(axis=0))
    n = int(held[-1])
    every = max(1, n // _MOST_DRIFT_EVENTS)  # one of so many events tells of a drift
    width = min(max(_DRIFT_EVENTS, n // every // 8), n)
    levels, running = np.zeros((len(borders), len(bins))), None
    if len(starts) > 1 or abs(_trend(counts)) > _TREND:
        kept = finite & np.isin(
            np.searchsorted(trace.edges, np.arange(len(values)), "right") - 1, bins
        )
        decades = np.arcsinh(values[kept] / scale) / math.log(10.0)
        parts = np.split(decades, held[starts[1:] - 1])
        means = np.array([_quantiles(np.sort(part)) for part in parts])
        levels = np.repeat(means, np.diff([*starts, len(bins)]), axis=0).T.copy()
        running = _running(decades[::every], len(bins), width)
    return Series(
        bins=bins,
        starts=starts,
        levels=levels,
        noise=noise * math.sqrt(len(bins) / n),
        sure=_SURE_SHORT,
        running=running,
        drift_sure=_DRIFT_SURE_SHORT * noise / math.sqrt(width),
        course=None if running is None or len(bins) < _FEWEST else _course(counts),
    )


def _running(levels: Floats, n: int, width: int) -> Floats:
    """Quantiles of `width` events about each of n places, at the ends of as many beside: (5, n)."""
    centres = (np.arange(n) + 0.5) * len(levels) / n
    firsts = np.clip(np.round(centres - 0.5 * width), 0, len(levels) - width).astype(np.int64)
    windows = np.sort(levels[firsts[:, None] + np.arange(width)], axis=1)
    return _quantiles(windows)


def _trend(counts: Ints) -> float:
    """Correlation of events' classes with time, in standard errors; counts are (6, n_bins)."""
    total = counts.sum()
    sizes, times = counts.sum(axis=1), counts.sum(axis=0)
    heights = np.arange(len(sizes)) - np.arange(len(sizes)) @ sizes / total
    places = np.arange(len(times)) - np.arange(len(times)) @ times / total
    spread = math.sqrt(float(heights**2 @ sizes) * float(places**2 @ times))
    return float(heights @ counts @ places) / spread * math.sqrt(total - 1) if spread > 0.0 else 0.0


def _course(counts: Ints) -> Floats:
    """What classes say of a change, bin by bin: events of late classes less those of early ones.

    A class counts by how much its odds change between the first and the last third.
    """
    third = counts.shape[1] // 3
    early, late = counts[:, :third].sum(axis=1) + 0.5, counts[:, -third:].sum(axis=1) + 0.5
    weights = np.log(late / late.sum()) - np.log(early / early.sum())
    course: Floats = weights @ counts / np.maximum(counts.sum(axis=0), 1)
    return course


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
