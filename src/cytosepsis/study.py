"""`run_study`: every file of a study measured once, in processes, into the store, then the tables.

Knows neither formats nor arithmetic: it decides what is still to do, hands it out largest file
first, and streams what comes back into the journal. Tables are made from the journal alone, so
they are the same for any number of workers, and after any interruption.
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from cytosepsis import kernel_cache
from cytosepsis.codec import encode
from cytosepsis.engines import FILE_TIMEOUT_SECONDS, PERFORM, Engine, workers_worth
from cytosepsis.errors import CytosepsisError
from cytosepsis.file_results import BeadRunResult, SampleFailure, SampleOutcome, SampleResult
from cytosepsis.file_stamps import Stamp, file_digest, stamp_of
from cytosepsis.journal import Entry, Key
from cytosepsis.reuse import SAMPLES_TOGETHER, JournalTables, Judge, Reason, key_of
from cytosepsis.store import Level, Results, RunRecord, Store, StudyIdentity
from cytosepsis.tasks import (
    UNFORESEEN,
    Digest,
    Outcome,
    Work,
    code_digest,
    describe,
    error_of,
    failure,
    is_settled,
    orders_of,
    sources_of,
    versions,
    works_of,
)
from cytosepsis.workers import Pool, Reply, frames, function_of, processors

if TYPE_CHECKING:
    from cytosepsis.protocol import Override, Study

_COMPILER = "cytosepsis.compiling:compile_kernels"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; files are samples and bead acquisitions."""

    n_files: int
    n_done: int  # reused ones included
    n_reused: int
    n_failed: int
    n_events: int  # read in this run
    n_bytes: int  # of the files that this run has to read
    n_bytes_done: int
    seconds: float  # since the run began, compiling the kernels left out
    failed: str | None = None  # code and message, where the file just done failed
    name: str | None = None  # sample_id or bead_run just done
    compiling: bool = False  # the kernels, before anything is read


ProgressCallback = Callable[[Progress], None]


def run_study(
    study: Study,
    out: str | os.PathLike[str],
    *,
    workers: int | None = 1,
    digest: Digest = "sha256",
    plots: bool = True,
    scheduler: str | None = None,
    fresh: bool = False,
    progress: ProgressCallback | None = None,
    isolate: bool | None = None,
    file_timeout_seconds: float | None = FILE_TIMEOUT_SECONDS,
    log_level: Level = "info",
) -> Results:
    """Measure every file of a study and write the tables; continue where an earlier run stopped.

    Parameters
    ----------
    study
        As `load_study` gives it.
    out
        The results folder: new, empty, or of an earlier run of the same study.
    workers
        1: in this process. More: isolated processes that neither fork nor import the caller's
        `__main__`. None: as many as finish soonest, one or one less per processor.
    digest
        "sha256" of every file stands in the tables and tells whether it changed; "stat" trusts
        size and time, and the column is null.
    plots
        Whether the table `densities` is written, which holds what a report's pictures show;
        without it no events are binned. Outcomes of a run without plots are computed again.
    scheduler
        Address of a Dask scheduler, e.g. "tcp://host:8786": the files are read by its workers,
        each in a process of its own, and `workers` is not used. The study's folder and its roots
        must be reached by the same paths there, or by those that each machine's own table of roots
        gives (see docs/cluster.md). Needs the extra `cluster`.
    fresh
        Forget what an earlier run, also one of another study, left in the folder.
    progress
        Called after every file, and now and then in between.
    isolate
        Whether a single worker is a process of its own too, so that a file which kills it costs
        one row. None: as `workers` says.
    file_timeout_seconds
        A file that takes longer is tried once more, alone, and then costs its row (`timeout`).
        None: no limit. In this process (`isolate` false) nothing can be ended, and no limit holds.
    log_level
        From which level on lines are written to `logs/run.jsonl`: "debug", "info" (a line per
        file), "warning" (what failed), "error" (what nobody foresaw).

    Raises
    ------
    StoreError
        The folder is another study's, in use, or cannot be written.

    """
    if workers is not None and workers < 1:
        raise CytosepsisError(f"workers is {workers}; at least 1 is needed.", code="workers")
    if digest not in get_args(Digest):
        raise CytosepsisError(f"digest is {digest!r}; 'sha256' or 'stat' is meant.", code="digest")
    if file_timeout_seconds is not None and not file_timeout_seconds > 0:
        raise CytosepsisError(
            f"file_timeout_seconds is {file_timeout_seconds}; more than 0 is meant, or None.",
            code="timeout",
        )
    identity = StudyIdentity(study.name, str(Path(study.folder).resolve()))
    with Store(out, identity, fresh=fresh, log_level=log_level) as store:
        run = _Run(store, study, digest, progress, plots=plots)
        run.reuse()
        isolated = workers != 1 if isolate is None else isolate
        most = workers or processors()
        n_workers = workers or run.workers_worth(most)
        engine = Engine(PERFORM, n_workers, isolated, scheduler, file_timeout_seconds, most)
        if scheduler is None:
            run.compile(isolate=isolated)
        run.compute(engine)
        store.journal.commit()
        tables = JournalTables(study, store.journal, run.works, plots=plots, held=run.held)
        store.write_tables(tables.parts())
        store.journal.keep_only(key_of(work) for work in run.works)
        return store.write_run(run.record(study, tables.outcomes, tables.beads, workers=n_workers))


class _Run:
    """One run: what is to do, what came of it."""

    def __init__(
        self,
        store: Store,
        study: Study,
        digest: Digest,
        progress: ProgressCallback | None,
        *,
        plots: bool,
    ) -> None:
        self.works = works_of(study)
        # What came in this run, of a study whose outcomes are in memory together for the tables.
        self.held: dict[Key, Outcome] = {}
        self._holds = len(self.works) <= SAMPLES_TOGETHER
        self._folders = study.folders
        self._plots = plots
        self._store = store
        self._digest: Digest = digest
        self._progress = progress
        self._code = code_digest()
        self._started_at = datetime.now(UTC)
        self._started = time.monotonic()
        self._compile_seconds = 0.0
        self._todo: list[Work] = []
        self._stamps: dict[Key, Stamp | None] = {}
        self._reasons: dict[Key, Reason] = {}
        self._state = Progress(len(self.works), 0, 0, 0, 0, 0, 0, 0.0)
        self._n_samples_reused = 0

    def reuse(self) -> None:
        """Find which outcomes of earlier runs still hold; the rest is to do, largest first."""
        n_reused = 0
        judge = Judge(self._store.journal, self._code, self._digest, self._plots, file_digest)
        for work in self.works:
            stamp = stamp_of(work.path)
            reason = judge.reason(work, stamp)
            if reason is None:
                n_reused += 1
                self._n_samples_reused += work.kind == "sample"
            else:
                self._todo.append(work)
                self._stamps[key_of(work)] = stamp
                self._reasons[key_of(work)] = reason
        self._todo.sort(key=lambda work: (-self._size(work), work.kind, work.name, work.part))
        n_bytes = sum(self._size(work) for work in self._todo)
        self._advance(replace(self._state, n_reused=n_reused, n_done=n_reused, n_bytes=n_bytes))
        self._log("begin", n_files=len(self.works), n_reused=n_reused, reasons=self._counts())

    def workers_worth(self, n_processors: int) -> int:
        """How many workers finish what is to do soonest."""
        return workers_worth([self._size(work) for work in self._todo], n_processors)

    def compile(self, *, isolate: bool) -> None:
        """Compile the kernels once before the work is handed out, where no earlier run did."""
        # What cannot be cached is compiled by each process for itself.
        if not self._todo or kernel_cache.is_compiled():
            return
        if isolate and not kernel_cache.is_cached():
            return
        started = time.monotonic()
        self._advance(replace(self._state, compiling=True))
        if isolate:
            # One that dies is of no consequence: the files' workers compile for themselves then.
            with Pool(_COMPILER, 1) as pool:
                for _ in pool.replies([None]):
                    self._store.journal.commit_if_due()
        else:
            function_of(_COMPILER)(None)
        self._compile_seconds = time.monotonic() - started
        self._log("compiled", seconds=round(self._compile_seconds, 3))
        self._advance(replace(self._state, compiling=False))

    def compute(self, engine: Engine) -> None:
        """Perform what is to do; each outcome is in the journal as soon as it comes."""
        roots = () if engine.scheduler is None else self._folders
        orders = orders_of(
            self._todo, digest=self._digest == "sha256", plots=self._plots, roots=roots
        )
        # This process waits meanwhile. A pool, not a thread: a run that is stopped waits for it.
        with ThreadPoolExecutor(1) if engine.is_elsewhere else nullcontext() as beside:
            if beside is not None:  # polars takes a quarter of a second
                beside.submit(import_module, "cytosepsis.tables")
            for reply in engine.replies(orders, self._log_trouble):
                if reply is None:
                    self._store.journal.commit_if_due()
                    self._advance()
                    continue
                work = self._todo[reply.index]
                outcome = _death(work, reply, engine) if reply.died else reply.value
                self._keep(work, outcome, reply.seconds)

    def record(
        self,
        study: Study,
        outcomes: Sequence[SampleOutcome],
        beads: Sequence[BeadRunResult],
        *,
        workers: int,
    ) -> RunRecord:
        """What `run.json` says."""
        n_samples = len(outcomes)
        failures = [outcome for outcome in outcomes if isinstance(outcome, SampleFailure)]
        record = RunRecord(
            study=study.name,
            study_digest=study.digest,
            code_digest=self._code,
            versions=versions(),
            inputs=_inputs(study, outcomes, beads),
            limits={
                assay.name: {**asdict(assay.limits), "quality": asdict(assay.quality)}
                for assay in study.assays
            },
            cutoffs={assay.name: assay.abc.cutoffs for assay in study.assays if assay.abc},
            plans={assay.name: sources_of(assay) for assay in study.assays},
            overrides=[_decision(override) for override in study.overrides],
            digest=self._digest,
            workers=workers,
            n_samples=n_samples,
            n_computed=n_samples - self._n_samples_reused,
            n_reused=self._n_samples_reused,
            reasons=self._counts(),
            n_failed=len(failures),
            n_unforeseen=sum(failed.unforeseen for failed in failures)
            + sum(run.error_code in UNFORESEEN for run in beads),
            n_events=sum(o.n_events for o in outcomes if isinstance(o, SampleResult)),
            started_at=self._started_at.isoformat(timespec="seconds"),
            wall_seconds=round(time.monotonic() - self._started, 3),
            compile_seconds=round(self._compile_seconds, 3),
            machine=_machine(),
        )
        self._log("end", n_failed=record.n_failed, wall_seconds=record.wall_seconds)
        return record

    def _keep(self, work: Work, outcome: Outcome, seconds: float) -> None:
        self._store.check()
        key = key_of(work)
        before = self._stamps[key]
        entry = Entry(
            key=key,
            path=work.path,
            # A file that changed while it was read is not known by its size and time.
            stamp=before if before == stamp_of(work.path) else None,
            sha256=outcome.sha256,
            digest=self._digest,
            code=self._code,
            plots=self._plots,
            settled=is_settled(outcome),
            record_type=type(outcome).__name__,
            record=encode(outcome),
        )
        self._store.journal.put(entry)
        if self._holds:
            self.held[key] = outcome
        state, error = self._state, error_of(outcome)
        level: Level = "info" if error is None else "warning" if entry.settled else "error"
        self._log(
            "file",
            level,
            **describe(outcome),
            why=self._reasons[key],
            seconds=round(seconds, 4),
            n_bytes=self._size(work),
        )
        n_events = outcome.n_events if isinstance(outcome, SampleResult) else 0
        self._advance(
            replace(
                state,
                n_done=state.n_done + 1,
                n_failed=state.n_failed + (error is not None),
                n_events=state.n_events + n_events,
                n_bytes_done=state.n_bytes_done + self._size(work),
                failed=None if error is None else f"{error[0]}: {error[1]}",
                name=work.name,
            )
        )

    def _advance(self, state: Progress | None = None) -> None:
        state = state or replace(self._state, failed=None, name=None)
        passed = time.monotonic() - self._started - self._compile_seconds
        self._state = replace(state, seconds=passed)
        if self._progress is not None:
            self._progress(self._state)

    def _size(self, work: Work) -> int:
        stamp = self._stamps[key_of(work)]
        return 0 if stamp is None else stamp.size

    def _counts(self) -> dict[str, int]:
        return dict(sorted(Counter(self._reasons.values()).items()))

    def _log(self, event: str, level: Level = "info", **values: object) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._store.log(level, at=at, event=event, **values)

    def _log_trouble(self, reply: Reply) -> None:
        work = self._todo[reply.index]
        what = "timeout" if reply.timed_out else "worker_died" if reply.died else "out_of_memory"
        seconds = round(reply.seconds, 3)
        trace = frames(reply.trace)
        self._log(what, "warning", kind=work.kind, name=work.name, seconds=seconds, trace=trace)


def _death(work: Work, reply: Reply, engine: Engine) -> Outcome:
    if reply.timed_out:
        return failure(
            work.task,
            code="timeout",
            message=f"Reading this file took longer than {engine.timeout_seconds:g} s, twice. Look "
            "at the file and at the place it lies in, or allow more (--file-timeout).",
        )
    return failure(
        work.task,
        code="worker_died",
        message="Reading this file ended its worker process, twice. Look at the file, and at the "
        "memory of the machine; the log has what the process left.",
        unforeseen=True,
    )


def _inputs(
    study: Study, outcomes: Sequence[SampleOutcome], beads: Sequence[BeadRunResult]
) -> dict[str, str | None]:
    """File as written in the sheets → SHA-256."""
    files = {run.bead_run: run.file for run in study.bead_runs}
    pairs = zip(study.samples, outcomes, strict=True)
    return {
        **{sample.file: outcome.sha256 for sample, outcome in pairs},
        **{files[run.bead_run]: run.sha256 for run in beads},
    }


def _decision(override: Override) -> dict[str, str | None]:
    return {
        "target": override.target,
        "action": override.action,
        "when": override.when,
        **dict(override.parameters),
    }


def _machine() -> dict[str, str | int | None]:
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
    }
