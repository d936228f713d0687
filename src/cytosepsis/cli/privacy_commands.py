"""The command `anonymize`."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cytosepsis.cli.terminal import command, safe, say
from cytosepsis.errors import CytosepsisError


def anonymize(
    files: Annotated[
        list[Path],
        typer.Argument(help="FCS files, or one study folder or study.toml.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="A new or empty folder.", show_default=False)],
    mapping: Annotated[
        Path | None, typer.Option(help="Who is who; default: beside OUT, as OUT-mapping.csv.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Of the study: the copy names the bead runs used there.")
    ] = None,
    keep: Annotated[list[str] | None, typer.Option(help="Keyword to keep as well.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="Keyword to remove as well.")] = None,
    shift_days: Annotated[
        int | None, typer.Option(help="Of all dates; default: random, in the mapping alone.")
    ] = None,
) -> None:
    """Copy FCS files, or a whole study, without what identifies people; events stay as they are."""
    with command():
        from cytosepsis.anonymize import Rules, anonymize_files, anonymize_study

        rules = Rules(tuple(keep or ()), tuple(remove or ()))
        studies = [path for path in files if path.is_dir() or path.suffix.lower() == ".toml"]
        if studies and len(files) > 1:
            raise CytosepsisError("Either FCS files or one study is meant, not both.")
        if not studies:
            written = anonymize_files(
                files, out, mapping=mapping, rules=rules, shift_days=shift_days
            )
            typer.echo(safe(f"{len(written)} files copied to {out}; the mapping lies apart."))
            return
        from cytosepsis.config import load_study

        left_out = anonymize_study(
            load_study(files[0]),
            out,
            bead_runs=None if results is None else _bead_runs(results),
            mapping=mapping,
            rules=rules,
            shift_days=shift_days,
        )
        for line in left_out:
            say(f"Not copied: {line}")
        load_study(out)
        typer.echo(safe(f"The study was copied to {out}; the mapping lies apart."))


def _bead_runs(results: Path) -> dict[str, str]:
    from cytosepsis.store import open_results

    table = open_results(results).table("abc").drop_nulls("bead_run")
    return dict(zip(table["sample_id"].to_list(), table["bead_run"].to_list(), strict=True))
