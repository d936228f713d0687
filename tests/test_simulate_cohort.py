"""Simulated registries: the rules come to the verdicts that were built in."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from cytosepsis.analysis.cohort import cohort_frames
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
