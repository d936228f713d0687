"""The command `compensate`: a spillover matrix from single-stain controls, and its report."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from cytosepsis.cli.terminal import EXIT_REFUSED, Format, command, safe, say, show_table, write_json
from cytosepsis.errors import CompensationError, CytosepsisError, StudyError

if TYPE_CHECKING:
    from cytosepsis.compensation import Spillover
    from cytosepsis.spillover_controls import FromControls
    from cytosepsis.spillover_controls.comparison import Comparison


def compensate(
    controls: Annotated[
        Path, typer.Argument(help="Sheet: file, detector, fluorochrome, role.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Matrix to write: a labelled .csv.")],
    method: Annotated[
        Literal["regression", "medians"],
        typer.Option(help="Robust lines; or medians against an unstained control."),
    ] = "regression",
    scatter: Annotated[
        bool, typer.Option(help="Reduce each control to the scatter of its bright events.")
    ] = True,
    compare: Annotated[
        Path | None, typer.Option(help="A matrix to check: transposed, rows exchanged, other?")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to write the report.")] = "table",
) -> None:
    """Make a spillover matrix from single-stain controls, and judge it."""
    with command():
        from cytosepsis.compensation import read_spillover_csv
        from cytosepsis.spillover_controls import read_controls, spillover_from_controls
        from cytosepsis.spillover_controls.comparison import compare as compared

        if out.suffix.lower() != ".csv":
            raise CytosepsisError(f"--out {out}: .csv is meant.")
        given = None if compare is None else read_spillover_csv(compare)
        try:
            listed = read_controls(controls)
        except StudyError as error:
            _refuse_sheet(error)
        result = spillover_from_controls(listed, method=method, scatter=scatter)
        comparison = None if given is None else compared(given, result.spillover)
        _write(result.spillover, out)
        if format == "json":
            write_json(_record(result, comparison))
        else:
            _show(result, comparison, out)


def _refuse_sheet(error: StudyError) -> NoReturn:
    n = len(error.problems)
    say(f"The sheet of controls was refused: {n} {'problem' if n == 1 else 'problems'}.")
    for problem in error.problems:
        say(f"  {problem}")
    raise typer.Exit(EXIT_REFUSED) from None


def _write(spillover: Spillover, out: Path) -> None:
    """Write the matrix; what would be read back as another one is refused."""
    from cytosepsis.compensation import read_spillover_csv, write_spillover_csv

    try:
        write_spillover_csv(spillover, out)
    except OSError as error:
        raise CytosepsisError(f"--out {out}: {error.strerror or error}.") from None
    if read_spillover_csv(out) != replace(spillover, source=out.name):
        out.unlink()
        raise CompensationError(
            f"--out {out}: names of detectors or fluorochromes do not survive a CSV "
            f"({', '.join((*spillover.detectors, *spillover.fluorochromes))}). Use fluorochromes "
            "that are neither numbers nor hold '::'."
        )


def _record(result: FromControls, comparison: Comparison | None) -> dict[str, Any]:
    spillover, report = result.spillover, result.report
    record: dict[str, Any] = {
        "detectors": list(spillover.detectors),
        "fluorochromes": list(spillover.fluorochromes),
        "matrix": [list(row) for row in spillover.matrix],
        **asdict(report),
    }
    if comparison is not None:
        record["comparison"] = asdict(comparison)
    return record


def _show(result: FromControls, comparison: Comparison | None, out: Path) -> None:
    from cytosepsis.flags import FLAGS

    spillover, report = result.spillover, result.report
    show_table(
        str(out),
        ("", *spillover.detectors),
        [(n, *r) for n, r in zip(spillover.fluorochromes, spillover.matrix, strict=True)],
    )
    show_table(
        "\nControls",
        ("file", "fluorochrome", "detector", "events", "saturated", "used"),
        [
            (c.file, c.fluorochrome, c.detector, c.n_events, c.n_saturated, c.n_used)
            for c in report.controls
        ],
    )
    show_table(
        "\nCoefficients, the largest remaining slope first",
        ("dye", "detector", "spill", "± SE", "medians", "remains", "spread", "way"),
        [
            (
                *(p.fluorochrome, p.detector),
                *map(_short, (p.coefficient, p.standard_error, p.by_medians, p.remaining)),
                *(_short(p.spread), p.way.replace("_", " ")),
            )
            for p in report.worst_pairs
        ],
    )
    typer.echo(
        f"\nCondition number {report.condition_number:.3g}, {report.n_rounds} rounds: "
        f"{report.status}"
    )
    for code in report.flags:
        where = [c.file for c in report.controls if code in c.flags]
        where += [f"{p.fluorochrome} in {p.detector}" for p in report.pairs if code in p.flags]
        places = f" ({', '.join(where)})" if where else ""
        typer.echo(safe(f"  {code}{places}: {FLAGS[code].meaning}"))
    if comparison is not None:
        code = comparison.verdict
        meaning = FLAGS[code].meaning if code in FLAGS else "The matrix agrees with the controls."
        rows = f" Its rows stand for {', '.join(comparison.rows)}." if comparison.rows else ""
        typer.echo(
            safe(
                f"Compared: {code}. {meaning}{rows} Largest difference "
                f"{comparison.largest_difference:.4f}, {comparison.fluorochrome} in "
                f"{comparison.detector}."
            )
        )


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
