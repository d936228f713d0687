"""A gate a little wider and a little narrower, to see how much a number rests on its border."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cytosepsis.gating.plan import Ellipse, GatingPlan, Polygon, path_of

FLEX = (
    0.15  # of every distance from the gate's middle: about half a standard deviation of a cluster
)
WIDER, NARROWER = "wider", "narrower"


def flexed(plan: GatingPlan, path: str) -> tuple[GatingPlan, dict[str, str]]:
    """Add two gates beside a polygon or an ellipse, its border moved out and in by `FLEX`.

    Returns the plan, and the full paths of the two by `WIDER` and `NARROWER`; the plan as it is and
    nothing where the population has another kind of gate.
    """
    named = {path_of(gate): gate for gate in plan}
    gate = named.get(path)
    if not isinstance(gate, Polygon | Ellipse):
        return plan, {}
    added: list[Polygon | Ellipse] = []
    paths: dict[str, str] = {}
    for word, factor in ((WIDER, 1.0 + FLEX), (NARROWER, 1.0 - FLEX)):
        name = f"{gate.name} ({word})"
        while f"{gate.parent}/{name}" in named:
            name += "'"
        scaled = replace(_scaled(gate, factor), name=name)
        added.append(scaled)
        paths[word] = path_of(scaled)
    return replace(plan, gates=(*plan.gates, *added)), paths


def _scaled(gate: Polygon | Ellipse, factor: float) -> Polygon | Ellipse:
    if isinstance(gate, Ellipse):
        return replace(gate, distance_square=gate.distance_square * factor**2)
    vertices = np.array(gate.vertices)
    middle = vertices.mean(axis=0)
    moved = middle + factor * (vertices - middle)
    return replace(gate, vertices=tuple((float(x), float(y)) for x, y in moved))
