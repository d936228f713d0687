"""Plans written as Gating-ML: read back the same, valid by the schema, as FlowKit counts."""

import re
from dataclasses import replace
from pathlib import Path

import flowkit
import numpy as np
import pytest
from hypothesis import given
from lxml import etree

from cytosepsis.compensation import Spillover
from cytosepsis.errors import GatingError
from cytosepsis.fcs import read_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.gatingml_export import gatingml_text, write_gatingml
from cytosepsis.gating.plan import (
    UNCOMPENSATED,
    Axis,
    Boolean,
    Ellipse,
    GatingPlan,
    Operand,
    Polygon,
    Ratio,
    Rectangle,
    axes_of,
    make_plan,
)
from cytosepsis.gating.reader import read_gating
from cytosepsis.transforms import Biex, Linear, Logicle, OffsetLog
from effort import examples
from events import raw_of
from plan_files import real_file
from random_plans import CHANNELS, many_rows, plans, spillover

SCHEMA = Path(flowkit.__file__).parent / "_resources" / "Gating-ML.v2.0.xsd"


@pytest.fixture(scope="module")
def schema():
    return etree.XMLSchema(etree.parse(str(SCHEMA)))


@pytest.fixture
def again(tmp_path):
    def again(plan, **choices):
        path = tmp_path / "plan.xml"
        write_gatingml(plan, path, **choices)
        return read_gating(path)

    return again


def writable(axis):
    """The axis with what Gating-ML has: no scale of FlowJo's own, no compensation left open."""
    transform = None if isinstance(axis.transform, Biex | OffsetLog) else axis.transform
    compensation = "FCS" if axis.compensation == "default" else axis.compensation
    return replace(axis, transform=transform, compensation=compensation)


def sound(g):
    """A random gate made such that `make_plan` and Gating-ML accept it."""
    match g:
        case Polygon():
            corners = (*g.vertices, (0.1, 0.2), (0.3, 0.2), (0.3, 0.4))
            return replace(g, x=writable(g.x), y=writable(g.y), vertices=corners)
        case Boolean():
            operands = tuple(o for o in g.operands if o.gate != "root")
            if operands:
                return replace(g, operands=operands)
            return Rectangle(g.name, g.parent, (Axis("A", None, "FCS"),), (0.0,), (None,))
        case Rectangle():
            top = tuple(
                high if low is None or (high is not None and low < high) else None
                for low, high in zip(g.minimum, g.maximum, strict=True)
            )
            low = g.minimum if any(b is not None for b in (*g.minimum, *top)) else (0.5,)
            axes = tuple(map(writable, g.axes))[: len(low)]
            return replace(g, axes=axes, minimum=low, maximum=top[: len(low)])
        case _:
            return replace(g, axes=tuple(map(writable, g.axes)))


def sound_plan(plan):
    plan = make_plan(tuple(map(sound, plan)), plan.spillovers, "plan.xml")
    used = {axis.compensation for g in plan for axis in axes_of(g)}
    return plan if "matrix" in used else replace(plan, spillovers=())


def matrices(plan):
    return [(name, s.detectors, s.fluorochromes, s.matrix) for name, s in plan.spillovers]


@examples(60)
@given(random=plans())
def test_export_then_import_is_the_identity(random, schema, tmp_path_factory):
    plan = sound_plan(random)
    path = tmp_path_factory.mktemp("gml") / "plan.xml"
    write_gatingml(plan, path)
    assert schema.validate(etree.parse(path)), schema.error_log
    found = read_gating(path)
    assert set(found.gates) == set(plan.gates)  # an order in which they can be applied
    assert matrices(found) == matrices(plan)
    raw = raw_of(many_rows(plan, 100, 1), CHANNELS)
    ours, theirs = gate(raw, plan).masks(), gate(raw, found).masks()
    for name, mask in ours.items():
        np.testing.assert_array_equal(theirs[name], mask)


def test_names_that_are_no_ids_and_names_that_stand_twice(again, schema):
    x = Axis("A", None, UNCOMPENSATED)
    gates = (
        Rectangle("CD14+ CD16−", "root", (x,), (1.0,), (None,)),
        Rectangle("CD14+ CD16−", "root/CD14+ CD16−", (x,), (2.0,), (None,)),
        Rectangle("7", "root", (x,), (3.0,), (None,), complement=True),
        Boolean("FCS", "root", "or", (Operand("root/7", True),), complement=True),
        Rectangle("flin", "root/FCS", (Axis("B", Linear(3.0), "panel 7"),), (4.0,), (5.5,)),
    )
    matrix = Spillover(("A", "B"), ("FITC", "PE"), ((1.0, 0.1), (0.2, 1.0)))
    plan = GatingPlan(gates, (("panel 7", matrix),))
    text = gatingml_text(plan)
    assert schema.validate(etree.fromstring(text).getroottree()), schema.error_log
    assert 'name="PE"' in text.decode()  # the standard names the fluorochrome
    found = again(plan)
    assert found.gates == gates
    assert matrices(found) == matrices(plan)


def test_roles_and_open_compensations_are_decided(again):
    ratio = Ratio("cd16", 1.0, 2.0, 3.0, None, 9.0)
    plan = GatingPlan((Rectangle("a", "root", (Axis("cd14", ratio=ratio),), (1.0,), (None,)),))
    names = {"cd14": "FL1-A", "cd16": "FL2-A"}
    written = replace(ratio, divisor="FL2-A")
    for given_as, wanted in (
        ("FCS", "FCS"),
        (UNCOMPENSATED, UNCOMPENSATED),
        (spillover(1), "matrix"),
    ):
        found = again(plan, channels=names, compensation=given_as)
        assert found.gates[0].axes == (Axis("FL1-A", None, wanted, written),)
    assert found.spillovers[0][1].matrix == spillover(1).matrix


def test_a_matrix_that_is_given_does_not_take_the_name_of_one_of_the_plan(again):
    axes = (Axis("A"), Axis("A", None, "matrix"))
    plan = GatingPlan(
        (Rectangle("a", "root", axes, (1.0, 1.0), (None, None)),), (("matrix", spillover(1)),)
    )
    found = again(plan, compensation=spillover(2))
    assert [axis.compensation for axis in found.gates[0].axes] == ["matrix_", "matrix"]
    assert dict(found.spillovers)["matrix_"].matrix == spillover(2).matrix


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        (
            (Rectangle("a", "root", (Axis("A", Biex()),), (1.0,), (None,)),),
            "root/a: A: Gating-ML has no Biex scale; redraw the gate on a logicle",
        ),
        (
            (Rectangle("a", "root", (Axis("A", OffsetLog(1.0, 4.0)),), (1.0,), (None,)),),
            "root/a: A: Gating-ML has no OffsetLog scale",
        ),
        ((Boolean("a", "root", "not", (Operand("root"),)),), "root/a: root holds every event"),
        (
            (Rectangle("a", "root", (Axis("A", None, "one"),), (1.0,), (None,)),),
            "matrix 'one': Gating-ML has none of one fluorochrome or detector",
        ),
        (
            (Rectangle("a\ufffe", "root", (Axis("A"),), (1.0,), (None,)),),
            "holds a character that XML has not",
        ),
    ],
)
def test_what_gating_ml_cannot_say_is_refused(gates, message, tmp_path):
    one = Spillover(("A",), ("A",), ((1.0,),))
    with pytest.raises(GatingError, match=re.escape(message)):
        write_gatingml(GatingPlan(gates, (("one", one),)), tmp_path / "plan.xml")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    plan = GatingPlan((Rectangle("a", "root", (Axis("A"),), (1.0,), (None,)),))
    with pytest.raises(GatingError, match="the plan cannot be written: No such file"):
        write_gatingml(plan, tmp_path / "no" / "plan.xml")


# --- the standard's own file, and FlowKit


def test_the_compliance_file_is_written_as_it_was_read(again):
    plan = read_gating(real_file("gatingMLData/gml2/gates1.xml"))
    found = again(plan)
    assert sorted(found.gates, key=lambda g: g.name) == sorted(plan.gates, key=lambda g: g.name)
    assert matrices(found) == matrices(plan)


def test_flowkit_counts_the_same_in_what_was_written(tmp_path):
    """Without what FlowKit gets wrong: bounds of scales, several compensations in a gate."""
    fcs = real_file("gatingMLData/gml2/data1.fcs")
    x, y = (Axis(name, Logicle(1000.0, 0.5, 4.5), UNCOMPENSATED) for name in ("FL1-H", "FL2-H"))
    corners = ((0.2, 0.2), (0.9, 0.3), (0.7, 0.8))
    ratio = Axis("FL2-H", None, UNCOMPENSATED, Ratio("FL2-A", 1.0, 0.0, -1.0))
    gates = (
        Rectangle("low", "root", (x,), (None,), (0.6,), complement=True),
        Polygon("p", "root/low", x, y, corners),
        Ellipse("e", "root", (x, y), (0.6, 0.5), ((0.02, 0.01), (0.01, 0.03)), 1.5),
        Boolean("b", "root", "and", (Operand("root/low"), Operand("root/e", True))),
        Rectangle("r", "root/b", (ratio,), (3.0,), (16.4,)),
    )
    plan = GatingPlan(gates)
    write_gatingml(plan, tmp_path / "plan.xml")
    strategy = flowkit.parse_gating_xml(str(tmp_path / "plan.xml"))
    report = strategy.gate_sample(flowkit.Sample(str(fcs))).report
    theirs = dict(zip(report["gate_name"], report["count"], strict=True))
    ours = gate(read_fcs(fcs), plan).n_events
    assert {name: theirs[name] for name in "pebr"} == {
        path[-1]: count for path, count in ours.items() if path[-1] in "pebr"
    }
    assert theirs["low"] == ours["root/low"] > 0
