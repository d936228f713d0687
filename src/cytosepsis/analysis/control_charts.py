"""Levey–Jennings charts, judged by Westgard's rules; control blood against its targets.

A chart is one quantity of one item on one cytometer (for beads: of one lot and detector). Its runs
stand in order of acquisition; limits come from its first runs, so that a new run never changes
what an earlier one was told.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import polars as pl

from cytosepsis.analysis.chart_tables import TABLES
from cytosepsis.analysis.charted import SERIES, chart_points, sensitivity_frame, targets_of
from cytosepsis.analysis.lot_bridges import lot_bridges
from cytosepsis.analysis.westgard import (
    RULES,
    WARNINGS,
    ChartLimits,
    Learning,
    broken_rules,
    scores,
    wide_runs,
)
from cytosepsis.protocol import Study

# A setting has no SD to be judged by: any change of it is told.
SETTINGS = ("detector_voltage", "detector_gain")
CHANGED = "changed"


def charts_frames(study: Study, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables of `cytosepsis charts`, from those of a run."""
    settings = study.control_charts
    calibrations, abc, samples = tables["calibrations"], tables["abc"], tables["samples"]
    sensitivity = sensitivity_frame(calibrations, tables["bead_levels"])
    points = chart_points(tables, sensitivity)
    learning = Learning(settings.baseline_runs, settings.provisional_runs)
    charts = judge_charts(points, learning)
    made = {
        "control_charts": charts,
        "control_targets": control_targets(abc, samples),
        "lot_bridges": lot_bridges(calibrations, abc, settings),
        "detector_sensitivity": sensitivity,
    }
    return {table.name: made[table.name].select(table.names) for table in TABLES}


def judge_charts(points: pl.DataFrame, learning: Learning) -> pl.DataFrame:
    """Score and judge every point of every chart.

    Returns the points in order of chart and acquisition, with mean, sd, z, n_baseline, limits
    (`given`, `learned`,
    `provisional`, null while learning), rules (`;`-joined, `changed` of a setting) and
    verdict: `learning`, `ok`, `warning` (1-2s alone), `rejected`, `missing` (no value).
    """
    ordered = points.sort(*SERIES, "acquired_at", "run", nulls_last=True, maintain_order=True)
    charts = ordered.partition_by(list(SERIES), maintain_order=True)
    z: list[float | None] = []
    limits: list[ChartLimits | None] = []
    rules: list[tuple[str, ...]] = []
    for chart in charts:
        if chart["quantity"][0] in SETTINGS:
            n = chart.height
            z.extend([None] * n)
            limits.extend([None] * n)
            rules.extend(_changes(chart["value"].to_list()))
            continue
        values = [math.nan if value is None else value for value in chart["value"]]
        given = [
            None if mean is None else ChartLimits(mean, sd)
            for mean, sd in chart.select("given_mean", "given_sd").iter_rows()
        ]
        judged = scores(values, learning, usable=chart["usable"].to_list(), given=given)
        z.extend(score for score, _ in judged)
        limits.extend(limit for _, limit in judged)
        rules.extend(broken_rules([score for score, _ in judged]))
    rules = _with_wide(rules, z, ordered)
    return ordered.with_columns(
        pl.Series("mean", [limit.mean if limit else None for limit in limits], pl.Float64),
        pl.Series("sd", [limit.sd if limit else None for limit in limits], pl.Float64),
        pl.Series("z", z, pl.Float64),
        pl.Series("n_baseline", [limit.n_runs if limit else None for limit in limits], pl.Int64),
        pl.Series("limits", [_kind(limit) for limit in limits], pl.String),
        pl.Series("rules", [";".join(broken) for broken in rules], pl.String),
        pl.Series(
            "verdict",
            [
                _verdict(value, score, broken, setting=quantity in SETTINGS)
                for value, quantity, score, broken in zip(
                    ordered["value"], ordered["quantity"], z, rules, strict=True
                )
            ],
            pl.String,
        ),
    )


def _kind(limit: ChartLimits | None) -> str | None:
    if limit is None:
        return None
    if limit.n_runs is None:
        return "given"
    return "provisional" if limit.provisional else "learned"


def _changes(values: Sequence[float | None]) -> list[tuple[str, ...]]:
    """`changed` where a setting differs from the one before it; unknown ones are passed over."""
    answers: list[tuple[str, ...]] = []
    before = None
    for value in values:
        changed = value is not None and before is not None and value != before
        answers.append((CHANGED,) if changed else ())
        before = before if value is None else value
    return answers


def _with_wide(
    rules: Sequence[tuple[str, ...]], z: Sequence[float | None], ordered: pl.DataFrame
) -> list[tuple[str, ...]]:
    """The rules with R-4s, which looks at several charts of one run."""
    together: dict[str, list[float | None]] = defaultdict(list)
    for run, score in zip(ordered["together"], z, strict=True):
        if run is not None:
            together[run].append(score)
    wide = wide_runs(together)
    return [
        tuple(sorted((*broken, "R-4s"), key=RULES.index))
        if run in wide and score is not None
        else broken
        for broken, run, score in zip(rules, ordered["together"], z, strict=True)
    ]


def _verdict(value: float | None, z: float | None, rules: tuple[str, ...], *, setting: bool) -> str:
    if value is None:
        return "missing"
    if setting:
        return "warning" if rules else "ok"
    if z is None:
        return "learning"
    if set(rules) - set(WARNINGS):
        return "rejected"
    return "warning" if rules else "ok"


# ----------------------------------------------------------------------- controls and targets


def control_targets(abc: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Control blood and external quality assessment against the targets of the sample sheet.

    Targets stand in further columns of the sheet: `target_abc`, and `target_low` and `target_high`
    or `target_sd` (± 2 SD). The value is `within` its range or `outside` it; z is (value − target)
    / SD where an SD is given. Without a range: `no_target`; without a value: `no_value`.
    """
    about = samples.select("sample_id", "cytometer", "acquired_at", *targets_of(samples))
    target, sd, value = pl.col("target_abc"), pl.col("target_sd"), pl.col("abc")
    low = pl.coalesce("target_low", target - 2 * sd)
    high = pl.coalesce("target_high", target + 2 * sd)
    outside = (value < low).fill_null(False) | (value > high).fill_null(False)
    return (
        abc.filter(pl.col("group").is_in(["control", "eqa"]))
        .join(about, on="sample_id", how="left")
        .select(
            "sample_id",
            "patient_id",
            "group",
            "cytometer",
            "acquired_at",
            "abc",
            "abc_low",
            "abc_high",
            "target_abc",
            low.alias("target_low"),
            high.alias("target_high"),
            (value / target).alias("recovery"),
            ((value - target) / sd).alias("z"),
            pl.when(value.is_null())
            .then(pl.lit("no_value"))
            .when(low.is_null() & high.is_null())
            .then(pl.lit("no_target"))
            .when(outside)
            .then(pl.lit("outside"))
            .otherwise(pl.lit("within"))
            .alias("verdict"),
        )
    )
