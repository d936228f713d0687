"""What `inspect` says of one FCS file. Never a keyword that may identify a person."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from cytosepsis.cli.terminal import safe, show_table
from cytosepsis.errors import CompensationError, FcsError

Record = dict[str, Any]


def inspected(path: Path) -> Record:
    """Describe a file; with `error` where its events cannot be read. FcsError: no FCS at all."""
    from cytosepsis.fcs import data_set_offsets, read_fcs, read_keywords

    raw = read_keywords(path)
    with path.open("rb") as handle:
        n_data_sets = len(data_set_offsets(handle))
    doubts = [{"code": note.code, "message": note.message} for note in raw.notes]
    detectors, doubt = _spillover(raw.keywords)
    doubts.extend(doubt)
    if n_data_sets > 1:
        message = f"{n_data_sets} data sets; the first is shown"
        doubts.append({"code": "several_data_sets", "message": message})
    record: Record = {
        "version": raw.version,
        "n_events": raw.n_events,
        "n_data_sets": n_data_sets,
        "cytometer": raw.cytometer,
        "acquired_at": raw.acquired_at.isoformat() if raw.acquired_at else None,
        "spillover": detectors,
        "channels": [
            {
                "pnn": parameter.pnn,
                "pns": parameter.pns,
                "range": parameter.range,
                "voltage": parameter.voltage,
                "gain": parameter.gain,
            }
            for parameter in raw.parameters
        ],
        "doubts": doubts,
    }
    try:
        read_fcs(path, dataset=0 if n_data_sets > 1 else None)
    except FcsError as error:
        record["error"] = {"code": error.code, "message": error.message}
    return record


def show_inspected(records: Iterable[Record]) -> None:
    """Write the descriptions for people: a line per file, then its channels and doubts."""
    header = ("$PnN", "$PnS", "range", "voltage", "gain")
    for record in records:
        if "version" in record:
            rows = [tuple(channel.values()) for channel in record["channels"]]
            show_table(_headline(record), header, rows)
        else:
            typer.echo(safe(record["file"]))
        for doubt in record.get("doubts", ()):
            typer.echo(safe(f"  doubt: {doubt['message']} [{doubt['code']}]"))
        if "error" in record:
            error = record["error"]
            typer.echo(safe(f"  error: {error['message']} [{error['code']}]"))
        typer.echo("")


def _headline(record: Record) -> str:
    spillover = record["spillover"]
    parts = (
        record["file"],
        record["version"],
        f"{record['n_events']:,} events",
        record["cytometer"] or "cytometer not named",
        record["acquired_at"] or "no date",
        f"spillover of {len(spillover)} detectors" if spillover else "no spillover",
    )
    return " · ".join(parts)


def _spillover(keywords: Any) -> tuple[list[str] | None, list[Record]]:
    from cytosepsis.compensation import spillover_of

    try:
        spillover = spillover_of(keywords)
    except CompensationError as error:
        return None, [{"code": error.code, "message": error.message}]
    return (None if spillover is None else list(spillover.detectors)), []
