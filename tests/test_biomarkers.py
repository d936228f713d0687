"""Biomarkers from tables: landmarks, strata, roles, and rows that say why they have no number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from cytosepsis.analysis.biomarker_tables import CODES, TABLES
from cytosepsis.analysis.biomarkers import biomarker_frames
from cytosepsis.analysis.episodes import after_landmark, outcome_days
from cytosepsis.analysis_plan import Analyses, AnalysisPlan, Question
from cytosepsis.protocol import Marker, Outcome, Patient, Study, Window
from cytosepsis.statistics.auc import area
from cytosepsis.tables.schemas import MARKER_VALUES, PATIENTS

DAYS = {"D1-2": 1, "D3-4": 3, "D6-8": 7}
WINDOWS = (Window("D1-2", 1, 2), Window("D3-4", 3, 4), Window("D6-8", 6, 8))
INFECTION = Outcome(
    "icu_infection", "infection_day", ("death_day", "icu_discharge_day"), "followup_days", 28
)
DEATH = Outcome("death", "death_day", (), "followup_days", 28)
# One marker at one timepoint: most tests need no more.
FAST = AnalysisPlan(resamples=50, model_resamples=50, markers=("m",), timepoints=("D3-4",))
CELL = {"marker": "m", "timepoint": "D3-4", "outcome": "icu_infection"}


def patient(name: str, **values: float | None) -> Patient:
    given = {"followup_days": 90, **values}
    cells = tuple((key, None if v is None else f"{v:g}") for key, v in given.items())
    return Patient(name, values=cells, group="patient")


def study(patients: list[Patient], plan: AnalysisPlan | None = None, **fields: Any) -> Study:
    fields = {
        "markers": (Marker("m", "measurement"), Marker("k", "measurement")),
        "outcomes": (INFECTION,),
        **fields,
    }
    return Study(
        "s",
        Path(),
        (),
        (),
        windows=WINDOWS,
        patients=tuple(patients),
        analyses=Analyses(plan or FAST),
        **fields,
    )


def value(patient_id: str, timepoint: str, number: float | None, **fields: Any) -> dict[str, Any]:
    day = DAYS[timepoint]
    return {
        "patient_id": patient_id,
        "timepoint": timepoint,
        "day": day,
        "marker": "m",
        "value": number,
        "unit": "u",
        "sample_id": f"{patient_id}_{timepoint}",
        "known_at_day": day,
        "status": "ok",
        "flags": "",
        "group": "patient",
        **fields,
    }


def tables(values: list[dict[str, Any]], samples: list[dict[str, Any]] = []) -> dict[str, Any]:  # noqa: B006
    schema = {c.name: c.dtype for c in MARKER_VALUES.columns}
    sample_schema = {"sample_id": pl.String, "site": pl.String, "lysis": pl.String}
    return {
        "marker_values": pl.DataFrame([{n: row.get(n) for n in schema} for row in values], schema),
        "patients": pl.DataFrame(schema={c.name: c.dtype for c in PATIENTS.columns}),
        "samples": pl.DataFrame(samples, schema=sample_schema),
    }


def cohort(n: int = 60, seed: int = 1) -> tuple[list[Patient], list[dict[str, Any]]]:
    """A third infected, whose marker is one SD higher; two markers, three timepoints."""
    rng = np.random.default_rng(seed)
    patients, values = [], []
    for i in range(n):
        infected = i % 3 == 0
        name = f"p{i:03d}"
        patients.append(patient(name, infection_day=10 + i % 9 if infected else None, saps2=i % 7))
        for timepoint in DAYS:
            values.append(value(name, timepoint, float(rng.normal(10 + infected, 1))))
            values.append(value(name, timepoint, float(rng.normal(5, 1)), marker="k"))
    return patients, values


def one(frames: dict[str, pl.DataFrame], table: str = "biomarkers", **where: Any) -> dict[str, Any]:
    where = {**(CELL if table in {"biomarkers", "hazards", "cutoffs"} else {}), **where}
    rows = frames[table].filter(*(pl.col(key) == v for key, v in where.items())).to_dicts()
    assert len(rows) == 1, rows
    return rows[0]


# --- landmarks


@pytest.mark.parametrize(
    ("days", "code", "event", "time", "status"),
    [
        ({}, None, False, 25, 0),
        ({"infection_day": 10}, None, True, 7, 1),
        ({"infection_day": 2}, "event_before", None, None, None),
        ({"infection_day": 3}, "event_that_day", None, None, None),
        ({"death_day": 3}, "competing_before", None, None, None),
        ({"icu_discharge_day": 2, "infection_day": 10}, "competing_before", None, None, None),
        ({"death_day": 9}, None, False, 6, 2),
        ({"icu_discharge_day": 8, "infection_day": 10}, None, False, 5, 2),
        ({"infection_day": 10, "death_day": 10}, None, True, 7, 1),
        ({"infection_day": 30}, None, False, 25, 0),
        ({"followup_days": 3}, "observation_ended", None, None, None),
        ({"followup_days": 12}, "lost_before_horizon", None, 9, 0),
        ({"followup_days": None}, "observation_unknown", None, None, None),
        ({"followup_days": None, "infection_day": 10}, None, True, 7, 1),
        ({"followup_days": 28}, None, False, 25, 0),
    ],
)
def test_what_follows_a_draw_of_day_three(
    days: dict[str, float | None], code: str | None, event: bool | None, time: float, status: int
) -> None:
    of = study([patient("p", **days)])
    values = pl.DataFrame({"patient_id": ["p"], "known_at_day": [3]})
    (row,) = after_landmark(values, outcome_days(of, INFECTION), 28).to_dicts()
    assert (row["code"], row["event"], row["time"], row["status"]) == (code, event, time, status)


def test_days_that_are_not_known_say_nothing() -> None:
    of = study([patient("p", infection_day=10)])
    values = pl.DataFrame({"patient_id": ["p", "stranger"], "known_at_day": [None, 3]})
    rows = after_landmark(values, outcome_days(of, INFECTION), 28).sort("patient_id").to_dicts()
    assert [row["code"] for row in rows] == ["day_unknown", "not_in_clinical"]
    late = pl.DataFrame({"patient_id": ["p"], "known_at_day": [28]})
    (row,) = after_landmark(late, outcome_days(of, INFECTION), 28).to_dicts()
    assert row["code"] == "horizon_passed"
    (row,) = after_landmark(values.tail(1).with_columns(patient_id=pl.lit("p")),
                            outcome_days(of, INFECTION), None).to_dicts()  # fmt: skip
    assert (row["code"], row["time"]) == ("no_horizon", 7)


def test_a_late_marker_never_predicts_an_early_event() -> None:
    """A day-7 value of patients infected on day 5 is left out, and counted."""
    patients, values = cohort()
    early = [replace(p, values=(("followup_days", "90"), ("infection_day", "5")))
             if i % 3 == 0 and i < 30 else p for i, p in enumerate(patients)]  # fmt: skip
    plan = replace(FAST, timepoints=("D3-4", "D6-8"))
    frames = biomarker_frames(study(early, plan), tables(values))
    before, after = one(frames), one(frames, timepoint="D6-8")
    assert (before["n_events"], before["n_not_at_risk"]) == (20, 0)
    assert (after["n_events"], after["n_not_at_risk"], after["n"]) == (10, 10, 50)
    left = one(frames, "exclusions", **{**CELL, "timepoint": "D6-8"})
    assert (left["stage"], left["code"], left["n"]) == ("not_at_risk", "event_before", 10)


# --- numbers


def test_a_planted_marker_is_found_and_every_table_is_filled() -> None:
    patients, values = cohort(90)
    plan = AnalysisPlan(
        primary=Question("m", "D3-4", "icu_infection"),
        family=(Question("m", "D6-8", "icu_infection"),),
        covariates=("saps2",),
        cutoffs=(("m", (10.5,)),),
        resamples=50,
        model_resamples=50,
    )
    frames = biomarker_frames(study(patients, plan), tables(values))
    assert list(frames) == [table.name for table in TABLES]
    row = one(frames)
    arrays = [(v["value"], int(v["patient_id"][1:]) % 3 == 0) for v in values
              if v["marker"] == "m" and v["timepoint"] == "D3-4"]  # fmt: skip
    wanted = area(np.array([a for a, _ in arrays]), np.array([b for _, b in arrays]))
    assert wanted is not None
    assert row["auc"] == pytest.approx(wanted.auc)
    assert (row["auc_low"], row["auc_high"]) == pytest.approx(wanted.interval())
    assert (row["role"], row["n"], row["n_events"], row["reason"]) == ("primary", 90, 30, None)
    assert row["odds_ratio_low"] > 1
    assert row["adjusted_odds_ratio"] == pytest.approx(row["odds_ratio"], rel=0.2)
    assert (row["n_adjusted"], row["adjusted_for"]) == (90, "saps2")
    assert row["youden_low"] <= row["youden_cutoff"] <= row["youden_high"]
    assert row["p_adjusted"] == row["mann_whitney_p"]
    noise = one(frames, marker="k")
    assert noise["n_tests"] == 4
    assert noise["p_adjusted"] >= noise["mann_whitney_p"]
    hazards = frames["hazards"].filter(pl.col("marker") == "m", pl.col("timepoint") == "D3-4")
    assert hazards["model"].to_list() == ["cause_specific"] * 2 + ["fine_gray"] * 2
    assert (hazards["low"] > 1).all()
    first = frames["ranking"].filter(pl.col("rank") == 1)
    assert first["marker"].to_list() == ["m", "m", "m"]
    point = one(frames, "cutoffs")
    assert point["true_positives"] + point["false_negatives"] == 30
    assert point["called"] == "from"
    curve = frames["roc"].filter(pl.col("marker") == "m", pl.col("timepoint") == "D3-4")
    under = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
    assert under == pytest.approx(row["auc"])
    assert curve["threshold"][0] is None  # nobody is called
    assert frames["curves"]["kind"].unique().to_list() == ["incidence"]
    courses = frames["marker_courses"].filter(pl.col("marker") == "m")
    event = courses.filter(pl.col("term") == "event").to_dicts()[0]
    assert event["low"] > 0
    assert (event["n_values"], event["n_patients"], event["n_events"]) == (270, 90, 30)
    pair = one(frames, "combinations")
    assert (pair["marker"], pair["other"], pair["reason"]) == ("m", "k", None)
    assert pair["corrected_auc"] < pair["auc"]


def test_equal_tables_give_equal_rows() -> None:
    patients, values = cohort(30)
    of = study(patients)
    first, second = (biomarker_frames(of, tables(rows)) for rows in (values, values[::-1]))
    assert all(first[name].equals(second[name]) for name in first)


def test_sites_are_strata() -> None:
    patients, values = cohort(60)
    samples = [{"sample_id": v["sample_id"], "site": "AB"[int(v["patient_id"][1:]) % 2],
                "lysis": None} for v in values if v["marker"] == "m"]  # fmt: skip
    moved = [
        v | {"value": v["value"] * (100 if int(v["patient_id"][1:]) % 2 else 1)} for v in values
    ]
    plan = replace(FAST, cutoffs=(("m", (10.5,)),))
    apart = biomarker_frames(study(patients, plan), tables(values, samples))
    scaled = biomarker_frames(study(patients, plan), tables(moved, samples))
    one_row, other = one(apart), one(scaled)
    assert (one_row["n_strata"], one_row["flags"]) == (2, "no_common_cutoff")
    assert one_row["youden_cutoff"] is None
    assert one_row["mann_whitney_method"] == "van Elteren"
    assert other["auc"] == pytest.approx(one_row["auc"])
    assert apart["cutoffs"].filter(pl.col("timepoint") == "D3-4")["stratum"].to_list() == ["A", "B"]
    assert apart["roc"]["stratum"].unique(maintain_order=True).to_list() == ["A", "B"]
    together = study(patients, plan, compare_across_sites=True)
    assert one(biomarker_frames(together, tables(values, samples)))["n_strata"] == 1


def test_changes_of_the_primary_marker_are_known_at_the_later_draw() -> None:
    patients, values = cohort(60)
    rows = [{"patient_id": v["patient_id"], "timepoint": v["timepoint"], "day": v["day"],
             "sample_id": v["sample_id"], "ratio": v["value"] / 10, "status": "ok", "flags": "",
             "log10_slope_per_day": None, "group": "patient"}
            for v in values if v["marker"] == "m"]  # fmt: skip
    schema = {c.name: c.dtype for c in PATIENTS.columns}
    given = tables(values) | {
        "patients": pl.DataFrame([{n: row.get(n) for n in schema} for row in rows], schema)
    }
    plan = AnalysisPlan(resamples=50)
    of = study(patients, plan, baseline="D1-2", primary_marker="m")
    frames = biomarker_frames(of, given)
    change = one(frames, marker="m.ratio", timepoint="D6-8")
    assert (change["n"], change["scale"]) == (60, "log10")
    assert frames["biomarkers"].filter(marker="m.ratio", timepoint="D1-2").is_empty()
    slope = one(frames, marker="m.log10_slope_per_day")
    assert (slope["n"], slope["n_missing"], slope["reason"]) == (0, 60, "no_patients")


# --- who takes part


def test_the_cohorts_rules_decide_unless_everyone_is_asked_for() -> None:
    patients, values = cohort(60)
    verdicts = ["include", "exclude", "unknown"]
    rows = [{"patient_id": p.patient_id, "verdict": verdicts[i % 4 % 3]}
            for i, p in enumerate(patients)]  # fmt: skip
    given = tables(values) | {"cohort": pl.DataFrame(rows)}
    frames = biomarker_frames(study(patients), given)
    assert one(frames)["n"] == 30
    codes = dict(frames["exclusions"].filter(**CELL).select("code", "n").iter_rows())
    assert codes == {"not_in_cohort": 15, "cohort_unknown": 15}
    unknown = tables(values) | {"cohort": given["cohort"].with_columns(verdict=pl.lit("unknown"))}
    whole = one(biomarker_frames(study(patients), unknown))
    assert (whole["n"], whole["flags"]) == (60, "eligibility_unknown")
    everyone = study(patients, replace(FAST, population="everyone"))
    assert one(biomarker_frames(everyone, given))["n"] == 60


def test_visits_say_why_nothing_was_drawn() -> None:
    patients, values = cohort(60)
    rows = [v for v in values if v["patient_id"] not in {"p001", "p002"}]
    visits = pl.DataFrame(
        [("p001", "D3-4", "died"), ("p002", "D3-4", "not_drawn")],
        schema=["patient_id", "timepoint", "code"],
        orient="row",
    )
    frames = biomarker_frames(study(patients), tables(rows) | {"visits": visits})
    codes = dict(frames["exclusions"].filter(**CELL).select("code", "n").iter_rows())
    assert codes == {"died_before_draw": 1, "not_drawn": 1}


def test_missing_and_flagged_values_are_counted() -> None:
    patients, values = cohort(60)
    rows = [v | {"status": "flagged"} if v["patient_id"] == "p001" else v for v in values]
    rows = [
        v | {"value": None, "status": "failed"} if v["patient_id"] == "p002" else v for v in rows
    ]
    rows = [v for v in rows if v["patient_id"] != "p004"]
    kept = biomarker_frames(study(patients), tables(rows))
    row = one(kept)
    assert (row["n"], row["n_missing"], row["n_flagged"]) == (58, 2, 1)
    assert row["flags"] == "flagged_values"
    codes = dict(kept["exclusions"].filter(**CELL).select("code", "n").iter_rows())
    assert codes == {"not_drawn": 1, "no_value": 1}
    dropped = biomarker_frames(
        study(patients, AnalysisPlan(flagged="drop", resamples=50)), tables(rows)
    )
    assert (one(dropped)["n"], one(dropped)["n_flagged"]) == (57, 0)


# --- what has no number


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("one class", "one_class"),
        ("few events", "few_events"),
        ("constant", "constant"),
        ("nobody", "no_patients"),
        ("no horizon", "no_horizon"),
    ],
)
def test_a_question_without_an_answer_says_why(change: str, reason: str) -> None:
    patients, values = cohort(60)
    outcome = INFECTION
    if change == "one class":
        patients = [patient(p.patient_id) for p in patients]
    if change == "few events":
        patients = [p if i < 6 else patient(p.patient_id) for i, p in enumerate(patients)]
    if change == "constant":
        values = [v | {"value": 3.0} if v["marker"] == "m" else v for v in values]
    if change == "nobody":
        patients = [patient(p.patient_id, infection_day=1) for p in patients]
    if change == "no horizon":
        outcome = replace(INFECTION, horizon=None)
    frames = biomarker_frames(study(patients, outcomes=(outcome,)), tables(values))
    row = one(frames)
    assert row["reason"] == reason
    assert row["auc"] is None
    assert row["mann_whitney_p"] is None
    assert reason in CODES
    codes = {code for t in frames.values() for name in t.columns if name.endswith("reason")
             for code in t[name].drop_nulls()} | set(frames["exclusions"]["code"])  # fmt: skip
    assert codes <= CODES.keys()


def test_perfect_separation_has_an_area_and_no_odds_ratio() -> None:
    patients, values = cohort(60)
    sure = [v | {"value": 99.0 + v["value"] if int(v["patient_id"][1:]) % 3 == 0 else v["value"]}
            for v in values]  # fmt: skip
    row = one(biomarker_frames(study(patients), tables(sure)))
    assert (row["auc"], row["auc_low"], row["auc_high"]) == (1.0, None, None)
    assert (row["odds_ratio"], row["odds_ratio_reason"]) == (None, "separated")
    assert "perfect_separation" in row["flags"]
    assert row["mann_whitney_p"] < 0.05


def test_a_logarithm_that_does_not_exist_costs_the_model_only() -> None:
    patients, values = cohort(60)
    rows = [v | {"value": -1.0} if v["patient_id"] == "p001" else v for v in values]
    plan = replace(FAST, logged=("m",), covariates=("saps2", "age"))
    row = one(biomarker_frames(study(patients, plan), tables(rows)))
    assert row["auc"] is not None
    assert (row["odds_ratio_reason"], row["adjusted_reason"]) == ("not_logged", "not_logged")
    # nobody's age is known
    row = one(biomarker_frames(study(patients, replace(plan, logged=())), tables(rows)))
    assert (row["odds_ratio_reason"], row["adjusted_reason"]) == (None, "covariates_missing")


def test_death_has_nothing_that_competes() -> None:
    patients, values = cohort(60)
    dying = [patient(p.patient_id, death_day=None if i % 4 else 12) for i, p in enumerate(patients)]
    frames = biomarker_frames(study(dying, outcomes=(DEATH,)), tables(values))
    assert frames["hazards"]["model"].unique().to_list() == ["cox"]


def test_few_events_per_variable_are_flagged() -> None:
    patients, values = cohort(30)
    row = one(
        biomarker_frames(
            study(patients, AnalysisPlan(events_per_variable=11, resamples=50)), tables(values)
        )
    )
    assert "few_events_per_variable" in row["flags"]


def test_strata_with_one_patient_of_a_class_are_dropped_and_flagged() -> None:
    patients, values = cohort(60)
    samples = [{"sample_id": v["sample_id"], "site": "B" if v["patient_id"] in {"p000", "p001"}
                else "A", "lysis": None} for v in values if v["marker"] == "m"]  # fmt: skip
    row = one(biomarker_frames(study(patients), tables(values, samples)))
    assert "strata_dropped" in row["flags"]
