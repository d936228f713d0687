"""Earlier outcomes: whether one still holds, why not, and all of them for the tables."""
# ruff: noqa: PLC0415 - tables bring polars: imported where they are made

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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

if TYPE_CHECKING:
    import polars as pl

    from cytosepsis.protocol import Study

_SAMPLES_TOGETHER = 500  # whose pictures are in memory at the same time

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
    journal: Journal, works: Iterable[Work], *, pictures: bool = True
) -> tuple[tuple[SampleOutcome, ...], tuple[BeadRunResult, ...]]:
    """The outcomes of a study's work, from the journal, in the order of the study.

    Without `pictures` they fit into memory however many they are: pictures are most of an outcome.
    """
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
        if not pictures and not isinstance(outcome, SampleFailure):
            outcome = replace(outcome, densities=())
        if isinstance(outcome, BeadRunResult):
            beads.append(outcome)
        else:
            samples.append(outcome)
    return tuple(samples), tuple(beads)


def picture_frames(study: Study, journal: Journal, works: Sequence[Work]) -> Iterator[pl.DataFrame]:
    """The table `densities` in parts: some samples at a time, all bead runs at the end."""
    from cytosepsis.tables import densities_frame

    samples = [work for work in works if work.kind == "sample"]
    beads = [work for work in works if work.kind == "beads"]
    # one part at least: a study of measurements alone has the table, without rows
    for first in range(0, max(1, len(samples)), _SAMPLES_TOGETHER):
        some, _ = outcomes_of(journal, samples[first : first + _SAMPLES_TOGETHER])
        last = first + _SAMPLES_TOGETHER >= len(samples)
        yield densities_frame(study, some, outcomes_of(journal, beads)[1] if last else ())


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
