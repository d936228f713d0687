"""How a column and a table are declared."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

# In the study's timezone; without one, as written.
MOMENT = pl.Datetime("us")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table: what a row is, in which order rows stand, and its columns."""

    name: str
    row: str
    order: str
    columns: tuple[Column, ...]
    further: str = ""  # columns that depend on the study, in words

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the declared columns, in order."""
        return tuple(column.name for column in self.columns)


def text(name: str, meaning: str) -> Column:
    """A column of texts without a unit."""
    return Column(name, pl.String, "", meaning)


def number(name: str, unit: str, meaning: str) -> Column:
    """A column of numbers."""
    return Column(name, pl.Float64, unit, meaning)


def count(name: str, meaning: str, unit: str = "events") -> Column:
    """A column of whole numbers."""
    return Column(name, pl.Int64, unit, meaning)


def moment(name: str, meaning: str) -> Column:
    """A column of dates and times."""
    return Column(name, MOMENT, "", meaning)


def truth(name: str, meaning: str) -> Column:
    """A column of true or false."""
    return Column(name, pl.Boolean, "", meaning)
