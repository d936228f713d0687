"""Damaged files: a row that says why, or the result of the sound file; never a fault of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cytosepsis.config import load_study
from cytosepsis.protocol import Assay, Sample, Study
from cytosepsis.sample import (
    BeadTask,
    SampleFailure,
    SampleOutcome,
    SampleResult,
    analyze_beads,
    analyze_sample,
    bead_tasks,
)
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


def test_one_of_each_damage_leaves_the_others_as_they_are(study: Study, tmp_path: Path) -> None:
    whole = original(study)
    bad = {
        "empty": b"",
        "garbage": b"garbage" * 100,
        "cut": whole[:-700],
        "missing": None,
    }
    samples = []
    for name, data in bad.items():
        path = tmp_path / f"{name}.fcs"
        if data is not None:
            path.write_bytes(data)
        samples.append(replace(study.samples[0], sample_id=name, file=path.name, path=str(path)))
    sound = run_study(study, tmp_path / "sound")
    mixed = replace(study, samples=(samples[0], *study.samples, *samples[1:]))
    results = run_study(mixed, tmp_path / "mixed")
    assert (results.run.n_failed, results.run.n_unforeseen) == (4, 0)
    failed = results.table("samples").filter(pl.col("sample_id").is_in(list(bad)))
    codes = dict(zip(failed["sample_id"], failed["error_code"], strict=True))
    assert codes == {
        "empty": "empty",
        "garbage": "not_fcs",
        "cut": "truncated",
        "missing": "missing",
    }
    assert failed["error"].null_count() == 0
    for name in ("samples", "populations", "intensities", "calibrations", "abc"):
        left = results.table(name)
        if "sample_id" in left.columns:
            left = left.filter(~pl.col("sample_id").is_in(list(bad)))
        assert left.equals(sound.table(name)), name
