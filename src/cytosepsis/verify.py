"""`verify_results`: a part of the results, or all, computed again and compared to the bit."""
# ruff: noqa: PLC0415 - tables bring polars: imported when they are made

from __future__ import annotations

import filecmp
import json
import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cytosepsis.codec import encode
from cytosepsis.engines import Engine
from cytosepsis.errors import CytosepsisError
from cytosepsis.journal import Journal
from cytosepsis.protocol import Study
from cytosepsis.reuse import JournalTables, key_of
from cytosepsis.store import JOURNAL, open_results
from cytosepsis.table_files import SUFFIXES, table_bytes, write_tables
from cytosepsis.tasks import Order, Work, code_digest, works_of

if TYPE_CHECKING:
    import polars as pl

_CHANGED = "is not what the journal and the study give"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was computed."""

    name: str  # sample_id, bead_run or file name of a table
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was computed again and what came out differently."""

    n_files: int  # samples and bead acquisitions computed again
    n_tables: int
    differences: tuple[Difference, ...]
    same_code: bool  # whether the code and libraries are those of the run
    same_study: bool  # whether study.toml, sheets, plans and matrices are those of the run


def verify_results(
    study: Study,
    folder: str | os.PathLike[str],
    *,
    fraction: float = 1.0,
    seed: int | None = None,
    workers: int = 1,
) -> Verification:
    """Compute a random part of a study's results again and compare every record to the bit.

    The tables are made again from the journal and compared byte by byte too, so a cell that
    somebody edited is found. Nothing is written.

    Parameters
    ----------
    study
        As `load_study` gives it.
    folder
        A results folder with a finished run.
    fraction
        Of the samples and bead acquisitions, above 0 and up to 1; at least one is computed.
    seed
        Of the choice; None: another choice every time.
    workers
        Isolated worker processes; 1: in this process.
    """
    if not 0 < fraction <= 1:
        raise CytosepsisError(f"fraction is {fraction}; above 0 and up to 1 is meant.")
    run = open_results(folder).run
    works = works_of(study)
    chosen = _chosen(works, fraction, seed)
    engine = Engine(workers=workers, isolate=workers > 1)
    with Journal(Path(folder) / JOURNAL, writes=False) as journal:
        differences = [
            *_of_records(journal, chosen, engine),
            *_of_tables(journal, study, works, Path(folder)),
            *_of_analyses(study, Path(folder)),
        ]
        n_tables = len(json.loads(journal.fact("tables") or "[]"))
        n_tables += sum(len(record.tables) for record in open_results(folder).analyses.values())
    return Verification(
        n_files=len(chosen),
        n_tables=n_tables,
        differences=tuple(differences),
        same_code=run.code_digest == code_digest(),
        same_study=run.study_digest == study.digest,
    )


def _chosen(works: tuple[Work, ...], fraction: float, seed: int | None) -> list[Work]:
    n = max(1, round(fraction * len(works))) if works else 0
    picked = random.Random(seed).sample(range(len(works)), n)  # noqa: S311 - no secret
    return [works[index] for index in sorted(picked)]


def _of_records(journal: Journal, works: list[Work], engine: Engine) -> Iterator[Difference]:
    entries = {work: journal.find(key_of(work)) for work in works}
    kept = [(work, entry) for work, entry in entries.items() if entry is not None]
    orders = [Order(work.task, entry.digest == "sha256", plots=entry.plots) for work, entry in kept]
    found: dict[Work, str] = {
        work: "there is no result of it for the study as it is now"
        for work, entry in entries.items()
        if entry is None
    }
    for reply in engine.replies(orders, lambda _: None):
        if reply is None:
            continue
        work, entry = kept[reply.index]
        if reply.died:
            found[work] = "computing it again ended the worker"
        elif encode(reply.value) != entry.record:
            found[work] = _what_differs(entry.record, encode(reply.value))
    yield from (Difference(work.name, found[work]) for work in works if work in found)


def _what_differs(kept: str, again: str) -> str:
    before, after = json.loads(kept), json.loads(again)
    fields = [name for name in before if before[name] != after.get(name)]
    if before.keys() != after.keys():
        return "another kind of outcome: it failed then or fails now"
    return f"differs in {', '.join(fields)}"


def _of_tables(
    journal: Journal, study: Study, works: tuple[Work, ...], folder: Path
) -> Iterator[Difference]:
    """The tables again, written beside and compared byte by byte."""
    names = json.loads(journal.fact("tables") or "[]")
    tables = JournalTables(study, journal, works, plots="densities" in names)
    with tempfile.TemporaryDirectory() as place:
        again = write_tables(Path(place), tables.parts())
        for name in names:
            for suffix in SUFFIXES:
                path = folder / f"{name}{suffix}"
                if not path.exists():
                    yield Difference(path.name, "is missing")
                elif name in again and not filecmp.cmp(Path(place) / path.name, path, False):
                    yield Difference(path.name, _CHANGED)


def _of_analyses(study: Study, folder: Path) -> Iterator[Difference]:
    """Analyses again, each from the tables that lie in the folder."""
    from cytosepsis.analyses import compute_analysis
    from cytosepsis.analysis.registry import ANALYSES

    results = open_results(folder)
    for name, record in results.analyses.items():
        analysis = ANALYSES.get(name)
        if analysis is None or not set(analysis.reads) <= set(results.tables):
            yield Difference(name, "cannot be analysed again: what it reads is not there")
            continue
        again = compute_analysis(study, analysis, {t: results.table(t) for t in analysis.reads})
        for table in record.tables:
            yield from _of_table(table, again.get(table), folder)


def _of_table(name: str, again: pl.DataFrame | None, folder: Path) -> Iterator[Difference]:
    for suffix in SUFFIXES:
        path = folder / f"{name}{suffix}"
        if not path.exists():
            yield Difference(path.name, "is missing")
        elif again is not None and path.read_bytes() != table_bytes(again, suffix):
            yield Difference(path.name, _CHANGED)
