"""Sheets as labs have them (.csv .tsv .xlsx .parquet), read into rows of text; nothing interpreted.

Every cell is text or None, so an id is never turned into a number. What had to be guessed
(separator, encoding, which page of a workbook) is noted; what cannot be read is refused with
every problem found.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from cytosepsis.errors import Problem, StudyError

SUFFIXES = (".csv", ".tsv", ".xlsx", ".parquet")

# A sample sheet of 100,000 rows has about 20 MB; beyond these a file is not a sheet written by a
# person, and reading it would cost the memory that the events need.
MAX_BYTES = 64 * 2**20
MAX_UNPACKED_BYTES = 1024 * 2**20  # of a workbook, which is a zip archive
MAX_ROWS = 1_048_576  # Excel's own
MAX_COLUMNS = 16_384  # Excel's own

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}

Grid = list[tuple[int, list[str | None]]]  # row number as a spreadsheet counts, cells


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a sheet; `number` counts as a spreadsheet does: the header is row 1."""

    number: int
    cells: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet's header and its rows that are not empty, as text without surrounding spaces."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    separator: str | None = None  # of a text file; None: the format has no separator
    notes: tuple[str, ...] = ()  # what had to be guessed

    def column(self, name: str) -> tuple[str | None, ...]:
        """All cells of one column, top to bottom; empty where the sheet has no such column."""
        return tuple(row.cells[name] for row in self.rows) if name in self.columns else ()


def read_sheet(path: Path, *, name: str | None = None, known: Collection[str] = ()) -> Sheet:
    """Read one sheet.

    Parameters
    ----------
    path
        A .csv, .tsv, .xlsx or .parquet file.
    name
        How messages call the sheet; its file name by default.
    known
        Columns that the sheet may have: they help to tell the separator.

    Raises
    ------
    StudyError
        With every problem of the sheet that keeps it from being read.
    """
    name = name or path.name
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise _refused(
            name,
            "",
            f"found a {suffix or 'nameless'} file; wanted one of "
            f"{', '.join(SUFFIXES)}. Save the sheet in one of these formats.",
        )
    data = _bytes(path, name)
    notes: list[str] = []
    separator = None
    if suffix == ".xlsx":
        grid = _excel_grid(data, name, notes)
    elif suffix == ".parquet":
        grid = _parquet_grid(data, name)
    else:
        text = _decoded(data, name, notes)
        separator, grid = _text_grid(text, name, known, suffix == ".tsv", notes)
    return _sheet(grid, name, separator, notes)


def as_text(value: object) -> str | None:
    """Give the text of a typed cell: whole numbers without `.0`, ISO dates; None of null, NaN."""
    match value:
        case bool():
            text = "true" if value else "false"
        case float() if math.isnan(value):
            text = ""
        case float() if value.is_integer() and abs(value) < 2**53:
            text = str(int(value))
        case datetime():
            text = value.isoformat(sep=" ")
        case date() | time():
            text = value.isoformat()
        case _:
            text = "" if value is None else str(value).strip()
    return text or None


def _bytes(path: Path, name: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _refused(
                name,
                "",
                f"found {size / 2**20:.0f} MiB; a sheet may have "
                f"{MAX_BYTES // 2**20} MiB. Is this the right file?",
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise _refused(name, "", "there is no such file. Check the name in study.toml.") from None
    except OSError as error:
        raise _refused(name, "", f"cannot be opened: {error.strerror or error}.") from None


def _decoded(data: bytes, name: str, notes: list[str]) -> str:
    """Text of a file: by its byte order mark, else UTF-8, else Windows-1252."""
    for mark, encoding, label in (
        (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
        (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
        (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
    ):
        if data.startswith(mark):
            notes.append(f"read as {label}")
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise _refused(
                    name,
                    "",
                    f"begins as {label}, but byte {error.start} does not "
                    "fit. Save the sheet again as UTF-8.",
                ) from None
    if b"\0" in data:
        raise _refused(
            name,
            "",
            "holds NUL bytes: not a text file, or UTF-16 without a byte "
            "order mark. Save the sheet again as UTF-8.",
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise _refused(
            name,
            "",
            f"is neither UTF-8 nor Windows-1252 (byte {error.start}). "
            "Save the sheet again as UTF-8.",
        ) from None
    notes.append("read as Windows-1252: check that accented letters are right")
    return text


def _text_grid(
    text: str, name: str, known: Collection[str], is_tsv: bool, notes: list[str]
) -> tuple[str, Grid]:
    usual = "\t" if is_tsv else ","
    declared = re.match(r'"?sep=([,;\t])"?(\r\n|\r|\n)', text)  # Excel's own first line
    if declared:
        separator, text = declared[1], text[declared.end() :]
    else:
        separator = _separator(text, known, usual)
    if separator != usual:
        notes.append(f"read with a {_SEPARATORS[separator]} between columns")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    grid: Grid = []
    try:
        for number, cells in enumerate(reader, start=1):
            if number > MAX_ROWS:
                raise _refused(name, f"row {number}", f"more than {MAX_ROWS} rows.")
            grid.append((number, [cell.strip() or None for cell in cells]))
    except csv.Error as error:
        raise _refused(
            name,
            f"line {reader.line_num}",
            f"is not well-formed ({error}). Check the "
            "quotes: a value that holds a quote or a separator stands in quotes, its "
            "own quotes doubled.",
        ) from None
    return separator, grid


def _separator(text: str, known: Collection[str], usual: str) -> str:
    """Choose the separator that gives the header most known columns, then most columns."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    plain = {column.casefold() for column in known}

    def merit(separator: str) -> tuple[int, int, bool]:
        cells = [c.strip().strip('"').strip().casefold() for c in header.split(separator)]
        return len(plain.intersection(cells)), len(cells), separator == usual

    return max(_SEPARATORS, key=merit)


def _excel_grid(data: bytes, name: str, notes: list[str]) -> Grid:
    import polars  # noqa: PLC0415  (0.2 s; only where such a sheet is read)

    try:
        import fastexcel  # noqa: PLC0415  (an extra)
    except ImportError:
        raise _refused(
            name,
            "",
            "reading Excel needs one more package. Install cytosepsis[excel], or save the sheet "
            "as .csv.",
        ) from None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_UNPACKED_BYTES:
            raise _refused(name, "", f"unpacks to {size / 2**20:.0f} MiB: too large for a sheet.")
        # Everything as text: whole numbers come without ".0", dates in ISO. skip_rows=0 keeps
        # leading empty rows, so that row numbers are those that Excel shows.
        pages = polars.read_excel(
            data,
            sheet_id=0,
            engine="calamine",
            has_header=False,
            drop_empty_rows=False,
            drop_empty_cols=False,
            raise_if_empty=False,
            read_options={"header_row": None, "dtypes": "string", "skip_rows": 0},
        )
    except (zipfile.BadZipFile, fastexcel.FastExcelError, polars.exceptions.PolarsError) as error:
        raise _refused(
            name,
            "",
            f"cannot be read as an Excel workbook ({_first_line(error)}). Open it and save it "
            "again as .xlsx or .csv.",
        ) from None
    filled = [title for title, frame in pages.items() if frame.height]
    if not filled:
        return []
    if len(filled) > 1:
        others = ", ".join(filled[1:4]) + (", …" if len(filled) > 4 else "")
        notes.append(f'the workbook\'s first page "{filled[0]}" was read, and not {others}')
    # Excel stores a date as midnight of its day: a midnight is a date without a time.
    return [
        (number, [c.strip().removesuffix(" 00:00:00") or None if c else None for c in cells])
        for number, cells in enumerate(pages[filled[0]].iter_rows(), start=1)
    ]


def _parquet_grid(data: bytes, name: str) -> Grid:
    import polars  # noqa: PLC0415  (0.2 s; only where such a sheet is read)

    try:
        frame = polars.read_parquet(io.BytesIO(data))
    except (polars.exceptions.PolarsError, OSError) as error:
        raise _refused(name, "", f"cannot be read as Parquet ({_first_line(error)}).") from None
    nested = [c for c, kind in frame.schema.items() if kind.is_nested() or kind == polars.Binary]
    if nested:
        raise _refused(
            name,
            f"column {nested[0]}",
            "holds lists, records or bytes; wanted one plain value per row.",
        )
    header: list[str | None] = [column.strip() or None for column in frame.columns]
    body: list[list[str | None]] = [[as_text(v) for v in row] for row in frame.iter_rows()]
    return list(enumerate([header, *body], start=1))


def _sheet(grid: Grid, name: str, separator: str | None, notes: Sequence[str]) -> Sheet:
    """Header and rows of a grid; trailing and wholly empty rows and columns are left out."""
    filled = [(number, cells) for number, cells in grid if any(c is not None for c in cells)]
    if not filled:
        raise _refused(name, "", "is empty; wanted a header row with column names.")
    (_, header), *body = filled
    if len(header) > MAX_COLUMNS:
        raise _refused(name, "", f"found {len(header)} columns; at most {MAX_COLUMNS}.")
    problems = list(_header_problems(name, header))
    width = len(header)
    rows = []
    for number, cells in body:
        beyond = [cell for cell in cells[width:] if cell is not None]
        unnamed = [i for i, c in enumerate(cells[:width]) if c is not None and header[i] is None]
        if beyond or unnamed:
            problems.append(
                Problem(
                    name,
                    f"row {number}",
                    "has a value in a column without a "
                    "name. Name the column, or put a value that holds the separator "
                    "in quotes.",
                )
            )
        padded = [*cells, *[None] * (width - len(cells))]
        rows.append(Row(number, {h: c for h, c in zip(header, padded, strict=False) if h}))
    if problems:
        raise StudyError(problems)
    return Sheet(name, tuple(h for h in header if h), tuple(rows), separator, tuple(notes))


def _header_problems(name: str, header: Sequence[str | None]) -> list[Problem]:
    places: dict[str, list[int]] = {}
    for index, column in enumerate(header, start=1):
        if column is not None:
            places.setdefault(column, []).append(index)
    return [
        Problem(
            name,
            f"column {column}",
            f"stands {len(at)} times in the header (columns "
            f"{', '.join(map(str, at))}). Rename or remove all but one.",
        )
        for column, at in places.items()
        if len(at) > 1
    ]


def _first_line(error: Any) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")


def _refused(name: str, place: str, message: str) -> StudyError:
    return StudyError([Problem(name, place, message)])
