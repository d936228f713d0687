"""The clinical sheet as a frame: numbers where numbers are meant, null where a cell says none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from cytosepsis.protocol import Study, instant

# Days on the scale of the timepoints that the contract names.
DEATH, DISCHARGE, FOLLOWUP = "death_day", "icu_discharge_day", "followup_days"


def clinical_frame(
    study: Study, *, numbers: Iterable[str] = (), texts: Iterable[str] = ()
) -> pl.DataFrame:
    """One row per patient of the clinical sheet, in its order.

    Columns: `patient_id`, `group`, `age`, `shock_onset` (an instant in UTC),
    `shock_onset_has_time`, then the further columns that are named. One that the sheet does not
    have is null throughout; a cell of `numbers` that holds no number is null.
    """
    rows = study.patients
    cells = [dict(patient.values) for patient in rows]
    return pl.DataFrame(
        {
            "patient_id": pl.Series([p.patient_id for p in rows], dtype=pl.String),
            "group": pl.Series([p.group for p in rows], dtype=pl.String),
            "age": pl.Series([p.age for p in rows], dtype=pl.Float64),
            "shock_onset": pl.Series(
                [_utc(p.shock_onset, study) for p in rows], dtype=pl.Datetime("us", "UTC")
            ),
            "shock_onset_has_time": pl.Series(
                [p.shock_onset_has_time for p in rows], dtype=pl.Boolean
            ),
            **{name: _numbers(name, cells) for name in numbers},
            **{name: pl.Series([c.get(name) for c in cells], dtype=pl.String) for name in texts},
        }
    )


def _utc(moment: datetime | None, study: Study) -> datetime | None:
    return None if moment is None else instant(moment, study.timezone)


def _numbers(name: str, cells: list[dict[str, str | None]]) -> pl.Series:
    text = pl.Series([row.get(name) for row in cells], dtype=pl.String)
    values = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return values.set(~values.is_finite(), None)


def patients_of(study: Study) -> tuple[str, ...]:
    """Ids of patients, not donors or controls, as samples, clinical data, measurements name them.

    The clinical sheet's group decides, else that of any sample.
    """
    declared = {p.patient_id: p.group for p in study.patients if p.group}
    sampled: dict[str, set[str]] = {}
    for sample in study.samples:
        sampled.setdefault(sample.patient_id, set()).add(sample.group)
    names = [sample.patient_id for sample in study.samples]
    names += [patient.patient_id for patient in study.patients]
    names += [measurement.patient_id for measurement in study.measurements]
    return tuple(
        name
        for name in dict.fromkeys(names)
        if declared.get(name, "patient") == "patient"
        and (name in declared or "patient" in sampled.get(name, {"patient"}))
    )
