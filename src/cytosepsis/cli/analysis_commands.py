"""Commands that analyse a results folder: `cohort`, `trajectories`, `endotypes`, `charts`."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosepsis.cli.terminal import Format, command, safe, say, show_table, write_json

if TYPE_CHECKING:
    import polars as pl

    from cytosepsis.analyses import Analyzed

RESULTS = typer.Argument(help="A results folder.", show_default=False)
STUDY = typer.Option(help="Default: where it was when it was run.", show_default=False)
FORMAT = typer.Option(help="How to write it.")
MAX_ROWS = 20  # of one table shown; the files have all


def cohort(
    results: Annotated[Path, RESULTS],
    study: Annotated[Path | None, STUDY] = None,
    format: Annotated[Format, FORMAT] = "table",
) -> None:
    """Say who is in the study and why, and which visits took place."""
    with command():
        done = analyzed(results, study, "cohort", format)
        if format != "table":
            return
        flow = done.tables["cohort_flow"]
        shown = ["stage", "rule", "timepoint", "n", "n_any", "n_left", "meaning"]
        show_frame("The cohort, step by step", flow, shown, file="cohort_flow.csv")
        patients = done.tables["cohort"]
        typer.echo(f"Steroid rule: {' / '.join(patients['steroid_rule'].unique())}")
        typer.echo("")
        excluded = patients.filter(patients["verdict"] == "exclude")
        show_frame("Excluded", excluded, ["patient_id", "reasons"], file="cohort.csv")
        unknown = patients.filter(patients["verdict"] == "unknown")
        show_frame("Not known", unknown, ["patient_id", "unknown_rules"], file="cohort.csv")
        shown = ["patient_id", "sheet", "column", "found", "message"]
        show_frame(
            "To put right", done.tables["cohort_problems"], shown, file="cohort_problems.csv"
        )
        visits = done.tables["visits"]
        missed = visits.filter(visits["status"] != "drawn")
        shown = ["patient_id", "timepoint", "status", "reason"]
        show_frame("Visits without a value", missed, shown, file="visits.csv")


def trajectories(
    results: Annotated[Path, RESULTS],
    study: Annotated[Path | None, STUDY] = None,
    format: Annotated[Format, FORMAT] = "table",
) -> None:
    """Describe each marker of each patient over time: changes, slopes, nadir, course."""
    with command():
        done = analyzed(results, study, "trajectories", format)
        if format == "table":
            shown = ["patient_id", "marker", "n_values", "first_value", "last_value", "ratio"]
            shown += ["log10_slope_per_day", "days_below", "real_change", "course"]
            frame = done.tables["trajectories"]
            show_frame("Trajectories", frame, shown, file="trajectories.csv")


def endotypes(
    results: Annotated[Path, RESULTS],
    study: Annotated[Path | None, STUDY] = None,
    format: Annotated[Format, FORMAT] = "table",
) -> None:
    """Group patients with alike courses; how many groups, and how stable they are."""
    with command():
        done = analyzed(results, study, "endotypes", format)
        if format != "table":
            return
        numbers = done.tables["endotype_numbers"]
        shown = ["n_groups", "bic", "smallest_group", "stability", "chosen", "status", "reason"]
        show_frame("Numbers of groups", numbers, shown, file="endotype_numbers.csv")
        profiles = done.tables["endotype_profiles"]
        shown = ["endotype", "timepoint", "n_patients", "geometric_mean", "low", "high"]
        show_frame("Courses of the groups", profiles, shown, file="endotype_profiles.csv")
        codes = done.tables["endotypes"]["code"].drop_nulls().value_counts(sort=True).iter_rows()
        for code, n in codes:
            typer.echo(f"Without a group: {n} ({code})")


def charts(
    results: Annotated[Path, RESULTS],
    study: Annotated[Path | None, STUDY] = None,
    format: Annotated[Format, FORMAT] = "table",
) -> None:
    """Judge what must stay the same: beads, detectors, control blood, one bead lot to the next."""
    with command():
        done = analyzed(results, study, "charts", format)
        if format != "table":
            return
        judged = done.tables["control_charts"]
        counts = judged["verdict"].value_counts(sort=True).iter_rows()
        typer.echo("Runs on charts: " + ", ".join(f"{n} {verdict}" for verdict, n in counts))
        typer.echo("")
        beyond = judged.filter(judged["verdict"].is_in(["rejected", "warning"]))
        shown = ["acquired_at", "run", "quantity", "item", "value", "z", "rules", "verdict"]
        show_frame("To look at", beyond.sort("acquired_at"), shown, file="control_charts.csv")
        targets = done.tables["control_targets"]
        missed = targets.filter(targets["verdict"] == "outside")
        shown = ["sample_id", "patient_id", "abc", "target_low", "target_high"]
        show_frame("Controls outside their target", missed, shown, file="control_targets.csv")
        bridges = done.tables["lot_bridges"]
        shown = ["old_lot", "new_lot", "cytometer", "n_samples", "bias", "verdict"]
        show_frame("From one bead lot to the next", bridges, shown, file="lot_bridges.csv")


def analyzed(results: Path, study: Path | None, name: str, format: Format) -> Analyzed:
    """Run an analysis; with format "json", write all of its tables as one document."""
    from cytosepsis.analyses import analyze_results
    from cytosepsis.config import load_study
    from cytosepsis.store import study_of

    done = analyze_results(load_study(study or study_of(results).folder), results, name)
    if done.removed:
        say(
            f"Removed, because what they were computed from has changed: {', '.join(done.removed)}."
        )
    if format == "json":
        write_json({table: frame.to_dicts() for table, frame in done.tables.items()})
    return done


def show_frame(title: str, frame: pl.DataFrame, columns: list[str], *, file: str) -> None:
    """Show some columns of a table, its first rows and where the rest is; of none, nothing."""
    if frame.is_empty():
        return
    rows = frame.select(columns).head(MAX_ROWS)
    show_table(f"{title} ({frame.height})", columns, rows.iter_rows())
    if frame.height > MAX_ROWS:
        typer.echo(safe(f"  … and {frame.height - MAX_ROWS} more: see {file}"))
    typer.echo("")
