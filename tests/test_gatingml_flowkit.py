"""Where FlowKit reads Gating-ML otherwise than here, and who is right; elsewhere they agree."""

import gzip

import flowkit
import numpy as np
import pytest

from cytosepsis.compensation import Spillover
from cytosepsis.fcs import read_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.gatingml_export import write_gatingml
from cytosepsis.gating.plan import UNCOMPENSATED, Axis, GatingPlan, Polygon, Rectangle
from cytosepsis.gating.reader import read_gating
from events import raw_of
from plan_files import real_file

SQUARE = Spillover(("A", "B"), ("A", "B"), ((1.0, 0.5), (0.25, 1.0)))
SPECTRAL = Spillover(("A", "B", "C"), ("x", "y"), ((1.0, 0.5, 0.0), (0.0, 0.5, 1.0)))
NAMES = ("A", "B", "C")


def both(plan, events, tmp_path, edit=lambda text: text):
    """Membership of the plan's last population: here, and of FlowKit, in what was written."""
    path = tmp_path / "plan.xml"
    write_gatingml(plan, path)
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    read = read_gating(path)
    ours = gate(raw_of(events, NAMES), read).mask(read.paths[-1])
    sample = flowkit.Sample(np.array(events), channel_labels=list(NAMES), sample_id="s")
    results = flowkit.parse_gating_xml(str(path)).gate_sample(sample)
    return ours.tolist(), results.get_gate_membership(read.paths[-1].rpartition("/")[2]).tolist()


def test_bounds_of_scales():
    """FlowKit ignores them: nine gates of the compliance suite; the suite's truth is ours."""
    path = real_file("gatingMLData/gml2/gates1.xml")
    fcs = real_file("gatingMLData/gml2/data1.fcs")
    results = flowkit.parse_gating_xml(str(path)).gate_sample(flowkit.Sample(str(fcs)))
    ours = gate(read_fcs(fcs), read_gating(path))
    disagree = set()
    for number in ("1", "2", "2c", "3", "4", "6"):
        name = f"ScaleRange{number}Bound"
        with gzip.open(path.parent / f"expected/set_1/Results_{name}.txt.gz", "rt") as file:
            truth = np.array(file.read().split(), dtype=int).astype(bool)
        np.testing.assert_array_equal(ours.mask(f"root/{name}"), truth)
        if (results.get_gate_membership(name) != truth).any():
            disagree.add(number)
    assert disagree == {"1", "2", "2c", "3", "4", "6"}


def test_edges_of_polygons(tmp_path):
    """Gating-ML 2.0, 5.1: events on an edge or a vertex are inside."""
    x, y = (Axis(name, None, UNCOMPENSATED) for name in "AB")
    corners = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0))
    plan = GatingPlan((Polygon("p", "root", x, y, corners),))
    events = [[a, b, 0.0] for a in (0.0, 5.0, 10.0) for b in (0.0, 5.0, 10.0)]
    ours, theirs = both(plan, events, tmp_path)
    assert ours == [True] * 9
    assert theirs.count(False) > 0


def test_compensated_and_not_in_one_gate(tmp_path):
    """B of the first event is 34 when compensated, and 80 as it was measured."""
    axes = (Axis("A", None, "M"), Axis("B", None, UNCOMPENSATED))
    plan = GatingPlan((Rectangle("r", "root", axes, (0.0, 75.0), (95.0, 85.0)),), (("M", SQUARE),))
    events = [[100.0, 80.0, 0.0], [100.0, 20.0, 0.0]]
    assert (np.array(events)[:, :2] @ np.linalg.inv(SQUARE.array()))[0].round(6).tolist() == [
        91.428571,
        34.285714,
    ]
    ours, theirs = both(plan, events, tmp_path)
    assert ours == [True, False]
    assert theirs == [False, False]  # B compensated is 34


def test_spectral_matrices(tmp_path):
    plan = GatingPlan(
        (Rectangle("r", "root", (Axis("x", None, "M"),), (50.0,), (None,)),), (("M", SPECTRAL),)
    )
    events = (np.array([[100.0, 10.0], [10.0, 100.0]]) @ SPECTRAL.array()).tolist()
    write_gatingml(plan, tmp_path / "plan.xml")
    read = read_gating(tmp_path / "plan.xml")
    assert gate(raw_of(events, NAMES), read).mask("root/r").tolist() == [True, False]
    sample = flowkit.Sample(np.array(events), channel_labels=list(NAMES), sample_id="s")
    strategy = flowkit.parse_gating_xml(str(tmp_path / "plan.xml"))
    with pytest.raises(np.linalg.LinAlgError, match="square"):
        strategy.gate_sample(sample)


def test_matrices_that_are_inverted_already(tmp_path):
    """The weights themselves stand in the file; FlowKit inverts them again."""
    weights = np.linalg.inv(SQUARE.array())
    written = Spillover(("A", "B"), ("A", "B"), tuple(map(tuple, weights.tolist())))
    plan = GatingPlan(
        (Rectangle("r", "root", (Axis("B", None, "M"),), (30.0,), (40.0,)),), (("M", written),)
    )

    def inverted(text):
        return text.replace(
            'transforms:id="M"', 'transforms:id="M" transforms:matrix-inverted-already="true"'
        )

    ours, theirs = both(plan, [[100.0, 80.0, 0.0]], tmp_path, inverted)
    assert ours == [True]
    assert theirs == [False]


@pytest.mark.parametrize("name", ["all_gates", "log_ratio_range1_gate", "matrix_rect5_gate"])
def test_they_agree_on_flowkits_own_examples(name):
    path = real_file(f"FlowKit/gate_ref/gml/gml_{name}.xml")
    fcs = real_file("gatingMLData/gml2/data1.fcs")
    report = flowkit.parse_gating_xml(str(path)).gate_sample(flowkit.Sample(str(fcs))).report
    theirs = dict(zip(report["gate_name"], report["count"], strict=True))
    ours = gate(read_fcs(fcs), read_gating(path)).n_events
    named = {key.rpartition("/")[2]: count for key, count in ours.items() if key != "root"}
    assert named == {key: theirs[key] for key in named}
