"""Commands on a results folder: `verify`, `trace`, `export-excel`, `miflowcyt`."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cytosepsis.cli.terminal import EXIT_FILES_FAILED, Format, command, safe, say, write_json

_RESULTS = typer.Argument(help="A results folder.", show_default=False)


def verify(
    results: Annotated[Path, _RESULTS],
    fraction: Annotated[float, typer.Option(help="Of the files to compute again.")] = 1.0,
    study: Annotated[
        Path | None, typer.Option(help="Default: where it was when it was run.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the choice; default: at random.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    format: Annotated[Format, typer.Option(help="How to write it.")] = "table",
) -> None:
    """Compute results again and compare them to the bit; status 1 where anything differs."""
    with command():
        from dataclasses import asdict

        from cytosepsis.config import load_study
        from cytosepsis.store import study_of
        from cytosepsis.verify import verify_results

        loaded = load_study(study or study_of(results).folder)
        done = verify_results(loaded, results, fraction=fraction, seed=seed, workers=workers)
        if not done.same_code:
            say("Note: the results were computed by other code or libraries than these.")
        if not done.same_study:
            say("Note: the study has changed since the results were computed.")
        if format == "json":
            write_json(asdict(done))
        else:
            for difference in done.differences:
                typer.echo(safe(f"{difference.name}: {difference.message}"))
            same = "all equal" if not done.differences else f"{len(done.differences)} differ"
            typer.echo(
                f"{done.n_files} files computed again, {done.n_tables} tables made again: {same}"
            )
        if done.differences:
            raise typer.Exit(EXIT_FILES_FAILED)


def trace(
    results: Annotated[Path, _RESULTS],
    sample: Annotated[str, typer.Argument(help="A sample_id.", show_default=False)],
    format: Annotated[Format, typer.Option(help="How to write it.")] = "table",
) -> None:
    """Tell the whole story of one sample's numbers: input, gates, beads, flags, code."""
    with command():
        from cytosepsis.trace import trace_sample

        story = trace_sample(results, sample)
        if format == "json":
            write_json(story)
            return
        for heading, content in story.items():
            typer.echo(heading)
            for line in _lines(content):
                typer.echo(safe(f"  {line}"))


def export_excel(
    results: Annotated[Path, _RESULTS],
    out: Annotated[Path, typer.Option(help="The workbook, ending in .xlsx.", show_default=False)],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a workbook that is there.")
    ] = False,
) -> None:
    """Write every table of a results folder into one Excel workbook, with what its columns mean."""
    with command():
        from cytosepsis.workbook import write_workbook

        for line in write_workbook(results, out, overwrite=overwrite):
            say(f"Left out: {line}")
        typer.echo(safe(f"{out}: every other table, one sheet each; `columns` explains them."))


def miflowcyt(
    study: Annotated[
        Path, typer.Argument(help="The study's folder, or its study.toml.", show_default=False)
    ],
    results: Annotated[
        Path | None, typer.Option(help="Results: quality and statistics of gates.")
    ] = None,
    format: Annotated[
        Literal["markdown", "json"], typer.Option(help="How to write it.")
    ] = "markdown",
) -> None:
    """Print the MIFlowCyt record of a study: what is known of each item, and what is missing."""
    with command():
        from dataclasses import asdict

        from cytosepsis.config import load_study
        from cytosepsis.miflowcyt import miflowcyt_markdown, miflowcyt_record

        loaded = load_study(study)
        record = miflowcyt_record(loaded, results)
        if format == "json":
            items = [{**asdict(item), "missing": item.is_missing} for item in record]
            write_json({"standard": "MIFlowCyt 1.0", "study": loaded.name, "items": items})
        else:
            typer.echo(safe(miflowcyt_markdown(loaded, record)), nl=False)


def _lines(content: Any) -> Iterator[str]:
    match content:
        case dict():
            for name, value in content.items():
                yield f"{name}: {value}"
        case list():
            for row in content:
                yield ", ".join(f"{name} {value}" for name, value in row.items())
        case _:
            yield str(content)
