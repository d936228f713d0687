"""`analyze_results`: an analysis on a results folder, from the tables there to tables beside them.

Nothing is read but tables and the study, and nothing is written but whole tables and, in
`analysis.json`, what they were computed from.
"""
# ruff: noqa: PLC0415 - tables bring polars: imported when they are touched

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from cytosepsis.errors import CytosepsisError, StoreError
from cytosepsis.reuse import JournalTables
from cytosepsis.store import AnalysisRecord, Results, Store, StudyIdentity, open_results
from cytosepsis.table_files import table_bytes
from cytosepsis.tasks import works_of

if TYPE_CHECKING:
    import polars as pl

    from cytosepsis.analysis.registry import Analysis
    from cytosepsis.protocol import Study

# What decides an analysis, of ours.
_CODE = (
    *("analysis", "statistics", "tables", "quantify"),
    *(
        "protocol.py",
        "analysis_plan.py",
        "cohort_rules.py",
        "trajectory_rules.py",
        "answers.py",
        "units.py",
    ),
)


@dataclass(frozen=True, slots=True)
class Analyzed:
    """What an analysis left in a results folder."""

    folder: Path
    tables: Mapping[str, pl.DataFrame]  # the analysis's own
    computed: tuple[str, ...]  # analyses, those it reads first
    removed: tuple[str, ...]  # analyses that had read what is different now


def analyze_results(study: Study, folder: str | os.PathLike[str], name: str) -> Analyzed:
    """Compute an analysis, and first those whose tables it reads, and write their tables.

    Parameters
    ----------
    study
        As `load_study` gives it; it may have changed since the run in what no table depends on
        that the analysis reads (its own section, a covariate).
    folder
        A results folder with a finished run of the study.
    name
        Of the analysis, as its command is called: a key of `cytosepsis.analysis.registry.ANALYSES`.

    Raises
    ------
    StoreError
        No finished run, one of another study or of another state of it (`results_outdated`), or
        a folder in use.
    CytosepsisError
        There is no such analysis, or a library that it needs is not installed.

    """
    from cytosepsis.analysis.registry import ANALYSES, in_order

    if name not in ANALYSES:
        raise CytosepsisError(f"No analysis {name!r}; there are: {', '.join(ANALYSES)}.")
    analyses = in_order(name)
    results = open_results(folder)
    with Store(folder, StudyIdentity(study.name, str(Path(study.folder).resolve()))) as store:
        tables = {
            table: results.table(table)
            for analysis in analyses
            for table in analysis.reads
            if not _is_made_by(table, analyses)
        }
        _check_current(study, results, store, tables)
        removed: dict[str, None] = {}
        for analysis in analyses:
            made = compute_analysis(study, analysis, tables)
            tables |= made
            record = _record(study, analysis, store)
            removed |= dict.fromkeys(store.write_analysis(analysis.name, made, record))
    computed = tuple(analysis.name for analysis in analyses)
    own = {table.name: tables[table.name] for table in ANALYSES[name].tables}
    return Analyzed(results.folder, own, computed, tuple(n for n in removed if n not in computed))


def compute_analysis(
    study: Study, analysis: Analysis, tables: Mapping[str, pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """The tables of one analysis, in the declared order, checked to be what is declared."""
    _check_libraries(analysis)
    made = analysis.compute(study, {name: tables[name] for name in analysis.reads})
    assert set(made) == {table.name for table in analysis.tables}, analysis.name
    for table in analysis.tables:
        assert tuple(made[table.name].columns[: len(table.columns)]) == table.names, table.name
    return {table.name: made[table.name] for table in analysis.tables}


@cache
def analysis_digest() -> str:
    """SHA-256 of the code that analyses."""
    total = hashlib.sha256()
    root = resources.files("cytosepsis")
    for name in _CODE:
        for path, source in sorted(_sources(root.joinpath(name), name)):
            total.update(f"{path}\0".encode() + source + b"\0")
    return total.hexdigest()


def _is_made_by(table: str, analyses: Iterable[Analysis]) -> bool:
    return any(table == made.name for analysis in analyses for made in analysis.tables)


def _check_current(
    study: Study, results: Results, store: Store, tables: Mapping[str, pl.DataFrame]
) -> None:
    """Refuse tables that the study as it is now would not give; nothing is measured again."""
    if study.digest == results.run.study_digest:
        return
    import polars as pl

    again: dict[str, list[pl.DataFrame]] = {name: [] for name in tables}
    try:
        for part in JournalTables(study, store.journal, works_of(study), plots=False).parts():
            for name in part.keys() & again.keys():
                again[name].append(part[name])
    except StoreError as error:
        raise _outdated(results, "its samples, beads or assays") from error
    for name, frames in again.items():
        now = pl.concat(frames, rechunk=True) if frames else tables[name]
        if table_bytes(now, ".parquet") != table_bytes(tables[name], ".parquet"):
            raise _outdated(results, f"what table {name} is made of")


def _outdated(results: Results, what: str) -> StoreError:
    return StoreError(
        f"{results.folder}: the study has changed in {what} since it was run into this folder. Run "
        "it again (only what is new is measured), then analyse.",
        code="results_outdated",
    )


def _check_libraries(analysis: Analysis) -> None:
    missing = [name for name in analysis.libraries if not _version(name)]
    if missing:
        raise CytosepsisError(
            f"{analysis.name} needs {', '.join(missing)}. Install cytosepsis[stats].",
            code="library_missing",
        )


def _record(study: Study, analysis: Analysis, store: Store) -> AnalysisRecord:
    return AnalysisRecord(
        tables=tuple(table.name for table in analysis.tables),
        inputs={name: store.digest_of(name) or "" for name in analysis.reads},
        study_digest=study.digest,
        code_digest=analysis_digest(),
        versions={
            "python": sys.version.split()[0],
            **{name: _version(name) or "" for name in ("polars", "numpy", *analysis.libraries)},
        },
    )


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _sources(place: Traversable, path: str) -> Iterable[tuple[str, bytes]]:
    if place.is_file():
        yield path, place.read_bytes()
        return
    for entry in place.iterdir():
        if entry.is_dir() or entry.name.endswith(".py"):
            yield from _sources(entry, f"{path}/{entry.name}")
