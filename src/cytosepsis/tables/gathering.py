"""The tables of a study from outcomes that need not all be in memory.

Long tables have many rows per sample and are made from some samples at a time; of each sample only
what the other tables show is kept (`readings.shortened`).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cytosepsis.file_results import BeadRunResult, SampleOutcome
from cytosepsis.protocol import Study
from cytosepsis.tables.counts import counts_frame
from cytosepsis.tables.overrides import overrides_frame
from cytosepsis.tables.patients import (
    gather_cohort,
    marker_values_frame,
    patients_frame,
    unused_frame,
)
from cytosepsis.tables.pictures import densities_frame
from cytosepsis.tables.quality import quality_bins_frame, quality_frame, quality_windows_frame
from cytosepsis.tables.readings import Reader, Reading, shortened
from cytosepsis.tables.samples import (
    abc_frame,
    bead_levels_frame,
    calibrations_frame,
    gates_frame,
    intensities_frame,
    populations_frame,
    samples_frame,
)


class Gathering:
    """Takes outcomes some at a time, in the order of the sample sheet, and gives tables."""

    def __init__(self, study: Study, bead_results: Iterable[BeadRunResult]) -> None:
        self._study = study
        self._beads = tuple(bead_results)
        self._reader = Reader(study, self._beads)
        self._decided = {override.target for override in study.overrides}
        self._readings: list[Reading] = []

    def in_sheet_order(self, outcomes: Iterable[SampleOutcome]) -> tuple[SampleOutcome, ...]:
        """One outcome per row of the sample sheet; a row without one is a failed row."""
        return self._reader.in_sheet_order(outcomes)

    @property
    def outcomes(self) -> tuple[SampleOutcome, ...]:
        """What was taken so far, without what only the long tables show."""
        return tuple(reading.outcome for reading in self._readings)

    def take(
        self, outcomes: Iterable[SampleOutcome], pictured: Iterable[BeadRunResult] | None
    ) -> dict[str, pl.DataFrame]:
        """The rows of these samples in the long tables, and the pictures of these bead runs.

        Without `pictured` the table of pictures is left out.
        """
        readings = [self._reader.read(outcome) for outcome in outcomes]
        self._readings += [
            shortened(reading, whole=reading.sample.sample_id in self._decided)
            for reading in readings
        ]
        tables = {
            "populations": populations_frame(readings),
            "gates": gates_frame(readings),
            "intensities": intensities_frame(readings),
            "quality": quality_frame(readings),
            "quality_windows": quality_windows_frame(readings),
            "quality_bins": quality_bins_frame(readings),
        }
        if pictured is not None:
            outcomes = [reading.outcome for reading in readings]
            tables["densities"] = densities_frame(self._study, outcomes, pictured)
        return tables

    def rest(self) -> dict[str, pl.DataFrame]:
        """The tables of a row or few per sample, when all outcomes were taken.

        Raises StudyError where the primary marker cannot be told.
        """
        study, readings = self._study, self._readings
        cohort = gather_cohort(study, readings)
        return {
            "samples": samples_frame(study, readings),
            "calibrations": calibrations_frame(study, self._beads),
            "bead_levels": bead_levels_frame(study, self._beads),
            "abc": abc_frame(readings),
            "patients": patients_frame(study, cohort),
            "marker_values": marker_values_frame(cohort),
            "counts": counts_frame(readings),
            "unused": unused_frame(cohort),
            "overrides": overrides_frame(study, readings, self._beads),
        }
