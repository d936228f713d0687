"""Who could benefit: each patient against each enrolment rule, with what the assay can tell.

A value lies clearly beyond a line where its whole 95 % interval does: that of the bead line and the
cells, widened by the repeatability of the assay. Without a repeatability nothing is clear.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from cytosepsis.analysis.candidate_tables import CANDIDATES
from cytosepsis.analysis.clinical import patients_of
from cytosepsis.analysis.marker_rows import declared_markers
from cytosepsis.analysis_plan import CandidateRule, Criterion
from cytosepsis.protocol import Study
from cytosepsis.tables.schemas import frame
from cytosepsis.units import conversion_factor

Side = Literal["beyond", "uncertain", "short"]
_Z = 1.959963984540054  # of a two-sided 95 % interval


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of a marker in the rule's unit, with its interval and what it says."""

    value: float
    low: float
    high: float
    unit: str | None
    day: int | None
    timepoint: str | None
    side: Side
    reason: str | None
    flags: str = ""


def candidate_frames(study: Study, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The table `candidates`: a row per rule and patient, empty where no rule is declared."""
    verdicts = (
        dict(tables["cohort"].select("patient_id", "verdict").iter_rows())
        if "cohort" in tables and study.analyses.plan.population == "included"
        else {}
    )
    values = _values(tables["marker_values"])
    rows = [
        _row(rule, patient, values, verdicts.get(patient), study)
        for rule in study.analyses.candidates
        for patient in patients_of(study)
    ]
    names = CANDIDATES.names
    return {
        "candidates": frame(CANDIDATES.columns, {n: [row.get(n) for row in rows] for n in names})
    }


def judge(
    value: float,
    interval: tuple[float, float] | None,
    criterion: Criterion,
    cv: float | None,
) -> tuple[Side, float, float]:
    """Side of the line that a value lies on, with its widened interval.

    `beyond` is the side that the criterion looks for. `interval` is the 95 % interval of bead line
    and cells; errors add on the log scale. Without a `cv` the side is never `beyond`.
    """
    log_se = math.sqrt(math.log1p(cv**2)) if cv else 0.0
    if interval is not None and interval[0] > 0:
        log_se = math.hypot(log_se, math.log(interval[1] / interval[0]) / (2 * _Z))
    low, high = value * math.exp(-_Z * log_se), value * math.exp(_Z * log_se)
    if criterion.side == "below":
        clear, never = _is_beyond(high, criterion), not _is_beyond(low, criterion)
    else:
        clear, never = _is_beyond(low, criterion), not _is_beyond(high, criterion)
    if never:
        return "short", low, high
    return ("beyond" if clear and cv is not None else "uncertain"), low, high


def _is_beyond(value: float, criterion: Criterion) -> bool:
    if value == criterion.line:
        return criterion.inclusive
    return (value < criterion.line) == (criterion.side == "below")


Key = tuple[str, str]  # patient, marker


def _values(marker_values: pl.DataFrame) -> dict[Key, list[dict[str, Any]]]:
    """Rows of each patient and marker that have a value, by day."""
    found: dict[Key, list[dict[str, Any]]] = {}
    there = marker_values.filter(pl.col("value").is_not_null()).sort("day", nulls_last=True)
    for row in there.iter_rows(named=True):
        found.setdefault((row["patient_id"], row["marker"]), []).append(row)
    return found


def _row(
    rule: CandidateRule,
    patient: str,
    values: Mapping[Key, list[dict[str, Any]]],
    cohort: str | None,
    study: Study,
) -> dict[str, Any]:
    first, last = rule.days
    draws = [
        row
        for row in values.get((patient, rule.criterion.marker), [])
        if row["day"] is not None and first <= row["day"] <= last
    ]
    readings = [_read(row, rule.criterion, study) for row in draws]
    side, reason, decides = _decide(readings, rule.consecutive)
    if cohort not in {None, "include"}:
        reason = "not_included" if cohort == "exclude" else "cohort_unknown"
        side = "short" if side == "short" else "uncertain"
    companion, companion_value = _companion(rule, patient, values, decides, study)
    if side == "beyond" and companion == "uncertain":
        reason = "companion_missing"
    return {
        "rule": rule.name,
        "patient_id": patient,
        "verdict": _WORDS[rule.criterion.side][side],
        "companion_verdict": companion,
        "candidate": _candidate(side, companion, cohort),
        "reason": None if side == "short" and reason != "not_included" else reason,
        "marker": rule.criterion.marker,
        "value": decides.value if decides else None,
        "low": decides.low if decides else None,
        "high": decides.high if decides else None,
        "cutoff": rule.criterion.line,
        "unit": decides.unit if decides else rule.criterion.unit,
        "day": decides.day if decides else None,
        "timepoint": decides.timepoint if decides else None,
        "n_draws": len(draws),
        "n_needed": rule.consecutive,
        "companion": rule.companion.words if rule.companion else None,
        "companion_value": companion_value,
        "cohort_verdict": cohort,
        "drug": rule.drug,
        "criterion": f"{rule.criterion.words}, day {first:g} to {last:g}"
        + (f", {rule.consecutive} draws in a row" if rule.consecutive > 1 else ""),
        "source": rule.source,
        "flags": decides.flags if decides else "",
    }


_WORDS: dict[str, dict[Side, str]] = {
    "below": {"beyond": "clearly_below", "uncertain": "uncertain", "short": "above"},
    "above": {"beyond": "clearly_above", "uncertain": "uncertain", "short": "below"},
}


def _candidate(side: Side, companion: str | None, cohort: str | None) -> str:
    if side == "short" or companion == "not_met" or cohort == "exclude":
        return "no"
    return "yes" if side == "beyond" and companion in {None, "met"} else "uncertain"


def _read(row: Mapping[str, Any], criterion: Criterion, study: Study) -> Reading:
    """What one draw says of a criterion."""
    factor = 1.0 if criterion.unit is None else conversion_factor(row["unit"], criterion.unit)
    place = (row["day"], row["timepoint"])
    if factor is None:
        value = row["value"]
        return Reading(value, value, value, row["unit"], *place, "uncertain", "unit", row["flags"])
    interval = None
    if row["low"] is not None and row["high"] is not None:
        interval = (row["low"] * factor, row["high"] * factor)
    cv = _cv(criterion, study)
    side, low, high = judge(row["value"] * factor, interval, criterion, cv)
    reason = None
    if side != "short" and row["status"] == "flagged":
        side, reason = "uncertain", "flagged"
    elif side == "uncertain":
        reason = "no_cv" if cv is None else "near_the_line"
    unit = criterion.unit or row["unit"]
    return Reading(row["value"] * factor, low, high, unit, *place, side, reason, row["flags"])


def _cv(criterion: Criterion, study: Study) -> float | None:
    if criterion.cv is not None:
        return criterion.cv
    kinds = {marker.name: marker.kind for marker in declared_markers(study)}
    return study.assay_cv if kinds.get(criterion.marker) == "abc" else None


def _decide(readings: list[Reading], needed: int) -> tuple[Side, str | None, Reading | None]:
    """The verdict over the draws, its reason, and the draw that decides.

    `beyond` where so many draws in a row are; `short` where no run of draws could be.
    """
    if not readings:
        return "uncertain", "no_draw", None
    if len(readings) < needed:
        # one draw on the other side does not speak for draws that were not taken
        return "uncertain", "too_few_draws", readings[-1]
    runs = list(_runs(readings, needed))
    for run in runs:
        if all(reading.side == "beyond" for reading in run):
            return "beyond", None, run[-1]
    possible = [run for run in runs if all(reading.side != "short" for reading in run)]
    if not possible:
        some = any(reading.side == "beyond" for reading in readings)
        decides = next(r for r in reversed(readings) if r.side == "short")
        return "short", "not_in_a_row" if some else None, decides
    unclear = next(r for r in possible[0] if r.side == "uncertain")
    return "uncertain", unclear.reason, unclear


def _runs(readings: list[Reading], needed: int) -> Iterator[list[Reading]]:
    for begin in range(len(readings) - needed + 1):
        yield readings[begin : begin + needed]


def _companion(
    rule: CandidateRule,
    patient: str,
    values: Mapping[Key, list[dict[str, Any]]],
    decides: Reading | None,
    study: Study,
) -> tuple[str | None, float | None]:
    """Whether the companion is met at the draw that decides; as reported where it has no CV."""
    if rule.companion is None:
        return None, None
    if decides is None:
        return "uncertain", None
    rows = values.get((patient, rule.companion.marker), [])
    row = next((r for r in rows if r["timepoint"] == decides.timepoint), None)
    if row is None:
        return "uncertain", None
    reading = _read(row, rule.companion, study)
    if reading.reason == "no_cv":
        # laboratories act on the reported number; its verdict is the number's
        side = "beyond" if _is_beyond(reading.value, rule.companion) else "short"
        return ("met" if side == "beyond" else "not_met"), reading.value
    words = {"beyond": "met", "uncertain": "uncertain", "short": "not_met"}
    return words[reading.side], reading.value
