"""Results as Polars tables: declared columns, rows in a stated order, absent values null.

Everything here is a function of the study and of results already computed; nothing reads or writes
files.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cytosepsis.file_results import BeadRunResult, SampleOutcome
from cytosepsis.protocol import Study
from cytosepsis.tables.describe import flags_markdown, tables_markdown
from cytosepsis.tables.gathering import Gathering
from cytosepsis.tables.schemas import TABLES, Column, Table


def all_tables(
    study: Study, outcomes: Iterable[SampleOutcome], bead_results: Iterable[BeadRunResult]
) -> dict[str, pl.DataFrame]:
    """Every table of a study, by name, in the order of `TABLES`.

    The order of outcomes and bead results does not matter. A row of the sample sheet without an
    outcome becomes a failed row. Raises StudyError where the primary marker cannot be told.
    """
    beads = tuple(bead_results)
    gathering = Gathering(study, beads)
    tables = gathering.take(gathering.in_sheet_order(outcomes), beads) | gathering.rest()
    assert tables.keys() == TABLES.keys()
    return {name: tables[name] for name in TABLES}


__all__ = [
    "TABLES",
    "Column",
    "Gathering",
    "Table",
    "all_tables",
    "flags_markdown",
    "tables_markdown",
]
