"""Two bead lots run on one cytometer on one day: how far AB/C moves from the old to the new one.

Every quantified sample near the two runs is read by both lines; no event is read again. The bias is
that of single samples, not of the lines: it depends on where on the scale the cells lie.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from cytosepsis.analysis.charted import bead_lines
from cytosepsis.protocol import ChartSettings
from cytosepsis.quantiles import student_quantile

_COLUMNS = {
    "old_run": pl.String,
    "new_run": pl.String,
    "old_lot": pl.String,
    "new_lot": pl.String,
    "cytometer": pl.String,
    "channel": pl.String,
    "statistic": pl.String,
    "n_samples": pl.Int64,
    "bias": pl.Float64,
    "bias_low": pl.Float64,
    "bias_high": pl.Float64,
    "largest": pl.Float64,
    "verdict": pl.String,
}


def lot_bridges(
    calibrations: pl.DataFrame, abc: pl.DataFrame, settings: ChartSettings
) -> pl.DataFrame:
    """Every pair of bead runs of different lots that can be compared, in order of the new run.

    Comparable are usable runs of one cytometer, channel and statistic with equal voltage and gain,
    at most `bridge_hours` apart. The samples are those that either run quantified; where they are
    fewer than `bridge_samples`, those of the whole study in that channel are not taken instead: the
    verdict is `too_few`. The bias is the geometric mean of AB/C(new) / AB/C(old), minus 1, with its
    95 % interval (Student's t on the logarithms); `accepted` where the interval lies within ±
    `bridge_bias`, `rejected` where it lies beyond, else `undecided`.
    """
    lines = bead_lines(calibrations).filter(
        pl.col("status") != "failed", pl.col("slope").is_not_null()
    )
    rows = [_bridge(old, new, abc, settings) for old, new in _pairs(lines, settings.bridge_hours)]
    return pl.DataFrame(rows, schema=_COLUMNS)


def _pairs(lines: pl.DataFrame, hours: float) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    same = ("cytometer", "channel", "statistic", "voltage", "gain")
    ordered = lines.filter(pl.col("acquired_at").is_not_null()).sort("acquired_at", "bead_run")
    rows = ordered.to_dicts()
    # A lot is new to a cytometer from its first run on it.
    first: dict[tuple[str, str], int] = {}
    for index, row in enumerate(rows):
        first.setdefault((row["cytometer"], row["lot"]), index)
    for later, b in enumerate(rows):
        for earlier, a in enumerate(rows[:later]):
            if a["lot"] == b["lot"] or any(a[key] != b[key] for key in same):
                continue
            if b["acquired_at"] - a["acquired_at"] > timedelta(hours=hours):
                continue
            of_a, of_b = (first[row["cytometer"], row["lot"]] for row in (a, b))
            yield (a, b) if of_a < of_b else (b, a)
            assert earlier < later


def _bridge(
    old: dict[str, Any], new: dict[str, Any], abc: pl.DataFrame, settings: ChartSettings
) -> dict[str, Any]:
    used = abc.filter(
        pl.col("bead_run").is_in([old["bead_run"], new["bead_run"]]),
        pl.col("detector") == old["channel"],
        pl.col("statistic") == old["statistic"],
        pl.col("intensity") > 0,
    )
    y = np.log10(used["intensity"].to_numpy())
    moved = (y - new["intercept"]) / new["slope"] - (y - old["intercept"]) / old["slope"]
    n = len(moved)
    row: dict[str, Any] = {
        "old_run": old["bead_run"],
        "new_run": new["bead_run"],
        "old_lot": old["lot"],
        "new_lot": new["lot"],
        "cytometer": new["cytometer"],
        "channel": new["channel"],
        "statistic": new["statistic"],
        "n_samples": n,
        "bias": float(10 ** moved.mean() - 1) if n else None,
        "largest": float(10 ** moved[np.abs(moved).argmax()] - 1) if n else None,
        "verdict": "too_few",
    }
    if n < max(2, settings.bridge_samples):
        return row
    half = student_quantile(n - 1, 0.975) * float(moved.std(ddof=1)) / math.sqrt(n)
    low, high = 10 ** (moved.mean() - half) - 1, 10 ** (moved.mean() + half) - 1
    limit = settings.bridge_bias
    verdict = "undecided"
    if -limit <= low and high <= limit:
        verdict = "accepted"
    elif low > limit or high < -limit:
        verdict = "rejected"
    return row | {"bias_low": float(low), "bias_high": float(high), "verdict": verdict}
