"""Markers against each other on the same patients: comparisons, rankings, common models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, groupby
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cytosepsis.analysis.biomarker_cells import Cell, random_of, strata_of
from cytosepsis.analysis.discrimination import signed
from cytosepsis.analysis_plan import AnalysisPlan
from cytosepsis.statistics.auc import area, compare_areas
from cytosepsis.statistics.combination import combine
from cytosepsis.statistics.multiplicity import adjusted
from cytosepsis.statistics.ranking import rank_markers

Row = dict[str, Any]
Numbers = NDArray[np.float64]
Place = tuple[str, str]  # outcome, timepoint


def by_place(cells: Sequence[Cell]) -> Iterator[tuple[Place, list[Cell]]]:
    """Questions of one outcome and timepoint together."""
    for place, group in groupby(cells, key=lambda c: (c.question.outcome, c.question.timepoint)):
        yield place, list(group)


def comparison_rows(cells: Sequence[Cell], plan: AnalysisPlan) -> list[Row]:
    """Rows of `comparisons`: paired DeLong of every two markers, adjusted over the table."""
    rows = [
        _comparison(one, two, plan)
        for _, group in by_place(cells)
        for one, two in combinations(group, 2)
    ]
    p_values = adjusted([row.get("p_value") for row in rows], "bh")
    return [row | {"p_adjusted": p} for row, p in zip(rows, p_values, strict=True)]


def ranking_rows(cells: Sequence[Cell], plan: AnalysisPlan) -> list[Row]:
    """Rows of `ranking`, the strongest marker of each outcome and timepoint first."""
    return [row for place, group in by_place(cells) for row in _ranking(place, group, plan)]


def combination_rows(cells: Sequence[Cell], plan: AnalysisPlan) -> list[Row]:
    """Rows of `combinations`: the declared pairs, else the primary question's marker with others.

    Only at the primary question's timepoint and outcome, where one is declared.
    """
    rows = []
    for (outcome, timepoint), group in by_place(cells):
        primary = plan.primary
        if primary is None and not plan.combinations:
            continue
        if primary is not None and (primary.outcome, primary.timepoint) != (outcome, timepoint):
            continue
        named = {cell.question.marker: cell for cell in group}
        first = primary.marker if primary else ""
        pairs: Iterable[tuple[str, str]] = plan.combinations or (
            (first, other) for other in named if other != first
        )
        rows += [
            _combination(named[one], named[two], plan)
            for one, two in pairs
            if one in named and two in named
        ]
    return rows


def _both(one: Cell, two: Cell) -> pl.DataFrame:
    """Patients who answer both questions; a stratum is a pair of them."""
    other = two.known.select("patient_id", pl.col("value").alias("other"), "stratum")
    both = one.known.join(other, on="patient_id", how="inner", suffix="_other")
    return both.with_columns(
        stratum=pl.concat_str("stratum", "stratum_other", separator=" · ").str.strip_chars(" ·")
    )


def _pair_row(one: Cell, two: Cell, both: pl.DataFrame) -> Row:
    return {
        "timepoint": one.question.timepoint,
        "outcome": one.question.outcome,
        "marker": one.question.marker,
        "other": two.question.marker,
        "n": both.height,
        "n_events": int(both["event"].sum()),
    }


def _too_few(both: pl.DataFrame, plan: AnalysisPlan) -> bool:
    events = int(both["event"].sum())
    return min(events, both.height - events) < plan.min_events


def _comparison(one: Cell, two: Cell, plan: AnalysisPlan) -> Row:
    both = _both(one, two)
    row = _pair_row(one, two, both)
    if _too_few(both, plan):
        return row | {"reason": "few_events"}
    found = compare_areas(
        signed(one, both["value"].to_numpy()),
        signed(two, both["other"].to_numpy()),
        both["event"].to_numpy().astype(bool),
        strata_of(both),
    )
    if found is None:
        return row | {"reason": "few_events"}
    row |= {
        "auc": found.first.auc,
        "other_auc": found.second.auc,
        "difference": found.difference,
    }
    if found.variance <= 0:
        return row | {"reason": "no_variance"}
    low, high = found.interval()
    return row | {"low": low, "high": high, "p_value": found.p_value()}


def _ranking(place: Place, group: list[Cell], plan: AnalysisPlan) -> list[Row]:
    outcome, timepoint = place
    enough = [cell for cell in group if not _too_few(cell.known, plan)]
    if len(enough) < 2:
        return []
    known = [
        cell.known.select("patient_id", "event", "stratum", pl.col("value").alias(str(i)))
        for i, cell in enumerate(enough)
    ]
    people = known[0]
    for further in known[1:]:
        people = people.join(further, on="patient_id", how="full", coalesce=True, suffix="_new")
        people = people.with_columns(
            pl.coalesce("event", "event_new").alias("event"),
            pl.coalesce("stratum", "stratum_new").alias("stratum"),
        ).drop("event_new", "stratum_new")
    people = people.sort("patient_id")
    values = {
        cell.question.marker: people[str(i)].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for i, cell in enumerate(enough)
    }
    ranks = rank_markers(
        values,
        people["event"].to_numpy().astype(bool),
        strata_of(people),
        rng=random_of(plan, outcome, timepoint, "ranking"),
        resamples=plan.resamples,
    )
    sizes = {cell.question.marker: cell.known for cell in enough}
    return [
        {
            "outcome": outcome,
            "timepoint": timepoint,
            "rank": rank.rank,
            "marker": rank.marker,
            "strength": rank.strength,
            "first_fraction": rank.first,
            "rank_low": rank.low,
            "rank_high": rank.high,
            "n_markers": len(ranks),
            "n": sizes[rank.marker].height,
            "n_events": int(sizes[rank.marker]["event"].sum()),
        }
        for rank in ranks
    ]


def _combination(one: Cell, two: Cell, plan: AnalysisPlan) -> Row:
    both = _both(one, two)
    row = _pair_row(one, two, both)
    if _too_few(both, plan):
        return row | {"reason": "few_events"}
    if both["stratum"].n_unique() > 1:
        return row | {"reason": "several_strata"}
    first = one.model_scale(both["value"].to_numpy())
    second = two.model_scale(both["other"].to_numpy())
    if first is None or second is None:
        return row | {"reason": "not_logged"}
    events = both["event"].to_numpy().astype(bool)
    words = (row["marker"], row["other"], row["timepoint"], row["outcome"])
    found = combine(
        np.column_stack([first, second]),
        events,
        rng=random_of(plan, *words),
        resamples=plan.model_resamples,
    )
    if found is None:
        return row | {"reason": "no_fit"}
    alone = [area(signed(one, first), events), area(signed(two, second), events)]
    return row | {
        "auc": found.apparent.auc,
        "optimism": found.optimism,
        "corrected_auc": found.corrected_auc,
        "best_single_auc": max(a.auc for a in alone if a is not None),
        "calibration_slope": found.calibration_slope,
        "n_resamples": found.n_resamples,
    }
