"""Commands that answer the study's questions from a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytosepsis.cli.analysis_commands import FORMAT, RESULTS, STUDY, analyzed, show_frame
from cytosepsis.cli.terminal import Format, command, safe

if TYPE_CHECKING:
    import polars as pl


def biomarkers(
    results: Annotated[Path, RESULTS],
    study: Annotated[Path | None, STUDY] = None,
    format: Annotated[Format, FORMAT] = "table",
) -> None:
    """Say which marker at which time tells of death, infection, viral reactivation."""
    with command():
        done = analyzed(results, study, "biomarkers", format)
        if format != "table":
            return
        found = done.tables["biomarkers"]
        declared = found.filter(found["role"] != "exploratory")
        shown = ["role", "marker", "timepoint", "outcome", "n", "n_events", "auc", "auc_low",
                 "auc_high", "p_adjusted", "reason"]  # fmt: skip
        show_frame("Questions fixed beforehand", declared, shown, file="biomarkers.csv")
        strongest = done.tables["ranking"]
        strongest = strongest.filter(strongest["rank"] <= 3)
        shown = ["outcome", "timepoint", "rank", "marker", "strength", "first_fraction",
                 "rank_low", "rank_high", "n", "n_events"]  # fmt: skip
        show_frame("Strongest markers (exploratory)", strongest, shown, file="ranking.csv")
        hazards = done.tables["hazards"]
        own = hazards.filter(hazards["role"] != "exploratory")
        shown = ["marker", "timepoint", "outcome", "model", "adjusted_for", "n", "n_events",
                 "hazard_ratio", "low", "high", "p_value", "reason"]  # fmt: skip
        show_frame("Hazard ratios per SD", own, shown, file="hazards.csv")
        _count_reasons(found, "questions", "biomarkers.csv")


def candidates(
    results: Annotated[Path, RESULTS],
    study: Annotated[Path | None, STUDY] = None,
    format: Annotated[Format, FORMAT] = "table",
) -> None:
    """Say who could benefit from immunostimulation, by the study's enrolment rules."""
    with command():
        done = analyzed(results, study, "candidates", format)
        if format != "table":
            return
        found = done.tables["candidates"]
        if found.is_empty():
            typer.echo("No rule: the study has no section [candidates.NAME].")
            return
        for rule in found["rule"].unique(maintain_order=True):
            own = found.filter(found["rule"] == rule)
            counts = dict(own["candidate"].value_counts().iter_rows())
            said = ", ".join(f"{counts.get(word, 0)} {word}" for word in ("yes", "uncertain", "no"))
            companion = own["companion"][0]
            criterion = own["criterion"][0] + (f", with {companion}" if companion else "")
            typer.echo(safe(f"{rule} ({own['drug'][0] or 'no drug named'}): {criterion}: {said}"))
        typer.echo("")
        shown = ["rule", "patient_id", "verdict", "value", "low", "high", "day",
                 "companion_verdict"]  # fmt: skip
        yes = found.filter(found["candidate"] == "yes")
        show_frame("Candidates", yes, shown, file="candidates.csv")
        unclear = found.filter(found["candidate"] == "uncertain")
        _count_reasons(unclear, "uncertain", "candidates.csv")


def exvivo(
    results: Annotated[Path, RESULTS],
    study: Annotated[Path | None, STUDY] = None,
    format: Annotated[Format, FORMAT] = "table",
) -> None:
    """Say whether a drug brings the cells back: wells with their own controls."""
    with command():
        done = analyzed(results, study, "exvivo", format)
        if format != "table":
            return
        tests = done.tables["exvivo_tests"]
        if done.tables["exvivo_effects"].is_empty():
            typer.echo("No ex vivo wells with a drug: neither samples nor measurements name one.")
            return
        shown = ["group", "timepoint", "readout", "stimulus", "drug", "dose", "n", "effect",
                 "estimate", "low", "high", "p_adjusted", "n_responders", "reason"]  # fmt: skip
        show_frame("Drugs", tests, shown, file="exvivo_tests.csv")
        shown = ["timepoint", "readout", "stimulus", "n_patients", "n_healthy", "effect",
                 "estimate", "low", "high", "p_adjusted", "reason"]  # fmt: skip
        against = done.tables["exvivo_against_healthy"]
        show_frame("Patients against donors", against, shown, file="exvivo_against_healthy.csv")
        shown = ["timepoint", "readout", "drug", "n_doses", "n", "friedman_p", "ed50", "ed50_low",
                 "ed50_high", "curve_reason"]  # fmt: skip
        show_frame("Doses", done.tables["exvivo_doses"], shown, file="exvivo_doses.csv")
        _count_reasons(done.tables["exvivo_effects"], "wells excluded", "exvivo_effects.csv")


def _count_reasons(frame: pl.DataFrame, what: str, file: str) -> None:
    """One line on what has no answer, by reason; none where all have one."""
    counts: list[tuple[Any, int]] = list(
        frame["reason"].drop_nulls().value_counts(sort=True).iter_rows()
    )
    if counts:
        said = ", ".join(f"{reason} {n}" for reason, n in counts)
        typer.echo(safe(f"Without a clear answer ({what}): {said}. See {file}"))
