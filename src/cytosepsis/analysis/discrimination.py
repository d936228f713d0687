"""How well a marker tells who will have the event: rows of `biomarkers`, `cutoffs` and `roc`."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cytosepsis.analysis.biomarker_cells import UNKNOWN, Cell, n_of, strata_of
from cytosepsis.analysis.episodes import NOT_AT_RISK
from cytosepsis.analysis_plan import AnalysisPlan
from cytosepsis.statistics.auc import area, roc_points
from cytosepsis.statistics.logistic import fit_logistic, is_separated
from cytosepsis.statistics.two_groups import rank_sum
from cytosepsis.statistics.youden import operating_point, youden_cutoff

Numbers = NDArray[np.float64]
Row = dict[str, Any]


def biomarker_row(cell: Cell, plan: AnalysisPlan) -> Row:
    """One row of `biomarkers`, without the adjusted p; what has no number has its reason."""
    known = cell.known
    values, events = known["value"].to_numpy(), known["event"].to_numpy().astype(bool)
    strata = strata_of(known)
    flags = ["flagged_values"] if known["flagged"].any() else []
    if cell.unrecorded:
        flags.append("eligibility_unknown")
    row: Row = {
        "marker": cell.question.marker,
        "timepoint": cell.question.timepoint,
        "outcome": cell.question.outcome,
        "role": cell.role,
        "unit": cell.marker.unit,
        "direction": "lower" if cell.marker.lower else "higher",
        "horizon": cell.outcome.horizon,
        "n": known.height,
        "n_events": int(events.sum()),
        "n_missing": cell.rows["missing"].is_not_null().sum(),
        "n_not_at_risk": n_of(cell, NOT_AT_RISK),
        "n_unknown": n_of(cell, UNKNOWN),
        "n_flagged": int(known["flagged"].sum()),
        "n_strata": len(np.unique(strata)),
        "median_events": float(np.median(values[events])) if events.any() else None,
        "median_others": float(np.median(values[~events])) if (~events).any() else None,
        "scale": "log10" if cell.marker.logged else "linear",
        "adjusted_for": ";".join(plan.covariates),
    }
    row["reason"] = reason_of(cell, values, events, plan)
    if row["reason"] is not None:
        row |= {"odds_ratio_reason": row["reason"], "adjusted_reason": row["reason"]}
        return row | {"flags": ";".join(flags)}
    row |= _areas(cell, values, events, strata, flags)
    if row["n_strata"] == 1:
        row |= _youden(cell, values, events, plan)
    else:
        flags.append("no_common_cutoff")
    row |= _odds(cell, known, plan, flags)
    return row | {"flags": ";".join(dict.fromkeys(flags))}


def reason_of(
    cell: Cell, values: Numbers, events: NDArray[np.bool_], plan: AnalysisPlan
) -> str | None:
    """Why a question has no answer, as a code."""
    if cell.outcome.horizon is None:
        return "no_horizon"
    if not len(values):
        return "no_patients"
    if events.all() or not events.any():
        return "one_class"
    if min(events.sum(), (~events).sum()) < plan.min_events:
        return "few_events"
    return "constant" if np.ptp(values) == 0 else None


def cutoff_rows(cell: Cell, plan: AnalysisPlan) -> list[Row]:
    """Rows of `cutoffs`: what each cut-off that was fixed beforehand does, in each stratum."""
    known = cell.known
    rows: list[Row] = []
    for cutoff in cell.marker.cutoffs:
        for stratum in sorted(known["stratum"].unique()):
            inside = known.filter(pl.col("stratum") == stratum)
            values, events = inside["value"].to_numpy(), inside["event"].to_numpy().astype(bool)
            lower = cell.marker.lower
            point = operating_point(values, events, cutoff, lower=lower)
            row: Row = {
                "marker": cell.question.marker,
                "timepoint": cell.question.timepoint,
                "outcome": cell.question.outcome,
                "role": cell.role,
                "cutoff": cutoff,
                "stratum": stratum,
                "called": "below" if lower else "from",
                "true_positives": point.true_positives,
                "false_positives": point.false_positives,
                "false_negatives": point.false_negatives,
                "true_negatives": point.true_negatives,
                "decision_threshold": plan.decision_threshold,
                "net_benefit": point.net_benefit(plan.decision_threshold),
                "net_benefit_of_all": point.net_benefit_of_all(plan.decision_threshold),
                "reason": "one_class" if events.all() or not events.any() else None,
            }
            for name, share in (
                ("sensitivity", point.sensitivity),
                ("specificity", point.specificity),
                ("ppv", point.positive_predictive_value),
                ("npv", point.negative_predictive_value),
                ("lr_positive", point.positive_likelihood_ratio),
                ("lr_negative", point.negative_likelihood_ratio),
            ):
                row |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
            rows.append(row)
    return rows


def roc_rows(cell: Cell, plan: AnalysisPlan) -> list[Row]:
    """Rows of `roc`: the curve in each stratum that has both classes; none without an AUC."""
    known = cell.known
    values, events = known["value"].to_numpy(), known["event"].to_numpy().astype(bool)
    if reason_of(cell, values, events, plan) is not None:
        return []
    rows: list[Row] = []
    for stratum in sorted(known["stratum"].unique()):
        inside = (known["stratum"] == stratum).to_numpy()
        if events[inside].all() or not events[inside].any():
            continue
        thresholds, false, true = roc_points(signed(cell, values[inside]), events[inside])
        rows.extend(
            {
                "marker": cell.question.marker,
                "timepoint": cell.question.timepoint,
                "outcome": cell.question.outcome,
                "role": cell.role,
                "stratum": stratum,
                "threshold": threshold,
                "false_positive_rate": x,
                "true_positive_rate": y,
            }
            for threshold, x, y in zip(
                signed(cell, thresholds).tolist(), false.tolist(), true.tolist(), strict=True
            )
        )
    return rows


def signed(cell: Cell, values: Numbers) -> Numbers:
    """Values turned so that high ones go with the event, as declared."""
    return -values if cell.marker.lower else values


def _areas(
    cell: Cell,
    values: Numbers,
    events: NDArray[np.bool_],
    strata: NDArray[np.int64],
    flags: list[str],
) -> Row:
    row: Row = {}
    test = rank_sum(values, events, strata)
    if test is not None:
        row |= {"mann_whitney_p": test.p_value, "mann_whitney_method": test.method}
    found = area(signed(cell, values), events, strata)
    if found is None:
        return row | {"reason": "few_events"}
    row["auc"] = found.auc
    if found.is_perfect:
        flags.append("perfect_separation")
    else:
        row["auc_low"], row["auc_high"] = found.interval()
    if found.n_dropped:
        flags.append("strata_dropped")
    return row


def _youden(cell: Cell, values: Numbers, events: NDArray[np.bool_], plan: AnalysisPlan) -> Row:
    found = youden_cutoff(
        values,
        events,
        lower=cell.marker.lower,
        rng=cell.rng(plan, "youden"),
        resamples=plan.resamples,
    )
    if found is None:
        return {}
    return {
        "youden_cutoff": found.cutoff,
        "youden_low": found.low,
        "youden_high": found.high,
        "youden_index": found.youden,
        "youden_optimism": found.optimism,
    }


def _odds(cell: Cell, known: pl.DataFrame, plan: AnalysisPlan, flags: list[str]) -> Row:
    """Odds ratios per SD, alone and with the covariates; strata enter as indicators."""
    x = cell.model_scale(known["value"].to_numpy())
    if x is None:
        return {"odds_ratio_reason": "not_logged", "adjusted_reason": "not_logged"}
    sd = float(x.std(ddof=1))
    rows = known.with_columns(pl.Series("x", x / sd))
    found: Row = {"sd": sd}
    reason, ratio = _ratio(rows, [], plan, flags)
    found["odds_ratio_reason"] = reason
    if ratio is not None:
        names = ("odds_ratio", "odds_ratio_low", "odds_ratio_high", "odds_ratio_p")
        found |= dict(zip(names, ratio, strict=True))
    if not plan.covariates:
        return found | {"adjusted_reason": "no_covariates"}
    columns = [f"covariate_{i}" for i in range(len(plan.covariates))]
    complete = rows.drop_nulls(columns)
    found["n_adjusted"] = complete.height
    reason, ratio = _ratio(complete, columns, plan, flags)
    found["adjusted_reason"] = "covariates_missing" if reason == "few_events" else reason
    if ratio is not None:
        keys = ("adjusted_odds_ratio", "adjusted_low", "adjusted_high", "adjusted_p")
        found |= dict(zip(keys, ratio, strict=True))
    return found


def _ratio(
    rows: pl.DataFrame, names: list[str], plan: AnalysisPlan, flags: list[str]
) -> tuple[str | None, tuple[float, float, float, float] | None]:
    events = rows["event"].to_numpy().astype(bool)
    if min(events.sum(), (~events).sum()) < plan.min_events:
        return "few_events", None
    columns = [rows["x"].to_numpy(), *(standardised(rows[name].to_numpy()) for name in names)]
    columns += stratum_indicators(rows)
    x = np.column_stack(columns)
    fit = fit_logistic(x, events)
    if fit is None:
        return "separated" if is_separated(x, events) else "no_fit", None
    if min(events.sum(), (~events).sum()) < plan.events_per_variable * x.shape[1]:
        flags.append("few_events_per_variable")
    return None, (*fit.odds_ratio(0), fit.p_value(0))


def standardised(values: Numbers) -> Numbers:
    """Values of mean 0 and SD 1; constants stay, and make the model singular."""
    sd = values.std()
    return (values - values.mean()) / sd if sd > 0 else values


def stratum_indicators(rows: pl.DataFrame) -> list[Numbers]:
    """One column per stratum but the first."""
    strata = strata_of(rows)
    return [(strata == level).astype(np.float64) for level in np.unique(strata)[1:]]
