"""The first page: how many, which flags, what needs a human, every sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from cytosepsis.flags import FLAGS
from cytosepsis.report.analysis_pages import analyses_missing, label_of
from cytosepsis.report.html import Grid, Head, render
from cytosepsis.report.site import Site, filtered
from cytosepsis.report.source import Row, Source, codes_of

INDEX = "index.html"
_LISTED = 15  # of one kind of trouble; the table below has all


@dataclass(frozen=True, slots=True)
class Task:
    """Something that a person should look at."""

    words: str
    address: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Tasks:
    """Things of one kind to look at."""

    title: str
    items: tuple[Task, ...]
    n_more: int = 0
    address: str = ""  # of all of them


def overview_page(site: Site, source: Source) -> str:
    """HTML of the overview."""
    samples = source.rows("samples")
    return render(
        "overview.html",
        site=site,
        root="",
        here="overview",
        title="Overview",
        numbers=list(_numbers(source)),
        tasks=[tasks for tasks in _tasks(site, source) if tasks.items],
        flags=list(_flags(samples)),
        grid=_grid(site, source, samples),
        missing=[(a.name, label_of(a), a.purpose) for a in analyses_missing(source)],
    )


def _numbers(source: Source) -> Iterator[tuple[str, str]]:
    statuses = Counter(row["status"] for row in source.rows("samples"))
    yield f"{statuses.total():,}", "samples"
    for status in ("ok", "flagged", "failed"):
        yield f"{statuses[status]:,}", status
    yield f"{sum(row['abc'] is not None for row in source.rows('abc')):,}", "AB/C values"
    patients = {r["patient_id"] for r in source.rows("patients") if r["group"] == "patient"}
    donors = {r["patient_id"] for r in source.rows("patients") if r["group"] == "healthy"}
    yield f"{len(patients):,}", "patients"
    yield f"{len(donors):,}", "healthy donors"
    yield f"{len(source.grouped('calibrations', 'bead_run')):,}", "bead runs"
    yield f"{source.results.run.n_events:,}", "events read"


def _tasks(site: Site, source: Source) -> Iterator[Tasks]:
    samples = source.rows("samples")
    failed = [row for row in samples if row["error_code"] is not None]
    yield _listed(
        "Files from which nothing could be computed",
        [
            Task(row["sample_id"], site.sample(row["sample_id"]), row["error"] or row["error_code"])
            for row in failed
        ],
        filtered(INDEX, "samples", Status="failed"),
    )
    beads = [row for row in source.rows("calibrations") if row["status"] != "ok"]
    yield _listed(
        "Bead runs that are flagged or failed: AB/C that rest on them are doubtful or absent",
        [
            Task(
                f"{row['bead_run']} ({row['channel']})",
                site.bead_run(row["bead_run"]),
                row["error"] or _meanings(row["flags"]) or row["status"],
            )
            for row in beads
        ],
        "beads.html",
    )
    doubtful = [row for row in samples if row["status"] == "flagged"]
    yield _listed(
        "Samples with a doubt",
        [
            Task(row["sample_id"], site.sample(row["sample_id"]), _meanings(row["flags"]))
            for row in doubtful
        ],
        filtered(INDEX, "samples", Status="flagged"),
    )
    without = [row for row in source.rows("patients") if row["status"] == "failed"]
    yield _listed(
        "Patients with a draw and no usable value",
        [
            Task(
                f"{row['patient_id']}, {row['timepoint'] or 'no timepoint'}",
                site.patient(row["patient_id"]),
                _meanings(row["flags"]),
            )
            for row in without
        ],
        "patients.html",
    )


def _listed(title: str, tasks: list[Task], address: str) -> Tasks:
    return Tasks(title, tuple(tasks[:_LISTED]), max(0, len(tasks) - _LISTED), address)


def _meanings(cell: str | None) -> str:
    """What the doubts of a cell say."""
    found = (FLAGS.get(code) for code in codes_of(cell))
    return " ".join(flag.meaning for flag in found if flag and flag.severity == "doubt")


def _flags(samples: list[Row]) -> Iterator[tuple[str, str, str, int, str]]:
    """Code, severity, meaning, samples, address of those: doubts first, the frequent ones first."""
    counts = Counter(code for row in samples for code in codes_of(row["flags"]))
    known = [(FLAGS[code], n) for code, n in counts.items() if code in FLAGS]
    for flag, n in sorted(known, key=lambda pair: (pair[0].severity != "doubt", -pair[1])):
        address = filtered(INDEX, "samples", Flags=flag.code)
        yield flag.code, flag.severity, flag.meaning, n, address


def _grid(site: Site, source: Source, samples: list[Row]) -> Grid:
    values = {row["sample_id"]: row for row in source.rows("abc")}
    rows = []
    for row in samples:
        abc = values.get(row["sample_id"], {})
        rows.append(
            (
                (row["sample_id"], site.sample(row["sample_id"])),
                (row["patient_id"], site.patient(row["patient_id"])),
                row["timepoint"],
                row["group"],
                row["day"],
                row["n_events"],
                abc.get("n_cells"),
                abc.get("abc"),
                abc.get("band"),
                (abc.get("bead_run"), site.bead_run(abc.get("bead_run"))),
                row["status"],
                row["flags"],
            )
        )
    return Grid(
        name="samples",
        caption="Samples",
        heads=(
            Head("Sample", "link"),
            Head("Patient", "link"),
            Head("Timepoint", choose=True),
            Head("Group", choose=True),
            Head("Day", "number", title="Day since shock onset; the first 24 h are day 1"),
            Head("Events", "number"),
            Head("Cells", "number", title="Events of the quantified population"),
            Head("AB/C", "number", title="Antibodies bound per cell"),
            Head("Band", choose=True, title="Band of the study's cut-offs"),
            Head("Bead run", "link"),
            Head("Status", "status", choose=True),
            Head("Flags", "flags", choose=True),
        ),
        rows=rows,
        file="samples.csv, abc.csv",
        search="Sample or patient",
    )
