"""`check_quality`: one file's acquisition looked at in one pass, judged by limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import ChannelError
from cytosepsis.fcs import RawEvents
from cytosepsis.gating.row_form import row_form, walk_blocks
from cytosepsis.panel import find, kind_of
from cytosepsis.quality.margins import check_margins
from cytosepsis.quality.rate import check_rate
from cytosepsis.quality.report import CheckResult, QualityBin, QualityReport
from cytosepsis.quality.settings import QualitySettings, Verdict
from cytosepsis.quality.signal import check_signals
from cytosepsis.quality.trace import PROBABILITIES, Trace, Tracing

_WORST: tuple[Verdict, ...] = ("pass", "review", "fail")
_FLAG_OF = {"rate": "rate_unsteady", "signal": "signal_unstable", "margin": "margin_events"}
_CLOCK_FLAGS = {"time_restart": "time_restarts", "time_wrap": "time_wraps"}


def check_quality(
    raw: RawEvents,
    *,
    channels: Iterable[str] | None = None,
    settings: QualitySettings | None = None,
) -> QualityReport:
    """Check the acquisition of a file: flow rate, stability of each signal, ends of the scales.

    The file is read once, in blocks; memory does not grow with it. Nothing is dropped or changed.
    A check that cannot be made says why in its `status` and has no verdict.

    Parameters
    ----------
    raw
        The file.
    channels
        $PnN or $PnS of the channels to look at. None: every scatter and fluorescence parameter,
        heights and widths left out where their area is there. Values are looked at as measured,
        uncompensated: a detector's fault is not spread over others.
    settings
        Checks and limits. None: the defaults.

    Returns
    -------
    QualityReport
        Stretches are given as numbers of events, from 0 in file order, and in seconds.

    Raises
    ------
    ChannelError
        A channel is not in the file; FcsError where it cannot be read any more.

    """
    columns = default_columns(raw) if channels is None else _columns(raw, channels)
    return Watch(raw, columns, settings or QualitySettings()).look()


class Watch:
    """The checks of a file that is being read for something else: shown block by block."""

    def __init__(self, raw: RawEvents, columns: Sequence[int], limits: QualitySettings) -> None:
        self._raw, self._limits = raw, limits
        self._tracing = Tracing(raw, columns)

    def see(self, block: NDArray[Any]) -> None:
        """Look at the next block of rows in file order, as `walk_blocks` hands them out."""
        self._tracing.see(block)

    def report(self) -> QualityReport:
        """Judge what was seen, when all was."""
        return _judge(self._raw, self._tracing.trace(), self._limits)

    def look(self) -> QualityReport:
        """Read the file for nothing else, and judge it."""
        for block in walk_blocks(self._raw, row_form(self._raw)):
            self.see(block)
        return self.report()


def watch_roles(
    raw: RawEvents, roles: Iterable[Sequence[str]], limits: QualitySettings
) -> Watch | None:
    """Watch the detectors of an assay's roles, or all where none is there; None: no check is asked.

    A role is its accepted names. One that is not in the file, or is ambiguous, is left out: whether
    it is needed is for the gates to say.
    """
    if not limits.checks:
        return None
    columns: dict[int, None] = {}
    for accepted in roles:
        with suppress(ChannelError):
            column = find(accepted, raw.pnn, raw.pns)
            if column is not None and kind_of(raw.pnn[column]) != "time":
                columns[column] = None
    return Watch(raw, tuple(columns) or default_columns(raw), limits)


def choose_events(
    raw: RawEvents, report: QualityReport | None, limits: QualitySettings
) -> tuple[RawEvents, RawEvents | None]:
    """The events that are wanted measured, and the other choice; None where none is flagged."""
    if report is None or not report.flagged():
        return raw, None
    kept = raw.keep(report.kept())
    return (raw, kept) if limits.events == "keep" else (kept, raw)


def default_columns(raw: RawEvents) -> tuple[int, ...]:
    """Columns of scatter and fluorescence; no heights and widths whose area is there."""
    return tuple(
        column
        for column, pnn in enumerate(raw.pnn)
        if kind_of(pnn) in ("scatter", "fluorescence") and not _is_twin(pnn, raw.pnn)
    )


def _judge(raw: RawEvents, trace: Trace, limits: QualitySettings) -> QualityReport:
    columns = trace.columns
    checks: list[CheckResult] = []
    if "rate" in limits.checks:
        checks.append(check_rate(trace, limits))
    if "signal" in limits.checks:
        checks.extend(check_signals(trace, [raw.pnn[column] for column in columns], limits))
    for index, column in enumerate(columns):
        if "margin" in limits.checks:
            checks.append(check_margins(trace, index, raw.pnn[column], limits))
    verdict = _worst(checks)
    keeps_bins = limits.bins == "all" or verdict in ("review", "fail")
    return QualityReport(
        n_events=raw.n_events,
        verdict=verdict,
        flags=_flags(checks, verdict),
        checks=tuple(checks),
        channels=tuple(raw.pnn[column] for column in columns),
        bins=_bins(raw, trace) if keeps_bins else (),
    )


def _columns(raw: RawEvents, channels: Iterable[str]) -> tuple[int, ...]:
    columns: dict[int, None] = {}
    missing = []
    for name in channels:
        column = find((name,), raw.pnn, raw.pns)
        if column is None:
            missing.append(name)
        else:
            columns[column] = None
    if missing:
        raise ChannelError(
            f"the file has no channel {', '.join(missing)}. It has: {', '.join(raw.pnn)}"
        )
    return tuple(columns)


def _is_twin(pnn: str, names: Sequence[str]) -> bool:
    """Whether a parameter is the height or width of a pulse whose area is there too."""
    return pnn[-2:].upper() in ("-H", "-W") and f"{pnn[:-2]}-A" in names


def _worst(checks: Sequence[CheckResult]) -> Verdict | None:
    verdicts = [result.verdict for result in checks if result.verdict is not None]
    return max(verdicts, key=_WORST.index, default=None)


def _flags(checks: Sequence[CheckResult], verdict: Verdict | None) -> tuple[str, ...]:
    flags: dict[str, None] = {}
    for result in checks:
        if result.status == "time_unsorted":
            flags["time_unsorted"] = None
        elif result.verdict in ("review", "fail"):
            flags[_FLAG_OF[result.check]] = None
        elif result.verdict is None and result.status != "constant":
            flags["quality_unchecked"] = None
        for window in result.windows:
            if window.kind in _CLOCK_FLAGS:
                flags[_CLOCK_FLAGS[window.kind]] = None
    if verdict == "fail":
        flags["quality_failed"] = None
    return tuple(flags)


def _bins(raw: RawEvents, trace: Trace) -> tuple[QualityBin, ...]:
    """What plots over time need, on linear scales."""
    form = row_form(raw)
    gains = [1.0 if form.is_linear else raw.parameters[c].applied_gain for c in trace.columns]
    medians = trace.quantiles[:, :, PROBABILITIES.index(0.5)] / np.array(gains)
    counts = np.diff(trace.edges)
    starts: Sequence[float | None] = [None] * trace.n_bins
    rates: Sequence[float | None] = [None] * trace.n_bins
    if trace.clock is not None:
        starts = _listed(trace.clock.start)
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = _listed(counts / trace.clock.elapsed)
    return tuple(
        QualityBin(int(first), int(n), start, rate, tuple(_listed(row)))
        for first, n, start, rate, row in zip(
            trace.edges[:-1], counts, starts, rates, medians, strict=True
        )
    )


def _listed(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
