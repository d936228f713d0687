"""What a study says of its files, from the sheet to the tables."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import small_study
from cytosepsis.bead_runs import analyze_beads
from cytosepsis.bead_tasks import bead_tasks
from cytosepsis.cli import app
from cytosepsis.config import load_study
from cytosepsis.file_results import SampleFailure, SampleResult
from cytosepsis.sample import analyze_sample
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.study import run_study
from fcs_bytes import Recipe, make
from plan_files import real_file

SETTINGS = SimulationSettings(patients=1, healthy=0, events=400, bead_events=500)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A study whose first file lacks its last third, and which allows that."""
    folder = tmp_path_factory.mktemp("policy") / "study"
    simulate_study(folder, SETTINGS)
    study = load_study(folder)
    path = Path(study.samples[0].path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - 3000])
    toml = folder / "study.toml"
    text = toml.read_text().replace(
        "[assays.mhladr]\n", '[assays.mhladr]\ntruncated = "allow"\n', 1
    )
    toml.write_text(text)
    return folder


def test_files_that_are_cut_short_are_used_where_the_study_allows_it(folder, tmp_path):
    study = load_study(folder)
    assert study.assays[0].truncated == "allow"
    first = study.samples[0]
    found = analyze_sample(first, study.assays[0])
    assert isinstance(found, SampleResult)
    assert 0 < found.n_events < SETTINGS.events
    assert "truncated_file" in found.flags
    assert found.notes[0] == "truncated"
    strict = analyze_sample(first, replace(study.assays[0], truncated="refuse"))
    assert isinstance(strict, SampleFailure)
    assert (strict.code, strict.step) == ("truncated", "read")

    table = run_study(study, tmp_path / "out", workers=1, plots=False).table("samples")
    [row] = table.filter(sample_id=first.sample_id).to_dicts()
    assert row["status"] == "flagged"
    assert "truncated" in row["file_notes"].split(";")
    assert "truncated_file" in row["flags"].split(";")
    others = table.filter(sample_id=study.samples[1].sample_id).to_dicts()
    assert [other["file_notes"] for other in others] == [""]


def test_beads_that_are_cut_short_are_never_used(folder, tmp_path):
    study = load_study(folder)
    [task] = bead_tasks(study)[:1]
    short = tmp_path / "beads.fcs"
    short.write_bytes(Path(task.bead_run.path).read_bytes()[:-100])
    run = replace(task.bead_run, path=str(short))
    assert analyze_beads(replace(task, bead_run=run)).error_code == "truncated"


def test_the_sheets_choose_a_data_set(tmp_path):
    samples = "file,patient_id,dataset\nfcs/a.fcs,P1,1\nfcs/b.fcs,P2,\n"
    beads = "bead_run,file,lot,dataset\nB1,fcs/beads.fcs,96597,0\n"
    study = load_study(small_study.write(tmp_path, samples_csv=samples, beads_csv=beads))
    assert [sample.dataset for sample in study.samples] == [1, None]
    assert study.bead_runs[0].dataset == 0


@pytest.mark.parametrize(
    ("cell", "message"),
    [("1.5", "wanted a whole number"), ("-1", "wanted 0 or more"), ("first", "first")],
)
def test_a_data_set_that_is_none(tmp_path, cell, message):
    samples = f"file,patient_id,dataset\nfcs/a.fcs,P1,{cell}\n"
    [problem] = small_study.refused(tmp_path, samples_csv=samples)
    assert "dataset" in problem
    assert message in problem


def test_a_policy_that_is_none(tmp_path):
    text = small_study.toml(("[assays.mhladr]\n", '[assays.mhladr]\ntruncated = "maybe"\n'))
    [problem] = small_study.refused(tmp_path, study_toml=text)
    assert "assays.mhladr.truncated" in problem


def test_a_chosen_data_set_is_measured(tmp_path):
    first = make(Recipe(keywords={"$NEXTDATA": "@@@@@"})).raw
    second = make(Recipe(((2000.0, 200.0), (3000.0, 1.0)), ("FSC-A", "FITC-A"))).raw
    (tmp_path / "fcs").mkdir()
    (tmp_path / "fcs" / "a.fcs").write_bytes(first.replace(b"@@@@@", b"%05d" % len(first)) + second)
    samples = "file,patient_id,dataset\nfcs/a.fcs,P1,1\n"
    text = small_study.toml(('compensation = "file"', 'compensation = "none"'))
    text = text.split("[assays.mhladr.abc]")[0]
    study = load_study(small_study.write(tmp_path, samples_csv=samples, study_toml=text))
    found = analyze_sample(study.samples[0], study.assays[0])
    assert isinstance(found, SampleResult), found
    assert found.n_events == 2
    assert [row.n_events for row in found.populations] == [2, 2, 1]
    unchosen = analyze_sample(replace(study.samples[0], dataset=None), study.assays[0])
    assert isinstance(unchosen, SampleFailure)
    assert unchosen.code == "several_data_sets"


# --- inspect


def test_inspect_lists_data_sets():
    path = real_file("FlowIO/coulter.lmd")
    result = CliRunner().invoke(app, ["inspect", str(path), "--format", "json"])
    assert result.exit_code == 0
    [record] = json.loads(result.stdout)
    assert (record["dataset"], record["n_data_sets"], record["version"]) == (1, 2, "3.0")
    assert [s["n_events"] for s in record["data_sets"]] == [18110, 18110]
    assert [s["version"] for s in record["data_sets"]] == ["2.0", "3.0"]
    assert record["channels"][0]["kind"] == "scatter"
    assert [doubt["code"] for doubt in record["doubts"]] == ["high_resolution_set"]
    table = CliRunner().invoke(app, ["inspect", str(path)]).stdout
    assert "data set 1 (described above): FCS 3.0" in table


def test_inspect_of_sets_that_have_to_be_chosen_and_of_many_notes(tmp_path):
    names = {f"$P{n}N": None for n in (1, 2)}
    first = make(Recipe(keywords={"$NEXTDATA": "@@@@@", **names})).raw
    second = make(Recipe(keywords={"$P2B": None})).raw
    path = tmp_path / "data.001"  # known by its first bytes
    path.write_bytes(first.replace(b"@@@@@", b"%05d" % len(first)) + second)
    (tmp_path / "notes.txt").write_text("no FCS file")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), "--format", "json"])
    assert result.exit_code == 0, result.output
    [record] = json.loads(result.stdout)
    doubts = {doubt["code"]: doubt["message"] for doubt in record["doubts"]}
    assert set(doubts) >= {"several_data_sets", "name_missing"}
    assert doubts["name_missing"].endswith("(and 1 more)")
    assert record["data_sets"][1]["error"]["code"] == "keyword_missing"
    table = CliRunner().invoke(app, ["inspect", str(tmp_path)]).stdout
    assert "data set 1: keyword $P2B is missing" in table


def test_notes_are_in_the_csv(folder, tmp_path):
    run_study(load_study(folder), tmp_path / "out", workers=1, plots=False)
    with (tmp_path / "out" / "samples.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert "truncated" in rows[0]["file_notes"].split(";")
