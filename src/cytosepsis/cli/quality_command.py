"""The command on the acquisition quality of FCS files: `quality`."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytosepsis.cli.file_commands import exit_for, expanded, guarded
from cytosepsis.cli.terminal import Format, command, safe, show_table, write_json

if TYPE_CHECKING:
    from cytosepsis.quality.report import CheckResult, QualityReport

Record = dict[str, Any]

# After the size of a window that is no rate and no signal.
_UNITS = {"gap": " s", "time_restart": " s back", "time_wrap": " s back"}
_RATES = ("slow", "burst", "rate_step")


def quality(
    files: Annotated[list[Path], typer.Argument(help="FCS files or folders.", show_default=False)],
    channel: Annotated[
        list[str] | None,
        typer.Option(help="$PnN or $PnS to look at; default: all scatter and fluorescence."),
    ] = None,
    dataset: Annotated[
        int | None, typer.Option(min=0, help="Which of a file's data sets, from 0.")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to write it.")] = "table",
) -> None:
    """Check the acquisition of FCS files: flow rate, stability of signals, ends of the scales."""
    with command():
        from cytosepsis.fcs import read_fcs
        from cytosepsis.quality.check import check_quality

        def checked(path: Path) -> Record:
            return _record(check_quality(read_fcs(path, dataset=dataset), channels=channel))

        records = [guarded(path, checked) for path in expanded(files)]
        if format == "json":
            write_json(records)
        else:
            for record in records:
                _show(record)
        exit_for(records)


def _record(report: QualityReport) -> Record:
    return {
        "n_events": report.n_events,
        "verdict": report.verdict,
        "flags": list(report.flags),
        "fraction_flagged": _fraction(report),
        "checks": [_check(result) for result in report.checks],
    }


def _fraction(report: QualityReport) -> float | None:
    n_flagged = sum(stop - first for first, stop in report.flagged())
    return n_flagged / report.n_events if report.n_events else None


def _check(result: CheckResult) -> Record:
    from dataclasses import asdict

    record = asdict(result)
    record["windows"] = [asdict(window) for window in result.windows]
    record["flagged"] = [list(stretch) for stretch in result.flagged]
    return record


def _show(record: Record) -> None:
    if "error" in record:
        error = record["error"]
        typer.echo(safe(f"{record['file']}\n  error: {error['message']} [{error['code']}]\n"))
        return
    flagged = record["fraction_flagged"]
    parts = (
        record["file"],
        f"{record['n_events']:,} events",
        record["verdict"] or "not checked",
        "" if flagged is None else f"{flagged:.1%} flagged by rate or signal",
        ", ".join(record["flags"]),
    )
    title = " · ".join(part for part in parts if part)
    rows = list(_rows(record["checks"]))
    if rows:
        show_table(title, ("check", "channel", "verdict", "what", "events", "seconds"), rows)
    else:
        typer.echo(safe(title))
    typer.echo("")


def _rows(checks: Iterable[Record]) -> Iterable[tuple[object, ...]]:
    """What a person has to look at: odd stretches, margins in doubt, checks not made."""
    for check in checks:
        head = (check["check"], check["channel"], check["verdict"])
        for window in check["windows"]:
            yield (*head, *_window(window))
        if check["windows"]:
            continue
        if check["status"] != "ok":
            yield (*head, check["status"].replace("_", " "), None, None)
        elif check["verdict"] != "pass":
            n_top, n_floor = check["n_top"] or 0, check["n_floor"] or 0
            yield (
                *head,
                f"{n_top:,} events at the top, {n_floor:,} in the lowest value",
                None,
                None,
            )


def _window(window: Record) -> tuple[str, str, str | None]:
    kind, size = window["kind"], window["size"]
    if kind in _RATES:
        what = f"{kind.replace('_', ' ')}: {size:.2g} × the usual rate"
    elif kind in _UNITS:
        what = f"{kind.replace('_', ' ')}: {size:.3g}{_UNITS[kind]}"
    else:
        what = f"{kind}: {size:+.2f} decades"
    first, n_events = window["first_event"], window["n_events"]
    events = f"{first:,}-{first + n_events - 1:,}" if n_events else f"before {first:,}"
    start, stop = window["start_seconds"], window["stop_seconds"]
    seconds = None if start is None or stop is None else f"{start:.1f}-{stop:.1f}"
    return what, events, seconds
