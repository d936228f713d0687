"""Damaged files: a row that says why, or the result of the sound file; never a fault of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cytosepsis.bead_runs import analyze_beads
from cytosepsis.bead_tasks import BeadTask, bead_tasks
from cytosepsis.config import load_study
from cytosepsis.file_results import SampleFailure, SampleOutcome, SampleResult
from cytosepsis.protocol import Assay, Sample, Study
from cytosepsis.sample import analyze_sample
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.study import run_study

SETTINGS = SimulationSettings(patients=1, healthy=1, events=300, bead_events=500)
damage = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("damage") / "study"
    simulate_study(folder, SETTINGS)
    return load_study(folder)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage") / "damaged.fcs"


@pytest.fixture(scope="module")
def sound(study: Study) -> SampleResult:
    outcome = analyze_sample(study.samples[0], study.assays[0], digest=False)
    assert isinstance(outcome, SampleResult)
    return outcome


def analyzed(study: Study, scratch: Path, data: bytes) -> SampleOutcome:
    scratch.write_bytes(data)
    sample: Sample = replace(study.samples[0], path=str(scratch))
    assay: Assay = study.assays[0]
    return analyze_sample(sample, assay, digest=False)


def original(study: Study) -> bytes:
    return Path(study.samples[0].path).read_bytes()


def begin_of_data(data: bytes) -> int:
    return int(data[26:34])  # HEADER (FCS 3.1, 3.1)


@damage
@given(data=st.data())
def test_a_file_cut_anywhere_says_so(study: Study, scratch: Path, data: st.DataObject) -> None:
    whole = original(study)
    keep = data.draw(st.integers(0, begin_of_data(whole) + 300 * 6 * 4 - 1))
    outcome = analyzed(study, scratch, whole[:keep])
    assert isinstance(outcome, SampleFailure)
    assert not outcome.unforeseen, outcome
    assert outcome.step == "read"


@damage
@given(data=st.data())
def test_an_altered_header_or_text_never_meets_a_fault_of_ours(
    study: Study, scratch: Path, sound: SampleResult, data: st.DataObject
) -> None:
    changed = bytearray(original(study))
    end = begin_of_data(changed)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    outcome = analyzed(study, scratch, bytes(changed))
    if isinstance(outcome, SampleFailure):
        assert not outcome.unforeseen, outcome
    else:
        assert outcome.n_events == sound.n_events


@damage
@given(tail=st.binary(min_size=1, max_size=200))
def test_bytes_after_the_end_change_nothing(
    study: Study, scratch: Path, sound: SampleResult, tail: bytes
) -> None:
    assert analyzed(study, scratch, original(study) + tail) == sound


@damage
@given(junk=st.binary(max_size=500))
def test_junk_is_no_fcs_file(study: Study, scratch: Path, junk: bytes) -> None:
    outcome = analyzed(study, scratch, junk)
    assert isinstance(outcome, SampleFailure)
    assert not outcome.unforeseen, outcome


@damage
@given(data=st.data())
def test_damaged_beads_fail_or_are_judged(study: Study, scratch: Path, data: st.DataObject) -> None:
    task: BeadTask = bead_tasks(study)[0]
    whole = Path(task.bead_run.path).read_bytes()
    changed = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if changed else 0):
        place = data.draw(st.integers(0, min(len(changed), begin_of_data(whole)) - 1))
        changed[place] = data.draw(st.integers(0, 255))
    scratch.write_bytes(bytes(changed))
    damaged = replace(task, bead_run=replace(task.bead_run, path=str(scratch)))
    result = analyze_beads(damaged, digest=False)
    assert result.error_code != "unforeseen", result.error
    assert (result.calibration is None) == (result.status == "failed")


def test_an_edited_plan_counts_in_the_same_process(study: Study, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    gate = (
        '[[gates]]\nname = "g"\ntype = "rectangle"\nranges = {{ x = {{ min = {} }} }}\nx = "fsc"\n'
    )
    assay = replace(study.assays[0], gating=str(plan), abc=None, statistics=())
    counts = []
    for minimum in (0, 1e9):
        plan.write_text(gate.format(minimum))
        outcome = analyze_sample(study.samples[0], assay)
        assert isinstance(outcome, SampleResult), outcome
        counts.append(outcome.populations[1].n_events)
    assert counts[0] > counts[1] == 0


def test_each_fault_costs_its_own_row_and_no_other(tmp_path: Path) -> None:
    faults = {
        "truncated": "truncated",
        "empty": "empty",
        "garbage": "not_fcs",
        "missing": "missing",
        "missing_channel": "channel_missing",
        "no_events": "no_events",
        "wrong_tot": "truncated",
    }
    enough = replace(SETTINGS, events=4000, bead_events=2500)  # for gates to be found
    simulate_study(tmp_path / "good", enough)
    simulate_study(tmp_path / "bad", replace(enough, faults=tuple(faults)))
    good = run_study(load_study(tmp_path / "good"), out=tmp_path / "good_results")
    bad = run_study(load_study(tmp_path / "bad"), out=tmp_path / "bad_results")
    failed = bad.table("samples").filter(pl.col("status") == "failed")
    assert dict(failed.select("sample_id", "error_code").iter_rows()) == {
        f"F_{fault}": code for fault, code in faults.items()
    }
    assert failed["error"].null_count() == 0
    assert good.table("abc")["abc"].null_count() == 0
    for name in ("samples", "populations", "intensities", "abc", "patients", "marker_values"):
        rows = good.table(name)
        key = "sample_id" if "sample_id" in rows.columns else "patient_id"
        same = bad.table(name).filter(pl.col(key).is_in(rows[key].implode()))
        assert same.equals(rows), name
