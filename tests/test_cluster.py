"""The same study on a Dask cluster of two workers, one of which is killed on the way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cytosepsis.cluster import ClusterError, Work, replies
from cytosepsis.config import load_study
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.study import Progress, run_study
from cytosepsis.tasks import code_digest
from cytosepsis.workers import Reply

pytest.importorskip("distributed", reason="Dask is an extra: cytosepsis[cluster]")


def perform(task: tuple[str, int]) -> object:
    """Play the part of a task; runs in a process of a Dask worker."""
    match task:
        case ("double", n):
            return 2 * n
        case ("die", n):
            os._exit(n)
        case ("sleep", n):
            time.sleep(n)
    return None


def start(*arguments: str, log: Path) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            stdout=file,
            stderr=file,
            env={**os.environ, "PYTHONPATH": paths},
        )


def wait_for(log: Path, pattern: str) -> str:
    for _ in range(600):
        found = re.search(pattern, log.read_text())
        if found:
            return found.group(1)
        time.sleep(0.1)
    pytest.fail(f"no {pattern} in {log.read_text()}")


class Cluster:
    """A scheduler and two workers, all processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        log = folder / "scheduler.log"
        self.processes = [
            start("scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1", log=log)
        ]
        self.address = wait_for(log, r"Scheduler at:\s+(tcp://\S+)")
        self.workers = [self.add_worker(n) for n in range(2)]

    def add_worker(self, n: int) -> subprocess.Popen[bytes]:
        log = self.folder / f"worker{n}.log"
        options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--name", str(n)]
        local = ["--local-directory", str(self.folder)]
        process = start("worker", self.address, *options, *local, log=log)
        self.processes.append(process)
        wait_for(log, r"(Registered to)")
        return process

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.end()


def work(timeout: float | None = None) -> Work:
    return Work(f"{__name__.rsplit('.', maxsplit=1)[-1]}:perform", code_digest(), timeout)


def found(cluster: Cluster, tasks: list[tuple[str, int]], what: Work) -> dict[int, Reply]:
    return {r.index: r for r in replies(cluster.address, what, tasks) if r is not None}


def test_values_come_back_and_a_death_costs_one_task(cluster: Cluster) -> None:
    got = found(cluster, [*(("double", n) for n in range(20)), ("die", 3), ("double", 5)], work())
    assert [got[n].value for n in range(20)] == list(range(0, 40, 2))
    assert got[20].died
    assert got[21].value == 10


def test_a_task_that_hangs_is_ended_there(cluster: Cluster) -> None:
    got = found(cluster, [("sleep", 600), ("double", 1)], work(1.0))
    assert got[0].timed_out
    assert got[1].value == 2


def test_a_worker_with_other_code_is_refused(cluster: Cluster) -> None:
    other = Work(work().target, "other", None)
    with pytest.raises(ClusterError, match=r"another version of cytosepsis.*same versions"):
        found(cluster, [("double", 1)], other)


def test_a_scheduler_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytosepsis.cluster._CONNECT_SECONDS", 0.5)
    with pytest.raises(ClusterError, match="cannot be reached"):
        list(replies("tcp://127.0.0.1:9", work(), [("double", 1)]))


def test_a_study_is_the_same_there_though_a_worker_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    settings = SimulationSettings(patients=4, healthy=2, events=1500, bead_events=3000)
    simulate_study(tmp_path / "study", settings)
    study = load_study(tmp_path / "study")
    here = run_study(study, tmp_path / "here")
    killed = threading.Event()

    def kill_one(progress: Progress) -> None:
        if progress.n_done >= 3 and not killed.is_set():
            killed.set()
            cluster.workers[0].send_signal(signal.SIGKILL)

    there = run_study(study, tmp_path / "there", scheduler=cluster.address, progress=kill_one)
    assert killed.is_set()
    assert here.tables == there.tables
    for name in here.tables:
        assert_frame_equal(here.table(name), there.table(name))
        csv = f"{name}.csv"
        assert (here.folder / csv).read_bytes() == (there.folder / csv).read_bytes()
    assert isinstance(there.table("abc"), pl.DataFrame)
