"""Stability of one channel's signal: stretches of events whose level left the usual one.

Per bin, five quantiles are taken on a scale that is logarithmic but near zero, in decades. Exact
change points cut the file where they move together. A stretch is odd where at least two of the
five have moved: a change of the instrument's signal moves all of them, a change of the cells' mix
moves the one that lies between two populations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels.levels import departures, running_medians, segments
from cytosepsis.quality.report import CheckResult, CheckStatus, Kind, Window, joined
from cytosepsis.quality.settings import QualitySettings
from cytosepsis.quality.stretches import noise_of, quantile_of, verdict_of, window_of
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
Bools = NDArray[np.bool_]

_CHANCE = np.array(PROBABILITIES)
_MIDDLE = PROBABILITIES.index(0.5)
# Slopes of a line over the probabilities, as weights of its values.
_SLOPES = np.array([np.gradient(values, _CHANCE) for values in np.eye(len(PROBABILITIES))])


@dataclass(frozen=True, slots=True)
class _Series:
    """Levels of a channel along the file, cut into segments."""

    levels: Floats  # (5, n) decades, of the bins that have values
    bins: Ints  # (n,): their numbers
    starts: Ints  # (n_segments,): first place of each segment in the two above
    noise: Floats  # (5,): standard error of one bin

    @property
    def n(self) -> int:
        """Number of bins that have values."""
        return len(self.bins)


@dataclass(frozen=True, slots=True)
class _Run:
    """A stretch of the series: places [start, stop), and how far it leaves the usual level."""

    start: int
    stop: int
    size: float


def check_signals(
    trace: Trace, names: Sequence[str], settings: QualitySettings
) -> list[CheckResult]:
    """Judge the stability of each channel of a trace; `names` are their $PnN.

    What numpy does is done for all channels at once: they are short series.
    """
    statuses = _statuses(trace, settings)
    judged = [index for index, status in enumerate(statuses) if status in ("ok", "not_a_number")]
    results = [CheckResult("signal", pnn, statuses[k], None) for k, pnn in enumerate(names)]
    for index, series in _all_series(trace, judged):
        results[index] = _judged(trace, series, statuses[index], names[index], settings)
    return results


def _judged(
    trace: Trace, series: _Series, status: CheckStatus, pnn: str, settings: QualitySettings
) -> CheckResult:
    sizes: list[float] = [0.0]  # of one segment, which is the usual level itself
    if len(series.starts) > 1:
        limit = settings.signal_shift
        sizes = departures(series.levels, series.starts, series.noise, _SURE, limit).tolist()
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
        size=max(sizes, key=abs),
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
        at_end = run.start == 0 or run.stop == series.n
        found.append(("step" if at_end else "excursion", run))
    return tuple(
        window_of(kind, trace, int(series.bins[r.start]), int(series.bins[r.stop - 1]), r.size)
        for kind, r in sorted(found, key=lambda pair: pair[1].start)
    )


def _shared(run: _Run, other: _Run) -> int:
    """How many places two stretches have in common."""
    return max(0, min(run.stop, other.stop) - max(run.start, other.start))


def _statuses(trace: Trace, settings: QualitySettings) -> list[CheckStatus]:
    n_values = trace.n_events - trace.n_nan
    is_constant = trace.least == trace.most
    is_counter = _counts(trace.quantiles)
    found: list[CheckStatus] = []
    for index in range(len(trace.columns)):
        if n_values[index] < settings.min_events:
            few = trace.n_events < settings.min_events
            found.append("few_events" if few else "not_a_number")
        elif is_constant[index]:
            found.append("constant")
        elif is_counter[index]:
            found.append("counter")
        else:
            found.append("not_a_number" if trace.n_nan[index] else "ok")
    return found


def _counts(quantiles: Floats) -> Bools:
    """Whether columns count the events up: they only rise, and no bin holds much of the range."""
    low, middle, high = quantiles[:, :, 0], quantiles[:, :, _MIDDLE], quantiles[:, :, -1]
    fine = np.abs(middle[1:]) / 32.0  # as the cells are
    rises: Bools = np.all(np.diff(middle, axis=0) > -fine, axis=0)
    for index in np.flatnonzero(rises) if len(middle) else ():
        held = float(np.median(high[:, index] - low[:, index]))
        rises[index] = held < 0.1 * float(middle[-1, index] - middle[0, index])
    return rises


def _all_series(trace: Trace, channels: Sequence[int]) -> Iterator[tuple[int, _Series]]:
    """Each channel's series; those that have values in the same bins are made together."""
    present: Bools = np.all(np.isfinite(trace.quantiles[:, channels]), axis=2)
    together: dict[bytes, list[int]] = {}
    for place, channel in enumerate(channels):
        together.setdefault(present[:, place].tobytes(), []).append(channel)
    n = np.diff(trace.edges).mean() if trace.n_bins else 0.0
    for pattern, members in together.items():
        bins = np.flatnonzero(np.frombuffer(pattern, dtype=np.bool_))
        values = trace.quantiles[bins][:, members]
        levels = _decades(np.ascontiguousarray(values.transpose(1, 2, 0)))
        middle = quantile_of(np.sort(levels, axis=-1), 0.5)
        noise = np.maximum(noise_of(levels), 0.5 * _expected_noise(middle, n))
        noise = np.maximum(noise, _LEAST_NOISE)
        centred, weights = levels - middle[:, :, None], 1.0 / noise**2
        for place, channel in enumerate(members):
            starts = segments(centred[place], weights[place], PENALTY)
            yield channel, _Series(levels[place], bins, starts, noise[place])


def _decades(values: Floats) -> Floats:
    """Values (n_channels, 5, n) on an inverse hyperbolic sine in decades.

    Linear below half of a channel's middle. Scale-free: the same values in another unit give the
    same decades.
    """
    middle = 0.5 * quantile_of(np.sort(np.abs(values[:, _MIDDLE]), axis=-1), 0.5)
    for channel in np.flatnonzero(middle == 0.0):
        others = np.abs(values[channel][values[channel] != 0.0])
        middle[channel] = 0.5 * float(np.median(others)) if len(others) else 1.0
    return np.arcsinh(values / middle[:, None, None]) / math.log(10.0)


def _expected_noise(middle: Floats, n: float) -> Floats:
    """Standard errors that quantiles of n values have by chance, from the spacing between them.

    `middle` are a channel's quantiles, (n_channels, 5).
    """
    noise: Floats = np.sqrt(_CHANCE * (1.0 - _CHANCE) / n) * (middle @ _SLOPES)
    return noise


def _runs(series: _Series, sizes: Sequence[float], limit: float) -> list[_Run]:
    """Neighbouring segments beyond the limit as one, if they are long enough to be told."""
    borders = [*series.starts.tolist(), series.n]
    runs = []
    first = 0
    while first < len(sizes):
        is_odd = abs(sizes[first]) >= limit
        last = first
        while last + 1 < len(sizes) and (abs(sizes[last + 1]) >= limit) == is_odd:
            last += 1
        start, stop = borders[first], borders[last + 1]
        if is_odd and stop - start >= _LEAST_BINS:
            runs.append(_Run(start, stop, max(sizes[first : last + 1], key=abs)))
        first = last + 1
    return runs


def _drift(series: _Series, limit: float) -> _Run | None:
    """A slow change in one direction, told apart from a step by how long it takes; or None.

    On the running median of the quantile that moves most but one: between the times at which a
    fifth and four fifths of the change are made, more of the file passes than in a step. Begin and
    end are where a straight line through these two times reaches its ends.
    """
    n = series.n
    if n >= _MANY and len(series.starts) < 3:  # a drift of that size is cut more often
        return None
    width = max(4, n // 10) // 2 * 2 + 1
    smooth = running_medians(series.levels, width)
    chosen = int(np.argsort(np.ptp(smooth, axis=1), kind="stable")[-2])
    levels = smooth[chosen]
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
