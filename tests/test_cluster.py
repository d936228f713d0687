"""The same study on a Dask cluster of two workers, one of which is killed on the way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from cytosepsis.cluster import ClusterError, Work, replies
from cytosepsis.config import load_study
from cytosepsis.roots import Root
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.study import Progress, run_study
from cytosepsis.tasks import code_digest
from cytosepsis.workers import Reply

pytest.importorskip("distributed", reason="Dask is an extra: cytosepsis[cluster]")


TLS = "DASK_DISTRIBUTED__COMM__TLS__"


def start(*arguments: str, log: Path, **more: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            stdout=file,
            stderr=file,
            env={**os.environ, "PYTHONPATH": paths, **more},
        )


def wait_for(log: Path, pattern: str) -> str:
    for _ in range(600):
        found = re.search(pattern, log.read_text())
        if found:
            return found.group(1)
        time.sleep(0.1)
    pytest.fail(f"no {pattern} in {log.read_text()}")


class Cluster:
    """A scheduler and workers, all processes of their own; `more` is their environment."""

    def __init__(self, folder: Path, *, n_workers: int = 2, **more: str) -> None:
        self.folder, self.more = folder, more
        log = folder / "scheduler.log"
        options = ["--port", "0", "--no-dashboard", "--host", "127.0.0.1"]
        options += ["--protocol", "tls"] if more.get(f"{TLS}CA_FILE") else []
        self.processes = [start("scheduler", *options, log=log, **more)]
        self.address = wait_for(log, r"Scheduler at:\s+(t\w+://\S+)")
        self.workers = [self.add_worker(n) for n in range(n_workers)]
        for n in range(n_workers):
            wait_for(self.log(n), r"(Registered to)")

    def log(self, n: int) -> Path:
        return self.folder / f"worker{n}.log"

    def add_worker(self, n: int) -> subprocess.Popen[bytes]:
        options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--name", str(n)]
        local = ["--local-directory", str(self.folder), "--memory-limit", "1500MB"]
        process = start("worker", self.address, *options, *local, log=self.log(n), **self.more)
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    made = Cluster(folder, CYTOSEPSIS_ROOTS=str(folder / "roots.toml"))
    yield made
    made.end()


@pytest.fixture(autouse=True)
def roots(cluster: Cluster) -> Path:
    """The workers' table of roots: so far none lies elsewhere."""
    table = cluster.folder / "roots.toml"
    table.write_text("[roots]\n")
    return table


def work(timeout: float | None = None) -> Work:
    return Work("worker_tasks:perform", code_digest(), timeout)


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


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_process_takes_no_more_memory_than_its_dask_worker_may(cluster: Cluster) -> None:
    limit = found(cluster, [("memory", 0)], work())[0].value
    assert isinstance(limit, int)
    assert (1 << 30) <= limit <= 1_500_000_000


def test_a_worker_with_other_code_is_refused(cluster: Cluster) -> None:
    other = Work(work().target, "other", None)
    with pytest.raises(ClusterError, match=r"another version of cytosepsis.*same versions"):
        found(cluster, [("double", 1)], other)


def test_a_worker_that_does_not_see_a_folder_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    blind = replace(work(), roots=(Root("fcs", str(tmp_path / "gone")),))
    with pytest.raises(
        ClusterError, match=r"does not see .*gone. Mount it there.*CYTOSEPSIS_ROOTS"
    ):
        found(cluster, [("double", 1)], blind)


def test_a_scheduler_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytosepsis.cluster._CONNECT_SECONDS", 0.5)
    with pytest.raises(ClusterError, match="cannot be reached"):
        list(replies("tcp://127.0.0.1:9", work(), [("double", 1)]))


def test_a_study_is_the_same_there_though_its_folder_lies_elsewhere_and_a_worker_is_killed(
    cluster: Cluster, roots: Path, tmp_path: Path
) -> None:
    settings = SimulationSettings(patients=2, healthy=2, events=600, bead_events=1500)
    simulate_study(tmp_path / "study", settings)
    study = load_study(tmp_path / "study")
    here = run_study(study, tmp_path / "here")
    # The workers have the study in another place; what lies in the driver's is of no use.
    shutil.copytree(tmp_path / "study", tmp_path / "mounted")
    roots.write_text(f"[roots]\n'{study.folders[0].name}' = '{tmp_path / 'mounted'}'\n")
    for sample in study.samples:
        Path(sample.path).write_bytes(b"x")
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
    assert set(here.table("samples")["status"]) <= {"ok", "flagged"}


# ------------------------------------------------------------------------------ encrypted


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> dict[str, str]:
    """Make an authority and a key that it signs, as docs/cluster.md does; Dask's environment."""
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["-x509", "-days", "2", "-subj", "/CN=authority"]
    openssl(folder, *new, *authority, "-keyout", "ca-key.pem", "-out", "ca.pem")
    openssl(folder, *new, "-subj", "/CN=node", "-keyout", "node-key.pem", "-out", "node.csr")
    signed = ["x509", "-req", "-days", "2", "-in", "node.csr", "-out", "node.pem"]
    openssl(folder, *signed, "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial")
    who = [
        (f"{TLS}{role}__{what}", name)
        for role in ("SCHEDULER", "WORKER", "CLIENT")
        for what, name in (("CERT", "node.pem"), ("KEY", "node-key.pem"))
    ]
    files = {key: str(folder / name) for key, name in [(f"{TLS}CA_FILE", "ca.pem"), *who]}
    return {**files, "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_a_cluster_that_speaks_tls_serves_who_has_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask.config

    environment = certificates(tmp_path)
    secured = Cluster(tmp_path, n_workers=1, **environment)
    try:
        assert secured.address.startswith("tls://")
        mine = {
            "distributed.comm.tls.ca-file": environment[f"{TLS}CA_FILE"],
            "distributed.comm.tls.client.cert": environment[f"{TLS}CLIENT__CERT"],
            "distributed.comm.tls.client.key": environment[f"{TLS}CLIENT__KEY"],
        }
        with dask.config.set(mine):
            got = found(secured, [("double", n) for n in range(5)], work())
        assert [got[n].value for n in range(5)] == [0, 2, 4, 6, 8]
        with pytest.raises(ClusterError, match="no certificate is configured"):
            found(secured, [("double", 1)], work())
        plain = secured.address.replace("tls://", "tcp://")
        monkeypatch.setattr("cytosepsis.cluster._CONNECT_SECONDS", 1)
        with pytest.raises(ClusterError, match="cannot be reached"):
            list(replies(plain, work(), [("double", 1)]))
    finally:
        secured.end()
