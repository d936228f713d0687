"""Commands on gating plans: `gating`, `learn-gates`."""
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


def learn_gates(
    study: Annotated[Path, typer.Argument(help="Study folder, or its study.toml.")],
    out: Annotated[Path, typer.Option(help="New file beside the plan: ….reference.toml.")],
    assay: Annotated[
        str | None, typer.Option(help="Assay of the study; needed where it has several.")
    ] = None,
    shrinkage: Annotated[
        float,
        typer.Option(help="How far each sample's gate is moved to the usual one, 0 to 1."),
    ] = 0.0,
) -> None:
    """Learn where a plan's data-driven gates usually lie, and freeze it in a file."""
    with command():
        from cytosepsis.config import load_study
        from cytosepsis.gate_learning import learn_gates as learn

        read = load_study(study)
        names = [each.name for each in read.assays]
        if assay is None and len(names) > 1:
            raise CytosepsisError(f"--assay: the study has several: {', '.join(names)}.")
        chosen = assay or names[0]
        if chosen not in names:
            raise CytosepsisError(f"--assay {chosen}: the study has {', '.join(names)}.")
        learned = learn(read, chosen, out, shrinkage=shrinkage)
        failed = f", {learned.n_failed} could not be read" if learned.n_failed else ""
        say(f"{out}: learned from {learned.n_samples} samples{failed}.")
        for path, n in learned.gates:
            say(f"  {path}: found in {n}")
        say(f'To lean on it, write batch = "{out.name}" at the top of the plan, and on_fail = ')
        say('"batch" in its gates.')
