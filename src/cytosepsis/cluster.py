"""The same unit of work on many machines, through a Dask scheduler that somebody else has started.

Each Dask worker keeps a process of our own per thread and asks that: a file that hangs or kills
costs its row there too, and the Dask worker lives on. A Dask worker that is lost is Dask's own to
make good: its tasks go to another one. Few orders are under way at a time, so neither scheduler
nor driver grows with the study.
"""
# ruff: noqa: PLC0415 - distributed is an extra, imported where a cluster is used

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from cytosepsis.errors import CytosepsisError
from cytosepsis.roots import VARIABLE, Root, RootsError, machine_table, missing_here
from cytosepsis.workers import Allowance, Reply, Worker, memory_for_each

_IN_FLIGHT_PER_THREAD = 3  # one at work, two on the way
_TICK_SECONDS = 0.2
_CONNECT_SECONDS = 30


class ClusterError(CytosepsisError):
    """A scheduler that cannot be reached, or a cluster that computes something else."""

    default_code = "scheduler"


@dataclass(frozen=True, slots=True)
class Work:
    """What a Dask worker has to know besides the order."""

    target: str  # module:function
    code: str  # digest of the computing code of the driver
    timeout_seconds: float | None
    roots: tuple[Root, ...] = ()  # folders that every worker has to see


def replies(
    address: str, work: Work, orders: Sequence[object], *, tick_seconds: float = _TICK_SECONDS
) -> Iterator[Reply | None]:
    """Hand orders out in their sequence and yield replies as they come; None at idle ticks.

    Raises ClusterError where the scheduler cannot be reached or is lost, or where a worker has
    another version of the computing code.
    """
    client = _connect(address)
    try:
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        under_way: dict[str, tuple[int, Any]] = {}
        waiting = enumerate(orders)
        n_left = len(orders)
        room = _room(client)
        while n_left:
            for index, order in islice(waiting, max(0, room - len(under_way))):
                future = client.submit(perform_there, work, order, pure=False)
                under_way[future.key] = (index, future)
                future.add_done_callback(done.put)
            try:
                future = done.get(timeout=tick_seconds)
            except queue.Empty:
                if client.status not in {"running", "connecting"}:
                    raise _lost(address) from None
                room = _room(client)
                yield None
                continue
            index, _ = under_way.pop(future.key)
            n_left -= 1
            yield replace(_reply_of(future, address), index=index)
            future.release()
    finally:
        client.close()


def perform_there(work: Work, order: object) -> Reply | str:
    """Carry out one order on a Dask worker; a sentence where that worker must not."""
    worker = _workers.of_this_thread(work)
    if isinstance(worker, str):
        return worker
    reply = worker.ask(order)
    if worker.gone:
        _workers.forget(worker)
    return reply


class _Workers(threading.local):
    """A process of ours per thread of a Dask worker; it ends with the Dask worker."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._work: Work | None = None

    def of_this_thread(self, work: Work) -> Worker | str:
        """Give the process of this thread; a sentence where this machine must not do the work."""
        if self._worker is None or self._work != work:
            self.forget(self._worker)
            refusal = _refusal(work)
            if refusal is not None:
                return refusal
            worker = Worker(work.target, Allowance(work.timeout_seconds, _memory_of_thread()))
            worker.wait_until_ready()
            self._worker, self._work = worker, work
        return self._worker

    def forget(self, worker: Worker | None) -> None:
        if worker is not None:
            worker.close()
        self._worker = None


_workers = _Workers()


def _memory_of_thread() -> int | None:
    """Bytes that the process of one thread of this Dask worker may take.

    Dask's limit is that of the whole worker (a job's share of its machine), where it has one.
    """
    from distributed import get_worker

    shares = [memory_for_each(os.cpu_count() or 1)]
    try:
        worker = get_worker()
        limit = worker.memory_manager.memory_limit
        shares.append(int(limit / worker.state.nthreads) if limit else None)
    except (AttributeError, ValueError):  # not in a Dask worker, or one of another version
        pass
    known = [share for share in shares if share is not None]
    return min(known) if known else None


def _refusal(work: Work) -> str | None:
    """Why no outcome of this machine could be trusted; None where it may work."""
    from cytosepsis.tasks import code_digest

    host = socket.gethostname()
    if code_digest() != work.code:
        return (
            f"on {host} computes with another version of cytosepsis, Python or the libraries. "
            "Install the same versions everywhere."
        )
    try:
        missing = missing_here(work.roots, machine_table())
    except RootsError as error:
        return f"on {host} cannot tell where the study's folders lie: {error.message}"
    if missing:
        return (
            f"on {host} does not see {missing[0]}. Mount it there, or name in the file of "
            f"{VARIABLE} where it lies."
        )
    return None


def _connect(address: str) -> Any:
    try:
        from distributed import Client
        from distributed.security import Security
    except ModuleNotFoundError:
        raise ClusterError(
            f"scheduler {address!r}: Dask is not installed. Install cytosepsis[cluster]."
        ) from None
    try:
        # Certificates come from Dask's own configuration. A client that lacks them would fail late,
        # and hang on the way out.
        if address.startswith("tls:") and not Security().get_connection_args("client").get(
            "ssl_context"
        ):
            raise ValueError("no certificate is configured, see distributed.comm.tls")
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"scheduler {address!r}: cannot be reached ({error}). Check that it runs, and the "
            "address; for tls:// also Dask's certificates."
        ) from error


def _room(client: Any) -> int:
    """How many orders may be under way on the workers that are there now."""
    try:
        n_threads: int = sum(client.nthreads().values())
    except (OSError, RuntimeError):  # the connection is gone, which the caller will notice
        return 0
    return max(2, _IN_FLIGHT_PER_THREAD * n_threads)


def _reply_of(future: Any, address: str) -> Reply:
    from distributed import KilledWorker

    if future.status == "finished":
        value = future.result()
        if isinstance(value, Reply):
            return value
        raise ClusterError(f"A worker of {address} {value}")
    if future.status == "error":
        error = future.exception()
        if isinstance(error, KilledWorker):
            return Reply(0, died=True, trace=str(error))
        raise ClusterError(f"A worker of {address} failed: {type(error).__name__}: {error}")
    raise _lost(address)


def _lost(address: str) -> ClusterError:
    return ClusterError(
        f"scheduler {address!r}: the connection was lost. What was computed is kept; run the same "
        "command again.",
        code="scheduler_lost",
    )
