"""Whether an earlier outcome still holds, and why not: what is computed again says its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cytosepsis.codec import DecodeError, decode
from cytosepsis.errors import StoreError
from cytosepsis.journal import Entry, Journal, Key, Stamp
from cytosepsis.sample import (
    BeadRunResult,
    SampleFailure,
    SampleOutcome,
    SampleResult,
    file_digest,
)
from cytosepsis.tasks import Digest, Outcome, Work

Reason = Literal[
    "new",  # never computed into this folder
    "study_changed",  # its assay, plan, matrix, lot or cytometer
    "file_changed",  # its bytes; with digest "stat", its size or time
    "file_missing",  # it cannot be found now
    "code_changed",  # this package or a library that computes
    "digest_changed",  # the run before was made with another `digest`
    "plots_missing",  # it was computed without plots, and they are wanted now
    "failed_before",  # a failure that may not repeat
]


@dataclass(frozen=True, slots=True)
class Judge:
    """Says of each unit of work why it has to be computed; None: an earlier outcome holds."""

    journal: Journal
    code: str
    digest: Digest
    plots: bool = False
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
        if self.plots and not entry.plots:
            return "plots_missing"
        if self._looks_the_same(entry, work, stamp):
            return None
        return None if self._has_same_bytes(entry, work, stamp) else "file_changed"

    def _looks_the_same(self, entry: Entry, work: Work, stamp: Stamp) -> bool:
        """Whether the file need not be opened; with digest "stat", size and time are everything."""
        before = entry.stamp
        if before is None or (before.size, before.mtime_ns) != (stamp.size, stamp.mtime_ns):
            return False
        if self.digest == "stat":
            return True
        return entry.path == work.path and before.changed_ns == stamp.changed_ns

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


def outcomes_of(
    journal: Journal, works: Sequence[Work]
) -> tuple[tuple[SampleOutcome, ...], tuple[BeadRunResult, ...]]:
    """The outcomes of a study's work, from the journal, in the order of the study."""
    samples: list[SampleOutcome] = []
    beads: list[BeadRunResult] = []
    for work in works:
        entry = journal.find(key_of(work))
        if entry is None:
            raise StoreError(
                f"The journal has no outcome of {work.name!r} for the study as it is now. Run the "
                "study into this folder first.",
                code="journal_incomplete",
            )
        outcome = outcome_of(entry)
        if isinstance(outcome, BeadRunResult):
            beads.append(outcome)
        else:
            samples.append(outcome)
    return tuple(samples), tuple(beads)


def stamp_of(path: str) -> Stamp | None:
    """Size and time of a file; None where it cannot be found."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def outcome_of(entry: Entry) -> Outcome:
    """The record that an entry of the journal holds."""
    try:
        match entry.record_type:
            case "SampleResult":
                return decode(SampleResult, entry.record)
            case "SampleFailure":
                return decode(SampleFailure, entry.record)
            case "BeadRunResult":
                return decode(BeadRunResult, entry.record)
            case other:
                raise DecodeError(f"no such record: {other}")
    except DecodeError as error:
        raise StoreError(
            f"The journal's outcome of {entry.key.name!r} cannot be understood ({error}). "
            "Use --fresh to compute everything again.",
            code="journal_damaged",
        ) from None
