"""`init`: a first study from a folder of FCS files."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosepsis.cli.terminal import command, safe, say, show_table
from cytosepsis.errors import CytosepsisError

if TYPE_CHECKING:
    from cytosepsis.first_study import Draft, InitOptions

_SHOWN = 8  # rows of examples


def init(
    folder: Annotated[Path, typer.Argument(help="A folder of FCS files.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the study is written; default: the folder itself."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the study; default: the folder's.")] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression with (?P<patient>...) and, optional, (?P<timepoint>...), "
            "tried on each file's path without its ending; default: guessed and shown."
        ),
    ] = None,
    lot: Annotated[
        list[str] | None,
        typer.Option(help="A bead lot and PE per bead, from its flyer: 96597=638,6930,31008,67601"),
    ] = None,
    names_only: Annotated[
        bool, typer.Option("--names-only", help="Tell beads by names alone: quicker.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; take the guesses.")
    ] = False,
) -> None:
    """Write a first study from a folder of FCS files; every guess in it is marked GUESS."""
    with command():
        from cytosepsis.first_study import InitOptions, draft_study, write_first_study

        lots = dict(_lot(text) for text in lot or ())
        options = InitOptions(name, pattern, lots, look_at_events=not names_only)
        draft = draft_study(folder, options)
        _describe(draft)
        if sys.stdin.isatty() and not yes:
            draft = _ask(folder, draft, options)
        target = out or folder
        written = write_first_study(draft, target)
        _say_what_next(draft, target, written)


def _lot(text: str) -> tuple[str, tuple[float, ...]]:
    name, equals, values = text.partition("=")
    try:
        levels = tuple(float(value) for value in values.split(",")) if equals else ()
    except ValueError:
        levels = ()
    if not name or len(levels) < 3:
        raise CytosepsisError(
            f"--lot {text!r}: NAME=PE1,PE2,PE3,... with at least three levels is meant.", code="lot"
        )
    return name, levels


def _describe(draft: Draft) -> None:
    typer.echo(safe(f"Samples: {len(draft.samples)}, read by the pattern {draft.pattern}"))
    show_table(
        "",
        ("file", "patient", "timepoint", "group"),
        [
            (facts.file, who.patient_id, who.timepoint, who.group)
            for facts in draft.samples[:_SHOWN]
            for who in (draft.named[facts.file],)
        ],
    )
    if len(draft.samples) > _SHOWN:
        typer.echo(f"  … and {len(draft.samples) - _SHOWN} more")
    for panel in draft.panels:
        roles = ", ".join(role.role for role in panel.roles)
        typer.echo(safe(f"Panel {panel.name}: {len(panel.files)} files; channels: {roles}"))
    because = Counter(draft.purposes[f.file].because for f in draft.beads)
    for reason, n in because.items():
        typer.echo(f"Beads: {n} files, by {reason}")
    if draft.controls:
        typer.echo(f"Single-stain controls: {len(draft.controls)} files")
    if draft.left_out:
        typer.echo(f"Left out: {len(draft.left_out)} files that cannot be read (left_out.csv)")


def _ask(folder: Path, draft: Draft, options: InitOptions) -> Draft:
    """The two things that only a person knows; Enter takes what stands there."""
    from cytosepsis.first_study import FILL_IN, draft_study

    answers = options
    pattern = typer.prompt("Pattern of patient and timepoint", default=draft.pattern, err=True)
    if pattern != draft.pattern:
        answers = replace(answers, pattern=pattern)
    if draft.beads and not answers.lots:
        text = typer.prompt(
            "Bead lot and PE per bead from its flyer, as NAME=PE1,PE2,... (Enter: later)",
            default=FILL_IN,
            err=True,
        )
        if text != FILL_IN:
            answers = replace(answers, lots=dict([_lot(text)]))
    if answers is options:
        return draft
    again = draft_study(folder, answers)
    _describe(again)
    return again


def _say_what_next(draft: Draft, target: Path, written: tuple[Path, ...]) -> None:
    typer.echo(
        safe(
            f"Written to {target}: "
            + ", ".join(path.relative_to(target).as_posix() for path in written)
        )
    )
    steps = ["Confirm what is marked GUESS in study.toml and the sheets"]
    if draft.beads and not draft.lots:
        steps.append("write the bead lot's name and PE values into study.toml and beads.csv")
    steps.append("write each patient's shock onset into clinical.csv")
    typer.echo("Next: " + "; ".join(steps) + ".")
    typer.echo(safe(f"Then: cytosepsis check {target}"))
    if draft.unclear_labels:
        say("Note: some labels name no day; give their windows under [timepoints].")
