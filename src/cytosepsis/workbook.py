"""`write_workbook`: a results folder as one Excel workbook, for those who look and do not compute.

Each table is a sheet: a row of names, a row of units, then the table. Numbers are numbers, text is
text and never a formula or a link, doubts are coloured. What a column means stands in a note on its
name and on a sheet of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

import polars as pl

from cytosepsis.analysis.registry import ANALYSES
from cytosepsis.errors import CytosepsisError
from cytosepsis.flags import FLAGS
from cytosepsis.store import Results, open_results
from cytosepsis.table_files import TEMPORARY
from cytosepsis.tables.columns import Table
from cytosepsis.tables.schemas import TABLES

MOST_ROWS = 1_048_576  # of a sheet
_MOST_TEXT = 32_767  # characters in a cell
_EXACT = 2**53  # beyond it a whole number in Excel is another one
_HEAD_ROWS = 2  # names and units
_MEASURED_ROWS = 200  # that a column's width is taken from
_WIDEST = 48  # characters of a column
_WIDEST_PAGE = 260  # characters that are still read on one printed page
_LEFT_OUT = ("densities",)  # packed counts of pictures say nothing to a person

# Excel makes a formula of such text when somebody edits the cell; a leading apostrophe keeps it.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")

_BY_UNIT = {
    "AB/C": "#,##0",
    "a.u.": "#,##0.0",
    "events": "#,##0",
    "cells": "#,##0",
    "cells/µL": "#,##0.0",
    "molecules": "#,##0",
    "fraction": "0.0000",
    "days": "0",
    "V": "0",
}
# Of Okabe and Ito: told apart by the colour-blind, and the word stands in the cell anyway.
_COLOURS = {"flagged": "#FFE9B8", "failed": "#F3C6DD", "rejected": "#F3C6DD"}
_ABOUT_WIDTH = 90
_LINE = 15  # points
_HEAD = "#E8EDF2"
_STATUS_COLUMNS = ("status", "review", "gate_status", "verdict")


@dataclass(frozen=True, slots=True)
class _Meaning:
    unit: str
    meaning: str


def write_workbook(
    results: str | os.PathLike[str], out: str | os.PathLike[str], *, overwrite: bool = False
) -> tuple[str, ...]:
    """Write every table of a results folder into one workbook; return what was left out, and why.

    Parameters
    ----------
    results
        A results folder with a finished run.
    out
        The workbook, ending in .xlsx; it appears whole or not at all.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    CytosepsisError
        The file exists or cannot be written, or the package for it is not installed.
    StoreError
        There are no finished results.
    """
    found = open_results(results)
    path = Path(out)
    if path.suffix.lower() != ".xlsx":
        raise CytosepsisError(f"{path}: a workbook ends in .xlsx.", code="workbook")
    if path.exists() and not overwrite:
        raise CytosepsisError(f"{path}: exists; nothing is overwritten.", code="workbook")
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        # Opened first: what cannot be written is said before anything is made.
        with temporary.open("wb") as file:
            left_out = _Book(found, file).write()
        temporary.replace(path)
    except OSError as error:
        raise CytosepsisError(
            f"{path}: cannot be written ({error.strerror or error}).", code="workbook"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return left_out


class _Book:
    """One workbook in the making."""

    def __init__(self, results: Results, file: IO[bytes]) -> None:
        try:
            import xlsxwriter  # noqa: PLC0415 - an extra
        except ModuleNotFoundError:
            raise CytosepsisError(
                "Writing Excel needs one more package. Install cytosepsis[excel].", code="workbook"
            ) from None
        self.results = results
        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "nan_inf_to_errors": False,
        }
        self.book = xlsxwriter.Workbook(file, options)
        # Not the moment of writing: the same results give the same bytes.
        started = datetime.fromisoformat(results.run.started_at).replace(tzinfo=None)
        self.book.set_properties({"title": results.run.study, "created": started})
        self.formats: dict[tuple[tuple[str, Any], ...], Any] = {}
        self.names: dict[str, str] = {}  # sheet names in use, lower case → name

    def write(self) -> tuple[str, ...]:
        """Write every sheet and close the file; what was left out, and why."""
        tables = _known_tables()
        order = [name for name in tables if name in self.results.tables]
        order += [name for name in self.results.tables if name not in order]
        frames = {name: self.results.table(name) for name in order if name not in _LEFT_OUT}
        left_out = [f"{name}: counts of pictures" for name in order if name in _LEFT_OUT]
        too_long = [n for n, frame in frames.items() if frame.height > MOST_ROWS - _HEAD_ROWS]
        for name in too_long:
            n_rows = frames.pop(name).height
            left_out.append(f"{name}: {n_rows:,} rows; a sheet has {MOST_ROWS:,}. Use its .csv")
        sheets = {name: self._name(name) for name in ("about", *frames, "columns", "flag codes")}
        self._about(sheets["about"], tables, frames, left_out)
        for name, frame in frames.items():
            meanings = _meanings(tables.get(name))
            self._table(sheets[name], frame, meanings)
        self._columns(sheets["columns"], tables, frames)
        self._flags(sheets["flag codes"])
        self.book.close()
        return tuple(left_out)

    # ------------------------------------------------------------------------------ sheets

    def _about(
        self,
        name: str,
        tables: Mapping[str, Table],
        frames: Mapping[str, pl.DataFrame],
        left_out: Iterable[str],
    ) -> None:
        run = self.results.run
        sheet = self.book.add_worksheet(name)
        sheet.fit_to_pages(1, 0)
        sheet.set_column(0, 0, 24)
        sheet.set_column(1, 1, _ABOUT_WIDTH, self._format(text_wrap=True, valign="top"))
        rows: list[tuple[object, object, str | None]] = [
            ("study", run.study, None),
            ("run started", run.started_at, None),
            ("samples", run.n_samples, None),
            ("failed", run.n_failed, "failed" if run.n_failed else None),
            ("study digest", run.study_digest, None),
            ("code digest", run.code_digest, None),
            ("Python", run.versions.get("python"), None),
            ("", "", None),
            (
                "flagged",
                "There is a doubt: see the column flags, and the sheet flag codes.",
                "flagged",
            ),
            ("failed", "There is no value; error says why and what to do.", "failed"),
            ("", "", None),
            *(
                (sheet_name, _what(tables.get(sheet_name), frames[sheet_name]), None)
                for sheet_name in frames
            ),
            *(("left out", text, None) for text in left_out),
        ]
        self._cell(sheet, 0, 0, "cytosepsis results", bold=True, font_size=14)
        for number, (key, value, colour) in enumerate(rows, start=2):
            fill = {"bg_color": _COLOURS[colour]} if colour else {}
            _make_room(sheet, number, [(value, _ABOUT_WIDTH)])
            self._cell(sheet, number, 0, key, bold=True, valign="top", **fill)
            self._cell(sheet, number, 1, value, text_wrap=True, valign="top", align="left")

    def _table(self, name: str, frame: pl.DataFrame, meanings: Mapping[str, _Meaning]) -> None:
        sheet = self.book.add_worksheet(name)
        sheet.freeze_panes(_HEAD_ROWS, min(1, frame.width))
        widths = _widths(frame)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.repeat_rows(0, _HEAD_ROWS - 1)
        if sum(widths) <= _WIDEST_PAGE:
            sheet.fit_to_pages(1, 0)
        for index, (column, width) in enumerate(zip(frame.columns, widths, strict=True)):
            sheet.set_column(index, index, width)
            meaning = meanings.get(column, _Meaning("", ""))
            if meaning.meaning:
                sheet.write_comment(0, index, _plain(meaning.meaning), {"x_scale": 2})
        if frame.width:
            last = _HEAD_ROWS - 1 + frame.height
            sheet.autofilter(_HEAD_ROWS - 1, 0, last, frame.width - 1)
        units = [_unit(column, meanings, frame.schema[column]) for column in frame.columns]
        sides = [
            {"align": "right"} if dtype.is_numeric() else {"indent": 1} for dtype in frame.dtypes
        ]
        # Row by row: what is written of an earlier row later on would be lost.
        for index, (column, side) in enumerate(zip(frame.columns, sides, strict=True)):
            self._cell(sheet, 0, index, column, bold=True, bg_color=_HEAD, **side)
        for index, (unit, side) in enumerate(zip(units, sides, strict=True)):
            look = {"italic": True, "bottom": 1, "bg_color": _HEAD, **side}
            self._cell(sheet, 1, index, unit or None, **look)
        looks = [
            _look(column, unit, frame.schema[column])
            for column, unit in zip(frame.columns, units, strict=True)
        ]
        for number, row in enumerate(frame.iter_rows(), start=_HEAD_ROWS):
            for index, (value, look) in enumerate(zip(row, looks, strict=True)):
                colour = _colour(frame.columns[index], value)
                self._cell(sheet, number, index, value, **look, **colour)

    def _columns(
        self, name: str, tables: Mapping[str, Table], frames: Mapping[str, pl.DataFrame]
    ) -> None:
        rows = []
        for table, frame in frames.items():
            meanings = _meanings(tables.get(table))
            for column in frame.columns:
                found = meanings.get(
                    column, _Meaning("", "From the study: a sheet's column or a marker.")
                )
                rows.append((table, column, found.unit, _plain(found.meaning)))
        self._listing(name, ("table", "column", "unit", "meaning"), rows, (18, 24, 14, 100))

    def _flags(self, name: str) -> None:
        rows = [(flag.code, flag.severity, _plain(flag.meaning)) for flag in FLAGS.values()]
        self._listing(name, ("code", "severity", "meaning"), rows, (26, 12, 110))

    def _listing(
        self,
        name: str,
        header: tuple[str, ...],
        rows: Iterable[tuple[str, ...]],
        widths: tuple[int, ...],
    ) -> None:
        sheet = self.book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        kept = list(rows)
        sheet.autofilter(0, 0, max(1, len(kept)), len(header) - 1)
        for index, (title, width) in enumerate(zip(header, widths, strict=True)):
            sheet.set_column(index, index, width)
            self._cell(sheet, 0, index, title, bold=True, bottom=1, bg_color=_HEAD)
        for number, row in enumerate(kept, start=1):
            _make_room(sheet, number, zip(row, widths, strict=True))
            for index, value in enumerate(row):
                self._cell(sheet, number, index, value, text_wrap=True, valign="top")

    # ------------------------------------------------------------------------------- cells

    def _cell(self, sheet: Any, row: int, column: int, value: object, **look: Any) -> None:
        """Write one cell by what its value is; text is never anything but text."""
        match value:
            case None:
                sheet.write_blank(row, column, None, self._format(**look))
            case bool():
                sheet.write_boolean(row, column, value, self._format(**look))
            case int() | float() if abs(value) <= _EXACT:
                sheet.write_number(row, column, value, self._format(**look))
            case datetime():
                clock = {"num_format": "yyyy-mm-dd hh:mm:ss", **look}
                sheet.write_datetime(row, column, value.replace(tzinfo=None), self._format(**clock))
            case date():
                sheet.write_datetime(
                    row, column, value, self._format(num_format="yyyy-mm-dd", **look)
                )
            case _:
                text = str(value)
                if len(text) > _MOST_TEXT:
                    text = text[: _MOST_TEXT - 1] + "…"
                if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
                    look["quote_prefix"] = True
                sheet.write_string(row, column, text, self._format(**look))

    def _format(self, **look: Any) -> Any:
        key = tuple(sorted(look.items()))
        if key not in self.formats:
            self.formats[key] = self.book.add_format(look)
        return self.formats[key]

    def _name(self, table: str) -> str:
        """A sheet's name: 31 characters, some of which Excel does not take, each once."""
        short = re.sub(r"[\[\]:*?/\\']", "_", table)[:31]
        number = 2
        name = short
        while name.lower() in self.names:
            name = f"{short[: 31 - len(str(number)) - 1]} {number}"
            number += 1
        self.names[name.lower()] = name
        return name


def _make_room(sheet: Any, row: int, cells: Iterable[tuple[object, int]]) -> None:
    """Make a row as high as its longest text, which is wrapped, needs."""
    lines = max(-(-len(str(value)) // (width - 4)) for value, width in cells)
    if lines > 1:
        sheet.set_row(row, _LINE * lines)


def _known_tables() -> dict[str, Table]:
    """Every declared table, in the order in which a person would read them."""
    first = ("samples", "abc", "patients", "marker_values")
    analyses = {table.name: table for analysis in ANALYSES.values() for table in analysis.tables}
    return {**{name: TABLES[name] for name in first}, **TABLES, **analyses}


def _meanings(table: Table | None) -> dict[str, _Meaning]:
    columns = table.columns if table else ()
    return {column.name: _Meaning(column.unit, column.meaning) for column in columns}


def _what(table: Table | None, frame: pl.DataFrame) -> str:
    what = f"A row is {_plain(table.row)}." if table else "A table of the study."
    return f"{what} {frame.height:,} rows."


def _plain(text: str) -> str:
    """A sentence of the documentation without its marks for code."""
    return text.replace("`", "")


def _unit(column: str, meanings: Mapping[str, _Meaning], dtype: pl.DataType) -> str:
    zone = getattr(dtype, "time_zone", None)
    return zone or (meanings[column].unit if column in meanings else "")


def _look(column: str, unit: str, dtype: pl.DataType) -> dict[str, Any]:
    if not dtype.is_numeric():
        return {"indent": 1}  # text beside a number is set apart from it
    form = _BY_UNIT.get(unit) or ("0.0000" if column.startswith("fraction_") else None)
    return {"num_format": form} if form else {}


def _colour(column: str, value: object) -> dict[str, str]:
    if column in _STATUS_COLUMNS and value in _COLOURS:
        return {"bg_color": _COLOURS[str(value)]}
    if column == "flags" and isinstance(value, str) and _is_doubt(value):
        return {"bg_color": _COLOURS["flagged"]}
    return {}


def _is_doubt(flags: str) -> bool:
    return any(code in FLAGS and FLAGS[code].severity == "doubt" for code in flags.split(";"))


def _widths(frame: pl.DataFrame) -> list[int]:
    """Characters that show the names and the first rows of each column."""
    head = frame.head(_MEASURED_ROWS)
    return [
        min(_WIDEST, 3 + max(len(name), *(len(_shown(value)) for value in head[name]), 6))
        for name in head.columns
    ]


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.4g}"  # Excel shows as many digits as there is room for
        case datetime():
            return "yyyy-mm-dd hh:mm:ss"
        case _:
            return str(value)
