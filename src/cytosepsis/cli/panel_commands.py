"""Commands on ready panels: `panel list`, `panel show`, `panel write`."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cytosepsis.cli.terminal import Commands, Format, command, roles_of, safe, say, write_json

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Ready assays beside mHLA-DR, to put into a study.",
)
_NAME = typer.Argument(help="A panel of `panel list`.", show_default=False)
_CHANNEL = typer.Option(help="ROLE=NAME: the $PnN or $PnS of your files for a role.")


@app.command(name="list")
def list_panels(
    format: Annotated[Format, typer.Option(help="How to write it.")] = "table",
) -> None:
    """List the ready panels, with the roles that each needs."""
    with command():
        from cytosepsis.panels import panel_names, read_panel

        panels = [read_panel(name) for name in panel_names()]
        if format == "json":
            write_json(
                [
                    {
                        "name": p.name,
                        "title": p.title,
                        "roles": [*p.channels],
                        "markers": [*p.markers],
                    }
                    for p in panels
                ]
            )
            return
        width = max(len(panel.name) for panel in panels)
        for panel in panels:
            typer.echo(f"{panel.name:<{width}}  {panel.title}")
            typer.echo(f"{'':<{width}}  roles: {', '.join(panel.channels)}")


@app.command()
def show(
    name: Annotated[str, _NAME],
    channel: Annotated[list[str] | None, _CHANNEL] = None,
) -> None:
    """Print a panel's sections of study.toml, then its gating plan."""
    with command():
        from cytosepsis.panels import assay_sections, read_panel

        panel = read_panel(name)
        typer.echo(safe(assay_sections(panel, roles_of(channel or ()))))
        typer.echo(f"\n# ---- assays/{name}.toml ----\n")
        typer.echo(safe(panel.plan))


@app.command()
def write(
    name: Annotated[str, _NAME],
    study: Annotated[Path, typer.Argument(help="The study's folder.", show_default=False)],
    channel: Annotated[list[str] | None, _CHANNEL] = None,
    top: Annotated[
        float | None, typer.Option(help="End of the detectors' scale; default 262144.", min=1)
    ] = None,
) -> None:
    """Put a panel into a study: its plan under assays/, its sections at study.toml's end."""
    with command():
        from cytosepsis.panels import write_panel

        panel = write_panel(name, study, channels=roles_of(channel or ()), top=top)
        say(f"assays/{name}.toml and {len(panel.markers)} markers were added to {study}.")
        say(f"Check the channels under [assays.{name}.channels]; then: cytosepsis check {study}")
