"""The declared table of candidates for immunostimulation, and its codes."""

from __future__ import annotations

import polars as pl

from cytosepsis.tables.schemas import Column, Table

CANDIDATES = Table(
    "candidates",
    "rule × patient",
    "the rules of `[candidates]`, then patients as they first appear",
    (
        Column("rule", pl.String, "", "Name of the rule in the study."),
        Column("patient_id", pl.String, "", "The patient."),
        Column(
            "verdict",
            pl.String,
            "",
            "Of the marker: `clearly_below`, `uncertain`, `above`; of a rule that looks for high "
            "values `clearly_above`, `uncertain`, `below`. Beyond repeatability, or uncertain.",
        ),
        Column("companion_verdict", pl.String, "", "`met`, `not_met` or `uncertain`."),
        Column(
            "candidate",
            pl.String,
            "",
            "`yes`: verdict clear and companion met; `no`: one of them contradicts, or the "
            "cohort's rules exclude the patient; else `uncertain`.",
        ),
        Column("reason", pl.String, "", "Why the verdict is not clear, as a code."),
        Column("marker", pl.String, "", "The rule's marker."),
        Column("value", pl.Float64, "unit", "Of the draw that decides."),
        Column("low", pl.Float64, "unit", "Lower end: bead line, cells, repeatability together."),
        Column("high", pl.Float64, "unit", "Upper end of the same 95 % interval."),
        Column("cutoff", pl.Float64, "unit", "The line."),
        Column("unit", pl.String, "", "Of value, interval and line."),
        Column("day", pl.Int64, "days", "Day of the draw that decides."),
        Column("timepoint", pl.String, "", "Its window."),
        Column("n_draws", pl.Int64, "draws", "Draws with a value in the rule's days."),
        Column("n_needed", pl.Int64, "draws", "Draws in a row that the rule wants."),
        Column("companion", pl.String, "", "The companion criterion in words."),
        Column("companion_value", pl.Float64, "", "In the criterion's unit."),
        Column("cohort_verdict", pl.String, "", "Of the cohort's rules; null where not judged."),
        Column("drug", pl.String, "", "What the rule is for."),
        Column("criterion", pl.String, "", "The rule in words."),
        Column("source", pl.String, "", "Where the rule comes from."),
        Column("flags", pl.String, "", "Flags of the value, `;`-joined."),
    ),
)

CODES = {
    "no_draw": "No draw with a value in the rule's days.",
    "flagged": "The value is flagged; see `flags`.",
    "not_included": "The cohort's rules exclude the patient.",
    "cohort_unknown": "The cohort's rules cannot be judged for the patient.",
    "no_cv": "No repeatability is declared (`assay_cv`, or the rule's `cv`): uncertain at best.",
    "near_the_line": "The interval reaches across the line.",
    "too_few_draws": "Fewer draws in a row than the rule wants.",
    "not_in_a_row": "Draws beyond the line, but not as many in a row as the rule wants.",
    "unit": "The marker's unit does not convert into the rule's.",
    "companion_missing": "The companion was not measured at the draw that decides.",
}
