"""The results folder, whose only writer this is: journal, tables, `run.json`, logs; and its lock.

Everything is written beside its place, synchronised and renamed, so a reader never sees half a
table, and a run that is stopped at any moment leaves a folder from which the next one continues.
"""
# ruff: noqa: PLC0415 - polars takes a quarter second: imported where a table is touched

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, Self, get_args

from cytosepsis.errors import StoreError
from cytosepsis.journal import Journal
from cytosepsis.lock import Lock
from cytosepsis.table_files import (
    SUFFIXES,
    TEMPORARY,
    Write,
    write_all,
    write_tables,
)

if TYPE_CHECKING:
    import polars as pl

JOURNAL = "journal.sqlite"
RUN = "run.json"
ANALYSES = "analysis.json"
LOGS = "logs"
_LOCK = ".lock"
Level = Literal["debug", "info", "warning", "error"]
_LEVELS = get_args(Level)
_LARGEST_LOG = 64 << 20  # bytes; 100,000 files take 20 MB


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """By what a results folder knows the study it belongs to."""

    name: str
    folder: str  # resolved


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The last run into a folder, as in `run.json`: all that the tables must not contain."""

    study: str
    study_digest: str
    code_digest: str
    versions: Mapping[str, str]  # of Python, this package and the libraries that compute
    inputs: Mapping[str, str | None]  # file → SHA-256, null with --digest stat or where unread
    limits: Mapping[str, Any]  # assay → every limit that judged its results
    digest: str
    workers: int
    n_samples: int
    n_computed: int  # samples; bead runs are not counted here
    n_reused: int
    n_failed: int
    n_unforeseen: int  # samples and bead runs
    n_events: int  # of all samples that could be read
    started_at: str  # ISO, with zone
    wall_seconds: float
    machine: Mapping[str, str | int | None]
    # why samples and bead runs were computed (`reuse.Reason`) → how many
    reasons: Mapping[str, int] = field(default_factory=dict)
    # assay → SHA-256 of its gating plan and its matrix ("file" or "none" where there is no CSV)
    plans: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # a reviewer's decisions that the tables take in; who and why stay in the study
    overrides: Sequence[Mapping[str, str | None]] = field(default_factory=list)
    compile_seconds: float = 0.0  # of wall_seconds, spent on compiling the kernels
    # assay → cut-offs of its AB/C, for whoever draws its bands
    cutoffs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    # analyses whose tables this run removed: what they were computed from has changed
    removed_analyses: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AnalysisRecord:
    """What the tables of one analysis were computed from; all of them in `analysis.json`."""

    tables: Sequence[str]
    inputs: Mapping[str, str]  # table that was read → SHA-256 of its Parquet file
    study_digest: str
    code_digest: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Results:
    """A finished results folder."""

    folder: Path
    run: RunRecord

    def table(self, name: str) -> pl.DataFrame:
        """A table as in the folder; StoreError names the tables there are."""
        import polars as pl

        path = self.folder / f"{name}.parquet"
        if name not in self.tables:
            there = ", ".join(self.tables) or "none"
            raise StoreError(f"{self.folder}: no table {name!r}; there are: {there}.")
        # Read whole, not mapped: a later run may replace the file.
        return pl.read_parquet(path.read_bytes())

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables, sorted."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.parquet")))

    @property
    def analyses(self) -> Mapping[str, AnalysisRecord]:
        """What was analysed from this run's tables, by the name of its command."""
        return _read_analyses(self.folder)


def open_results(folder: str | os.PathLike[str]) -> Results:
    """The results of a run that was finished; StoreError where there are none."""
    path = Path(folder)
    try:
        values = json.loads((path / RUN).read_text(encoding="utf-8"))
        return Results(path, RunRecord(**values))
    except FileNotFoundError:
        raise StoreError(f"{path}: no finished results here ({RUN} is missing).") from None
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path / RUN}: cannot be read ({error}).") from error


class Store:
    """An open, locked results folder; use as a context manager."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        study: StudyIdentity,
        *,
        fresh: bool = False,
        log_level: Level = "info",
    ) -> None:
        self.folder = Path(folder).resolve()
        self._study = study
        self._log: IO[str] | None = None
        self._log_level: Level = log_level
        self._make_folder()
        self._lock = Lock(self.folder / _LOCK)
        try:
            self.journal = self._open_journal(fresh=fresh)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._log is not None:
                self._log.close()
            self.journal.close()
        finally:
            self._lock.release()

    def check(self) -> None:
        """Raise StoreError where another run has taken the folder over."""
        self._lock.check()

    def write_tables(
        self, tables: Mapping[str, pl.DataFrame] | Iterable[Mapping[str, pl.DataFrame]]
    ) -> None:
        """Each table as Parquet and CSV; tables of an earlier run that are no more are removed.

        Given in parts, a name that comes again continues its table. `run.json` goes first: while
        tables of two runs lie side by side it vouches for none. The names of the tables enter the
        journal with its next commit.
        """
        self._lock.check(now=True)
        try:
            (self.folder / RUN).unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from error
        names = self._write_frames([tables] if isinstance(tables, Mapping) else tables)
        earlier = json.loads(self.journal.fact("tables") or "[]")
        for name in set(earlier) - set(names):
            self._remove_table(name)
        self.journal.set_fact("tables", json.dumps(sorted(names)))

    def write_run(self, run: RunRecord) -> Results:
        """`run.json`, last of all: it says that the tables beside it are complete.

        Tables of analyses that were computed from other tables or another study are removed.
        """
        run = replace(run, removed_analyses=list(self._remove_outdated(run.study_digest)))
        self._write_json(RUN, dataclasses.asdict(run))
        return Results(self.folder, run)

    def write_analysis(
        self, name: str, tables: Mapping[str, pl.DataFrame], record: AnalysisRecord
    ) -> tuple[str, ...]:
        """The tables of an analysis as Parquet and CSV, then its record in `analysis.json`.

        Gives the names of other analyses that had read its earlier tables and were removed.
        """
        self._lock.check(now=True)
        records = dict(_read_analyses(self.folder))
        earlier = records.pop(name, None)
        # Without a record while its tables are written: one that is cut off has none.
        self._write_analyses(records)
        self._write_frames([tables])
        for old in set(earlier.tables if earlier else ()) - set(tables):
            self._remove_table(old)
        records[name] = record
        self._write_analyses(records)
        return self._remove_outdated(record.study_digest)

    def digest_of(self, table: str) -> str | None:
        """SHA-256 of a table's Parquet file; None where it is not there."""
        try:
            data = (self.folder / f"{table}.parquet").read_bytes()
        except FileNotFoundError:
            return None
        return hashlib.sha256(data).hexdigest()

    def log(self, level: Level, **event: object) -> None:
        """One line of JSON in `logs/run.jsonl`, where its level is asked for."""
        if _LEVELS.index(level) < _LEVELS.index(self._log_level):
            return
        try:
            if self._log is None:
                (self.folder / LOGS).mkdir(exist_ok=True)
                self._log = _open_log(self.folder / LOGS / "run.jsonl")
            self._log.write(json.dumps({"level": level, **event}, ensure_ascii=False) + "\n")
            self._log.flush()
        except OSError as error:
            raise self._cannot_write(error) from error

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if (self.folder / JOURNAL).exists():
                return
            strangers = sorted(p.name for p in self.folder.iterdir() if p.name[0] != ".")
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be used for results ({error}).") from error
        if strangers:
            raise StoreError(
                f"{self.folder}: not empty and not a results folder (it holds {strangers[0]}). "
                "Name an empty or a new folder.",
                code="results_foreign",
            )

    def _open_journal(self, *, fresh: bool) -> Journal:
        path = self.folder / JOURNAL
        if fresh:
            self._clear()
        else:
            self._sweep()
        journal = Journal(path)
        try:
            self._claim(journal)
        except BaseException:
            journal.close()
            raise
        return journal

    def _claim(self, journal: Journal) -> None:
        """Refuse a folder of another study; else note whose it is."""
        text = journal.fact("study")
        if text is not None:
            owner = StudyIdentity(**json.loads(text))
            # A study may be moved, or be reached by another path from another machine; but where
            # the old one still stands it is a second study that happens to have the same name.
            moved = not (Path(owner.folder) / "study.toml").exists()
            if owner.name != self._study.name or (owner.folder != self._study.folder and not moved):
                raise StoreError(
                    f"{self.folder}: holds results of study {owner.name!r} ({owner.folder}), not "
                    f"of {self._study.name!r} ({self._study.folder}). Name another folder, or use "
                    "--fresh to replace them.",
                    code="results_other_study",
                )
        journal.set_fact("study", json.dumps(dataclasses.asdict(self._study)))
        journal.commit()

    def _sweep(self) -> None:
        """Remove what a killed run left half written; the lock says that nobody is writing."""
        for path in self.folder.glob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)

    def _clear(self) -> None:
        """Forget an earlier run: journal, tables and `run.json`; logs stay."""
        self._sweep()
        for name in (*self._tables_of_journal(), *self._tables_of_analyses()):
            self._remove_table(name)
        for name in (RUN, ANALYSES, JOURNAL, f"{JOURNAL}-journal"):
            (self.folder / name).unlink(missing_ok=True)

    def _tables_of_journal(self) -> tuple[str, ...]:
        if not (self.folder / JOURNAL).exists():
            return ()
        try:
            with Journal(self.folder / JOURNAL) as journal:
                return tuple(json.loads(journal.fact("tables") or "[]"))
        except StoreError:
            # A damaged journal is what --fresh is for; a folder that has one is ours.
            return tuple(path.stem for path in self.folder.glob("*.parquet"))

    def _remove_outdated(self, study_digest: str) -> tuple[str, ...]:
        """Remove the tables of analyses that no longer follow from what lies in the folder."""
        records = dict(_read_analyses(self.folder))
        removed: list[str] = []
        while outdated := [
            name
            for name, record in records.items()
            if record.study_digest != study_digest
            or any(self.digest_of(table) != found for table, found in record.inputs.items())
        ]:
            # What a removed analysis made may have been read by the next.
            for name in outdated:
                for table in records.pop(name).tables:
                    self._remove_table(table)
            removed += outdated
        if removed:
            self._write_analyses(records)
        return tuple(sorted(removed))

    def _tables_of_analyses(self) -> tuple[str, ...]:
        try:
            records = _read_analyses(self.folder)
        except StoreError:
            return ()  # damaged: what --fresh is for
        return tuple(table for record in records.values() for table in record.tables)

    def _write_frames(self, parts: Iterable[Mapping[str, pl.DataFrame]]) -> tuple[str, ...]:
        try:
            return write_tables(self.folder, parts)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _write_analyses(self, records: Mapping[str, AnalysisRecord]) -> None:
        plain = {name: dataclasses.asdict(record) for name, record in sorted(records.items())}
        self._write_json(ANALYSES, plain)

    def _write_json(self, name: str, document: object) -> None:
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        self._write({name: lambda file: file.write(text.encode())})

    def _remove_table(self, name: str) -> None:
        for suffix in SUFFIXES:
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _write(self, files: Mapping[str, Write]) -> None:
        try:
            write_all(self.folder, files)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.folder}: cannot be written ({error.strerror or error}). What was committed "
            "stays; free space or restore the connection, then run the same command again.",
            code="results_write",
        )


def _read_analyses(folder: Path) -> Mapping[str, AnalysisRecord]:
    """The records of `analysis.json`; none where there is no such file."""
    path = folder / ANALYSES
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        return {name: AnalysisRecord(**record) for name, record in records.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}). Remove it and analyse again."
        ) from error


def _open_log(path: Path) -> io.TextIOWrapper:
    """Open the log at its end; one that has grown large becomes `run.1.jsonl`, of which one stays.

    A run that was killed may have left half a line: it is ended, so that the next one is whole.
    """
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_name("run.1.jsonl"))
    log = path.open("a+b")
    if log.tell():
        log.seek(-1, os.SEEK_END)
        if log.read(1) != b"\n":
            log.write(b"\n")
    return io.TextIOWrapper(log, encoding="utf-8")


def study_of(folder: str | os.PathLike[str]) -> StudyIdentity:
    """Whose results a folder holds."""
    path = Path(folder) / JOURNAL
    if not path.exists():
        raise StoreError(f"{folder}: no results here ({JOURNAL} is missing).")
    with Journal(path, writes=False) as journal:
        return StudyIdentity(**json.loads(journal.fact("study") or "{}"))
