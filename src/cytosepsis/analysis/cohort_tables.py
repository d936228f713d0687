"""The declared tables of the cohort."""

from __future__ import annotations

import polars as pl

from cytosepsis.tables.columns import number as _number
from cytosepsis.tables.columns import text as _text
from cytosepsis.tables.schemas import Column, Table

_PATIENT = _text("patient_id", "The patient.")
_SHEET_ORDER = "patients as they first appear in the sheets of samples, clinical data, measurements"

COHORT = Table(
    "cohort",
    "one patient; donors and controls have none",
    _SHEET_ORDER,
    (
        _PATIENT,
        _text(
            "verdict",
            "`exclude`: a rule fails. `unknown`: none fails, and of one it is not known. "
            "`include`: every rule passes.",
        ),
        _text("reasons", "Every rule that fails, else is not known, with why; `; `-joined."),
        _text("failed_rules", "Rules that fail, `;`-joined."),
        _text("unknown_rules", "Rules of which it is not known, `;`-joined."),
        Column(
            "analysed",
            pl.Boolean,
            "",
            "Whether analyses take the patient, as `[analysis] population` says; all where the "
            "rules can be judged for nobody.",
        ),
        _number("age", "years", "As the clinical sheet says."),
        Column("admission", pl.Date, "", "The day before which exposures count."),
        _number(
            "steroid_daily_mg",
            "mg/day",
            "Prednisolone-equivalent of the day with most, certain at least; null where nothing is "
            "known.",
        ),
        _number("steroid_daily_mg_high", "mg/day", "The most that is possible; null: no limit."),
        _number("steroid_cumulative_mg", "mg", "The same over the look-back, certain at least."),
        _number("steroid_cumulative_mg_high", "mg", "The most that is possible; null: no limit."),
        Column(
            "shock_steroids",
            pl.Boolean,
            "",
            "A covariate, no exclusion: a listed steroid on the day of admission or later.",
        ),
        _number("neutrophils", "cells/mm³", "What the rule on aplasia took."),
        _text("episode_id", "As the clinical sheet says."),
        Column("n_admissions", pl.Int64, "rows", "Rows of the patient in the clinical sheet."),
        _text("steroid_rule", "`or` / `and`: how daily and cumulative dose are joined."),
        _text("rules_digest", "SHA-256 of all settings of the rules; equal: the same rules."),
    ),
)

COHORT_RULES = Table(
    "cohort_rules",
    "patient × rule",
    f"{_SHEET_ORDER}; rules in their order, then the study's own",
    (
        _PATIENT,
        _text("rule", "The rule; `docs/cohort.md` has each with its columns."),
        _text("kind", "`include`: must hold. `exclude`: must not."),
        _text("outcome", "`passes`, `fails` or `unknown`, with regard to inclusion."),
        _text("found", "What decided, as it stands in the sheet or was computed."),
        _text("reason", "In words."),
        _text("meaning", "What the rule asks."),
        _text("source", "Where the rule is from."),
    ),
)

COHORT_FLOW = Table(
    "cohort_flow",
    "one step from all patients to those with a value at each window",
    "steps in their order",
    (
        Column("step", pl.Int64, "", "From 1."),
        _text(
            "stage",
            "`assessed`, `excluded`, `unknown`, `included`, `analysed`, `at_window`.",
        ),
        _text("rule", "The first rule that fails, or is not known; null of other stages."),
        _text("timepoint", "The window of `at_window`; null of other stages."),
        _text("meaning", "In words."),
        Column(
            "n",
            pl.Int64,
            "patients",
            "Of this step. Each patient is counted at one rule only, the first: assessed = "
            "excluded + unknown + included.",
        ),
        Column(
            "n_any", pl.Int64, "patients", "Of whom the rule fails, or is not known, first or not."
        ),
        Column("n_left", pl.Int64, "patients", "Left after this step; null of the last stages."),
    ),
)

COHORT_PROBLEMS = Table(
    "cohort_problems",
    "one thing in the sheets of patients that a person has to put right",
    f"{_SHEET_ORDER}; patients of no other sheet last; then as found",
    (
        _PATIENT,
        _text("sheet", "`clinical`, `exposures` or `measurements`."),
        _text("column", "Where it stands."),
        _text("found", "What stands there; null of an empty cell."),
        _text("code", "What is wrong, as a code."),
        _text("message", "The same in words."),
    ),
)

TABLES = (COHORT, COHORT_RULES, COHORT_FLOW, COHORT_PROBLEMS)
