"""A page for each analysis that stands in the results: its figures, then its tables.

Tables are shown by their declared columns, so an analysis that is new has its page at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cytosepsis.analysis.registry import ANALYSES, Analysis
from cytosepsis.report.analysis_figures import figures_of
from cytosepsis.report.html import Grid, Head, Kind, render
from cytosepsis.report.site import Link, Shown, Site
from cytosepsis.report.source import Row, Source
from cytosepsis.tables.columns import Column, Table

MAX_ROWS = 5000  # of a table shown; the file has all: a page stays below a few megabytes
_MAX_CHOICES = 25  # values of a column that a list offers
_LABELS = {
    "cohort": "Cohort",
    "charts": "Control charts",
    "biomarkers": "Biomarkers",
    "candidates": "Candidates",
    "exvivo": "Ex vivo",
}
_FLAG_LISTS = ("flags", "rules", "codes", "reasons")


@dataclass(frozen=True, slots=True)
class TableSection:
    """One table of an analysis as its page shows it."""

    table: Table
    figures: list[Shown]
    grid: Grid
    n_rows: int

    @property
    def n_left_out(self) -> int:
        """Rows that only the file has."""
        return max(0, self.n_rows - MAX_ROWS)


def analyses_of(source: Source) -> list[Analysis]:
    """Analyses of which a table stands in the results."""
    return [a for a in ANALYSES.values() if any(source.has(table.name) for table in a.tables)]


def analyses_missing(source: Source) -> list[Analysis]:
    """Analyses that have not been made from these results."""
    there = analyses_of(source)
    return [a for a in ANALYSES.values() if a not in there]


def analysis_links(source: Source) -> Iterator[Link]:
    """Entries of the navigation."""
    for analysis in analyses_of(source):
        yield Link(analysis.name, label_of(analysis), f"{analysis.name}.html")


def label_of(analysis: Analysis) -> str:
    """What an analysis is called in the navigation."""
    return _LABELS.get(analysis.name, analysis.name.replace("_", " ").capitalize())


def analysis_page(site: Site, source: Source, analysis: Analysis) -> str:
    """HTML of the page of an analysis."""
    sections = [
        TableSection(
            table,
            figures_of(source, table.name),
            _grid(site, table, source.rows(table.name)[:MAX_ROWS]),
            len(source.rows(table.name)),
        )
        for table in analysis.tables
        if source.has(table.name)
    ]
    return render(
        "analysis.html",
        site=site,
        root="",
        here=analysis.name,
        title=label_of(analysis),
        purpose=analysis.purpose,
        sections=sections,
        codes=[(code, meaning) for code, meaning in analysis.codes.items()],
    )


def _grid(site: Site, table: Table, rows: list[Row]) -> Grid:
    columns = table.columns
    return Grid(
        name=table.name,
        caption=table.row,
        heads=[_head(column, rows) for column in columns],
        rows=[[_cell(site, column, row.get(column.name)) for column in columns] for row in rows],
        file=f"{table.name}.csv",
    )


def _head(column: Column, rows: list[Row]) -> Head:
    unit = f" ({column.unit})" if column.unit else ""
    values = {row.get(column.name) for row in rows}
    kind = _kind(column)
    few = 1 < len(values) <= _MAX_CHOICES
    return Head(
        label=column.name.replace("_", " "),
        kind=kind,
        choose=kind in ("text", "status", "flags") and few and str(column.dtype) == "String",
        title=f"{column.meaning.replace('`', '')}{unit}",
    )


def _kind(column: Column) -> Kind:
    if column.dtype.is_numeric():
        return "number"
    if column.name in ("patient_id", "sample_id", "bead_run", "run"):
        return "link"
    if column.name == "status":
        return "status"
    return "flags" if column.name in _FLAG_LISTS else "text"


def _cell(site: Site, column: Column, value: object) -> object:
    match column.name:
        case "patient_id":
            return value, site.patient(str(value))
        case "sample_id":
            return value, site.sample(str(value))
        case "bead_run" | "run":
            return value, site.bead_run(str(value)) or site.sample(str(value))
        case _:
            return value
