"""Steadiness of the flow: gaps, clogs, bursts, and a clock that restarts or is out of order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels.levels import rate_segments
from cytosepsis.quality.report import CheckResult, CheckStatus, Kind, Window, joined
from cytosepsis.quality.settings import QualitySettings
from cytosepsis.quality.stretches import noise_of, verdict_of, window_of
from cytosepsis.quality.trace import Clock, Trace

PENALTY = 20.0  # per segment, in squared standard errors: twice a logarithm of likelihoods
_SURE = 5.0  # standard errors that a segment's rate has to differ by, beside the limit
_UNSURE = 2.0  # over the root of the bins: part of the noise that may be an error of its estimate
_TICKS = 10  # steps of the clock that pass in a bin, or bins are joined
_GAP_TICKS = 5  # steps of the clock that a gap is longer than
_FEWEST_BINS = 10
_NEIGHBOURHOOD = 0.3  # of all bins, on either side: what a stretch's usual rate is taken from
_LARGE = 0.25  # of events and of time: a stretch of that size is no disturbance
_SMALL = 0.10  # the same: a stretch of less is no change of the rate
_CHANCE = 12.0  # a gap is expected once in e**12 files by chance
_MOST_RESTARTS = 5  # more: the file is out of order
_DISORDER = 0.01  # fraction of events before which the clock fell

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Series:
    """Flow rate along the file; bins of the trace may be joined."""

    first_bin: Ints  # (n,): of the trace
    last_bin: Ints
    n_events: Ints
    seconds: Floats  # without gaps
    levels: Floats  # log10 of the rate
    noise: float  # standard error of one
    excess: float  # its square, to that of arrivals at random; 1 or more


def check_rate(trace: Trace, settings: QualitySettings) -> CheckResult:
    """Judge the flow rate of a trace."""
    status = _status(trace, settings)
    clock = trace.clock
    if clock is None or status in ("few_events", "no_time", "time_constant"):
        return CheckResult("rate", None, status, None)
    if status == "time_unsorted":
        return CheckResult("rate", None, status, "review", size=clock.n_backward / clock.n_timed)
    gaps = _gaps(trace, clock, settings)
    windows = [*_restarts(clock), *gaps]
    series = _series(trace, clock, gaps)
    flagged: list[tuple[int, int]] = []
    if series is None:
        status = "time_coarse"
    else:
        for window, is_flagged in _stretches(trace, series, settings):
            windows.append(window)
            if is_flagged:
                flagged.append((window.first_event, window.first_event + window.n_events))
    n_flagged = sum(stop - first for first, stop in joined(flagged))
    verdict = verdict_of(n_flagged / trace.n_events, settings)
    kinds = {window.kind for window in windows}
    if verdict == "pass" and kinds & {"gap", "time_restart", "rate_step"}:
        verdict = "review"
    return CheckResult(
        check="rate",
        channel=None,
        status=status,
        verdict=verdict,
        n_flagged=n_flagged,
        fraction_flagged=n_flagged / trace.n_events,
        size=None if series is None else _extreme_ratio(series),
        windows=tuple(sorted(windows, key=lambda window: window.first_event)),
        flagged=joined(flagged),
    )


def _status(trace: Trace, settings: QualitySettings) -> CheckStatus:
    clock = trace.clock
    if trace.n_events < settings.min_events:
        return "few_events"
    if clock is None or clock.n_timed < settings.min_events:
        return "no_time"
    total = float(clock.elapsed.sum())
    if not total > 0.0:
        return "time_constant"
    if clock.n_restarts > len(clock.restart_event) or len(_restarts(clock)) > _MOST_RESTARTS:
        return "time_unsorted"
    if clock.n_backward > _DISORDER * clock.n_timed and clock.fall > 0.02 * total:
        return "time_unsorted"
    return "ok"


def _restarts(clock: Clock) -> list[Window]:
    """Falls of the clock by a part of the acquisition that no disorder makes."""
    least = 0.01 * float(clock.elapsed.sum())
    found = zip(clock.restart_event, clock.restart_from, clock.restart_to, strict=True)
    return [
        Window(_restart_kind(clock, start), int(event), 0, start, stop, start - stop)
        for event, start, stop in ((e, float(a), float(b)) for e, a, b in found)
        if start - stop > least
    ]


def _restart_kind(clock: Clock, before: float) -> Kind:
    """A counter that was full has shown nearly the largest number that its $PnR allows."""
    is_full = clock.top is not None and 0.98 * clock.top <= before <= 1.02 * clock.top
    return "time_wrap" if is_full else "time_restart"


def _gaps(trace: Trace, clock: Clock, settings: QualitySettings) -> list[Window]:
    """Times without an event, longer than the limit and than chance allows at the rate about them.

    Of a clock of unknown unit the limit is a hundredth of the acquisition.
    """
    total = float(clock.elapsed.sum())
    limit = settings.gap_seconds if clock.in_seconds else 0.01 * total
    n_events = np.diff(trace.edges)
    rest = np.maximum(clock.elapsed - clock.gap, clock.tick)
    chance = (math.log(trace.n_events) + _CHANCE) * rest / np.maximum(n_events - 1, 1)
    found = []
    least = np.maximum(np.maximum(limit, chance), _GAP_TICKS * clock.tick)
    for number in np.flatnonzero(clock.gap > least):
        event, size = int(clock.gap_event[number]), float(clock.gap[number])
        start = _before_gap(trace, clock, int(number), event)
        found.append(Window("gap", event, 0, start, start + size, size))
    return found


def _before_gap(trace: Trace, clock: Clock, number: int, event: int) -> float:
    """When a gap began: the rest of its bin's time is shared out over the bin's events."""
    first, stop = int(trace.edges[number]), int(trace.edges[number + 1])
    if event == first and clock.n_restarts == 0:  # the bin begins where the gap ends
        return float(clock.start[number] - clock.gap[number])
    rest = float(clock.elapsed[number] - clock.gap[number])
    return float(clock.start[number]) + rest * max(event - first - 1, 0) / max(stop - first - 1, 1)


def _series(trace: Trace, clock: Clock, gaps: list[Window]) -> _Series | None:
    """The flow rate of bins in which the clock moves enough; None where too few are left."""
    seconds = clock.elapsed.copy()
    for gap in gaps:
        seconds[np.searchsorted(trace.edges, gap.first_event, side="right") - 1] -= gap.size
    join = max(1, math.ceil(_TICKS * clock.tick / max(float(np.median(seconds)), 1e-300)))
    starts = np.arange(0, trace.n_bins - join + 1, join)
    if len(starts) < _FEWEST_BINS:
        return None
    stops = np.append(starts[1:], trace.n_bins)
    n_events = trace.edges[stops] - trace.edges[starts]
    spent = np.maximum(np.add.reduceat(seconds, starts), 0.5 * clock.tick)
    levels = np.log10(n_events / spent)
    by_chance = 1.0 / (math.log(10.0) * math.sqrt(float(n_events.mean())))
    noise = max(float(noise_of(levels)) * (1.0 - _UNSURE / math.sqrt(len(levels))), by_chance)
    return _Series(starts, stops - 1, n_events, spent, levels, noise, (noise / by_chance) ** 2)


def _stretches(
    trace: Trace, series: _Series, settings: QualitySettings
) -> list[tuple[Window, bool]]:
    """Stretches of unusual rate, each with whether its events are flagged.

    Flagged are short ones that leave the rate of their neighbourhood. A rate that changes for a
    large part of the file is another setting of the pump, or a slow decline: told, not flagged.
    """
    starts = rate_segments(series.n_events, series.seconds, PENALTY * series.excess)
    stops = np.append(starts[1:], len(series.levels))
    limit = math.log10(settings.rate_ratio)
    usual = _weighted_median(series, 0, len(series.levels))
    kinds: list[Kind | None] = []
    sizes: list[float] = []
    for start, stop in zip(starts, stops, strict=True):
        rate = series.n_events[start:stop].sum() / series.seconds[start:stop].sum()
        level = math.log10(rate)
        reach = math.ceil(_NEIGHBOURHOOD * len(series.levels))
        near = level - _weighted_median(series, max(0, start - reach), stop + reach)
        far = level - usual
        sure = max(limit, _SURE * series.noise / math.sqrt(stop - start))
        kind: Kind | None = None
        if abs(near) >= sure:
            kind = "burst" if near > 0 else "slow"
        elif abs(far) >= sure:
            kind = "rate_step"
        kinds.append(kind)
        sizes.append(10 ** (far if kind == "rate_step" else near))
    return _runs(trace, series, (starts, stops), kinds, sizes)


def _runs(
    trace: Trace,
    series: _Series,
    borders: tuple[Ints, Ints],
    kinds: list[Kind | None],
    sizes: list[float],
) -> list[tuple[Window, bool]]:
    """Neighbouring segments of one kind made one; large ones are changes of the rate."""
    starts, stops = borders
    found: list[tuple[Window, bool]] = []
    first = 0
    while first < len(kinds):
        last = first
        while last + 1 < len(kinds) and kinds[last + 1] == kinds[first]:
            last += 1
        kind = kinds[first]
        if kind is not None:
            inside = slice(starts[first], stops[last])
            share = min(
                series.n_events[inside].sum() / trace.n_events,
                series.seconds[inside].sum() / series.seconds.sum(),
            )
            if kind == "rate_step" and share < _SMALL:  # its neighbourhood is as fast
                first = last + 1
                continue
            if share > _LARGE:
                kind = "rate_step"
            size = max(sizes[first : last + 1], key=lambda ratio: abs(math.log(ratio)))
            bins = int(series.first_bin[starts[first]]), int(series.last_bin[stops[last] - 1])
            found.append((window_of(kind, trace, *bins, size), kind != "rate_step"))
        first = last + 1
    return found


def _weighted_median(series: _Series, start: int, stop: int) -> float:
    """Median rate of some bins, each weighing by the mean (geometric) of its events and its time.

    By events alone a burst would count too much, by time alone a clog.
    """
    levels = series.levels[start:stop]
    weights = np.sqrt(series.n_events[start:stop] * series.seconds[start:stop])
    order = np.argsort(levels, kind="stable")
    summed = np.cumsum(weights[order])
    return float(levels[order[np.searchsorted(summed, 0.5 * summed[-1])]])


def _extreme_ratio(series: _Series) -> float:
    """The bin's rate that differs most from the usual one, as a ratio to it."""
    away = series.levels - _weighted_median(series, 0, len(series.levels))
    return float(10 ** away[np.argmax(np.abs(away))])
