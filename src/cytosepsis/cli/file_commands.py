"""Commands on FCS files without a study: `inspect`, `gate`, `calibrate`."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cytosepsis.cli.terminal import (
    EXIT_FILES_FAILED,
    EXIT_UNFORESEEN,
    Format,
    TableFormat,
    command,
    roles_of,
    say,
    show_table,
    write_json,
)
from cytosepsis.errors import CytosepsisError

if TYPE_CHECKING:
    import polars as pl

    from cytosepsis.calibration import Calibration
    from cytosepsis.compensation import Spillover

_FILES = typer.Argument(help="FCS files.", show_default=False)
_COMPARED_COLUMNS = ("stored_n_events", "agrees")
_ENDINGS = {".fcs", ".lmd"}
_POPULATION_COLUMNS = (
    *("file", "path", "population", "n_events", "fraction_of_parent", "fraction_of_root"),
    *("gate_status", "error_code", "error"),
)

Record = dict[str, Any]


def inspect(
    files: Annotated[list[Path], typer.Argument(help="FCS files or folders.", show_default=False)],
    format: Annotated[Format, typer.Option(help="How to write it.")] = "table",
) -> None:
    """Show what is in FCS files: version, events, channels, cytometer, date, spillover, doubts."""
    with command():
        from cytosepsis.cli.inspection import inspected, show_inspected

        records = [guarded(path, inspected) for path in expanded(files)]
        if format == "json":
            write_json(records)
        else:
            show_inspected(records)
        exit_for(records)


def gate(
    files: Annotated[list[Path], _FILES],
    gating: Annotated[Path, typer.Option(help="Plan: .toml, Gating-ML 2.0 .xml or FlowJo .wsp.")],
    sample: Annotated[
        str | None,
        typer.Option(help="Sample of a .wsp: name, $FIL or KEYWORD=VALUE; default: the file's."),
    ] = None,
    concordance: Annotated[
        bool, typer.Option("--concordance", help="Compare with the counts stored in a .wsp.")
    ] = False,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="ROLE=NAME; a role not named is tried as $PnN, then $PnS."),
    ] = None,
    compensation: Annotated[
        str | None, typer.Option(help="file, none or a CSV matrix; default: as the plan says.")
    ] = None,
    dataset: Annotated[
        int | None, typer.Option(min=0, help="Which of a file's data sets, from 0.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write: .csv or .parquet.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Folder to write each population to, as an FCS file.")
    ] = None,
    format: Annotated[TableFormat, typer.Option(help="How to write it.")] = "table",
) -> None:
    """Count the populations of a gating plan in FCS files."""
    with command():
        roles = roles_of(channel or ())
        request = _Request(
            gating, sample, roles, compensation, dataset, concordance=concordance, export=export
        )
        _check_stems(files, export)
        count = _counter(request)
        if out is not None and out.suffix.lower() not in {".csv", ".parquet"}:
            raise CytosepsisError(f"--out {out}: .csv or .parquet is meant.")
        _note_compiling("gate")
        records = [guarded(path, count) for path in files]
        if out is not None:
            _write_table(_population_rows(records), out)
        _show_populations(records, format)
        exit_for(records)
        if any(row.get("agrees") is False for r in records for row in r.get("populations", ())):
            raise typer.Exit(EXIT_FILES_FAILED)


def calibrate(
    file: Annotated[Path, typer.Argument(help="FCS file of beads.", show_default=False)],
    lot: Annotated[
        str, typer.Option(help="PE molecules of each level, e.g. 638,6930,31008,67601.")
    ],
    channel: Annotated[str, typer.Option(help="The PE detector, as $PnN or $PnS.")],
    statistic: Annotated[
        Literal["median", "geometric_mean"], typer.Option(help="Of the levels.")
    ] = "median",
    format: Annotated[Format, typer.Option(help="How to write it.")] = "table",
) -> None:
    """Find the levels of a bead file, fit the line and judge it."""
    with command():
        from cytosepsis.bead_fit import fit_calibration
        from cytosepsis.calibration import BeadLot
        from cytosepsis.fcs import read_fcs

        levels = BeadLot("given by --lot", _molecules(lot))

        def calibrated(path: Path) -> Record:
            line = fit_calibration(read_fcs(path), levels, channel, statistic=statistic)
            return _calibration_record(line)

        _note_compiling("calibrate")
        record = guarded(file, calibrated)
        if "error" in record:
            record = {**_no_calibration(statistic), **record}
        if format == "json":
            write_json(record)
        else:
            _show_calibration(record)
        exit_for([record])


def _note_compiling(what: Literal["gate", "calibrate"]) -> None:
    """Say that the first use on a machine takes its time."""
    from cytosepsis import kernel_cache
    from cytosepsis.cli.progress import say_compiling

    if not kernel_cache.is_compiled(kernel_cache.WALK if what == "gate" else kernel_cache.DENSITY):
        say_compiling()


# ----------------------------------------------------------------------------- every file


def guarded(path: Path, work: Callable[[Path], Record]) -> Record:
    """Do one file's work; what is wrong with it becomes its record, and the others go on."""
    from cytosepsis.sample import supervised

    def failed(code: str, message: str, _step: str | None, _unforeseen: bool) -> Record:
        return {"error": {"code": code, "message": message}}

    return {"file": str(path), **supervised(lambda: work(path), failed)}


def exit_for(records: Iterable[Record]) -> None:
    """Leave with the status that failed files ask for, if any failed."""
    errors = [record["error"] for record in records if "error" in record]
    if any(error["code"] == "unforeseen" for error in errors):
        raise typer.Exit(EXIT_UNFORESEEN)
    if errors:
        raise typer.Exit(EXIT_FILES_FAILED)


def expanded(paths: Iterable[Path]) -> list[Path]:
    """Put the FCS files below a folder in its place, in order of their names."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.is_file() and _is_fcs(p)]
            if not inside:
                raise CytosepsisError(f"{path}: no .fcs or .lmd file in this folder.")
            found.extend(inside)
        else:
            found.append(path)
    return found


def _is_fcs(path: Path) -> bool:
    """By its name, or by its first bytes: older instruments count instead (`sample.001`)."""
    if path.suffix.lower() in _ENDINGS:
        return True
    try:
        with path.open("rb") as handle:
            return handle.read(4) in (b"FCS2", b"FCS3")
    except OSError:
        return False


# ------------------------------------------------------------------------------- counting


@dataclass(frozen=True, slots=True)
class _Request:
    """What `gate` was asked for, the files aside."""

    gating: Path
    sample: str | None
    roles: Mapping[str, str]
    compensation: str | None
    dataset: int | None
    concordance: bool
    export: Path | None


def _check_stems(files: Iterable[Path], export: Path | None) -> None:
    """Exports are named after the files: two of one name would be one."""
    if export is None:
        return
    from collections import Counter

    from cytosepsis.export import safe_name

    stems = Counter(safe_name(path.stem).casefold() for path in files)
    twice = sorted(stem for stem, times in stems.items() if times > 1)
    if twice:
        raise CytosepsisError(
            f"--export: several files are called {', '.join(twice)}; export them apart."
        )


def _counter(request: _Request) -> Callable[[Path], Record]:
    """Read plan and matrix once, so that a broken one refuses; return what counts one file."""
    from cytosepsis.compensation import read_spillover_csv
    from cytosepsis.fcs import read_fcs
    from cytosepsis.gating.apply import gate as apply
    from cytosepsis.gating.concordance import compare_counts
    from cytosepsis.gating.flowjo import read_stored_counts
    from cytosepsis.gating.reader import read_gating
    from cytosepsis.population_counts import population_counts

    gating, compensation = request.gating, request.compensation
    matrix: Spillover | Literal["none"] | None = None
    if compensation == "none":
        matrix = "none"
    elif compensation not in {None, "file"}:
        matrix = read_spillover_csv(Path(str(compensation)))
    # A workspace holds a plan for each of its samples.
    by_name = request.sample is None and gating.suffix.lower() == ".wsp"
    if by_name and not gating.is_file():
        raise CytosepsisError(f"--gating {gating}: no such file.")
    shared = None if by_name else read_gating(gating, sample=request.sample)
    if request.concordance and gating.suffix.lower() not in {".wsp", ".xml"}:
        raise CytosepsisError(f"--concordance: {gating} stores no counts; a FlowJo .wsp does.")

    def count(path: Path) -> Record:
        raw = read_fcs(path, dataset=request.dataset)
        known = request.sample or (path.name, raw.keywords.get("$FIL", "").strip())
        plan = shared or read_gating(gating, sample=known)
        if compensation == "file":
            _note_missing_spillover(path, raw.keywords)
        populations = apply(raw, plan, channels=request.roles, spillover=matrix)
        if request.export is not None:
            from cytosepsis.export import export_populations

            export_populations(raw, populations, request.export)
        rows: list[Record] = [
            {
                "path": row.path,
                "name": row.name,
                "n_events": row.n_events,
                "fraction_of_parent": row.fraction_of_parent,
                "fraction_of_root": row.fraction_of_root,
                "gate_status": row.gate_status,
            }
            for row in population_counts(populations)
        ]
        if request.concordance:
            stored = read_stored_counts(gating, sample=known)
            for row, compared in zip(
                rows, compare_counts(populations.n_events, stored), strict=True
            ):
                row |= {"stored_n_events": compared.stored, "agrees": compared.agrees}
        return {"n_events": raw.n_events, "populations": rows}

    return count


def _note_missing_spillover(path: Path, keywords: Mapping[str, str]) -> None:
    from cytosepsis.compensation import spillover_of

    if spillover_of(keywords) is None:
        say(f"Note: {path} carries no spillover matrix; its values are uncompensated.")


def _population_rows(records: Iterable[Record]) -> list[Record]:
    rows: list[Record] = []
    for record in records:
        blank: Record = dict.fromkeys(_POPULATION_COLUMNS)
        blank["file"] = record["file"]
        if "error" in record:
            error = record["error"]
            rows.append({**blank, "error_code": error["code"], "error": error["message"]})
        for population in record.get("populations", ()):
            named = {**population, "population": population["name"]}
            rows.append({**blank, **{k: v for k, v in named.items() if k != "name"}})
    return rows


def _population_frame(rows: list[Record]) -> pl.DataFrame:
    import polars as pl

    numbers: dict[str, type[pl.DataType]] = {
        "n_events": pl.Int64,
        "stored_n_events": pl.Int64,
        "agrees": pl.Boolean,
        "fraction_of_parent": pl.Float64,
        "fraction_of_root": pl.Float64,
    }
    compared = any("agrees" in row for row in rows)
    columns = (*_POPULATION_COLUMNS, *(_COMPARED_COLUMNS if compared else ()))
    schema = {name: numbers.get(name, pl.String) for name in columns}
    return pl.DataFrame(rows, schema=schema)


def _write_table(rows: list[Record], out: Path) -> None:
    from cytosepsis.table_files import write_table

    write_table(_population_frame(rows), out)


def _show_populations(records: list[Record], format: TableFormat) -> None:
    if format == "json":
        write_json(records)
    elif format == "csv":
        from cytosepsis.table_files import csv_text

        sys.stdout.write(csv_text(_population_frame(_population_rows(records))))
    else:
        header: tuple[str, ...] = ("population", "events", "% of parent", "% of root", "gate")
        if any("agrees" in row for r in records for row in r.get("populations", ())):
            header += ("stored", "agrees")
        for record in records:
            if "error" in record:
                _say_error(record)
                continue
            rows = [
                (
                    row["path"],
                    row["n_events"],
                    _percent(row["fraction_of_parent"]),
                    _percent(row["fraction_of_root"]),
                    row["gate_status"],
                    *(row[name] for name in _COMPARED_COLUMNS if name in row),
                )
                for row in record["populations"]
            ]
            show_table(record["file"], header, rows)


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _say_error(record: Record) -> None:
    say(f"{record['file']}: {record['error']['message']} [{record['error']['code']}]")


# ----------------------------------------------------------------------------- calibrating


def _molecules(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise CytosepsisError(
            f"--lot {text!r}: numbers joined by commas are meant, e.g. 638,6930,31008,67601."
        ) from None
    if len(values) < 3 or len(set(values)) < len(values) or not all(0 < v < 1e12 for v in values):
        raise CytosepsisError(
            f"--lot {text!r}: at least 3 different positive numbers of PE molecules are needed."
        )
    return values


def _calibration_record(line: Calibration) -> Record:
    return {
        "slope": line.slope,
        "intercept": line.intercept,
        "r_squared": line.r_squared,
        "statistic": line.statistic,
        "levels": [
            {
                "pe_molecules": level.pe_molecules,
                "intensity": level.intensity,
                "n_events": level.n_events,
                "cv": level.cv,
                "recovery": level.recovery,
            }
            for level in line.levels
        ],
        "status": line.status,
        "flags": list(line.flags),
    }


def _no_calibration(statistic: str) -> Record:
    return {
        **{"slope": None, "intercept": None, "r_squared": None, "statistic": statistic},
        **{"levels": [], "status": "failed", "flags": []},
    }


def _show_calibration(record: Record) -> None:
    from cytosepsis.flags import FLAGS

    if "error" in record:
        _say_error(record)
        return
    header = ("PE molecules", record["statistic"].replace("_", " "), "events", "CV %", "recovery %")
    rows = [
        (
            level["pe_molecules"],
            level["intensity"],
            level["n_events"],
            _percent(level["cv"]),
            _percent(level["recovery"]),
        )
        for level in record["levels"]
    ]
    show_table(record["file"], header, rows)
    typer.echo(
        f"log10(intensity) = {record['slope']:.4f} · log10(PE) {record['intercept']:+.4f}, "
        f"R² {record['r_squared']:.5f}: {record['status']}"
    )
    for code in record["flags"]:
        typer.echo(f"  {code}: {FLAGS[code].meaning}")
