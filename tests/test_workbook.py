"""Results as an Excel workbook: read back by another library, and searched for what must not be."""

from __future__ import annotations

import zipfile
from pathlib import Path

import fastexcel
import polars as pl
import pytest
from typer.testing import CliRunner

from cytosepsis.cli import app
from cytosepsis.errors import CytosepsisError
from cytosepsis.store import Results, RunRecord, Store, StudyIdentity
from cytosepsis.workbook import write_workbook

RUN = RunRecord(
    study="=demo",
    study_digest="s",
    code_digest="c",
    versions={"python": "3.11"},
    inputs={},
    limits={},
    digest="sha256",
    workers=1,
    n_samples=3,
    n_computed=3,
    n_reused=0,
    n_failed=1,
    n_unforeseen=0,
    n_events=10,
    started_at="2024-03-01T10:00:00+00:00",
    wall_seconds=1.0,
    machine={},
)
MOMENT = pl.Series("acquired_at", ["2024-03-01T10:11:12", None, "2024-07-01T00:00:00"])
SAMPLES = pl.DataFrame(
    {
        "sample_id": ["=cmd|' /C calc'!A0", "http://example.org/x", "00123"],
        "patient_id": ["@SUM(1)", "+P1", "-1.5"],
        "n_events": [12_345, None, 2**60],
        "status": ["ok", "flagged", "failed"],
        "flags": ["", "few_cells;day_approximate", "too_few_cells"],
        "use": [True, False, None],
        "acquired_at": MOMENT.str.to_datetime().dt.replace_time_zone("Europe/Paris"),
        "a note": ["é \x07 <b>", "x" * 40_000, None],
    }
)
ABC = pl.DataFrame({"sample_id": ["00123"], "abc": [12_345.678901234567], "fraction_of_x": [0.1]})


@pytest.fixture
def results(tmp_path: Path) -> Results:
    with Store(tmp_path / "out", StudyIdentity("demo", str(tmp_path))) as store:
        many = pl.DataFrame({"plot": [1]})
        long = "a_table_with_a_name_beyond_31_characters"
        store.write_tables({"samples": SAMPLES, "abc": ABC, "densities": many, long: many})
        return store.write_run(RUN)


def sheet(path: Path, name: str, header: int | None = 0) -> pl.DataFrame:
    book = fastexcel.read_excel(path)
    options = {"header_row": header} if header is not None else {"header_row": None}
    return book.load_sheet(name, dtypes="string", **options).to_polars()


def test_every_table_is_a_sheet_with_units_and_values(results: Results, tmp_path: Path) -> None:
    out = tmp_path / "r.xlsx"
    assert write_workbook(results.folder, out) == ("densities: counts of pictures",)
    names = fastexcel.read_excel(out).sheet_names
    assert names[:3] == ["about", "samples", "abc"]
    assert names[3:] == ["a_table_with_a_name_beyond_31_c", "columns", "flag codes"]
    abc = sheet(out, "abc")
    assert abc.columns == ABC.columns
    assert abc.row(0) == (None, "AB/C", None)  # the units
    assert float(abc["abc"][1]) == pytest.approx(12_345.678901234567, rel=1e-13)
    samples = sheet(out, "samples")
    assert samples["sample_id"].to_list()[1:] == SAMPLES["sample_id"].to_list()
    assert samples["patient_id"].to_list()[1:] == SAMPLES["patient_id"].to_list()
    assert samples["n_events"].to_list() == ["events", "12345", None, str(2**60)]
    assert samples["acquired_at"].to_list() == [
        "Europe/Paris",
        "2024-03-01 10:11:12",
        None,
        "2024-07-01 00:00:00",
    ]
    assert samples["use"].to_list()[1:] == ["true", "false", None]
    note = samples["a note"].to_list()
    assert note[1] == "é \x07 <b>"
    assert len(note[2]) == 32_767
    assert note[2].endswith("x…")
    columns = sheet(out, "columns")
    meant = columns.filter(pl.col("table") == "abc", pl.col("column") == "abc")
    assert meant["unit"].to_list() == ["AB/C"]
    assert meant["meaning"][0]
    assert "few_cells" in sheet(out, "flag codes")["code"].to_list()


def test_text_is_never_a_formula_or_a_link(results: Results, tmp_path: Path) -> None:
    out = tmp_path / "r.xlsx"
    write_workbook(results.folder, out)
    with zipfile.ZipFile(out) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    pages = [text for name, text in parts.items() if name.startswith("xl/worksheets/")]
    assert any("example.org" in page for page in pages)
    for page in pages:
        assert "<f>" not in page
        assert "hyperlink" not in page
    # Excel keeps such text as text also when the cell is edited.
    assert 'quotePrefix="1"' in parts["xl/styles.xml"]
    assert "externalLink" not in "".join(parts)


def test_the_look(results: Results, tmp_path: Path) -> None:
    out = tmp_path / "r.xlsx"
    write_workbook(results.folder, out)
    with zipfile.ZipFile(out) as archive:
        page = archive.read("xl/worksheets/sheet2.xml").decode()
        styles = archive.read("xl/styles.xml").decode()
        notes = archive.read("xl/comments2.xml").decode()
    assert '<pane xSplit="1" ySplit="2"' in page
    assert '<autoFilter ref="A2:H5"/>' in page
    assert "FFE9B8" in styles
    assert "F3C6DD" in styles
    assert "#,##0" in styles
    assert "The sample sheet's id of the acquisition." in notes.replace("&apos;", "'")


def test_the_same_results_give_the_same_workbook(results: Results, tmp_path: Path) -> None:
    for name in ("a.xlsx", "b.xlsx"):
        write_workbook(results.folder, tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_refusals(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "r.xlsx"
    write_workbook(results.folder, out)
    with pytest.raises(CytosepsisError, match=r"r.xlsx: exists; nothing is overwritten"):
        write_workbook(results.folder, out)
    write_workbook(results.folder, out, overwrite=True)
    with pytest.raises(CytosepsisError, match=r"ends in .xlsx"):
        write_workbook(results.folder, tmp_path / "r.xls")
    with pytest.raises(CytosepsisError, match="cannot be written"):
        write_workbook(results.folder, tmp_path / "none" / "r.xlsx")
    monkeypatch.setattr("cytosepsis.workbook.MOST_ROWS", 4)
    left_out = write_workbook(results.folder, out, overwrite=True)
    assert "samples: 3 rows; a sheet has 4. Use its .csv" in left_out
    assert not list(tmp_path.glob(".writing*"))


def test_command(results: Results, tmp_path: Path) -> None:
    out = tmp_path / "r.xlsx"
    done = CliRunner().invoke(app, ["export-excel", str(results.folder), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "Left out: densities" in done.stderr
    again = CliRunner().invoke(app, ["export-excel", str(results.folder), "--out", str(out)])
    assert again.exit_code == 2
