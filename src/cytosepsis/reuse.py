"""Earlier outcomes: whether one still holds, why not, and all of them for the tables."""
# ruff: noqa: PLC0415 - tables bring polars: imported where they are made

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeGuard

from cytosepsis.codec import DecodeError, decode
from cytosepsis.errors import StoreError
from cytosepsis.file_results import BeadRunResult, SampleFailure, SampleOutcome, SampleResult
from cytosepsis.file_stamps import Stamp, file_digest
from cytosepsis.journal import Entry, Journal, Key
from cytosepsis.tasks import Digest, Outcome, Work

if TYPE_CHECKING:
    import polars as pl

    from cytosepsis.protocol import Study

SAMPLES_TOGETHER = 500  # whose outcomes are in memory as a whole at the same time

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
    journal: Journal, works: Iterable[Work], held: Mapping[Key, Outcome] = MappingProxyType({})
) -> Iterator[Outcome]:
    """The outcomes of a study's work, in its order, from the journal where they are not held."""
    for work in works:
        outcome = held.get(key_of(work))
        if outcome is not None:
            yield outcome
            continue
        entry = journal.find(key_of(work))
        if entry is None:
            raise StoreError(
                f"The journal has no outcome of {work.name!r} for the study as it is now. Run the "
                "study into this folder first.",
                code="journal_incomplete",
            )
        yield outcome_of(entry)


class JournalTables:
    """A study's tables from its journal, in parts: some samples' pictures at a time in memory.

    `held` are outcomes that were put into the journal just now and need not be read from it.
    """

    def __init__(
        self,
        study: Study,
        journal: Journal,
        works: Sequence[Work],
        *,
        plots: bool,
        held: Mapping[Key, Outcome] = MappingProxyType({}),
    ) -> None:
        from cytosepsis.tables import Gathering

        self._journal, self._held = journal, held
        self._samples = [work for work in works if work.kind == "sample"]
        self._bead_works = [work for work in works if work.kind == "beads"]
        self._plots = plots
        self.beads = tuple(replace(run, densities=()) for run in self._bead_results())
        self._gathering = Gathering(study, self.beads)

    @property
    def outcomes(self) -> tuple[SampleOutcome, ...]:
        """Of the samples whose parts were given, without what only long tables show."""
        return self._gathering.outcomes

    def parts(self) -> Iterator[dict[str, pl.DataFrame]]:
        """Tables by name; one that comes again is continued. Only once."""
        # one part at least: a study of measurements alone has every table, without rows
        for first in range(0, max(1, len(self._samples)), SAMPLES_TOGETHER):
            works = self._samples[first : first + SAMPLES_TOGETHER]
            outcomes = outcomes_of(self._journal, works, self._held)
            some = [outcome for outcome in outcomes if _is_sample(outcome)]
            is_last = first + SAMPLES_TOGETHER >= len(self._samples)
            pictured = self._bead_results() if is_last else ()
            yield self._gathering.take(some, pictured if self._plots else None)
        yield self._gathering.rest()

    def _bead_results(self) -> Iterator[BeadRunResult]:
        for outcome in outcomes_of(self._journal, self._bead_works, self._held):
            assert isinstance(outcome, BeadRunResult)
            yield outcome


def _is_sample(outcome: Outcome) -> TypeGuard[SampleOutcome]:
    return not isinstance(outcome, BeadRunResult)


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
