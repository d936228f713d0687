"""`write_report`: a results folder as pages, drawn patient by patient, written whole.

Pages go into a new folder beside the place, which then takes it: a report that is being made never
stands half beside the old one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from cytosepsis.errors import CytosepsisError
from cytosepsis.report.analysis_pages import analyses_of, analysis_links, analysis_page
from cytosepsis.report.bead_pages import BeadRows, bead_page, beads_page, gather_beads
from cytosepsis.report.drawing import require_extra, style
from cytosepsis.report.explore import ADDRESS, courses_of, courses_page
from cytosepsis.report.names import page_names
from cytosepsis.report.overview import INDEX, overview_page
from cytosepsis.report.patients import (
    PatientRows,
    gather_patients,
    patient_pages,
    patients_page,
    sample_addresses,
)
from cytosepsis.report.provenance import provenance_page
from cytosepsis.report.quality_pages import QualityRows, gather_quality, quality_page
from cytosepsis.report.sheet import SheetFormat, patient_sheet
from cytosepsis.report.site import PATIENTS, VERSION, Link, Site
from cytosepsis.report.source import Source
from cytosepsis.store import open_results
from cytosepsis.workers import Pool, Reply

_MARK = "report.json"  # says that a folder is a report, which the next one may replace
_TARGET = "cytosepsis.report.build:draw"

Pages = dict[str, bytes]  # address in the report → content
Rows = PatientRows | BeadRows | QualityRows  # what one page or few are drawn from


@dataclass(frozen=True, slots=True)
class Report:
    """What was written."""

    folder: Path
    n_pages: int
    n_bytes: int
    largest: str  # address of the largest page
    n_bytes_largest: int

    @property
    def index(self) -> Path:
        """The page to open."""
        return self.folder / INDEX


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn at once, with the part of the site that it refers to."""

    site: Site
    rows: Rows
    export: SheetFormat | None


def write_report(
    results: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    patients: Sequence[str] = (),
    export: SheetFormat | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Write a results folder as static HTML, which opens from any place without network.

    Parameters
    ----------
    results
        A results folder with a finished run.
    out
        The report's folder: new, empty, or of an earlier report; default: `report` in the results.
    patients
        Ids of the patients whose pages are made; () makes all.
    export
        "pdf" or "png": each patient as a document too, beside the patient's page.
    workers
        1: in this process. More: isolated processes that draw.
    progress
        Called with pages drawn and to be drawn.

    Raises
    ------
    StoreError, CytosepsisError
        No finished results, an unknown patient, a folder of something else, or the extra `report`
        is not installed.

    """
    require_extra()
    if export is not None and export not in get_args(SheetFormat):
        raise CytosepsisError(f"export is {export!r}; 'pdf' or 'png' is meant.", code="export")
    source = Source(open_results(results))
    folder = Path(out) if out is not None else source.results.folder / "report"
    run = source.results.run
    everyone = gather_patients(source, run.cutoffs)
    unknown = sorted(set(patients) - {p.patient_id for p in everyone})
    if unknown:
        raise CytosepsisError(
            f"no patient {', '.join(unknown)} in {source.results.folder}", code="patient_unknown"
        )
    beads = gather_beads(source, run.limits)
    quality = gather_quality(source)
    site = _site(source, everyone, beads)
    shown = [p for p in everyone if not patients or p.patient_id in patients]
    every: list[Rows] = [*shown, *beads, *quality]
    drawings = [Drawing(_part_of(site, rows), rows, export) for rows in every]
    with _Folder(folder) as place:
        with style():
            for name, html in _plain_pages(site, source, everyone, beads):
                place.write(name, html.encode())
        for done, pages in enumerate(_drawn(drawings, workers), 1):
            for name, content in pages.items():
                place.write(name, content)
            if progress is not None:
                progress(done, len(drawings))
        return place.finish()


def draw(drawing: Drawing) -> Pages:
    """Draw the pages of one patient, bead run or part; called in worker processes too."""
    with style():
        match drawing.rows:
            case BeadRows():
                return _encoded(bead_page(drawing.site, drawing.rows))
            case QualityRows():
                return _encoded(quality_page(drawing.site, drawing.rows))
            case _:
                return _patient(drawing, drawing.rows)


def _patient(drawing: Drawing, rows: PatientRows) -> Pages:
    name = drawing.site.patients[rows.patient_id]
    exported = f"{name}.{drawing.export}" if drawing.export else None
    pages = _encoded(patient_pages(drawing.site, rows, exported))
    if drawing.export is not None:
        document = patient_sheet(rows, drawing.site.study, drawing.export)
        pages[f"{PATIENTS}/{exported}"] = document
    return pages


def _encoded(pages: Mapping[str, str]) -> Pages:
    return {name: html.encode() for name, html in pages.items()}


def _drawn(drawings: Sequence[Drawing], workers: int) -> Iterator[Pages]:
    if workers == 1:
        yield from map(draw, drawings)
        return
    with Pool(_TARGET, workers) as pool:
        replies: Iterator[Reply | None] = pool.replies(drawings)
        for reply in replies:
            if reply is None:
                continue
            if reply.died:
                raise CytosepsisError(
                    "a process that draws the report ended; try it with --workers 1",
                    code="worker_died",
                )
            yield reply.value


def _plain_pages(
    site: Site, source: Source, patients: list[PatientRows], beads: list[BeadRows]
) -> Iterator[tuple[str, str]]:
    """Pages of which there is one."""
    yield INDEX, overview_page(site, source)
    yield "patients.html", patients_page(site, patients)
    if courses_of(source):
        yield ADDRESS, courses_page(site, source, source.results.run.cutoffs)
    if beads:
        yield "beads.html", beads_page(site, beads)
    for analysis in analyses_of(source):
        yield f"{analysis.name}.html", analysis_page(site, source, analysis)
    yield "provenance.html", provenance_page(site, source.results.run)


def _site(source: Source, patients: list[PatientRows], beads: list[BeadRows]) -> Site:
    run = source.results.run
    links = [Link("overview", "Overview", INDEX), Link("patients", "Patients", "patients.html")]
    if courses_of(source):
        links.append(Link("courses", "Courses", ADDRESS))
    if beads:
        links.append(Link("beads", "Bead runs", "beads.html"))
    if source.has("quality"):
        links.append(Link("quality", "Quality", "quality.html"))
    links += analysis_links(source)
    links.append(Link("provenance", "Provenance", "provenance.html"))
    names = page_names(p.patient_id for p in patients)
    return Site(
        study=run.study,
        started_at=run.started_at,
        pages=tuple(links),
        patients=names,
        bead_runs=page_names(run.bead_run for run in beads),
        sample_parts=sample_addresses(patients, names),
    )


def _part_of(site: Site, rows: Rows) -> Site:
    """The site with the addresses that one page needs: a worker is not sent thousands."""
    if isinstance(rows, QualityRows):
        named = rows.all_checks or [row for found in rows.checks.values() for row in found]
        return site.narrowed(samples=[row["sample_id"] for row in named])
    if isinstance(rows, BeadRows):
        samples = [row["sample_id"] for row in rows.samples]
        return site.narrowed(bead_runs=[rows.bead_run], samples=samples)
    used = [row["bead_run"] for row in rows.abc.values() if row["bead_run"]]
    return site.narrowed(patients=[rows.patient_id], bead_runs=used)


class _Folder:
    """A report's folder in the making."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._new = self._folder.with_name(f".{self._folder.name}.writing-{os.getpid()}")
        self._sizes: dict[str, int] = {}

    def __enter__(self) -> _Folder:
        self._refuse_others()
        try:
            self._new.mkdir(parents=True)
        except OSError as error:
            raise _cannot_write(self._folder, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._new, ignore_errors=True)

    def write(self, name: str, content: bytes) -> None:
        try:
            path = self._new / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise _cannot_write(self._folder, error) from error
        self._sizes[name] = len(content)

    def finish(self) -> Report:
        largest = max(self._sizes, key=lambda name: self._sizes[name])
        report = Report(
            self._folder,
            len(self._sizes),
            sum(self._sizes.values()),
            largest,
            self._sizes[largest],
        )
        mark = {"cytosepsis": VERSION, "n_pages": report.n_pages}
        self.write(_MARK, (json.dumps(mark) + "\n").encode())
        try:
            if self._folder.exists():
                shutil.rmtree(self._folder)
            self._new.rename(self._folder)
        except OSError as error:
            raise _cannot_write(self._folder, error) from error
        return report

    def _refuse_others(self) -> None:
        if not self._folder.exists():
            return
        if not self._folder.is_dir() or (
            any(self._folder.iterdir()) and not (self._folder / _MARK).exists()
        ):
            raise CytosepsisError(
                f"{self._folder}: not empty and not a report. Name an empty or a new folder.",
                code="report_foreign",
            )


def _cannot_write(folder: Path, error: OSError) -> CytosepsisError:
    return CytosepsisError(
        f"{folder}: cannot be written ({error.strerror or error}).", code="report_write"
    )
