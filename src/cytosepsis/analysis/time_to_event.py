"""What follows a draw over time: rows of `hazards` and `curves`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cytosepsis.analysis.biomarker_cells import Cell, strata_of
from cytosepsis.analysis.discrimination import standardised
from cytosepsis.analysis_plan import AnalysisPlan
from cytosepsis.statistics.fine_gray import COMPETING, EVENT
from cytosepsis.statistics.hazards import (
    HazardRatio,
    cox,
    cumulative_incidence,
    fine_gray,
    kaplan_meier,
    log_rank,
)

Row = dict[str, Any]
Numbers = NDArray[np.float64]


def hazard_rows(cell: Cell, plan: AnalysisPlan) -> list[Row]:
    """Rows of `hazards`: Cox where nothing competes, else cause-specific and Fine-Gray."""
    models = ("cause_specific", "fine_gray") if cell.outcome.competing_day else ("cox",)
    adjustments: list[tuple[str, ...]] = [()]
    if plan.covariates:
        adjustments.append(plan.covariates)
    return [_hazard(cell, plan, model, names) for model in models for names in adjustments]


def curve_rows(cell: Cell) -> list[Row]:
    """Rows of `curves`: the two sides of the marker's first cut-off, or of its median."""
    followed = cell.followed
    if followed.is_empty():
        return []
    values = followed["value"].to_numpy()
    cutoff = cell.marker.cutoffs[0] if cell.marker.cutoffs else float(np.median(values))
    time, status = followed["time"].to_numpy(), followed["status"].to_numpy()
    above = values >= cutoff
    strata = strata_of(followed)
    strata_or_none = strata if len(np.unique(strata)) > 1 else None
    p_value = log_rank(time, status == EVENT, above.astype(np.int64), strata_or_none)
    competes = bool(cell.outcome.competing_day)
    rows: list[Row] = []
    for group, inside in (("below", ~above), ("from", above)):
        curve = (
            cumulative_incidence(time[inside], status[inside])
            if competes
            else kaplan_meier(time[inside], status[inside] == EVENT)
        )
        for day, share, low, high, at_risk in zip(
            curve.times, curve.shares, curve.low, curve.high, curve.at_risk, strict=True
        ):
            rows.append(
                {
                    "marker": cell.question.marker,
                    "timepoint": cell.question.timepoint,
                    "outcome": cell.question.outcome,
                    "group": group,
                    "cutoff": cutoff,
                    "kind": "incidence" if competes else "event_free",
                    "day": float(day),
                    "share": float(share),
                    "low": float(low),
                    "high": float(high),
                    "at_risk": int(at_risk),
                    "log_rank_p": p_value,
                }
            )
    return rows


def _hazard(cell: Cell, plan: AnalysisPlan, model: str, names: Iterable[str]) -> Row:
    columns = [f"covariate_{plan.covariates.index(name)}" for name in names]
    rows = cell.followed.drop_nulls(columns)
    status = rows["status"].to_numpy()
    row: Row = {
        "marker": cell.question.marker,
        "timepoint": cell.question.timepoint,
        "outcome": cell.question.outcome,
        "role": cell.role,
        "model": model,
        "adjusted_for": ";".join(names),
        "n": rows.height,
        "n_events": int((status == EVENT).sum()),
        "n_competing": int((status == COMPETING).sum()),
        "n_strata": rows["stratum"].n_unique(),
        "flags": "",
    }
    row["reason"] = _reason(cell, rows, row["n_events"], plan)
    if row["reason"] is not None:
        return row
    x = cell.model_scale(rows["value"].to_numpy())
    assert x is not None
    scaled = [x / x.std(ddof=1), *(standardised(rows[name].to_numpy()) for name in columns)]
    found = _fit(model, rows, status, np.column_stack(scaled))
    if found is None:
        return row | {"reason": "no_fit"}
    if row["n_events"] < plan.events_per_variable * len(scaled):
        row["flags"] = "few_events_per_variable"
    return row | {
        "hazard_ratio": found.ratio,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
    }


def _fit(
    model: str, rows: pl.DataFrame, status: NDArray[np.int64], x: Numbers
) -> HazardRatio | None:
    time, strata = rows["time"].to_numpy(), strata_of(rows)
    several = strata if len(np.unique(strata)) > 1 else None
    if model == "fine_gray":
        return fine_gray(time, status, x, several)
    return cox(time, status == EVENT, x, several)


def _reason(cell: Cell, rows: pl.DataFrame, n_events: int, plan: AnalysisPlan) -> str | None:
    if rows.is_empty():
        return "no_patients"
    if n_events < plan.min_events:
        return "few_events"
    values = rows["value"].to_numpy()
    if np.ptp(values) == 0:
        return "constant"
    return "not_logged" if cell.model_scale(values) is None else None
