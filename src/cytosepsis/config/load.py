"""`load_study`: a study folder becomes one frozen `Study`, or every reason why it cannot."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from cytosepsis.calibration import BeadLot
from cytosepsis.config.analysis_sections import Known, read_analyses
from cytosepsis.config.assays import ReadAssay, read_assays
from cytosepsis.config.cells import Reading
from cytosepsis.config.clock import Clock
from cytosepsis.config.cohort_sections import (
    cohort_rules_of,
    endotype_rules_of,
    trajectory_rules_of,
)
from cytosepsis.config.counting import check_blood_counts, lots_of
from cytosepsis.config.markers import markers_of
from cytosepsis.config.outcomes import outcomes_of
from cytosepsis.config.override_sheet import read_overrides
from cytosepsis.config.patient_sheets import (
    groups_of,
    read_exposures,
    read_measurements,
    read_patients,
)
from cytosepsis.config.places import Places, digest_of
from cytosepsis.config.problems import Problems, listed, nearest
from cytosepsis.config.sample_sheets import (
    check_bead_runs,
    read_bead_runs,
    read_samples,
)
from cytosepsis.config.study_file import FILE, StudyFile, key_path, read_study_file
from cytosepsis.config.twins import near_twins
from cytosepsis.errors import StudyError
from cytosepsis.protocol import (
    ChartSettings,
    Measurement,
    Patient,
    Reagent,
    Sample,
    Study,
    Window,
)
from cytosepsis.roots import VARIABLE, RootsError, machine_table

# Columns whose near-twins would silently split one thing into two.
_TWIN_COLUMNS = (
    "timepoint",
    "draw_id",
    "bead_run",
    "condition",
    "stimulus",
    "drug",
    "tube",
    "lysis",
    "site",
    "cytometer",
    "protocol_version",
)


@dataclass(frozen=True, slots=True)
class ReadStudy:
    """What could be read of a study, with its plans; `study` is None where too little could."""

    study: Study | None
    assays: dict[str, ReadAssay]


def load_study(path: str | os.PathLike[str]) -> Study:
    """Read a study from its folder or its study.toml; no FCS file is opened.

    Raises
    ------
    StudyError
        With every problem that refuses the study, each with its file and place.
    """
    problems = Problems()
    study = read_study(path, problems).study
    if problems.errors or study is None:
        raise StudyError(problems.errors)
    return replace(study, warnings=tuple(str(warning) for warning in problems.warnings))


def read_study(path: str | os.PathLike[str], problems: Problems) -> ReadStudy:
    """Read as much of a study as can be read, recording every problem."""
    toml = Path(path)
    if toml.is_dir():
        toml = toml / FILE
    file = read_study_file(toml, problems)
    if file is None:
        return ReadStudy(None, {})
    reading = _reading(toml, file, problems)
    windows = _windows(file, problems)
    clinical = read_patients(file, reading)
    patients = clinical.patients
    samples = read_samples(file, reading, groups_of(patients))
    assays = read_assays(file, reading, samples)
    markers, primary = markers_of(file, assays, problems)
    runs = read_bead_runs(file, reading)
    if runs is not None:
        check_bead_runs(samples, runs, file, reading)
    measurements = read_measurements(file, reading)
    check_blood_counts(
        [read.assay for read in assays.values()], [m.name for m in measurements], file, problems
    )
    exposures = read_exposures(file, reading)
    overrides = read_overrides(
        file,
        reading,
        plans={
            sample.sample_id: assays[sample.assay].plan if sample.assay in assays else None
            for sample in samples
        },
        bead_runs=None if runs is None else [run.bead_run for run in runs],
    )
    reading.check_zones()
    _check_timepoints(samples, measurements, windows, file, problems)
    _check_people(samples, patients, file, problems)
    _check_beads_wanted(assays, file, problems)
    used = [("exposures", [e.patient_id for e in exposures])]
    used += [("measurements", [m.patient_id for m in measurements])]
    _warn_twins(samples, [*used, ("clinical", [p.patient_id for p in patients])], problems)
    outcomes = outcomes_of(file, patients)
    known = Known(markers, outcomes, windows, patients, primary)
    analyses = read_analyses(file, known, problems)
    rules = cohort_rules_of(file, patients, problems)
    courses = trajectory_rules_of(file, markers, problems)
    groups = endotype_rules_of(file, markers, windows, problems)
    if file.study is None:
        return ReadStudy(None, assays)
    study = Study(
        folder=reading.places.folders[0],
        samples=samples,
        assays=tuple(read.assay for read in assays.values()),
        bead_runs=runs or (),
        bead_lots=tuple(BeadLot(name, **lot.given()) for name, lot in file.bead_lots.items()),
        counting_lots=lots_of(file, problems),
        windows=windows,
        patients=patients,
        later_episodes=clinical.later_episodes,
        measurements=measurements,
        exposures=exposures,
        overrides=overrides,
        markers=markers,
        primary_marker=primary,
        outcomes=outcomes,
        analyses=analyses,
        cohort=rules,
        trajectories=courses,
        endotypes=groups,
        control_charts=ChartSettings(**file.given("control_charts")),
        reagents=tuple(Reagent(name, **table.given()) for name, table in file.reagents.items()),
        experiment=tuple(file.given("experiment").items()),
        digest=_digest(toml, reading),
        roots=reading.places.roots(file.study.roots),
        **file.study.given(
            "name",
            "baseline",
            "bead_max_age_hours",
            "assay_cv",
            "timezone",
            "compare_across_lysis",
            "compare_across_sites",
        ),
    )
    return ReadStudy(study, assays)


def _reading(toml: Path, file: StudyFile, problems: Problems) -> Reading:
    """Set up the folders and the clock that the rest of the study is read with."""
    folder = toml.parent
    roots = _roots(folder, file.study.roots if file.study else (), problems)
    given = file.study.given("timezone", "date_format") if file.study else {}
    for key in tuple(given):
        try:
            Clock(**{key: given[key]})
        except ValueError as error:
            problems.error(FILE, key_path(("study", key)), f"{error}.")
            del given[key]
    return Reading(Places.of(folder, roots), Clock(**given), problems)


def _roots(folder: Path, names: Sequence[str], problems: Problems) -> list[Path]:
    """Find the folders of [study] roots, where this machine has them."""
    try:
        table = machine_table()
    except RootsError as error:
        problems.error(FILE, "study.roots", error.message)
        return []
    roots: list[Path] = []
    for index, name in enumerate(names):
        root = folder / table.get(name, name)
        if root.is_dir():
            roots.append(root)
            continue
        place = f" (here {table[name]!r}, as {VARIABLE} says)" if name in table else ""
        problems.error(
            FILE,
            key_path(("study", "roots", index)),
            f"found {name!r}{place}, which is no folder. Name a folder, relative to the study's.",
        )
    return roots


def _digest(toml: Path, reading: Reading) -> str:
    return digest_of([(FILE, toml), *reading.files])


def _windows(file: StudyFile, problems: Problems) -> tuple[Window, ...]:
    """Order the timepoints by day; overlaps and an unknown baseline are refused."""
    windows = sorted(
        (Window(name, first, last) for name, (first, last) in file.windows.items()),
        key=lambda window: (window.first_day, window.last_day),
    )
    for before, after in pairwise(windows):
        if after.first_day <= before.last_day:
            problems.error(
                FILE,
                key_path(("timepoints", after.name)),
                f"overlaps {before.name!r}: days {before.first_day:g} to {before.last_day:g} and "
                f"{after.first_day:g} to {after.last_day:g}, both inclusive.",
            )
    baseline = file.study.baseline if file.study else None
    known = file.names["timepoints"]
    if baseline is not None and baseline not in known:
        problems.error(
            FILE,
            "study.baseline",
            f"found {baseline!r}, which is none of [timepoints].{nearest(baseline, known)} "
            f"There: {listed(known)}.",
        )
    return tuple(windows)


def _check_timepoints(
    samples: tuple[Sample, ...],
    measurements: tuple[Measurement, ...],
    windows: tuple[Window, ...],
    file: StudyFile,
    problems: Problems,
) -> None:
    """Warn of labels that name no window, and of patients' samples with no time at all."""
    if file.study is None or not windows:
        return
    names = [window.name for window in windows]
    for sheet, labels in (
        (file.study.samples, [s.timepoint for s in samples]),
        (file.study.measurements or "", [m.timepoint for m in measurements]),
    ):
        for label in dict.fromkeys(label for label in labels if label is not None):
            if label not in names:
                problems.warning(
                    sheet,
                    "column timepoint",
                    f"found {label!r}, which is none of [timepoints].{nearest(label, names)} "
                    f"There: {listed(names)}.",
                )
    timeless = [
        s.sample_id
        for s in samples
        if s.group == "patient" and s.role == "sample" and not (s.timepoint or s.drawn_at)
    ]
    if timeless:
        problems.warning(
            file.study.samples,
            "",
            f"{len(timeless)} samples of patients have neither drawn_at nor timepoint, so no place "
            f"in time: {listed(timeless, 5)}.",
        )


def _check_people(
    samples: tuple[Sample, ...],
    patients: tuple[Patient, ...],
    file: StudyFile,
    problems: Problems,
) -> None:
    """Warn of patients of two groups, and of patients whose shock onset is not known."""
    if file.study is None:
        return
    groups: dict[str, set[str]] = {}
    for sample in samples:
        groups.setdefault(sample.patient_id, set()).add(sample.group)
    for patient_id, found in groups.items():
        if len(found) > 1:
            problems.warning(
                file.study.samples,
                "column group",
                f"patient {patient_id!r} is in several groups: {listed(sorted(found))}.",
                kind="several groups",
            )
    if file.study.clinical is None:
        return
    onset = {p.patient_id for p in patients if p.shock_onset is not None}
    without = sorted(p for p, found in groups.items() if "patient" in found and p not in onset)
    if without:
        problems.warning(
            file.study.clinical,
            "column shock_onset",
            f"is not known of {len(without)} patients with samples, so their days cannot be "
            f"counted: {listed(without, 5)}.",
        )


def _check_beads_wanted(assays: dict[str, ReadAssay], file: StudyFile, problems: Problems) -> None:
    quantified = [name for name, read in assays.items() if read.assay.abc is not None]
    if quantified and file.study is not None and file.study.beads is None:
        problems.warning(
            FILE,
            "study.beads",
            f"is not given: no AB/C can be computed for {listed(quantified)}.",
        )


def _warn_twins(
    samples: tuple[Sample, ...], others: Sequence[tuple[str, Iterable[str]]], problems: Problems
) -> None:
    """Warn of names that look the same; patients are compared over all sheets."""
    columns = {name: [getattr(s, name) for s in samples] for name in _TWIN_COLUMNS}
    columns["sample_id"] = [sample.sample_id for sample in samples]
    columns["patient_id"] = [sample.patient_id for sample in samples]
    sheet_of: dict[str, str] = {}
    for sheet, ids in others:
        names = list(ids)
        columns["patient_id"] += names
        sheet_of |= dict.fromkeys(names, sheet)
    sheet_of |= dict.fromkeys((sample.patient_id for sample in samples), "samples")
    for column, values in columns.items():
        for twins in near_twins(value for value in values if value):
            named = [
                f"{twin!r} ({sheet_of[twin]})" if column == "patient_id" else repr(twin)
                for twin in twins
            ]
            problems.warning(
                "sheets",
                f"column {column}",
                f"{listed(named)} look alike and are kept apart. Is it one {column}?",
                kind=f"column {column}",
            )
