"""Frames of one row per sample, population, intensity, bead run or bead level."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import polars as pl

from cytosepsis import flags
from cytosepsis.file_results import BeadRunResult
from cytosepsis.gating.finding import cut_of
from cytosepsis.gating.region import region_text
from cytosepsis.protocol import Study, instant
from cytosepsis.quantify import review_of
from cytosepsis.tables.readings import Reading
from cytosepsis.tables.schemas import (
    ABC,
    BEAD_LEVELS,
    CALIBRATIONS,
    GATES,
    INTENSITIES,
    POPULATIONS,
    SAMPLES,
    SHEET,
    Column,
    Table,
    frame,
)


def samples_frame(study: Study, readings: Sequence[Reading]) -> pl.DataFrame:
    """The `samples` table."""
    extra = _extra_columns(SAMPLES, [dict(r.sample.extra) for r in readings])
    values: dict[str, list[object]] = {
        column.name: [getattr(r.sample, column.name) for r in readings] for column in SHEET
    }
    values |= {
        "sample_id": [r.sample.sample_id for r in readings],
        "file": [r.sample.file for r in readings],
        "sha256": [r.outcome.sha256 for r in readings],
        "patient_id": [r.sample.patient_id for r in readings],
        "timepoint": [r.placement.timepoint for r in readings],
        "assay": [r.sample.assay for r in readings],
        "n_events": [r.result.n_events if r.result else None for r in readings],
        "status": [r.status for r in readings],
        "flags": [flags.join(r.flags) for r in readings],
        "error_code": [r.error[0] for r in readings],
        "error": [r.error[1] for r in readings],
        "error_step": [r.error[2] for r in readings],
        "day": [r.placement.day for r in readings],
        "review": [r.review for r in readings],
        "acquired_at": [_at(r.result.acquired_at if r.result else None, study) for r in readings],
        "quality": [
            r.result.quality.verdict if r.result and r.result.quality else None for r in readings
        ],
        "file_notes": [";".join(r.result.notes) if r.result else None for r in readings],
        "voltage": [r.result.voltage if r.result else None for r in readings],
        "gain": [r.result.gain if r.result else None for r in readings],
        "drawn_at": [_at(r.sample.drawn_at, study) for r in readings],
        "drawn_at_has_time": [
            r.sample.drawn_at_has_time if r.sample.drawn_at else None for r in readings
        ],
        "stained_at": [_at(r.sample.stained_at, study) for r in readings],
        "cytometer": [
            r.sample.cytometer or (r.result.cytometer if r.result else None) for r in readings
        ],
    }
    values |= _extra_values(extra, [dict(r.sample.extra) for r in readings])
    return frame((*SAMPLES.columns, *extra.values()), values, study.timezone)


def populations_frame(readings: Iterable[Reading]) -> pl.DataFrame:
    """The `populations` table; failed samples have no rows."""
    rows = [(r, p) for r in readings if r.result for p in r.result.populations]
    return frame(
        POPULATIONS.columns,
        {
            "sample_id": [r.sample.sample_id for r, _ in rows],
            "patient_id": [r.sample.patient_id for r, _ in rows],
            "timepoint": [r.placement.timepoint for r, _ in rows],
            "path": [p.path for _, p in rows],
            "population": [p.name for _, p in rows],
            "n_events": [p.n_events for _, p in rows],
            "fraction_of_parent": [p.fraction_of_parent for _, p in rows],
            "fraction_of_root": [p.fraction_of_root for _, p in rows],
            "gate_status": [p.gate_status for _, p in rows],
        },
    )


def gates_frame(readings: Iterable[Reading]) -> pl.DataFrame:
    """The `gates` table; failed samples have no rows."""
    rows = [(r, g) for r in readings if r.result for g in r.result.gates]
    return frame(
        GATES.columns,
        {
            "sample_id": [r.sample.sample_id for r, _ in rows],
            "path": [g.path for _, g in rows],
            "population": [population_name(r, g.path) for r, g in rows],
            "type": [g.kind for _, g in rows],
            "method": [g.method or None for _, g in rows],
            "gate_status": [g.status for _, g in rows],
            "standing": [g.standing for _, g in rows],
            "channels": [";".join(g.channels) for _, g in rows],
            "n_parent": [g.n_parent for _, g in rows],
            "cut": [cut_of(g) for _, g in rows],
            "region": [region_text(g.region) if g.region else None for _, g in rows],
            "numbers": [json.dumps(dict(g.numbers)) for _, g in rows],
            "batch_digest": [g.batch_digest for _, g in rows],
        },
    )


def intensities_frame(readings: Iterable[Reading]) -> pl.DataFrame:
    """The `intensities` table; failed samples have no rows."""
    rows = [(r, i) for r in readings if r.result for i in r.result.intensities]
    return frame(
        INTENSITIES.columns,
        {
            "sample_id": [r.sample.sample_id for r, _ in rows],
            "path": [i.path for _, i in rows],
            "population": [population_name(r, i.path) for r, i in rows],
            "channel": [i.channel for _, i in rows],
            "n_events": [i.n_events for _, i in rows],
            "median": [i.median for _, i in rows],
            "geometric_mean": [i.geometric_mean for _, i in rows],
            "mean": [i.mean for _, i in rows],
            "sd": [i.sd for _, i in rows],
            "robust_cv": [i.robust_cv for _, i in rows],
        },
    )


def abc_frame(readings: Iterable[Reading]) -> pl.DataFrame:
    """The `abc` table: quantified samples, those without a value with the reason."""
    rows = [
        (r, r.abc, r.result.quantified)
        for r in readings
        if r.abc and r.result and r.result.quantified
    ]
    return frame(
        ABC.columns,
        {
            "sample_id": [r.sample.sample_id for r, _, _ in rows],
            "patient_id": [r.sample.patient_id for r, _, _ in rows],
            "timepoint": [r.placement.timepoint for r, _, _ in rows],
            "condition": [r.sample.condition for r, _, _ in rows],
            "assay": [r.sample.assay for r, _, _ in rows],
            "population": [population_name(r, abc.population) for r, abc, _ in rows],
            "channel": [abc.channel for _, abc, _ in rows],
            "n_cells": [abc.n_cells for _, abc, _ in rows],
            "intensity": [abc.intensity for _, abc, _ in rows],
            "abc": [abc.abc for _, abc, _ in rows],
            "abc_low": [abc.abc_low for _, abc, _ in rows],
            "abc_high": [abc.abc_high for _, abc, _ in rows],
            "band": [abc.band for _, abc, _ in rows],
            "bead_run": [abc.bead_run for _, abc, _ in rows],
            "status": [r.status for r, _, _ in rows],
            "flags": [flags.join(r.flags) for r, _, _ in rows],
            "reason": [abc.reason for _, abc, _ in rows],
            "review": [r.review for r, _, _ in rows],
            "group": [r.sample.group for r, _, _ in rows],
            "day": [r.placement.day for r, _, _ in rows],
            "path": [abc.population for _, abc, _ in rows],
            "detector": [cells.detector for _, _, cells in rows],
            "statistic": [cells.statistic for _, _, cells in rows],
            "n_saturated": [cells.n_saturated for _, _, cells in rows],
            "abc_gate_sensitivity": [abc.gate_sensitivity for _, abc, _ in rows],
            "gate_purity": [_of_gate(r, abc.population, "purity") for r, abc, _ in rows],
            "fraction_low": [abc.fraction_low for _, abc, _ in rows],
            "fraction_positive": [abc.fraction_positive for _, abc, _ in rows],
            "gate_overlap": [_of_gate(r, abc.population, "overlap") for r, abc, _ in rows],
            "abc_all_events": [r.abc_all_events for r, _, _ in rows],
            "abc_good_events": [r.abc_good_events for r, _, _ in rows],
        },
    )


def calibrations_frame(study: Study, bead_results: Iterable[BeadRunResult]) -> pl.DataFrame:
    """The `calibrations` table."""
    runs = in_sheet_order(study, bead_results)
    lines = [run.calibration for run in runs]
    sheet = {row.bead_run: row for row in study.bead_runs}
    rows = [sheet.get(run.bead_run) for run in runs]
    extras = [dict(row.extra) if row else {} for row in rows]
    extra = _extra_columns(CALIBRATIONS, extras)
    values: dict[str, list[object]] = {
        "bead_run": [run.bead_run for run in runs],
        "channel": [run.channel for run in runs],
        "lot": [run.lot for run in runs],
        "cytometer": [run.cytometer for run in runs],
        "acquired_at": [_at(run.acquired_at, study) for run in runs],
        "slope": [line.slope if line else None for line in lines],
        "intercept": [line.intercept if line else None for line in lines],
        "r_squared": [line.r_squared if line else None for line in lines],
        "statistic": [run.statistic for run in runs],
        "status": [run.status for run in runs],
        "flags": [flags.join(run.flags) for run in runs],
        "residual_sd": [line.residual_sd if line else None for line in lines],
        "n_levels": [len(line.levels) if line else None for line in lines],
        "voltage": [line.voltage if line else None for line in lines],
        "gain": [line.gain if line else None for line in lines],
        "review": [review_of(run.bead_run, study) for run in runs],
        "error_code": [run.error_code for run in runs],
        "error": [run.error for run in runs],
        "file": [row.file if row else None for row in rows],
        "sha256": [run.sha256 for run in runs],
        "site": [row.site if row else None for row in rows],
        "assays": [";".join(run.assays) or None for run in runs],
    }
    values |= _extra_values(extra, extras)
    return frame((*CALIBRATIONS.columns, *extra.values()), values, study.timezone)


def bead_levels_frame(study: Study, bead_results: Iterable[BeadRunResult]) -> pl.DataFrame:
    """The `bead_levels` table; failed runs without a line have no rows."""
    rows = [
        (run, number, level)
        for run in in_sheet_order(study, bead_results)
        for number, level in enumerate(sorted(run.levels, key=lambda lv: lv.pe_molecules), 1)
    ]
    return frame(
        BEAD_LEVELS.columns,
        {
            "bead_run": [run.bead_run for run, _, _ in rows],
            "channel": [run.channel for run, _, _ in rows],
            "statistic": [run.statistic for run, _, _ in rows],
            "level": [number for _, number, _ in rows],
            "pe_molecules": [level.pe_molecules for _, _, level in rows],
            "intensity": [level.intensity for _, _, level in rows],
            "n_events": [level.n_events for _, _, level in rows],
            "cv": [level.cv for _, _, level in rows],
            "recovery": [level.recovery for _, _, level in rows],
        },
    )


def population_name(reading: Reading, path: str) -> str:
    """The name of a population of a full path; a name may itself hold a slash."""
    populations = reading.result.populations if reading.result else ()
    return next((p.name for p in populations if p.path == path), path.rpartition("/")[2])


def _of_gate(reading: Reading, path: str, name: str) -> float | None:
    """A number that was found with the gate of a population."""
    gates = reading.result.gates if reading.result else ()
    return next((dict(gate.numbers).get(name) for gate in gates if gate.path == path), None)


def _at(moment: datetime | None, study: Study) -> datetime | None:
    return instant(moment, study.timezone) if moment else None


def in_sheet_order(study: Study, bead_results: Iterable[BeadRunResult]) -> list[BeadRunResult]:
    """Bead results as the bead sheet lists their runs, then by channel, statistic and assays."""
    place = {row.bead_run: index for index, row in enumerate(study.bead_runs)}
    return sorted(
        bead_results,
        key=lambda run: (
            place.get(run.bead_run, len(place)),
            run.bead_run,
            run.channel,
            run.statistic,
            run.assays,
            run.status,
        ),
    )


def _extra_columns(table: Table, extras: Sequence[Mapping[str, str | None]]) -> dict[str, Column]:
    """The columns of a sheet's further columns, by the sheet's name, as they first appear."""
    taken = set(table.names)
    columns: dict[str, Column] = {}
    for name in dict.fromkeys(name for extra in extras for name in extra):
        free = name
        while free in taken:
            free = f"sheet_{free}"
        taken.add(free)
        columns[name] = Column(free, pl.String, "", "From the sheet, as text.")
    return columns


def _extra_values(
    columns: Mapping[str, Column], extras: Sequence[Mapping[str, str | None]]
) -> dict[str, list[object]]:
    return {column.name: [extra.get(name) for extra in extras] for name, column in columns.items()}
