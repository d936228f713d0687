"""The declared table of trajectories."""

from __future__ import annotations

import polars as pl

from cytosepsis.tables.columns import number as _number
from cytosepsis.tables.columns import text as _text
from cytosepsis.tables.schemas import Column, Table

TRAJECTORIES = Table(
    "trajectories",
    "patient × marker with a usable value; donors have none",
    "that of `marker_values`",
    (
        _text("patient_id", "The patient."),
        _text("marker", "Marker of the study."),
        _text("unit", "Unit of the values."),
        Column("n_values", pl.Int64, "values", "Usable values, one per timepoint."),
        _text("first_timepoint", "Of the first value."),
        Column("first_day", pl.Float64, "days", "Days since shock onset of the first draw."),
        _number("first_value", "unit", "The first value."),
        _text("last_timepoint", "Of the last value."),
        Column("last_day", pl.Float64, "days", "Days since shock onset of the last draw."),
        _number("last_value", "unit", "The last value; null of a single one."),
        _number("delta", "unit", "Last minus first."),
        _number("ratio", "", "Last / first; null where the first is not positive."),
        _number("percent_change", "%", "100 · (ratio - 1)."),
        _number("delta_per_day", "unit/day", "Delta / days between the two draws."),
        _number("log10_slope_per_day", "1/day", "log10 of the ratio / days between the draws."),
        _number(
            "log10_slope_fit",
            "1/day",
            "Slope of the least-squares line of log10 over all draws; null of fewer than 3.",
        ),
        _number("nadir", "unit", "The lowest value."),
        Column("nadir_day", pl.Float64, "days", "Days since shock onset of its draw."),
        _number("cutoff", "unit", "The cut-off whose days below are counted."),
        _number(
            "days_below",
            "days",
            "Between the first and the last draw, log10 joined by straight lines; null of one "
            "value.",
        ),
        _number("days_observed", "days", "From the first to the last draw."),
        _number(
            "smallest_real_change",
            "fraction",
            "2.77 · the assay's CV: what two measurements of one sample may differ by; null "
            "without `assay_cv`, and of other markers than AB/C.",
        ),
        Column(
            "real_change",
            pl.Boolean,
            "",
            "Whether last and first differ by more, of the first; null where it is not known.",
        ),
        _text("course", "`improver`, `non_improver` or `decliner`, by the ratio alone."),
        Column(
            "known_at_day",
            pl.Int64,
            "days",
            "Day of the last draw that contributes: no event of that day or before is predicted.",
        ),
        _text("flags", "Flags of the values, `;`-joined."),
        _text("code", "Why there is no change; null where there is one."),
        _text("reason", "The same in words."),
    ),
)

TRAJECTORY_CODES = {
    "one_value": "Only one timepoint has a usable value.",
    "mixed_lysis": "The values are of different lysis methods, which the study does not compare.",
    "mixed_sites": "The values are of different sites, which the study does not compare.",
    "not_positive": "A value is not positive: no ratio and no slope of log10.",
    "undated": "A draw has no day: nothing per day.",
}
