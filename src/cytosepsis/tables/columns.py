"""What a column and a table are, and frames built to them: absent values null, never NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def frame(
    columns: Sequence[Column], values: Mapping[str, Sequence[object]], timezone: str | None = None
) -> pl.DataFrame:
    """A frame of exactly these columns, in this order; a float that is not finite becomes null.

    Moments are given as instants in UTC and stand in `timezone`; without one they lose the zone.
    """
    assert values.keys() == {column.name for column in columns}
    series = []
    for column in columns:
        dtype = column.dtype
        if dtype == MOMENT:
            dtype = pl.Datetime("us", "UTC")
        series.append(pl.Series(column.name, values[column.name], dtype=dtype, strict=True))
    floats = pl.selectors.float()
    moments = pl.selectors.datetime()
    local = moments.dt.convert_time_zone(timezone or "UTC")
    return pl.DataFrame(series).with_columns(
        pl.when(floats.is_finite()).then(floats),
        local if timezone else local.dt.replace_time_zone(None),
    )
