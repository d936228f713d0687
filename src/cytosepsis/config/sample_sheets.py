"""The sheets of acquisitions: samples and beads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from pathlib import PurePosixPath
from typing import Any, cast

from cytosepsis.config.cells import Cells, Reading
from cytosepsis.config.clock import precedes
from cytosepsis.config.problems import listed, nearest
from cytosepsis.config.study_file import StudyFile
from cytosepsis.protocol import BeadRun, Group, Sample

GROUPS = ("patient", "healthy", "control", "eqa")
ROLES = ("sample", "isotype", "fmo", "unstained", "single_stain")

_SAMPLE_TEXTS = (
    "timepoint",
    "draw_id",
    "use_reason",
    "control_for",
    "bead_run",
    "condition",
    "stimulus",
    "drug",
    "dose_unit",
    "drug_timing",
    "plate",
    "replicate",
    "tube",
    "lysis",
    "site",
    "cytometer",
    "operator",
    "protocol_version",
    "reagent_lot",
    "counting_lot",
)
SAMPLE_COLUMNS = (
    "file",
    "sample_id",
    "patient_id",
    "assay",
    "dataset",
    "group",
    "drawn_at",
    "use",
    "role",
    "dose",
    "incubation_hours",
    "stained_at",
    "blood_volume_ul",
    "bead_volume_ul",
    *_SAMPLE_TEXTS,
)
_BEAD_TEXTS = ("channel", "cytometer", "site")
BEAD_COLUMNS = ("bead_run", "file", "lot", "dataset", *_BEAD_TEXTS)


def read_samples(
    file: StudyFile, reading: Reading, groups: Mapping[str, Group]
) -> tuple[Sample, ...]:
    """Every row of the sample sheet; of a faulty row what could be read.

    `groups` are the clinical sheet's, by patient: they stand where a row gives none, and must
    agree where it gives one.
    """
    if file.study is None:
        return ()
    needed = ["file", "patient_id", *(["assay"] if len(file.names["assays"]) > 1 else [])]
    sheet = reading.sheet("samples", file.study.samples, known=SAMPLE_COLUMNS, needed=needed)
    if sheet is None:
        return ()
    if not sheet.rows and file.study.measurements is None:
        reading.problems.error(sheet.name, "", "has a header and no rows: nothing to compute.")
    rows = [(cells, _sample(cells, file, groups)) for cells in reading.rows(sheet)]
    _unique(rows, "sample_id", lambda sample: sample.sample_id)
    _warn_same_file(rows)
    served = {sample.sample_id for _, sample in rows} | {s.bead_run for _, s in rows}
    for cells, sample in rows:
        if sample.control_for is not None and sample.control_for not in served:
            cells.warning(
                "control_for",
                f"found {sample.control_for!r}, which is no sample of the sheet."
                f"{nearest(sample.control_for, map(str, served))}",
            )
    return tuple(sample for _, sample in rows)


def read_bead_runs(file: StudyFile, reading: Reading) -> tuple[BeadRun, ...] | None:
    """Every row of the bead sheet; None where a sheet is named and cannot be read."""
    name = file.study.beads if file.study else None
    if name is None:
        return ()
    needed = ("bead_run", "file", "lot")
    sheet = reading.sheet("beads", name, known=BEAD_COLUMNS, needed=needed)
    if sheet is None:
        return None
    rows = []
    for cells in reading.rows(sheet):
        run = BeadRun(
            bead_run=cells.needed("bead_run"),
            file=cells.needed("file"),
            path=cells.path("file"),
            lot=cells.needed("lot"),
            dataset=cells.whole("dataset"),
            extra=cells.carried(BEAD_COLUMNS),
            **{column: cells.text(column) for column in _BEAD_TEXTS},
        )
        _known(cells, "lot", run.lot, file.names["bead_lots"], "[bead_lots]")
        rows.append((cells, run))
    _unique(rows, "bead_run", lambda run: run.bead_run)
    return tuple(run for _, run in rows)


def check_bead_runs(
    samples: tuple[Sample, ...], runs: tuple[BeadRun, ...], file: StudyFile, reading: Reading
) -> None:
    """Refuse names of bead runs that the bead sheet does not have."""
    known = [run.bead_run for run in runs]
    sheet = file.study.samples if file.study else ""
    for named, count in Counter(s.bead_run for s in samples if s.bead_run is not None).items():
        if named not in known:
            reading.problems.error(
                sheet,
                "column bead_run",
                f"found {named!r} ({_times(count)}), which is no run of the bead sheet."
                f"{nearest(named, known)} Runs: {listed(known)}.",
            )


def _sample(cells: Cells, file: StudyFile, groups: Mapping[str, Group]) -> Sample:
    written, patient_id = cells.needed("file"), cells.needed("patient_id")
    drawn_at, has_time = cells.moment("drawn_at")
    stained_at, stained_has_time = cells.moment("stained_at")
    given: dict[str, Any] = {
        "group": _group(cells, patient_id, groups),
        "role": cells.choice("role", ROLES),
        "use": cells.yes("use"),
    }
    texts: dict[str, Any] = {column: cells.text(column) for column in _SAMPLE_TEXTS}
    sample = Sample(
        sample_id=_sample_id(cells, written),
        file=written,
        path=cells.path("file"),
        patient_id=patient_id,
        assay=_assay_of(cells, file.names["assays"]),
        drawn_at=drawn_at,
        drawn_at_has_time=has_time,
        stained_at=stained_at,
        dataset=cells.whole("dataset"),
        dose=cells.number("dose", at_least=0),
        incubation_hours=cells.number("incubation_hours", at_least=0),
        blood_volume_ul=cells.number("blood_volume_ul", above=0),
        bead_volume_ul=cells.number("bead_volume_ul", above=0),
        extra=cells.carried(SAMPLE_COLUMNS),
        **texts,
        **{name: value for name, value in given.items() if value is not None},
    )
    if sample.counting_lot is not None:
        _known(cells, "counting_lot", sample.counting_lot, file.names["counting_lots"],
               "[counting_lots]")  # fmt: skip
    if has_time and stained_has_time and precedes(stained_at, drawn_at):
        cells.warning("stained_at", "lies before drawn_at. Check both.")
    return sample


def _group(cells: Cells, patient_id: str, groups: Mapping[str, Group]) -> Group | None:
    own = cast("Group | None", cells.choice("group", GROUPS))
    clinical = groups.get(patient_id)
    if own is not None and clinical is not None and own != clinical:
        cells.error(
            "group",
            f"found {own!r}, but the clinical sheet says {clinical!r} of patient {patient_id!r}. "
            "Correct one of them.",
        )
    return own or clinical


def _sample_id(cells: Cells, written: str) -> str:
    """Take the id of the sheet, else the file without its ending."""
    if cells.row.cells.get("sample_id") is not None:
        return cells.needed("sample_id")
    path = PurePosixPath(written.replace("\\", "/"))
    return str(path.with_suffix("")) if path.name else written


def _assay_of(cells: Cells, known: tuple[str, ...]) -> str:
    if len(known) == 1 and cells.row.cells.get("assay") is None:
        return known[0]
    name = cells.needed("assay")
    if name and known:
        _known(cells, "assay", name, known, "[assays]")
    return name


def _known(cells: Cells, column: str, name: str, known: tuple[str, ...], section: str) -> None:
    if name and name not in known:
        cells.error(
            column,
            f"found {name!r}, which is not in {section} of study.toml.{nearest(name, known)} "
            f"There: {listed(known)}.",
        )


def _unique(rows: list[tuple[Cells, Any]], column: str, key: Callable[[Any], Hashable]) -> None:
    """Report every id that stands in several rows, once, with all its rows."""
    places: dict[Hashable, list[Cells]] = {}
    for cells, record in rows:
        if key(record):
            places.setdefault(key(record), []).append(cells)
    for name, found in places.items():
        if len(found) > 1:
            found[0].reading.problems.error(
                found[0].sheet.name,
                f"rows {listed(cells.row.number for cells in found)}",
                f"have the same {column} {name!r}; every row needs its own.",
            )


def _warn_same_file(rows: list[tuple[Cells, Sample]]) -> None:
    """Warn of a file that stands in several rows: legitimate for two assays, else one stain twice.

    Each row is still computed under its own id: two rows of one stain would be averaged as two.
    """
    places: dict[tuple[str, str], list[Cells]] = {}
    for cells, sample in rows:
        if sample.path:
            places.setdefault((sample.path, sample.assay), []).append(cells)
    for (_, assay), found in places.items():
        if len(found) > 1:
            found[0].reading.problems.warning(
                found[0].sheet.name,
                f"rows {listed(cells.row.number for cells in found)}",
                f"name the same file {found[0].row.cells['file']!r} for assay {assay!r}: one "
                "acquisition counts as several. Remove all rows but one, or set use = no.",
            )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
