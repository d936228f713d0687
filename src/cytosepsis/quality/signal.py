"""Stability of one channel's signal: stretches of events whose level left the usual one.

A stretch is odd where at least two of five quantiles have moved: a change of the instrument's
signal moves all of them, a change of the cells' mix moves the one that lies between two
populations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels.levels import departures
from cytosepsis.quality.report import CheckResult, CheckStatus, Kind, Window, joined
from cytosepsis.quality.series import Series, series_of
from cytosepsis.quality.settings import QualitySettings
from cytosepsis.quality.stretches import verdict_of, window_of
from cytosepsis.quality.trace import PROBABILITIES, Trace

_LEAST_BINS = 2  # in a stretch: one bin alone may have another mix of cells by chance
_DRIFT = 2.0  # limits that a drift is at least large: clean files wander by up to 1.7
_SLOW = 0.15  # part of the file in which the middle three fifths of a drift are made; more: a drift
_LONG = 0.6  # part of a short file that a drift takes: a shorter one cannot be told from a step
_MIDDLE = PROBABILITIES.index(0.5)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


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
    for index, series in series_of(trace, judged):
        results[index] = _judged(trace, series, statuses[index], names[index], settings)
    return results


def _judged(
    trace: Trace, series: Series, status: CheckStatus, pnn: str, settings: QualitySettings
) -> CheckResult:
    sizes: list[float] = [0.0]  # of one segment, which is the usual level itself
    if len(series.starts) > 1:
        limit = settings.signal_shift
        sizes = departures(series.levels, series.starts, series.noise, series.sure, limit).tolist()
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
    trace: Trace, series: Series, runs: list[_Run], drift: _Run | None
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


def _runs(series: Series, sizes: Sequence[float], limit: float) -> list[_Run]:
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


def _drift(series: Series, limit: float) -> _Run | None:
    """A slow change in one direction, told apart from a step by how long it takes; or None.

    Of a long file, on the median of what has been made of the change by those quantiles that surely
    move: between the times at which a fifth and four fifths of it are made, more of the file passes
    than in a step. Begin and end are where a straight line through these two times reaches its
    ends. Of a short one, a line has to fit the course of the events' classes better than a step.
    """
    if series.running is None:
        return None
    n = series.n
    sizes = np.ptp(series.running, axis=1)
    large = np.flatnonzero(sizes >= np.maximum(_DRIFT * limit, series.drift_sure))
    if len(large) < 2:
        return None
    size = float(np.sort(sizes[large])[-2])
    moved = series.running[large]
    levels = np.median((moved - np.median(moved, axis=1)[:, None]) / sizes[large, None], axis=0)
    if np.ptp(levels) < 0.5:  # they do not move together
        return None
    rises = int(np.argmin(levels)) < int(np.argmax(levels))
    size = size if rises else -size
    if series.course is not None:
        line = _line(series.course)
        return None if line is None else _Run(*line, size)
    made = (levels - levels.min()) / np.ptp(levels)
    made = made if rises else 1.0 - made
    late = int(np.flatnonzero(made >= 0.8)[0])
    early = int(np.flatnonzero(made[: late + 1] <= 0.2)[-1]) if (made[:late] <= 0.2).any() else 0
    taken = late - early
    if taken < _SLOW * n:
        return None
    start, stop = max(0, round(early - taken / 3.0)), min(n, round(late + taken / 3.0) + 1)
    return _Run(start, stop, size)


def _line(course: Floats) -> tuple[int, int] | None:
    """Begin and end of a long even change that fits a course better than any step; or None."""
    n = len(course)
    places = np.arange(n) + 0.5
    grid = np.linspace(0.0, n, 21)
    lines = [(a, b) for a in grid for b in grid if b - a >= _LONG * n]
    models = np.array([np.clip((places - a) / (b - a), 0.0, 1.0) for a, b in lines])
    steps = (places > np.arange(1, n)[:, None]).astype(np.float64)
    left = _misfit(course, models)
    if left.min() >= _misfit(course, steps).min():
        return None
    start, stop = lines[int(np.argmin(left))]
    return round(start), round(stop)


def _misfit(course: Floats, models: Floats) -> Floats:
    """Squares that are left of a series by each model (n_models, n), its size and level fitted."""
    centred = models - models.mean(axis=1, keepdims=True)
    away = course - course.mean()
    spread = np.maximum((centred**2).sum(axis=1), 1e-12)
    left: Floats = away @ away - (centred @ away) ** 2 / spread
    return left
