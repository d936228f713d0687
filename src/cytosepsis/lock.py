"""One writer per results folder: a lock that is let go of when a run is killed.

The lock is the operating system's, on the open file, so one left behind by a kill is nobody's at
once. Some network shares have no such locks, and on others they hold on one machine only: so the
holder also touches the file every few seconds, and a file that another machine has touched lately
is believed. Ages are taken by the clock of the file system itself, whatever the machines think.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import tempfile
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cytosepsis.errors import StoreError

BEAT_SECONDS = 10.0
STALE_SECONDS = 90.0  # several beats: a share may stall for a while
SETTLE_SECONDS = 2.0  # until what two machines wrote at the same moment is seen by both

# What file systems without locks answer.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            # A byte far behind the text, so that the holder can still be read.
            os.lseek(descriptor, 1_000_000, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Lock:
    """A held lock; StoreError names the holder where there is one already."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = uuid.uuid4().hex
        self._has_os_lock = True
        self._descriptor = self._acquire()
        self._write_holder()
        self._confirm()
        self._lost = False
        self._released = threading.Event()
        self._beat = threading.Thread(target=self._keep_beating, daemon=True)
        self._beat.start()

    def release(self) -> None:
        """Remove the file, where it is still ours, and let go."""
        self._released.set()
        self._beat.join()
        if sys.platform != "win32" and self.is_held():
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def is_held(self) -> bool:
        """Whether nobody has taken the lock over, as after a machine that slept for long."""
        return self._holder().get("token") == self._token

    def check(self, *, now: bool = False) -> None:
        """Raise StoreError where another run has taken over: two writers would spoil the folder.

        As of the last beat; with `now` the file is looked at.
        """
        if self._lost or (now and not self.is_held()):
            raise StoreError(
                f"{self._path.parent}: another run has taken this folder over while this one stood "
                "still. What was computed is kept; run the same command again when that has ended.",
                code="results_busy",
            )

    def _acquire(self) -> int:
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
                locked = self._lock(descriptor)
            except OSError as error:
                folder = self._path.parent
                raise StoreError(f"{folder}: cannot be locked for writing ({error}).") from error
            if not locked or self._is_alive_elsewhere():
                os.close(descriptor)
                raise StoreError(self._busy(), code="results_busy")
            # The last holder may have removed the file between our open and our lock.
            if self._is_current(descriptor):
                return descriptor
            os.close(descriptor)

    def _lock(self, descriptor: int) -> bool:
        try:
            return _try_lock(descriptor)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        self._has_os_lock = False
        return True

    def _is_alive_elsewhere(self) -> bool:
        """Whether a holder whom the operating system's lock does not show is still at work."""
        holder = self._holder()
        if not holder:
            return False
        if holder.get("host") == socket.gethostname():
            # Here the operating system's lock tells; without one, whether the process lives.
            return not self._has_os_lock and _lives(holder.get("process")) and self._is_fresh()
        return self._is_fresh()

    def _is_fresh(self) -> bool:
        try:
            with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=".writing-") as probe:
                now = Path(probe.name).stat().st_mtime
            beat = self._path.stat().st_mtime
            if beat - now > BEAT_SECONDS:
                # The clock was set back: the sign of life lies in the future and tells no age.
                time.sleep(2.5 * BEAT_SECONDS)
                return self._path.stat().st_mtime != beat
            return now - beat < STALE_SECONDS
        except FileNotFoundError:
            return False

    def _write_holder(self) -> None:
        holder = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "token": self._token,
        }
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, json.dumps(holder).encode())
            os.fsync(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            raise StoreError(
                f"{self._path.parent}: cannot be written ({error.strerror}). Free space or restore "
                "the connection, then run the same command again.",
                code="results_write",
            ) from error

    def _confirm(self) -> None:
        """Without locks two may come at the same moment: the last to write has it."""
        if self._has_os_lock:
            return
        time.sleep(SETTLE_SECONDS)
        if not self.is_held():
            os.close(self._descriptor)
            raise StoreError(self._busy(), code="results_busy")

    def _keep_beating(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            # A share that is away for a moment is not yet the end; the journal will say if it is.
            with contextlib.suppress(OSError):
                if self.is_held():
                    os.utime(self._path)
                else:
                    self._lost = True

    def _holder(self) -> dict[str, Any]:
        try:
            holder = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return holder if isinstance(holder, dict) else {}

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _busy(self) -> str:
        try:
            holder = self._holder()
            beat = datetime.fromtimestamp(self._path.stat().st_mtime, UTC)
            who = (
                f"process {holder['process']} on {holder['host']} since {holder['since']}, last "
                f"sign of life {beat.isoformat(timespec='seconds')}"
            )
        except (OSError, KeyError):
            who = "another process"
        return (
            f"{self._path.parent}: another run is writing here ({who}). Wait until it ends, or "
            f"name another folder; if its machine was switched off, {STALE_SECONDS:.0f} s suffice."
        )


def _lives(process: object) -> bool:
    if not isinstance(process, int) or sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
