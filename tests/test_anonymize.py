"""Copies without what identifies people: searched in bytes; events, days and AB/C as before."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from cytosepsis.anonymize import Rules, anonymize_files, anonymize_study
from cytosepsis.cli import app
from cytosepsis.config import load_study
from cytosepsis.errors import CytosepsisError
from cytosepsis.fcs import read_fcs
from cytosepsis.fcs_write import write_fcs
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.study import run_study

SECRETS = {
    "$SRC": "Dupont Marie",
    "$SMNO": "MRN-778812",
    "$FIL": "DUPONT_1950.fcs",
    "$OP": "nurse.kelly",
    "$INST": "Hopital Saint-Exemple",
    "$EXP": "Dr Someone",
    "$COM": "bed twelve",
    "$PROJ": "wardproject",
    "$CYTSN": "V657338000021",
    "PATIENT ID": "4711-0815",
    "EXPERIMENT NAME": "sepsis dupont",
    "TUBE NAME": "tube dupont",
    "GUID": "f00dbabe-1234",
    "DATE OF BIRTH": "1950-02-03",
    "UNHEARD OF": "Marie D.",
    "@SPECIMEN": "blood of marie",
}


def identified(path: Path, **more: str) -> Path:
    events = np.random.default_rng(2).normal(1000, 300, (500, 2)).astype(np.float32)
    keywords = {**SECRETS, "$DATE": "03-MAR-2024", "$BTIM": "10:11:12.50", "$CYT": "Canto", **more}
    write_fcs(path, events, pnn=("FSC-A", "PE-A"), pns=("", "HLA-DR"), keywords=keywords)
    return path


def test_no_identifying_value_is_in_the_copy_and_the_events_are(tmp_path: Path) -> None:
    source = identified(tmp_path / "dupont.fcs")
    (copy,) = anonymize_files([source], tmp_path / "out")
    content = copy.read_bytes()
    for value in [*SECRETS.values(), "03-MAR-2024", "2024"]:
        assert value.lower().encode() not in content.lower(), value
    before, after = read_fcs(source), read_fcs(copy)
    np.testing.assert_array_equal(before.stored(), after.stored())
    assert after.parameters == before.parameters
    assert after.keywords["$CYT"] == "Canto"
    assert after.keywords["$CYTSN"] == "C1"
    assert copy.name == "0001.fcs"


def test_intervals_stay(tmp_path: Path) -> None:
    files = [
        identified(tmp_path / "a.fcs"),
        identified(tmp_path / "b.fcs", **{"$BTIM": "12:11:12"}),
    ]
    anonymize_files(files, tmp_path / "out")
    copies = [read_fcs(path).acquired_at for path in (tmp_path / "out").glob("*.fcs")]
    times = sorted(time for time in copies if time is not None)
    assert (times[1] - times[0]).total_seconds() == 2 * 3600 - 0.5
    assert times[0].year < 2024


def test_the_mapping_lies_apart_and_is_private(tmp_path: Path) -> None:
    anonymize_files([identified(tmp_path / "a.fcs")], tmp_path / "out", shift_days=-400)
    mapping = tmp_path / "out-mapping.csv"
    rows = list(csv.reader(mapping.read_text(encoding="utf-8").splitlines()))
    assert rows[1:] == [
        ["file", str(tmp_path / "a.fcs"), "0001.fcs"],
        ["cytometer", "V657338000021", "C1"],
        ["shift_days", "-400", ""],
    ]
    assert mapping.stat().st_mode & 0o077 == 0


def test_the_lists_can_be_extended(tmp_path: Path) -> None:
    source = identified(tmp_path / "a.fcs")
    rules = Rules(keep=("unheard of",), remove=("$CYT",))
    (copy,) = anonymize_files([source], tmp_path / "out", rules=rules)
    keywords = read_fcs(copy).keywords
    assert keywords["UNHEARD OF"] == "Marie D."
    assert "$CYT" not in keywords


def test_refusals(tmp_path: Path) -> None:
    source = identified(tmp_path / "a.fcs")
    anonymize_files([source], tmp_path / "out")
    with pytest.raises(CytosepsisError, match="not empty; nothing is overwritten"):
        anonymize_files([source], tmp_path / "out")
    with pytest.raises(CytosepsisError, match="would lie among the copies"):
        anonymize_files([source], tmp_path / "new", mapping=tmp_path / "new" / "map.csv")
    with pytest.raises(CytosepsisError, match=r"map.*exists; nothing is overwritten"):
        anonymize_files([source], tmp_path / "other", mapping=tmp_path / "out-mapping.csv")


def test_a_name_hidden_in_a_keyword_that_stays_is_found(tmp_path: Path) -> None:
    source = identified(tmp_path / "a.fcs", **{"$CYT": "Canto of Dupont Marie"})
    with pytest.raises(CytosepsisError, match=r"in \$SRC also stands in \$CYT.*--remove"):
        anonymize_files([source], tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    anonymize_files([source], tmp_path / "again", rules=Rules(remove=("$CYT",)))


ABC = ("abc", "abc_low", "abc_high", "intensity", "n_cells", "band", "status", "flags", "timepoint")
PATIENTS = ("timepoint", "day", "abc", "delta_abc", "ratio", "log10_slope_per_day", "flags")


def test_a_study_keeps_its_antibodies_and_days(tmp_path: Path) -> None:
    settings = SimulationSettings(patients=6, healthy=2, events=1200, bead_events=2500)
    simulate_study(tmp_path / "study", settings)
    study = load_study(tmp_path / "study")
    before = run_study(study, tmp_path / "before")
    table = before.table("abc").drop_nulls("bead_run")
    runs = dict(zip(table["sample_id"].to_list(), table["bead_run"].to_list(), strict=True))
    # 181 days: what was winter time is summer time.
    left_out = anonymize_study(study, tmp_path / "copy", bead_runs=runs, shift_days=-181)
    assert left_out == ()
    copy = load_study(tmp_path / "copy")
    after = run_study(copy, tmp_path / "after")
    for name, columns in (("abc", ABC), ("patients", PATIENTS)):
        assert_frame_equal(
            before.table(name).select(columns),
            after.table(name).select(columns),
            check_row_order=name == "abc",
        )
    assert all(sample.bead_run for sample in copy.samples)
    _nothing_of_it_is_left(study.folder, tmp_path / "copy", tmp_path / "after")
    assert isinstance(before.table("abc"), pl.DataFrame)


def _nothing_of_it_is_left(original: Path, *places: Path) -> None:
    study = load_study(original)
    names = {s.patient_id for s in study.samples} | {s.sample_id for s in study.samples}
    names |= {s.cytometer for s in study.samples if s.cytometer} | {str(original)}
    names |= {r.bead_run for r in study.bead_runs}
    for place in places:
        for path in place.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for name in names:
                    assert name.encode() not in content, (path.name, name)


def test_a_workspace_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    simulate_study(tmp_path / "study", SimulationSettings(patients=1, healthy=0, events=50))
    study = load_study(tmp_path / "study")
    assay = replace(study.assays[0], gating="plan.wsp")
    with pytest.raises(CytosepsisError, match="workspace of 'mhladr' cannot be anonymized"):
        anonymize_study(replace(study, assays=(assay,)), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_command(tmp_path: Path) -> None:
    run = CliRunner().invoke
    source = identified(tmp_path / "a.fcs")
    done = run(app, ["anonymize", str(source), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "1 files copied" in done.output
    simulate_study(tmp_path / "study", SimulationSettings(patients=1, healthy=0, events=50))
    done = run(app, ["anonymize", str(tmp_path / "study"), "--out", str(tmp_path / "copy")])
    assert done.exit_code == 0, done.output
    both = [str(source), str(tmp_path / "study")]
    done = run(app, ["anonymize", *both, "--out", str(tmp_path / "third")])
    assert done.exit_code == 2
