"""The tables of a results folder as rows, grouped once by what pages are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cytosepsis.flags import FLAGS, Flag
from cytosepsis.store import Results

Row = dict[str, Any]


class Source:
    """Rows of the tables; a table that a results folder does not have has no rows."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self._rows: dict[str, list[Row]] = {}
        self._grouped: dict[tuple[str, str], dict[Any, list[Row]]] = {}

    def has(self, table: str) -> bool:
        """Whether the folder has a table."""
        return table in self.results.tables

    def rows(self, table: str) -> list[Row]:
        """All rows of a table, in its order."""
        if table not in self._rows:
            found = self.results.table(table).to_dicts() if self.has(table) else []
            self._rows[table] = found
        return self._rows[table]

    def grouped(self, table: str, column: str) -> Mapping[Any, list[Row]]:
        """Rows of a table by the value of one column; null belongs to none."""
        key = (table, column)
        if key not in self._grouped:
            groups: dict[Any, list[Row]] = {}
            for row in self.rows(table):
                if row.get(column) is not None:
                    groups.setdefault(row[column], []).append(row)
            self._grouped[key] = groups
        return self._grouped[key]

    def of(self, table: str, column: str, value: object) -> list[Row]:
        """Rows of a table that have a value in a column."""
        return self.grouped(table, column).get(value, [])


def codes_of(cell: str | None) -> list[str]:
    """The codes of a `;`-joined cell."""
    return [code for code in (cell or "").split(";") if code]


def flags_of(*cells: str | None) -> list[Flag]:
    """The flags of some cells, each once, doubts first; a code that nobody declared is a doubt."""
    codes = dict.fromkeys(code for cell in cells for code in codes_of(cell))
    unknown = "Not a code of this version."
    found = [FLAGS.get(code) or Flag(code, "doubt", unknown) for code in codes]
    return sorted(found, key=lambda flag: flag.severity != "doubt")
