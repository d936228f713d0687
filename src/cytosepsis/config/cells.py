"""One row of a sheet, its cells read as what their column holds; what is wrong is recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cytosepsis.answers import NUMBER, yes_or_no
from cytosepsis.config.clock import Clock
from cytosepsis.config.places import OutsideError, Places
from cytosepsis.config.problems import Problems, listed, nearest
from cytosepsis.errors import StudyError
from cytosepsis.sheets import Row, Sheet, read_sheet

_MISSING = ("na", "n/a", "#n/a", "nan", "null", "none", "-", "?")


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a study's sheets needs and leaves behind."""

    places: Places
    clock: Clock
    problems: Problems
    zoned: dict[bool, str] = field(default_factory=dict)  # a first place with, without an offset
    files: list[tuple[str, Path]] = field(default_factory=list)  # for the digest

    def sheet(
        self, key: str, name: str, *, known: Iterable[str], needed: Iterable[str]
    ) -> Sheet | None:
        """Read a sheet that study.toml names under `key`; None where it cannot be."""
        try:
            path = self.places.resolve(name)
            sheet = read_sheet(path, name=name, known=tuple(known))
        except OutsideError as error:
            self.problems.error("study.toml", f"study.{key}", str(error))
            return None
        except StudyError as error:
            self.problems.extend(error.problems)
            return None
        self.files.append((name, path))
        for note in sheet.notes:
            self.problems.warning(name, "", note)
        if not _check_columns(sheet, tuple(known), tuple(needed), self.problems):
            return None
        return sheet

    def rows(self, sheet: Sheet) -> Iterator[Cells]:
        """Go through a sheet's rows."""
        for row in sheet.rows:
            yield Cells(sheet, row, self)

    def check_zones(self) -> None:
        """Refuse a study in which some times carry an offset and others do not."""
        if len(self.zoned) == 2:
            self.problems.error(
                "study.toml",
                "study.timezone",
                f"is not set, and times with an offset ({self.zoned[True]}) stand beside times "
                f"without ({self.zoned[False]}). Set the zone of those without.",
            )


@dataclass(frozen=True, slots=True)
class Cells:
    """One row; every reader returns None of an empty cell or a missing column."""

    sheet: Sheet
    row: Row
    reading: Reading

    @property
    def place(self) -> str:
        """The row, as messages call it."""
        return f"row {self.row.number}"

    def error(self, column: str, message: str) -> None:
        """Record a fault of one cell."""
        self.reading.problems.error(
            self.sheet.name, f"{self.place}, {column}", message, kind=f"column {column}"
        )

    def warning(self, column: str, message: str) -> None:
        """Record a doubt about one cell."""
        self.reading.problems.warning(
            self.sheet.name, f"{self.place}, {column}", message, kind=f"column {column}"
        )

    def text(self, column: str) -> str | None:
        """Read text as it stands."""
        value = self.row.cells.get(column)
        if value is not None and value.casefold() in _MISSING:
            self.warning(column, f"found {value!r}, kept as a name. Leave unknown cells empty.")
        return value

    def needed(self, column: str) -> str:
        """Read a cell that may not be empty; an empty text where it is."""
        value = self.row.cells.get(column)
        if value is None:
            self.error(column, "is empty; a value is needed.")
            return ""
        if not value.isprintable():
            self.error(column, f"found {value!r}; line breaks and controls cannot be in a name.")
        return value

    def number(
        self, column: str, *, at_least: float | None = None, above: float | None = None
    ) -> float | None:
        """Read a finite number, with a decimal point or comma."""
        text = self.row.cells.get(column)
        if text is None:
            return None
        value = self._parsed(column, text)
        if value is None:
            return None
        if at_least is not None and value < at_least:
            self.error(column, f"found {text!r}; wanted {at_least:g} or more.")
        if above is not None and value <= above:
            self.error(column, f"found {text!r}; wanted more than {above:g}.")
        return value

    def whole(self, column: str) -> int | None:
        """Read a whole number, 0 or more."""
        value = self.number(column, at_least=0)
        if value is not None and value != int(value):
            self.error(column, f"found {self.row.cells[column]!r}; wanted a whole number.")
        return None if value is None else int(value)

    def moment(self, column: str) -> tuple[datetime | None, bool]:
        """Read a date, and whether it has a time of day."""
        text = self.row.cells.get(column)
        if text is None:
            return None, True
        try:
            moment = self.reading.clock.read(text)
        except ValueError as error:
            self.error(column, f"{error}.")
            return None, True
        if moment.doubt:
            self.warning(column, f"{moment.doubt}.")
        aware = moment.at.tzinfo is not None
        self.reading.zoned.setdefault(aware, f"{self.sheet.name}, {self.place}, {column}")
        return moment.at, moment.has_time

    def choice(self, column: str, allowed: tuple[str, ...]) -> str | None:
        """One of a few words, in any case."""
        text = self.row.cells.get(column)
        if text is None or text.casefold() in allowed:
            return text and text.casefold()
        self.error(
            column, f"found {text!r}; wanted one of {listed(allowed)}.{nearest(text, allowed)}"
        )
        return None

    def yes(self, column: str) -> bool | None:
        """Yes or no, in English, French or computer."""
        text = self.row.cells.get(column)
        if text is None:
            return None
        answer = yes_or_no(text)
        if answer is None:
            self.error(column, f"found {text!r}; wanted yes or no.")
        return answer

    def path(self, column: str) -> str:
        """Where the path of a cell leads; an empty text where there is none, or it leads out."""
        text = self.row.cells.get(column)
        if text is None:
            return ""
        try:
            return str(self.reading.places.resolve(text))
        except OutsideError as error:
            self.error(column, str(error))
            return ""

    def carried(self, known: Iterable[str]) -> tuple[tuple[str, str | None], ...]:
        """Collect the columns that nothing here knows, carried through as text."""
        skip = frozenset(known)
        return tuple((c, self.row.cells[c]) for c in self.sheet.columns if c not in skip)

    def _parsed(self, column: str, text: str) -> float | None:
        if not NUMBER.fullmatch(text):
            hint = " Leave it empty where it is unknown." if text.casefold() in _MISSING else ""
            self.error(column, f"found {text!r}; wanted a number.{hint}")
            return None
        if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text) and not _has_decimal_commas(
            self.sheet, column
        ):
            self.error(column, f"found {text!r}, which may be a decimal comma or thousands. "
                       "Write it without thousands separators, with a decimal point.")  # fmt: skip
            return None
        value = float(text.replace(",", "."))
        if value in (float("inf"), float("-inf")):
            self.error(column, f"found {text!r}; wanted a finite number.")
            return None
        return value


def point_decimals(sheet: Sheet, column: str) -> Mapping[int, str]:
    """Cells of a column of numbers, written with a decimal point, by row number.

    Empty where any cell of the column is no number, or none has a decimal comma.
    """
    cells = {row.number: row.cells[column] for row in sheet.rows if row.cells[column] is not None}
    if not all(NUMBER.fullmatch(str(cell)) for cell in cells.values()):
        return {}
    if not any("," in str(cell) for cell in cells.values()):
        return {}
    return {number: str(cell).replace(",", ".") for number, cell in cells.items()}


def _has_decimal_commas(sheet: Sheet, column: str) -> bool:
    """Whether commas in a column's numbers can only be decimal commas."""
    return sheet.separator == ";" or any(
        re.search(r"^[+-]?0*,|,\d{1,2}$|,\d{4,}$", cell) for cell in sheet.column(column) if cell
    )


def _plain(column: str) -> str:
    return re.sub(r"[\W_]+", "", column).casefold()


def _check_columns(
    sheet: Sheet, known: tuple[str, ...], needed: tuple[str, ...], problems: Problems
) -> bool:
    """Report missing and misspelt columns; False where a needed one is missing."""
    by_plain = {_plain(column): column for column in known}
    meant: dict[str, str] = {}
    for column in sheet.columns:
        if column in known:
            continue
        target = by_plain.get(_plain(column))
        if target is not None and target not in sheet.columns:
            meant[target] = column
            problems.error(
                sheet.name,
                f"column {column}",
                f'is no column that is known. Did you mean "{target}"? Rename it.',
            )
        elif hint := nearest(column, set(known) - set(sheet.columns), cutoff=0.85):
            problems.warning(sheet.name, f"column {column}", f"carried through unread.{hint}")
    missing = [column for column in needed if column not in sheet.columns]
    for column in missing:
        if column not in meant:
            problems.error(
                sheet.name,
                f"column {column}",
                f"is needed and not there. Found: {listed(sheet.columns)}.",
            )
    return not missing
