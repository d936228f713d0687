"""Simulated studies: the physics gives the truth back, courses and faults are what they claim."""

from __future__ import annotations

import csv
import hashlib
import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from flowutils.transforms import logicle

from cytosepsis.errors import CytosepsisError, FcsError
from cytosepsis.fcs import read_fcs
from cytosepsis.simulate import DEMO, FAULTS, SimulationSettings, simulate_study
from cytosepsis.simulate import instrument as machine
from cytosepsis.simulate.beads import PE_MOLECULES, draw_beads
from cytosepsis.simulate.blood import stained_blood
from cytosepsis.simulate.instrument import Response, acquire, response_of_day
from cytosepsis.simulate.particles import Kind, draw_particles
from cytosepsis.simulate.patients import COURSES, WINDOWS, simulated_patient
from cytosepsis.simulate.settings import generator
from cytosepsis.simulate.sheets import FIXED_PLAN, GATING_PLAN, study_toml

SMALL = SimulationSettings(seed=3, patients=3, healthy=1, events=1_500, bead_events=800)
FAULTY = SimulationSettings(
    seed=3, patients=3, healthy=1, events=1_500, bead_events=800, faults=tuple(FAULTS)
)
SAMPLE_FCS = Path(__file__).parents[1] / "sample_fcs"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def sheet(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "study"
    simulate_study(folder, SMALL)
    return folder


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty") / "study"
    simulate_study(folder, FAULTY)
    return folder


# --- the study as a whole


def test_equal_settings_give_equal_bytes(small, tmp_path):
    simulate_study(tmp_path / "again", SMALL)
    assert digests(tmp_path / "again") == digests(small)


def test_another_seed_gives_other_events(small, tmp_path):
    simulate_study(
        tmp_path / "other",
        SimulationSettings(seed=4, patients=3, healthy=1, events=1_500, bead_events=800),
    )
    assert digests(tmp_path / "other")["fcs/H001.fcs"] != digests(small)["fcs/H001.fcs"]


def test_faults_leave_the_good_files_and_rows_as_they_are(small, faulty):
    good, all_files = digests(small), digests(faulty)
    fcs = [name for name in good if name.startswith("fcs/")]
    assert {name: all_files[name] for name in fcs} == {name: good[name] for name in fcs}
    for name in ("samples", "beads", "clinical", "truth"):
        rows = sheet(faulty, name)
        assert [row for row in rows if row in sheet(small, name)] == sheet(small, name)
    assert len(sheet(faulty, "samples")) == len(sheet(small, "samples")) + len(FAULTS)


def test_more_people_change_no_file_of_the_others(small, tmp_path):
    simulate_study(
        tmp_path / "more",
        SimulationSettings(seed=3, patients=5, healthy=3, events=1_500, bead_events=800),
    )
    more = digests(tmp_path / "more")
    before = {name: d for name, d in digests(small).items() if name.startswith("fcs/")}
    assert {name: more[name] for name in before} == before


def test_the_call_says_what_it_wrote(tmp_path):
    written = simulate_study(str(tmp_path / "a"), SMALL)
    assert written.folder == tmp_path / "a"
    assert written.n_samples == len(sheet(written.folder, "samples"))
    assert written.n_bead_runs == len(sheet(written.folder, "beads"))
    assert written.n_patients == 3


def test_every_row_has_its_file_and_its_truth(small):
    samples = {row["sample_id"]: row for row in sheet(small, "samples")}
    truth = {row["sample_id"]: row for row in sheet(small, "truth")}
    assert list(samples) == list(truth)
    for sample_id, row in samples.items():
        raw = read_fcs(small / row["file"])
        said = truth[sample_id]
        assert raw.n_events == int(said["n_events"]) == SMALL.events
        kinds = [key for key in said if key.startswith("n_") and "true" not in key]
        kinds.remove("n_events")
        assert sum(int(said[key]) for key in kinds) == raw.n_events
        monocytes = int(said["n_monocytes"]) + int(said["n_cd14_low_monocytes"])
        assert int(said["n_true_monocytes"]) == monocytes > 0.05 * SMALL.events
        assert said["timepoint"] == row["timepoint"]
        assert (said["trajectory"] == "healthy") == (row["group"] == "healthy")


def test_each_sample_finds_beads_of_its_day_cytometer_and_voltage(small):
    beads = {}
    for row in sheet(small, "beads"):
        raw = read_fcs(small / row["file"])
        beads[raw.acquired_at] = (row["cytometer"], raw.parameters[4].voltage, raw.n_events)
    for row in sheet(small, "samples"):
        raw = read_fcs(small / row["file"])
        drawn, stained = (datetime.fromisoformat(row[key]) for key in ("drawn_at", "stained_at"))
        acquired = raw.acquired_at
        latest = max(moment for moment in beads if moment < acquired)
        assert acquired - latest < timedelta(hours=24)
        assert beads[latest] == (row["cytometer"], raw.parameters[4].voltage, 800)
        assert row["cytometer"] in raw.cytometer
        assert drawn < stained < drawn + timedelta(hours=4)
        assert stained < acquired


def test_the_channels_are_those_of_the_study(small):
    study = tomllib.loads((small / "study.toml").read_text(encoding="utf-8"))
    channels = study["assays"]["mhladr"]["channels"]
    assert list(channels) == ["fsc", "fsc_height", "ssc", "cd14", "hladr"]
    assert study["bead_lots"]["SIM-01"]["pe_molecules"] == list(PE_MOLECULES)
    raw = read_fcs(small / "fcs/H001.fcs")
    for names in channels.values():
        assert set(raw.pnn + raw.pns) >= set([names] if isinstance(names, str) else names)
    plan = tomllib.loads((small / "assays/mhladr.toml").read_text(encoding="utf-8"))
    axes = [gate[axis] for gate in plan["gates"] for axis in ("x", "y") if axis in gate]
    used = {axis if isinstance(axis, str) else axis["channel"] for axis in axes}
    assert used == {"fsc", "fsc_height", "ssc", "cd14"}  # never HLA-DR


def test_limits_are_lowered_only_for_short_files():
    short = tomllib.loads(study_toml(SimulationSettings(events=5_000)))["assays"]["mhladr"]
    assert short["limits"] == {"recommended_cells": 250}
    assert short["abc"]["min_events"] == 250
    full = tomllib.loads(study_toml(SimulationSettings(events=60_000)))["assays"]["mhladr"]
    assert "limits" not in full
    assert full["abc"]["min_events"] == 500


def test_a_folder_with_anything_in_it_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(CytosepsisError, match="is not an empty folder") as caught:
        simulate_study(tmp_path, SMALL)
    assert caught.value.code == "simulation"
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"faults": ("truncated", "tea")}, "Unknown faults: tea. Known are: truncated, empty"),
        ({"faults": ("empty", "empty")}, "A fault is named twice"),
        ({"patients": -1}, "found patients=-1"),
        ({"events": 0}, "at least one event per file"),
    ],
)
def test_settings_that_make_no_study_are_refused(values, message):
    with pytest.raises(CytosepsisError, match=message):
        SimulationSettings(**values)


# --- the physics


def compensated(events: np.ndarray) -> np.ndarray:
    """CD14 and HLA-DR light, unmixed with the matrix that the files carry."""
    return events[:, 3:5].astype(np.float64) @ np.linalg.inv(np.array(machine.SPILLOVER))


def in_polygon(x: np.ndarray, y: np.ndarray, vertices: list[list[float]]) -> np.ndarray:
    inside = np.zeros(len(x), dtype=bool)
    for (x1, y1), (x2, y2) in zip(vertices, vertices[1:] + vertices[:1], strict=True):
        if y1 != y2:
            crossing = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
            inside ^= ((y1 > y) != (y2 > y)) & (x < crossing)
    return inside


def gated(events: np.ndarray) -> np.ndarray:
    """Events in the fixed monocyte gate, by the slow way."""
    gates = {gate["name"]: gate for gate in tomllib.loads(FIXED_PLAN)["gates"]}
    inside = in_polygon(events[:, 0], events[:, 1], gates["singlets"]["vertices"])
    for axis, column in (("x", 0), ("y", 2)):
        limits = gates["leucocytes"]["ranges"][axis]
        inside &= (events[:, column] >= limits["min"]) & (events[:, column] < limits["max"])
    cd14 = logicle(np.ascontiguousarray(compensated(events)[:, :1]), [0], 262144, 4.5, 0.5, 0)
    return inside & in_polygon(cd14[:, 0], events[:, 2], gates["monocytes"]["vertices"])


@pytest.mark.parametrize(
    ("abc", "septic"), [(2_000, True), (5_000, True), (13_000, True), (16_000, False)]
)
@pytest.mark.parametrize("seed", range(3))
def test_the_plan_and_the_true_line_give_the_true_antibodies(abc, septic, seed):
    rng = generator(seed, "blood", str(abc))
    response = response_of_day(rng)
    blood = stained_blood(abc, septic=septic, rng=rng)
    particles = blood.draw(60_000, rng)
    events = acquire(particles, response, rng=rng)
    inside, true = gated(events), blood.monocytes(particles)
    intensity = np.median(compensated(events)[inside, 1])
    found = 10 ** ((np.log10(intensity) - response.intercept) / response.slope)
    assert found == pytest.approx(np.median(particles.pe[true]), rel=0.007)
    assert found == pytest.approx(abc, rel=0.03)
    assert (inside & true).sum() > 0.95 * true.sum()
    assert (inside & ~true).sum() < 0.015 * inside.sum()


def test_without_compensation_b_cells_shine_into_cd14():
    rng = generator(1, "spill")
    blood = stained_blood(8_000, septic=False, rng=rng)
    particles = blood.draw(60_000, rng)
    response = Response(gain=1.1, slope=1.0)
    events = acquire(particles, response, rng=rng)
    b_cells = particles.of(blood.kinds, "b_cells")
    true_cd14 = particles.cd14[b_cells]
    true_pe = response.intensity(particles.pe[b_cells])
    unmixed = compensated(events)[b_cells]
    error_cd14, error_pe = unmixed[:, 0] - true_cd14, unmixed[:, 1] - true_pe
    for error in (error_cd14, error_pe):
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error))
    spilled = events[b_cells, 3] - true_cd14
    assert spilled.mean() == pytest.approx(0.14 * true_pe.mean(), rel=0.02)
    assert (events[:, 3] < 0).any()  # electronic noise
    assert (events[:, 4] < 0).any()


def test_noise_is_photons_and_electronics():
    light = 3_000.0
    kind = (Kind("flat", 50_000, 50_000, 0, light, 0, 0, 0, 0),)
    rng = generator(1, "noise")
    particles = draw_particles(kind, (1.0,), 50_000, doublets=0.0, rng=rng)
    events = acquire(particles, Response(gain=1.0, slope=1.0), rng=rng)
    pe = events[particles.single, 4].astype(np.float64)
    variance = machine.UNITS_PER_PHOTOELECTRON * light + machine.ELECTRONIC_SD**2
    assert pe.mean() == pytest.approx(light, rel=0.002)
    assert pe.var() == pytest.approx(variance, rel=0.03)


def test_doublets_add_area_but_not_height_and_clumps_saturate():
    rng = generator(1, "doublets")
    kind = (Kind("cell", 60_000, 20_000, 0, 1_000),)
    particles = draw_particles(kind, (1.0,), 20_000, doublets=0.1, rng=rng)
    events = acquire(particles, Response(1.0, 1.0), rng=rng)
    double = ~particles.single & ~particles.clump
    assert double.mean() == pytest.approx(0.1, abs=0.01)
    ratio = events[:, 1] / events[:, 0]
    assert np.median(ratio[particles.single]) == pytest.approx(0.85, abs=0.005)
    assert np.percentile(ratio[double], 99) < 0.72
    assert np.median(particles.pe[double]) == pytest.approx(2_070, rel=0.05)
    assert (events[particles.clump, 0] == 262_143).mean() > 0.99
    assert events[:, :5].max() == 262_143


@pytest.mark.parametrize("seed", range(4))
def test_beads_lie_on_the_line_of_their_day(seed):
    rng = generator(seed, "beads")
    response = response_of_day(rng)
    particles = draw_beads(10_000, level_sd=0.004, rng=rng)
    pe = acquire(particles, response, rng=rng)[:, 4]
    levels = [pe[particles.single & (particles.kind == level)] for level in range(4)]
    log_intensity = np.log10([np.median(level) for level in levels])
    slope, intercept = np.polyfit(np.log10(PE_MOLECULES), log_intensity, 1)
    assert slope == pytest.approx(response.slope, abs=0.01)
    assert intercept == pytest.approx(response.intercept, abs=0.03)
    residual = log_intensity - (slope * np.log10(PE_MOLECULES) + intercept)
    assert 0.0001 < np.sqrt((residual**2).sum() / 2) < 0.008
    assert 0.045 < np.std(np.log(levels[3])) < 0.06
    sizes = [len(level) for level in levels]
    assert max(sizes) > 1.15 * min(sizes)
    assert 0.04 < (particles.kind == 4).mean() < 0.11
    assert 0.03 < (~particles.single).mean() < 0.07


def test_a_level_left_out_is_absent():
    particles = draw_beads(5_000, level_sd=0.004, without_level=2, rng=generator(1, "b"))
    assert np.bincount(particles.kind, minlength=5)[2] == 0


def test_days_drift_within_their_limits():
    days = [response_of_day(generator(1, "day", str(day))) for day in range(300)]
    assert 0.02 < np.std([np.log(day.gain) for day in days]) < 0.04
    slopes = [day.slope for day in days]
    assert 0.98 <= min(slopes) < 0.99
    assert 1.01 < max(slopes) <= 1.02


def test_time_runs_at_the_rate_of_the_instrument(small):
    raw = read_fcs(small / "fcs/H001.fcs")
    seconds = raw.linear()[:, 5]
    assert (np.diff(seconds) >= 0).all()
    assert raw.n_events / seconds[-1] == pytest.approx(machine.EVENTS_PER_SECOND, rel=0.15)


# --- the people

MANY = SimulationSettings(patients=600)


@pytest.fixture(scope="module")
def people():
    return [simulated_patient(MANY, i + 1) for i in range(MANY.patients)]


def course_of(patient) -> str | None:
    return patient.draws[0].trajectory if patient.draws else None


def test_courses_go_where_their_names_say(people):
    ratios = {course.name: [] for course in COURSES}
    for patient in people:
        levels = {draw.timepoint: draw.abc for draw in patient.draws}
        if {"D1-2", "D6-8"} <= levels.keys():
            ratios[course_of(patient)].append(levels["D6-8"] / levels["D1-2"])
    medians = {name: np.median(values) for name, values in ratios.items()}
    assert medians["recoverer"] > 1.8
    assert 0.85 < medians["non_improver"] < 1.2
    assert medians["decliner"] < 0.6


def test_levels_are_those_of_septic_shock(people):
    for timepoint, low, high in (("D1-2", 5_000, 7_500), ("D3-4", 4_500, 7_500)):
        levels = [d.abc for p in people for d in p.draws if d.timepoint == timepoint]
        assert low < np.median(levels) < high
    every = [draw.abc for patient in people for draw in patient.draws]
    assert min(every) > 1_000
    assert max(every) < 45_000


def test_those_who_do_not_improve_fare_worse(people):
    better = [p for p in people if course_of(p) == "recoverer"]
    worse = [p for p in people if course_of(p) in {"non_improver", "decliner"}]
    for field in ("death_day", "infection_day"):
        rates = [np.mean([getattr(p, field) is not None for p in some]) for some in (better, worse)]
        assert rates[1] > 1.5 * rates[0] > 0


def test_draws_stand_in_their_windows_on_working_days_before_the_patient_left(people):
    windows = {name: (first, last) for name, first, last in WINDOWS}
    taken = dict.fromkeys(windows, 0)
    for patient in people:
        for draw in patient.draws:
            day = int((draw.drawn_at - patient.shock_onset) / timedelta(days=1)) + 1
            first, last = windows[draw.timepoint]
            assert draw.drawn_at >= patient.shock_onset
            assert first <= day <= last
            assert draw.drawn_at.weekday() < 5
            assert day < (patient.death_day or 99)
            assert day < (patient.icu_discharge_day or 99)
            taken[draw.timepoint] += 1
    assert len(people) > taken["D1-2"] > taken["D6-8"] > 0.4 * len(people)


def test_outcomes_agree_with_each_other(people):
    for patient in people:
        leaves = [day for day in (patient.death_day, patient.icu_discharge_day) if day]
        assert leaves
        assert (patient.infection_day or 0) < min(leaves)
        assert patient.followup_days == min(90, patient.death_day or 90)
        if patient.death_day and patient.icu_discharge_day:
            assert patient.icu_discharge_day < patient.death_day


# --- the faults


@pytest.mark.parametrize("fault", ["truncated", "empty", "garbage", "missing", "wrong_tot"])
def test_a_damaged_file_cannot_be_read(faulty, fault):
    with pytest.raises(FcsError):
        read_fcs(faulty / f"fcs/F_{fault}.fcs")


def test_total_is_wrong_by_its_digits_only(faulty):
    damaged = (faulty / "fcs/F_wrong_tot.fcs").read_bytes()
    assert b"/$TOT/9999/" in damaged
    assert len(damaged) == (faulty / "fcs/F_late_staining.fcs").stat().st_size


def truth_of(folder: Path, fault: str) -> dict[str, str]:
    return next(row for row in sheet(folder, "truth") if row["fault"] == fault)


def test_truth_of_faults(faulty):
    for fault in FAULTS:
        row = truth_of(faulty, fault)
        assert row["sample_id"] == f"F_{fault}"
        assert float(row["patient_abc"]) > 1_000
        nothing = fault in {"empty", "garbage", "missing", "no_events"}
        assert (row["sample_abc"] == "") == nothing


def test_a_missing_channel_takes_its_spillover_along(faulty):
    raw = read_fcs(faulty / "fcs/F_missing_channel.fcs")
    assert raw.pnn == ("FSC-A", "FSC-H", "SSC-A", "PerCP-Cy5-5-A", "Time")
    assert "$SPILLOVER" not in raw.keywords


def test_no_events_and_few_cells(faulty):
    assert read_fcs(faulty / "fcs/F_no_events.fcs").n_events == 0
    few = read_fcs(faulty / "fcs/F_few_cells.fcs")
    assert few.n_events == int(truth_of(faulty, "few_cells")["n_events"]) == 1_200
    assert int(truth_of(faulty, "few_cells")["n_true_monocytes"]) < 200


def test_wrong_voltage_is_in_the_file_and_in_the_light(faulty):
    raw = read_fcs(faulty / "fcs/F_wrong_voltage.fcs")
    assert raw.parameters[4].voltage == 550.0
    events = raw.linear()
    intensity = np.median(compensated(events)[gated(events), 1])
    assert intensity > 1.4 * float(truth_of(faulty, "wrong_voltage")["sample_abc"])


def test_other_cytometer_is_in_sheet_and_file(faulty):
    row = next(r for r in sheet(faulty, "samples") if r["sample_id"] == "F_other_cytometer")
    assert row["cytometer"] == "SIM0002"
    assert "SIM0002" in read_fcs(faulty / row["file"]).cytometer
    assert {r["cytometer"] for r in sheet(faulty, "beads")} == {"SIM0001"}


def test_unstable_has_a_gap_and_a_step(faulty):
    seconds = read_fcs(faulty / "fcs/F_unstable.fcs").linear()
    gaps = np.diff(seconds[:, 5])
    assert gaps.max() == pytest.approx(4.0, abs=0.1)
    before, after = np.split(seconds[:, 2], [int(gaps.argmax()) + 1])
    assert np.percentile(after, 80) == pytest.approx(0.5 * np.percentile(before, 80), rel=0.1)


def test_late_staining_is_late(faulty):
    row = next(r for r in sheet(faulty, "samples") if r["sample_id"] == "F_late_staining")
    waited = datetime.fromisoformat(row["stained_at"]) - datetime.fromisoformat(row["drawn_at"])
    assert waited == timedelta(hours=7)
    truth = truth_of(faulty, "late_staining")
    assert float(truth["sample_abc"]) > float(truth["patient_abc"])


def test_no_beads_within_two_days_of_that_fault(faulty):
    drawn = next(r for r in sheet(faulty, "samples") if r["sample_id"] == "F_no_beads")["drawn_at"]
    for row in sheet(faulty, "beads"):
        apart = read_fcs(faulty / row["file"]).acquired_at - datetime.fromisoformat(drawn)
        assert abs(apart) > timedelta(days=2)


def test_level_missing_is_named_in_the_truth_of_beads(faulty):
    row = next(r for r in sheet(faulty, "truth_beads") if r["fault"])
    assert row["fault"] == "level_missing"
    raw = read_fcs(faulty / "fcs" / f"{row['bead_run']}.fcs")
    line = Response(1.0, float(row["slope"]))
    assert line.slope == pytest.approx(1.0, abs=0.021)
    level = 10 ** (float(row["slope"]) * np.log10(PE_MOLECULES[2]) + float(row["intercept"]))
    near = np.abs(raw.linear()[:, 4] / level - 1) < 0.1
    assert near.mean() < 0.01


# --- the demo


def test_sample_fcs_is_the_demo_and_small_enough():
    truth = sheet(SAMPLE_FCS, "truth")
    assert sum(path.stat().st_size for path in SAMPLE_FCS.rglob("*")) <= 8 * 2**20
    assert (SAMPLE_FCS / "study.toml").read_text(encoding="utf-8") == study_toml(DEMO)
    assert (SAMPLE_FCS / "assays/mhladr.toml").read_text(encoding="utf-8") == GATING_PLAN
    assert {row["trajectory"] for row in truth} >= {"recoverer", "non_improver", "decliner"}
    for row in truth:
        raw = read_fcs(SAMPLE_FCS / "fcs" / f"{row['sample_id']}.fcs")
        events = raw.linear()
        assert len(events) == int(row["n_events"])
        assert gated(events).sum() == pytest.approx(int(row["n_true_monocytes"]), rel=0.05)
        assert int(row["n_true_monocytes"]) > 500
