"""A gate made a little wider and narrower: where its borders lie, whose events they hold."""

from __future__ import annotations

import numpy as np
import pytest

import cytosepsis as cs
from cytosepsis.gating.flexing import flexed
from cytosepsis.gating.toml_plan import parse_toml_plan
from events import raw_of

CUT = {"name": "bright", "type": "threshold", "x": "A", "method": "valley"}


def plan_of(gate):
    return parse_toml_plan({"gates": [dict(gate)]})


def test_a_gate_is_widened_and_narrowed_about_its_middle():
    square = {"name": "g", "type": "polygon", "x": "A", "y": "B"}
    square["vertices"] = [[0, 0], [2, 0], [2, 2], [0, 2]]
    plan, paths = flexed(plan_of(square), "root/g")
    wider, narrower = plan.gates[1:]
    assert paths == {"wider": "root/g (wider)", "narrower": "root/g/g (narrower)"}
    assert np.array(wider.vertices) == pytest.approx(1 + 1.15 * (np.array(square["vertices"]) - 1))
    assert np.array(narrower.vertices) == pytest.approx(
        1 + 0.85 * (np.array(square["vertices"]) - 1)
    )
    assert flexed(plan_of(CUT), "root/bright") == (plan_of(CUT), {})


BOW = [[0, 0], [4, 4], [4, 0], [0, 4]]
BAY = [[0, 0], [8, 0], [8, 8], [7, 8], [7, 1], [0, 1]]  # its middle lies outside of it
STAR = [[3, 0], [-2.4, 1.8], [0.9, -2.9], [0.9, 2.9], [-2.4, -1.8]]  # twice around its middle
ROUND = [[3, 0], [1, 1], [0, 3], [-1, 1], [-3, 0], [-1, -1], [0, -3], [1, -1]]


@pytest.mark.parametrize(
    ("vertices", "is_within"), [(BOW, False), (BAY, False), (STAR, False), (ROUND, True)]
)
def test_a_narrower_gate_lies_within_where_its_middle_sees_the_border(vertices, is_within):
    gate = {"name": "g", "type": "polygon", "x": "A", "y": "B", "vertices": vertices}
    plan, paths = flexed(plan_of(gate), "root/g")
    assert plan.gates[2].parent == ("root/g" if is_within else "root")
    raw = raw_of(np.random.default_rng(1).uniform(-4, 9, (20_000, 2)), ("A", "B"))
    beside = {**gate, "name": "n", "vertices": np.array(plan.gates[2].vertices).tolist()}
    alone = cs.gate(raw, plan_of(beside)).n_events["root/n"]
    assert cs.gate(raw, plan).n_events[paths["narrower"]] == alone
