"""The frame of pictures: one row per plot of a sample or a bead run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import polars as pl

from cytosepsis.densities import Density, DensityAxis, Outline
from cytosepsis.file_results import BeadRunResult, SampleOutcome, SampleResult
from cytosepsis.protocol import Study
from cytosepsis.tables.samples import in_sheet_order
from cytosepsis.tables.schemas import DENSITIES, frame


def densities_frame(
    study: Study, outcomes: Iterable[SampleOutcome], bead_results: Iterable[BeadRunResult]
) -> pl.DataFrame:
    """The `densities` table, or a part of it: of these samples, in this order, then of beads.

    A file from which nothing could be read has no rows.
    """
    rows: list[tuple[str | None, str | None, int, Density]] = [
        (outcome.sample_id, None, number, density)
        for outcome in outcomes
        if isinstance(outcome, SampleResult)
        for number, density in enumerate(outcome.densities, 1)
    ]
    for bead_run, pictures in _of_beads(study, bead_results).items():
        rows += [(None, bead_run, n, density) for n, density in enumerate(pictures, 1)]
    shown = [density for *_, density in rows]
    return frame(
        DENSITIES.columns,
        {
            "kind": ["beads" if sample is None else "sample" for sample, *_ in rows],
            "sample_id": [sample for sample, *_ in rows],
            "bead_run": [run for _, run, *_ in rows],
            "plot": [number for _, _, number, _ in rows],
            "path": [p.path for p in shown],
            "n_events": [p.n_events for p in shown],
            "n_shown": [p.n_shown for p in shown],
            **_axis_columns("x", [p.x for p in shown]),
            **_axis_columns("y", [p.y for p in shown]),
            "counts": [p.counts for p in shown],
            "gates": [_gates_json(p.outlines) for p in shown],
        },
    )


def _of_beads(
    study: Study, bead_results: Iterable[BeadRunResult]
) -> dict[str, tuple[Density, ...]]:
    """The pictures of each run; a run that was read for several statistics shows each one once."""
    found: dict[str, dict[Density, None]] = {}
    for run in in_sheet_order(study, bead_results):
        found.setdefault(run.bead_run, {}).update(dict.fromkeys(run.densities))
    return {run: tuple(pictures) for run, pictures in found.items()}


def _axis_columns(name: str, axes: Sequence[DensityAxis | None]) -> dict[str, Sequence[object]]:
    return {
        f"{name}_channel": [a and a.channel for a in axes],
        f"{name}_detector": [a and a.detector for a in axes],
        f"{name}_divisor": [a and a.divisor for a in axes],
        f"{name}_compensated": [a and a.compensated for a in axes],
        f"{name}_scale": [a and a.scale for a in axes],
        f"{name}_parameters": [a and _json(dict(a.parameters)) for a in axes],
        f"{name}_first_edge": [a and a.first_edge for a in axes],
        f"{name}_last_edge": [a and a.last_edge for a in axes],
        f"{name}_bins": [a and a.n_bins for a in axes],
    }


def _gates_json(outlines: Sequence[Outline]) -> str:
    return _json(
        [
            {
                "path": outline.path,
                "form": outline.form,
                "numbers": list(outline.numbers),
                "complement": outline.complement,
            }
            for outline in outlines
        ]
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
