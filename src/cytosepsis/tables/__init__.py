"""Results as Polars tables: declared columns, rows in a stated order, absent values null.

Everything here is a function of the study and of results already computed; nothing reads or writes
files.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cytosepsis.protocol import Study
from cytosepsis.sample import BeadRunResult, SampleOutcome
from cytosepsis.tables.counts import counts_frame
from cytosepsis.tables.describe import flags_markdown, tables_markdown
from cytosepsis.tables.overrides import overrides_frame
from cytosepsis.tables.patients import (
    gather_cohort,
    marker_values_frame,
    patients_frame,
    unused_frame,
)
from cytosepsis.tables.pictures import densities_frame
from cytosepsis.tables.quality import quality_bins_frame, quality_frame, quality_windows_frame
from cytosepsis.tables.readings import read_outcomes
from cytosepsis.tables.samples import (
    abc_frame,
    bead_levels_frame,
    calibrations_frame,
    gates_frame,
    intensities_frame,
    populations_frame,
    samples_frame,
)
from cytosepsis.tables.schemas import TABLES, Column, Table


def all_tables(
    study: Study, outcomes: Iterable[SampleOutcome], bead_results: Iterable[BeadRunResult]
) -> dict[str, pl.DataFrame]:
    """Every table of a study, by name, in the order of `TABLES`.

    The order of outcomes and bead results does not matter. A row of the sample sheet without an
    outcome becomes a failed row. Raises StudyError where the primary marker cannot be told.
    """
    beads = tuple(bead_results)
    readings = read_outcomes(study, outcomes, beads)
    cohort = gather_cohort(study, readings)
    tables = {
        "samples": samples_frame(study, readings),
        "populations": populations_frame(readings),
        "gates": gates_frame(readings),
        "intensities": intensities_frame(readings),
        "calibrations": calibrations_frame(study, beads),
        "bead_levels": bead_levels_frame(study, beads),
        "abc": abc_frame(readings),
        "patients": patients_frame(study, cohort),
        "marker_values": marker_values_frame(cohort),
        "counts": counts_frame(readings),
        "unused": unused_frame(cohort),
        "overrides": overrides_frame(study, readings, beads),
        "quality": quality_frame(readings),
        "quality_windows": quality_windows_frame(readings),
        "quality_bins": quality_bins_frame(readings),
        "densities": densities_frame(study, [r.outcome for r in readings], beads),
    }
    assert tuple(tables) == tuple(TABLES)
    return tables


__all__ = [
    "TABLES",
    "Column",
    "Table",
    "all_tables",
    "densities_frame",
    "flags_markdown",
    "tables_markdown",
]
