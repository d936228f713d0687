"""What `inspect` says of one FCS file. Never a keyword that may identify a person."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cytosepsis.cli.terminal import safe, show_table
from cytosepsis.errors import CompensationError, FcsError
from cytosepsis.panel import kind_of

if TYPE_CHECKING:
    from cytosepsis.fcs_layout import Note
    from cytosepsis.fcs_sets import DataSet

Record = dict[str, Any]


def inspected(path: Path) -> Record:
    """Describe a file; with `error` where its events cannot be read. FcsError: no FCS at all.

    HEADER and TEXT alone are read. Of several data sets the one that would be read is described in
    full, else the first, and all are listed.
    """
    from cytosepsis.fcs import read_fcs, read_keywords
    from cytosepsis.fcs_sets import data_sets

    raw = read_keywords(path)
    sets = raw.n_data_sets
    if sets > 1:
        with path.open("rb") as handle:
            listed = [_data_set(n, found) for n, found in enumerate(data_sets(handle))]
    error: Record | None = None
    notes = raw.notes
    try:
        # a file of several data sets is no faulty file: the one that is described is tried
        raw = read_fcs(path, dataset=0 if sets > 1 and raw.dataset == 0 else None)
        notes = (*(note for note in notes if note not in raw.notes), *raw.notes)
    except FcsError as problem:
        error = {"code": problem.code, "message": problem.message}
    detectors, doubt = _spillover(raw.keywords)
    record: Record = {
        "version": raw.version,
        "n_events": raw.n_events,
        "n_data_sets": sets,
        "cytometer": raw.cytometer,
        "acquired_at": raw.acquired_at.isoformat() if raw.acquired_at else None,
        "spillover": detectors,
        "data_type": raw.layout.data_type,
        "bits": sorted({parameter.bits for parameter in raw.parameters}),
        "channels": [
            {
                "pnn": parameter.pnn,
                "pns": parameter.pns,
                "range": parameter.range,
                "voltage": parameter.voltage,
                "gain": parameter.gain,
                "kind": kind_of(parameter.pnn),
            }
            for parameter in raw.parameters
        ],
        "doubts": [*_noted(notes), *doubt],
    }
    if sets > 1:
        record["dataset"] = raw.dataset
        record["data_sets"] = listed
    if error is not None:
        record["error"] = error
    return record


def _noted(given: Iterable[Note]) -> list[Record]:
    """Notes of a file, those of one code together."""
    notes: dict[str, list[str]] = {}
    for note in given:
        notes.setdefault(note.code, []).append(note.message)
    return [
        {"code": code, "message": messages[0] if len(messages) == 1 else _several(messages)}
        for code, messages in notes.items()
    ]


def _several(messages: list[str]) -> str:
    return f"{messages[0]} (and {len(messages) - 1} more)"


def _data_set(number: int, found: DataSet) -> Record:
    """One line about a data set, or why it has none."""
    from cytosepsis.fcs_layout import integer_of, parameters_of, type_of

    keywords = found.text.keywords
    try:
        parameters = parameters_of(keywords, [])
        return {
            "dataset": number,
            "version": found.header.version,
            "n_events": integer_of(keywords, "$TOT", default=0),
            "data_type": type_of(keywords),
            "bits": sorted({parameter.bits for parameter in parameters}),
            "pnn": [parameter.pnn for parameter in parameters],
        }
    except FcsError as problem:
        return {"dataset": number, "error": {"code": problem.code, "message": problem.message}}


def show_inspected(records: Iterable[Record]) -> None:
    """Write the descriptions for people: a line per file, then its channels and doubts."""
    header = ("$PnN", "$PnS", "range", "voltage", "gain", "kind")
    for record in records:
        if "version" in record:
            rows = [tuple(channel.values()) for channel in record["channels"]]
            show_table(_headline(record), header, rows)
        else:
            typer.echo(safe(record["file"]))
        for data_set in record.get("data_sets", ()):
            typer.echo(safe(_line(data_set, record["dataset"])))
        for doubt in record.get("doubts", ()):
            typer.echo(safe(f"  doubt: {doubt['message']} [{doubt['code']}]"))
        if "error" in record:
            error = record["error"]
            typer.echo(safe(f"  error: {error['message']} [{error['code']}]"))
        typer.echo("")


def _line(data_set: Record, described: int) -> str:
    number = data_set["dataset"]
    mark = " (described above)" if number == described else ""
    if "error" in data_set:
        return f"  data set {number}{mark}: {data_set['error']['message']}"
    bits = "/".join(map(str, data_set["bits"]))
    return (
        f"  data set {number}{mark}: FCS {data_set['version']} · {data_set['n_events']:,} events · "
        f"{data_set['data_type']} {bits} bits · {', '.join(data_set['pnn'])}"
    )


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
