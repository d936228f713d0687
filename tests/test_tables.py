"""Tables of samples and bead runs: schemas, nulls, order, status, and the documentation."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cytosepsis.file_results import Intensity
from cytosepsis.protocol import BeadRun, Marker
from cytosepsis.tables import TABLES, all_tables, flags_markdown, tables_markdown
from cytosepsis.tables.describe import UNUSED_CODES
from cytosepsis.tables.schemas import MOMENT, frame
from hand_made import (
    MONOCYTES,
    ONSET,
    assay,
    beads,
    failed_beads,
    failure,
    hours,
    line,
    override,
    result,
    sample,
    study,
)

CONTRACT = {
    "samples": "sample_id file sha256 patient_id timepoint assay n_events status flags error_code "
    "error",
    "populations": "sample_id patient_id timepoint path population n_events fraction_of_parent "
    "fraction_of_root gate_status",
    "intensities": "sample_id path population channel n_events median geometric_mean mean sd "
    "robust_cv",
    "calibrations": "bead_run channel lot cytometer acquired_at slope intercept r_squared "
    "statistic status flags",
    "abc": "sample_id patient_id timepoint condition assay population channel n_cells intensity "
    "abc abc_low abc_high band bead_run status flags",
    "patients": "patient_id timepoint day sample_id abc abc_low abc_high delta_abc ratio "
    "log10_slope_per_day band status flags",
    "marker_values": "patient_id timepoint day marker value low high unit sample_id known_at_day "
    "status flags",
}


def check_frames(tables: dict[str, pl.DataFrame], timezone: str | None = None) -> None:
    """Declared columns first and of the declared type, floats never NaN or infinite."""
    assert tuple(tables) == tuple(TABLES)
    for name, table in tables.items():
        declared = TABLES[name].columns
        assert table.columns[: len(declared)] == [column.name for column in declared]
        for column in declared:
            zoned = column.dtype == MOMENT and timezone
            wanted = pl.Datetime("us", timezone) if zoned else column.dtype
            assert table.schema[column.name] == wanted, (name, column.name)
        floats = table.select(pl.selectors.float().is_finite().all())
        assert all(value for value in floats.row(0)) if floats.width else True


@pytest.mark.parametrize("name", CONTRACT)
def test_the_contracts_columns_come_first(name):
    wanted = CONTRACT[name].split()
    assert list(TABLES[name].names[: len(wanted)]) == wanted
    assert len(set(TABLES[name].names)) == len(TABLES[name].names)


def test_an_empty_study_gives_empty_tables_of_the_same_columns():
    tables = all_tables(study(bead_runs=()), [], [])
    check_frames(tables)
    assert all(table.height == 0 for table in tables.values())


def test_one_sample_fills_every_table():
    s = sample()
    tables = all_tables(study(s), [result(abc=6000.0)], [beads()])
    check_frames(tables)
    row = tables["samples"].row(0, named=True)
    assert (row["status"], row["flags"], row["error_code"], row["error"]) == ("ok", "", None, None)
    assert (row["timepoint"], row["day"], row["n_events"]) == ("D1-2", 2, 20000)
    assert row["drawn_at"] == (ONSET + hours(30)).replace(tzinfo=None)
    assert tables["populations"]["path"].to_list() == ["root", "root/singlets", MONOCYTES]
    assert tables["intensities"]["population"].to_list() == ["monocytes"]
    abc = tables["abc"].row(0, named=True)
    assert (abc["population"], abc["path"], abc["band"]) == ("monocytes", MONOCYTES, "5000-8000")
    assert tables["calibrations"]["n_levels"].to_list() == [4]
    assert tables["bead_levels"]["level"].to_list() == [1, 2, 3, 4]
    assert tables["patients"]["abc"].to_list() == [pytest.approx(6000.0)]
    assert tables["unused"].height == 0


def test_a_failed_file_is_a_row_with_nulls_and_its_reason():
    ids = ["s1", "ß2 é", "s3"]
    rows = [sample(sample_id) for sample_id in ids]
    outcomes = [result("s1"), failure("ß2 é"), result("s3")]
    tables = all_tables(study(*rows), outcomes, [beads()])
    check_frames(tables)
    samples = tables["samples"]
    assert samples["sample_id"].to_list() == ids
    assert samples["status"].to_list() == ["ok", "failed", "ok"]
    bad = samples.row(1, named=True)
    found = bad["error_code"], bad["error"], bad["error_step"], bad["n_events"], bad["sha256"]
    assert found == ("fcs_unreadable", "no FCS file", "read", None, None)
    assert bad["timepoint"] == "D1-2"
    assert set(tables["populations"]["sample_id"]) == {"s1", "s3"}
    assert tables["abc"]["sample_id"].to_list() == ["s1", "s3"]


def test_other_rows_are_the_same_without_the_failed_file():
    rows = [sample("s1"), sample("s2", "p2"), sample("s3", "p3")]
    with_it = all_tables(study(*rows), [result("s1"), failure("s2"), result("s3")], [beads()])
    without = all_tables(study(rows[0], rows[2]), [result("s1"), result("s3")], [beads()])
    for name in ("samples", "populations", "intensities", "abc"):
        others = with_it[name].filter(pl.col("sample_id") != "s2")
        assert_frame_equal(others, without[name])


def test_all_failed():
    rows = [sample("s1"), sample("s2", "p2")]
    tables = all_tables(study(*rows), [failure("s1"), failure("s2")], [failed_beads()])
    check_frames(tables)
    assert tables["samples"]["status"].to_list() == ["failed", "failed"]
    assert tables["abc"].height == tables["bead_levels"].height == 0
    assert tables["patients"]["status"].to_list() == ["failed", "failed"]
    assert tables["calibrations"]["slope"].to_list() == [None]
    assert tables["calibrations"]["error"].to_list() == ["3 of 4 peaks found"]


def test_a_row_without_an_outcome_says_so():
    tables = all_tables(study(sample()), [], [])
    assert tables["samples"]["error_code"].to_list() == ["not_computed"]


def test_the_status_is_the_worst_of_file_beads_and_number():
    rows = [sample(f"s{i}", f"p{i}") for i in range(4)]
    outcomes = [
        result("s0"),
        result("s1", flags=("no_spillover",)),
        result("s2", flags=("offset_note",)),
        result("s3", abc=-1.0, flags=("full_population",)),
    ]
    tables = all_tables(study(*rows), outcomes, [beads(status="flagged", flags=("slope",))])
    samples = tables["samples"]
    assert samples["status"].to_list() == ["flagged"] * 4
    assert samples["flags"].to_list() == [
        "beads_doubtful",
        "no_spillover;beads_doubtful",
        "offset_note;beads_doubtful",
        "full_population;beads_doubtful;non_positive_intensity",
    ]
    assert samples["error_code"].null_count() == 4
    assert tables["abc"]["status"].to_list() == samples["status"].to_list()
    assert "is -1; a positive one is needed" in tables["abc"]["reason"][3]
    named = replace(rows[0], bead_run="B1")
    row = all_tables(study(named), [outcomes[0]], [failed_beads()])["samples"].row(0, named=True)
    assert (row["status"], row["error_code"]) == ("failed", "beads_failed")
    assert (row["error"], row["error_step"], row["n_events"]) == (
        "bead run B1 failed: 3 of 4 peaks found",
        "calibration",
        20000,
    )
    notes = all_tables(study(rows[2]), [outcomes[2]], [beads()])["samples"]
    assert (notes["status"][0], notes["flags"][0]) == ("ok", "offset_note")


def test_an_assay_that_quantifies_nothing_has_no_abc_row_and_no_failure():
    s = sample()
    plain = study(s, assays=(replace(assay(), abc=None),))
    tables = all_tables(plain, [result(quantified=None)], [])
    check_frames(tables)
    assert tables["samples"]["status"].to_list() == ["ok"]
    assert tables["abc"].height == 0
    assert tables["patients"]["abc"].to_list() == [None]


def test_what_is_not_finite_is_null():
    odd = Intensity(MONOCYTES, "cd14", 3, math.nan, None, math.inf, -math.inf, 0.1)
    tables = all_tables(study(sample()), [result(intensities=(odd,))], [beads()])
    check_frames(tables)
    values = tables["intensities"].select("median", "geometric_mean", "mean", "sd").row(0)
    assert values == (None, None, None, None)


def test_further_columns_of_the_sheets_are_carried_and_clashes_prefixed():
    rows = [
        sample("s1", extra=(("Ward", "A"), ("status", "mine"))),
        sample("s2", extra=(("ward2", None),)),
    ]
    run = BeadRun("B1", "b1.fcs", "/b1.fcs", "96597", site="X", extra=(("slope", "n/a"),))
    tables = all_tables(study(*rows, bead_runs=(run,)), [result("s1"), result("s2")], [beads()])
    samples = tables["samples"]
    assert samples.columns[-3:] == ["Ward", "sheet_status", "ward2"]
    assert samples["Ward"].to_list() == ["A", None]
    assert samples["sheet_status"].to_list() == ["mine", None]
    assert tables["calibrations"]["sheet_slope"].to_list() == ["n/a"]
    assert tables["calibrations"]["site"].to_list() == ["X"]


def test_the_sheets_own_columns_stand_as_they_are():
    s = sample(bead_run="B1", lysis="lyse-wash", dose=1.5, use=False, use_reason="clot")
    row = all_tables(study(s), [result()], [beads()])["samples"].row(0, named=True)
    found = row["bead_run"], row["lysis"], row["dose"], row["use"], row["use_reason"]
    assert found == ("B1", "lyse-wash", 1.5, False, "clot")
    assert row["cytometer"] == "Canto"


def test_moments_stand_in_the_studys_timezone():
    s = sample(drawn_at=datetime(2024, 3, 31, 5, 30))
    tables = all_tables(study(s, timezone="Europe/Paris"), [result()], [beads()])
    check_frames(tables, "Europe/Paris")
    assert str(tables["samples"]["drawn_at"][0]) == "2024-03-31 05:30:00+02:00"
    unknown = all_tables(study(sample(drawn_at=None)), [result()], [beads()])["samples"]
    assert unknown.select("drawn_at", "drawn_at_has_time", "stained_at").row(0) == (None,) * 3


def test_bead_runs_stand_in_the_order_of_their_sheet():
    sheet = tuple(BeadRun(n, f"{n}.fcs", f"/{n}.fcs", "96597") for n in ("B9", "B1"))
    runs = [
        beads("B1", statistic="geometric_mean"),
        beads("B1"),
        beads("B9", calibration=line(), flags=("slope",), status="flagged"),
    ]
    table = all_tables(study(bead_runs=sheet), [], runs)["calibrations"]
    assert table["bead_run"].to_list() == ["B9", "B1", "B1"]
    assert table["statistic"].to_list() == ["median", "geometric_mean", "median"]
    assert table["flags"].to_list() == ["slope", "", ""]
    assert table["voltage"].to_list() == [450.0] * 3


def test_reviews_stand_beside_values_that_stay():
    rows = [sample("s1"), sample("s2", "p2")]
    said = (override("s1", "reject"), override("B1", "accept"))
    tables = all_tables(study(*rows, overrides=said), [result("s1"), result("s2")], [beads()])
    assert tables["samples"]["review"].to_list() == ["rejected", "pending"]
    assert tables["abc"]["review"].to_list() == ["rejected", "pending"]
    assert tables["abc"]["abc"].null_count() == 0
    assert tables["calibrations"]["review"].to_list() == ["accepted"]


def test_every_decision_is_a_row_with_what_stood_before():
    s = sample("s1", bead_run="B1")
    said = (
        override("s1", "reject"),
        override("s1", "accept"),
        override("s1", "assign_beads", bead_run="B2"),
        override("B1", "accept"),
    )
    sheet = tuple(BeadRun(name, f"{name}.fcs", f"/{name}.fcs", "96597") for name in ("B1", "B2"))
    runs = [beads("B1"), beads("B2", calibration=line(intercept=0.5))]
    tables = all_tables(study(s, overrides=said, bead_runs=sheet), [result("s1")], runs)
    table = tables["overrides"]
    assert table["action"].to_list() == ["reject", "accept", "assign_beads", "accept"]
    assert table["stands"].to_list() == [False, True, True, True]
    assert table["parameters"].to_list() == ["{}", "{}", '{"bead_run": "B2"}', "{}"]
    assert table["original_bead_run"].to_list() == [None, None, "B1", None]
    (now,) = tables["abc"]["abc"].to_list()
    before = all_tables(study(s, bead_runs=sheet), [result("s1")], runs)["abc"]["abc"][0]
    assert now != before
    assert table["abc"].to_list() == [now, now, now, None]
    assert table["original_abc"].to_list() == [before, before, before, None]


def test_a_given_gate_stands_beside_what_the_plan_found():
    said = (override("s1", "gate", gate="monocytes", region='{"min": [1], "max": [2]}'),)
    measured = result("s1", abc=5000.0)
    planned = replace(measured, quantified_by_plan=result("s1", abc=4000.0).quantified)
    table = all_tables(study(sample("s1"), overrides=said), [planned], [beads()])["overrides"]
    assert table["abc"][0] == pytest.approx(5000.0)
    assert table["original_abc"][0] == pytest.approx(4000.0)


def test_outcomes_of_no_sample_are_a_mistake():
    with pytest.raises(AssertionError, match="outcomes of no sample"):
        all_tables(study(sample()), [result("other")], [])


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.permutations(range(3)))
def test_the_order_of_outcomes_changes_nothing(order, bead_order):
    rows = [sample(f"s{i}", f"p{i // 3}", replicate=str(i % 2)) for i in range(6)]
    outcomes = [result(f"s{i}", abc=5000.0 + 100 * i) for i in range(5)] + [failure("s5")]
    runs = [beads("B1", 2), beads("B2", 2), beads("B3", 1, status="flagged", flags=("slope",))]
    markers = (
        Marker("mhladr", "abc", ("mhladr",)),
        Marker("mono", "fraction", ("mhladr",), "monocytes", of="singlets"),
    )
    of_study = study(*rows, markers=markers)
    straight = all_tables(of_study, outcomes, runs)
    permuted = all_tables(of_study, [outcomes[i] for i in order], [runs[i] for i in bead_order])
    for name, table in straight.items():
        assert_frame_equal(table, permuted[name])


def test_a_frame_wants_exactly_its_columns():
    with pytest.raises(AssertionError):
        frame(TABLES["bead_levels"].columns, {"bead_run": []})


# --- documentation


@pytest.mark.parametrize(
    ("name", "text"), [("tables", tables_markdown()), ("flags", flags_markdown())]
)
def test_the_documentation_is_what_the_code_says(name, text):
    written = (Path(__file__).parents[1] / "docs" / f"{name}.md").read_text(encoding="utf-8")
    how = f"python -c \"import cytosepsis.tables as t; print(t.{name}_markdown(), end='')\""
    assert written == text, f"docs/{name}.md is out of date; write it with: {how}"


def test_every_column_says_what_it_means():
    for table in TABLES.values():
        for column in table.columns:
            assert column.meaning.endswith("."), (table.name, column.name)
    assert all(meaning.endswith(".") for meaning in UNUSED_CODES.values())
