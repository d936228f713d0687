"""The change from the baseline window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hand_made import (
    at_day,
    override,
    result,
    rows,
    run,
    sample,
    study,
)


def test_the_change_from_baseline():
    draws = [at_day("a", 1.5), at_day("b", 6.5)]
    tables = run(study(*draws), result("a", abc=5200.0), result("b", abc=8900.0))
    first, second = rows(tables["patients"])
    assert (first["delta_abc"], first["ratio"], first["log10_slope_per_day"]) == (None, None, None)
    assert second["delta_abc"] == pytest.approx(3700.0)
    assert second["ratio"] == pytest.approx(1.7115, abs=5e-5)
    assert second["log10_slope_per_day"] == pytest.approx(0.046677, abs=5e-7)
    assert (second["baseline_sample_id"], second["flags"]) == ("a", "")


def test_the_slope_counts_whole_days_where_hours_are_unknown():
    first = sample("a", drawn_at=datetime(2024, 3, 1, tzinfo=UTC), drawn_at_has_time=False)
    draws = [first, at_day("b", 6.5)]
    tables = run(study(*draws), result("a", abc=1000.0), result("b", abc=10_000.0))
    assert tables["patients"]["log10_slope_per_day"][1] == pytest.approx(1 / 6)


def test_labels_alone_give_a_ratio_and_no_slope():
    labelled = [sample(t, drawn_at=None, timepoint=t) for t in ("D1-2", "D3-4")]
    tables = run(study(*labelled), result("D1-2", abc=5000.0), result("D3-4", abc=10_000.0))
    row = rows(tables["patients"])[1]
    assert (row["ratio"], row["log10_slope_per_day"]) == (pytest.approx(2.0), None)


def test_without_a_baseline_value_there_is_a_note():
    tables = run(study(at_day("b", 6.5)), result("b"))
    (row,) = rows(tables["patients"])
    assert (row["flags"], row["status"], row["ratio"]) == ("no_baseline", "ok", None)
    unwanted = run(study(at_day("b", 6.5), baseline=None), result("b"))
    assert unwanted["patients"]["flags"].to_list() == [""]
    draws = [at_day("a", 0.5), at_day("b", 6.5)]
    rejected = study(*draws, overrides=(override("a", "reject"),))
    assert run(rejected, result("a"), result("b"))["patients"]["flags"][1] == "no_baseline"


def test_a_doubtful_baseline_makes_the_change_doubtful():
    draws = [at_day("a", 0.5), at_day("b", 6.5)]
    tables = run(study(*draws), result("a", flags=("no_spillover",)), result("b"))
    row = rows(tables["patients"])[1]
    assert (row["flags"], row["status"]) == ("baseline_doubtful", "flagged")
    assert row["ratio"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("column", "flag", "allow"),
    [
        ("lysis", "mixed_lysis", "compare_across_lysis"),
        ("site", "mixed_sites", "compare_across_sites"),
    ],
)
def test_changes_never_mix_methods_unless_the_study_says_so(column, flag, allow):
    draws = [at_day("a", 0.5, **{column: "X"}), at_day("b", 6.5, **{column: "Y"})]
    outcomes = result("a"), result("b")
    tables = run(study(*draws), *outcomes)
    row = rows(tables["patients"])[1]
    assert (row["ratio"], row["delta_abc"], row["log10_slope_per_day"]) == (None, None, None)
    assert row["flags"] == flag
    assert tables["abc"]["flags"].to_list() == [flag, flag]
    allowed = rows(run(study(*draws, **{allow: True}), *outcomes)["patients"])[1]
    assert (allowed["ratio"], allowed["flags"]) == (pytest.approx(1.0), "")
    empty = [draws[0], replace(draws[1], **{column: None})]
    assert rows(run(study(*empty), *outcomes)["patients"])[1]["flags"] == ""


def test_rows_that_do_not_enter_mix_nothing():
    draws = [at_day("a", 0.5, lysis="X"), at_day("b", 6.5, lysis="X")]
    other = at_day("iso", 0.5, lysis="Y", role="isotype")
    tables = run(study(*draws, other), *map(result, ("a", "b", "iso")))
    assert tables["samples"]["flags"].to_list() == ["", "", ""]
    mixed = [*draws, at_day("c", 2.5, lysis="Y"), other]
    tables = run(study(*mixed), *map(result, ("a", "b", "c", "iso")))
    assert tables["samples"]["flags"].to_list() == ["mixed_lysis"] * 3 + [""]
    assert [r["ratio"] is None for r in rows(tables["patients"])] == [True, True, False]
