"""The declared tables of endotypes."""

from __future__ import annotations

import polars as pl

from cytosepsis.tables.schemas import Column, Table

_MARKER = Column("marker", pl.String, "", "The marker whose courses are grouped.")
_ENDOTYPE = Column(
    "endotype",
    pl.String,
    "",
    "`E1` ends highest, then downwards. A group of this study's data, no published endotype.",
)

ENDOTYPES = Table(
    "endotypes",
    "one patient of the cohort",
    "that of `cohort`",
    (
        Column("patient_id", pl.String, "", "The patient."),
        _MARKER,
        _ENDOTYPE,
        Column("probability", pl.Float64, "fraction", "Of this group, by the fitted mixture."),
        Column("n_values", pl.Int64, "values", "Windows with a usable value."),
        Column("known_at_day", pl.Int64, "days", "Day of the last draw that contributes."),
        Column("code", pl.String, "", "Why there is no endotype; null where there is one."),
        Column("reason", pl.String, "", "The same in words."),
    ),
)

ENDOTYPE_PROFILES = Table(
    "endotype_profiles",
    "endotype × timepoint",
    "endotypes from `E1`, then the windows",
    (
        _MARKER,
        _ENDOTYPE,
        Column("timepoint", pl.String, "", "The window."),
        Column("n_patients", pl.Int64, "patients", "In the group."),
        Column("n_values", pl.Int64, "values", "Of the group at this window."),
        Column("geometric_mean", pl.Float64, "unit", "Centre of the group, by the mixture."),
        Column(
            "low", pl.Float64, "unit", "95 % of the group's patients lie between this and `high`."
        ),
        Column("high", pl.Float64, "unit", "The upper end; both are mean ± 1.96 SD on log10."),
    ),
)

ENDOTYPE_NUMBERS = Table(
    "endotype_numbers",
    "one number of groups that was tried",
    "ascending",
    (
        _MARKER,
        Column("n_groups", pl.Int64, "groups", "Number of groups."),
        Column("n_patients", pl.Int64, "patients", "With enough values to be grouped."),
        Column("log_likelihood", pl.Float64, "", "Of the fitted mixture."),
        Column("n_parameters", pl.Int64, "", "Free parameters of it."),
        Column("bic", pl.Float64, "", "Bayesian information criterion: lower is better."),
        Column("smallest_group", pl.Int64, "patients", "Size of the smallest group."),
        Column(
            "stability",
            pl.Float64,
            "",
            "Mean adjusted Rand index of the grouping with that of resampled patients: 1 the "
            "same, 0 as by chance. Of the chosen number and its neighbours.",
        ),
        Column("stability_low", pl.Float64, "", "Its 5th percentile over the resamples."),
        Column("chosen", pl.Boolean, "", "Whether `endotypes` has this number."),
        Column(
            "status",
            pl.String,
            "",
            "Of the chosen number: `one_group` (no grouping is supported), `stable`, `unstable` "
            "(groups that another sample of patients would not give).",
        ),
        Column("reason", pl.String, "", "Why it was chosen or not."),
    ),
)

ENDOTYPE_CODES = {
    "not_analysed": "Not taken by analyses: see `cohort`.",
    "too_few_values": "Fewer windows with a value than `min_values`.",
    "too_few_patients": "Fewer patients with enough values than two groups of `min_group` need.",
}
TABLES = (ENDOTYPES, ENDOTYPE_PROFILES, ENDOTYPE_NUMBERS)
