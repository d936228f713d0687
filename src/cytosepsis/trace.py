"""`trace_sample`: the whole story of one sample's numbers, from the results folder alone."""
# ruff: noqa: PLC0415 - tables bring polars: imported where one is read

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cytosepsis.errors import StoreError
from cytosepsis.flags import FLAGS
from cytosepsis.store import Results, open_results

Story = dict[str, Any]  # heading → what is known, in the order of the computation

# Told in a place of their own, or (the pictures) not fit to be told in words.
_APART = ("samples", "abc", "calibrations", "densities")


def trace_sample(folder: str | os.PathLike[str], sample_id: str) -> Story:
    """Collect everything that decided a sample's numbers: input, plan, gates, beads, review, code.

    StoreError where the results know no such sample.
    """
    results = open_results(folder)
    rows = _rows(results, "samples", sample_id=sample_id)
    if not rows:
        raise StoreError(f"{results.folder}: no sample {sample_id!r} in these results.")
    sample = rows[0]
    assay = str(sample.get("assay"))
    story: Story = {"sample": _known(sample)}
    quantified = [_known(row) for row in _rows(results, "abc", sample_id=sample_id)]
    if quantified:
        story["abc"] = quantified
    run = next((row["bead_run"] for row in quantified if row.get("bead_run")), None)
    lines = [] if run is None else _rows(results, "calibrations", bead_run=run)
    if lines:
        story["calibration"] = [_known(line) for line in lines]
    for name in results.tables:
        if name not in _APART:
            found = [_known(row) for row in _rows(results, name, sample_id=sample_id)]
            if found:
                story[name] = found
    story["flags"] = _meanings(*(row.get("flags") for row in (sample, *quantified, *lines)))
    decisions = [o for o in results.run.overrides if o["target"] in {sample_id, run}]
    if decisions:
        story["overrides"] = [_known(decision) for decision in decisions]
    story["computed"] = {
        "code_digest": results.run.code_digest,
        "study_digest": results.run.study_digest,
        **{f"{what}_digest": text for what, text in results.run.plans.get(assay, {}).items()},
        "limits": results.run.limits.get(assay, {}),
        "versions": dict(results.run.versions),
        "run_started_at": results.run.started_at,
    }
    return story


def _rows(results: Results, table: str, **wanted: str) -> list[dict[str, Any]]:
    """The rows of a table in which something is named, also as one of several joined by `;`."""
    import polars as pl

    if table not in results.tables:
        return []
    frame = results.table(table)
    if any(frame.schema.get(name) != pl.String for name in wanted):
        return []
    tests = [
        (pl.col(name) == value) | pl.col(name).str.split(";").list.contains(value)
        for name, value in wanted.items()
    ]
    return frame.filter(*tests).to_dicts()


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is null."""
    return {name: value for name, value in row.items() if value is not None}


def _meanings(*cells: str | None) -> dict[str, str]:
    codes = [code for cell in cells for code in (cell or "").split(";") if code]
    return {code: FLAGS[code].meaning for code in dict.fromkeys(codes) if code in FLAGS}
