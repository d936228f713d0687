"""Markers over time: worked values, what cannot be said, and courses by transparent rules."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.analysis.trajectories import Point, describe, trajectories_frame
from cytosepsis.analysis.trajectory_tables import TRAJECTORIES, TRAJECTORY_CODES
from cytosepsis.protocol import Marker, Measurement, Study
from cytosepsis.trajectory_rules import TrajectoryRules
from hand_made import ONSET, at_day, hours, markers, result, rows, run, sample, study

RULES = TrajectoryRules()


def course(*values: tuple[float, float], **settings: Any):
    """A course of (exact day since onset, value)."""
    points = [Point(f"T{at}", math.floor(at) + 1, at, value) for at, value in values]
    return describe(points, RULES, **settings)


def trajectories(of_study: Study, **abc: float) -> list[dict[str, Any]]:
    outcomes = [result(name, abc=value) for name, value in abc.items()]
    frame = trajectories_frame(of_study, run(of_study, *outcomes)["marker_values"])
    assert frame.columns == list(TRAJECTORIES.names)
    assert set(frame["code"].drop_nulls()) <= TRAJECTORY_CODES.keys()
    return rows(frame)


def test_the_worked_example_of_the_field() -> None:
    found = course((1.5, 5200.0), (6.5, 8900.0))
    assert found.delta == 3700
    assert found.delta_per_day == 740
    assert found.ratio == pytest.approx(1.7115, abs=5e-5)
    assert found.percent_change == pytest.approx(71.15, abs=5e-3)
    assert found.log10_slope_per_day == pytest.approx(0.046677, abs=5e-7)


@pytest.mark.parametrize(
    ("cv", "smallest"),
    [(0.019, 0.053), (0.032, 0.089), (0.04, 0.11), (0.15, 0.42), (0.25, 0.69)],
)
def test_smallest_real_change(cv, smallest) -> None:
    assert 2.77 * cv == pytest.approx(smallest, abs=0.006)
    under, above = 1 + 2.77 * cv - 1e-6, 1 + 2.77 * cv + 1e-6
    assert course((1, 1000.0), (3, 1000.0 * under), cv=cv).real_change is False
    assert course((1, 1000.0), (3, 1000.0 * above), cv=cv).real_change is True
    assert course((1, 1000.0), (3, 1000.0 * (2 - above)), cv=cv).real_change is True
    assert course((1, 1000.0), (3, 2000.0)).real_change is None


def test_nadir_fit_and_days_below() -> None:
    found = course((1, 10_000.0), (3, 2_500.0), (7, 10_000.0), cutoff=5000.0)
    assert (found.nadir.value, found.nadir.at, found.known_at_day) == (2500.0, 3, 8)
    # On log10 each straight line crosses 5,000 at its half.
    assert found.days_below == pytest.approx(1 + 2)
    assert found.days == 6
    line = course((1, 1000.0), (2, 2000.0), (4, 8000.0))
    assert line.log10_slope_fit == pytest.approx(math.log10(2), rel=1e-12)
    assert course((1, 1000.0), (2, 2000.0)).log10_slope_fit is None
    for values, below in [
        (((1, 4000.0), (5, 4500.0)), 4),
        (((1, 6000.0), (5, 5000.0)), 0),
        (((1, 5000.0), (5, 5000.0)), 0),
        (((1, 5000.0), (5, 2500.0)), 4),
    ]:
        assert course(*values, cutoff=5000.0).days_below == pytest.approx(below)


@pytest.mark.parametrize(
    ("last", "name"),
    [(1200, "improver"), (1199, "non_improver"), (834, "non_improver"), (833, "decliner")],
)
def test_the_course_follows_the_ratio(last, name) -> None:
    assert course((1, 1000.0), (3, float(last))).name == name


def test_what_cannot_be_said() -> None:
    one = course((1, 1000.0))
    assert (one.code, one.delta, one.nadir.value, one.last) == ("one_value", None, 1000, None)
    zero = course((1, 10.0), (3, 0.0), cutoff=5.0)
    assert (zero.code, zero.delta, zero.log10_slope_per_day, zero.days_below) == (
        "not_positive", -10, None, None
    )  # fmt: skip
    undated = describe([Point("a", None, None, 1.0), Point("b", None, None, 2.0)], RULES)
    assert (undated.code, undated.ratio, undated.delta_per_day, undated.known_at_day) == (
        "undated", 2, None, None
    )  # fmt: skip
    mixed = describe([Point("a", 1, 1, 1.0), Point("b", 3, 3, 2.0)], RULES, mixed="mixed_lysis")
    assert (mixed.code, mixed.ratio, mixed.nadir) == ("mixed_lysis", None, None)
    same = course((1, 10.0), (1, 20.0))
    assert (same.log10_slope_per_day, same.delta_per_day, same.ratio) == (None, None, 2)


VALUES = st.lists(st.floats(1, 1e6), min_size=2, max_size=6)


@given(VALUES, st.floats(0.1, 10))
def test_scaling_moves_no_ratio_slope_or_course(values, scale) -> None:
    points = [(float(day), value) for day, value in enumerate(values)]
    plain = course(*points, cutoff=1000.0)
    scaled = course(*((day, scale * value) for day, value in points), cutoff=scale * 1000.0)
    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-9)
    assert scaled.log10_slope_per_day == pytest.approx(plain.log10_slope_per_day, abs=1e-9)
    assert scaled.delta == pytest.approx(scale * plain.delta, rel=1e-9, abs=1e-6)
    assert scaled.days_below == pytest.approx(plain.days_below, abs=1e-6)
    assert 0 <= plain.days_below <= plain.days + 1e-9
    above = course(*points, cutoff=2e6)
    assert above.days_below == pytest.approx(above.days)


# --- from tables


def test_exact_hours_count_where_they_are_known() -> None:
    made = study(at_day("a", 1.5), at_day("b", 6.5), assay_cv=0.03)
    row = trajectories(made, a=5200.0, b=8900.0)[0]
    assert (row["first_day"], row["last_day"], row["delta_per_day"]) == (
        1.5,
        6.5,
        pytest.approx(740),
    )
    assert row["log10_slope_per_day"] == pytest.approx(0.046677, abs=5e-7)
    assert (row["smallest_real_change"], row["real_change"]) == (pytest.approx(0.0831), True)
    assert (row["known_at_day"], row["course"], row["cutoff"]) == (7, "improver", 8000)
    assert (row["first_timepoint"], row["last_timepoint"]) == ("D1-2", "D6-8")


def test_dates_alone_stand_for_noon() -> None:
    days = [at_day("a", 0, drawn_at_has_time=False), at_day("b", 3, drawn_at_has_time=False)]
    row = trajectories(study(*days), a=5000.0, b=5000.0)[0]
    assert (row["first_day"], row["last_day"], row["known_at_day"]) == (0.5, 3.5, 4)
    assert "day_approximate" in row["flags"]


def test_a_change_mixes_no_methods_and_a_cv_is_of_ab_c_alone() -> None:
    made = study(
        at_day("a", 0.5, lysis="lyse-wash"),
        at_day("b", 3.5, lysis="lyse-no-wash"),
        assay_cv=0.03,
        markers=markers(Marker("ferritin", "measurement", unit="ng/mL")),
        measurements=(
            Measurement("p1", "ferritin", 900.0, "ng/mL", ONSET + hours(30)),
            Measurement("p1", "ferritin", 450.0, "ng/mL", ONSET + hours(78)),
        ),
    )
    abc, ferritin = trajectories(made, a=5000.0, b=9000.0)
    assert (abc["code"], abc["ratio"], abc["n_values"]) == ("mixed_lysis", None, 2)
    assert (ferritin["ratio"], ferritin["real_change"], ferritin["cutoff"]) == (0.5, None, None)
    assert (ferritin["first_day"], ferritin["last_day"]) == (1.5, 3.5)
    allowed = trajectories(replace(made, compare_across_lysis=True), a=5000.0, b=9000.0)[0]
    assert (allowed["code"], allowed["ratio"]) == (None, 1.8)


def test_settings_of_the_study_decide() -> None:
    made = study(at_day("a", 0.5), at_day("b", 2.5), at_day("c", 6.5))
    values = {"a": 5000.0, "b": 5500.0, "c": 20_000.0}
    assert trajectories(made, **values)[0]["course"] == "improver"
    early = replace(made, trajectories=TrajectoryRules(until_day=4, cutoffs=(("mhladr", 5100.0),)))
    row = trajectories(early, **values)[0]
    assert (row["course"], row["n_values"], row["known_at_day"]) == ("non_improver", 2, 3)
    assert 0 < row["days_below"] < 2


def test_donors_and_values_that_are_not_usable_have_no_course() -> None:
    made = study(sample("h", "h1", group="healthy"), at_day("a", 0.5))
    assert [row["patient_id"] for row in trajectories(made, h=20_000.0, a=5000.0)] == ["p1"]
    nothing = pl.DataFrame(schema=run(made, result("h"), result("a"))["marker_values"].schema)
    assert trajectories_frame(made, nothing).height == 0
