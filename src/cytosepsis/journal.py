"""The journal of a results folder: what was computed, from what, by which code (SQLite).

One writer. Results often lie on network shares, so a rollback journal with full synchronisation
and not WAL. Committing costs some milliseconds on a disk that is honest about it, and much more on
one that others use, so outcomes that come in quickly share a commit: a kill costs at most the last
fifth of a second.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cytosepsis.errors import StoreError
from cytosepsis.file_stamps import Stamp

SCHEMA_VERSION = "3"
_BUSY_SECONDS = 60.0  # how long somebody who looks into the journal may keep a run waiting
_PAUSE = 0.2  # seconds from a commit to the next: what a kill may cost

_SCHEMA = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """
CREATE TABLE outcomes (
    kind TEXT NOT NULL,      -- sample or beads
    name TEXT NOT NULL,      -- sample_id or bead_run
    part TEXT NOT NULL,      -- digest of the part of the study that decides the outcome
    path TEXT NOT NULL,      -- of the file when it was read
    size INTEGER,            -- bytes; null: not known to be what was read
    mtime_ns INTEGER,
    sha256 TEXT,             -- null with --digest stat, or where the file could not be read
    digest TEXT NOT NULL,    -- sha256 or stat
    code TEXT NOT NULL,      -- digest of the computing code and its libraries
    plots INTEGER NOT NULL,  -- 1: with what a report's pictures show
    settled INTEGER NOT NULL,-- 0: the failure may not repeat, the next run tries again
    record_type TEXT NOT NULL, -- its class
    record TEXT NOT NULL,    -- JSON of the frozen record
    changed_ns INTEGER,      -- when the file system last noted a change, also a replacement
    PRIMARY KEY (kind, name, part)
) WITHOUT ROWID
""",
)


@dataclass(frozen=True, slots=True)
class Key:
    """What an outcome is of: a sample or bead run, and the part of the study that decides it."""

    kind: str
    name: str
    part: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One outcome with everything that tells whether it still holds."""

    key: Key
    path: str
    stamp: Stamp | None
    sha256: str | None
    digest: str
    code: str
    plots: bool
    settled: bool
    record_type: str
    record: str


class Journal:
    """An open journal; errors of the file or the disk are `StoreError`."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self._last_commit = time.monotonic()
        self._pause = _PAUSE
        try:
            schema = self._open(writes=writes)
        except sqlite3.Error as error:
            if not writes:
                raise _unreadable(path, error) from error
            full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            raise (_cannot_write if full else _damaged)(path, error) from error
        if schema != SCHEMA_VERSION:
            raise StoreError(
                f"{path}: journal of schema {schema}, this version writes {SCHEMA_VERSION}. "
                "Use --fresh to compute everything again, or another folder.",
                code="journal_schema",
            )

    def _open(self, *, writes: bool) -> str | None:
        """Open, make or bring up to date the file; the schema that it has now."""
        if not writes:
            # So that looking at results changes nothing, and needs no right to.
            place = f"{self.path.resolve().as_uri()}?mode=ro"
            self._db = sqlite3.connect(place, uri=True, isolation_level=None, timeout=_BUSY_SECONDS)
            return self.fact("schema")
        self._db = sqlite3.connect(self.path, isolation_level=None, timeout=_BUSY_SECONDS)
        self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.execute("PRAGMA synchronous = FULL")
        # One transaction each: a journal that is cut off here is none yet, or is still the old one.
        if not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            # Committed with its owner's first facts.
            self._db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                self._db.execute(statement)
            self._db.execute("INSERT INTO facts VALUES ('schema', ?)", (SCHEMA_VERSION,))
        else:
            self._bring_up_to_date()
        return self.fact("schema")

    def _bring_up_to_date(self) -> None:
        """Add the columns that an earlier version did not have, with what its outcomes mean."""
        steps = {
            "1": ("plots INTEGER NOT NULL DEFAULT 0", "changed_ns INTEGER"),
            "2": ("changed_ns INTEGER",),
        }
        columns = steps.get(self.fact("schema") or "", ())
        if columns:
            added = "".join(f"ALTER TABLE outcomes ADD COLUMN {column};" for column in columns)
            fact = f"UPDATE facts SET value = '{SCHEMA_VERSION}' WHERE name = 'schema';"  # noqa: S608
            self._db.executescript(f"BEGIN; {added} {fact} COMMIT;")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is pending and close."""
        try:
            self.commit()
        finally:
            self._db.close()

    def fact(self, name: str) -> str | None:
        """A named fact about the folder, or None."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Keep a named fact; committed with the next commit."""
        self._write("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def find(self, key: Key) -> Entry | None:
        """What is kept under a key."""
        try:
            row = self._db.execute(
                "SELECT path, size, mtime_ns, changed_ns, sha256, digest, code, plots, settled,"
                " record_type, record FROM outcomes WHERE kind = ? AND name = ? AND part = ?",
                (key.kind, key.name, key.part),
            ).fetchone()
        except sqlite3.Error as error:
            raise _damaged(self.path, error) from error
        if row is None:
            return None
        path, size, mtime_ns, changed_ns, sha256, digest, code, plots, settled, kind, record = row
        stamp = None if size is None or mtime_ns is None else Stamp(size, mtime_ns, changed_ns)
        return Entry(
            key, path, stamp, sha256, digest, code, bool(plots), bool(settled), kind, record
        )

    def knows(self, key: Key) -> bool:
        """Whether anything is kept of a sample or bead run, under whatever part of the study."""
        try:
            row = self._db.execute(
                "SELECT 1 FROM outcomes WHERE kind = ? AND name = ? LIMIT 1", (key.kind, key.name)
            ).fetchone()
        except sqlite3.Error as error:
            raise _damaged(self.path, error) from error
        return row is not None

    def put(self, entry: Entry) -> None:
        """Keep an outcome in place of an earlier one of its key; committed soon."""
        stamp = entry.stamp
        self._write(
            # By name: in a journal that was brought up to date, columns stand in another order.
            "INSERT OR REPLACE INTO outcomes (kind, name, part, path, size, mtime_ns, sha256,"
            " digest, code, plots, settled, record_type, record, changed_ns)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.key.kind,
                entry.key.name,
                entry.key.part,
                entry.path,
                stamp.size if stamp else None,
                stamp.mtime_ns if stamp else None,
                entry.sha256,
                entry.digest,
                entry.code,
                int(entry.plots),
                int(entry.settled),
                entry.record_type,
                entry.record,
                stamp.changed_ns if stamp else None,
            ),
        )
        self.commit_if_due()

    def keep_only(self, keys: Iterable[Key]) -> None:
        """Forget every other outcome: of samples that left the study, of settings that changed."""
        self._write("CREATE TEMP TABLE kept (kind, name, part, PRIMARY KEY (kind, name, part))", ())
        rows = ((key.kind, key.name, key.part) for key in keys)
        try:
            self._db.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise _cannot_write(self.path, error) from error
        self._write("DELETE FROM outcomes WHERE (kind, name, part) NOT IN (SELECT * FROM kept)", ())
        self._write("DROP TABLE kept", ())
        self.commit()

    def commit_if_due(self) -> None:
        """Commit unless the last commit is so recent that committing would be the work."""
        if time.monotonic() - self._last_commit >= self._pause:
            self.commit()

    def commit(self) -> None:
        """Put everything on the disk."""
        if self._db.in_transaction:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise _cannot_write(self.path, error) from error
        self._last_commit = time.monotonic()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise _cannot_write(self.path, error) from error


def _unreadable(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"{path}: cannot be read now ({error}). If a run was stopped here, run the study again "
        "first: that puts the journal in order.",
        code="journal_damaged",
    )


def _damaged(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"{path}: cannot be read as a journal ({error}). "
        "Use --fresh to compute everything again, or another folder.",
        code="journal_damaged",
    )


def _cannot_write(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"{path}: cannot be written ({error}). What was committed before stays; free space or "
        "restore the connection, then run the same command again.",
        code="results_write",
    )
