"""What found gates and checks of the acquisition add to a sample with fixed gates."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cytosepsis as cs
from cytosepsis.sample import SampleResult, analyze_sample
from cytosepsis.simulate.sheets import GATING_PLAN
from inputs import write_study
from rounds import Row, interleaved

FIXED, CHECKED, FOUND, BOTH = "fixed gates", "with checks", "found gates", "found, with checks"
WAYS = (FIXED, CHECKED, FOUND, BOTH)


def extras_row(folder: Path, n_events: int, rounds: int) -> Row:
    """One sample of 7 channels from its file to its result, the four ways; no digest, no plots."""
    place = folder / f"extras{n_events}"
    study = cs.load_study(write_study(place, n_files=1, n_events=n_events))
    found_plan = place / "found.toml"
    found_plan.write_text(GATING_PLAN, encoding="utf-8")
    sample, checked = study.samples[0], study.assays[0]
    assert checked.abc is not None
    none = cs.QualitySettings(checks=())
    found = replace(
        checked, gating=str(found_plan), abc=replace(checked.abc, population="monocytes")
    )
    assays = (replace(checked, quality=none), checked, replace(found, quality=none), found)
    ways = {name: _analysis(sample, assay) for name, assay in zip(WAYS, assays, strict=True)}
    return Row(f"{n_events:,} events × 7 channels", n_events, interleaved(ways, rounds))


def _analysis(sample: cs.Sample, assay: cs.Assay) -> Callable[[], object]:
    def job() -> SampleResult:
        result = analyze_sample(sample, assay, digest=False)
        if not isinstance(result, SampleResult) or any(g.status != "ok" for g in result.gates):
            sys.exit(f"The gates were not found: {result}. Nothing was measured.")
        return result

    return job


def extras_table(rows: list[Row]) -> list[str]:
    """Lines of the page: milliseconds, and times the sample with fixed gates alone."""
    lines = [
        "| a sample, ms (and times fixed gates) | " + " | ".join(WAYS) + " |",
        "|---|" + "--:|" * len(WAYS),
    ]
    for row in rows:
        cells = [f"{1e3 * (row.median(FIXED) or 0.0):.1f}"]
        cells += [
            f"{1e3 * (row.median(way) or 0.0):.1f}: {row.ratio(way, FIXED)}" for way in WAYS[1:]
        ]
        lines.append(f"| {row.job} | " + " | ".join(cells) + " |")
    return lines
