"""The command `report`."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cytosepsis.cli.terminal import command, safe


def report(
    results: Annotated[Path, typer.Argument(help="A results folder.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="The report's folder; default: `report` in the results folder."),
    ] = None,
    patient: Annotated[
        list[str] | None,
        typer.Option(help="Make the page of this patient only; may be given several times."),
    ] = None,
    export: Annotated[
        Literal["pdf", "png"] | None,
        typer.Option(help="Each patient as a document too, beside the patient's page."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that draw; default: one per processor."),
    ] = None,
) -> None:
    """Write the results as a report: static HTML that opens from any place, without network."""
    with command():
        from cytosepsis.cli.progress import counted
        from cytosepsis.report.build import write_report
        from cytosepsis.workers import processors

        with counted("pages drawn") as progress:
            done = write_report(
                results,
                out,
                patients=tuple(patient or ()),
                export=export,
                workers=workers or processors(),
                progress=progress,
            )
        size = done.n_bytes / 1e6
        typer.echo(safe(f"Report: {done.n_pages:,} pages, {size:,.1f} MB"))
        typer.echo(safe(f"Open {done.index}"))
