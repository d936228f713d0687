"""Figures of analyses and of quality: what they show stands in their alternative text."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from cytosepsis.report import outcome_figures
from cytosepsis.report.analysis_figures import cohort_flow, control_charts
from cytosepsis.report.drawing import style
from cytosepsis.report.quality_pages import QualityRows, time_plot
from cytosepsis.report.site import Shown

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with style():
        yield


def svg(shown: Shown) -> str:
    return base64.b64decode(shown.uri.partition(",")[2]).decode()


def test_a_control_chart_names_the_rule_that_is_broken_and_comes_first() -> None:
    def runs(item: str, last: float, verdict: str, rules: str) -> list[Row]:
        return [
            {
                "quantity": "bead_slope",
                "item": item,
                "cytometer": "C1",
                "lot": "L",
                "channel": "PE-A",
                "statistic": "median",
                "run": f"B{k}",
                "acquired_at": datetime(2024, 1, k + 1),
                "value": value,
                "unit": "",
                "mean": 1.0,
                "sd": 0.01,
                "verdict": verdict if k == 2 else "ok",
                "rules": rules if k == 2 else "",
            }
            for k, value in enumerate((1.0, 1.01, last))
        ]

    every = [*runs("a", 1.0, "ok", ""), *runs("b", 1.05, "rejected", "1-3s")]
    broken, calm = control_charts(every)
    assert "B2 2024-01-03: rejected, 1-3s" in broken.alt
    assert "No rule is broken" in calm.alt
    assert "2024-01-03" in svg(broken)


def test_the_flow_of_patients_has_every_step() -> None:
    rows = [
        {"stage": "assessed", "timepoint": None, "meaning": "in the sheets", "n": 9},
        {"stage": "excluded", "timepoint": None, "meaning": "age below 18", "n": 2},
        {"stage": "at_window", "timepoint": "D1-2", "meaning": "", "n": 7},
    ]
    (shown,) = cohort_flow(rows)
    assert shown.alt == "Flow of patients: assessed 9; excluded 2; at_window 7."
    assert "age below 18" in svg(shown)


def test_forests_leave_out_what_has_no_number() -> None:
    rows = [
        {"outcome": "death", "marker": "m", "timepoint": t, "auc": a, "auc_low": b, "auc_high": c}
        for t, a, b, c in (("D1", 0.7, 0.55, 0.85), ("D3", None, None, None))
    ]
    (shown,) = outcome_figures.auc_forest(rows)
    assert shown.alt == "AUC for death: m, D1 0.7 (0.55 to 0.85)."
    hazards = [
        {
            "outcome": "death",
            "model": "fine_gray",
            "marker": "m",
            "timepoint": "D1",
            "hazard_ratio": 0.5,
            "low": 0.3,
            "high": 0.9,
            "adjusted_for": "age",
        }
    ]
    (shown,) = outcome_figures.hazard_forest(hazards)
    assert "fine-gray: m, D1, adjusted (age) 0.5 (0.3 to 0.9)" in shown.alt
    assert outcome_figures.hazard_forest([hazards[0] | {"low": None}]) == []


def test_operating_points_curves_and_pairs() -> None:
    question = {"marker": "m", "timepoint": "D1", "outcome": "death"}
    ends = {"sensitivity_low": 0.5, "sensitivity_high": 0.9}
    ends |= {"specificity_low": 0.4, "specificity_high": 0.8}
    point = {"sensitivity": 0.75, "specificity": 0.6, "called": "below", "cutoff": 8000.0}
    (shown,) = outcome_figures.operating_points([question | ends | point | {"stratum": ""}])
    assert "below 8,000: sensitivity 0.75, specificity 0.6" in shown.alt
    corners = [
        question
        | {"role": role, "stratum": "", "marker": marker, "threshold": None}
        | {"false_positive_rate": x, "true_positive_rate": y}
        for marker, role in (("k", "exploratory"), ("m", "primary"))
        for x, y in ((0.0, 0.0), (0.2, 0.7), (1.0, 1.0))
    ]
    (shown,) = outcome_figures.roc_curves(corners)
    assert shown.alt.startswith("ROC curves, D1 · death: m, k.")  # the declared one first
    steps = [
        question
        | {"group": group, "cutoff": 8000.0, "kind": "incidence", "day": day, "share": share}
        | {"low": None, "high": None, "at_risk": 5, "log_rank_p": 0.03}
        for group, share in (("below", 0.4), ("from", 0.1))
        for day in (1.0, 9.0)
    ]
    (shown,) = outcome_figures.time_curves(steps)
    assert "below 8,000, n = 5: 0.4 at day 9; from 8,000, n = 5: 0.1 at day 9" in shown.alt
    well = {"group": "patient", "timepoint": "D1", "readout": "tnf", "stimulus": "lps"}
    well |= {"drug": "ifng", "dose": 10.0, "dose_unit": "ng/mL", "drug_timing": "before"}
    well |= {"unit": "pg/mL", "scale": "log10", "control": 100.0}
    pairs = [well | {"value": 300.0}, well | {"value": 50.0}, well | {"value": None}]
    (shown,) = outcome_figures.paired_wells(pairs)
    assert "2 pairs without and with ifng 10 ng/mL before; 1 rise" in shown.alt


@pytest.mark.parametrize("clock", [True, False])
def test_a_doubtful_file_is_drawn_over_time_with_its_odd_stretches(clock: bool) -> None:
    bins = tuple(
        {
            "channel": channel,
            "first_event": 500 * k,
            "n_events": 500,
            "start_seconds": float(k) if clock else None,
            "events_per_second": 500.0 if clock else None,
            "median": 1000.0 + k,
        }
        for k in range(9)
        for channel in ("PE-A", "FSC-A")
    )
    odd = {"channel": "PE-A", "first_event": 2000, "n_events": 500}
    odd |= {"start_seconds": 4.0 if clock else None, "stop_seconds": 5.0 if clock else None}
    rows = QualityRows(0, 1, {"s": bins}, {"s": (odd,)}, {"s": ()}, ())
    shown = time_plot("s", rows)
    assert shown.alt.endswith("over time for s; 1 odd stretches are shaded.")
    assert ("seconds" in svg(shown)) is clock
    assert ("not known" in svg(shown)) is not clock
