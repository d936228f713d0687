"""Frames of acquisition quality: checks, odd stretches, and bins for plots over time."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cytosepsis.quality.report import QualityReport
from cytosepsis.tables.quality_schemas import QUALITY, QUALITY_BINS, QUALITY_WINDOWS
from cytosepsis.tables.readings import Reading
from cytosepsis.tables.schemas import frame


def quality_frame(readings: Iterable[Reading]) -> pl.DataFrame:
    """The `quality` table; failed samples and assays without checks have no rows."""
    rows = [
        (sample_id, report, c) for sample_id, report in _reports(readings) for c in report.checks
    ]
    values: dict[str, list[object]] = {
        name: [getattr(check, name) for _, _, check in rows]
        for name in (
            *("check", "channel", "status", "verdict", "n_flagged", "fraction_flagged", "size"),
            *("n_top", "n_floor", "n_nan"),
        )
    }
    values |= {
        "sample_id": [sample_id for sample_id, _, _ in rows],
        "n_events": [report.n_events for _, report, _ in rows],
        "n_windows": [len(check.windows) for _, _, check in rows],
    }
    return frame(QUALITY.columns, values)


def quality_windows_frame(readings: Iterable[Reading]) -> pl.DataFrame:
    """The `quality_windows` table."""
    rows = [
        (sample_id, check, window)
        for sample_id, report in _reports(readings)
        for check in report.checks
        for window in check.windows
    ]
    values: dict[str, list[object]] = {
        name: [getattr(window, name) for _, _, window in rows]
        for name in (
            *("kind", "first_event", "n_events"),
            *("start_seconds", "stop_seconds", "size"),
        )
    }
    values |= {
        "sample_id": [sample_id for sample_id, _, _ in rows],
        "check": [check.check for _, check, _ in rows],
        "channel": [check.channel for _, check, _ in rows],
    }
    return frame(QUALITY_WINDOWS.columns, values)


def quality_bins_frame(readings: Iterable[Reading]) -> pl.DataFrame:
    """The `quality_bins` table."""
    rows = [
        (sample_id, number, one, channel, median)
        for sample_id, report in _reports(readings)
        for number, one in enumerate(report.bins)
        for channel, median in zip(report.channels, one.medians, strict=True)
    ]
    values: dict[str, list[object]] = {
        name: [getattr(one, name) for _, _, one, _, _ in rows]
        for name in ("first_event", "n_events", "start_seconds", "events_per_second")
    }
    values |= {
        "sample_id": [row[0] for row in rows],
        "bin": [row[1] for row in rows],
        "channel": [row[3] for row in rows],
        "median": [row[4] for row in rows],
    }
    return frame(QUALITY_BINS.columns, values)


def _reports(readings: Iterable[Reading]) -> list[tuple[str, QualityReport]]:
    return [
        (r.sample.sample_id, r.result.quality)
        for r in readings
        if r.result is not None and r.result.quality is not None
    ]
