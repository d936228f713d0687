"""Small records made by hand: a study, samples, results and bead runs with a line of slope 1."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from cytosepsis.calibration import BeadLevel, Calibration
from cytosepsis.file_results import (
    BeadRunResult,
    Intensity,
    Quantified,
    SampleFailure,
    SampleOutcome,
    SampleResult,
)
from cytosepsis.population_counts import PopulationCount
from cytosepsis.protocol import (
    AbcSettings,
    Assay,
    BeadRun,
    Marker,
    Override,
    Patient,
    Sample,
    Study,
    Window,
)
from cytosepsis.tables import all_tables
from cytosepsis.tables.describe import UNUSED_CODES

ONSET = datetime(2024, 3, 1, 0, 0, tzinfo=UTC)
ACQUIRED = datetime(2024, 3, 2, 15, 0, tzinfo=UTC)
MONOCYTES = "root/singlets/monocytes"
LEVELS = (500.0, 5_000.0, 25_000.0, 65_000.0)
WINDOWS = (Window("D1-2", 1, 2), Window("D3-4", 3, 4), Window("D6-8", 6, 8))


def hours(value: float) -> timedelta:
    return timedelta(hours=value)


def assay(name: str = "mhladr", **settings: Any) -> Assay:
    abc = AbcSettings("monocytes", "hladr", cutoffs=(5000, 8000, 15000), **settings)
    return Assay(name, "file", "plan.toml", (("hladr", ("PE-A",)),), abc)


def sample(sample_id: str = "s1", patient_id: str = "p1", **fields: Any) -> Sample:
    """Drawn 30 h after onset, stained an hour later, in EDTA: nothing to flag."""
    drawn = fields.pop("drawn_at", ONSET + hours(30))
    fields = {
        "assay": "mhladr",
        "drawn_at": drawn,
        "stained_at": drawn + hours(1) if drawn else None,
        "tube": "EDTA",
        **fields,
    }
    return Sample(sample_id, f"{sample_id}.fcs", f"/fcs/{sample_id}.fcs", patient_id, **fields)


def cells(**fields: Any) -> Quantified:
    return replace(
        Quantified(MONOCYTES, "hladr", "PE-A", "median", 4000, 8000.0, 7800.0, 8200.0, 0), **fields
    )


def result(sample_id: str = "s1", abc: float | None = None, **fields: Any) -> SampleResult:
    """A result whose line reads `abc`: intensity = PE molecules with slope 1 and intercept 0."""
    n = fields.pop("n_cells", 4000)
    quantified = cells(n_cells=n)
    if abc is not None:
        quantified = cells(n_cells=n, intensity=abc, low=0.98 * abc, high=1.02 * abc)
    populations = (
        PopulationCount("root", "root", 20000, 1.0, 1.0),
        PopulationCount("root/singlets", "singlets", 16000, 0.8, 0.8),
        PopulationCount(MONOCYTES, "monocytes", n, n / 16000, n / 20000),
    )
    intensities = (Intensity(MONOCYTES, "cd14", n, 900.0, 880.0, 950.0, 200.0, 0.2),)
    fields = {
        "assay": "mhladr",
        "sha256": "0" * 64,
        "n_events": 20000,
        "populations": populations,
        "intensities": intensities,
        "quantified": quantified,
        "flags": (),
        "cytometer": "Canto",
        "acquired_at": ACQUIRED,
        "voltage": 450.0,
        "gain": 1.0,
        **fields,
    }
    return SampleResult(sample_id=sample_id, **fields)


def failure(sample_id: str = "s1", **fields: Any) -> SampleFailure:
    fields = {"code": "fcs_unreadable", "message": "no FCS file", "step": "read", **fields}
    return SampleFailure(sample_id=sample_id, assay="mhladr", sha256=None, **fields)


def line(**fields: Any) -> Calibration:
    levels = tuple(BeadLevel(pe, pe, 1000, 0.05, 1.0) for pe in LEVELS)
    return replace(
        Calibration("96597", "PE-A", "median", 1.0, 0.0, 1.0, 0.001, levels, "ok"),
        voltage=450.0,
        gain=1.0,
        **fields,
    )


def beads(bead_run: str = "B1", before_hours: float | None = 2.0, **fields: Any) -> BeadRunResult:
    """A bead run acquired so many hours before the sample; None: nobody knows when."""
    acquired = None if before_hours is None else ACQUIRED - hours(before_hours)
    fields = {
        "channel": "PE-A",
        "statistic": "median",
        "lot": "96597",
        "sha256": None,
        "calibration": line(),
        "cytometer": "Canto",
        "acquired_at": acquired,
        **fields,
    }
    return BeadRunResult(bead_run=bead_run, **fields)


def failed_beads(bead_run: str = "B1", before_hours: float = 2.0) -> BeadRunResult:
    return beads(
        bead_run,
        before_hours,
        calibration=None,
        status="failed",
        error_code="calibration",
        error="3 of 4 peaks found",
    )


def study(*samples: Sample, **fields: Any) -> Study:
    """A study of these samples; every patient's shock begins at `ONSET`."""
    patients = dict.fromkeys(s.patient_id for s in samples if s.group == "patient")
    fields = {
        "assays": (assay(),),
        "windows": WINDOWS,
        "baseline": "D1-2",
        "patients": tuple(Patient(patient_id, ONSET) for patient_id in patients),
        "bead_runs": (BeadRun("B1", "b1.fcs", "/fcs/b1.fcs", "96597"),),
        **fields,
    }
    return Study("small", Path(), samples=samples, **fields)


def override(target: str, action: Any, **parameters: str) -> Override:
    return Override(target, action, "dr", "2024-03-05", "seen", tuple(parameters.items()))


def at_day(sample_id: str, day: float, patient_id: str = "p1", **fields: Any) -> Sample:
    """A sample drawn so many days after onset: 0.5 is noon of day 1."""
    return sample(sample_id, patient_id, drawn_at=ONSET + timedelta(days=day), **fields)


def run(of_study: Study, *outcomes: SampleOutcome) -> dict[str, pl.DataFrame]:
    """All tables of a study with one good bead run."""
    return all_tables(of_study, outcomes, [beads()])


def rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    return list(table.iter_rows(named=True))


def left(tables: dict[str, pl.DataFrame]) -> dict[str, str]:
    """Why samples do not stand, by sample."""
    table = tables["unused"]
    assert set(table["code"]) <= UNUSED_CODES.keys()
    return dict(zip(table["sample_id"], table["code"], strict=True))


def markers(*others: Marker) -> tuple[Marker, ...]:
    """The AB/C marker and others."""
    return (Marker("mhladr", "abc", ("mhladr",), "monocytes", "hladr"), *others)
