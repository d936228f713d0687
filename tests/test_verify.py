"""Results computed again and compared to the bit; the story of one number."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from cytosepsis.cli import app
from cytosepsis.config import load_study
from cytosepsis.errors import CytosepsisError, StoreError
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.store import open_results
from cytosepsis.study import run_study
from cytosepsis.trace import trace_sample
from cytosepsis.verify import verify_results


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small study that was run into `out`."""
    settings = SimulationSettings(patients=2, healthy=0, events=1500, bead_events=2500)
    simulate_study(tmp_path / "study", settings)
    run_study(load_study(tmp_path / "study"), tmp_path / "out")
    return tmp_path


def test_results_that_nobody_touched_are_equal(folder: Path) -> None:
    done = verify_results(load_study(folder / "study"), folder / "out")
    assert done.differences == ()
    assert (done.same_code, done.same_study) == (True, True)
    assert done.n_files > 2
    part = verify_results(load_study(folder / "study"), folder / "out", fraction=0.01, seed=1)
    assert part.n_files == 1


def test_tables_written_in_parts_from_the_journal_are_the_same_tables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study(folder / "study")
    whole = open_results(folder / "out")
    assert whole.table("densities").height > 3
    for module in ("reuse", "study"):  # so that outcomes are read from the journal, too
        monkeypatch.setattr(f"cytosepsis.{module}.SAMPLES_TOGETHER", 1)
    parts = run_study(study, folder / "parts")
    assert parts.tables == whole.tables
    for name in whole.tables:
        assert_frame_equal(parts.table(name), whole.table(name))
        csv = [(place / f"{name}.csv").read_bytes() for place in (whole.folder, parts.folder)]
        assert csv[0] == csv[1], name
    assert verify_results(study, folder / "parts", fraction=0.1, seed=1).differences == ()
    assert not list(parts.folder.glob(".*"))
    edited = parts.folder / "densities.csv"
    edited.write_bytes(edited.read_bytes().replace(b"root", b"toor", 1))
    again = verify_results(study, folder / "parts", fraction=0.1, seed=1)
    assert [d.name for d in again.differences] == ["densities.csv"]


def test_what_was_tampered_with_is_found(folder: Path) -> None:
    study = load_study(folder / "study")
    with sqlite3.connect(folder / "out" / "journal.sqlite") as db:
        name, record = db.execute(
            "SELECT name, record FROM outcomes WHERE kind='sample'"
        ).fetchone()
        n = json.loads(record)["n_events"]
        changed = record.replace(f'"n_events":{n}', f'"n_events":{n + 1}', 1)
        db.execute("UPDATE outcomes SET record = ? WHERE name = ?", (changed, name))
    db.close()
    table = folder / "out" / "clinical.csv"
    table = table if table.exists() else folder / "out" / "abc.csv"
    table.write_text(table.read_text() + "\n")
    (folder / "out" / "populations.parquet").unlink()
    found = {d.name: d.message for d in verify_results(study, folder / "out").differences}
    assert found[name].startswith("differs in n_events")
    assert found[table.name] == "is not what the journal and the study give"
    assert found["populations.parquet"] == "is missing"


def test_refusals(folder: Path, tmp_path: Path) -> None:
    study = load_study(folder / "study")
    with pytest.raises(CytosepsisError, match="fraction is 0"):
        verify_results(study, folder / "out", fraction=0)
    with pytest.raises(StoreError, match="no finished results"):
        verify_results(study, tmp_path / "nothing")
    with pytest.raises(StoreError, match="no sample 'x'"):
        trace_sample(folder / "out", "x")


def test_a_story_names_input_beads_gates_and_code(folder: Path) -> None:
    study = load_study(folder / "study")
    story = trace_sample(folder / "out", study.samples[0].sample_id)
    assert story["sample"]["sha256"]
    assert story["abc"][0]["bead_run"] == story["calibration"][0]["bead_run"]
    assert {"slope", "intercept", "lot"} <= story["calibration"][0].keys()
    assert story["populations"][0]["path"] == "root"
    plan = Path(study.assays[0].gating).read_bytes()
    assert story["computed"]["gating_digest"] == hashlib.sha256(plan).hexdigest()
    assert story["computed"]["compensation_digest"] == "file"
    assert "overrides" not in story
    assert "densities" not in story
    assert story["computed"]["versions"]["numba"]
    assert story["computed"]["limits"]["recommended_cells"] > 0
    assert all(story["flags"].values())


def test_a_story_tells_what_a_reviewer_decided_of_sample_and_beads(folder: Path) -> None:
    study = load_study(folder / "study")
    first = study.samples[0].sample_id
    run = trace_sample(folder / "out", first)["abc"][0]["bead_run"]
    (folder / "study" / "overrides.csv").write_text(
        "target,action,who,when,why,bead_run\n"
        f"{first},assign_beads,Dr Secret,2024-05-01,looked at it,{run}\n"
        f"{run},accept,Dr Secret,2024-05-02,fine,\n"
        f"{study.samples[1].sample_id},reject,Dr Secret,2024-05-03,clot,\n"
    )
    toml = folder / "study" / "study.toml"
    toml.write_text(toml.read_text().replace("[study]", '[study]\noverrides = "overrides.csv"', 1))
    run_study(load_study(folder / "study"), folder / "out")
    story = trace_sample(folder / "out", first)
    assert [(o["target"], o["action"]) for o in story["overrides"]] == [
        (first, "assign_beads"),
        (run, "accept"),
    ]
    assert story["overrides"][0]["bead_run"] == run
    # Who decided and in which words stands in the table of decisions, for the audit, and nowhere
    # else: it is a person's name, and free text.
    named = {
        p.name for p in (folder / "out").rglob("*") if p.is_file() and b"Secret" in p.read_bytes()
    }
    assert "overrides.csv" in named
    assert named <= {"overrides.csv", "overrides.parquet"}


def test_commands(folder: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["verify", str(folder / "out"), "--fraction", "0.5", "--seed", "1"])
    assert done.exit_code == 0, done.output
    assert "all equal" in done.output
    name = load_study(folder / "study").samples[0].sample_id
    told = run(app, ["trace", str(folder / "out"), name, "--format", "json"])
    assert json.loads(told.stdout)["sample"]["sample_id"] == name
    assert "calibration" in run(app, ["trace", str(folder / "out"), name]).stdout
    (folder / "out" / "abc.csv").write_text("x")
    again = run(app, ["verify", str(folder / "out"), "--fraction", "0.1"])
    assert again.exit_code == 1
    assert "abc.csv" in again.output
