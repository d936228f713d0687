"""Sheets as labs write them: separators, encodings, formats, and every refusal once."""

from __future__ import annotations

import builtins
import csv
import io
import zipfile
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis import sheets
from cytosepsis.errors import StudyError
from cytosepsis.sheets import Sheet, as_text, read_sheet


def sheet_of(folder: Path, content: bytes | str, name: str = "s.csv", **known: Any) -> Sheet:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_sheet(path, **known)


def refusal(folder: Path, content: bytes | str, name: str = "s.csv") -> str:
    with pytest.raises(StudyError) as caught:
        sheet_of(folder, content, name)
    return str(caught.value)


def cells_of(sheet: Sheet) -> list[tuple[int, dict[str, str | None]]]:
    return [(row.number, dict(row.cells)) for row in sheet.rows]


def test_plain_csv_is_text_and_silent(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, "id,dose\n00123,1.50\n 7 ,\n")
    assert sheet.columns == ("id", "dose")
    assert cells_of(sheet) == [(2, {"id": "00123", "dose": "1.50"}), (3, {"id": "7", "dose": None})]
    assert sheet.notes == ()
    assert sheet.column("id") == ("00123", "7")
    assert sheet.column("none") == ()


def test_row_numbers_count_empty_rows_and_ignore_line_breaks_in_cells(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, 'a,b\n\n"one\ntwo","say ""yes"", twice"\n,\n3,4\n')
    assert cells_of(sheet) == [
        (3, {"a": "one\ntwo", "b": 'say "yes", twice'}),
        (5, {"a": "3", "b": "4"}),
    ]


def test_trailing_empty_rows_and_columns_as_excel_writes_them(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, "a,b,,\n1,2,,\n3,4,,\n,,,\n,,,\n")
    assert sheet.columns == ("a", "b")
    assert [row.number for row in sheet.rows] == [2, 3]


def test_short_rows_have_empty_cells(tmp_path: Path) -> None:
    assert cells_of(sheet_of(tmp_path, "a,b,c\n1\n")) == [(2, {"a": "1", "b": None, "c": None})]


@pytest.mark.parametrize(
    ("separator", "name", "notes"),
    [
        (",", "s.csv", ()),
        (";", "s.csv", ("read with a semicolon between columns",)),
        ("\t", "s.csv", ("read with a tab between columns",)),
        ("\t", "s.tsv", ()),
        (",", "s.TSV", ("read with a comma between columns",)),
    ],
)
def test_separator_is_detected_and_noted(
    tmp_path: Path, separator: str, name: str, notes: tuple[str, ...]
) -> None:
    sheet = sheet_of(tmp_path, separator.join("abc") + "\n" + separator.join("123"), name)
    assert sheet.columns == ("a", "b", "c")
    assert sheet.separator == separator
    assert sheet.notes == notes


def test_known_columns_decide_between_separators(tmp_path: Path) -> None:
    header = "file;patient_id;why, when, how, who\n1;2;3"
    assert sheet_of(tmp_path, header).separator == ","
    assert sheet_of(tmp_path, header, known=("file", "patient_id")).separator == ";"


def test_excels_sep_line_is_obeyed_and_not_counted(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, "sep=;\r\na;b,c\r\n1;2\r\n")
    assert sheet.columns == ("a", "b,c")
    assert sheet.rows[0].number == 2


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", None),
        ("utf-8-sig", "read as UTF-8 with a byte order mark"),
        ("utf-16", "read as UTF-16"),
        ("cp1252", "read as Windows-1252: check that accented letters are right"),
    ],
)
def test_encoding_is_detected_and_noted(tmp_path: Path, encoding: str, note: str | None) -> None:
    sheet = sheet_of(tmp_path, "nom,é\nRené,µ\n".encode(encoding))
    assert cells_of(sheet) == [(2, {"nom": "René", "é": "µ"})]
    assert sheet.notes == ((note,) if note else ())


def test_big_endian_utf16_and_old_mac_line_ends(tmp_path: Path) -> None:
    content = b"\xfe\xff" + "a,b\r1,é\r".encode("utf-16-be")
    assert cells_of(sheet_of(tmp_path, content)) == [(2, {"a": "1", "b": "é"})]


def workbook(path: Path, rows: list[list[object]], *, first_row: int = 0, pages: int = 1) -> Path:
    book = xlsxwriter.Workbook(str(path))
    day = book.add_format({"num_format": "dd/mm/yyyy"})
    for page in range(pages):
        sheet = book.add_worksheet(f"page{page}")
        for r, row in enumerate(rows, start=first_row):
            for c, value in enumerate(row):
                if isinstance(value, datetime):
                    sheet.write_datetime(r, c, value, day)
                elif value is not None:
                    sheet.write(r, c, value)
    book.close()
    return path


def test_excel_cells_become_text(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "s.xlsx",
        [
            ["id", "drawn_at", "dose", "use", "note"],
            [123.0, datetime(2024, 3, 1, 14, 30), 0.5, True, "00123"],
            ["P2", datetime(2024, 3, 2), 3, False, None],
            [20240301123456, "2024-03-05", None, None, "é"],
        ],
        first_row=2,
    )
    sheet = read_sheet(path)
    assert cells_of(sheet) == [
        (
            4,
            {
                "id": "123",
                "drawn_at": "2024-03-01 14:30:00",
                "dose": "0.5",
                "use": "true",
                "note": "00123",
            },
        ),
        (5, {"id": "P2", "drawn_at": "2024-03-02", "dose": "3", "use": "false", "note": None}),
        (
            6,
            {
                "id": "20240301123456",
                "drawn_at": "2024-03-05",
                "dose": None,
                "use": None,
                "note": "é",
            },
        ),
    ]
    assert sheet.notes == ()
    assert sheet.separator is None


def test_the_first_page_of_a_workbook_is_read_and_the_others_named(tmp_path: Path) -> None:
    sheet = read_sheet(workbook(tmp_path / "s.xlsx", [["a"], ["1"]], pages=2))
    assert sheet.notes == ('the workbook\'s first page "page0" was read, and not page1',)


def test_parquet_cells_become_text(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [123, None],
            "dose": [0.5, 2.0],
            "day": [date(2024, 3, 1), None],
            "at": [datetime(2024, 3, 1), datetime(2024, 3, 1, 14, 30)],
            "use": [True, False],
        }
    )
    frame.write_parquet(tmp_path / "s.parquet")
    assert cells_of(read_sheet(tmp_path / "s.parquet")) == [
        (
            2,
            {
                "id": "123",
                "dose": "0.5",
                "day": "2024-03-01",
                "at": "2024-03-01 00:00:00",
                "use": "true",
            },
        ),
        (3, {"id": None, "dose": "2", "day": None, "at": "2024-03-01 14:30:00", "use": "false"}),
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(float("nan"), None), (None, None), ("  ", None), (1e300, "1e+300")]
)
def test_typed_cells_without_a_plain_text(value: object, text: str | None) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "s.csv", "s.csv: is empty; wanted a header row with column names."),
        (",,\n\n", "s.csv", "s.csv: is empty"),
        ("a,a,b,b\n1,2,3,4", "s.csv", "s.csv: column a: stands 2 times in the header"),
        ("a,b\n1,2,3\n", "s.csv", "s.csv: row 2: has a value in a column without a name."),
        ("a,,c\n1,2,3\n", "s.csv", "s.csv: row 2: has a value in a column without a name."),
        ('a,b\n1,"2\n', "s.csv", "s.csv: line 2: is not well-formed (unexpected end of data)."),
        ('a,b\n1,"2"3\n', "s.csv", "s.csv: line 2: is not well-formed"),
        (b"a,\x81\n", "s.csv", "s.csv: is neither UTF-8 nor Windows-1252 (byte 2)."),
        (b"\xef\xbb\xbfa,\xff\n", "s.csv", "begins as UTF-8 with a byte order mark, but byte"),
        ("a,b".encode("utf-16-le"), "s.csv", "s.csv: holds NUL bytes"),
        ("x", "s.xls", "s.xls: found a .xls file; wanted one of .csv, .tsv, .xlsx, .parquet."),
        ("x", "s", "s: found a nameless file; wanted one of"),
        (b"no zip", "s.xlsx", "s.xlsx: cannot be read as an Excel workbook (File is not a zip"),
        (b"no parquet", "s.parquet", "s.parquet: cannot be read as Parquet ("),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, content: bytes | str, name: str, message: str
) -> None:
    assert message in refusal(tmp_path, content, name)


def test_all_problems_of_a_sheet_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        sheet_of(tmp_path, "a,a,b,b\n1,2,3,4,5\n1,2,3,4,5\n")
    assert [problem.place for problem in caught.value.problems] == [
        "column a",
        "column b",
        "row 2",
        "row 3",
    ]


def test_missing_sheet_and_folder_in_place_of_a_sheet(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"gone\.csv: there is no such file"):
        read_sheet(tmp_path / "gone.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(StudyError, match=r"folder\.csv: cannot be opened: "):
        read_sheet(tmp_path / "folder.csv")


def test_sizes_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_ROWS", 3)
    assert "row 4: more than 3 rows" in refusal(tmp_path, "a\n1\n2\n3\n")
    monkeypatch.setattr(sheets, "MAX_COLUMNS", 2)
    assert "found 3 columns; at most 2" in refusal(tmp_path, "a,b,c\n")
    monkeypatch.setattr(sheets, "MAX_BYTES", 4)
    assert "a sheet may have" in refusal(tmp_path, "a,b,c\n")


def test_a_workbook_that_unpacks_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path / "s.xlsx", [["a"], ["1"]])
    monkeypatch.setattr(sheets, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(StudyError, match="unpacks to 0 MiB: too large"):
        read_sheet(path)


def test_a_zip_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.xlsx", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(StudyError, match="cannot be read as an Excel workbook"):
        read_sheet(tmp_path / "s.xlsx")


def test_an_empty_workbook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"s\.xlsx: is empty"):
        read_sheet(workbook(tmp_path / "s.xlsx", []))


def test_excel_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path / "s.xlsx", [["a"], ["1"]])
    real = builtins.__import__

    def without_fastexcel(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "fastexcel":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_fastexcel)
    with pytest.raises(StudyError, match=r"Install cytosepsis\[excel\]"):
        read_sheet(path)


def test_nested_parquet_columns_are_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": [[1, 2]]}).write_parquet(tmp_path / "s.parquet")
    with pytest.raises(StudyError, match=r"column a: holds lists"):
        read_sheet(tmp_path / "s.parquet")


plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)


@given(
    st.lists(st.tuples(plain, plain, plain), min_size=1, max_size=5), st.sampled_from([",", ";"])
)
def test_what_a_csv_writer_writes_is_read_back(rows: list[tuple[str, ...]], mark: str) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=mark, quoting=csv.QUOTE_ALL).writerows(
        [("first", "second", "third"), *rows]
    )
    with TemporaryDirectory() as folder:
        sheet = sheet_of(Path(folder), buffer.getvalue(), known=("first", "second", "third"))
    expected = [tuple(cell.strip() or None for cell in row) for row in rows]
    assert [tuple(row.cells.values()) for row in sheet.rows] == [
        row for row in expected if any(row)
    ]
