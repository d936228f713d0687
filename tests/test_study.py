"""Runs of whole studies: what is computed, what is reused, what a death or a change costs."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cytosepsis.calibration import BeadLot
from cytosepsis.engines import workers_worth
from cytosepsis.errors import CytosepsisError, StoreError
from cytosepsis.file_stamps import file_digest
from cytosepsis.protocol import AbcSettings, Assay, BeadRun, Limits, Sample, Study
from cytosepsis.study import Progress, run_study
from cytosepsis.tasks import Order, SampleTask, code_digest, works_of
from study_tasks import perform


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr("cytosepsis.study.PERFORM", "study_tasks:perform")
    monkeypatch.setattr("cytosepsis.kernel_cache.is_compiled", lambda *_: True)


def make_study(folder: Path, words: dict[str, str | None]) -> Study:
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text("")
    plan = folder / "plan.toml"
    plan.write_text("gates")
    for name, word in words.items():
        if word is not None:
            (folder / f"{name}.fcs").write_text(word)
    (folder / "beads.fcs").write_text("beads")
    assay = Assay("mhladr", "none", str(plan), (("hladr", ("PE-A",)),), AbcSettings("m", "hladr"))
    return Study(
        name="demo",
        folder=folder,
        samples=tuple(
            Sample(name, f"{name}.fcs", str(folder / f"{name}.fcs"), f"P-{name}", "mhladr")
            for name in words
        ),
        assays=(assay,),
        bead_runs=(BeadRun("B1", "beads.fcs", str(folder / "beads.fcs"), "L"),),
        bead_lots=(BeadLot("L", (1.0, 2.0, 3.0)),),
    )


def calls(study: Study) -> Counter[str]:
    """How often each sample was measured since last asked."""
    log = study.folder / "calls.log"
    found = Counter(log.read_text().split()) if log.exists() else Counter[str]()
    log.unlink(missing_ok=True)
    return found


WORDS: dict[str, str | None] = {f"s{n}": "x" * (1 + n % 5) for n in range(8)}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path / "study", WORDS)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


# -------------------------------------------------------------------------- what is computed


def test_every_sample_has_its_row_in_the_order_of_the_sheet(study: Study, out: Path) -> None:
    results = run_study(study, out)
    samples = results.table("samples")
    assert samples["sample_id"].to_list() == list(WORDS)
    assert samples["n_events"].to_list() == [len(word or "") for word in WORDS.values()]
    assert samples["sha256"][0] == file_digest(study.samples[0].path)
    assert results.table("calibrations")["bead_run"].to_list() == ["B1"]
    run = json.loads((out / "run.json").read_text())
    assert (run["n_samples"], run["n_computed"], run["n_reused"], run["n_failed"]) == (8, 8, 0, 0)
    assert run["inputs"]["s0.fcs"] == samples["sha256"][0]
    assert run["inputs"]["beads.fcs"] == file_digest(study.bead_runs[0].path)
    assert run["limits"]["mhladr"]["recommended_cells"] == 3000
    assert {"python", "numpy", "flowkit"} <= run["versions"].keys()


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_equal_tables(study: Study, out: Path, workers: int) -> None:
    here = run_study(study, out / "1")
    there = run_study(study, out / str(workers), workers=workers)
    for name in here.tables:
        assert_frame_equal(here.table(name), there.table(name))
        for suffix in ("csv", "parquet"):
            name_ = f"{name}.{suffix}"
            assert (here.folder / name_).read_bytes() == (there.folder / name_).read_bytes()


def test_largest_files_go_first(study: Study, out: Path) -> None:
    order: list[str] = []

    def note(progress: Progress) -> None:
        if progress.name is not None and progress.name != "B1":
            order.append(progress.name)

    run_study(study, out, progress=note)
    sizes = [len(WORDS[name] or "") for name in order]
    assert sizes == sorted(sizes, reverse=True)
    assert len(order) == 8


def test_progress_ends_with_everything_done(study: Study, out: Path) -> None:
    seen: list[Progress] = []
    run_study(study, out, progress=seen.append)
    last = seen[-1]
    assert (last.n_files, last.n_done, last.n_reused, last.n_failed) == (9, 9, 0, 1)
    assert last.n_bytes_done == last.n_bytes == sum(len(w or "") for w in WORDS.values()) + 5
    assert last.n_events == sum(len(w or "") for w in WORDS.values())
    assert [p.failed for p in seen if p.failed] == ["levels_missing: no beads here"]


def test_digest_stat_leaves_the_column_null(study: Study, out: Path) -> None:
    results = run_study(study, out, digest="stat")
    assert results.table("samples")["sha256"].null_count() == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers is 0; at least 1"),
        ({"digest": "md5"}, "digest is 'md5'; 'sha256' or 'stat'"),
        ({"file_timeout_seconds": 0}, "file_timeout_seconds is 0; more than 0"),
    ],
)
def test_wrong_arguments_are_refused(
    study: Study, out: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(CytosepsisError, match=message):
        run_study(study, out, **arguments)
    assert not out.exists()


# ---------------------------------------------------------------------------- what is reused


def rerun(study: Study, out: Path, **arguments: Any) -> tuple[int, int, set[str]]:
    """Computed and reused samples of another run, and which were measured."""
    calls(study)
    results = run_study(study, out, **arguments)
    return results.run.n_computed, results.run.n_reused, set(calls(study))


def test_nothing_is_computed_twice(study: Study, out: Path) -> None:
    first = run_study(study, out)
    before = (out / "samples.csv").read_bytes()
    assert rerun(study, out) == (0, 8, set())
    assert (out / "samples.csv").read_bytes() == before
    assert first.run.n_computed == 8


def test_unchanged_files_are_not_hashed_again(
    study: Study, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_study(study, out)
    monkeypatch.setattr("cytosepsis.study.file_digest", lambda _: pytest.fail("hashed"))
    assert rerun(study, out) == (0, 8, set())


@pytest.mark.parametrize("digest", ["sha256", "stat"])
def test_only_a_changed_file_is_computed(study: Study, out: Path, digest: str) -> None:
    run_study(study, out, digest=digest)  # type: ignore[arg-type]
    Path(study.samples[3].path).write_text("something else")
    assert rerun(study, out, digest=digest) == (1, 7, {"s3"})


def test_a_file_that_was_only_touched_is_reused(study: Study, out: Path) -> None:
    run_study(study, out)
    os.utime(study.samples[3].path, (1, 1))
    assert rerun(study, out) == (0, 8, set())


def test_a_file_that_was_replaced_with_size_and_time_kept_is_computed(
    study: Study, out: Path
) -> None:
    run_study(study, out)
    path = Path(study.samples[3].path)
    before = path.stat()
    other = path.with_suffix(".new")
    other.write_text("z" * before.st_size)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert rerun(study, out) == (1, 7, {"s3"})


def test_a_study_that_was_moved_is_reused(study: Study, out: Path) -> None:
    run_study(study, out)
    moved = study.folder.with_name("moved")
    study.folder.rename(moved)
    there = make_study(moved, WORDS)
    assert rerun(there, out) == (0, 8, set())


def with_assay(study: Study, **changes: Any) -> Study:
    return replace(study, assays=(replace(study.assays[0], **changes),))


@pytest.mark.parametrize(
    ("change", "n_computed"),
    [
        pytest.param(lambda s: with_assay(s, statistics=(("m", ("hladr",)),)), 8, id="statistics"),
        pytest.param(lambda s: with_assay(s, compensation="file"), 8, id="compensation"),
        pytest.param(lambda s: with_assay(s, limits=Limits(recommended_cells=1)), 0, id="limits"),
        pytest.param(
            lambda s: with_assay(s, abc=AbcSettings("m", "hladr", cutoffs=(1.0,))), 0, id="cutoffs"
        ),
        pytest.param(
            lambda s: replace(s, samples=tuple(replace(x, timepoint="D1") for x in s.samples)),
            0,
            id="sheet",
        ),
        pytest.param(
            lambda s: replace(s, samples=(replace(s.samples[0], cytometer="A"), *s.samples[1:])),
            1,
            id="cytometer",
        ),
        pytest.param(lambda s: replace(s, samples=s.samples[2:]), 0, id="fewer"),
    ],
)
def test_what_a_change_of_the_study_costs(
    study: Study, out: Path, change: Callable[[Study], Study], n_computed: int
) -> None:
    run_study(study, out)
    changed = change(study)
    assert rerun(changed, out)[0] == n_computed


def test_a_changed_plan_is_computed_again(study: Study, out: Path) -> None:
    run_study(study, out)
    Path(study.assays[0].gating).write_text("other gates")
    assert rerun(study, out)[0] == 8


def test_other_code_or_another_digest_is_computed_again(
    study: Study, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_study(study, out)
    assert rerun(study, out, digest="stat")[0] == 8
    monkeypatch.setattr("cytosepsis.study.code_digest", lambda: "other")
    assert rerun(study, out, digest="stat")[0] == 8


def test_what_is_computed_says_why(study: Study, out: Path) -> None:
    first = run_study(study, out)
    assert first.run.reasons == {"new": 9}
    Path(study.samples[3].path).write_text("something else")
    Path(study.samples[4].path).unlink()
    again = run_study(study, out)
    assert again.run.reasons == {"file_changed": 1, "file_missing": 1}
    assert (again.run.n_computed, again.run.n_reused) == (2, 6)
    Path(study.samples[4].path).write_text("back")
    assert run_study(study, out).run.reasons == {"failed_before": 1}
    Path(study.assays[0].gating).write_text("other gates")
    assert run_study(study, out).run.reasons == {"study_changed": 8}
    assert run_study(study, out, digest="stat").run.reasons == {"digest_changed": 9}
    assert run_study(study, out, digest="stat").run.reasons == {}


def test_the_log_has_a_line_per_file_with_its_time_and_reason(study: Study, out: Path) -> None:
    run_study(study, out)
    lines = [json.loads(line) for line in (out / "logs" / "run.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["begin", *["file"] * 9, "end"]
    assert {line["sample_id"] for line in lines if "sample_id" in line} == set(WORDS)
    for line in lines[1:-1]:
        assert line["why"] == "new"
        assert line["seconds"] >= 0
        assert line["level"] == ("warning" if line.get("bead_run") else "info")


def test_a_log_level_leaves_out_what_is_below(study: Study, out: Path) -> None:
    run_study(study, out, log_level="warning")
    lines = (out / "logs" / "run.jsonl").read_text().splitlines()
    assert [json.loads(line)["bead_run"] for line in lines] == ["B1"]


def test_fresh_computes_everything(study: Study, out: Path) -> None:
    run_study(study, out)
    assert rerun(study, out, fresh=True)[:2] == (8, 0)


def test_failures_of_the_moment_are_tried_again_and_those_of_bytes_are_not(
    tmp_path: Path, out: Path
) -> None:
    words = {"ok": "x", "broken": "broken", "fault": "fault", "memory": "memory", "gone": None}
    study = make_study(tmp_path / "study", words)
    results = run_study(study, out)
    assert (results.run.n_failed, results.run.n_unforeseen) == (4, 1)
    assert rerun(study, out)[2] == {"fault", "memory", "gone"}
    (study.folder / "gone.fcs").write_text("back")
    rerun(study, out)
    assert run_study(study, out).table("samples")["n_events"][4] == 4


def test_a_file_that_changes_while_it_is_read_is_read_again(
    study: Study, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, as_usual = Path(study.samples[0].path), perform

    def change_afterwards(order: Order) -> object:
        outcome = as_usual(order)
        if isinstance(order.task, SampleTask) and order.task.sample.sample_id == "s0":
            victim.write_text("changed behind our back")
        return outcome

    monkeypatch.setattr("study_tasks.perform", change_afterwards)
    run_study(study, out)
    monkeypatch.setattr("study_tasks.perform", as_usual)
    assert rerun(study, out) == (1, 7, {"s0"})


def test_a_journal_that_lies_is_said(study: Study, out: Path) -> None:
    import sqlite3

    run_study(study, out)
    with sqlite3.connect(out / "journal.sqlite") as db:
        db.execute("UPDATE outcomes SET record = '{}' WHERE name = 's1'")
    db.close()
    with pytest.raises(StoreError, match=r"outcome of 's1' cannot be understood.*--fresh"):
        run_study(study, out)


# ------------------------------------------------------------------- deaths and interruptions


def test_a_worker_that_dies_costs_one_row(tmp_path: Path, out: Path) -> None:
    words = {**WORDS, "bad": "die", "unlucky": "die once"}
    study = make_study(tmp_path / "study", words)
    results = run_study(study, out, workers=2)
    samples = results.table("samples")
    assert samples.filter(pl.col("error_code").is_not_null())["sample_id"].to_list() == ["bad"]
    assert samples["error_code"][8] == "worker_died"
    assert results.run.n_unforeseen == 1
    counts = calls(study)
    assert counts["bad"] == 2
    assert counts["unlucky"] == 2
    assert all(counts[name] == 1 for name in WORDS)
    events = [json.loads(line) for line in (out / "logs" / "run.jsonl").read_text().splitlines()]
    assert [e["name"] for e in events if e["event"] == "worker_died"].count("bad") == 2


def test_one_isolated_worker_survives_a_death_too(tmp_path: Path, out: Path) -> None:
    study = make_study(tmp_path / "study", {"bad": "die", "good": "xyz"})
    results = run_study(study, out, isolate=True)
    assert results.table("samples")["n_events"].to_list() == [None, 3]


def test_a_file_that_hangs_costs_one_row(tmp_path: Path, out: Path) -> None:
    words = {"good": "xyz", "stuck": "hang", "slow": "hang once", "other": "x"}
    study = make_study(tmp_path / "study", words)
    results = run_study(study, out, workers=2, file_timeout_seconds=1.5)
    samples = results.table("samples")
    assert samples["error_code"].to_list() == [None, "timeout", None, None]
    assert calls(study) == {"good": 1, "stuck": 2, "slow": 2, "other": 1}
    assert rerun(study, out, file_timeout_seconds=1.5, isolate=True)[2] == {"stuck"}
    assert "took longer than 1.5 s, twice" in (out / "journal.sqlite").read_bytes().decode("latin1")


def test_memory_that_lacks_is_asked_for_once_more_alone(tmp_path: Path, out: Path) -> None:
    study = make_study(tmp_path / "study", {"big": "memory", "good": "xyz"})
    results = run_study(study, out, workers=2)
    assert results.table("samples")["error_code"].to_list() == ["out_of_memory", None]
    assert calls(study)["big"] == 2


def test_an_interrupted_run_is_continued(tmp_path: Path, out: Path) -> None:
    words = {"first": "xxxxxxxxxxxx", "second": "interrupt", "third": "x"}
    study = make_study(tmp_path / "study", words)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, out)
    assert not (out / "run.json").exists()
    (study.folder / "second.fcs").write_text("xx")
    assert rerun(study, out) == (2, 1, {"second", "third"})


def test_an_interrupted_pool_leaves_nothing_running(study: Study, out: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.n_done == 3:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_study(study, out, workers=2, progress=interrupt)
    assert time.monotonic() - started < 30
    computed, reused, _ = rerun(study, out)
    assert computed + reused == 8
    assert reused >= 2


# ------------------------------------------------------------------------------------- parts


def test_keys_hold_no_place_and_no_person(study: Study) -> None:
    for work in works_of(study):
        if isinstance(work.task, SampleTask):
            assert work.task.sample.patient_id == ""
    elsewhere = replace(
        study, samples=tuple(replace(s, path=f"/elsewhere/{s.file}") for s in study.samples)
    )
    assert [w.part for w in works_of(study)] == [w.part for w in works_of(elsewhere)]


def test_code_digest_is_of_the_code() -> None:
    assert code_digest() == code_digest()
    assert len(code_digest()) == 64


# ------------------------------------------------------------------------- how many workers


def test_a_processor_is_left_to_the_command_where_there_is_little_to_read() -> None:
    short, long = [300_000] * 40, [20_000_000] * 40
    assert [workers_worth(short, n) for n in (1, 2, 4)] == [1, 1, 3]
    assert [workers_worth(long, n) for n in (1, 2, 4)] == [1, 2, 3]
    assert [workers_worth(long * 3, n) for n in (1, 2, 4)] == [1, 2, 4]
    assert workers_worth([100] * 1000, 4) == 4
    assert workers_worth([], 1) == 1


def test_who_names_no_number_of_workers_gets_processes_and_the_same_tables(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cytosepsis.study.processors", lambda: 2)
    here = run_study(study, tmp_path / "here")
    away = run_study(study, tmp_path / "away", workers=None)
    assert (here.run.workers, away.run.workers) == (1, 1)
    assert calls(study).total() == 2 * len(WORDS)
    for table in here.tables:
        name = f"{table}.csv"
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "away" / name).read_bytes()
    # one worker and yet a process of its own: what kills it costs a row
    dying = make_study(tmp_path / "dying", {**WORDS, "bad": "die"})
    samples = run_study(dying, tmp_path / "out", workers=None).table("samples")
    assert samples.filter(pl.col("error_code") == "worker_died")["sample_id"].to_list() == ["bad"]
