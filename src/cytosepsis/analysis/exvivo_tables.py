"""The declared tables of ex vivo experiments, and the codes of what could not be computed."""

from __future__ import annotations

import polars as pl

from cytosepsis.tables.columns import number as _number
from cytosepsis.tables.columns import text as _text
from cytosepsis.tables.schemas import Column, Table


def _count(name: str, meaning: str, unit: str = "patients") -> Column:
    return Column(name, pl.Int64, unit, meaning)


_WHERE = (
    _text("group", "`patient` or `healthy`."),
    _text("timepoint", "Window of the draw; null of donors."),
    _text("readout", "Marker of the study."),
    _text("stimulus", "What the cells were stimulated with; null: nothing."),
)
_DRUG = (
    _text("drug", "The drug."),
    _number("dose", "dose_unit", "Its dose."),
    _text("dose_unit", "Unit of the dose."),
    _text("drug_timing", "When it was given; before and with the stimulus are two experiments."),
)
_HOURS = _number("incubation_hours", "h", "Duration of the incubation.")

EFFECTS = Table(
    "exvivo_effects",
    "patient × draw × plate × readout × stimulus × drug × dose × timing × incubation, with the "
    "controls of the same draw, plate and incubation",
    "patients, then experiments, as their wells appear",
    (
        _text("patient_id", "The patient or donor."),
        *_WHERE,
        *_DRUG,
        _HOURS,
        _text("plate", "Plate."),
        _text("unit", "Unit of the values."),
        _text("scale", "`log10`: changes are ratios; `linear`: differences."),
        _count("n_replicates", "Replicates of the drug well that were averaged.", "wells"),
        _number("value", "unit", "With the drug."),
        _number("control", "unit", "With the stimulus, without the drug."),
        _number("unstimulated", "unit", "Without stimulus and drug."),
        _number("delta", "unit", "Value − control."),
        _number("fold", "", "Value / control; of logged readouts."),
        _number("log2_fold", "", "log2 of the same."),
        _number("background_subtracted", "unit", "Value − unstimulated."),
        _number("control_background_subtracted", "unit", "Control − unstimulated."),
        _number("healthy_control", "unit", "Median of donors' controls, same stimulus and site."),
        _number(
            "restoration_index",
            "",
            "(value − control) / (healthy control − control), on log10 where logged; 1: as donors.",
        ),
        Column(
            "responder",
            pl.Boolean,
            "",
            "Change in the declared direction beyond 2.77 · CV; null without a CV.",
        ),
        _text("reason", "Why the row is excluded, as a code; null of one that takes part."),
        _text("restoration_reason", "Why there is no restoration index."),
        _text("flags", "Flag codes, `;`-joined."),
    ),
)

TESTS = Table(
    "exvivo_tests",
    "group × timepoint × readout × stimulus × drug × dose × timing × incubation",
    "groups, windows, then as the wells appear",
    (
        *_WHERE,
        *_DRUG,
        _HOURS,
        _count("n", "Pairs; several plates of one patient are averaged first."),
        _count("n_excluded", "Without a control or a value."),
        _count("n_zeros", "Pairs without a change, which the test leaves out."),
        _count("n_ties", "Pairs whose change is as large as another's."),
        _number("median_control", "unit", "Median without the drug."),
        _number("median_value", "unit", "Median with the drug."),
        _text("effect", "What is estimated: `fold` (logged readouts) or `delta`."),
        _number("estimate", "", "Hodges-Lehmann estimate of the effect."),
        _number("low", "", "Lower end of its interval."),
        _number("high", "", "Upper end of its interval."),
        _number("confidence", "", "Level that the interval attains: at least 0.95."),
        _number("p_value", "", "Wilcoxon's signed-rank test, two-sided, not adjusted."),
        _text("method", "`exact`, or `normal` above 500 pairs."),
        _number("p_adjusted", "", "Over drugs × readouts of the group and timepoint."),
        _text("adjustment", "`holm` or `bh`."),
        _count("n_responders", "Of those who can be judged."),
        _count("n_judged", "Pairs with a known CV."),
        _number("responders", "fraction", "Their share."),
        _number("responders_low", "fraction", "Lower end of Wilson's 95 % interval."),
        _number("responders_high", "fraction", "Upper end of Wilson's 95 % interval."),
        _number("median_restoration", "", "Median restoration index."),
        _text("reason", "Why there is no test."),
    ),
)

AGAINST_HEALTHY = Table(
    "exvivo_against_healthy",
    "timepoint × readout × stimulus × incubation × stratum, of wells without drug",
    "windows, then as the wells appear",
    (
        _text("timepoint", "Window of the patients' draw."),
        _text("readout", "Marker of the study."),
        _text("stimulus", "What the cells were stimulated with; null: nothing."),
        _HOURS,
        _text("stratum", "Site and lysis method; empty where the study has one."),
        _count("n_patients", "Patients."),
        _count("n_healthy", "Donors.", "donors"),
        _number("median_patients", "unit", "Median of patients."),
        _number("median_healthy", "unit", "Median of donors."),
        _text("effect", "`fold` (logged readouts: patients / donors) or `delta`."),
        _number("estimate", "", "Hodges-Lehmann estimate of the effect."),
        _number("low", "", "Lower end of its 95 % interval."),
        _number("high", "", "Upper end of its 95 % interval."),
        _number("p_value", "", "Mann-Whitney, two-sided, not adjusted."),
        _text("method", "`exact` or `normal`."),
        _number("p_adjusted", "", "Over this table, as the study declares."),
        _text("reason", "Why there is no test."),
    ),
)

DOSES = Table(
    "exvivo_doses",
    "group × timepoint × readout × stimulus × drug × timing × incubation",
    "as the wells appear",
    (
        *_WHERE,
        _text("drug", "The drug."),
        _text("dose_unit", "Unit of the doses."),
        _text("drug_timing", "When it was given."),
        _HOURS,
        _count("n_doses", "Doses, the well without the drug counted as 0.", "doses"),
        _count("n", "Patients with every dose."),
        _number("friedman_p", "", "Friedman's test over the doses, complete patients."),
        _text("friedman_reason", "Why there is no such test."),
        _number("ed50", "dose_unit", "Dose of half the effect, four-parameter log-logistic curve."),
        _number("ed50_low", "dose_unit", "Lower end of its 95 % interval."),
        _number("ed50_high", "dose_unit", "Upper end of its 95 % interval."),
        _number("slope", "", "Of that curve; negative rises with the dose."),
        _number("lower", "", "Lower plateau of the effect (log2 fold, or difference)."),
        _number("upper", "", "Upper plateau of the effect."),
        _text("curve_reason", "Why there is no curve."),
    ),
)

DILUTIONS = Table(
    "dilution_indices",
    "sample × dye dilution of the study × index",
    "samples, dilutions, indices",
    (
        _text("sample_id", "The acquisition."),
        _text("patient_id", "The patient or donor."),
        _text("dilution", "Name of the dilution in `[exvivo]`."),
        _text("index_name", "Name of the index."),
        _text("formula", "How it is computed; programs differ in what a name means."),
        _number("value", "", "Null where its denominator is 0."),
        _count("n_cells", "Cells in all generations.", "cells"),
        _text("reason", "Why there is no value."),
    ),
)

TABLES = (EFFECTS, TESTS, AGAINST_HEALTHY, DOSES, DILUTIONS)

CODES = {
    "no_control": "No well without the drug of the same draw, plate, incubation and stimulus.",
    "no_unstimulated": "No well without stimulus and drug of the same draw, plate and incubation.",
    "no_value": "No replicate of the drug well has a usable value.",
    "design_unclear": "Only the condition says what was done: stimulus and drug are empty.",
    "few_pairs": "Fewer pairs than `min_pairs`.",
    "all_equal": "No pair shows a change.",
    "no_donors": "No donor has such a well at the same site.",
    "no_patients": "No patient has such a well.",
    "no_cv": "The readout has no repeatability: what lies within it cannot be told.",
    "near_healthy": "The control lies within repeatability of the donors': nothing to restore.",
    "constant": "All values are equal.",
    "few_doses": "Fewer than three doses, the well without the drug counted.",
    "fewer_than_five_doses": "A curve of four parameters needs five doses.",
    "no_fit": "No curve settles with its ED50 among the doses, known to a factor of ten.",
    "population_missing": "A generation's population was not gated in this sample.",
    "no_cells": "No cell in any generation.",
}
