"""The units of work of a study, and what tells whether an earlier outcome of one still holds.

A unit is one file: a sample under its assay, or a bead acquisition. `performer` does it.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from cytosepsis.bead_tasks import BeadTask, bead_tasks
from cytosepsis.codec import encode
from cytosepsis.file_results import BeadRunResult, SampleFailure, SampleOutcome
from cytosepsis.file_stamps import Stamp, file_digest, stamp_of
from cytosepsis.gating.given import GivenGate, given_gate
from cytosepsis.protocol import NO_AIDS, AbcSettings, Aids, Assay, Limits, Sample, Study
from cytosepsis.roots import Root

Digest = Literal["sha256", "stat"]
Outcome = SampleOutcome | BeadRunResult

# Failures of the moment rather than of the file's bytes: the next run tries again.
UNSETTLED = frozenset(
    {
        *("missing", "unreadable", "out_of_memory", "timeout"),
        *("changed_while_read", "roots", "study_changed"),
    }
)
# Errors that are not the file's fault as far as anyone foresaw: exit status 3.
UNFORESEEN = frozenset({"unforeseen", "worker_died"})

# Modules that only arrange, show or store what was computed. Everything else counts as computing
# code, so that a module that is new invalidates results rather than escape notice.
_NOT_COMPUTING = frozenset(
    [
        "__init__",
        "__main__",
        "analyses",
        "analysis",
        "analysis_plan",
        "anonymize",
        "answers",
        "cli",
        "cluster",
        "codec",
        "cohort_rules",
        "compiling",
        "config",
        "counting",
        "engines",
        "export",
        "fcs_write",
        "gate_learning",
        "journal",
        "lock",
        "own_process",
        "panels",
        "performer",
        "quantify",
        "report",
        "reuse",
        "roots",
        "sheets",
        "simulate",
        "statistics",
        "store",
        "study",
        "table_files",
        "tables",
        "tasks",
        "trace",
        "trajectory_rules",
        "units",
        "verify",
        "workers",
    ]
)
FILE_WORDS = frozenset({"file", "none"})  # of `compensation`, that are no path
LIBRARIES = ("numpy", "numba", "llvmlite", "scipy", "flowkit", "flowio")


@dataclass(frozen=True, slots=True)
class SampleTask:
    """One sample under its assay."""

    sample: Sample
    assay: Assay
    aids: Aids = NO_AIDS


Task = SampleTask | BeadTask


@dataclass(frozen=True, slots=True)
class Work:
    """A task with the name of its row and the digest of the part of the study that decides it."""

    kind: Literal["sample", "beads"]
    name: str  # sample_id or bead_run
    path: str
    part: str
    task: Task
    content: str = ""  # digest of the plan and the matrix; empty of beads


@dataclass(frozen=True, slots=True)
class Order:
    """A task as it is sent to where it is performed."""

    task: Task
    digest: bool
    content: str = ""  # what plan and matrix were when the run began; empty: not compared
    roots: tuple[Root, ...] = ()  # the study's folders, where another machine performs it
    plots: bool = False  # whether what a report's pictures show is counted too


def orders_of(
    works: Sequence[Work], *, digest: bool, plots: bool = False, roots: Sequence[Root] = ()
) -> list[Order]:
    """The orders of units of work; with `roots`, for machines on which those may lie elsewhere."""
    return [Order(work.task, digest, work.content, tuple(roots), plots) for work in works]


def works_of(study: Study) -> tuple[Work, ...]:
    """Every unit of work of a study: samples in the sheet's order, then bead acquisitions."""
    return (*_sample_works(study), *_bead_works(study))


def failure(task: Task, *, code: str, message: str, unforeseen: bool = False) -> Outcome:
    """The outcome of a task that could not be carried out."""
    match task:
        case SampleTask(sample, assay):
            return SampleFailure(
                sample.sample_id, assay.name, None, code, message, unforeseen=unforeseen
            )
        case beads:
            return BeadRunResult(
                beads.bead_run.bead_run,
                channel=beads.accepted[0],
                statistic=beads.statistic,
                lot=beads.lot.name,
                sha256=None,
                calibration=None,
                status="failed",
                error_code=code,
                error=message,
            )


def error_of(outcome: Outcome) -> tuple[str, str] | None:
    """Code and message of a failed outcome."""
    match outcome:
        case SampleFailure():
            return outcome.code, outcome.message
        case BeadRunResult(error_code=str() as code):
            return code, outcome.error or ""
        case _:
            return None


def describe(outcome: Outcome) -> dict[str, Any]:
    """What the log says of an outcome: study ids, counts, codes; never a value of the file."""
    error = error_of(outcome)
    if isinstance(outcome, BeadRunResult):
        return {"bead_run": outcome.bead_run, "status": outcome.status, "code": error and error[0]}
    if isinstance(outcome, SampleFailure):
        return {"sample_id": outcome.sample_id, "status": "failed", "code": outcome.code}
    return {
        "sample_id": outcome.sample_id,
        "status": "done",
        "n_events": outcome.n_events,
        "flags": list(outcome.flags),
    }


def is_settled(outcome: Outcome) -> bool:
    """Whether the same bytes would give the same outcome again."""
    if isinstance(outcome, SampleFailure) and outcome.unforeseen:
        return False
    error = error_of(outcome)
    return error is None or error[0] not in UNSETTLED | UNFORESEEN


def sources_of(assay: Assay) -> dict[str, str]:
    """What an assay's plan and matrix are: SHA-256 of the bytes, or the word of study.toml."""
    matrix = assay.compensation
    return {
        "gating": _content(assay.gating).partition(".")[0],
        "compensation": matrix if matrix in FILE_WORDS else _content(matrix).partition(".")[0],
    }


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of the computing modules and the versions of what they compute with."""
    total = hashlib.sha256()
    for name, source in sorted(_sources(resources.files("cytosepsis"), "")):
        total.update(f"{name}\0".encode() + source + b"\0")
    for name, version in versions().items():
        total.update(f"{name} {version}\0".encode())
    return total.hexdigest()


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute."""
    return {
        "python": sys.version.split()[0],
        **{name: metadata.version(name) for name in LIBRARIES},
    }


def _sample_works(study: Study) -> Iterator[Work]:
    assays = {assay.name: _measuring(assay) for assay in study.assays}
    contents = {name: contents_of(assay) for name, assay in assays.items()}
    parts = {name: _assay_part(assay) for name, assay in assays.items()}
    controls = _controls(study)
    given = _given(study)
    for sample in study.samples:
        measured = _measured(sample)
        aids = Aids(controls.get(sample.sample_id, ()), given.get(sample.sample_id, ()))
        extra = () if aids == NO_AIDS else (_aids_part(aids),)
        part = _digest(encode(replace(measured, path="")), parts[sample.assay], *extra)
        task = SampleTask(measured, assays[sample.assay], aids)
        yield Work("sample", sample.sample_id, sample.path, part, task, contents[sample.assay])


def _controls(study: Study) -> Mapping[str, tuple[Sample, ...]]:
    """Control tubes of each sample whose plan asks for them."""
    asked = {assay.name: _asks_for_controls(assay.gating) for assay in study.assays}
    found: dict[str, tuple[Sample, ...]] = {}
    serving: dict[str, list[Sample]] = {}
    for row in study.samples:
        if row.role != "sample" and row.control_for and row.use:
            serving.setdefault(row.control_for, []).append(replace(_measured(row), role=row.role))
    for sample in study.samples:
        if asked[sample.assay] and sample.sample_id in serving:
            found[sample.sample_id] = tuple(serving[sample.sample_id])
    return found


def _asks_for_controls(gating: str) -> bool:
    """Whether a plan's text names the method; the plan itself is read where it is applied."""
    try:
        return Path(gating).suffix.lower() == ".toml" and b"control" in Path(gating).read_bytes()
    except OSError:
        return False


def _given(study: Study) -> Mapping[str, tuple[GivenGate, ...]]:
    """Gates that reviewers have placed, by sample; of one gate the last stands."""
    given: dict[str, dict[str, GivenGate]] = {}
    for override in study.overrides:
        if override.action == "gate":
            one = given_gate(dict(override.parameters))
            given.setdefault(override.target, {})[one.path] = one
    return {target: tuple(gates.values()) for target, gates in given.items()}


def _aids_part(aids: Aids) -> str:
    """Digest of control tubes, by what is in their files, and of given gates."""
    tubes = [replace(tube, path=_content(tube.path)) for tube in aids.controls]
    return _digest(encode(replace(aids, controls=tuple(tubes))))


def _bead_works(study: Study) -> Iterator[Work]:
    for task in bead_tasks(study):
        run = task.bead_run
        part = _digest(encode(replace(task, bead_run=replace(run, path="", site=None, extra=()))))
        yield Work("beads", run.bead_run, run.path, part, task)


def _measured(sample: Sample) -> Sample:
    """The part of a row that measuring may use: what is left out cannot make an outcome stale.

    Editing a date, a timepoint or a further column of the sheet then never reads events again.
    """
    return Sample(
        sample_id=sample.sample_id,
        file=sample.file,
        path=sample.path,
        patient_id="",
        assay=sample.assay,
        cytometer=sample.cytometer,
        dataset=sample.dataset,
    )


def _measuring(assay: Assay) -> Assay:
    """Keep the part of an assay that measuring may use: new limits or cut-offs read no events."""
    abc = assay.abc
    measured = abc and AbcSettings(abc.population, abc.channel, abc.statistic)
    if abc and measured and abc.asks_for_shares:  # of cells beyond thresholds, wherever those lie
        measured = replace(measured, low=0.0)
    return replace(assay, abc=measured, limits=Limits(), counting=None)


def _assay_part(assay: Assay) -> str:
    """Digest of an assay: its record, and the bytes of its plan and its matrix."""
    matrix = assay.compensation
    named = replace(
        assay,
        gating=_content(assay.gating),
        compensation=matrix if matrix in FILE_WORDS else _content(matrix),
    )
    return _digest(encode(named))


def contents_of(assay: Assay) -> str:
    """Digest of what the plan and the matrix of an assay say, wherever they lie."""
    matrix = assay.compensation
    return _digest(_content(assay.gating), matrix if matrix in FILE_WORDS else _content(matrix))


def _content(path: str) -> str:
    """What a plan or matrix is, wherever it lies: the ending tells the format."""
    suffix = Path(path).suffix.lower()
    stamp = stamp_of(path)
    try:
        return f"{_digest_at(path, stamp)}{suffix}{_content_of_batch(path, stamp)}"
    except OSError:
        return f"unreadable{suffix}"


def _content_of_batch(path: str, stamp: Stamp | None) -> str:
    """What the batch reference says that a plan leans on; empty where it names none."""
    if Path(path).suffix.lower() != ".toml":
        return ""
    named = _batch_named_in(path, stamp)
    if named is None:
        return ""
    reference = str(Path(path).parent / named)
    try:
        return f"+{_digest_at(reference, stamp_of(reference))}"
    except OSError:
        return "+unreadable"


@lru_cache(maxsize=64)
def _batch_named_in(path: str, _seen: Stamp | None) -> str | None:
    """Which file a plan names as its batch reference, looked up as `_digest_at` takes digests."""
    text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    named = re.search(r"^batch\s*=\s*[\"']([^\"'/\\]+)[\"']", text, re.MULTILINE)
    return named and named.group(1)


@lru_cache(maxsize=64)
def _digest_at(path: str, _seen: Stamp | None) -> str:
    """Digest of a file, taken once as long as its size and times stay."""
    return file_digest(path)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        stem = entry.name.removesuffix(".py")
        if not prefix and stem in _NOT_COMPUTING:
            continue
        if entry.is_dir():
            yield from _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield f"{prefix}{stem}", entry.read_bytes()
