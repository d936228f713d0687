"""The campaign of acquisition quality: what is injected and found, what is flagged without reason.

`python benchmarks/quality.py` runs everything and writes the figures between the marks of
docs/quality.md; `tests/test_quality.py` runs a small part of the same. Real files are those of the
folder `$CYTOSEPSIS_CORPUS`; without it their part is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cytosepsis as cs
from cytosepsis.panel import kind_of, time_column

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from quality_files import INJECTIONS, Acquisition, Disturbed, clean  # noqa: E402

CORPUS = Path(os.environ.get("CYTOSEPSIS_CORPUS", ROOT.parent / "shared" / "fcs"))
MARK = "<!-- measured: quality -->"
SIZES = (500, 1_000, 2_000, 5_000, 20_000, 100_000, 1_000_000)
# Undisturbed as far as a person sees on their plots over time; disturbances are put into them.
CLEAN_FILES = (
    "CytoPipeline/Donor1.fcs",
    "CytoPipeline/Donor2.fcs",
    "FlowSOM/68983.fcs",
    "FlowKit/test_comp_example.fcs",
    "flowWorkspaceData/diva/124500.fcs",
    "cytoflow/instruments/Cytek DxP10.fcs",
    "FlowCal/sample006.fcs",
    "FlowCal/sample015.fcs",
    "fcsparser/EY_2013-07-19_PBS_FCS_3.1_Well_A1.001.fcs",
    "CytometryInR/CellCounts5L_AB_01-INF041-09_01.fcs",
    "CytometryInR/CellCounts5L_AB_01-INF105-09_02.fcs",
    "CytometryInR/CellCounts5L_AB_01-ND006-01.fcs",
)
SHORTEST = 0.5  # of the union of what was injected and what was found: the right window


@dataclass(frozen=True, slots=True)
class Score:
    """One kind of disturbance, many times: how often it was found, and in the right place."""

    kind: str
    n: int
    found: float
    placed: float
    overlap: float  # median


def overlap(first: float, stop: float, other_first: float, other_stop: float) -> float:
    """What two stretches have in common, as a part of their union."""
    common = max(0.0, min(stop, other_stop) - max(first, other_first))
    union = max(stop, other_stop) - min(first, other_first)
    return common / union if union > 0 else 1.0


def judged(disturbed: Disturbed, kind: str, report: cs.QualityReport) -> float:
    """The best overlap of a window with the disturbance; 0 where none was found.

    A disturbance of one channel counts in that channel only, one of the flow in the rate only. Of a
    step either side may be the usual level: the window before its border tells the same.
    """
    run = disturbed.acquisition
    best = 0.0
    for check in report.checks:
        if disturbed.channel is not None:
            if (check.check, check.channel) != ("signal", run.names[disturbed.channel]):
                continue
        elif kind in ("pause", "clog", "burst") and check.check != "rate":
            continue
        for w in check.windows:
            if kind == "pause":
                assert w.start_seconds is not None
                assert w.stop_seconds is not None
                times = disturbed.start_seconds, disturbed.stop_seconds
                best = max(best, overlap(*times, w.start_seconds, w.stop_seconds))
                continue
            found = w.first_event, w.first_event + w.n_events
            best = max(best, overlap(disturbed.first_event, disturbed.stop_event, *found))
            if kind == "step":
                best = max(best, overlap(0, disturbed.first_event, *found))
    return best


def scored(kind: str, runs: Iterator[tuple[Acquisition, int]]) -> Score:
    """Put one kind of disturbance into runs and look for it."""
    overlaps = []
    for run, seed in runs:
        disturbed = INJECTIONS[kind](run, np.random.default_rng(seed))
        overlaps.append(judged(disturbed, kind, cs.check_quality(disturbed.acquisition.raw())))
    values = np.array(overlaps)
    found, placed = float((values > 0).mean()), float((values > SHORTEST).mean())
    return Score(kind, len(values), found, placed, float(np.median(values)))


def simulated(n_events: int, n_runs: int) -> Iterator[tuple[Acquisition, int]]:
    """Clean simulated runs; a minute long, at 100 events a second or more."""
    for seed in range(n_runs):
        yield clean(seed, n_events, rate=max(100.0, n_events / 60.0)), seed


def real_run(path: Path) -> Acquisition:
    """A real file as a run: scatter and fluorescence areas, linear."""
    raw = cs.read_fcs(path)
    columns = [raw.pnn.index(name) for name in cs.check_quality(raw).channels]
    timed = time_column(raw.pnn)
    assert timed is not None
    events = raw.linear()
    names = tuple(raw.pnn[column] for column in columns)
    stained = tuple(k for k, name in enumerate(names) if kind_of(name) == "fluorescence")
    return Acquisition(events[:, columns], events[:, timed], names, stained)


def real(runs: list[Acquisition], times: int) -> Iterator[tuple[Acquisition, int]]:
    """Every real run several times, each with its seed."""
    for seed in range(times):
        for number, run in enumerate(runs):
            yield run, 1_000 * number + seed


def false_alarms(n_events: int, n_runs: int) -> tuple[float, float, float]:
    """Mean and largest part flagged of clean simulated runs, and the part not passed."""
    reports = [cs.check_quality(run.raw()) for run, _ in simulated(n_events, n_runs)]
    flagged = [float(report.mask().mean()) for report in reports]
    doubtful = np.mean([report.verdict != "pass" for report in reports])
    return float(np.mean(flagged)), max(flagged), float(doubtful)


def stretches(path: Path, n_events: int, most: int) -> Iterator[cs.RawEvents]:
    """Stretches of a real file as files of their own: evenly along it, without overlap."""
    raw = cs.read_fcs(path)
    for first in range(0, raw.n_events - n_events + 1, max(n_events, raw.n_events // most)):
        yield raw.keep([(first, first + n_events)])


def peacoqc() -> tuple[float, float, int, int]:
    """Jaccard index with PeacoQC's removed events: stretches alone, and with the margins."""
    raw = cs.read_fcs(CORPUS / "PeacoQC" / "111.fcs")
    removed = np.loadtxt(CORPUS / "PeacoQC" / "111_kept.csv") == 0
    report = cs.check_quality(raw)
    mask = report.mask()
    events = raw.linear()
    margins = np.zeros_like(mask)
    for name in report.channels:
        column = raw.pnn.index(name)
        margins |= events[:, column] >= raw.parameters[column].top_of_scale
    wide = mask | margins
    return (
        float((mask & removed).sum() / (mask | removed).sum()),
        float((wide & removed).sum() / (wide | removed).sum()),
        int(mask.sum()),
        int(removed.sum()),
    )


def cost(folder: Path, n_events: int, rounds: int) -> tuple[float, float]:
    """Seconds of the processor for a sample with and without quality, 7 channels, fixed gates."""
    from dataclasses import replace

    from cytosepsis.config import load_study
    from cytosepsis.sample import analyze_sample
    from inputs import write_study

    study = load_study(write_study(folder / "cost", n_files=1, n_events=n_events))
    sample, assay = study.samples[0], study.assays[0]
    without = replace(assay, quality=cs.QualitySettings(checks=()))

    def seconds(of: cs.Assay) -> float:
        began = time.process_time()
        analyze_sample(sample, of, digest=False)
        return time.process_time() - began

    both = [(seconds(assay), seconds(without)) for _ in range(rounds + 1)][1:]
    return statistics.median(a for a, _ in both), statistics.median(b for _, b in both)


# --- the page


def page(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the measured part of docs/quality.md."""
    yield f"Simulated blood, {options.runs} runs of each kind (fewer of the largest):\n"
    yield (
        "| events | flagged when clean: mean, worst | not passed when clean | "
        + " | ".join(kind.replace("_", "-") for kind in INJECTIONS)
        + " |"
    )
    yield "|--:|--:|--:|" + "--:|" * len(INJECTIONS)
    for n_events in SIZES:
        n_runs = max(5, min(options.runs, options.runs * 100_000 // n_events))
        mean, worst, doubtful = false_alarms(n_events, n_runs)
        cells = [_cell(scored(kind, simulated(n_events, n_runs))) for kind in INJECTIONS]
        yield (
            f"| {n_events:,} | {mean:.2%}, {worst:.2%} | {doubtful:.0%} | "
            + " | ".join(cells)
            + " |"
        )
    yield (
        "\nCells: found · found with at least half of the union of both windows in common. pause: "
        "no event for 2 s; clog: a fifth of the rate for 5 % of the events; burst: five times the "
        "rate for 10 %; step: 0.3 decade in one channel; drift: 0.5 decade over the file; "
        "back-flush: a quarter of every signal at half of the rate for 5 %."
    )
    if not CORPUS.is_dir():
        return
    runs = [real_run(CORPUS / name) for name in CLEAN_FILES]
    yield f"\nThe same put into {len(runs)} real files without a disturbance that a person sees:\n"
    yield "| kind | n | found | in the right place | median overlap |\n|---|--:|--:|--:|--:|"
    for kind in INJECTIONS:
        s = scored(kind, real(runs, options.real))
        name = kind.replace("_", "-")
        yield f"| {name} | {s.n} | {s.found:.1%} | {s.placed:.1%} | {s.overlap:.2f} |"
    yield "\nThese files as they are:\n"
    yield "| file | events | verdict | flagged |\n|---|--:|---|--:|"
    for name, run in zip(CLEAN_FILES, runs, strict=True):
        report = cs.check_quality(run.raw())
        flagged = report.mask().mean()
        yield f"| {name} | {len(run.seconds):,} | {report.verdict} | {flagged:.2%} |"
    yield "\nShort stretches of these files, each as a file of its own:\n"
    yield "| events | stretches | flagged on the mean | stretches that lose 1 % or more |"
    yield "|--:|--:|--:|--:|"
    for n_events in (500, 1_000, 2_000):
        parts = (p for name in CLEAN_FILES for p in stretches(CORPUS / name, n_events, most=20))
        lost = np.array([cs.check_quality(part).mask().mean() for part in parts])
        yield f"| {n_events:,} | {len(lost)} | {lost.mean():.2%} | {int((lost >= 0.01).sum())} |"
    alone, wide, ours, theirs = peacoqc()
    yield (
        f"\nPeacoQC's example (`PeacoQC/111`): Jaccard index of the removed events {alone:.2f} "
        f"(stretches alone, {ours} against {theirs} events), {wide:.2f} with the events at the top."
    )
    with tempfile.TemporaryDirectory() as folder:
        with_quality, without = cost(Path(folder), 300_000, 25)
    yield (
        f"\nCost: a sample of 300,000 events, 7 channels, fixed gates takes {without * 1e3:.1f} ms "
        f"of the processor without and {with_quality * 1e3:.1f} ms with the three checks: "
        f"{with_quality / without:.1f} times (medians of 25 runs in turns)."
    )


def _cell(score: Score) -> str:
    return f"{score.found:.0%} · {score.placed:.0%}"


def say(text: str) -> None:
    """Progress, for the person."""
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Run the campaign and write its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=60, help="of each kind and size")
    parser.add_argument("--real", type=int, default=8, help="of each kind and real file")
    options = parser.parse_args()
    lines = []
    for line in page(options):
        say(line)  # a campaign that is stopped leaves what it has measured
        lines.append(line)
    text = "\n".join(lines)
    document = ROOT / "docs" / "quality.md"
    before, _, rest = document.read_text(encoding="utf-8").partition(MARK)
    _, _, after = rest.partition(MARK)
    document.write_text(f"{before}{MARK}\n{text}\n{MARK}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
