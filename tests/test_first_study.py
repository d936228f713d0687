"""A first study from a folder of FCS files: every guess is marked, and what is written works."""

import csv
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cytosepsis.config import check_study, load_study
from cytosepsis.errors import CytosepsisError, StudyError
from cytosepsis.fcs_write import write_fcs
from cytosepsis.first_study import FILL_IN, InitOptions, draft_study, write_first_study
from cytosepsis.first_study.names import compile_pattern, guess_pattern, read_name, windows
from cytosepsis.study import run_study

HERE = Path(__file__).parent
SAMPLE_FCS = HERE.parent / "sample_fcs" / "fcs"
CORPUS = Path(os.environ.get("CYTOSEPSIS_CORPUS", HERE.parent.parent / "shared" / "fcs"))
LOT = {"SIM-01": (512.0, 5430.0, 24100.0, 62300.0)}


def rows(path):
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def draft():
    return draft_study(SAMPLE_FCS, InitOptions(lots=LOT))


def fill_in(study, lot="L1", values="100, 1000, 10000"):
    """What the person does: the lot's name and values."""
    for name in ("study.toml", "beads.csv"):
        path = study / name
        text = path.read_text(encoding="utf-8").replace(FILL_IN, lot)
        path.write_text(re.sub(r"pe_molecules = \[\].*", f"pe_molecules = [{values}]", text))


def test_it_tells_beads_from_samples_by_their_events(draft):
    beads = {facts.stem for facts in draft.beads}

    assert beads == {path.stem for path in SAMPLE_FCS.glob("B2024*.fcs")}
    assert {draft.purposes[facts.file].channel for facts in draft.beads} == {"PE-A"}
    assert len(draft.samples) == 23


def test_it_reads_patients_and_timepoints_out_of_names(draft):
    assert draft.named["P001_D1-2.fcs"].patient_id == "P001"
    assert draft.named["P001_D1-2.fcs"].timepoint == "D1-2"
    assert draft.named["H001.fcs"].group == "healthy"
    assert dict(draft.windows) == {"D1-2": (1, 2), "D3-4": (3, 4), "D6-8": (6, 8)}


def test_the_study_it_writes_runs_after_the_lot_is_filled_in(tmp_path):
    write_first_study(draft_study(SAMPLE_FCS, InitOptions()), tmp_path)
    with pytest.raises(StudyError) as refused:
        load_study(tmp_path)
    assert [problem.place for problem in refused.value.problems] == [
        f"bead_lots.{FILL_IN}.pe_molecules"
    ]

    fill_in(tmp_path, "SIM-01", "512, 5430, 24100, 62300")

    assert not [p for p in check_study(tmp_path) if p.severity == "error"]
    study = load_study(tmp_path)
    assert len(study.samples) == 23
    abc = run_study(study, out=tmp_path / "results").table("abc")
    truth = {row["sample_id"]: row for row in rows(SAMPLE_FCS.parent / "truth.csv")}
    found = {Path(i).name: v for i, v in zip(abc["sample_id"], abc["abc"], strict=True)}
    errors = [
        abs(found[name] / float(row["sample_abc"]) - 1)
        for name, row in truth.items()
        if found.get(name)
    ]
    assert len(errors) == 23
    assert np.median(errors) < 0.05


def test_every_guess_is_marked(draft, tmp_path):
    write_first_study(draft, tmp_path)
    toml = (tmp_path / "study.toml").read_text(encoding="utf-8")

    for guessed in ("baseline =", "[timepoints]", "compensation =", "gating =", "[assays.mhladr]"):
        line = next(line for line in toml.splitlines() if line.startswith(guessed))
        assert "# GUESS" in line, guessed
    assert all(row["guess"] for row in rows(tmp_path / "samples.csv"))
    assert all("levels of uniform beads" in row["guess"] for row in rows(tmp_path / "beads.csv"))


def test_nothing_is_overwritten(draft, tmp_path):
    write_first_study(draft, tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    with pytest.raises(CytosepsisError, match=r"already holds study\.toml"):
        write_first_study(draft, tmp_path)

    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("names", "name", "patient", "timepoint"),
    [
        (["P1_D1-2", "P1_D3-4"], "P1_D3-4", "P1", "D3-4"),
        (["012 J1", "013 J3"], "013 J3", "013", "J3"),
        (["p7/D1/tube", "p7/D3/tube"], "p7/D3/tube", "p7", "D3"),
        (["run/S-01_mHLA_D6-8_001"], "run/S-01_mHLA_D6-8_001", "S-01", "D6-8"),
        (["alpha", "beta"], "beta", "beta", None),
    ],
)
def test_the_pattern_fits_how_labs_name_files(names, name, patient, timepoint):
    found = read_name(name, compile_pattern(guess_pattern(names)))

    assert (found.patient_id, found.timepoint) == (patient, timepoint)


def test_a_pattern_of_the_users_own():
    pattern = compile_pattern(r"(?P<timepoint>visit\d)-(?P<patient>\w+)")

    assert read_name("x/visit2-ABC", pattern).patient_id == "ABC"
    assert read_name("x/visit2-ABC", pattern).timepoint == "visit2"
    with pytest.raises(CytosepsisError, match="no regular expression"):
        compile_pattern("(")
    with pytest.raises(CytosepsisError, match="no group"):
        compile_pattern("patient")


def test_labels_become_windows_only_where_they_name_days():
    found, unclear = windows(["D3", "D1-2", "J5-7", "T0", "D6-8", "D6-8"])

    assert found == {"D1-2": (1, 2), "D3": (3, 3)}
    assert unclear == ("D6-8", "J5-7", "T0")  # two overlap, one is no day


def test_stains_names_and_control_files(tmp_path):
    rng = np.random.default_rng(1)
    cells = rng.lognormal(8, 1, (2_000, 4)).astype(np.float32)
    names = ["FSC-A", "SSC-A", "FITC-A", "PE-A"]
    for file, stains in (
        ("a_D1.fcs", ["", "", "CD4 FITC", "CD25_PE"]),
        ("a_D3.fcs", ["", "", "CD4 FITC", "CD25_PE"]),
        ("b_D1.fcs", ["", "", "CD14", "HLA-DR"]),
        ("b_D1_FMO.fcs", ["", "", "CD14", "HLA-DR"]),
        ("plain_D1.fcs", ["", "", "", ""]),
        ("Compensation Controls_FITC Stained Control.fcs", ["", "", "", ""]),
        ("Compensation Controls_Unstained.fcs", ["", "", "", ""]),
    ):
        write_fcs(tmp_path / file, cells, pnn=names, pns=stains, keywords={"$SRC": "Jane Doe"})
    (tmp_path / "broken.fcs").write_bytes(b"no FCS")
    draft = draft_study(tmp_path, InitOptions())
    write_first_study(draft, tmp_path)

    by_file = {row["file"]: row for row in rows(tmp_path / "samples.csv")}
    assert by_file["b_D1_FMO.fcs"]["role"] == "fmo"
    assert by_file["a_D1.fcs"]["assay"] != by_file["b_D1.fcs"]["assay"]
    roles = {panel.name: [role.role for role in panel.roles] for panel in draft.panels}
    assert roles[by_file["a_D1.fcs"]["assay"]][-2:] == ["cd4", "cd25"]
    assert by_file["b_D1.fcs"]["assay"] == "mhladr"
    controls = rows(tmp_path / "controls.csv")
    assert [(row["detector"], row["role"]) for row in controls] == [
        ("FITC-A", "single_stain"),
        ("", "unstained"),
    ]
    assert "not_fcs" in rows(tmp_path / "left_out.csv")[0]["reason"]
    everything = b"".join(
        p.read_bytes() for p in tmp_path.rglob("*") if p.suffix != ".fcs" and p.is_file()
    )
    assert b"Jane Doe" not in everything
    assert not [p for p in check_study(tmp_path) if p.severity == "error"]


def test_two_unnamed_stains_are_taken_for_the_two_colour_tube_and_said_so(tmp_path):
    cells = np.random.default_rng(2).lognormal(8, 1, (500, 4)).astype(np.float32)
    write_fcs(tmp_path / "x.fcs", cells, pnn=["FSC-A", "SSC-A", "PerCP-Cy5-5-A", "PE-A"])
    panel = draft_study(tmp_path, InitOptions()).panels[0]

    assert {role.role: role.guess for role in panel.roles}["hladr"].startswith("from the dye")


def test_a_hostile_name_stays_text(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    cells = np.random.default_rng(2).lognormal(8, 1, (500, 2)).astype(np.float32)
    name = '=cmd"] # [study].fcs'
    write_fcs(folder / name, cells, pnn=["FSC-A", 'x"\\\n[assays]'], pns=["", "y\ty"])
    write_fcs(folder / "line\nbreak.fcs", cells, pnn=["FSC-A", "x"])
    write_first_study(draft_study(folder, InitOptions()), tmp_path / "out")

    study = load_study(tmp_path / "out")
    assert [assay.name for assay in study.assays] == ["panel_1"]
    assert [sample.file for sample in study.samples] == [name]
    assert "rename it" in rows(tmp_path / "out" / "left_out.csv")[0]["reason"]


def test_a_folder_without_samples_is_refused(tmp_path):
    with pytest.raises(CytosepsisError, match="no folder"):
        draft_study(tmp_path / "none", InitOptions())
    with pytest.raises(CytosepsisError, match="no FCS file that could be a sample"):
        draft_study(tmp_path, InitOptions())


def test_a_folder_mixed_from_many_instruments(tmp_path):
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus of real files at {CORPUS}")
    folder = tmp_path / "mixed"
    for part in ("FlowIO", "FlowKit/4_color_beads", "flowBeads", "hally166", "FACEJava/fcsdata"):
        for path in (CORPUS / part).rglob("*.*"):
            if path.suffix.lower() in (".fcs", ".lmd") and path.stat().st_size < 2**23:
                target = folder / part / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    write_first_study(draft_study(folder, InitOptions()), tmp_path / "study")
    fill_in(tmp_path / "study")

    assert not [p for p in check_study(tmp_path / "study") if p.severity == "error"]
    assert len(rows(tmp_path / "study" / "controls.csv")) == 4
    assert "beads1" in {row["bead_run"] for row in rows(tmp_path / "study" / "beads.csv")}


@pytest.fixture
def few(tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("H001.fcs", "P001_D1-2.fcs", "B20240108.fcs"):
        shutil.copyfile(SAMPLE_FCS / name, folder / name)
    return str(folder)


def test_the_command(tmp_path, few):
    command = [sys.executable, "-m", "cytosepsis", "init", few, "--out"]
    done = subprocess.run(
        [*command, str(tmp_path / "a"), "--lot", "SIM-01=512,5430,24100,62300"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Samples: 2" in done.stdout
    assert "Next: Confirm what is marked GUESS" in done.stdout
    assert not [p for p in check_study(tmp_path / "a") if p.severity == "error"]

    refused = subprocess.run(
        [*command, str(tmp_path / "b"), "--lot", "L=1"], check=False, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "at least three levels" in refused.stderr


def test_in_a_terminal_it_asks(tmp_path, few):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cytosepsis", "init", few, "--out", str(tmp_path / "s")],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(ours, b"(?P<patient>[A-Z]\\d+)(_(?P<timepoint>.*))?\nX=500,5000,24000,62000\n")
    _, asked = process.communicate(timeout=120)
    os.close(ours)

    assert process.returncode == 0, asked
    assert "Pattern of patient and timepoint" in asked
    assert "[bead_lots.X]" in (tmp_path / "s" / "study.toml").read_text()
    assert rows(tmp_path / "s" / "samples.csv")[1]["patient_id"] == "P001"
    assert json.dumps("D1-2") in (tmp_path / "s" / "study.toml").read_text()
