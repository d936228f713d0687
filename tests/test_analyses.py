"""Analyses on a results folder: what is declared is made, what no longer follows is removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from cytosepsis.analyses import analyze_results, compute_analysis
from cytosepsis.analysis.describe import analyses_markdown
from cytosepsis.analysis.registry import ANALYSES, Analysis, in_order
from cytosepsis.cli import app
from cytosepsis.config import load_study
from cytosepsis.errors import CytosepsisError, StoreError
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.store import open_results
from cytosepsis.study import run_study
from cytosepsis.tables import TABLES
from cytosepsis.tables.schemas import Column, Table
from cytosepsis.verify import verify_results

ROOT = Path(__file__).parents[1]
SETTINGS = SimulationSettings(patients=2, healthy=1, events=1500, bead_events=2500)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and the results of its run in `out`."""
    folder = tmp_path_factory.mktemp("analyses")
    simulate_study(folder / "study", SETTINGS)
    run_study(load_study(folder / "study"), folder / "out")
    # A copy elsewhere belongs to its study only where the first one no longer stands.
    return folder.rename(folder.with_name("finished"))


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


# --- the registry


def test_every_table_has_one_maker_and_every_reader_a_maker_before_it() -> None:
    made = [table.name for analysis in ANALYSES.values() for table in analysis.tables]
    assert len(made) == len(set(made))
    assert not set(made) & TABLES.keys()
    seen = set(TABLES)
    for analysis in ANALYSES.values():
        assert set(analysis.reads) <= seen, analysis.name
        seen |= {table.name for table in analysis.tables}


def test_every_column_and_code_says_what_it_means() -> None:
    for analysis in ANALYSES.values():
        assert analysis.purpose.endswith(".")
        assert all(meaning.endswith(".") for meaning in analysis.codes.values())
        for table in analysis.tables:
            assert len(set(table.names)) == len(table.names), table.name
            for column in table.columns:
                assert column.meaning.endswith("."), (table.name, column.name)


def test_the_documentation_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "analysis-tables.md").read_text(encoding="utf-8")
    how = "from cytosepsis.analysis.describe import analyses_markdown as m; print(m(), end='')"
    assert written == analyses_markdown(), f'write it again with: python -c "{how}"'


def test_each_analysis_comes_after_those_it_reads() -> None:
    def analysis(name: str, *reads: str) -> Analysis:
        table = Table(f"{name}_table", "a row", "none", ())
        return Analysis(name, "", (table,), reads, lambda *_: {})

    known = {
        a.name: a
        for a in (
            analysis("a", "samples"),
            analysis("b", "a_table", "abc"),
            analysis("c", "b_table", "a_table"),
            analysis("d"),
        )
    }
    assert [a.name for a in in_order("c", known)] == ["a", "b", "c"]
    assert [a.name for a in in_order("d", known)] == ["d"]


@pytest.mark.parametrize("made", [{}, {"t": pl.DataFrame({"y": [1]})}, {"u": pl.DataFrame()}])
def test_an_analysis_that_makes_other_tables_than_declared_is_a_mistake(made, folder) -> None:
    table = Table("t", "a row", "none", (Column("x", pl.Int64, "", "X."),))
    wrong = Analysis("wrong", "", (table,), (), lambda *_: made)
    with pytest.raises(AssertionError):
        compute_analysis(load_study(folder / "study"), wrong, {})


def test_a_library_that_is_not_there_is_said(folder) -> None:
    lacking = Analysis("lacking", "", (), (), lambda *_: {}, libraries=("no-such-library",))
    with pytest.raises(CytosepsisError, match="lacking needs no-such-library. Install"):
        compute_analysis(load_study(folder / "study"), lacking, {})


# --- on a folder


def test_tables_are_written_beside_the_runs_and_repeat_to_the_byte(folder: Path) -> None:
    study, out = load_study(folder / "study"), folder / "out"
    before = {path.name: path.read_bytes() for path in out.glob("*.*")}
    done = analyze_results(study, out, "cohort")
    assert done.computed == ("cohort",)
    assert done.removed == ()
    results = open_results(out)
    for name, table in done.tables.items():
        assert results.table(name).equals(table)
        assert (out / f"{name}.csv").exists()
    record = results.analyses["cohort"]
    assert set(record.inputs) == set(ANALYSES["cohort"].reads)
    after = {path.name: path.read_bytes() for path in out.glob("*.*")}
    assert {name: after[name] for name in before if name != "journal.sqlite"} == {
        name: data for name, data in before.items() if name != "journal.sqlite"
    }
    analyze_results(study, out, "cohort")
    assert {path.name: path.read_bytes() for path in out.glob("*.*")}.items() >= {
        name: data for name, data in after.items() if name != "journal.sqlite"
    }.items()


def test_a_run_that_changes_nothing_keeps_them_and_another_removes_them(folder: Path) -> None:
    out = folder / "out"
    analyze_results(load_study(folder / "study"), out, "cohort")
    kept = run_study(load_study(folder / "study"), out)
    assert kept.run.removed_analyses == []
    assert "visits" in kept.tables
    edit(folder / "study" / "study.toml", "cutoffs = [5000, 8000, 15000]", "cutoffs = [5000]")
    gone = call("run", folder / "study", "--out", out, "--workers", 1)
    assert gone.exit_code == 0
    assert f"Again: cytosepsis cohort {out}" in gone.stdout
    assert "visits" not in open_results(out).tables
    assert not (out / "visits.csv").exists()
    assert dict(open_results(out).analyses) == {}


def test_a_fresh_run_leaves_nothing_of_before(folder: Path) -> None:
    study, out = load_study(folder / "study"), folder / "out"
    analyze_results(study, out, "cohort")
    (out / "analysis.json").write_text("damaged")
    with pytest.raises(StoreError, match="analysis.json: cannot be read"):
        _ = open_results(out).analyses
    run_study(study, out, fresh=True)
    assert dict(open_results(out).analyses) == {}


def test_a_study_may_change_in_what_no_table_read_depends_on(folder: Path) -> None:
    out, clinical = folder / "out", folder / "study" / "clinical.csv"
    lines = clinical.read_text(encoding="utf-8").splitlines()
    text = "\n".join([f"{lines[0]},sofa", *(f"{line},9" for line in lines[1:])])
    clinical.write_text(text + "\n", encoding="utf-8")
    assert analyze_results(load_study(folder / "study"), out, "cohort").computed
    # A run of the changed study keeps what was analysed with it.
    assert "visits" in run_study(load_study(folder / "study"), out).tables


def test_a_study_that_gives_other_tables_is_refused(folder: Path) -> None:
    out, clinical = folder / "out", folder / "study" / "clinical.csv"
    analyze_results(load_study(folder / "study"), out, "cohort")
    edit(clinical, "2024-01-08T", "2023-12-08T")
    refused = call("cohort", out)
    assert refused.exit_code == 2
    assert "Run it again (only what is new is measured)" in refused.stderr
    with pytest.raises(StoreError) as caught:
        analyze_results(load_study(folder / "study"), out, "cohort")
    assert caught.value.code == "results_outdated"
    edit(folder / "study" / "samples.csv", "P001_D1-2,P001", "P001_D1-2x,P001")
    with pytest.raises(StoreError, match="changed in its samples, beads or assays"):
        analyze_results(load_study(folder / "study"), out, "cohort")


def test_what_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    study = load_study(folder / "study")
    with pytest.raises(StoreError, match="no finished results here"):
        analyze_results(study, tmp_path / "nothing", "cohort")
    with pytest.raises(CytosepsisError, match="No analysis 'x'; there are: cohort"):
        analyze_results(study, folder / "out", "x")
    assert call("cohort", tmp_path / "nothing").exit_code == 2


def test_verification_computes_them_again(folder: Path) -> None:
    study, out = load_study(folder / "study"), folder / "out"
    analyze_results(study, out, "cohort")
    whole = verify_results(study, out, fraction=0.1)
    assert whole.differences == ()
    assert whole.n_tables == len(open_results(out).tables)
    (out / "visits.csv").write_text("patient_id\n")
    found = {d.name: d.message for d in verify_results(study, out, fraction=0.1).differences}
    assert found == {"visits.csv": "is not what the journal and the study give"}


def test_the_command_writes_one_document(folder: Path) -> None:
    done = call("cohort", folder / "out", "--format", "json", "--study", folder / "study")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert set(document) == {table.name for table in ANALYSES["cohort"].tables}
    shown = call("cohort", folder / "out")
    assert shown.exit_code == 0
