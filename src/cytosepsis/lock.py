"""One writer per results folder: a lock that the operating system lets go of when a run is killed.

The file says who holds it, for the message to the second; the lock itself is on the open file, so
one left behind by a kill is recognised at once as nobody's.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

from cytosepsis.errors import StoreError

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
        self._descriptor = self._acquire()
        holder = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, json.dumps(holder).encode())

    def release(self) -> None:
        """Remove the file and let go."""
        if sys.platform != "win32":
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _acquire(self) -> int:
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
                locked = _try_lock(descriptor)
            except OSError as error:
                folder = self._path.parent
                raise StoreError(f"{folder}: cannot be locked for writing ({error}).") from error
            if not locked:
                os.close(descriptor)
                raise StoreError(self._busy(), code="results_busy")
            # The last holder may have removed the file between our open and our lock.
            if self._is_current(descriptor):
                return descriptor
            os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _busy(self) -> str:
        try:
            holder = json.loads(self._path.read_text(encoding="utf-8"))
            who = f"process {holder['process']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        return (
            f"{self._path.parent}: another run is writing here ({who}). Wait until it ends, or "
            "name another folder."
        )
