"""`miflowcyt_record`: what MIFlowCyt 1.0 asks of a flow experiment, as far as it is known.

Taken from the study, from the keywords of its files and, where there are any, from its results;
what nobody has written down is listed as missing, with the place for it. Items are numbered as in
Lee et al. 2008, 10.1002/cyto.a.20623.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cytosepsis.compensation import Spillover, read_spillover_csv, spillover_of
from cytosepsis.errors import CytosepsisError
from cytosepsis.fcs import RawEvents, read_keywords
from cytosepsis.gating.axis import Axis
from cytosepsis.gating.plan import GatingPlan, axes_of, path_of
from cytosepsis.gating.reader import read_gating
from cytosepsis.protocol import Assay, BeadRun, Sample, Study
from cytosepsis.store import Results, open_results
from cytosepsis.tasks import sources_of

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the standard: what is known of it, and where more of it would stand."""

    number: str
    name: str
    text: str = ""  # in words
    rows: tuple[Row, ...] = ()  # or as a table
    where: str = ""  # where the person who knows it writes it

    @property
    def is_missing(self) -> bool:
        """Whether nothing is known of it."""
        return not self.text and not self.rows


# Number, name, key of [experiment]; what files, sheets and results say is added to some.
_WRITTEN = (
    ("1.1", "Purpose", "purpose"),
    ("1.2", "Keywords", "keywords"),
    ("1.3", "Experiment variables", "variables"),
    ("1.4", "Organization", "organization"),
    ("1.5", "Primary contact", "contact"),
    ("1.6", "Date", "date"),
    ("1.7", "Conclusions", "conclusions"),
    ("1.8", "Quality control measures", "quality_control"),
    ("2.1", "Specimen: source, organism", "specimen"),
    ("2.2", "Sample characteristics", "characteristics"),
    ("2.3", "Sample treatment", "treatment"),
    ("3.1", "Instrument manufacturer", "instrument_manufacturer"),
    ("3.3.1", "Flow cell and fluidics", "fluidics"),
    ("3.3.2", "Light sources", "light_sources"),
    ("3.3.3", "Excitation optics", "excitation_optics"),
    ("3.3.6", "Optical paths", "optical_paths"),
)
_REAGENT = ("measures", "analyte", "detector", "reporter", "clone", "manufacturer", "catalogue")
_NO_FILES = "none of the study's files could be read"


def miflowcyt_record(
    study: Study, results: str | os.PathLike[str] | None = None
) -> tuple[Item, ...]:
    """Collect every item of the standard, missing ones included, in the standard's order.

    Parameters
    ----------
    study
        As `load_study` gives it; HEADER and TEXT of its files are read.
    results
        A results folder of the study: adds dates, quality and the statistics of gates.

    Raises
    ------
    StoreError
        There are no finished results in the folder.
    """
    found = None if results is None else open_results(results)
    files = tuple(_files(study))
    made = {item.number: item for item in _written(study)}
    for item in (
        _date(files, made["1.6"]),
        _quality(found, made["1.8"]),
        _variables(study, made["1.3"]),
        Item("2.4", "Fluorescence reagents", rows=tuple(_reagents(study)), where="[reagents.NAME]"),
        _models(files),
        _detectors(study, files, "3.3.4", "optical_filters", ("F", "L")),
        _detectors(study, files, "3.3.5", "optical_detectors", ("T", "V", "G", "E", "R")),
        _list_mode(study, files),
        Item("4.2", "Compensation", rows=tuple(_compensation(study, files)), where="[assays.*]"),
        Item("4.3", "Data transformation", rows=tuple(_scales(study))),
        Item("4.4.1", "Gates", rows=tuple(_gates(study))),
        _statistics(found),
        _boundaries(study, found),
    ):
        made[item.number] = item
    return tuple(sorted(made.values(), key=lambda item: _rank(item.number)))


def miflowcyt_markdown(study: Study, record: Sequence[Item]) -> str:
    """Write a record as a page: sections, tables, and what is missing at the end."""
    lines = [f"# MIFlowCyt record of {study.name}", ""]
    for item in record:
        if item.is_missing:
            continue
        lines += [f"## {item.number} {item.name}", ""]
        if item.text:
            lines += [_cell(item.text), ""]
        if item.rows:
            lines += [*_table(item.rows), ""]
    missing = [item for item in record if item.is_missing]
    lines += ["## Missing", ""]
    lines += [f"- {item.number} {item.name}: {item.where or 'not known'}" for item in missing]
    return "\n".join(lines if missing else lines[:-2]).rstrip() + "\n"


# --------------------------------------------------------------------- what people have written


def _written(study: Study) -> Iterator[Item]:
    said = dict(study.experiment)
    for number, name, key in _WRITTEN:
        yield Item(number, name, said.get(key, ""), where=f"[experiment] {key}")


def _reagents(study: Study) -> Iterator[Row]:
    """Reagents as declared, each once; of a role without one, that it has none."""
    for reagent in study.reagents:
        yield {
            "reagent": reagent.name,
            **{key: getattr(reagent, key) or "missing" for key in _REAGENT},
            "lot": reagent.lot or "",
            "channel": reagent.channel or "",
        }


def _variables(study: Study, item: Item) -> Item:
    groups = Counter(sample.group for sample in study.samples if sample.use)
    parts = [f"{n} samples of group {group}" for group, n in sorted(groups.items())]
    for what in ("condition", "stimulus", "drug"):
        values = {getattr(sample, what) for sample in study.samples} - {None}
        parts += [f"{what}: {', '.join(sorted(values))}"] if values else []
    parts += [f"timepoints: {', '.join(w.name for w in study.windows)}"] if study.windows else []
    said = [item.text] if item.text else []
    return Item(item.number, item.name, ". ".join([*said, *parts]) + ".", where=item.where)


# ------------------------------------------------------------------------- what the files say


@dataclass(frozen=True, slots=True)
class _File:
    assay: str  # "beads" of a bead acquisition
    raw: RawEvents | None  # None where it cannot be read


def _files(study: Study) -> Iterator[_File]:
    rows: list[tuple[str, Sample | BeadRun]] = [(row.assay, row) for row in study.samples]
    rows += [("beads", run) for run in study.bead_runs]
    for assay, row in rows:
        try:
            yield _File(assay, read_keywords(row.path, dataset=row.dataset))
        except CytosepsisError:
            yield _File(assay, None)


def _by_cytometer(files: Iterable[_File]) -> dict[str, list[RawEvents]]:
    found: dict[str, list[RawEvents]] = defaultdict(list)
    for file in files:
        if file.raw is not None:
            found[file.raw.cytometer or "not named"].append(file.raw)
    return dict(sorted(found.items()))


def _date(files: Sequence[_File], item: Item) -> Item:
    if item.text:
        return item
    dates = sorted(f.raw.acquired_at.date() for f in files if f.raw and f.raw.acquired_at)
    text = f"Acquired from {dates[0]} to {dates[-1]}." if dates else ""
    return Item(item.number, item.name, text, where=item.where)


def _models(files: Sequence[_File]) -> Item:
    rows = [{"cytometer": name, "files": str(len(of))} for name, of in _by_cytometer(files).items()]
    return Item("3.2", "Instrument model", rows=tuple(rows), where=_NO_FILES)


_OF_DETECTOR: dict[str, tuple[str, Callable[[RawEvents, int], str]]] = {
    "F": ("filter", lambda raw, n: raw.keywords.get(f"$P{n}F", "").strip()),
    "L": ("excitation nm", lambda raw, n: raw.keywords.get(f"$P{n}L", "").strip()),
    "T": ("type", lambda raw, n: raw.keywords.get(f"$P{n}T", "").strip()),
    "V": ("voltage", lambda raw, n: _number(raw.parameters[n - 1].voltage)),
    "G": ("gain", lambda raw, n: _number(raw.parameters[n - 1].gain)),
    "E": ("amplifier", lambda raw, n: "log" if raw.parameters[n - 1].decades > 0 else "linear"),
    "R": ("range", lambda raw, n: _number(raw.parameters[n - 1].range)),
}


def _detectors(
    study: Study, files: Sequence[_File], number: str, key: str, wanted: Sequence[str]
) -> Item:
    """Each detector of each cytometer, with every setting that was met."""
    name = key.replace("_", " ").capitalize()
    rows = []
    for cytometer, raws in _by_cytometer(files).items():
        detectors = dict.fromkeys(p.pnn for raw in raws for p in raw.parameters if not p.is_time)
        for detector in detectors:
            at = [(r, r.pnn.index(detector) + 1) for r in raws if detector in r.pnn]
            values = {
                title: _counted(say(raw, n) for raw, n in at)
                for title, say in (_OF_DETECTOR[letter] for letter in wanted)
            }
            # An amplifier and a range every file has: alone they are no description.
            if any(values[_OF_DETECTOR[letter][0]] for letter in wanted[:3]):
                stains = _counted(raw.pns[n - 1] for raw, n in at)
                rows.append(
                    {"cytometer": cytometer, "detector": detector, "stain": stains, **values}
                )
    text = dict(study.experiment).get(key, "")
    where = f"the files do not say it; [experiment] {key}"
    return Item(number, name, text, tuple(rows), where)


def _list_mode(study: Study, files: Sequence[_File]) -> Item:
    versions = _counted(file.raw.version if file.raw else "unreadable" for file in files)
    text = (
        f"{len(study.samples)} sample files and {len(study.bead_runs)} bead files; FCS {versions}."
    )
    return Item("4.1", "List-mode data files", text)


def _compensation(study: Study, files: Sequence[_File]) -> Iterator[Row]:
    for assay in study.assays:
        if assay.compensation == "none":
            yield {"assay": assay.name, "matrix": "none", "detectors": "", "source": "study.toml"}
        elif assay.compensation != "file":
            matrix = read_spillover_csv(assay.compensation)
            digest = sources_of(assay)["compensation"]
            name = f"{Path(assay.compensation).name} (SHA-256 {digest[:12]}…)"
            yield _matrix_row(assay, name, matrix, "a file of the study")
        else:
            yield from _own_matrices(assay, files)


def _own_matrices(assay: Assay, files: Sequence[_File]) -> Iterator[Row]:
    matrices: Counter[Spillover | None] = Counter()
    for file in files:
        if file.assay == assay.name and file.raw is not None:
            try:
                matrices[spillover_of(file.raw.keywords)] += 1
            except CytosepsisError:
                matrices[None] += 1
    for number, (matrix, n) in enumerate(matrices.most_common(), start=1):
        if matrix is None:
            none = {"assay": assay.name, "matrix": "none", "detectors": ""}
            yield {**none, "source": f"{n} files carry none that can be read"}
        else:
            name = f"matrix {number} of {len(matrices)}"
            yield _matrix_row(assay, name, matrix, f"$SPILLOVER of {n} files")


def _matrix_row(assay: Assay, name: str, matrix: Spillover, source: str) -> Row:
    detectors = ", ".join(matrix.detectors)
    return {"assay": assay.name, "matrix": name, "detectors": detectors, "source": source}


# ------------------------------------------------------------------------------- what is gated


def _plans(study: Study) -> Iterator[tuple[Assay, GatingPlan]]:
    """Each assay's plan; of a workspace that of the first sample that it has."""
    for assay in study.assays:
        names = [Path(s.path).name for s in study.samples if s.assay == assay.name]
        for name in names or [""]:
            try:
                yield assay, read_gating(assay.gating, sample=name)
            except CytosepsisError:
                continue
            break


def _scales(study: Study) -> Iterator[Row]:
    for assay, plan in _plans(study):
        axes = dict.fromkeys(axis for gate in plan for axis in axes_of(gate))
        for axis in axes:
            scale = "linear" if axis.transform is None else _scale(axis.transform)
            yield {"assay": assay.name, "channel": _axis_name(axis), "scale": scale}


def _gates(study: Study) -> Iterator[Row]:
    for assay, plan in _plans(study):
        for gate in plan:
            yield {
                "assay": assay.name,
                "population": path_of(gate),
                "type": type(gate).__name__.lower(),
                "channels": " × ".join(_axis_name(axis) for axis in axes_of(gate)),
                "place": _place(gate),
            }


def _scale(transform: object) -> str:
    """A transform with the parameters that are set."""
    fields = transform.__dataclass_fields__  # type: ignore[attr-defined]
    values = ((name, getattr(transform, name)) for name in fields)
    given = ", ".join(f"{name} {_short(value)}" for name, value in values if value is not None)
    return f"{type(transform).__name__.lower()} ({given})"


def _axis_name(axis: Axis) -> str:
    return "/".join(axis.channels)


def _place(gate: object) -> str:
    """What a gate is besides its name, parent and axes, as it is set."""
    left_out = {"name", "parent", "axes", "x", "y"}
    fields = [f for f in gate.__dataclass_fields__ if f not in left_out]  # type: ignore[attr-defined]
    values = ((name, getattr(gate, name)) for name in fields)
    return "; ".join(
        f"{name} {_short(value)}" for name, value in values if value not in (None, False)
    )


def _short(value: object) -> str:
    match value:
        case float():
            return f"{value:.6g}"
        case tuple():
            return f"({', '.join(_short(item) for item in value)})"
        case None:
            return "open"
        case str():
            return value
        case _:
            return repr(value)


# -------------------------------------------------------------------------- what was found


def _quality(results: Results | None, item: Item) -> Item:
    parts = [item.text] if item.text else []
    if results is not None:
        samples = results.table("samples")
        parts.append(_sentence("samples", samples["status"]))
        runs = results.table("calibrations")
        parts += [_sentence("bead runs", runs["status"])] if runs.height else []
        flags = Counter(code for cell in samples["flags"] if cell for code in cell.split(";"))
        if flags:
            counted = ", ".join(f"{code} {n}" for code, n in flags.most_common())
            parts.append(f"Flags of samples: {counted}.")
    return Item(item.number, item.name, " ".join(parts), where=item.where)


def _sentence(what: str, statuses: pl.Series) -> str:
    counted = ", ".join(f"{n} {status}" for status, n in sorted(Counter(statuses).items()))
    return f"Of {len(statuses)} {what}: {counted}."


def _statistics(results: Results | None) -> Item:
    rows: list[Row] = []
    if results is not None:
        of = pl.col("fraction_of_parent")
        table = (
            results.table("populations")
            .join(results.table("samples").select("sample_id", "assay"), on="sample_id")
            .group_by("assay", "path", maintain_order=True)
            .agg(
                pl.len().alias("samples"),
                pl.col("n_events").median().alias("median events"),
                of.quantile(0.25).alias("quarter"),
                of.median().alias("median fraction"),
                of.quantile(0.75).alias("three quarters"),
            )
        )
        rows = [
            {
                "assay": row["assay"],
                "population": row["path"],
                "samples": str(row["samples"]),
                "median events": _number(row["median events"]),
                "fraction of parent, quartiles": " ".join(
                    _number(row[name]) for name in ("quarter", "median fraction", "three quarters")
                ),
            }
            for row in table.iter_rows(named=True)
        ]
    return Item("4.4.2", "Gate statistics", rows=tuple(rows), where="give the results folder")


def _boundaries(study: Study, results: Results | None) -> Item:
    """Gates that were found or placed in single samples; those of the plan stand in 4.4.1."""
    name = "Gate boundaries"
    counts = pl.DataFrame()
    if results is not None and "gates" in results.tables:
        gates = results.table("gates")
        counts = gates.group_by("path", "gate_status", maintain_order=True).len()
    if counts.is_empty():
        driven = any(plan.data_driven for _, plan in _plans(study))
        fixed = "Those of 4.4.1 hold for every sample."
        return Item("4.4.3", name, "" if driven else fixed, where="give the results folder")
    rows = [
        {"population": path, "status": status, "samples": str(n)}
        for path, status, n in counts.iter_rows()
    ]
    text = "Where each of these gates lay in each sample stands in the table gates."
    return Item("4.4.3", name, text, tuple(rows))


# ---------------------------------------------------------------------------------- writing


def _counted(values: Iterable[str]) -> str:
    """Every value that was met, the most frequent first; with how often where they differ."""
    counts = Counter(value for value in values if value)
    if len(counts) <= 1:
        return next(iter(counts), "")
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{value} ({n}×)" for value, n in ordered)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def _rank(number: str) -> tuple[int, ...]:
    return tuple(map(int, number.split(".")))


def _table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    titles = list(rows[0])
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return lines + ["| " + " | ".join(_cell(row[title]) for title in titles) + " |" for row in rows]


def _cell(text: str) -> str:
    """Text that cannot end its cell, nor be taken for HTML where the page is shown."""
    for mark, harmless in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        text = text.replace(mark, harmless)
    return " ".join(text.split())
