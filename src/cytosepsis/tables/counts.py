"""The frame of absolute counts: one row per counted population."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cytosepsis import flags
from cytosepsis.tables.readings import Reading
from cytosepsis.tables.schemas import COUNTS, frame


def counts_frame(readings: Iterable[Reading]) -> pl.DataFrame:
    """The `counts` table; samples of assays that give no counts have no rows."""
    rows = [(r, c) for r in readings for c in r.counts]
    codes = [(*r.base_flags, *c.flags) for r, c in rows]
    return frame(
        COUNTS.columns,
        {
            "sample_id": [r.sample.sample_id for r, _ in rows],
            "patient_id": [r.sample.patient_id for r, _ in rows],
            "timepoint": [r.placement.timepoint for r, _ in rows],
            "path": [c.path for _, c in rows],
            "population": [c.name for _, c in rows],
            "method": [c.method for _, c in rows],
            "n_cells": [c.n_cells for _, c in rows],
            "n_reference": [c.n_reference for _, c in rows],
            "cells_per_ul": [c.value for _, c in rows],
            "low": [c.low for _, c in rows],
            "high": [c.high for _, c in rows],
            "counting_lot": [r.sample.counting_lot for r, _ in rows],
            "blood_volume_ul": [r.sample.blood_volume_ul for r, _ in rows],
            "status": [
                "failed" if c.value is None else flags.status_of(of)
                for (_, c), of in zip(rows, codes, strict=True)
            ],
            "flags": [flags.join(of) for of in codes],
            "reason_code": [c.reason_code for _, c in rows],
            "reason": [c.reason for _, c in rows],
        },
    )
