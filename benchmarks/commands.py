"""Whole processes: start-up times and peak memory, each measured in a process of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_FCS = Path(__file__).parents[1] / "sample_fcs"

PEAK = """
import re, sys
from pathlib import Path
import cytosepsis as cs
from cytosepsis.sample import analyze_sample
study = cs.load_study(sys.argv[1])
outcome = analyze_sample(study.samples[0], study.assays[0], digest=False)
print(outcome.n_events, outcome.quantified.n_cells)
# not ru_maxrss: that one remembers the process that started this one
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024)
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure of a whole process, as a sentence's halves."""

    what: str
    value: str


def _seconds(arguments: list[str], rounds: int, *, cache: str | None = None) -> str:
    environment = os.environ | ({"CYTOSEPSIS_CACHE_DIR": cache} if cache else {})
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments], check=True, capture_output=True, env=environment
        )
        times.append(time.perf_counter() - start)
    return f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"


def start_figures(rounds: int) -> list[Figure]:
    """Help, import, a warm run of sample_fcs, and the first ever run with its compiling."""
    run = ["-m", "cytosepsis", "run", str(SAMPLE_FCS), "--fresh", "--out"]
    with tempfile.TemporaryDirectory(prefix="cytosepsis-bench-") as folder:
        help_time = _seconds(["-m", "cytosepsis", "--help"], rounds)
        import_time = _seconds(["-c", "import cytosepsis"], rounds)
        nothing = _seconds(["-c", "pass"], rounds)
        _seconds([*run, f"{folder}/warm"], 1)
        warm = _seconds([*run, f"{folder}/warm"], rounds)
        cold = _seconds([*run, f"{folder}/cold"], 1, cache=f"{folder}/cache")
    return [
        Figure("`python -c pass`, for comparison", nothing),
        Figure("`import cytosepsis`", import_time),
        Figure("`cytosepsis --help`", help_time),
        Figure("`cytosepsis run sample_fcs`, compiled code cached", warm),
        Figure("the same the first time ever, compiling included", cold),
    ]


def peak_figure(study: Path, n_events: int) -> Figure:
    """Peak resident memory of a process that analyses the only sample of a study (Linux)."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(study)], check=True, capture_output=True, text=True
    )
    counts, peak = done.stdout.strip().splitlines()[-2:]
    n, measured = (int(word) for word in counts.split())
    assert n == n_events
    what = f"peak memory, one file of {n_events:,} events × 7 channels, {measured / n:.1%} measured"
    return Figure(what, f"{int(peak) / 2**30:.2f} GiB")
