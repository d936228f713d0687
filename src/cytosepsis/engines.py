"""How orders are carried out: in this process, in isolated worker processes, or on a cluster.

The same function is called with the same orders everywhere. What ends or exhausts its worker is
tried once more, alone, before it counts as failed; every order gets exactly one last reply.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from cytosepsis import cluster
from cytosepsis.tasks import Order, Outcome, code_digest, error_of
from cytosepsis.workers import Allowance, Pool, Reply, function_of

PERFORM = "cytosepsis.performer:perform"  # imported by the process that computes, and by no other
# Reading the largest files takes seconds, over a slow share minutes: what takes longer hangs.
FILE_TIMEOUT_SECONDS = 1800.0


# Starting a worker takes as much processor time as reading this much: whole files of some ten
# thousand events, or the bytes of long ones (docs/performance.md).
FILES_OF_A_START = 60
BYTES_OF_A_START = 500_000_000


def workers_worth(sizes: Sequence[int], n_processors: int) -> int:
    """How many workers finish files of so many bytes soonest, where nobody says how many.

    While they start, the command itself works too: it reads the study and imports what makes the
    tables. A worker on that last processor delays all others by its share of a start, and is only
    worth it where there is more to do than that.
    """
    starts = len(sizes) / FILES_OF_A_START + sum(sizes) / BYTES_OF_A_START
    return n_processors if starts > n_processors - 1 else max(1, n_processors - 1)


@dataclass(frozen=True, slots=True)
class Engine:
    """Where and under which conditions orders are carried out."""

    target: str = PERFORM  # module:function, called with each order
    workers: int = 1
    isolate: bool = True
    scheduler: str | None = None  # address of a Dask scheduler
    timeout_seconds: float | None = FILE_TIMEOUT_SECONDS  # per file; not in this process
    memory_shares: int | None = None  # of the machine's memory, one for a worker; None: workers

    @property
    def is_elsewhere(self) -> bool:
        """Whether orders are carried out by other processes."""
        return self.scheduler is not None or self.isolate

    def replies(
        self, orders: Sequence[Order], trouble: Callable[[Reply], None]
    ) -> Iterator[Reply | None]:
        """One last reply per order, as they come; None at idle ticks.

        `trouble` is called with each reply that is not the last word on its order, and with each
        death, for the log.
        """
        if not self.is_elsewhere:
            yield from self._here(orders)
            return
        suspects = []
        for reply in self._away(orders):
            if reply is not None and (reply.died or _exhausted(reply.value)):
                trouble(reply)
                suspects.append(reply.index)
            else:
                yield reply
        # A file that ended its worker may have been the victim of its neighbours.
        for index in sorted(suspects):
            for reply in self._away([orders[index]], alone=True):
                last = reply and replace(reply, index=index)
                if last is not None and last.died:
                    trouble(last)
                yield last

    def _here(self, orders: Sequence[Order]) -> Iterator[Reply]:
        perform = function_of(self.target)
        for index, order in enumerate(orders):
            started = time.monotonic()
            value = perform(order)
            yield Reply(index, value, seconds=time.monotonic() - started)

    def _away(self, orders: Sequence[Order], *, alone: bool = False) -> Iterator[Reply | None]:
        if self.scheduler is not None:
            roots = dict.fromkeys(root for order in orders for root in order.roots)
            work = cluster.Work(self.target, code_digest(), self.timeout_seconds, tuple(roots))
            yield from cluster.replies(self.scheduler, work, orders)
            return
        workers = 1 if alone else self.workers
        shares = 1 if alone else self.memory_shares or workers
        allowance = Allowance.of_each(shares, self.timeout_seconds)
        with Pool(self.target, workers, allowance=allowance) as pool:
            yield from pool.replies(orders)


def _exhausted(outcome: Outcome) -> bool:
    error = error_of(outcome)
    return error is not None and error[0] == "out_of_memory"
