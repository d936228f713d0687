"""Markers: what is read from acquisitions and measurements, and what is said where it is not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from cytosepsis.errors import StudyError
from cytosepsis.flags import FLAGS
from cytosepsis.protocol import Marker, Measurement, Window
from cytosepsis.tables import all_tables
from hand_made import (
    ONSET,
    assay,
    at_day,
    failure,
    hours,
    left,
    markers,
    result,
    rows,
    run,
    study,
)


def test_each_quantified_assay_is_a_marker_by_default():
    tables = run(study(at_day("s1", 0.5)), result("s1", abc=6000.0))
    (row,) = rows(tables["marker_values"])
    assert (row["marker"], row["unit"], row["day"], row["known_at_day"]) == ("mhladr", "AB/C", 1, 1)
    assert row["value"] == rows(tables["abc"])[0]["abc"]
    assert row["low"] < row["value"] < row["high"]


@pytest.mark.parametrize(
    ("marker", "value", "unit"),
    [
        (Marker("m", "intensity", ("mhladr",), "monocytes", "cd14"), 900.0, "a.u."),
        (
            Marker("m", "intensity", (), "monocytes", "cd14", statistic="geometric_mean"),
            880.0,
            "a.u.",
        ),
        (Marker("m", "fraction", ("mhladr",), "monocytes", of="root"), 0.2, "fraction"),
        (Marker("m", "fraction", ("mhladr",), "monocytes"), 0.25, "fraction"),
        (Marker("m", "fraction", (), "monocytes", of="singlets", unit="%"), 25.0, "%"),
    ],
)
def test_other_markers_have_a_column_each(marker, value, unit):
    tables = run(study(at_day("s1", 0.5), markers=markers(marker)), result("s1"))
    assert tables["patients"]["m"].to_list() == [pytest.approx(value)]
    row = rows(tables["marker_values"])[1]
    assert (row["value"], row["unit"], row["low"]) == (pytest.approx(value), unit, None)


@pytest.mark.parametrize(
    ("marker", "code", "words"),
    [
        (Marker("m", "count", (), "monocytes"), "count_unavailable", "[assays.mhladr.counting]"),
        (Marker("m", "intensity", (), "monocytes", "cd16"), "not_measured", "cd16 in monocytes"),
        (Marker("m", "fraction", (), "blasts", of="root"), "not_measured", "population blasts"),
        (Marker("m", "fraction", (), "monocytes", of="x"), "not_measured", "population x"),
        (Marker("m", "abc", (), "singlets", "hladr"), "not_measured", "singlets, hladr"),
        (Marker("m", "abc", (), "monocytes", "cd14"), "not_measured", "monocytes, cd14"),
    ],
)
def test_a_marker_that_cannot_be_read_says_why(marker, code, words):
    both = markers(marker)
    tables = run(study(at_day("s1", 0.5), markers=both, primary_marker="mhladr"), result("s1"))
    assert tables["patients"]["m"].to_list() == [None]
    row = rows(tables["marker_values"])[1]
    assert (row["value"], row["status"], row["sample_id"]) == (None, "failed", None)
    assert words in row["reason"]
    assert rows(tables["unused"])[0]["marker"] == "m"
    assert left(tables) == {"s1": code}


def test_values_that_are_not_defined_are_absent():
    nothing = replace(result().populations[1], n_events=0)
    r = result()
    r = replace(
        r,
        populations=(r.populations[0], nothing, r.populations[2]),
        intensities=(replace(r.intensities[0], median=None),),
    )
    both = markers(
        Marker("f", "fraction", (), "monocytes", of="singlets"),
        Marker("i", "intensity", (), "monocytes", "cd14"),
    )
    tables = run(study(at_day("s1", 0.5), markers=both), r)
    assert tables["patients"].select("f", "i").row(0) == (None, None)
    assert tables["unused"]["code"].to_list() == ["no_value", "no_value"]


def test_doubts_about_beads_are_no_doubts_about_fractions():
    both = markers(Marker("m", "fraction", (), "monocytes"))
    tables = all_tables(study(at_day("s1", 0.5), markers=both), [result()], [])
    hladr, fraction = rows(tables["marker_values"])
    assert (hladr["status"], hladr["flags"]) == ("failed", "no_beads")
    assert (fraction["status"], fraction["flags"]) == ("ok", "")


def test_versions_of_a_panel_feed_one_marker():
    versions = (assay("v1"), assay("v2"))
    draws = [at_day("a", 0.5, assay="v1"), at_day("b", 6.5, assay="v2")]
    one = Marker("mhladr", "abc", ("v1", "v2"))
    tables = run(
        study(*draws, assays=versions, markers=(one,)),
        result("a", abc=5000.0, assay="v1"),
        result("b", abc=10_000.0, assay="v2"),
    )
    assert tables["patients"]["ratio"].to_list() == [None, pytest.approx(2.0)]


def test_the_primary_marker_must_be_told_among_several():
    versions = (assay("v1"), assay("v2"))
    s = study(at_day("a", 0.5, assay="v1"), assays=versions)
    with pytest.raises(StudyError, match=r"primary_marker: wanted one .* found v1, v2"):
        run(s, result("a", assay="v1"))
    tables = run(replace(s, primary_marker="v1"), result("a", abc=6000.0, assay="v1"))
    (row,) = rows(tables["patients"])
    assert (row["abc"], row["v2"]) == (pytest.approx(6000.0), None)
    with pytest.raises(StudyError, match="found v1, v2"):
        run(replace(s, primary_marker="v3"), result("a", assay="v1"))


def test_a_visit_of_another_panel_alone_has_no_primary_value_and_no_failure():
    panels = (assay(), replace(assay("lymph"), abc=None))
    other = Marker("lympho", "fraction", ("lymph",), "monocytes")
    s = study(at_day("a", 2.5, assay="lymph"), assays=panels, markers=markers(other))
    tables = run(s, result("a", assay="lymph", quantified=None))
    (row,) = rows(tables["patients"])
    assert (row["abc"], row["status"], row["day"]) == (None, "ok", 3)
    assert row["lympho"] == pytest.approx(0.25)
    unread = run(replace(s, markers=markers()), result("a", assay="lymph", quantified=None))
    assert left(unread) == {"a": "no_marker"}


def test_a_marker_with_the_name_of_a_column_is_prefixed():
    tables = run(
        study(at_day("s1", 0.5), markers=markers(Marker("day", "fraction", (), "monocytes"))),
        result("s1"),
    )
    assert tables["patients"]["marker_day"].to_list() == [pytest.approx(0.25)]


def test_measurements_join_by_patient_and_timepoint():
    ferritin = Marker("ferritin", "measurement", measurement="Ferritin", unit="µg/L")
    measured = (
        Measurement("p1", "Ferritin", 900.0, "µg/L", ONSET + hours(70)),
        Measurement("p1", "Ferritin", 800.0, "µg/L", ONSET + hours(49)),
        Measurement("p1", "Ferritin", 0.9, "mmol/L", timepoint="D1-2"),
        Measurement("p1", "SOFA", 9.0, None, timepoint="D1-2"),
        Measurement("p1", "Ferritin", 1.0, "µg/L", ONSET - hours(49)),
        Measurement("p1", "Ferritin", 5.0, "µg/L", timepoint="D1-2", extra=(("drug", "IL-7"),)),
        Measurement("p1", "Ferritin", math.nan, "µg/L", timepoint="D1-2"),
        Measurement("p9", "Ferritin", 300.0, "µg/L", timepoint="D6-8"),
    )
    s = study(at_day("s1", 0.5), markers=markers(ferritin), measurements=measured)
    tables = run(s, result("s1"))
    found = [(r["patient_id"], r["timepoint"], r["ferritin"]) for r in rows(tables["patients"])]
    assert found == [("p1", "D1-2", None), ("p1", "D3-4", 900.0), ("p9", "D6-8", 300.0)]
    long = [r for r in rows(tables["marker_values"]) if r["marker"] == "ferritin"]
    assert [(r["day"], r["unit"], r["sample_id"], r["flags"]) for r in long[1:]] == [
        (3, "µg/L", None, "several_draws"),
        (None, "µg/L", None, ""),
    ]
    codes = tables["unused"]["code"].to_list()
    assert codes == ["other_draw", "unit", "no_marker", "before_onset", "ex_vivo", "no_value"]
    assert "unit mmol/L, where ferritin is in µg/L" in tables["unused"]["reason"][1]


def test_measurements_without_a_declared_unit_keep_to_the_first_rows():
    sofa = Marker("sofa", "measurement", measurement="SOFA")
    measured = tuple(
        Measurement(p, "SOFA", v, unit, timepoint="D1-2")
        for p, v, unit in (("p1", 0.0, "points"), ("p2", 4.0, None))
    )
    tables = run(study(markers=markers(sofa), measurements=measured))
    assert tables["patients"]["sofa"].to_list() == [0.0, None]
    assert tables["unused"]["code"].to_list() == ["unit"]


def test_every_acquisition_stands_or_is_listed_once_per_marker():
    tubes = [at_day(f"s{i}", 0.3 * i, f"p{i % 3}", replicate=str(i % 2)) for i in range(20)]
    tubes += [at_day("x", 0.5, use=False), at_day("y", 0.5, role="fmo")]
    outcomes = [failure(t.sample_id) if i % 5 == 0 else result(t.sample_id, abc=5000.0 + i)
                for i, t in enumerate(tubes)]  # fmt: skip
    both = markers(Marker("m", "fraction", (), "monocytes"))
    tables = run(study(*tubes, markers=both), *outcomes)
    for name in ("mhladr", "m"):
        used = [
            sample_id
            for r in rows(tables["marker_values"])
            if r["marker"] == name and r["sample_id"]
            for sample_id in r["sample_id"].split(";")
        ]
        unused = [r["sample_id"] for r in rows(tables["unused"]) if r["marker"] in {name, None}]
        assert sorted(used + unused) == sorted(t.sample_id for t in tubes)


def test_flags_of_the_tables_are_in_the_documented_order():
    known = list(FLAGS)
    tubes = [at_day("a", 0.5, replicate="1"), at_day("b", 0.5, replicate="2"), at_day("c", 1.9)]
    tables = run(
        study(*tubes), result("a", flags=("full_population", "no_spillover")), result("b"),
        result("c"),
    )  # fmt: skip
    for cell in tables["patients"]["flags"]:
        codes = cell.split(";")
        assert codes == sorted(codes, key=known.index)
        assert len(codes) == 4


def test_a_window_of_its_own_day_has_its_noon_as_centre():
    one_day = (Window("D1", 1, 1),)
    draws = [at_day("dawn", 0.1), at_day("noon", 0.5), at_day("dusk", 0.95)]
    outcomes = map(result, ("dawn", "noon", "dusk"))
    tables = run(study(*draws, windows=one_day, baseline=None), *outcomes)
    assert tables["patients"]["sample_id"].to_list() == ["noon"]
