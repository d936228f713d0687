"""Which marker at which time tells of which outcome: every table of `cytosepsis biomarkers`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import polars as pl

from cytosepsis.analysis import biomarker_tables as declared
from cytosepsis.analysis.biomarker_cells import ROLES, Cell, cells_of, excluded
from cytosepsis.analysis.discrimination import biomarker_row, cutoff_rows, roc_rows
from cytosepsis.analysis.marker_courses import course_rows
from cytosepsis.analysis.marker_pairs import combination_rows, comparison_rows, ranking_rows
from cytosepsis.analysis.time_to_event import curve_rows, hazard_rows
from cytosepsis.protocol import Study
from cytosepsis.statistics.multiplicity import adjusted
from cytosepsis.tables.schemas import Table, frame

Row = dict[str, Any]


def biomarker_frames(study: Study, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Every table of the analysis; a question that has no answer says why."""
    plan = study.analyses.plan
    cells = cells_of(study, tables)
    shown = {study.primary_marker, plan.primary.marker if plan.primary else None}
    primary = [cell for cell in cells if cell.question.marker in shown]
    rows: dict[str, list[Row]] = {
        "biomarkers": _adjusted([biomarker_row(cell, plan) for cell in cells]),
        "exclusions": [row for cell in cells for row in _exclusions(cell)],
        "hazards": [row for cell in cells for row in hazard_rows(cell, plan)],
        "cutoffs": [row for cell in cells for row in cutoff_rows(cell, plan)],
        "roc": [row for cell in cells for row in roc_rows(cell, plan)],
        "comparisons": comparison_rows(cells, plan),
        "ranking": ranking_rows(cells, plan),
        "curves": [row for cell in primary for row in curve_rows(cell)],
        "marker_courses": course_rows(cells, plan),
        "combinations": combination_rows(cells, plan),
    }
    return {table.name: rows_frame(table, rows[table.name]) for table in declared.TABLES}


def rows_frame(table: Table, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A frame of the declared columns; what a row does not have is null."""
    assert all(set(row) <= set(table.names) for row in rows), table.name
    return frame(table.columns, {name: [row.get(name) for row in rows] for name in table.names})


def _adjusted(rows: list[Row]) -> list[Row]:
    """Adjust the p of each role for the tests of that role; a primary question is one test."""
    for role in ROLES:
        own = [row for row in rows if row["role"] == role]
        p_values = [row.get("mann_whitney_p") for row in own]
        n_tests = sum(p is not None for p in p_values)
        for row, p_value in zip(own, adjusted(p_values, "bh"), strict=True):
            row |= {"p_adjusted": p_value, "n_tests": n_tests}
    return rows


def _exclusions(cell: Cell) -> Iterable[Row]:
    left = sorted(excluded(cell), key=lambda item: (_stage(item[0]), _code(item[1])))
    for (stage, code), group in groupby(left, key=lambda item: (item[0], item[1])):
        patients = [patient for _, _, patient in group]
        yield {
            "marker": cell.question.marker,
            "timepoint": cell.question.timepoint,
            "outcome": cell.question.outcome,
            "stage": stage,
            "code": code,
            "n": len(patients),
            "patient_ids": ";".join(patients),
        }


def _stage(name: str) -> int:
    return ("missing", "not_at_risk", "unknown_outcome").index(name)


def _code(name: str) -> int:
    return list(declared.CODES).index(name)
