"""Which blood count belongs to a draw: for counts on two platforms."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from cytosepsis.counting import PER_UL
from cytosepsis.protocol import CountingSettings, Measurement, Sample, Study, hours_between
from cytosepsis.quantify import BloodCount
from cytosepsis.tables.timepoints import Moment, Placement, place
from cytosepsis.units import conversion_factor

EX_VIVO = ("condition", "stimulus", "drug")


class BloodCounts:
    """A study's measurements, by patient and name, for looking up those nearest a draw."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._rows: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
        self._patients = {patient.patient_id: patient for patient in study.patients}
        for row in study.measurements:
            given = dict(row.extra)
            if not any(given.get(name) for name in EX_VIVO):
                self._rows[row.patient_id, row.name].append(row)

    def near(self, sample: Sample, placement: Placement, settings: CountingSettings) -> BloodCount:
        """The count (times its share, where the assay names one) that belongs to a sample's draw.

        Where both hours are known, the nearest within `blood_count_hours`; where one is a date, of
        the same date; without dates, of the same timepoint. One of a later study day than the
        draw is never taken: the count must be known on the day of the draw.
        """
        assert settings.blood_count is not None
        count, why = self._value(sample, placement, settings.blood_count, PER_UL, settings)
        if count is None or settings.blood_count_share is None:
            return BloodCount(count, why)
        name = settings.blood_count_share
        share, why = self._value(sample, placement, name, "fraction", settings)
        if share is not None and not 0 <= share <= 1:
            return BloodCount(None, f"{name} is {share:g} as a fraction; wanted 0 to 1")
        return BloodCount(None if share is None else count * share, why)

    def _value(
        self, sample: Sample, placement: Placement, name: str, unit: str, settings: CountingSettings
    ) -> tuple[float | None, str | None]:
        rows = self._rows.get((sample.patient_id, name), [])
        near = [
            (distance, index, row)
            for index, row in enumerate(rows)
            if math.isfinite(distance := self._hours(sample, placement, row, settings))
        ]
        if not near:
            limit = f"within {settings.blood_count_hours:g} h of the draw"
            return None, f"the measurements hold no {name} of the patient {limit}"
        row = min(near, key=lambda found: found[:2])[2]
        factor = conversion_factor(row.unit, unit)
        if factor is None:
            return None, f"{name} is in {row.unit or 'no unit'}, which does not convert to {unit}"
        if not (math.isfinite(row.value) and row.value >= 0):
            return None, f"{name} is {row.value:g}; wanted 0 or more"
        return row.value * factor, None

    def _hours(
        self, sample: Sample, placement: Placement, row: Measurement, settings: CountingSettings
    ) -> float:
        """Hours from draw to blood count; infinite where they do not belong together."""
        patient = self._patients.get(row.patient_id)
        moment = Moment(row.drawn_at, row.drawn_at_has_time)
        day = place(moment, row.timepoint, patient, self._study).day
        if day is not None and placement.day is not None and day > placement.day:
            return math.inf
        if sample.drawn_at is None or row.drawn_at is None:
            label = row.timepoint or ""
            return 0.0 if label in _labels(sample, placement) else math.inf
        if sample.drawn_at_has_time and row.drawn_at_has_time:
            hours = abs(hours_between(sample.drawn_at, row.drawn_at, self._study.timezone))
            return hours if hours <= settings.blood_count_hours else math.inf
        return 0.0 if sample.drawn_at.date() == row.drawn_at.date() else math.inf


def _labels(sample: Sample, placement: Placement) -> Iterable[str]:
    return {label for label in (sample.timepoint, placement.timepoint) if label}
