"""Ours beside FlowKit and beside touching the bytes once, interleaved; writes docs/benchmarks.md.

Each round runs every way once, one after the other, so that a slow moment of the machine hits all
of them; a ratio is taken within a round, and the table shows its median and its range over the
rounds. The first round warms caches and compiled code and is not counted. Every answer is
compared before anything is timed. Nothing is asserted about time.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

import cytosepsis as cs
from inputs import (
    FILE_CHANNELS,
    FILE_DYES,
    STUDY_DYES,
    plan_toml,
    sample_files,
    write_blood,
    write_study,
)
from jobs import ours, same, touch
from peers import VERSION as FLOWKIT_VERSION
from peers import flowkit_job, strategy

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
Way = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """One job: seconds of each way in each round."""

    job: str
    n_events: int
    seconds: Mapping[str, tuple[float, ...]]

    def ratio(self, slow: str, fast: str) -> str:
        """Median and range over the rounds of slow / fast."""
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        ratios = sorted(above / below for above, below in pairs)
        return f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"

    def median(self, way: str) -> float:
        """Median seconds of a way."""
        return statistics.median(self.seconds[way])


def interleaved(ways: Mapping[str, Way], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of each way in each round, one uncounted round first."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            gc.collect()
            start = time.perf_counter()
            way()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: tuple(values) for name, values in seconds.items()}


def file_row(folder: Path, n_events: int, rounds: int) -> Row:
    """One file of 14 channels, 7 of them unmixed, 4 nested gates, 2 logicle axes."""
    path = write_blood(folder / "one.fcs", seed=1, n_events=n_events, channels=FILE_CHANNELS)
    (folder / "plan.toml").write_text(plan_toml(), encoding="utf-8")
    plan, theirs = cs.read_gating(folder / "plan.toml"), strategy(FILE_DYES)
    if not same(ours(path, plan), flowkit_job(path, theirs, FILE_DYES)):
        sys.exit("The two sides do not give the same answer on the file: nothing was measured.")
    ways: dict[str, Way] = {
        "ours": lambda: ours(path, plan),
        "flowkit": lambda: flowkit_job(path, theirs, FILE_DYES),
        "touch": lambda: touch([path]),
    }
    seconds = interleaved(ways, rounds)
    return Row(f"one file, {n_events:,} events × 14 channels", n_events, seconds)


def study_row(folder: Path, n_files: int, n_events: int, rounds: int) -> Row:
    """A study of 7 channels with its beads; FlowKit's side has neither beads nor tables to make."""
    study = write_study(folder / "study", n_files=n_files, n_events=n_events)
    files, theirs = sample_files(study), strategy(STUDY_DYES)
    numbers = itertools.count()

    def run() -> pl.DataFrame:
        # A new results folder each time: nothing is taken from an earlier run.
        out = folder / f"results{next(numbers)}"
        loaded = cs.load_study(study)
        results = cs.run_study(loaded, out=out, workers=1, digest="stat", plots=False)
        return results.table("abc")

    found = run().sort("sample_id")["intensity"].to_numpy()
    expected = [flowkit_job(path, theirs, STUDY_DYES).median for path in files]
    if not np.allclose(found, expected, rtol=1e-9, atol=0.0):
        sys.exit("The two sides do not give the same answer on the study: nothing was measured.")
    ways: dict[str, Way] = {
        "ours": run,
        "flowkit": lambda: [flowkit_job(path, theirs, STUDY_DYES) for path in files],
        "touch": lambda: touch(files),
    }
    job = f"study, {n_files} files × {n_events:,} events × 7 channels, one worker"
    return Row(job, n_files * n_events, interleaved(ways, rounds))


def processor() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def page(rows: list[Row], rounds: int) -> str:
    """The text of docs/benchmarks.md."""
    table = [
        "| job | times faster than FlowKit | times the touch | ours, s | FlowKit, s | touch, s "
        "| ours, million events / s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    table += [
        f"| {row.job} | {row.ratio('flowkit', 'ours')} | {row.ratio('ours', 'touch')} "
        f"| {row.median('ours'):.3f} | {row.median('flowkit'):.3f} | {row.median('touch'):.4f} "
        f"| {row.n_events / row.median('ours') / 1e6:.1f} |"
        for row in rows
    ]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `make bench` (`benchmarks/report.py`); do not edit.",
            "",
            "Each job goes from the file to counts of every population, the median HLA-DR of the "
            "monocytes on the linear compensated scale, and antibodies per cell. FlowKit reads the "
            "same bytes with the same four gates and gives the same counts and medians; that is "
            "checked before anything is timed. *Touch* is reading every byte into memory and "
            "adding it up once (`numpy.fromfile` and `sum`): the floor that no reader can go "
            "below. Files lie in the page cache; compiled code is warm.",
            "",
            f"Ratios are taken within a round in which all ways ran one after the other: median "
            f"and range over {rounds} rounds.",
            "",
            *table,
            "",
            f"Machine: {processor()}, {os.cpu_count()} cores, {platform.system()}. "
            f"Python {platform.python_version()}, cytosepsis {cs.__version__}, "
            f"FlowKit {FLOWKIT_VERSION}, numpy {np.__version__}, polars {pl.__version__}.",
            "",
        ]
    )


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--file-events", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=30)
    parser.add_argument("--events", type=int, default=300_000, help="per file of the study")
    parser.add_argument("--out", type=Path, default=PAGE)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cytosepsis-bench-") as folder:
        rows = [
            file_row(Path(folder), asked.file_events, asked.rounds),
            study_row(Path(folder), asked.files, asked.events, asked.rounds),
        ]
    text = page(rows, asked.rounds)
    asked.out.write_text(text, encoding="utf-8")
    Console(soft_wrap=True, highlight=False).print(text, markup=False)


if __name__ == "__main__":
    main()
