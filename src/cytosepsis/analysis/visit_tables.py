"""The declared table of visits and its codes."""

from __future__ import annotations

import polars as pl

from cytosepsis.tables.schemas import Column, Table

VISITS = Table(
    "visits",
    "patient × window of the study, drawn or not; then what was drawn outside all windows, one row "
    "per patient and code",
    "patients as they first appear in the sample sheet, then in the clinical sheet; the study's "
    "windows; then other labels and what lies outside",
    (
        Column("patient_id", pl.String, "", "The patient; donors have no visits."),
        Column("timepoint", pl.String, "", "Window or label; null of what lies outside."),
        Column("first_day", pl.Float64, "days", "First day of the window, inclusive."),
        Column("last_day", pl.Float64, "days", "Last day of the window, inclusive."),
        Column(
            "status",
            pl.String,
            "",
            "`drawn` (a usable value of a marker), `unusable` (acquired, no usable value), "
            "`missing`, `not_expected` (dead, discharged or no longer observed before the window), "
            "`outside` (drawn, in no window).",
        ),
        Column("code", pl.String, "", "Why not `drawn`; null where it is."),
        Column("reason", pl.String, "", "The same in words."),
        Column("n_samples", pl.Int64, "acquisitions", "Acquisitions of the visit."),
        Column("n_values", pl.Int64, "markers", "Markers with a usable value."),
        Column("days", pl.String, "days", "Days of the draws, `;`-joined, each once."),
        Column("sample_ids", pl.String, "", "Acquisitions, `;`-joined."),
        Column("flags", pl.String, "", "Flags on time of these acquisitions, `;`-joined."),
    ),
)

VISIT_CODES = {
    "died": "The patient died before the window ended.",
    "discharged": "The patient left intensive care before the window ended.",
    "observation_ended": "Observation ended before the window did.",
    "weekend": "At every noon of the window it was Saturday or Sunday.",
    "not_drawn": "Nothing was acquired and no reason is known.",
    "no_value": "Acquired, but no marker has a usable value: `marker_values` and `unused` say why.",
    "out_of_window": "Drawn on a day that lies in none of the windows.",
    "before_onset": "Drawn before shock onset.",
    "onset_unknown": "No shock onset is given, and no timepoint.",
    "draw_unknown": "Neither a draw time nor a timepoint is given.",
    "no_windows": "The study has no windows, and the sheet gives no timepoint.",
}
