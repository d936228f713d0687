"""Stability of one channel's signal: stretches of events whose level left the usual one.

Per bin, five quantiles are taken on a scale that is logarithmic but near zero, in decades. Exact
change points cut the file where they move together. A stretch is odd where at least two of the
five have moved: a change of the instrument's signal moves all of them, a change of the cells' mix
moves the one that lies between two populations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels.stability import segments
from cytosepsis.quality.report import CheckResult, CheckStatus, Kind, Window, joined
from cytosepsis.quality.settings import QualitySettings
from cytosepsis.quality.stretches import noise_of, verdict_of, window_of
from cytosepsis.quality.trace import PROBABILITIES, Trace

# Per segment, in squared standard errors summed over the five quantiles. Quantiles of a bin move
# together by chance too (their squares sum to up to 2.5 times a chi-square of one degree).
PENALTY = 30.0
_SURE = 4.0  # standard errors that a segment's level has to differ by, beside the limit
_LEAST_BINS = 2  # in a stretch: one bin alone may have another mix of cells by chance
_DRIFT = 2.0  # limits that a drift is at least large: clean files wander by up to 1.7
_SLOW = 0.15  # part of the file in which the middle three fifths of a drift are made; more: a drift
_MANY = 100  # bins, of which change points alone tell that there is no drift
_LEAST_NOISE = 0.002  # decades: cells of the histogram are up to 0.013 wide

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Series:
    """Levels of a channel along the file, cut into segments."""

    levels: Floats  # (n, 5) decades, of the bins that have values
    bins: Ints  # (n,): their numbers
    starts: Ints  # (n_segments,): first place of each segment in the two above
    noise: Floats  # (5,): standard error of one bin

    @property
    def stops(self) -> Ints:
        return np.append(self.starts[1:], len(self.levels))

    @property
    def means(self) -> Floats:
        """Level of each segment: (n_segments, 5)."""
        sums: Floats = np.add.reduceat(self.levels, self.starts)
        return sums / (self.stops - self.starts)[:, None]


@dataclass(frozen=True, slots=True)
class _Run:
    """A stretch of the series: places [start, stop), and how far it leaves the usual level."""

    start: int
    stop: int
    size: float


def check_signal(trace: Trace, index: int, pnn: str, settings: QualitySettings) -> CheckResult:
    """Judge the stability of one channel of a trace."""
    status = _status(trace, index, settings)
    if status not in ("ok", "not_a_number"):
        return CheckResult("signal", pnn, status, None)
    series = _series(trace, index)
    sizes = _sizes(series, settings.signal_shift)
    runs = _runs(series, sizes, settings.signal_shift)
    drift = _drift(series, settings.signal_shift)
    flagged = joined(
        (int(trace.edges[series.bins[run.start]]), int(trace.edges[series.bins[run.stop - 1] + 1]))
        for run in runs
    )
    n_flagged = sum(stop - first for first, stop in flagged)
    verdict = verdict_of(n_flagged / trace.n_events, settings)
    if verdict == "pass" and (drift or status != "ok"):
        verdict = "review"
    return CheckResult(
        check="signal",
        channel=pnn,
        status=status,
        verdict=verdict,
        n_flagged=n_flagged,
        fraction_flagged=n_flagged / trace.n_events,
        size=float(sizes[np.argmax(np.abs(sizes))]),
        windows=_windows(trace, series, runs, drift),
        flagged=flagged,
    )


def _windows(
    trace: Trace, series: _Series, runs: list[_Run], drift: _Run | None
) -> tuple[Window, ...]:
    """What is odd, in order: a drift, and the runs that are not part of it."""
    found: list[tuple[Kind, _Run]] = [] if drift is None else [("drift", drift)]
    for run in runs:
        if drift is not None and _shared(run, drift) > 0.5 * (run.stop - run.start):
            continue
        at_end = run.start == 0 or run.stop == len(series.levels)
        found.append(("step" if at_end else "excursion", run))
    return tuple(
        window_of(kind, trace, int(series.bins[r.start]), int(series.bins[r.stop - 1]), r.size)
        for kind, r in sorted(found, key=lambda pair: pair[1].start)
    )


def _shared(run: _Run, other: _Run) -> int:
    """How many places two stretches have in common."""
    return max(0, min(run.stop, other.stop) - max(run.start, other.start))


def _status(trace: Trace, index: int, settings: QualitySettings) -> CheckStatus:
    n_values = trace.n_events - int(trace.n_nan[index])
    if n_values < settings.min_events:
        return "few_events" if trace.n_events < settings.min_events else "not_a_number"
    if trace.least[index] == trace.most[index]:
        return "constant"
    if _counts(trace.quantiles[:, index]):
        return "counter"
    return "not_a_number" if trace.n_nan[index] else "ok"


def _counts(quantiles: Floats) -> bool:
    """Whether a column counts the events up: it only rises, and no bin holds much of its range."""
    low, middle, high = quantiles[:, 0], quantiles[:, 2], quantiles[:, -1]
    rises = bool(np.all(np.diff(middle) > -np.abs(middle[1:]) / 32.0))  # as fine as the cells are
    return rises and float(np.median(high - low)) < 0.1 * float(middle[-1] - middle[0])


def _series(trace: Trace, index: int) -> _Series:
    quantiles = trace.quantiles[:, index]
    bins = np.flatnonzero(np.isfinite(quantiles).all(axis=1))
    levels = _decades(quantiles[bins])
    counted = np.diff(trace.edges).mean()
    noise = np.maximum(noise_of(levels), 0.5 * _expected_noise(levels, counted))
    noise = np.maximum(noise, _LEAST_NOISE)
    starts = segments(levels - np.median(levels, axis=0), 1.0 / noise**2, PENALTY)
    return _Series(levels, bins, starts, noise)


def _decades(values: Floats) -> Floats:
    """Values on an inverse hyperbolic sine in decades, linear below half of the channel's middle.

    Scale-free: the same values in another unit give the same decades.
    """
    middle = 0.5 * float(np.median(np.abs(values[:, PROBABILITIES.index(0.5)])))
    if middle == 0.0:
        others = np.abs(values[values != 0.0])
        middle = 0.5 * float(np.median(others)) if len(others) else 1.0
    return np.arcsinh(values / middle) / math.log(10.0)


def _expected_noise(levels: Floats, n: float) -> Floats:
    """Standard errors that quantiles of n values have by chance, from the spacing between them."""
    chance = np.array(PROBABILITIES)
    middle = np.median(levels, axis=0)
    slope = np.gradient(middle, chance)
    return np.sqrt(chance * (1.0 - chance) / n) * slope


def _sizes(series: _Series, limit: float) -> Floats:
    """How far each segment lies from the usual level, signed, in decades: (n_segments,).

    The usual level is that of the segment to which the most bins are near.
    """
    means = series.means
    lengths = series.stops - series.starts
    error = series.noise / np.sqrt(lengths)[:, None]
    near = [float(lengths[np.abs(_second(means - m, error)) < limit].sum()) for m in means]
    usual = np.abs(_second(means - means[int(np.argmax(near))], error)) < limit
    level = np.average(means[usual], axis=0, weights=lengths[usual])
    return _second(means - level, error)


def _second(distances: Floats, error: Floats) -> Floats:
    """Of each row's surely different distances the second largest, with its sign; else 0."""
    sure = np.where(np.abs(distances) > _SURE * error, distances, 0.0)
    order = np.argsort(np.abs(sure), axis=1, kind="stable")
    second: Floats = np.take_along_axis(sure, order[:, -2:-1], axis=1)[:, 0]
    return second


def _runs(series: _Series, sizes: Floats, limit: float) -> list[_Run]:
    """Neighbouring segments beyond the limit as one, if they are long enough to be told."""
    is_odd = np.abs(sizes) >= limit
    runs = []
    first = 0
    while first < len(sizes):
        last = first
        while last + 1 < len(sizes) and is_odd[last + 1] == is_odd[first]:
            last += 1
        run = _Run(
            start=int(series.starts[first]),
            stop=int(series.stops[last]),
            size=float(sizes[first + np.argmax(np.abs(sizes[first : last + 1]))]),
        )
        if is_odd[first] and run.stop - run.start >= _LEAST_BINS:
            runs.append(run)
        first = last + 1
    return runs


def _drift(series: _Series, limit: float) -> _Run | None:
    """A slow change in one direction, told apart from a step by how long it takes; or None.

    On the running median of the quantile that moves most but one: between the times at which a
    fifth and four fifths of the change are made, more of the file passes than in a step. Begin and
    end are where a straight line through these two times reaches its ends.
    """
    n = len(series.levels)
    if n >= _MANY and len(series.starts) < 3:  # a drift of that size is cut more often
        return None
    width = max(4, n // 10) // 2 * 2 + 1
    padded = np.pad(series.levels, ((width // 2, width // 2), (0, 0)), mode="reflect")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, width, axis=0), axis=2)
    chosen = int(np.argsort(np.ptp(smooth, axis=0), kind="stable")[-2])
    levels = smooth[:, chosen]
    size = float(np.ptp(levels))
    if size < max(_DRIFT * limit, 2.5 * _SURE * float(series.noise[chosen]) / math.sqrt(width)):
        return None
    rises = int(np.argmin(levels)) < int(np.argmax(levels))
    made = (levels - levels.min()) / size if rises else (levels.max() - levels) / size
    late = int(np.flatnonzero(made >= 0.8)[0])
    early = int(np.flatnonzero(made[: late + 1] <= 0.2)[-1]) if (made[:late] <= 0.2).any() else 0
    taken = late - early
    if taken < _SLOW * n:
        return None
    start, stop = max(0, round(early - taken / 3.0)), min(n, round(late + taken / 3.0) + 1)
    return _Run(start, stop, size if rises else -size)
