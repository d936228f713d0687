"""Cohorts of tables and ex vivo wells: what was planted is found by the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from cytosepsis.analyses import analyze_results
from cytosepsis.cli import app
from cytosepsis.config import load_study
from cytosepsis.errors import CytosepsisError
from cytosepsis.simulate import SimulationSettings
from cytosepsis.simulate.cohort import CohortSettings, draw_patients, simulate_cohort
from cytosepsis.simulate.patients import healthy_draw, simulated_patient
from cytosepsis.simulate.wells import DRUGS, wells_of
from cytosepsis.statistics.auc import area
from cytosepsis.study import run_study


def call(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of tables, run; its markers are few, to be quick."""
    folder = tmp_path_factory.mktemp("cohort")
    settings = CohortSettings(patients=120, aucs=(0.75, 0.5), ex_vivo=8, donors=6)
    study = load_study(simulate_cohort(folder / "study", settings))
    run_study(study, folder / "out", workers=1)
    return folder / "out"


def test_the_planted_effects_are_found(results: Path) -> None:
    study = load_study(results.parent / "study")
    biomarkers = analyze_results(study, results, "biomarkers").tables
    primary = biomarkers["biomarkers"].filter(pl.col("role") == "primary").row(0, named=True)
    assert (primary["marker"], primary["timepoint"], primary["reason"]) == ("mhladr", "D6-8", None)
    assert primary["auc_low"] > 0.5
    first = biomarkers["ranking"].filter(pl.col("timepoint") == "D6-8").row(0, named=True)
    assert first["marker"] == "mhladr"
    exvivo = analyze_results(study, results, "exvivo").tables["exvivo_tests"]
    tests = {row["drug"]: row for row in exvivo.filter(group="patient").to_dicts()}
    assert tests["IFN-γ"]["p_adjusted"] < 0.05
    assert tests["IFN-γ"]["low"] < 1.8 < tests["IFN-γ"]["high"]
    assert tests["placebo"]["p_adjusted"] > 0.05


def test_the_commands_show_what_they_found(results: Path) -> None:
    shown = call("biomarkers", results)
    assert "Questions fixed beforehand" in shown
    assert "Strongest markers (exploratory)" in shown
    shown = call("candidates", results)
    assert "gm_csf (GM-CSF): mhladr < 8000 AB/C, day 3 to 3:" in shown
    assert "with ferritin <= 4420 ng/mL" in shown
    shown = call("exvivo", results)
    assert "IFN-γ" in shown
    assert "Patients against donors" in shown
    document = json.loads(call("exvivo", results, "--format", "json"))
    assert set(document) >= {"exvivo_effects", "exvivo_tests"}


def test_a_study_without_rules_or_wells_says_so(tmp_path: Path) -> None:
    folder = simulate_cohort(tmp_path / "study", CohortSettings(patients=5, ex_vivo=0, donors=0))
    toml = folder / "study.toml"
    text = toml.read_text(encoding="utf-8").partition("[candidates")[0]
    toml.write_text(text, encoding="utf-8")
    run_study(load_study(folder), tmp_path / "out", workers=1)
    assert "No rule" in call("candidates", tmp_path / "out")
    assert "No ex vivo wells" in call("exvivo", tmp_path / "out")
    assert "Without a clear answer (questions)" in call("biomarkers", tmp_path / "out")


def test_equal_settings_give_equal_bytes(tmp_path: Path) -> None:
    settings = CohortSettings(patients=5, ex_vivo=2, donors=2)
    one, two = (simulate_cohort(tmp_path / name, settings) for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 5
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)
    with pytest.raises(CytosepsisError, match="not an empty folder"):
        simulate_cohort(one)


def test_the_aucs_are_what_the_settings_say() -> None:
    people = draw_patients(CohortSettings(patients=20_000, aucs=(0.72, 0.5)))
    infected = np.isfinite(people.infection_day)
    for column, wanted in zip(people.markers.T, (0.72, 0.5), strict=True):
        found = area(column, infected)
        assert found is not None
        assert found.auc == pytest.approx(wanted, abs=0.02)
    dead = np.isfinite(people.death_day)
    assert (people.death_day[dead & infected] > people.infection_day[dead & infected]).all()
    assert (np.isfinite(people.discharge_day) <= ~(people.death_day <= people.discharge_day)).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"patients": 0}, "needs patients"),
        ({"infected": 1.0}, "below 1"),
        ({"aucs": (1.2,)}, "AUCs"),
    ],
)
def test_settings_that_make_no_cohort(settings: dict[str, float], words: str) -> None:
    with pytest.raises(CytosepsisError, match=words):
        CohortSettings(**settings)  # type: ignore[arg-type]


def test_wells_of_a_simulated_study() -> None:
    settings = SimulationSettings(seed=3, patients=4, healthy=1, ex_vivo=2)
    people = [simulated_patient(settings, i + 1) for i in range(settings.patients)]
    draws = [draw for person in people for draw in person.draws]
    wells = wells_of(settings, [*draws, healthy_draw(settings, 1)])
    patients = {well.blood.patient_id for well in wells}
    assert len(patients) == 3
    for blood in {well.blood.sample_id for well in wells}:
        own = [well for well in wells if well.blood.sample_id == blood]
        assert [(w.columns["stimulus"], w.columns["drug"]) for w in own] == [
            ("none", "none"),
            ("LPS", "none"),
            *(("LPS", drug) for drug in DRUGS),
        ]
    assert wells_of(SimulationSettings(patients=4), draws) == []
