"""FlowKit's side of the job, written as its documentation suggests, with nothing done twice.

To FlowKit's advantage, only the events of the quantified population are compensated for the
median; `Sample.apply_compensation` would compensate all of them a second time.
"""

from __future__ import annotations

from pathlib import Path

import flowkit
import numpy as np
from flowkit import Dimension, GatingStrategy, Matrix, Sample, gates, transforms

from inputs import (
    HLADR_FLOOR,
    LEUKOCYTES,
    LOGICLE,
    MONOCYTES,
    QUANTIFIED,
    ROLES,
    SINGLETS,
    spillover,
)
from jobs import Answer, to_abc

VERSION = flowkit.__version__


def strategy(dyes: tuple[str, ...]) -> GatingStrategy:
    """The plan as FlowKit's own gates, with the files' matrix."""
    made = GatingStrategy()
    made.add_transform("logicle", transforms.LogicleTransform(*LOGICLE.values()))
    made.add_comp_matrix("spill", Matrix(spillover(len(dyes)), list(dyes)))

    def stained(role: str, low: float | None = None) -> Dimension:
        return Dimension(ROLES[role], "spill", "logicle", range_min=low)

    steps = (
        gates.PolygonGate(
            "singlets", [Dimension(ROLES["fsc"]), Dimension(ROLES["fsc_height"])], list(SINGLETS)
        ),
        gates.RectangleGate(
            "leukocytes",
            [
                Dimension(ROLES[role], range_min=low, range_max=high)
                for role, (low, high) in LEUKOCYTES.items()
            ],
        ),
        gates.PolygonGate("monocytes", [stained("cd14"), Dimension(ROLES["ssc"])], list(MONOCYTES)),
        gates.RectangleGate("hladr_stained", [stained("hladr", HLADR_FLOOR)]),
    )
    path: tuple[str, ...] = ("root",)
    for step in steps:
        made.add_gate(step, path)
        path = (*path, step.gate_name)
    return made


def flowkit_job(path: Path, plan: GatingStrategy, dyes: tuple[str, ...]) -> Answer:
    """One file through FlowKit."""
    sample = Sample(path)
    results = plan.gate_sample(sample)
    counts = {"root": sample.event_count}
    for name, parents in plan.get_gate_ids():
        counts["/".join((*parents, name))] = int(results.get_gate_count(name, parents))
    *parents, name = QUANTIFIED.split("/")
    inside = results.get_gate_membership(name, tuple(parents))
    columns = [sample.pnn_labels.index(dye) for dye in dyes]
    light = sample.get_events("raw", event_mask=inside)[:, columns]
    unmixed = np.linalg.solve(spillover(len(dyes)).T, light.T)
    median = float(np.median(unmixed[dyes.index(ROLES["hladr"])]))
    return Answer(counts, median, to_abc(median))
