"""Ours beside FlowKit and beside touching the bytes once, interleaved; writes docs/benchmarks.md.

Each round runs every way once, one after the other, so that a slow moment of the machine hits all
of them; a ratio is taken within a round, and the table shows its median and its range over the
rounds. The first round warms caches and compiled code and is not counted. Every answer is
compared before anything is timed. Nothing is asserted about time.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import flowio
import numpy as np
import polars as pl
from rich.console import Console

import cytosepsis as cs
from commands import Figure, peak_figure, start_figures
from extras import extra_run_row, extras_row, extras_table
from inputs import write_study
from peers import VERSION as FLOWKIT_VERSION
from reading import OtherReader, layout_rows, other_readers, reading_rows
from rounds import Row
from rows import (
    channels_row,
    file_row,
    gates_row,
    growth_rows,
    long_file,
    study_rows,
)

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

EXPLANATION = """\
# Benchmarks

Written by `make bench` (`benchmarks/report.py`); do not edit.

Each job goes from the file to counts of every population, the median HLA-DR of the monocytes on
the linear compensated scale, and antibodies per cell. FlowKit reads the same bytes with the same
gates and gives the same counts and medians; that is checked before anything is timed. *Touch* is
reading every byte into memory and adding it up once (`numpy.fromfile` and `sum`): the floor that
no reader can go below. Files lie in the page cache; compiled code is warm. Study rows are whole
runs: sheets, plan and beads read, files measured, journal committed, tables written and
synchronised to the disk. With two workers their start is in the row; the start alone (imports,
compiled code loaded, one tiny file each) has a row of its own, and a row without it follows.

Study rows are with the checks of the acquisition that every study has (flow rate, signals,
margins), which FlowKit has not; one row is without them. A table of its own shows what those
checks, and gates that are found in the sample's own events, add to a sample with fixed gates.

Layouts are read to linear values; FlowKit stands where it gives the same ones. Of other readers
fcsparser and FlowCal stand where `make readers` has put them into an interpreter of their own: they
need a numpy that this project does not run with.
"""


def processor() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def page(
    rows: Sequence[Row],
    extras: Sequence[Row],
    figures: Sequence[Figure],
    rounds: int,
    readers: Mapping[str, str],
) -> str:
    """The text of docs/benchmarks.md."""
    table = [
        "| job | times faster than FlowKit | times the touch | ours, s | FlowKit, s | touch, s "
        "| ours, ns / event |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(_line(row) for row in rows),
    ]
    reading = [row for row in rows if "flowio" in row.seconds]
    others = [
        "| reading: how many times longer others take | " + " | ".join(readers) + " |",
        "|---|" + "--:|" * len(readers),
        *(
            f"| {row.job} | " + " | ".join(row.ratio(name, "ours") for name in readers) + " |"
            for row in reading
        ),
    ]
    starts = [
        "| whole process | |",
        "|---|--:|",
        *(f"| {figure.what} | {figure.value} |" for figure in figures),
    ]
    said = (
        f"Ratios are taken within a round in which all ways ran one after the other: median and "
        f"range over {rounds} rounds (3 from 10⁷ events on)."
    )
    versions = {"cytosepsis": cs.__version__, "FlowKit": FLOWKIT_VERSION, **readers}
    versions |= {"numpy": np.__version__, "polars": pl.__version__}
    machine = (
        f"Machine: {processor()}, {os.cpu_count()} cores, {platform.system()}. "
        f"Python {platform.python_version()}, "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}."
    )
    parts = [table, others, extras_table(extras), starts, [machine]]
    return "\n".join([EXPLANATION, said, "", *("\n".join([*part, ""]) for part in parts)])


def _line(row: Row) -> str:
    def seconds(way: str) -> str:
        value = row.median(way)
        return "–" if value is None else f"{value:.4f}" if value < 0.1 else f"{value:.2f}"

    each = (row.median("ours") or 0.0) / row.n_events * 1e9
    return (
        f"| {row.job} | {row.ratio('flowkit', 'ours')} | {row.ratio('ours', 'touch')} "
        f"| {seconds('ours')} | {seconds('flowkit')} | {seconds('touch')} | {each:.0f} |"
    )


def all_rows(
    folder: Path, asked: argparse.Namespace, others: Sequence[OtherReader]
) -> Iterator[Row]:
    """Every row of the page, in its order."""
    yield file_row(folder, asked.file_events, asked.rounds)
    yield from study_rows(folder, asked.files, asked.events, asked.rounds)
    yield from reading_rows(folder, asked.rounds, asked.file_events, others)
    yield from layout_rows(folder, asked.rounds)
    yield from growth_rows(folder, asked.rounds, asked.largest)
    for n_gates in (3, 15, 60):
        yield gates_row(folder, asked.rounds, n_gates, asked.events)
    for n_dyes in (6, 20, 40):
        yield channels_row(folder, asked.rounds, n_dyes, asked.events)


def memory_figure(folder: Path, n_events: int) -> Figure:
    """Peak memory on the largest file."""
    study = write_study(folder / "memory", n_files=1, n_events=1_000)
    long_file(study / "fcs" / "s000.fcs", n_events)
    return peak_figure(study, n_events)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--file-events", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=30)
    parser.add_argument("--events", type=int, default=300_000, help="per file of the study")
    parser.add_argument("--largest", type=int, default=10_000_000, help="events; 10⁸ takes 8 GB")
    parser.add_argument("--out", type=Path, default=PAGE)
    asked = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="cytosepsis-bench-") as name:
        folder = Path(name)
        with other_readers() as others:
            versions = {"flowio": flowio.__version__} | {o.name: o.version for o in others}
            for row in all_rows(folder, asked, others):
                rows.append(row)
                console.print(_line(row), markup=False)
        extras = [extras_row(folder, n, asked.rounds) for n in (10_000, asked.events, 1_000_000)]
        extras.append(extra_run_row(folder, asked.files, asked.events, min(asked.rounds, 3)))
        console.print("\n".join(extras_table(extras)), markup=False)
        figures = [*start_figures(min(asked.rounds, 5)), memory_figure(folder, asked.largest)]
    text = page(rows, extras, figures, asked.rounds, versions)
    asked.out.write_text(text, encoding="utf-8")
    console.print(text, markup=False)


if __name__ == "__main__":
    main()
