"""How near the ready panels come to the truth of simulated studies; figures for docs/panels.md.

    python benchmarks/panels.py [--seeds 5] [--panels NAME ...] [--write]

Every panel is simulated as a study (patients with septic shock, two draws each, and healthy
donors), run as any study, and its markers compared with truth.csv. Then tubes are spoilt: what
comes of them must never be a wrong number with the status `ok`.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cytosepsis import load_study, run_study
from cytosepsis.panels import panel_names, read_panel
from cytosepsis.simulate import SPOILT, PanelSettings, simulate_panel
from cytosepsis.simulate.panel_catalog import EVENTS, USUAL_EVENTS

DOC = Path(__file__).parents[1] / "docs" / "panels.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
COUNT_TOLERANCE, INTENSITY_TOLERANCE, FRACTION_TOLERANCE = 0.05, 0.05, 2.0


@dataclass(frozen=True, slots=True)
class Run:
    """One study's markers beside their truth."""

    panel: str
    table: pl.DataFrame  # marker, kind, fault, value, low, high, status, flags, truth, error


def measure(
    panel: str,
    seed: int,
    folder: Path,
    faults: Sequence[str] = (),
    *,
    people: tuple[int, int] = (4, 2),
    events: int | None = None,
) -> Run:
    """Simulate, run and compare one study: spoilt tubes, else of (patients, healthy) people."""
    patients, healthy = (0, 0) if faults else people
    study = simulate_panel(
        folder / "study", PanelSettings(panel, seed, patients, healthy, events, tuple(faults))
    )
    results = run_study(load_study(study), out=folder / "results", workers=1, plots=False)
    found = results.table("marker_values")
    truth = pl.read_csv(
        study / "truth.csv",
        schema_overrides={"value": pl.Float64, "blood_value": pl.Float64, "timepoint": pl.String},
    ).rename({"value": "truth"})
    table = truth.join(
        found.select(
            *("patient_id", "timepoint", "marker", "value", "low", "high", "status", "flags"),
        ),
        on=["patient_id", "timepoint", "marker"],
        how="left",
        nulls_equal=True,
    )
    fraction = pl.col("kind") == "fraction"
    # A count is judged twice: here by the tube's own cells and beads (what gating can be right
    # about), and by the blood, with the counting error that its interval states (`coverage`).
    error = (
        pl.when(fraction)
        .then(pl.col("value") - pl.col("truth"))
        .otherwise(pl.col("value") / pl.col("truth") - 1)
    )
    return Run(panel, table.with_columns(error=error))


def tolerance(kind: str) -> float:
    """How far a marker of a kind may lie from its truth."""
    return {"fraction": FRACTION_TOLERANCE, "count": COUNT_TOLERANCE}.get(kind, INTENSITY_TOLERANCE)


def accuracy(runs: Sequence[Run]) -> Iterator[str]:
    """Rows of the table of markers."""
    whole = pl.concat([run.table.with_columns(panel=pl.lit(run.panel)) for run in runs])
    for (panel, marker), rows in whole.group_by(["panel", "marker"], maintain_order=True):
        kind = str(rows["kind"][0])
        scale, unit = (1.0, "pp") if kind == "fraction" else (100.0, "%")
        valued = rows.filter(pl.col("value").is_not_null())
        errors = valued["error"].to_list()
        inside = sum(abs(e) <= tolerance(kind) for e in errors)
        worst = max(errors, key=abs, default=math.nan)
        mean = sum(errors) / len(errors) if errors else math.nan
        quiet = valued.filter(pl.col("status") == "ok")
        wrong = sum(abs(e) > tolerance(kind) for e in quiet["error"])
        yield (
            f"| {panel} | `{marker}` | {kind} | {len(rows)} | {len(rows) - len(valued)} | "
            f"{inside}/{len(valued)} | {scale * mean:+.2f} {unit} | {scale * worst:+.2f} {unit} | "
            f"{wrong} |"
        )


def coverage(runs: Sequence[Run]) -> str:
    """How often a count's interval holds the blood's true count."""
    rows = pl.concat([run.table for run in runs]).filter(
        (pl.col("kind") == "count") & pl.col("value").is_not_null()
    )
    if rows.is_empty():
        return ""
    inside = rows.filter(pl.col("blood_value").is_between("low", "high"))
    share = 100 * len(inside) / len(rows)
    return f"The 95 % intervals of {len(rows)} counts hold the blood's true count in {share:.1f} %."


def spoilt_rows(runs: Sequence[Run]) -> Iterator[str]:
    """Rows of the table of spoilt tubes: no value, flagged, right all the same, quietly wrong."""
    whole = pl.concat([run.table.with_columns(panel=pl.lit(run.panel)) for run in runs])
    for (fault,), rows in whole.group_by(["fault"], maintain_order=True):
        without = rows.filter(pl.col("value").is_null())
        valued = rows.filter(pl.col("value").is_not_null())
        flagged = valued.filter(pl.col("status") != "ok")
        quiet = valued.filter(pl.col("status") == "ok")
        far = [
            f"{p} {m}"
            for p, m, k, e in quiet.select("panel", "marker", "kind", "error").iter_rows()
            if abs(e) > tolerance(k)
        ]
        yield (
            f"| {SPOILT[str(fault)]} | {len(rows)} | {len(without)} | {len(flagged)} | "
            f"{len(quiet) - len(far)} | {len(far)}{': ' + '; '.join(far) if far else ''} |"
        )


def report(seeds: int, panels: Sequence[str]) -> str:
    """All figures as Markdown."""
    good: list[Run] = []
    bad: list[Run] = []
    for panel in panels:
        for seed in range(1, seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                good.append(measure(panel, seed, Path(folder)))
        faults = [f for f in SPOILT if f not in ("no_beads", "washed") or _has_beads(panel)]
        with tempfile.TemporaryDirectory() as folder:
            bad.append(measure(panel, 1, Path(folder), faults))
        print(f"{panel}: done", flush=True)
    lines = [
        f"{seeds} simulated studies of each panel (10 samples each; {USUAL_EVENTS:,} events a "
        f"file, {EVENTS['lymphocyte_subsets']:,} of the tube with counting beads). Errors are "
        "against the tube's own true cells. Measured by `python benchmarks/panels.py "
        f"--seeds {seeds} --write`.",
        "",
        "| panel | marker | kind | samples | no value | within tolerance | mean error "
        "| worst error | `ok` and wrong |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
        *accuracy(good),
        "",
        coverage(good),
        "",
        "Spoilt tubes, one of each panel:",
        "",
        "| what was wrong | markers | no value | flagged | right nevertheless | `ok` and wrong |",
        "|---|--:|--:|--:|--:|--:|",
        *spoilt_rows(bad),
    ]
    return "\n".join(lines)


def _has_beads(panel: str) -> bool:
    return "beads" in read_panel(panel).counting


def main() -> None:
    """Measure, print, and write into docs/panels.md where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--panels", nargs="*", default=list(panel_names()))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    text = report(given.seeds, given.panels)
    print(text)
    if given.write:
        page = DOC.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        tail = rest.partition(END)[2]
        DOC.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
