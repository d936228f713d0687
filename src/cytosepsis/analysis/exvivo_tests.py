"""Patients together: does a drug change a readout, and how do patients differ from donors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from cytosepsis.analysis.exvivo_effects import control_wells, logged_readouts
from cytosepsis.analysis.wells import DRUG
from cytosepsis.analysis_plan import ExVivoPlan
from cytosepsis.protocol import Study
from cytosepsis.statistics.dose_response import MIN_DOSES, fit_dose_response, friedman
from cytosepsis.statistics.multiplicity import adjusted
from cytosepsis.statistics.paired import hodges_lehmann, signed_rank
from cytosepsis.statistics.proportions import wilson
from cytosepsis.statistics.two_groups import rank_sum, shift_between

Row = dict[str, Any]
_PLACE = ("group", "timepoint")
_QUESTION = (*_PLACE, "readout", "stimulus", *DRUG, "incubation_hours")
_COURSE = (*_PLACE, "readout", "stimulus", "drug", "dose_unit", "drug_timing", "incubation_hours")


def drug_rows(study: Study, effects: pl.DataFrame) -> list[Row]:
    """Rows of `exvivo_tests`; n counts patients."""
    plan = study.analyses.exvivo
    named = effects.filter(pl.col("drug").is_not_null())
    parts = named.partition_by(list(_QUESTION), maintain_order=True)
    rows = [_test(part, plan) for part in sorted(parts, key=lambda p: _order(p, study))]
    return _adjusted_within(rows, _PLACE, plan)


def healthy_rows(study: Study, wells: pl.DataFrame) -> list[Row]:
    """Rows of `exvivo_against_healthy`: wells without a drug, patients against donors."""
    plan = study.analyses.exvivo
    logged = logged_readouts(study)
    controls = control_wells(study, wells)
    keys = ["readout", "stimulus", "incubation_hours", "stratum"]
    donors = controls.filter(pl.col("group") == "healthy")
    patients = controls.filter(pl.col("group") == "patient")
    rows = []
    for part in patients.partition_by(["timepoint", *keys], maintain_order=True):
        same = part.select(keys).unique().join(donors, on=keys, how="inner", nulls_equal=True)
        rows.append(_against(part, same, logged, plan))
    return _adjusted_within(rows, (), plan)


def dose_rows(study: Study, effects: pl.DataFrame) -> list[Row]:
    """Rows of `exvivo_doses`, of drugs that were given in more than one dose."""
    there = effects.filter(pl.col("reason").is_null(), pl.col("dose").is_not_null())
    parts = there.partition_by(list(_COURSE), maintain_order=True)
    return [_doses(part, study) for part in parts if part["dose"].n_unique() > 1]


def _order(part: pl.DataFrame, study: Study) -> tuple[int, int]:
    windows = [window.name for window in study.windows]
    timepoint = part["timepoint"][0]
    rank = windows.index(timepoint) if timepoint in windows else len(windows)
    return (0 if part["group"][0] == "patient" else 1, rank)


def _adjusted_within(rows: Sequence[Row], keys: Sequence[str], plan: ExVivoPlan) -> list[Row]:
    for place in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        own = [row for row in rows if tuple(row[key] for key in keys) == place]
        values = adjusted([row.get("p_value") for row in own], plan.adjust)
        for row, value in zip(own, values, strict=True):
            row["p_adjusted"] = value
    return list(rows)


def _one_per_patient(part: pl.DataFrame) -> pl.DataFrame:
    """Several plates or draws of one patient averaged, so that n counts patients."""
    is_log = (part["scale"] == "log10").all()
    change = pl.col("fold").log() if is_log else pl.col("delta")
    return part.group_by("patient_id", maintain_order=True).agg(
        change.mean().alias("change"),
        pl.col("value").median(),
        pl.col("control").median(),
        pl.col("responder").all(),
        pl.col("responder").is_not_null().all().alias("judged"),
        pl.col("restoration_index").median(),
    )


def _test(part: pl.DataFrame, plan: ExVivoPlan) -> Row:
    row: Row = {key: part[key][0] for key in _QUESTION}
    is_log = (part["scale"] == "log10").all()
    used = part.filter(pl.col("reason").is_null())
    patients = _one_per_patient(used)
    excluded = part.filter(~pl.col("patient_id").is_in(used["patient_id"].to_list()))
    judged = patients.filter("judged")
    n_responders = int(judged["responder"].sum())
    share = wilson(n_responders, judged.height)
    row |= {
        "n": patients.height,
        "n_excluded": excluded["patient_id"].n_unique(),
        "median_control": patients["control"].median(),
        "median_value": patients["value"].median(),
        "effect": "fold" if is_log else "delta",
        "adjustment": plan.adjust,
        "n_judged": judged.height,
        "n_responders": n_responders if judged.height else None,
        "responders": share.value,
        "responders_low": share.low,
        "responders_high": share.high,
        "median_restoration": patients["restoration_index"].median(),
    }
    if patients.height < plan.min_pairs:
        return row | {"reason": "few_pairs"}
    change = patients["change"].to_numpy()
    shift = hodges_lehmann(change)
    assert shift is not None
    ends = (shift.estimate, shift.low, shift.high)
    names = ("estimate", "low", "high")
    scaled = [None if v is None else float(np.exp(v)) if is_log else v for v in ends]
    row |= dict(zip(names, scaled, strict=True)) | {"confidence": shift.confidence}
    test = signed_rank(change)
    if test is None:
        return row | {"reason": "all_equal", "n_zeros": patients.height, "n_ties": 0}
    return row | {
        "p_value": test.p_value,
        "method": test.method,
        "n_zeros": test.n_zeros,
        "n_ties": test.n_ties,
    }


def _against(
    patients: pl.DataFrame, donors: pl.DataFrame, logged: list[str], plan: ExVivoPlan
) -> Row:
    keys = ("timepoint", "readout", "stimulus", "incubation_hours", "stratum")
    row: Row = {key: patients[key][0] for key in keys}
    is_log = row["readout"] in logged
    ours, theirs = (
        frame.group_by("patient_id", maintain_order=True).agg(pl.col("value").median())
        for frame in (patients, donors)
    )
    row |= {
        "n_patients": ours.height,
        "n_healthy": theirs.height,
        "median_patients": ours["value"].median(),
        "median_healthy": theirs["value"].median(),
        "effect": "fold" if is_log else "delta",
    }
    if theirs.is_empty():
        return row | {"reason": "no_donors"}
    one, two = ours["value"].to_numpy(), theirs["value"].to_numpy()
    if is_log:
        one, two = np.log(one), np.log(two)
    shift = shift_between(one, two)
    test = rank_sum(np.concatenate([one, two]), np.arange(len(one) + len(two)) < len(one))
    if shift is None or test is None:
        return row | {"reason": "constant"}
    ends = (shift.estimate, shift.low, shift.high)
    scaled = [None if v is None else float(np.exp(v)) if is_log else v for v in ends]
    row |= dict(zip(("estimate", "low", "high"), scaled, strict=True))
    if ours.height < plan.min_pairs:
        return row | {"reason": "few_pairs"}
    return row | {"p_value": test.p_value, "method": test.method}


def _doses(part: pl.DataFrame, study: Study) -> Row:
    row: Row = {key: part[key][0] for key in _COURSE}
    is_log = (part["scale"] == "log10").all()
    change = pl.col("log2_fold") if is_log else pl.col("delta")
    means = part.group_by("patient_id", "dose", maintain_order=True).agg(change.mean().alias("y"))
    doses = sorted(means["dose"].unique())
    table = means.pivot("dose", index="patient_id", values="y").select(str(d) for d in doses)
    complete = table.drop_nulls()
    # the well without the drug is dose 0, where nothing changes by definition
    responses = np.column_stack([np.zeros(complete.height), complete.to_numpy()])
    row |= {"n_doses": len(doses) + 1, "n": complete.height}
    p_value = friedman(responses) if complete.height >= study.analyses.exvivo.min_pairs else None
    row |= {"friedman_p": p_value}
    if p_value is None:
        row["friedman_reason"] = (
            "few_pairs" if complete.height < study.analyses.exvivo.min_pairs else "few_doses"
        )
    if len(doses) + 1 < MIN_DOSES:
        return row | {"curve_reason": "fewer_than_five_doses"}
    if complete.is_empty():
        return row | {"curve_reason": "few_pairs"}
    every = np.repeat([0.0, *doses], complete.height)
    fit = fit_dose_response(every, responses.T.ravel())
    if fit is None:
        return row | {"curve_reason": "no_fit"}
    low, high = fit.ed50_interval()
    return row | {
        "ed50": fit.ed50,
        "ed50_low": low,
        "ed50_high": high,
        "slope": fit.slope,
        "lower": fit.lower,
        "upper": fit.upper,
    }
