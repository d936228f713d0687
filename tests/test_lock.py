"""One writer per folder: killed holders, holders on other machines, shares without locks."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from cytosepsis import lock
from cytosepsis.errors import StoreError
from cytosepsis.lock import STALE_SECONDS, Lock


def held_by(path: Path, host: str, process: int = 1, *, age: float = 0.0) -> None:
    holder = {"host": host, "process": process, "since": "2024-01-01", "token": "other"}
    path.write_text(json.dumps(holder))
    then = time.time() - age
    os.utime(path, (then, then))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_try_lock", refuse)
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.05)


def test_a_second_run_is_refused_with_who_holds_it(path: Path) -> None:
    first = Lock(path)
    with pytest.raises(StoreError, match=rf"process {os.getpid()} on .* since .*sign of life"):
        Lock(path)
    first.release()
    assert not path.exists()
    Lock(path).release()


def test_a_holder_on_another_machine_that_shows_life_is_believed(path: Path) -> None:
    held_by(path, "elsewhere", age=STALE_SECONDS / 2)
    with pytest.raises(StoreError, match="process 1 on elsewhere"):
        Lock(path)
    assert json.loads(path.read_text())["host"] == "elsewhere"


def test_a_clock_that_was_set_back_locks_nobody_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.05)
    held_by(path, "elsewhere", age=-3600)
    Lock(path).release()


def test_a_holder_whose_clock_is_ahead_is_believed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.2)
    held_by(path, "elsewhere", age=-3600)
    beat = threading.Timer(0.1, held_by, (path, "elsewhere"), {"age": -3601.0})
    beat.start()
    with pytest.raises(StoreError, match="process 1 on elsewhere"):
        Lock(path)
    beat.join()


@pytest.mark.parametrize("host", ["elsewhere", socket.gethostname()])
def test_a_stale_lock_is_nobodys(path: Path, host: str) -> None:
    held_by(path, host, age=STALE_SECONDS + 5)
    Lock(path).release()


def test_a_lock_left_by_a_kill_on_this_machine_is_nobodys_at_once(path: Path) -> None:
    held_by(path, socket.gethostname(), os.getpid())
    Lock(path).release()


@pytest.mark.usefixtures("no_locks")
def test_a_share_without_locks_still_has_one_writer(path: Path) -> None:
    first = Lock(path)
    with pytest.raises(StoreError, match="another run is writing here"):
        Lock(path)
    first.release()
    Lock(path).release()


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_dead_process_of_this_machine_is_recognised(path: Path) -> None:
    held_by(path, socket.gethostname(), 2**22 + 1)  # beyond the largest number of a process
    Lock(path).release()


@pytest.mark.usefixtures("no_locks")
def test_without_locks_the_last_of_two_at_the_same_moment_has_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: held_by(path, "elsewhere"))
    with pytest.raises(StoreError, match="process 1 on elsewhere"):
        Lock(path)


def test_a_holder_shows_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.02)
    held = Lock(path)
    os.utime(path, (1, 1))
    for _ in range(200):
        if path.stat().st_mtime > 1:
            break
        time.sleep(0.02)
    else:
        pytest.fail("no beat")
    held.release()


def test_a_holder_that_stood_still_notices_that_another_took_over(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.02)
    held = Lock(path)
    held.check(now=True)
    held_by(path, "elsewhere")
    with pytest.raises(StoreError, match="has taken this folder over"):
        held.check(now=True)
    time.sleep(0.2)
    with pytest.raises(StoreError, match="has taken this folder over"):
        held.check()
    held.release()
    assert path.exists()
