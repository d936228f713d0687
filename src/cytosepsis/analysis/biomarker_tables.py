"""The declared tables of biomarkers, and the codes of what could not be computed."""

from __future__ import annotations

import polars as pl

from cytosepsis.tables.columns import number as _number
from cytosepsis.tables.columns import text as _text
from cytosepsis.tables.schemas import Column, Table


def _count(name: str, meaning: str, unit: str = "patients") -> Column:
    return Column(name, pl.Int64, unit, meaning)


QUESTION = (
    _text("marker", "Marker of the study; `NAME.change` is its change from the baseline window."),
    _text("timepoint", "Window of the study."),
    _text("outcome", "Outcome of the study, declared or ready."),
)
_ROLE = _text(
    "role",
    "`primary` or `family`: declared in `[analysis]`; else `exploratory`.",
)
_REASON = _text("reason", "Why there is no number, as a code; null where there is one.")
_FLAGS = _text("flags", "Flag codes, `;`-joined; empty where there are none.")
_P = _number("p_value", "", "Two-sided p, not adjusted.")
_ADJUSTED = _text("adjusted_for", "Covariates of the model, `;`-joined; empty of none.")
_STRATA = _count("n_strata", "Sites × lysis methods; values of two are never compared.", "strata")

BIOMARKERS = Table(
    "biomarkers",
    "marker × timepoint × outcome",
    "the study's outcomes, windows, markers",
    (
        *QUESTION,
        _ROLE,
        _text("unit", "Unit of the marker."),
        _text("direction", "Which values go with the event, as declared: `lower` or `higher`."),
        _number("horizon", "days", "Day by which the event counts."),
        _count("n", "With a value, at risk at the draw, and a known outcome."),
        _count("n_events", "Of these with the event by the horizon."),
        _count("n_missing", "In the cohort and without a usable value."),
        _count("n_not_at_risk", "With a value, but dead, with the event, or unobserved by then."),
        _count("n_unknown", "With a value, at risk, and whose outcome by the horizon is unknown."),
        _count("n_flagged", "Of `n` with a flagged value."),
        _STRATA,
        _number("median_events", "unit", "Median of those with the event."),
        _number("median_others", "unit", "Median of the others."),
        _number("mann_whitney_p", "", "Two-sided p, not adjusted."),
        _text("mann_whitney_method", "`exact`, `normal`, or `van Elteren` within strata."),
        _number("p_adjusted", "", "Benjamini-Hochberg within the role; the primary's is its own."),
        _count("n_tests", "Tests that the adjustment counts.", "tests"),
        _number("auc", "", "P(the event's value lies in the direction of the other's)."),
        _number("auc_low", "", "Lower end of DeLong's 95 % interval."),
        _number("auc_high", "", "Upper end of DeLong's 95 % interval."),
        _number("youden_cutoff", "unit", "Data-derived: optimistic, see `youden_optimism`."),
        _number("youden_low", "unit", "Lower end of its 95 % bootstrap interval."),
        _number("youden_high", "unit", "Upper end of its 95 % bootstrap interval."),
        _number("youden_index", "", "Sensitivity + specificity − 1, on the data it was found on."),
        _number("youden_optimism", "", "How much of the index the search itself makes."),
        _number("odds_ratio", "per SD", "Logistic regression, per SD of the marker."),
        _number("odds_ratio_low", "per SD", "Lower end of the 95 % interval."),
        _number("odds_ratio_high", "per SD", "Upper end of the 95 % interval."),
        _number("odds_ratio_p", "", "Two-sided p."),
        _number("adjusted_odds_ratio", "per SD", "The same, with the covariates in the model."),
        _number("adjusted_low", "per SD", "Lower end of the 95 % interval."),
        _number("adjusted_high", "per SD", "Upper end of the 95 % interval."),
        _number("adjusted_p", "", "Two-sided p."),
        _ADJUSTED,
        _count("n_adjusted", "Patients of the adjusted model: those with every covariate."),
        _number("sd", "", "The SD that ratios are per, on the scale of the models."),
        _text("scale", "Scale of the marker in models: `log10` or `linear`."),
        _REASON,
        _text("odds_ratio_reason", "Why there is no odds ratio."),
        _text("adjusted_reason", "Why there is no adjusted odds ratio."),
        _FLAGS,
    ),
)

EXCLUSIONS = Table(
    "exclusions",
    "marker × timepoint × outcome × why a patient of the cohort takes no part",
    "that of `biomarkers`, then the codes below",
    (
        *QUESTION,
        _text("stage", "`missing`, `not_at_risk` or `unknown_outcome`."),
        _text("code", "Why, as a code."),
        _count("n", "Patients."),
        _text("patient_ids", "Who, `;`-joined."),
    ),
)

HAZARDS = Table(
    "hazards",
    "marker × timepoint × outcome × model, per SD of the marker, from the draw on",
    "that of `biomarkers`, then the models",
    (
        *QUESTION,
        _ROLE,
        _text(
            "model",
            "`cox` (nothing competes), `cause_specific` (a competing event censors: aetiology), "
            "`fine_gray` (it does not: prediction of the cumulative incidence).",
        ),
        _ADJUSTED,
        _count("n", "At risk at the draw, observed beyond it, with every covariate."),
        _count("n_events", "Events by the horizon."),
        _count("n_competing", "Competing events before it."),
        _number("hazard_ratio", "per SD", "Per SD of the marker."),
        _number("low", "per SD", "Lower end of the 95 % interval."),
        _number("high", "per SD", "Upper end of the 95 % interval."),
        _P,
        _STRATA,
        _REASON,
        _FLAGS,
    ),
)

CUTOFFS = Table(
    "cutoffs",
    "marker × timepoint × outcome × cut-off fixed beforehand × stratum",
    "that of `biomarkers`, then cut-offs, strata",
    (
        *QUESTION,
        _ROLE,
        _number("cutoff", "unit", "As declared; a value on it is not below it."),
        _text("stratum", "Site and lysis method; empty where the study has one."),
        _text("called", "Which values call the event: `below` the cut-off, or `from` it upwards."),
        _count("true_positives", "Called, with the event."),
        _count("false_positives", "Called, without it."),
        _count("false_negatives", "Not called, with the event."),
        _count("true_negatives", "Not called, without it."),
        *(
            _number(f"{name}{end}", "", f"{words}{suffix}")
            for name, words in (
                ("sensitivity", "Sensitivity"),
                ("specificity", "Specificity"),
                ("ppv", "Positive predictive value, at this cohort's rate of events"),
                ("npv", "Negative predictive value, at this cohort's rate of events"),
                ("lr_positive", "Positive likelihood ratio"),
                ("lr_negative", "Negative likelihood ratio"),
            )
            for end, suffix in (
                ("", "."),
                ("_low", ", lower end of the 95 % interval."),
                ("_high", ", upper end of the 95 % interval."),
            )
        ),
        _number("decision_threshold", "", "Probability from which one would act."),
        _number("net_benefit", "per patient", "Events found minus weighted false calls."),
        _number("net_benefit_of_all", "per patient", "The same where everybody is called."),
        _REASON,
    ),
)

ROC = Table(
    "roc",
    "marker × timepoint × outcome × stratum × corner of the ROC curve",
    "that of `biomarkers`, then strata, from the strictest threshold to the mildest",
    (
        *QUESTION,
        _ROLE,
        _text("stratum", "Site and lysis method; empty where the study has one."),
        _number(
            "threshold",
            "unit",
            "Called are values at it and beyond, in the marker's direction; null: nobody is.",
        ),
        _number("false_positive_rate", "fraction", "1 − specificity."),
        _number("true_positive_rate", "fraction", "Sensitivity."),
    ),
)

COMPARISONS = Table(
    "comparisons",
    "two markers × timepoint × outcome, on the patients who have both",
    "outcomes, windows, then pairs of markers",
    (
        _text("timepoint", "Window of the study."),
        _text("outcome", "Outcome of the study."),
        _text("marker", "The first marker."),
        _text("other", "The second marker."),
        _count("n", "With both values."),
        _count("n_events", "Of these with the event."),
        _number("auc", "", "Of the first, in its direction."),
        _number("other_auc", "", "Of the second, in its direction."),
        _number("difference", "", "First − second."),
        _number("low", "", "Lower end of DeLong's 95 % interval."),
        _number("high", "", "Upper end of DeLong's 95 % interval."),
        _P,
        _number("p_adjusted", "", "Benjamini-Hochberg over this table."),
        _REASON,
    ),
)

RANKING = Table(
    "ranking",
    "marker × timepoint × outcome, the strongest first",
    "outcomes, windows, then rank",
    (
        _text("outcome", "Outcome of the study."),
        _text("timepoint", "Window of the study."),
        _count("rank", "From 1; by |AUC − ½|, whatever the direction.", "rank"),
        _text("marker", "Marker of the study."),
        _number("strength", "", "|AUC − ½|."),
        _number("first_fraction", "", "Share of bootstraps in which it is first."),
        _count("rank_low", "Lower end of the rank's 95 % bootstrap interval.", "rank"),
        _count("rank_high", "Upper end of the rank's 95 % bootstrap interval.", "rank"),
        _count("n_markers", "Markers compared.", "markers"),
        _count("n", "With a value of this marker."),
        _count("n_events", "Of these with the event."),
    ),
)

CURVES = Table(
    "curves",
    "timepoint × outcome × group of the primary marker × day since the draw",
    "outcomes, windows, groups, days",
    (
        *QUESTION,
        _text("group", "`below` or `from`, of the cut-off."),
        _number("cutoff", "unit", "The first cut-off fixed beforehand, else the median."),
        _text("kind", "`event_free` (Kaplan-Meier) or `incidence` (Aalen-Johansen)."),
        _number("day", "days", "Since the draw."),
        _number("share", "", "Share of patients."),
        _number("low", "", "Lower end of the 95 % interval."),
        _number("high", "", "Upper end of the 95 % interval."),
        _count("at_risk", "Under observation and event-free just before."),
        _number("log_rank_p", "", "p of equal (cause-specific) hazards in the two groups."),
    ),
)

COURSES = Table(
    "marker_courses",
    "marker × outcome × term of the mixed model value ~ day × event, patients as random",
    "outcomes, markers, terms",
    (
        _text("marker", "Marker of the study."),
        _text("outcome", "Outcome of the study."),
        _text("term", "`day` (per day), `event` (on a mean day), `day_x_event` (per day)."),
        _text("scale", "Scale of the marker: `log10` or `linear`."),
        _number("estimate", "", "On that scale."),
        _number("low", "", "Lower end of the 95 % interval."),
        _number("high", "", "Upper end of the 95 % interval."),
        _P,
        _count("n_values", "Values.", "values"),
        _count("n_patients", "Patients."),
        _count("n_events", "Of these with the event by the horizon."),
        _REASON,
        _FLAGS,
    ),
)

COMBINATIONS = Table(
    "combinations",
    "two markers in one logistic model × timepoint × outcome",
    "that of `biomarkers`",
    (
        _text("timepoint", "Window of the study."),
        _text("outcome", "Outcome of the study."),
        _text("marker", "The first marker."),
        _text("other", "The second marker."),
        _count("n", "With both values."),
        _count("n_events", "Of these with the event."),
        _number("auc", "", "Apparent: on the patients it was fitted on."),
        _number("optimism", "", "Harrell's bootstrap estimate."),
        _number("corrected_auc", "", "Apparent − optimism."),
        _number("best_single_auc", "", "The better of the two alone, on these patients."),
        _number("calibration_slope", "", "Corrected; below 1: predictions are too extreme."),
        _count("n_resamples", "Bootstraps in which the model had a maximum.", "resamples"),
        _REASON,
    ),
)

TABLES = (
    BIOMARKERS,
    EXCLUSIONS,
    HAZARDS,
    CUTOFFS,
    ROC,
    COMPARISONS,
    RANKING,
    CURVES,
    COURSES,
    COMBINATIONS,
)

CODES = {
    "few_events": "Fewer patients with the event, or without it, than `min_events`.",
    "one_class": "All patients had the event, or none did.",
    "no_patients": "Nobody has a value, is at risk at the draw and has a known outcome.",
    "constant": "All values are equal.",
    "separated": "The marker, with its covariates, tells the classes apart without fault.",
    "no_fit": "The model has no maximum, or did not settle.",
    "no_horizon": "The outcome has no horizon: who has the event cannot be told at any day.",
    "no_covariates": "The study declares no covariates.",
    "covariates_missing": "Too few patients have every covariate.",
    "several_strata": "Several sites or lysis methods: no cut-off holds for all of them.",
    "no_variance": "The two markers rank these patients alike.",
    "not_logged": "A value is not positive, so that its logarithm does not exist.",
    "no_repeated_values": "No patient has the marker at two timepoints.",
    "not_in_cohort": "The cohort's rules exclude the patient.",
    "cohort_unknown": "The cohort's rules cannot be judged for the patient.",
    "no_value": "Sought, but no usable value; `marker_values` says why.",
    "died_before_draw": "Dead before the window ended, and not drawn.",
    "discharged_before_draw": "Left intensive care before the window ended, and not drawn.",
    "unobserved_before_draw": "No longer observed before the window ended, and not drawn.",
    "weekend": "The window lay on a week-end, and nothing was drawn.",
    "not_drawn": "Nothing was drawn or read, and no reason is known.",
    "flagged": "The value is flagged and the study drops flagged values.",
    "day_unknown": "The day of the draw is not known, so nothing can be said of what follows it.",
    "horizon_passed": "The draw comes on the horizon's day or after it.",
    "event_before": "The event came before the day of the draw.",
    "event_that_day": "The event came on the day of the draw: what was first is not known.",
    "competing_before": "Dead, discharged or otherwise past risk by the day of the draw.",
    "observation_ended": "Observation ended before the day of the draw.",
    "observation_unknown": "No event is recorded, and until when was observed is not known.",
    "lost_before_horizon": "No event, and observation ended before the horizon.",
    "not_in_clinical": "The patient is not in the clinical sheet.",
}
