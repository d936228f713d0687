"""A gate a little wider and a little narrower, to see how much a number rests on its border."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cytosepsis.gating.plan import Ellipse, GatingPlan, Polygon, path_of
from cytosepsis.kernels.regions import LEAST

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
        inside = factor < 1.0 and _holds_smaller(gate)
        parent = path if inside else gate.parent  # the same events: of the gate's far fewer to try
        name = f"{gate.name} ({word})"
        while f"{parent}/{name}" in named:
            name += "'"
        added.append(replace(_scaled(gate, factor), name=name, parent=parent))
        paths[word] = path_of(added[-1])
    return replace(plan, gates=(*plan.gates, *added)), paths


def _holds_smaller(gate: Polygon | Ellipse) -> bool:
    """Whether a gate holds itself made smaller: its middle sees all of the border."""
    if gate.complement or isinstance(gate, Ellipse):
        return not gate.complement
    vertices = np.array(gate.vertices)
    here = vertices - vertices.mean(axis=0)
    here /= np.maximum(np.abs(here).max(axis=0), LEAST)  # whatever the units of the axes
    after = np.roll(here, -1, axis=0)
    across = here[:, 0] * after[:, 1] - here[:, 1] * after[:, 0]
    turns = np.arctan2(across, (here * after).sum(axis=1))
    one_way = (turns > 0.0).all() or (turns < 0.0).all()
    return bool(one_way and abs(turns.sum()) < 3.0 * np.pi)  # and once around


def _scaled(gate: Polygon | Ellipse, factor: float) -> Polygon | Ellipse:
    if isinstance(gate, Ellipse):
        return replace(gate, distance_square=gate.distance_square * factor**2)
    vertices = np.array(gate.vertices)
    middle = vertices.mean(axis=0)
    moved = middle + factor * (vertices - middle)
    return replace(gate, vertices=tuple((float(x), float(y)) for x, y in moved))
