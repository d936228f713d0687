"""Copies without what identifies people: searched in bytes; events, days and AB/C as before."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from cytosepsis.anonymize import Rules, anonymize_files, anonymize_study
from cytosepsis.anonymize.toml_text import toml_text
from cytosepsis.cli import app
from cytosepsis.config import load_study
from cytosepsis.errors import CytosepsisError
from cytosepsis.fcs import read_fcs
from cytosepsis.fcs_write import write_fcs
from cytosepsis.gating.reader import read_gating
from cytosepsis.protocol import Study
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.study import run_study
from test_plan_flowjo import BIEX, HEAD, dimension, population, sample, scale, spill

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


# ------------------------------------------------- workspaces, overrides, several data sets

SCALES = scale("A") + scale("B", BIEX)
GATES = population(
    "cells",
    dimension("A", 100, 900),
    children=population("bright", dimension("Comp-B", 120, None)),
)
OTHER_GATES = population("cells", dimension("A", 300, 900))
STUDY = """
[study]
name = "wards of Dupont"
samples = "samples.csv"
overrides = "overrides.csv"

[assays.panel]   # as Dr Someone likes it
compensation = "file"
gating = "assays/Dupont.wsp"
"""


def two_in_one(path: Path, events: np.ndarray) -> None:
    """One file with two data sets of other events each."""
    parts = []
    for n, some in enumerate((events[:200], events[200:])):
        part = path.with_suffix(f".{n}")
        write_fcs(part, some, pnn=("A", "B"), keywords={**SECRETS, "$TIMESTEP": "0.01"})
        parts.append(part.read_bytes())
        part.unlink()
    # $NEXTDATA has no room for a number of its own length: one that cannot be missed is put there.
    first = parts[0].replace(b"$TIMESTEP/0.01", b"$NEXTDATA/%04d" % len(parts[0]))
    path.write_bytes(first.replace(b"$NEXTDATA/0/", b"$NEXTDATB/0/") + parts[1])


def workspace_study(folder: Path) -> Study:
    """A study with a FlowJo workspace, a file of two data sets, and a reviewer's decisions."""
    (folder / "fcs").mkdir(parents=True)
    (folder / "assays").mkdir()
    generator = np.random.default_rng(5)
    for name, n in (("dupont1.fcs", 400), ("dupont2.fcs", 300)):
        events = generator.uniform(0, 1000, (n, 2))
        write_fcs(folder / "fcs" / name, events, pnn=("A", "B"), keywords=SECRETS)
    two_in_one(folder / "fcs" / "dupont3.fcs", generator.uniform(0, 1000, (500, 2)))
    samples = "".join(
        sample(gates, name=name, scales=SCALES, pnn=("A", "B"), fil=name, number=n,
               uri=f"file:/ward/{name}", matrix=spill(name="Dupont matrix"))
        .replace("<Keywords>", '<Keywords><Keyword name="$SRC" value="Dupont Marie"/>')
        .replace('owningGroup="g"', 'owningGroup="Dupont" annotation="bed twelve"')
        for n, (name, gates) in enumerate(
            [("dupont1.fcs", GATES), ("dupont2.fcs", OTHER_GATES), ("dupont3.fcs", GATES)], 1
        )
    )  # fmt: skip
    text = (
        HEAD.format(version="10.8.1") + samples + "</SampleList><Notes>Dupont</Notes></Workspace>"
    )
    (folder / "assays" / "Dupont.wsp").write_text(text, encoding="utf-8")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    (folder / "samples.csv").write_text(
        "file,sample_id,patient_id,dataset\n"
        "fcs/dupont1.fcs,sample-one,Dupont,\nfcs/dupont2.fcs,sample-two,Martin,\n"
        "fcs/dupont3.fcs,first-set,Martin,0\nfcs/dupont3.fcs,second-set,Martin,1\n"
    )
    (folder / "overrides.csv").write_text(
        "target,action,who,when,why\n"
        "sample-one,accept,nurse.kelly,2024-03-05,Dupont looked fine\n"
        "second-set,reject,nurse.kelly,2024-03-06 10:30,clot\n"
    )
    return load_study(folder)


def test_workspaces_overrides_and_data_sets_are_copied(tmp_path: Path) -> None:
    study = workspace_study(tmp_path / "study")
    before = run_study(study, tmp_path / "before")
    assert set(before.table("samples")["status"]) == {"flagged"}, before.table("samples")["error"]
    assert anonymize_study(study, tmp_path / "copy", shift_days=-400) == ()
    copy = load_study(tmp_path / "copy")
    after = run_study(copy, tmp_path / "after")
    counts = ("path", "n_events", "fraction_of_parent", "gate_status")
    assert before.table("populations").height == 3 + 2 + 3 + 3
    assert_frame_equal(
        before.table("populations").select(counts), after.table("populations").select(counts)
    )
    assert list(after.table("samples")["review"]) == ["accepted", "pending", "pending", "rejected"]
    assert [sample.dataset for sample in copy.samples] == [None] * 4
    assert [o.when for o in copy.overrides] == ["2023-01-30", "2023-01-31T10:30:00+00:00"]
    for path in [*(tmp_path / "copy").rglob("*"), *(tmp_path / "after").rglob("*")]:
        content = path.read_bytes().lower() if path.is_file() else b""
        for value in (*SECRETS.values(), "Dupont", "Martin", "sample-one", "first-set", "clot"):
            assert value.lower().encode() not in content, (path.name, value)


def test_every_data_set_of_a_file_becomes_a_file(tmp_path: Path) -> None:
    events = np.random.default_rng(6).uniform(0, 1000, (500, 2)).astype(np.float32)
    two_in_one(tmp_path / "a.fcs", events)
    written = anonymize_files([tmp_path / "a.fcs"], tmp_path / "out")
    assert [path.name for path in written] == ["0001-1.fcs", "0001-2.fcs"]
    np.testing.assert_array_equal(read_fcs(written[0]).stored(), events[:200])
    np.testing.assert_array_equal(read_fcs(written[1]).stored(), events[200:])


def test_a_plan_is_carried_over_without_its_comments(tmp_path: Path) -> None:
    simulate_study(tmp_path / "study", SimulationSettings(patients=1, healthy=0, events=50))
    study = load_study(tmp_path / "study")
    plan = Path(study.assays[0].gating)
    plan.write_text(f"# drawn for {SECRETS['$SRC']}\n" + plan.read_text())
    anonymize_study(study, tmp_path / "copy")
    copy = load_study(tmp_path / "copy").assays[0].gating
    assert "Dupont" not in Path(copy).read_text()
    assert replace(read_gating(copy), source="") == replace(read_gating(plan), source="")


def test_a_population_that_bears_a_patients_name_is_found(tmp_path: Path) -> None:
    study = workspace_study(tmp_path / "study")
    wsp = tmp_path / "study" / "assays" / "Dupont.wsp"
    wsp.write_text(wsp.read_text().replace('name="cells"', 'name="cells Martin"'))
    with pytest.raises(CytosepsisError, match=r"plan1.wsp: still holds an id .*'Martin'.*Rename"):
        anonymize_study(study, tmp_path / "copy")


def test_toml_is_written_as_it_was_read() -> None:
    document = tomllib.loads(
        'a = "q\\"\\\\ \\n é"\nb = [1, 2.5, true, inf]\nd = 2024-01-02\nt = 10:11:12\n'
        'm = 2024-01-02T10:11:12\n[[g]]\nx = { min = 1 }\n[[g]]\n"é b" = ["u"]\n'
        '[s."x.y".z]\nk = 1\n'
    )
    assert tomllib.loads(toml_text(document)) == document
