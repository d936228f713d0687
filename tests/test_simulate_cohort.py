"""Simulated registries: the rules come to the verdicts that were built in."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cytosepsis.analysis.cohort import cohort_frames
from cytosepsis.anonymize import anonymize_study
from cytosepsis.config import check_study, load_study
from cytosepsis.simulate import SimulationSettings, simulate_study
from hand_made import rows

NO_VISITS = pl.DataFrame(
    schema={"patient_id": pl.String, "timepoint": pl.String, "status": pl.String}
)


@pytest.mark.parametrize("seed", [1, 2])
def test_verdicts_are_those_that_were_built_in(tmp_path: Path, seed: int) -> None:
    settings = SimulationSettings(
        seed=seed, patients=14, healthy=0, events=40, bead_events=40, faults=("missing",)
    )
    simulate_study(tmp_path / "study", settings)
    assert [p for p in check_study(tmp_path / "study") if p.severity == "error"] == []
    made = cohort_frames(load_study(tmp_path / "study"), NO_VISITS)
    with (tmp_path / "study" / "truth_cohort.csv").open(encoding="utf-8") as file:
        truth = {row["patient_id"]: row for row in csv.DictReader(file)}
    assert made.problems.height == 0
    found = {row["patient_id"]: row for row in rows(made.cohort)}
    assert found.keys() == truth.keys()
    for name, row in found.items():
        decided = row["failed_rules"] or row["unknown_rules"]
        assert (row["verdict"], decided) == (truth[name]["verdict"], truth[name]["rule"]), name
    assert {row["verdict"] for row in found.values()} == {"include", "exclude", "unknown"}
    # Hydrocortisone for the shock is there, and excludes no one.
    shock = made.cohort.filter("shock_steroids")
    assert (shock["verdict"] == "include").any()


def test_a_copy_without_identities_has_the_same_verdicts(tmp_path: Path) -> None:
    settings = SimulationSettings(patients=14, healthy=0, events=40, bead_events=40)
    simulate_study(tmp_path / "study", settings)
    sheet = tmp_path / "study" / "clinical.csv"
    sheet.write_text(sheet.read_text().replace(",lung,", ",lung of Mr Dupont,"), encoding="utf-8")
    original = load_study(tmp_path / "study")
    anonymize_study(original, tmp_path / "copy", shift_days=-1234)
    copied = load_study(tmp_path / "copy")
    before, after = (cohort_frames(s, NO_VISITS).cohort for s in (original, copied))
    same = ["verdict", "failed_rules", "unknown_rules", "steroid_daily_mg", "steroid_cumulative_mg"]
    same += ["shock_steroids", "neutrophils", "age"]
    assert_frame_equal(before.select(same), after.select(same))
    assert {"include", "exclude", "unknown"} == set(after["verdict"])
    text = (tmp_path / "copy" / "clinical.csv").read_text(encoding="utf-8")
    assert "Dupont" not in text


def test_reactivations_come_in_intensive_care_and_add_no_file(tmp_path: Path) -> None:
    settings = SimulationSettings(patients=30, healthy=0, events=400, bead_events=100)
    simulate_study(tmp_path / "study", settings)
    study = load_study(tmp_path / "study")
    names = ("fungal_day", "cmv_day", "hsv_day")
    days = 0
    for patient in study.patients:
        cells = dict(patient.values)
        ends = [cells[name] for name in ("death_day", "icu_discharge_day", "followup_days")]
        last = min(float(end) for end in ends if end)
        for name in names:
            if cells[name]:
                days += 1
                assert 5 <= float(cells[name]) < last
    assert days > 0
    assert {outcome.event_day for outcome in study.outcomes} >= set(names)
