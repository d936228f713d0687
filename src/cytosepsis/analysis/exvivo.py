"""Whether a drug brings the cells back: every table of `cytosepsis exvivo`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from cytosepsis.analysis import exvivo_tables as declared
from cytosepsis.analysis.biomarkers import rows_frame
from cytosepsis.analysis.exvivo_effects import effects_frame
from cytosepsis.analysis.exvivo_tests import dose_rows, drug_rows, healthy_rows
from cytosepsis.analysis.wells import wells_of
from cytosepsis.protocol import Study
from cytosepsis.statistics.dye_dilution import FORMULAS, dilution_indices


def exvivo_frames(study: Study, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Every table of the analysis; without wells they are empty."""
    wells = wells_of(study, tables)
    effects = effects_frame(study, wells)
    rows = {
        "exvivo_tests": drug_rows(study, effects),
        "exvivo_against_healthy": healthy_rows(study, wells),
        "exvivo_doses": dose_rows(study, effects),
        "dilution_indices": list(_dilutions(study, tables)),
    }
    return {
        "exvivo_effects": effects,
        **{t.name: rows_frame(t, rows[t.name]) for t in declared.TABLES if t.name in rows},
    }


def _dilutions(study: Study, tables: Mapping[str, pl.DataFrame]) -> Iterator[dict[str, Any]]:
    """Rows of `dilution_indices`: every sample that has one of a dilution's populations."""
    populations = tables["populations"]
    for dilution in study.analyses.exvivo.dilutions:
        names = list(dilution.populations)
        inside = populations.filter(pl.col("population").is_in(names) | pl.col("path").is_in(names))
        for part in inside.partition_by("sample_id", maintain_order=True):
            by_name = dict(part.select("population", "n_events").iter_rows())
            by_name |= dict(part.select("path", "n_events").iter_rows())
            base = {
                "sample_id": part["sample_id"][0],
                "patient_id": part["patient_id"][0],
                "dilution": dilution.name,
            }
            missing = [name for name in names if name not in by_name]
            counts = [by_name.get(name, 0) for name in names]
            reason = "population_missing" if missing else None if sum(counts) else "no_cells"
            values = {} if missing else {i.name: i.value for i in dilution_indices(counts)}
            for index, formula in FORMULAS.items():
                yield base | {
                    "index_name": index,
                    "formula": formula,
                    "value": values.get(index),
                    "n_cells": sum(counts),
                    "reason": reason,
                }
