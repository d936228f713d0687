"""The command line: each command is a thin translation to one call of the API.

Exit status: 0 all done · 1 done, but some files failed · 2 refused, nothing computed · 3 an
unforeseen error · 130 and 143 after SIGINT and SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import traceback
from types import FrameType
from typing import Annotated

import typer

from cytosepsis import __version__, own_process
from cytosepsis.cli import (
    analysis_commands,
    compensation_command,
    file_commands,
    init_command,
    panel_commands,
    plan_commands,
    privacy_commands,
    quality_command,
    report_command,
    result_commands,
    statistics_commands,
    study_commands,
)
from cytosepsis.cli.terminal import (
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_UNFORESEEN,
    Commands,
    Terminated,
)

app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,  # rich's panels would take half of the time of --help
    name="cytosepsis",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(study_commands.run)
app.command()(study_commands.check)
app.command()(result_commands.verify)
app.command()(result_commands.trace)
app.command()(result_commands.export_excel)
app.command()(result_commands.miflowcyt)
app.command()(analysis_commands.cohort)
app.command()(analysis_commands.trajectories)
app.command()(analysis_commands.endotypes)
app.command()(statistics_commands.biomarkers)
app.command()(statistics_commands.candidates)
app.command()(statistics_commands.exvivo)
app.command()(analysis_commands.charts)
app.command()(report_command.report)
app.command()(file_commands.inspect)
app.command()(file_commands.gate)
app.command()(quality_command.quality)
app.command()(plan_commands.gating)
app.command()(plan_commands.learn_gates)
app.command()(file_commands.calibrate)
app.command()(compensation_command.compensate)
app.add_typer(panel_commands.app, name="panel")
app.command()(study_commands.simulate)
app.command()(init_command.init)
app.command()(privacy_commands.anonymize)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cytosepsis {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Monocyte HLA-DR in antibodies per cell, from FCS files to patient and timepoint."""


def main() -> None:
    """Entry point of the command `cytosepsis`."""
    came: list[int] = []

    def terminate(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    own_process.declare()
    try:
        app()
    except Terminated:
        sys.exit(EXIT_TERMINATED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as ended:
        # Around a command Typer takes SIGTERM, which stops as Ctrl-C does, for Ctrl-C.
        if came and ended.code == EXIT_INTERRUPTED:
            sys.exit(EXIT_TERMINATED)
        raise
    except Exception:  # noqa: BLE001 - Python's own status for this, 1, means something else here
        traceback.print_exc()
        typer.echo(
            "This is a fault of cytosepsis. Please report it with the lines above.", err=True
        )
        sys.exit(EXIT_UNFORESEEN)
