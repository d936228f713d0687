"""Whether an earlier outcome still holds, and why not: what is computed again says its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cytosepsis.journal import Entry, Journal, Key, Stamp
from cytosepsis.sample import file_digest
from cytosepsis.tasks import Digest, Work

Reason = Literal[
    "new",  # never computed into this folder
    "study_changed",  # its assay, plan, matrix, lot or cytometer
    "file_changed",  # its bytes; with digest "stat", its size or time
    "file_missing",  # it cannot be found now
    "code_changed",  # this package or a library that computes
    "digest_changed",  # the run before was made with another `digest`
    "failed_before",  # a failure that may not repeat
]


@dataclass(frozen=True, slots=True)
class Judge:
    """Says of each unit of work why it has to be computed; None: an earlier outcome holds."""

    journal: Journal
    code: str
    digest: Digest
    hash_file: Callable[[str], str] = file_digest

    def reason(self, work: Work, stamp: Stamp | None) -> Reason | None:
        """Why the work is to do. A file of unchanged path, size and time is not hashed again."""
        key = key_of(work)
        entry = self.journal.find(key)
        if entry is None:
            return "study_changed" if self.journal.knows(key) else "new"
        if stamp is None:
            return "file_missing"
        if entry.code != self.code:
            return "code_changed"
        if entry.digest != self.digest:
            return "digest_changed"
        if not entry.settled:
            return "failed_before"
        if entry.stamp == stamp and (entry.path == work.path or self.digest == "stat"):
            return None
        return None if self._has_same_bytes(entry, work, stamp) else "file_changed"

    def _has_same_bytes(self, entry: Entry, work: Work, stamp: Stamp) -> bool:
        if entry.sha256 is None:
            return False
        try:
            same = self.hash_file(work.path) == entry.sha256
        except OSError:
            return False
        if same:
            self.journal.put(replace(entry, path=work.path, stamp=stamp))
        return same


def key_of(work: Work) -> Key:
    """Under which a unit of work is kept."""
    return Key(work.kind, work.name, work.part)


def stamp_of(path: str) -> Stamp | None:
    """Size and time of a file; None where it cannot be found."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns)
