"""What found gates and checks of the acquisition add to a sample with fixed gates."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import cytosepsis as cs
from cytosepsis.file_results import SampleResult
from cytosepsis.sample import analyze_sample
from cytosepsis.simulate.sheets import GATING_PLAN
from inputs import write_study
from rounds import Row, Way, interleaved

FIXED, CHECKED, FOUND, BOTH = "fixed gates", "with checks", "found gates", "found, with checks"
WAYS = (FIXED, CHECKED, FOUND, BOTH)


def extras_row(folder: Path, n_events: int, rounds: int) -> Row:
    """One sample of 7 channels from its file to its result, the four ways; no digest, no plots."""
    study = cs.load_study(write_study(folder / f"extra{n_events}", n_files=1, n_events=n_events))
    ways = {
        name: _analysis(study.samples[0], assay) for name, assay in _assays(study.assays[0]).items()
    }
    return Row(f"sample, {n_events:,} events × 7 channels", n_events, interleaved(ways, rounds))


def extra_run_row(folder: Path, n_files: int, n_events: int, rounds: int) -> Row:
    """A whole run in this process, the four ways, with SHA-256 of every file, as is the default."""
    study = cs.load_study(
        write_study(folder / f"extra{n_files}x{n_events}", n_files=n_files, n_events=n_events)
    )
    numbers = itertools.count()

    def run(assay: cs.Assay) -> Way:
        changed = replace(study, assays=(assay,))

        def job() -> cs.Results:
            out = folder / f"extra-run{next(numbers)}"
            results = cs.run_study(changed, out=out, workers=1, plots=False)
            if results.run.n_failed or set(results.table("gates")["gate_status"]) - {"ok"}:
                sys.exit("A file failed or a gate was not found. Nothing was measured.")
            return results

        return job

    ways = {name: run(assay) for name, assay in _assays(study.assays[0]).items()}
    job = f"run, {n_files} × {n_events:,} events, with SHA-256"
    return Row(job, n_files * n_events, interleaved(ways, rounds))


def _assays(checked: cs.Assay) -> dict[str, cs.Assay]:
    """The assay in four ways; its plan is a file in the study, so is that of the found gates."""
    assert checked.abc is not None
    found_plan = Path(checked.gating).with_name("found.toml")
    found_plan.write_text(GATING_PLAN, encoding="utf-8")
    none = cs.QualitySettings(checks=())
    found = replace(
        checked, gating=str(found_plan), abc=replace(checked.abc, population="monocytes")
    )
    assays = (replace(checked, quality=none), checked, replace(found, quality=none), found)
    return dict(zip(WAYS, assays, strict=True))


def _analysis(sample: cs.Sample, assay: cs.Assay) -> Way:
    def job() -> SampleResult:
        result = analyze_sample(sample, assay, digest=False)
        if not isinstance(result, SampleResult) or any(g.status != "ok" for g in result.gates):
            sys.exit(f"The gates were not found: {result}. Nothing was measured.")
        return result

    return job


def extras_table(rows: list[Row]) -> list[str]:
    """Lines of the page: milliseconds, and times the sample with fixed gates alone."""
    lines = [
        "| ms, and times fixed gates without checks | " + " | ".join(WAYS) + " |",
        "|---|" + "--:|" * len(WAYS),
    ]
    for row in rows:
        cells = [f"{1e3 * (row.median(FIXED) or 0.0):.1f}"]
        cells += [
            f"{1e3 * (row.median(way) or 0.0):.1f}: {row.ratio(way, FIXED)}" for way in WAYS[1:]
        ]
        lines.append(f"| {row.job} | " + " | ".join(cells) + " |")
    return lines
