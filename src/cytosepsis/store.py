"""The results folder, whose only writer this is: journal, tables, `run.json`, logs; and its lock.

Everything is written beside its place, synchronised and renamed, so a reader never sees half a
table, and a run that is stopped at any moment leaves a folder from which the next one continues.
"""
# ruff: noqa: PLC0415 - polars takes a quarter second: imported where a table is touched

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, Self, get_args

from cytosepsis.errors import StoreError
from cytosepsis.journal import Journal
from cytosepsis.lock import Lock

if TYPE_CHECKING:
    import polars as pl

JOURNAL = "journal.sqlite"
RUN = "run.json"
LOGS = "logs"
_LOCK = ".lock"
_TEMPORARY = ".writing-"
Level = Literal["debug", "info", "warning", "error"]
_LEVELS = get_args(Level)
_SUFFIXES = (".parquet", ".csv")

# A spreadsheet takes such text for a formula; plain numbers written as text are harmless.
_FORMULA = r"^[=+\-@\t\r]"
_NUMBER = r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$"


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
    compile_seconds: float = 0.0  # of wall_seconds, spent on compiling the kernels


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

    def write_tables(self, tables: Mapping[str, pl.DataFrame]) -> None:
        """Each table as Parquet and CSV; tables of an earlier run that are no more are removed."""
        self._lock.check(now=True)
        for name, table in tables.items():
            for suffix in _SUFFIXES:
                self._write(f"{name}{suffix}", partial(_write_frame, table, suffix))
        earlier = json.loads(self.journal.fact("tables") or "[]")
        for name in set(earlier) - set(tables):
            self._remove_table(name)
        self.journal.set_fact("tables", json.dumps(sorted(tables)))
        self.journal.commit()

    def write_run(self, run: RunRecord) -> Results:
        """`run.json`, last of all: it says that the tables beside it are complete."""
        text = json.dumps(dataclasses.asdict(run), indent=2, ensure_ascii=False) + "\n"
        self._write(RUN, lambda file: file.write(text.encode()))
        return Results(self.folder, run)

    def log(self, level: Level, **event: object) -> None:
        """One line of JSON in `logs/run.jsonl`, where its level is asked for."""
        if _LEVELS.index(level) < _LEVELS.index(self._log_level):
            return
        try:
            if self._log is None:
                (self.folder / LOGS).mkdir(exist_ok=True)
                path = self.folder / LOGS / "run.jsonl"
                self._log = path.open("a", encoding="utf-8")
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
        for path in self.folder.glob(f"{_TEMPORARY}*"):
            path.unlink(missing_ok=True)

    def _clear(self) -> None:
        """Forget an earlier run: journal, tables and `run.json`; logs stay."""
        self._sweep()
        for name in self._tables_of_journal():
            self._remove_table(name)
        for name in (RUN, JOURNAL, f"{JOURNAL}-journal"):
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

    def _remove_table(self, name: str) -> None:
        for suffix in _SUFFIXES:
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _write(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        try:
            _write_whole(self.folder / name, write)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.folder}: cannot be written ({error.strerror or error}). What was committed "
            "stays; free space or restore the connection, then run the same command again.",
            code="results_write",
        )


def study_of(folder: str | os.PathLike[str]) -> StudyIdentity:
    """Whose results a folder holds."""
    path = Path(folder) / JOURNAL
    if not path.exists():
        raise StoreError(f"{folder}: no results here ({JOURNAL} is missing).")
    with Journal(path) as journal:
        return StudyIdentity(**json.loads(journal.fact("study") or "{}"))


def table_bytes(table: pl.DataFrame, suffix: str) -> bytes:
    """A table as it stands in the results folder, with the ending .csv or .parquet."""
    file = io.BytesIO()
    _write_frame(table, suffix, file)
    return file.getvalue()


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write one table as Parquet or CSV, as the ending says, whole or not at all."""
    try:
        _write_whole(path, partial(_write_frame, table, path.suffix.lower()))
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror or error}).") from error


def csv_text(table: pl.DataFrame) -> str:
    """A table as CSV: nulls and NaN empty, text that a spreadsheet takes for a formula quoted."""
    text: str = _without_nan(table).with_columns(_defused()).write_csv()
    return text


def _write_frame(table: pl.DataFrame, suffix: str, file: IO[bytes]) -> None:
    if suffix == ".csv":
        file.write(csv_text(table).encode())
    else:
        _without_nan(table).write_parquet(file)


def _without_nan(table: pl.DataFrame) -> pl.DataFrame:
    import polars.selectors as cs

    return table.with_columns(cs.float().fill_nan(None))


def _defused() -> pl.Expr:
    import polars as pl
    import polars.selectors as cs

    text = cs.string().as_expr()
    risky = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    return pl.when(risky).then("'" + text).otherwise(text).name.keep()


def _write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write beside the place, synchronise, rename: a reader sees the old file or the new one."""
    temporary = path.with_name(f"{_TEMPORARY}{path.name}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _synchronise_folder(path.parent)


def _synchronise_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no such thing and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
