"""Pages of bead runs: the list of all, and each with its histogram, line, residuals, recoveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cytosepsis.flags import Flag
from cytosepsis.report.beads import line_alt, line_uri
from cytosepsis.report.html import Grid, Head, number, render
from cytosepsis.report.patients import HISTOGRAM, PICTURE
from cytosepsis.report.pictures import picture_uri, read_picture
from cytosepsis.report.site import BEADS, Shown, Site
from cytosepsis.report.source import Row, Source, flags_of

Limits = Mapping[str, Mapping[str, Any]]  # assay → its limits, as in run.json


@dataclass(frozen=True, slots=True)
class BeadRows:
    """Everything that the page of one bead run shows; sent to worker processes."""

    bead_run: str
    lines: tuple[Row, ...]  # rows of `calibrations`
    levels: tuple[Row, ...]
    densities: tuple[Row, ...]
    samples: tuple[Row, ...]  # rows of `abc` that used it
    limits: Limits


@dataclass(frozen=True, slots=True)
class LineSection:
    """One line of a bead run as the page shows it."""

    row: Row
    levels: list[Row]
    figure: Shown | None
    flags: list[Flag]


def gather_beads(source: Source, limits: Limits) -> list[BeadRows]:
    """Every bead run, in the sheet's order."""
    return [
        BeadRows(
            bead_run=name,
            lines=tuple(lines),
            levels=tuple(source.of("bead_levels", "bead_run", name)),
            densities=tuple(source.of("densities", "bead_run", name)),
            samples=tuple(source.of("abc", "bead_run", name)),
            limits=limits,
        )
        for name, lines in source.grouped("calibrations", "bead_run").items()
    ]


def bead_page(site: Site, run: BeadRows) -> dict[str, str]:
    """HTML of a bead run's page by its address; figures are drawn here."""
    address = f"{BEADS}/{site.bead_runs[run.bead_run]}.html"
    html = render(
        "bead_run.html",
        site=site,
        root="../",
        here="beads",
        title=f"Bead run {run.bead_run}",
        run=run,
        lines=[_line(run, row) for row in run.lines],
        pictures=_pictures(run),
        samples=[(row, _up(site.sample(row["sample_id"]))) for row in run.samples],
    )
    return {address: html}


def _up(address: str | None) -> str | None:
    return None if address is None else f"../{address}"


def _line(run: BeadRows, row: Row) -> LineSection:
    same = ("channel", "statistic")
    levels = [
        level
        for level in run.levels
        if all(level[name] == row[name] for name in same) and level["intensity"]
    ]
    # lines that differ in their limits alone have the same levels, listed once for each
    levels = list({level["level"]: level for level in levels}.values())
    figure = None
    if row["slope"] is not None and levels and all(lv["intensity"] > 0 for lv in levels):
        figure = Shown(line_uri(row, levels, _limits(run, row)), line_alt(row, levels), 806, 250)
    return LineSection(row, levels, figure, flags_of(row["flags"]))


def _limits(run: BeadRows, row: Row) -> dict[str, Any]:
    """The limits that judged a line."""
    assays = [name for name in (row["assays"] or "").split(";") if name in run.limits]
    found = run.limits[assays[0]].get("beads", {}) if assays else {}
    return dict(found)


def _pictures(run: BeadRows) -> list[Shown]:
    shown = []
    for row in run.densities:
        picture = read_picture(row, {})
        marks = [
            (float(level["intensity"]), f"{level['level']}")
            for level in {lv["level"]: lv for lv in run.levels if _is_of(lv, row)}.values()
            if level["intensity"] is not None
        ]
        marks = marks if picture.y is None else []
        width, height = HISTOGRAM if picture.y is None else PICTURE
        scale = 1 if picture.y else 2
        words = (
            "Numbered lines: the levels found."
            if marks
            else "Scatter of all events."
            if picture.y
            else "No level was found."
        )
        alt = picture.alt + (
            f" Levels at {', '.join(number(value) for value, _ in marks)}." if marks else ""
        )
        uri = picture_uri(picture, marks, wide=scale == 2)
        shown.append(Shown(uri, alt, width * scale, height if scale == 1 else 230, words))
    return shown


def _is_of(level: Row, density: Row) -> bool:
    return bool(level["channel"] == density["x_channel"])


def beads_page(site: Site, runs: list[BeadRows]) -> str:
    """HTML of the list of bead runs."""
    rows = [
        (
            (run.bead_run, site.bead_run(run.bead_run)),
            row["channel"],
            row["lot"],
            row["cytometer"],
            row["acquired_at"],
            row["slope"],
            row["intercept"],
            row["r_squared"],
            row["n_levels"],
            len(run.samples),
            row["status"],
            row["flags"],
        )
        for run in runs
        for row in run.lines
    ]
    grid = Grid(
        name="beads",
        caption="Bead runs",
        heads=(
            Head("Bead run", "link"),
            Head("Channel", choose=True),
            Head("Lot", choose=True),
            Head("Cytometer", choose=True),
            Head("Acquired"),
            Head("Slope", "number"),
            Head("Intercept", "number"),
            Head("R²", "number"),
            Head("Levels", "number"),
            Head("Samples", "number", title="Samples whose AB/C rest on it"),
            Head("Status", "status", choose=True),
            Head("Flags", "flags", choose=True),
        ),
        rows=rows,
        file="calibrations.csv",
        search="Bead run",
    )
    return render(
        "grid.html", site=site, root="", here="beads", title="Bead runs", grid=grid, words=""
    )
