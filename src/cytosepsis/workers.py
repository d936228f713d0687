"""Isolated worker processes: each performs one task at a time, and its death costs only that task.

Workers are fresh interpreters that talk through pipes. They do not fork (Polars hangs after a
fork) and never import the caller's `__main__`, so an unguarded script may start them. This module
knows nothing of samples: a target `module:function` is called with each task.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import pickle
import queue
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Self

from cytosepsis.errors import CytosepsisError
from cytosepsis.own_process import MARK

_OF_CODE = ("Fatal Python error:", "Current thread", "Thread 0x", "  File ")
_PLACE = re.compile(r'(?<=File ")[^"]*?([^"/\\]*/?[^"/\\]+)(?=")')
_LENGTH = struct.Struct("<Q")
_READY = "ready"
# The caller's sys.path is handed over whole (also an editable install or an inserted path);
# -P keeps the current folder from shadowing modules before that.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from cytosepsis.workers import serve; serve(sys.argv[2], int(sys.argv[3]))"
)
# One task is one thread's work: many workers with many BLAS threads each only get in their way.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")

_SHARE_OF_MEMORY = 0.8  # of the machine's that workers may have together; the rest is the system's
_LEAST_MEMORY = 1 << 30  # bytes; libraries and compiled kernels alone take a third of it


class WorkerError(CytosepsisError):
    """Worker processes cannot be started at all."""

    default_code = "workers"


class WorkerDied(Exception):  # noqa: N818 - it says what happened, to the pool alone
    """The process ended while it had a task."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of the task number `index`: its value, or `died` with what the process left."""

    index: int
    value: Any = None
    died: bool = False
    timed_out: bool = False  # it died because it took too long and was ended
    trace: str = ""  # the last of the dead process's stderr, for the log
    seconds: float = 0.0  # that the task took


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one task may take; None: all there is."""

    seconds: float | None = None
    memory_bytes: int | None = None  # of the whole process; kept on Linux only

    @classmethod
    def of_each(cls, n_workers: int, seconds: float | None) -> Self:
        """Of a task of each of so many workers, which share the machine's memory."""
        return cls(seconds, memory_for_each(n_workers))


def memory_for_each(workers: int) -> int | None:
    """Bytes that each of so many workers may take; None where the machine does not say."""
    total = _machine_memory()
    if total is None:
        return None
    return max(_LEAST_MEMORY, int(_SHARE_OF_MEMORY * total / workers))


def _machine_memory() -> int | None:
    """Bytes of memory of this machine, or of the container or job that this process runs in."""
    if not sys.platform.startswith("linux"):
        return None
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in _limits_of_group(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")):
        try:
            total = min(total, int(limit.read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such group, or no limit ("max")
            continue
    return total


def _limits_of_group(root: Path, membership: Path) -> Iterator[Path]:
    """Where the limits of the process's control group and of all groups around it stand.

    A scheduler such as SLURM limits a job by a group of its own, below that of the machine.
    """
    yield root / "memory" / "memory.limit_in_bytes"
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    folder = root / group.strip("/")
    yield folder / "memory.max"
    for around in folder.parents:
        if around.is_relative_to(root):
            yield around / "memory.max"


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Pool:
    """Up to `n_workers` processes; a context manager whose exit ends them all."""

    def __init__(self, target: str, n_workers: int, *, allowance: Allowance = Allowance()) -> None:
        assert n_workers >= 1
        self._target = target
        self._allowance = allowance
        self._n_workers = n_workers
        self._lock = threading.Lock()
        self._stopped = False
        self._workers: set[Worker] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopped = True
            workers = tuple(self._workers)
        for worker in workers:
            worker.kill()
        for thread in self._threads:
            if thread.ident is not None:  # a signal may come between its making and its start
                thread.join()

    def replies(
        self, tasks: Sequence[object], *, tick_seconds: float = 0.2
    ) -> Iterator[Reply | None]:
        """Hand tasks out in their order and yield replies as they come; None at each idle tick.

        Raises WorkerError where no process can be started.
        """
        todo: queue.SimpleQueue[tuple[int, object]] = queue.SimpleQueue()
        done: queue.SimpleQueue[Reply | CytosepsisError] = queue.SimpleQueue()
        for item in enumerate(tasks):
            todo.put(item)
        for _ in range(min(self._n_workers, len(tasks))):
            thread = threading.Thread(target=self._tend, args=(todo, done), daemon=True)
            self._threads.append(thread)
            thread.start()
        n_left = len(tasks)
        while n_left:
            try:
                reply = done.get(timeout=tick_seconds)
            except queue.Empty:
                yield None
                continue
            if isinstance(reply, CytosepsisError):
                raise reply
            n_left -= 1
            yield reply

    def _tend(
        self,
        todo: queue.SimpleQueue[tuple[int, object]],
        done: queue.SimpleQueue[Reply | CytosepsisError],
    ) -> None:
        """Feed one worker process until no task is left; replace it where it dies."""
        worker: Worker | None = None
        try:
            while not self._stopped:
                index, task = todo.get_nowait()
                if worker is None:
                    worker = self._start()
                done.put(replace(worker.ask(task), index=index))
                if worker.gone:
                    self._end(worker)
                    worker = None
        except queue.Empty:
            pass
        except CytosepsisError as error:
            done.put(error)
        finally:
            if worker is not None:
                self._end(worker)

    def _start(self) -> Worker:
        with self._lock:
            if self._stopped:
                raise WorkerError("The run is being stopped.")
            fits = [spare for spare in _spare if spare.serves(self._target, self._allowance)]
            worker = fits[0] if fits else Worker(self._target, self._allowance)
            if fits:
                _spare.remove(worker)
            self._workers.add(worker)
        try:
            worker.wait_until_ready()
        except WorkerError:
            self._end(worker)
            raise
        return worker

    def _end(self, worker: Worker) -> None:
        worker.close()
        with self._lock:
            self._workers.discard(worker)


_spare: list[Worker] = []  # started ahead of work, not yet taken by a pool


@contextlib.contextmanager
def started_ahead(target: str, n_workers: int, allowance: Allowance) -> Iterator[None]:
    """Start processes that import while the caller still prepares their work.

    A pool with the same target and allowance takes them; those that none took are ended.
    """
    with contextlib.suppress(WorkerError, OSError):  # the pool will say what is wrong
        _spare.extend(Worker(target, allowance) for _ in range(n_workers))
    try:
        yield
    finally:
        while _spare:
            _spare.pop().close()


class Worker:
    """The caller's end of one process."""

    def __init__(self, target: str, allowance: Allowance = Allowance()) -> None:
        if not sys.executable:
            raise WorkerError("Worker processes need a Python executable; use workers=1.")
        self.gone = False  # it must be replaced
        self._target, self._allowance = target, allowance
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close
        memory = str(allowance.memory_bytes or 0)
        environment = {**dict.fromkeys(_ONE_THREAD, "1"), **os.environ, **MARK}
        # An own process group: Ctrl-C in the terminal reaches the caller alone, who ends us.
        group: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", "-c", _BOOTSTRAP, json.dumps(sys.path), target, memory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment,
            **group,
        )

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def serves(self, target: str, allowance: Allowance) -> bool:
        """Whether it was started for these."""
        return (self._target, self._allowance) == (target, allowance)

    def wait_until_ready(self) -> None:
        """Return once the process has imported its target."""
        try:
            ready = _receive(self._pipes[1])
        except WorkerDied:
            ready = None
        if ready != _READY:
            self.kill()
            trace = self.trace().strip().splitlines()
            why = trace[-1] if trace else "it ended without a word"
            raise WorkerError(f"A worker process cannot be started: {why}. Use workers=1.")

    def ask(self, task: object) -> Reply:
        """Hand over one task and wait; a process that takes too long is ended."""
        started = time.monotonic()
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self.kill()

        timer = None
        if self._allowance.seconds is not None:
            timer = threading.Timer(self._allowance.seconds, expire)
            timer.daemon = True
            timer.start()
        value, died = None, False
        try:
            value = self._converse(task)
        except WorkerDied:
            died = True
        finally:
            if timer is not None:
                timer.cancel()
        # The end of the time may come just after the value: that stands, the process does not.
        self.gone = died or expired.is_set()
        return Reply(
            0,
            value,
            died=died,
            timed_out=died and expired.is_set(),
            trace=self.trace() if died else "",
            seconds=time.monotonic() - started,
        )

    def _converse(self, task: object) -> object:
        try:
            _send(self._pipes[0], task)
        except OSError:
            raise WorkerDied from None
        return _receive(self._pipes[1])

    def trace(self) -> str:
        """The end of what a process that has ended wrote to stderr."""
        self._process.wait()
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 4000))
        return self._stderr.read().decode(errors="replace")

    def kill(self) -> None:
        """End the process now: it only reads, so nothing is lost. From any thread, repeatedly."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and let go of its pipes; only from the thread that talks to it."""
        self.kill()
        for pipe in (*self._pipes, self._stderr):
            # A task may have been half sent to a process that is gone.
            with contextlib.suppress(OSError):
                pipe.close()


def frames(trace: str) -> str:
    """The lines of a dead process's stderr that are only of code: a library's may quote a file."""
    kept = [line for line in trace.splitlines() if line.startswith(_OF_CODE)]
    return "\n".join(_PLACE.sub(r"\1", line) for line in kept)


def _send(pipe: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    try:
        header = pipe.read(_LENGTH.size)
        if len(header) < _LENGTH.size:
            raise WorkerDied
        (length,) = _LENGTH.unpack(header)
        data = pipe.read(length)
    except (OSError, ValueError):  # closed under our feet: the pool is being stopped
        raise WorkerDied from None
    if len(data) < length:
        raise WorkerDied
    return pickle.loads(data)  # noqa: S301 - only ever between a caller and its own child


def serve(target: str, memory_bytes: int = 0) -> None:
    """The worker's side: call `module:function` with each task until the caller is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    _limit_memory(memory_bytes)
    # Whatever a library prints must not enter the conversation.
    tasks, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    perform = function_of(target)
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, inbox), daemon=True).start()
    _send(replies, _READY)
    while True:
        _send(replies, perform(inbox.get()))


def function_of(target: str) -> Callable[[Any], Any]:
    """Import the function that a target `module:function` names."""
    module, _, name = target.partition(":")
    found: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return found


def _limit_memory(n_bytes: int) -> None:
    """Let this process have so much and no more, so that one file cannot take the machine down.

    Private writable memory is what is counted (Linux, RLIMIT_DATA): address space alone would also
    count what libraries map and never touch. An allocation beyond raises MemoryError.
    """
    if not n_bytes or not sys.platform.startswith("linux"):
        return
    import resource  # noqa: PLC0415 - not on Windows

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or n_bytes < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, hard))


def _listen(pipe: IO[bytes], inbox: queue.SimpleQueue[object]) -> None:
    """Fill the inbox; when the caller is gone, even by kill -9, end in the middle of any task."""
    while True:
        try:
            inbox.put(_receive(pipe))
        except WorkerDied:
            os._exit(0)
