"""Markers over time by outcome: rows of `marker_courses`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from cytosepsis.analysis.biomarker_cells import Cell, strata_of
from cytosepsis.analysis.marker_rows import CHANGES
from cytosepsis.analysis_plan import AnalysisPlan
from cytosepsis.statistics.fine_gray import EVENT
from cytosepsis.statistics.mixed import TERMS, fit_course

Row = dict[str, Any]


def course_rows(cells: Sequence[Cell], plan: AnalysisPlan) -> list[Row]:
    """Three rows per marker and outcome: all values of all timepoints, changes left out.

    Every value of a patient takes part whose outcome after that draw is known; it describes the
    courses of those who had the event later and of those who had not.
    """
    ordered = sorted(
        (c for c in cells if c.question.marker.partition(".")[2] not in CHANGES),
        key=lambda cell: (cell.question.outcome, cell.question.marker),
    )
    groups = groupby(ordered, key=lambda cell: (cell.question.outcome, cell.question.marker))
    found = {place: _course(list(group), plan) for place, group in groups}
    order = dict.fromkeys((cell.question.outcome, cell.question.marker) for cell in cells)
    return [row for place in order if place in found for row in found[place]]


def _course(cells: list[Cell], plan: AnalysisPlan) -> list[Row]:
    cell = cells[0]
    rows = pl.concat([c.known for c in cells]).sort("patient_id", "known_at_day")
    # a patient has the event who has it after any of the draws that take part
    rows = rows.with_columns(ever=(pl.col("status") == EVENT).any().over("patient_id"))
    events = rows["ever"].to_numpy().astype(bool)
    patients = rows["patient_id"].to_numpy()
    n_patients = rows["patient_id"].n_unique()
    n_events = rows.filter("ever")["patient_id"].n_unique()
    base: Row = {
        "marker": cell.question.marker,
        "outcome": cell.question.outcome,
        "scale": "log10" if cell.marker.logged else "linear",
        "n_values": rows.height,
        "n_patients": n_patients,
        "n_events": n_events,
        "flags": "",
    }
    values = cell.model_scale(rows["value"].to_numpy())
    reason = None
    if cell.outcome.horizon is None:
        reason = "no_horizon"
    elif rows.is_empty():
        reason = "no_patients"
    elif min(n_events, n_patients - n_events) < plan.min_events:
        reason = "few_events"
    elif values is None:
        reason = "not_logged"
    elif n_patients == rows.height:
        reason = "no_repeated_values"
    if reason is not None or values is None:
        return [base | {"term": term, "reason": reason} for term in TERMS]
    _, place = np.unique(patients, return_inverse=True)
    strata = strata_of(rows)
    fit = fit_course(
        values,
        rows["known_at_day"].cast(pl.Float64).to_numpy(),
        events,
        place.astype(np.int64),
        strata if len(np.unique(strata)) > 1 else None,
    )
    if fit is None:
        return [base | {"term": term, "reason": "no_fit"} for term in TERMS]
    if fit.at_border:
        base["flags"] = "fit_at_border"
    return [
        base
        | {
            "term": effect.term,
            "estimate": effect.estimate,
            "low": effect.interval[0],
            "high": effect.interval[1],
            "p_value": effect.p_value,
        }
        for effect in fit.effects
    ]
