"""Counts of a study: tubes with beads, blood counts beside them, refusals and doubts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from cytosepsis.config import load_study
from cytosepsis.counting import CountingLot
from cytosepsis.file_results import SampleResult
from cytosepsis.population_counts import PopulationCount
from cytosepsis.protocol import CountingSettings, Marker, Measurement, Sample, Study
from cytosepsis.quantify import washing_of
from cytosepsis.tables import all_tables
from hand_made import ONSET, assay, at_day, left, result, rows, study
from small_study import refused, write

BEADS, DOUBLETS = "root/beads", "root/beads/bead_doublets"
LYMPHOCYTES, T_CELLS = "root/lymphocytes", "root/lymphocytes/t"
CD4 = f"{T_CELLS}/cd4"
TRUCOUNT = CountingLot("T1", beads_per_tube=52_300, expires=date(2030, 1, 1))
FLOW_COUNT = CountingLot("F1", beads_per_ul=1010)
CD4_COUNT = Marker("cd4_count", "count", ("lymphocytes",), CD4)


def counted(sample_id: str = "s1", **events: int) -> SampleResult:
    """A lymphocyte tube; events by name, the rest as in the worked example."""
    paths = {
        "root": "root",
        "beads": BEADS,
        "bead_doublets": DOUBLETS,
        "lymphocytes": LYMPHOCYTES,
        "t": T_CELLS,
        "cd4": CD4,
        "cd8": f"{T_CELLS}/cd8",
        "b": f"{LYMPHOCYTES}/b",
        "nk": f"{LYMPHOCYTES}/nk",
    }
    n = {"root": 100_000, "beads": 10_500, "bead_doublets": 0, "lymphocytes": 7000, "t": 5000}
    n |= {"cd4": 3200, "cd8": 1700, "b": 1000, "nk": 900} | events
    populations = tuple(
        PopulationCount(path, name, n[name], None, n[name] / n["root"])
        for name, path in paths.items()
    )
    return result(
        sample_id, assay="lymphocytes", populations=populations, quantified=None, intensities=()
    )


def of(settings: CountingSettings, *samples: Sample, **fields: Any) -> Study:
    lymphocytes = replace(assay("lymphocytes"), abc=None, counting=settings)
    fields = {"counting_lots": (TRUCOUNT, FLOW_COUNT), "markers": (CD4_COUNT,), **fields}
    return study(*samples, assays=(lymphocytes,), **fields)


def tube(sample_id: str = "s1", day: float = 0.5, **fields: Any) -> Sample:
    fields = {
        "assay": "lymphocytes",
        "counting_lot": "T1",
        "blood_volume_ul": 50.0,
        "lysis": "lyse-no-wash",
        **fields,
    }
    return at_day(sample_id, day, **fields)


WITH_BEADS = CountingSettings(
    beads=BEADS,
    bead_doublets=DOUBLETS,
    lymphosum=(T_CELLS, f"{LYMPHOCYTES}/b", f"{LYMPHOCYTES}/nk"),
    lymphosum_of=LYMPHOCYTES,
    t_sum=(CD4, f"{T_CELLS}/cd8"),
    t_sum_of=T_CELLS,
)


def value_of(of_study: Study, *results: SampleResult) -> dict[str, Any]:
    (row,) = rows(all_tables(of_study, results, [])["marker_values"])
    return row


def test_a_count_reaches_patients_with_its_interval():
    tables = all_tables(of(WITH_BEADS, tube()), [counted()], [])
    (row,) = rows(tables["marker_values"])
    assert (round(row["value"], 2), row["unit"], row["status"]) == (318.78, "cells/µL", "ok")
    assert row["low"] < row["value"] < row["high"]
    assert tables["patients"]["cd4_count"].to_list() == [row["value"]]
    counts = {r["population"]: r for r in rows(tables["counts"])}
    assert list(counts) == ["lymphocytes", "t", "cd4", "cd8", "b", "nk"], "no root, no beads"
    assert counts["cd4"]["cells_per_ul"] == row["value"]
    assert (counts["cd4"]["method"], counts["cd4"]["n_reference"]) == ("beads", 10_500)


def test_a_suspension_needs_its_volume():
    sample = tube(counting_lot="F1", blood_volume_ul=100.0, bead_volume_ul=100.0)
    row = value_of(of(WITH_BEADS, sample), counted(beads=5100))
    assert round(row["value"], 2) == 633.73


def test_a_count_may_be_wanted_in_giga_per_litre():
    marker = replace(CD4_COUNT, unit="G/L")
    row = value_of(of(WITH_BEADS, tube(), markers=(marker,)), counted())
    assert (round(row["value"], 5), row["unit"]) == (0.31878, "G/L")
    wrong = replace(CD4_COUNT, unit="AB/C")
    assert value_of(of(WITH_BEADS, tube(), markers=(wrong,)), counted())["value"] is None


@pytest.mark.parametrize("path", [DOUBLETS, "root/bead_doublets"])
def test_a_bead_doublet_is_two_beads(path):
    settings = replace(WITH_BEADS, bead_doublets=path)
    within = path == DOUBLETS
    r = counted(beads=10_000 if within else 9500, bead_doublets=500)
    moved = tuple(replace(p, path=path) if p.name == "bead_doublets" else p for p in r.populations)
    row = value_of(of(settings, tube()), replace(r, populations=moved))
    assert round(row["value"], 2) == 318.78


@pytest.mark.parametrize(
    ("fields", "events", "code", "words"),
    [
        ({"lysis": "lyse-wash"}, {}, "washed_tube", "the tube was washed"),
        ({"lysis": "LW"}, {}, "washed_tube", "(LW)"),
        ({"counting_lot": None}, {}, "no_counting_lot", "counting_lot"),
        ({"blood_volume_ul": None}, {}, "no_blood_volume", "blood_volume_ul"),
        ({"counting_lot": "F1"}, {}, "no_bead_volume", "bead_volume_ul"),
        ({}, {"beads": 0}, "no_counting_beads", "Were beads added?"),
    ],
)
def test_a_tube_that_gives_no_count_says_why(fields, events, code, words):
    tables = all_tables(of(WITH_BEADS, tube(**fields)), [counted(**events)], [])
    (row,) = rows(tables["marker_values"])
    assert (row["value"], row["status"]) == (None, "failed")
    assert words in row["reason"]
    assert left(tables) == {"s1": code}
    assert tables["counts"]["cells_per_ul"].to_list() == [None] * 6
    assert set(tables["counts"]["status"]) == {"failed"}


@pytest.mark.parametrize(
    ("fields", "events", "flag"),
    [
        ({}, {"beads": 900}, "few_beads"),
        ({}, {"beads": 2000}, "beads_below_recommended"),
        ({}, {"bead_doublets": 1100}, "bead_doublets"),
        ({"lysis": None}, {}, "wash_unknown"),
        ({"lysis": "FACS Lysing"}, {}, "wash_unknown"),
        ({}, {"nk": 1800}, "lymphosum"),
        ({}, {"b": 100}, "lymphosum"),
        ({}, {"cd8": 1000}, "t_sum"),
    ],
)
def test_a_doubtful_count_is_flagged(fields, events, flag):
    row = value_of(of(WITH_BEADS, tube(**fields)), counted(**events))
    assert flag in row["flags"].split(";")
    assert row["value"] is not None


def test_a_lot_that_has_expired_is_flagged():
    old = replace(TRUCOUNT, expires=date(2024, 3, 1))
    row = value_of(of(WITH_BEADS, tube(), counting_lots=(old,)), counted())
    assert row["flags"] == "counting_lot_expired"


def test_duplicates_that_differ_are_flagged():
    pair = [tube("a", replicate="1"), tube("b", replicate="2")]
    near = value_of(of(WITH_BEADS, *pair), counted("a", cd4=3000), counted("b", cd4=3500))
    far = value_of(of(WITH_BEADS, *pair), counted("a", cd4=2800), counted("b", cd4=3500))
    assert "duplicates_differ" not in near["flags"]
    assert "duplicates_differ" in far["flags"].split(";")
    assert far["n_stains"] == 2


def test_an_assay_that_does_not_count_says_so():
    bare = replace(assay("lymphocytes"), abc=None)
    tables = all_tables(study(tube(), assays=(bare,), markers=(CD4_COUNT,)), [counted()], [])
    assert left(tables) == {"s1": "count_unavailable"}
    assert tables["counts"].is_empty()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lyse-wash", "washed"),
        ("LW", "washed"),
        ("Lyse/Wash", "washed"),
        ("lyse-no-wash", "unwashed"),
        ("LNW", "unwashed"),
        ("No-lyse no-wash", "unwashed"),
        ("sans lavage", "unwashed"),
        ("FACS Lysing", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_washed_or_not(text, found):
    assert washing_of(text) == found


# --- two platforms


TWO_PLATFORMS = CountingSettings(
    blood_count="WBC", blood_count_share="lymphocyte_percent", of=LYMPHOCYTES
)


def analyser(at: float, wbc: float = 9.8, unit: str = "G/L", share: float = 9.0) -> tuple[Any, ...]:
    drawn = ONSET + timedelta(days=at)
    return (
        Measurement("p1", "WBC", wbc, unit, drawn),
        Measurement("p1", "lymphocyte_percent", share, "%", drawn),
    )


def two(*measured: Measurement, washed: bool = True) -> dict[str, Any]:
    sample = tube(lysis="lyse-wash" if washed else None, counting_lot=None, blood_volume_ul=None)
    return value_of(of(TWO_PLATFORMS, sample, measurements=measured), counted(cd4=2870))


def test_a_blood_count_and_a_fraction():
    row = two(*analyser(0.6))
    assert round(row["value"], 1) == 361.6, "9.8 G/L × 9 % × 2870/7000; a wash loses no fraction"
    assert row["low"] < row["value"] < row["high"]
    assert row["known_at_day"] == 1


def test_the_blood_count_nearest_the_draw_is_taken():
    row = two(*analyser(0.9, wbc=5.0), *analyser(0.4, wbc=9.8), *analyser(0.1, wbc=20.0))
    assert round(row["value"], 1) == 361.6


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ((), "hold no WBC"),
        (analyser(0.5)[:1], "hold no lymphocyte_percent"),
        (analyser(-0.1), "hold no WBC"),
        (analyser(1.1), "hold no WBC"),  # 14 h later, and of the next day
        (analyser(0.5, unit="mg/L"), "does not convert to cells/µL"),
        (analyser(0.5, share=900.0), "wanted 0 to 1"),
        (analyser(0.5, wbc=-1.0), "wanted 0 or more"),
    ],
)
def test_without_a_blood_count_there_is_no_count(measured, words):
    row = two(*measured)
    assert row["value"] is None
    assert words in row["reason"]


def test_a_blood_count_of_a_later_day_is_not_known_yet():
    sample = tube(day=0.9, counting_lot=None, blood_volume_ul=None)
    s = of(TWO_PLATFORMS, sample, measurements=analyser(1.05))
    assert value_of(s, counted())["value"] is None, "four hours later, but on day 2"


def test_dates_and_labels_join_too():
    dated = tuple(replace(m, drawn_at_has_time=False) for m in analyser(0.9))
    assert two(*dated)["value"] is not None
    labelled = tuple(replace(m, drawn_at=None, timepoint="D1-2") for m in analyser(0.5))
    assert two(*labelled)["value"] is not None
    other = tuple(replace(m, timepoint="D3-4") for m in labelled)
    assert two(*other)["value"] is None


def test_ex_vivo_values_are_no_blood_counts():
    treated = tuple(replace(m, extra=(("drug", "IL-7"),)) for m in analyser(0.5))
    assert two(*treated)["value"] is None


def test_how_near_a_blood_count_must_lie_is_the_studys():
    near = replace(TWO_PLATFORMS, blood_count_hours=2.0)
    s = of(near, tube(), measurements=analyser(0.4))
    assert value_of(s, counted())["value"] is None, "2.4 h before the draw"


# --- study.toml


PLAN = """
[[gates]]
name = "beads"
type = "rectangle"
x = "fsc"
ranges = { x = { min = 1000 } }
[[gates]]
name = "lymphocytes"
type = "rectangle"
x = "fsc"
ranges = { x = { max = 1000 } }
"""
STUDY = """
[study]
name = "n"
samples = "samples.csv"
[assays.lymphocytes]
compensation = "none"
gating = "assays/plan.toml"
[assays.lymphocytes.channels]
fsc = "FSC-A"
[assays.lymphocytes.counting]
{counting}
[markers.n]
kind = "count"
population = "lymphocytes"
[counting_lots.L1]
{lot}
"""
SAMPLES = "file,patient_id,counting_lot\nfcs/a.fcs,7,L1\n"


def files(counting: str, lot: str = "beads_per_ul = 1000") -> dict[str, str]:
    text = STUDY.format(counting=counting, lot=lot)
    return {"study_toml": text, "samples_csv": SAMPLES, "assays__plan_toml": PLAN}


def test_study_toml_declares_lots_and_how_to_count(tmp_path: Path) -> None:
    counting = """beads = "beads"
lymphosum = ["lymphocytes"]
lymphosum_of = "root"
min_beads = 500"""
    lot = "beads_per_ul = 1000\ncv = 0.02\nexpires = 2027-01-31"
    read = load_study(write(tmp_path, **files(counting, lot)))
    assert read.counting_lot("L1") == CountingLot(
        "L1", beads_per_ul=1000, cv=0.02, expires=date(2027, 1, 31)
    )
    settings = read.assay("lymphocytes").counting
    assert settings == CountingSettings(
        beads="root/beads", lymphosum=("root/lymphocytes",), lymphosum_of="root", min_beads=500
    )
    assert read.warnings == ()


@pytest.mark.parametrize(
    ("counting", "lot", "words"),
    [
        ("", "beads_per_ul = 1", "assays.lymphocytes.counting: wanted one of beads"),
        ('beads = "beads"\nblood_count = "WBC"\nof = "root"', "beads_per_ul = 1", "one of beads"),
        ('beads = "bead"', "beads_per_ul = 1", "counting.beads: found 'bead'"),
        ('beads = "beads"\nlymphosum = ["x"]', "beads_per_ul = 1", "lymphosum[0]: found 'x'"),
        ('beads = "beads"\nt_sum_of = "root"', "beads_per_ul = 1", "no meaning without t_sum"),
        ('blood_count = "WBC"', "beads_per_ul = 1", "no meaning without of"),
        ('beads = "beads"\nfewest = 3', "beads_per_ul = 1", "counting.fewest: is no key"),
        ('beads = "beads"', "cv = 0.1", "counting_lots.L1: counting lot L1 needs one of"),
        ('beads = "beads"', "beads_per_ul = 0", "counting_lots.L1.beads_per_ul: found 0"),
    ],
)
def test_what_cannot_be_counted_so_is_refused(
    tmp_path: Path, counting: str, lot: str, words: str
) -> None:
    assert words in "\n".join(refused(tmp_path, **files(counting, lot)))


MEASURED = "patient_id,name,value,unit,timepoint\n7,WBC,9.8,G/L,D1\n7,ferritin,3,mol/L,D1\n"


def test_blood_counts_need_measurements(tmp_path: Path) -> None:
    counting = files('blood_count = "WBC"\nof = "root"')
    without = "\n".join(refused(tmp_path, **counting))
    assert "assays.lymphocytes.counting.blood_count: needs [study] measurements" in without
    counting["study_toml"] = counting["study_toml"].replace(
        'samples = "samples.csv"', 'samples = "samples.csv"\nmeasurements = "measurements.csv"'
    )
    read = load_study(write(tmp_path, **counting, measurements_csv=MEASURED))
    assert read.warnings == ()
    counting["study_toml"] = counting["study_toml"].replace('"WBC"', '"WBCs"')
    read = load_study(write(tmp_path, **counting, measurements_csv=MEASURED))
    assert "no value named 'WBCs'. Did you mean" in "\n".join(read.warnings)


def test_units_that_do_not_fit_are_told_before_the_run(tmp_path: Path) -> None:
    study = files('beads = "beads"')
    study["study_toml"] = study["study_toml"].replace(
        'samples = "samples.csv"', 'samples = "samples.csv"\nmeasurements = "measurements.csv"'
    )
    study["study_toml"] += '\n[markers.ferritin]\nkind = "measurement"\nunit = "ng/mL"\n'
    read = load_study(write(tmp_path, **study, measurements_csv=MEASURED))
    assert "row 3, unit: found mol/L, which does not convert to ng/mL" in "\n".join(read.warnings)
    study["study_toml"] = study["study_toml"].replace(
        'population = "lymphocytes"', 'population = "lymphocytes"\nunit = "AB/C"'
    )
    found = "\n".join(refused(tmp_path, **study, measurements_csv=MEASURED))
    assert "markers.n.unit: found 'AB/C'; wanted a unit of cells per volume" in found
