"""A whole study copied without what identifies people: files and all sheets together.

Sheets are written from what was understood of them, so nothing that was not understood gets into
the copy. All moments are shifted by the same secret number of days and written in UTC: every
interval, also one across a change of summer time, stays what it was.
"""

from __future__ import annotations

import csv
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cytosepsis import answers
from cytosepsis.anonymize.fcs_copy import (
    BUILT_IN,
    Replaced,
    Rules,
    copy_fcs,
    mapping_path,
    new_folder,
    random_shift,
    write_mapping,
)
from cytosepsis.anonymize.plan_copy import copy_matrix, copy_plan
from cytosepsis.anonymize.toml_text import toml_text
from cytosepsis.cohort_rules import RULES
from cytosepsis.errors import CytosepsisError
from cytosepsis.fcs import read_fcs
from cytosepsis.protocol import BeadRun, Exposure, Sample, Study, instant

# Columns of a sample that say something of the method and nothing of a person.
_CARRIED = (
    *("assay", "group", "timepoint", "role", "condition", "stimulus", "drug", "dose", "dose_unit"),
    *("drug_timing", "incubation_hours", "plate", "replicate", "tube", "lysis", "reagent_lot"),
    *("protocol_version", "counting_lot", "blood_volume_ul", "bead_volume_ul"),
)
_WORD = re.compile(r"[^\s,;\"'\[\]{}()<>=]+")  # of a sheet or plan
_LEAST_SEARCHED = 6  # characters; shorter ids may be words of the method by chance
_CLINICAL = ("followup_days",)

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Names:
    """Pseudonyms of one kind, in the order they are asked for."""

    what: str
    prefix: str
    known: dict[str, str] = field(default_factory=dict)

    def of(self, original: str | None) -> str | None:
        if original is None:
            return None
        return self.known.setdefault(original, f"{self.prefix}{len(self.known) + 1:04d}")


class _Copy:
    """One study on its way to its copy."""

    def __init__(self, study: Study, folder: Path, days: int, rules: Rules) -> None:
        self.study, self.folder, self.days, self.rules = study, folder, days, rules
        self.patients = _Names("patient_id", "P")
        self.samples = _Names("sample_id", "S")
        self.runs = _Names("bead_run", "B")
        self.cytometers = _Names("cytometer", "C")
        self.sites = _Names("site", "SITE")
        self.draws = _Names("draw_id", "D")
        self.reviewers = _Names("reviewer", "R")
        self.episodes = _Names("episode_id", "E")
        self.files: list[tuple[str, str, str]] = []
        self.left_out: list[str] = []

    def moment(self, at: datetime | None, *, has_time: bool = True) -> str | None:
        """Shift a moment; a date without a time stays one."""
        if at is None:
            return None
        if not has_time:
            return (at.date() + timedelta(days=self.days)).isoformat()
        return self.shifted(at).isoformat(sep="T")

    def day(self, iso: str) -> str:
        """Shift a day or moment that is written in ISO form."""
        if not iso:
            return iso
        at = datetime.fromisoformat(iso)
        return str(self.moment(at, has_time="T" in iso))

    def shifted(self, at: datetime) -> datetime:
        """Shift a moment and give it in UTC, without its zone."""
        return (instant(at, self.study.timezone) + timedelta(days=self.days)).replace(tzinfo=None)

    def file(self, row: Sample | BeadRun, name: str | None) -> str:
        """Copy one file; one that cannot be copied stays missing, as its row will say.

        Of several data sets in one file the row's own becomes a file of its own.
        """
        place, cytometer = f"fcs/{name}.fcs", row.cytometer
        try:
            raw = read_fcs(row.path, dataset=row.dataset)
            at = None if raw.acquired_at is None else self.shifted(raw.acquired_at)
            pseudonym = self.cytometers.of(cytometer or raw.cytometer)
            copy_fcs(raw, self.folder / place, self.rules, Replaced(pseudonym, at))
        except CytosepsisError as error:
            if error.code == "anonymize":
                raise
            self.left_out.append(f"{name}: {error.code}")
        which = "" if row.dataset is None else f" (data set {row.dataset})"
        self.files.append(("file", row.file + which, place))
        return place

    def sample_rows(self, chosen: Mapping[str, str]) -> list[Row]:
        rows: list[Row] = []
        for sample in self.study.samples:
            name = self.samples.of(sample.sample_id)
            run = sample.bead_run or chosen.get(sample.sample_id)
            rows.append(
                {
                    "file": self.file(sample, name),
                    "sample_id": name,
                    "patient_id": self.patients.of(sample.patient_id),
                    "drawn_at": self.moment(sample.drawn_at, has_time=sample.drawn_at_has_time),
                    "stained_at": self.moment(sample.stained_at),
                    "draw_id": self.draws.of(sample.draw_id),
                    "bead_run": self.runs.of(run),
                    "use": "yes" if sample.use else "no",
                    "control_for": _either(sample.control_for, self.samples, self.runs),
                    "site": self.sites.of(sample.site),
                    "cytometer": self.cytometers.of(sample.cytometer),
                    **{column: getattr(sample, column) for column in _CARRIED},
                }
            )
        return rows

    def bead_rows(self) -> list[Row]:
        return [
            {
                "bead_run": (name := self.runs.of(run.bead_run)),
                "file": self.file(run, name),
                "lot": run.lot,
                "channel": run.channel,
                "cytometer": self.cytometers.of(run.cytometer),
                "site": self.sites.of(run.site),
            }
            for run in self.study.bead_runs
        ]

    def patient_rows(self) -> list[Row]:
        outcomes = self.study.outcomes
        kept = {*_CLINICAL, *(c for o in outcomes for c in (o.event_day, *o.competing_day))}
        kept |= {o.observed_until for o in outcomes if o.observed_until is not None}
        return [
            {
                "patient_id": self.patients.of(patient.patient_id),
                "shock_onset": self.moment(
                    patient.shock_onset, has_time=patient.shock_onset_has_time
                ),
                "age": patient.age,
                "group": patient.group,
                "icu_admission": self.moment(patient.icu_admission, has_time=False),
                "extracorporeal_date": self.moment(patient.extracorporeal_date, has_time=False),
                **{
                    name: value
                    for name, value in patient.values
                    if name in kept or name.endswith("_day")
                },
                **self.criteria(dict(patient.values)),
            }
            for patient in self.study.patients
        ]

    def criteria(self, cells: Mapping[str, str | None]) -> Row:
        """What the cohort's rules read: answers, numbers and states, but no words of a person."""
        read = [*(c for rule in RULES for c in rule.columns)]
        read += [rule.column for rule in self.study.cohort.own]
        kept: Row = {name: cells[name] for name in read if _is_coded(cells.get(name))}
        site = cells.get("infection_site")
        if site is not None and site.casefold() not in {*answers.NO, "none", "unknown"}:
            kept["infection_site"] = "yes"
        if cells.get("episode_id"):
            kept["episode_id"] = self.episodes.of(cells["episode_id"])
        # Columns that a rule of the study names must be there.
        return dict.fromkeys(rule.column for rule in self.study.cohort.own) | kept

    def measurement_rows(self) -> list[Row]:
        return [
            {
                "patient_id": self.patients.of(m.patient_id),
                "drawn_at": self.moment(m.drawn_at, has_time=m.drawn_at_has_time),
                "timepoint": m.timepoint,
                "name": m.name,
                "value": m.value,
                "unit": m.unit,
            }
            for m in self.study.measurements
        ]

    def exposure_rows(self) -> list[Row]:
        return [
            {
                "patient_id": self.patients.of(e.patient_id),
                "drug": e.drug,
                "dose": e.dose,
                "unit": e.unit,
                # By calendar day, as the rules count them.
                "start": self.moment(e.start, has_time=False),
                "stop": self.moment(e.stop, has_time=False),
                "route": _route(e, self.study),
            }
            for e in self.study.exposures
        ]

    def override_rows(self) -> list[Row]:
        """Decisions with what they decide; who is a pseudonym, and why, being free text, is not."""
        return [
            {
                "target": _either(o.target, self.samples, self.runs),
                "action": o.action,
                "who": self.reviewers.of(o.who),
                "when": self.day(o.when),
                "why": "(removed)",
                "bead_run": self.runs.of(dict(o.parameters).get("bead_run")),
                **{k: v for k, v in o.parameters if k != "bead_run" and _is_number(v)},
            }
            for o in self.study.overrides
        ]

    def mapping(self) -> list[tuple[str, str, str]]:
        things = (self.samples, self.runs, self.cytometers, self.sites, self.draws)
        kinds = (self.patients, self.reviewers, *things)
        named = [(k.what, old, new) for k in kinds for old, new in k.known.items()]
        return [*named, *self.files, ("shift_days", str(self.days), "")]


def anonymize_study(
    study: Study,
    out: str | os.PathLike[str],
    *,
    bead_runs: Mapping[str, str] | None = None,
    mapping: str | os.PathLike[str] | None = None,
    rules: Rules = BUILT_IN,
    shift_days: int | None = None,
) -> tuple[str, ...]:
    """Copy a study: files, study.toml, plans, matrices and sheets; return what was left out.

    Parameters
    ----------
    study
        As `load_study` gives it.
    out
        A folder that is new or empty.
    bead_runs
        sample_id → bead run that was used, from the results: the copy then names each.
    mapping, rules, shift_days
        As for `anonymize_files`.

    Raises
    ------
    CytosepsisError
        Where a copy cannot be shown to be clean, or a plan's copy to be the same plan.
    """
    folder, key = new_folder(out), mapping_path(out, mapping)
    (folder / "fcs").mkdir()
    (folder / "assays").mkdir()
    copy = _Copy(study, folder, random_shift() if shift_days is None else shift_days, rules)
    sheets = {
        "samples": copy.sample_rows(bead_runs or {}),
        "beads": copy.bead_rows(),
        "clinical": copy.patient_rows(),
        "measurements": copy.measurement_rows(),
        "exposures": copy.exposure_rows(),
        "overrides": copy.override_rows(),
    }
    for name, rows in sheets.items():
        if rows:
            # study.toml may name a clinical column in which nothing happened to stand.
            _write_sheet(folder / f"{name}.csv", rows, keep_empty=name == "clinical")
    written = [name for name, rows in sheets.items() if rows]
    files_of: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for sample, row in zip(study.samples, sheets["samples"], strict=True):
        files_of[sample.assay].append((sample.path, str(row["file"])))
    document = _document(study, folder, written, files_of)
    (folder / "study.toml").write_text(toml_text(document), encoding="utf-8")
    _check_names(study, folder)
    write_mapping(key, copy.mapping())
    return tuple(copy.left_out)


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _check_names(study: Study, folder: Path) -> None:
    """Refuse a copy in whose sheets or plans an id of the original still stands as a word."""
    ids = {s.patient_id for s in study.samples} | {p.patient_id for p in study.patients}
    ids |= {s.sample_id for s in study.samples} | {run.bead_run for run in study.bead_runs}
    searched = {name for name in ids if len(name) >= _LEAST_SEARCHED and not name.isdecimal()}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.suffix == ".fcs":
            continue
        found = searched & set(_WORD.findall(path.read_text(encoding="utf-8")))
        if found:
            raise CytosepsisError(
                f"{path.relative_to(folder)}: still holds an id of the original, {min(found)!r}. "
                "Rename what bears it (a population, a marker, a lot) in the original.",
                code="anonymize",
            )


def _is_coded(cell: str | None) -> bool:
    """Whether a cell of the clinical sheet is an answer, a number or a known state."""
    if cell is None:
        return False
    states = {"none", "unknown", "solid", "blood", "active", "treated", "remission"}
    return (
        answers.yes_or_no(cell) is not None
        or answers.number(cell) is not None
        or cell.casefold() in states
    )


def _route(exposure: Exposure, study: Study) -> str | None:
    """A route that decides whether a course counts; other words are left out."""
    route = (dict(exposure.extra).get("route") or "").strip().casefold()
    return route if route in study.cohort.local_routes else None


def _either(name: str | None, samples: _Names, runs: _Names) -> str | None:
    return runs.of(name) if name in runs.known else samples.of(name)


def _document(
    study: Study,
    folder: Path,
    sheets: Sequence[str],
    files_of: Mapping[str, Sequence[tuple[str, str]]],
) -> dict[str, Any]:
    """study.toml as it is, with other sheets and places; its comments are not carried over."""
    document: dict[str, Any] = tomllib.loads(
        (Path(study.folder) / "study.toml").read_text(encoding="utf-8-sig")
    )
    document.pop("experiment", None)  # names people and places
    table = document["study"]
    for name in ("samples", "beads", "clinical", "measurements", "exposures", "overrides"):
        table.pop(name, None)
    for name in ("roots", "date_format"):
        table.pop(name, None)
    table |= {name: f"{name}.csv" for name in sheets}
    table |= {"name": "anonymized", "timezone": "UTC"}
    for number, assay in enumerate(study.assays, start=1):
        settings = document["assays"][assay.name]
        files = [(Path(path).name, Path(copy).name) for path, copy in files_of.get(assay.name, ())]
        plan = copy_plan(assay.gating, folder / "assays" / f"plan{number}", files)
        settings["gating"] = f"assays/{plan.name}"
        if assay.compensation not in {"file", "none"}:
            matrix = copy_matrix(assay.compensation, folder / "assays" / f"matrix{number}")
            settings["compensation"] = f"assays/{matrix.name}"
    return document


def _write_sheet(path: Path, rows: Sequence[Row], *, keep_empty: bool) -> None:
    columns = [c for c in rows[0] if keep_empty or any(row.get(c) is not None for row in rows)]
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
