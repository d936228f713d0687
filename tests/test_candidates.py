"""Candidates: an interval beyond the line, or uncertain; never on what is missing or doubtful."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cytosepsis.analysis.candidate_tables import CODES
from cytosepsis.analysis.candidates import candidate_frames, judge
from cytosepsis.analysis_plan import Analyses, AnalysisPlan, CandidateRule, Criterion, preset
from cytosepsis.protocol import Marker, Patient, Study
from cytosepsis.tables.schemas import MARKER_VALUES

BELOW = Criterion("mhladr", "below", 8000, unit="AB/C")
RULE = CandidateRule("rule", BELOW, (3, 4))
MARKERS = (
    Marker("mhladr", "abc", ("mhladr",), "monocytes", "hladr", unit="AB/C"),
    Marker("ferritin", "measurement", unit="ng/mL"),
)


def study(*rules: CandidateRule, cv: float | None = 0.03, **plan: Any) -> Study:
    return Study(
        "s",
        Path(),
        (),
        (),
        patients=tuple(Patient(f"p{i}", group="patient") for i in (1, 2)),
        markers=MARKERS,
        assay_cv=cv,
        analyses=Analyses(plan=AnalysisPlan(**plan), candidates=rules),
    )


def draw(value: float | None, day: int = 3, **fields: Any) -> dict[str, Any]:
    low, high = (None, None) if value is None else (0.97 * value, 1.03 * value)
    return {
        "patient_id": "p1",
        "timepoint": f"D{day}",
        "day": day,
        "marker": "mhladr",
        "value": value,
        "low": low,
        "high": high,
        "unit": "AB/C",
        "status": "ok",
        "flags": "",
        **fields,
    }


def ferritin(value: float, day: int = 3, unit: str = "ng/mL") -> dict[str, Any]:
    return draw(value, day, marker="ferritin", unit=unit, low=None, high=None)


def found(of: Study, *draws: dict[str, Any], cohort: str | None = "include") -> dict[str, Any]:
    schema = {c.name: c.dtype for c in MARKER_VALUES.columns}
    tables = {
        "marker_values": pl.DataFrame([{n: row.get(n) for n in schema} for row in draws], schema)
    }
    if cohort:
        verdicts = {"patient_id": ["p1", "p2"], "verdict": [cohort, "include"]}
        tables["cohort"] = pl.DataFrame(verdicts)
    frame = candidate_frames(of, tables)["candidates"]
    assert set(frame["reason"].drop_nulls()) <= CODES.keys()
    row: dict[str, Any] = frame.row(0, named=True)
    return row


def test_the_interval_decides_not_the_value() -> None:
    # 8,000 · exp(−1.96 · hypot(0.03, ln(1.03 / 0.97) / 3.92)) = 7,467: below that it is clear
    assert found(study(RULE), draw(7300))["verdict"] == "clearly_below"
    near = found(study(RULE), draw(7600))
    assert (near["verdict"], near["reason"], near["candidate"]) == (
        "uncertain",
        "near_the_line",
        "uncertain",
    )
    assert found(study(RULE), draw(8300))["verdict"] == "uncertain"
    above = found(study(RULE), draw(9000))
    assert (above["verdict"], above["reason"], above["candidate"]) == ("above", None, "no")
    clear = found(study(RULE), draw(7300))
    assert clear["low"] < 7300 < clear["high"] < 8000
    assert clear["candidate"] == "yes"


def test_line_cells_and_repeatability_add_up() -> None:
    side, low, high = judge(7000, (6790, 7210), BELOW, 0.03)
    assert side == "beyond"
    assert (high / 7000 - 1) > 0.03 + 0.02  # wider than either alone
    assert low * high == pytest.approx(7000**2)
    _, narrow, _ = judge(7000, None, BELOW, 0.03)
    assert narrow > low


def test_without_a_repeatability_nothing_is_clear() -> None:
    row = found(study(RULE, cv=None), draw(1000))
    assert (row["verdict"], row["reason"]) == ("uncertain", "no_cv")
    assert found(study(RULE, cv=None), draw(20_000))["verdict"] == "above"
    own = CandidateRule("rule", Criterion("mhladr", "below", 8000, cv=0.05), (3, 4))
    assert found(study(own, cv=None), draw(1000))["verdict"] == "clearly_below"


@pytest.mark.parametrize(
    ("draws", "cohort", "reason"),
    [
        ((), "include", "no_draw"),
        ((draw(None),), "include", "no_draw"),
        ((draw(1000, day=6),), "include", "no_draw"),
        ((draw(1000, status="flagged", flags="too_few_cells"),), "include", "flagged"),
        ((draw(1000),), "exclude", "not_included"),
        ((draw(1000),), "unknown", "cohort_unknown"),
        ((draw(1000, unit="%"),), "include", "unit"),
    ],
)
def test_what_is_missing_or_doubtful_is_never_clearly_below(
    draws: tuple[dict[str, Any], ...], cohort: str, reason: str
) -> None:
    row = found(study(RULE), *draws, cohort=cohort)
    assert (row["verdict"], row["reason"]) == ("uncertain", reason)
    assert row["candidate"] == ("no" if cohort == "exclude" else "uncertain")


def test_everyone_may_be_asked_for() -> None:
    row = found(study(RULE, population="everyone"), draw(1000), cohort="unknown")
    assert row["candidate"] == "yes"


def test_draws_in_a_row() -> None:
    twice = CandidateRule("rule", BELOW, (1, 8), consecutive=2)
    assert found(study(twice), draw(5000, 1), draw(5000, 3))["verdict"] == "clearly_below"
    one = found(study(twice), draw(5000, 1))
    assert (one["verdict"], one["reason"]) == ("uncertain", "too_few_draws")
    broken = found(study(twice), draw(5000, 1), draw(12_000, 3), draw(5000, 7))
    assert (broken["verdict"], broken["n_draws"]) == ("above", 3)
    later = found(study(twice), draw(12_000, 1), draw(5000, 3), draw(5000, 7))
    assert (later["verdict"], later["day"]) == ("clearly_below", 7)
    unclear = found(study(twice), draw(5000, 1), draw(7900, 3))
    assert (unclear["verdict"], unclear["reason"]) == ("uncertain", "near_the_line")


def test_immunosep_needs_ferritin_at_most_its_line() -> None:
    rule = preset("immunosep_ifn_gamma", "mhladr")
    met = found(study(rule), draw(3000), ferritin(4420))
    assert (met["companion_verdict"], met["candidate"]) == ("met", "yes")
    assert met["companion"] == "ferritin <= 4420 ng/mL"
    high = found(study(rule), draw(3000), ferritin(4421))
    assert (high["verdict"], high["companion_verdict"], high["candidate"]) == (
        "clearly_below",
        "not_met",
        "no",
    )
    other_day = found(study(rule), draw(3000), ferritin(4000, day=5))
    assert (other_day["candidate"], other_day["reason"]) == ("uncertain", "companion_missing")
    converted = found(study(rule), draw(3000), ferritin(4000, unit="µg/L"))
    assert (converted["companion_value"], converted["candidate"]) == (4000, "yes")


def test_a_rule_for_high_values_speaks_of_above() -> None:
    rule = preset("immunosep_anakinra", None)
    plain = found(study(rule), ferritin(9000))
    assert (plain["verdict"], plain["reason"]) == ("uncertain", "no_cv")
    sure = CandidateRule("a", Criterion("ferritin", "above", 4420, unit="ng/mL", cv=0.05), (1, 8))
    assert found(study(sure), ferritin(9000))["verdict"] == "clearly_above"
    low = found(study(sure), ferritin(1000))
    assert (low["verdict"], low["candidate"]) == ("below", "no")


def test_no_rule_no_row() -> None:
    empty = candidate_frames(
        study(),
        {"marker_values": pl.DataFrame(schema={c.name: c.dtype for c in MARKER_VALUES.columns})},
    )
    assert empty["candidates"].is_empty()
