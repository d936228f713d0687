"""Commands on gating plans without events: `gating`."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosepsis.cli.terminal import command, roles_of, say
from cytosepsis.errors import CytosepsisError

if TYPE_CHECKING:
    from cytosepsis.compensation import Spillover


def gating(
    plan: Annotated[Path, typer.Argument(help="Plan: .toml, Gating-ML 2.0 .xml or FlowJo .wsp.")],
    out: Annotated[Path, typer.Option(help="Gating-ML 2.0 file to write (.xml).")],
    sample: Annotated[
        str | None, typer.Option(help="Sample of a .wsp: name, $FIL or KEYWORD=VALUE.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="ROLE=NAME: the $PnN that is written for a role of the plan."),
    ] = None,
    compensation: Annotated[
        str,
        typer.Option(help="Where the plan leaves it open: file, none or a CSV matrix."),
    ] = "file",
) -> None:
    """Write a gating plan as Gating-ML 2.0, which other programs read."""
    with command():
        from cytosepsis.compensation import read_spillover_csv
        from cytosepsis.gating.gatingml_export import write_gatingml
        from cytosepsis.gating.plan import FILE_COMPENSATION, UNCOMPENSATED
        from cytosepsis.gating.reader import read_gating

        if out.suffix.lower() != ".xml":
            raise CytosepsisError(f"--out {out}: .xml is meant.")
        known = {"file": FILE_COMPENSATION, "none": UNCOMPENSATED}
        chosen: str | Spillover = known.get(compensation, "")
        read = read_gating(plan, sample=sample)
        names = roles_of(channel or ())
        unknown = [role for role in names if role not in read.channels]
        if unknown:
            raise CytosepsisError(
                f"--channel: the plan has no {', '.join(unknown)}; "
                f"it has {', '.join(read.channels)}."
            )
        write_gatingml(
            read, out, channels=names, compensation=chosen or read_spillover_csv(Path(compensation))
        )
        say(f"{out}: {len(read.gates)} populations.")
