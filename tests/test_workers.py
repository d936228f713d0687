"""Isolated worker processes: what they return, and what their death costs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import ClassVar

import pytest

from cytosepsis import engines, workers
from cytosepsis.cli.study_commands import _workers_ahead
from cytosepsis.workers import (
    Allowance,
    Pool,
    Reply,
    Worker,
    WorkerError,
    _limits_of_group,
    frames,
    memory_for_each,
    started_ahead,
)

TARGET = "worker_tasks:perform"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def replies(tasks: list[tuple[str, int]], n_workers: int) -> dict[int, Reply]:
    with Pool(TARGET, n_workers) as pool:
        return {reply.index: reply for reply in pool.replies(tasks) if reply is not None}


def test_values_come_back_whatever_a_library_prints() -> None:
    found = replies([("double", n) for n in range(20)] + [("print", 7)], 2)
    assert [found[n].value for n in range(21)] == [*range(0, 40, 2), 7]


def test_a_death_costs_one_task() -> None:
    found = replies([("double", 1), ("die", 3), ("segfault", 0), ("double", 2)], 1)
    assert [found[n].died for n in range(4)] == [False, True, True, False]
    assert found[3].value == 4
    assert "Segmentation fault" in found[2].trace


def test_processes_are_others_and_gone_afterwards() -> None:
    found = replies([("pid", 0), ("sleep", 0), ("pid", 0)], 2)
    for pid in {found[0].value, found[2].value}:
        assert pid != os.getpid()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_started_ahead_are_taken_by_a_pool_that_asks_for_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Watched(Worker):
        pids: ClassVar[list[int]] = []

        def __init__(self, target: str, allowance: Allowance) -> None:
            super().__init__(target, allowance)
            self.pids.append(self._process.pid)

    monkeypatch.setattr("cytosepsis.workers.Worker", Watched)
    with started_ahead(TARGET, 2, Allowance()):
        ahead = list(Watched.pids)
        assert len(ahead) == 2
        assert replies([("pid", 0)], 1)[0].value in ahead
        with Pool(TARGET, 1, allowance=Allowance(seconds=60)) as pool:
            others = {r.value for r in pool.replies([("pid", 0)]) if r is not None}
        assert others.isdisjoint(ahead)
    for pid in Watched.pids:  # taken or not
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("named", [1, None])
def test_a_run_starts_its_workers_ahead_for_what_it_will_ask(
    monkeypatch: pytest.MonkeyPatch, named: int | None
) -> None:
    monkeypatch.setattr("cytosepsis.workers.processors", lambda: 2)
    with _workers_ahead(named, 1800.0):
        (spare,) = workers._spare
        # of the memory as many shares as there may be workers
        assert spare.serves(engines.PERFORM, Allowance.of_each(named or 2, 1800.0))
    assert workers._spare == []


def test_leaving_the_pool_ends_a_long_task_at_once() -> None:
    started = time.monotonic()
    with Pool(TARGET, 1) as pool:
        ticks = pool.replies([("sleep", 60)], tick_seconds=0.05)
        assert next(ticks) is None
    assert time.monotonic() - started < 20


def test_a_worker_that_cannot_start_is_said_once() -> None:
    with Pool("cytosepsis.nothing:perform", 2) as pool, pytest.raises(WorkerError) as caught:
        list(pool.replies([("double", 1)] * 3))
    assert "cannot be started: ModuleNotFoundError" in caught.value.message


SCRIPT = """
    import sys
    from pathlib import Path
    sys.path[:0] = {paths!r}
    (Path(sys.argv[1]) / "ran").open("a").write("x")
    from cytosepsis.workers import Pool
    with Pool("worker_tasks:perform", 2) as pool:
        replies = pool.replies([("double", 1), ("double", 2)])
        values = sorted(reply.value for reply in replies if reply)
    assert values == [2, 4], values
"""


def test_an_unguarded_script_is_not_run_again(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent), *sys.path]
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).format(paths=paths))
    # A module of the current folder must not take the place of the library's.
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    subprocess.run([sys.executable, "-P", str(script), str(tmp_path)], check=True, cwd=tmp_path)
    assert (tmp_path / "ran").read_text() == "x"


def test_workers_end_with_a_caller_that_is_killed(tmp_path: Path) -> None:
    script = f"""
        import os, sys
        sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
        from cytosepsis.workers import Pool
        with Pool("worker_tasks:perform", 1) as pool:
            worker = None
            for reply in pool.replies([("pid", 0), ("sleep", 600)], tick_seconds=0.05):
                if reply is not None:
                    worker = reply.value
                    print(worker, flush=True)
                elif worker is not None:
                    os.kill(os.getpid(), 9)
    """
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=False, stdout=subprocess.PIPE
    )
    assert killed.returncode == -9
    worker = int(killed.stdout)
    for _ in range(200):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            break
        if "zombie" in Path(f"/proc/{worker}/status").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the worker lives on")


# ---------------------------------------------------------------------- what a task may take


def test_a_task_that_takes_too_long_is_ended_and_the_next_has_a_new_worker() -> None:
    started = time.monotonic()
    with Pool(TARGET, 1, allowance=Allowance(seconds=0.5)) as pool:
        found = {r.index: r for r in pool.replies([("sleep", 60), ("double", 4)]) if r}
    assert time.monotonic() - started < 20
    assert found[0].died
    assert found[0].timed_out
    assert 0.5 <= found[0].seconds < 10
    assert found[1].value == 8
    assert not found[1].timed_out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is kept on Linux only")
def test_a_task_that_allocates_without_end_costs_itself() -> None:
    with Pool(TARGET, 1, allowance=Allowance(memory_bytes=1 << 30)) as pool:
        found = {r.index: r for r in pool.replies([("allocate", 0), ("double", 4)]) if r}
    assert found[0].value == "MemoryError"
    assert found[1].value == 8


def test_workers_share_the_memory_of_the_machine() -> None:
    if not sys.platform.startswith("linux"):
        assert memory_for_each(1) is None
        return
    alone, of_many = memory_for_each(1), memory_for_each(1000)
    assert alone is not None
    assert of_many is not None
    assert alone >= of_many == 1 << 30


def test_what_a_process_leaves_is_said_without_what_it_read() -> None:
    trace = (
        "Mrs Example, 1950: odd keyword\nFatal Python error: Segmentation fault\n\n"
        'Current thread 0x00007f (most recent call first):\n  File "/x/y/cytosepsis/fcs.py", line 7'
        " in read\n"
    )
    assert frames(trace).splitlines() == [
        "Fatal Python error: Segmentation fault",
        "Current thread 0x00007f (most recent call first):",
        '  File "cytosepsis/fcs.py", line 7 in read',
    ]


def test_the_limits_of_a_job_within_a_machine_are_found(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("0::/system.slice/job_7\n")
    found = list(_limits_of_group(tmp_path / "fs", membership))
    job = tmp_path / "fs" / "system.slice" / "job_7"
    places = [job, job.parent, tmp_path / "fs"]
    assert found[1:] == [place / "memory.max" for place in places]
    gone = list(_limits_of_group(tmp_path / "fs", tmp_path / "none"))
    assert gone[1:] == [tmp_path / "fs" / "memory.max"]
