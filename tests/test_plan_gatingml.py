import gzip
from dataclasses import replace

import flowkit
import numpy as np
import pytest

from cytosepsis.compensation import unmixing
from cytosepsis.errors import GatingError
from cytosepsis.fcs import read_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import Axis, Boolean, Operand, Ratio, Rectangle
from cytosepsis.gating.reader import read_gating
from cytosepsis.transforms import Logicle
from events import raw_of
from plan_files import real_file

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<gating:Gating-ML xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"
  xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations"
  xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes">
"""
SPILL = """
<transforms:spectrumMatrix transforms:id="M"{inverted}>
  <transforms:fluorochromes>
    <data-type:fcs-dimension data-type:name="FITC"/><data-type:fcs-dimension data-type:name="PE"/>
  </transforms:fluorochromes>
  <transforms:detectors>{detectors}</transforms:detectors>
  <transforms:spectrum>{first}</transforms:spectrum>
  <transforms:spectrum>{second}</transforms:spectrum>
</transforms:spectrumMatrix>
"""


def range_gate(name, channel="A", low=1, *, parent="", compensation="uncompensated", scale=""):
    parent = f' gating:parent_id="{parent}"' if parent else ""
    scale = f' gating:transformation-ref="{scale}"' if scale else ""
    return (
        f'<gating:RectangleGate gating:id="{name}"{parent}><gating:dimension '
        f'gating:compensation-ref="{compensation}" gating:min="{low}"{scale}>'
        f'<data-type:fcs-dimension data-type:name="{channel}"/>'
        "</gating:dimension></gating:RectangleGate>"
    )


def new_dimension(gate_text, ratio):
    head, _, tail = gate_text.partition("<data-type:fcs-dimension")
    return (
        f'{head}<data-type:new-dimension data-type:transformation-ref="{ratio}"/>'
        + tail[tail.index("/>") + 2 :]
    )


def boolean_gate(name, operator, *operands, parent=""):
    parent = f' gating:parent_id="{parent}"' if parent else ""
    references = "".join(f'<gating:gateReference gating:ref="{o}"/>' for o in operands)
    return (
        f'<gating:BooleanGate gating:id="{name}"{parent}><gating:{operator}>{references}'
        f"</gating:{operator}></gating:BooleanGate>"
    )


def spill(rows, detectors=("D1", "D2"), inverted=""):
    first, second = (
        "".join(f'<transforms:coefficient transforms:value="{v}"/>' for v in row) for row in rows
    )
    names = "".join(f'<data-type:fcs-dimension data-type:name="{d}"/>' for d in detectors)
    return SPILL.format(inverted=inverted, detectors=names, first=first, second=second)


@pytest.fixture
def read(tmp_path):
    def read(*parts, head=HEAD):
        path = tmp_path / "plan.xml"
        path.write_text(head + "".join(parts) + "</gating:Gating-ML>", encoding="utf-8")
        return read_gating(path)

    return read


def test_children_and_booleans_may_stand_first(read):
    plan = read(
        range_gate("child", parent="both"),
        boolean_gate("both", "and", "a", "b", parent="a"),
        range_gate("b", "B"),
        range_gate("a", low=-2),
    )
    assert plan.paths == ("root", "root/b", "root/a", "root/a/both", "root/a/both/child")
    assert plan.gates[2] == Boolean("both", "root/a", "and", (Operand("root/a"), Operand("root/b")))
    assert plan.gates[1] == Rectangle(
        "a", "root", (Axis("A", None, "uncompensated"),), (-2.0,), (None,)
    )


def test_quadrants_are_children_of_the_parent_and_may_be_parents(read):
    quadrant = """
    <gating:QuadrantGate gating:id="q" gating:parent_id="a">
      <gating:divider gating:id="d1" gating:compensation-ref="FCS">
        <data-type:fcs-dimension data-type:name="A"/>
        <gating:value>1</gating:value><gating:value>3</gating:value></gating:divider>
      <gating:divider gating:id="d2" gating:compensation-ref="uncompensated">
        <data-type:fcs-dimension data-type:name="B"/><gating:value>5</gating:value></gating:divider>
      <gating:Quadrant gating:id="middle">
        <gating:position gating:divider_ref="d1" gating:location="2"/>
        <gating:position gating:divider_ref="d2" gating:location="6"/></gating:Quadrant>
      <gating:Quadrant gating:id="left">
        <gating:position gating:divider_ref="d1" gating:location="0"/></gating:Quadrant>
    </gating:QuadrantGate>"""
    plan = read(range_gate("below", parent="middle"), quadrant, range_gate("a"))
    a, b = Axis("A", None, "FCS"), Axis("B", None, "uncompensated")
    assert plan.paths[1:] == ("root/a", "root/a/middle", "root/a/left", "root/a/middle/below")
    assert plan.gates[1] == Rectangle("middle", "root/a", (a, b), (1.0, 5.0), (3.0, None))
    assert plan.gates[2] == Rectangle("left", "root/a", (a,), (None,), (1.0,))


def test_scales_bring_their_bounds(read):
    scale = (
        '<transforms:transformation transforms:id="L" transforms:boundMin="0.4">'
        '<transforms:logicle transforms:T="1000" transforms:W="1" transforms:M="4" '
        'transforms:A="0"/></transforms:transformation>'
    )
    plan = read(scale, range_gate("a", low=0.5, scale="L"))
    assert plan.gates[0].axes[0].transform == Logicle(1000.0, 1.0, 4.0, 0.0, 0.4, None)


@pytest.mark.parametrize("channel", ["PE", "D2"])
def test_matrices_name_fluorochromes_which_become_detectors(read, channel):
    plan = read(spill([(1, 0.2), (0.1, 1)]), range_gate("a", channel, compensation="M"))
    assert plan.gates[0].axes == (Axis("D2", None, "M"),)
    ((name, spillover),) = plan.spillovers
    assert (name, spillover.detectors, spillover.fluorochromes) == (
        "M",
        ("D1", "D2"),
        ("FITC", "PE"),
    )
    assert spillover.matrix == ((1.0, 0.2), (0.1, 1.0))


def test_matrices_may_be_inverted_already(read):
    given = np.linalg.inv([[1, 0.2], [0.1, 1]]).tolist()
    inverted = ' transforms:matrix-inverted-already="true"'
    plan = read(spill(given, inverted=inverted), range_gate("a", "PE", compensation="M"))
    np.testing.assert_allclose(unmixing(plan.spillovers[0][1]), given, rtol=1e-12)


def test_spectral_matrices_keep_their_fluorochromes(read):
    matrix = spill([(1, 0.2, 0), (0.1, 1, 0.5)], "ABC")
    plan = read(matrix, range_gate("a", "PE", compensation="M"), range_gate("b", "PE"))
    assert plan.gates[0].axes == (Axis("PE", None, "M"),)
    events = [[0.9, 3.0, 1.4, 7.0]]
    raw = raw_of(events, ("A", "B", "C", "PE"))
    measure = Measure("root", "PE", "M")
    (value,) = gate(raw, plan, measures=[measure]).values[measure]
    spectra = np.array([(1, 0.2, 0), (0.1, 1, 0.5)])
    np.testing.assert_allclose(value, np.linalg.lstsq(spectra.T, events[0][:3], rcond=None)[0][1])


def test_spectral_matrices_may_be_inverted_already(read):
    spectra = np.array([(1, 0.2, 0), (0.1, 1, 0.5)])
    inverted = ' transforms:matrix-inverted-already="true"'
    weights = np.linalg.pinv(spectra)
    rows = "".join(
        "<transforms:spectrum>"
        + "".join(f'<transforms:coefficient transforms:value="{v!r}"/>' for v in row)
        + "</transforms:spectrum>"
        for row in weights.tolist()
    )
    head, _, tail = spill(((0, 0),) * 2, "ABC", inverted).partition("<transforms:spectrum>")
    matrix = head + rows + tail[tail.rindex("</transforms:spectrum>") + 22 :]
    plan = read(matrix, range_gate("a", "PE", compensation="M"))
    np.testing.assert_allclose(unmixing(plan.spillovers[0][1]), weights, atol=1e-12)


RATIO = """
<transforms:transformation transforms:id="R" transforms:boundMax="15.5">
  <transforms:fratio transforms:A="2" transforms:B="-1" transforms:C="3">
    <data-type:fcs-dimension data-type:name="FITC"/><data-type:fcs-dimension data-type:name="PE"/>
  </transforms:fratio></transforms:transformation>
"""


def test_ratios(read):
    gates = [range_gate("a"), range_gate("b", compensation="M")]
    plan = read(RATIO, spill([(1, 0.2), (0.1, 1)]), *(new_dimension(g, "R") for g in gates))
    plain = Ratio("PE", 2.0, -1.0, 3.0, None, 15.5)
    assert plan.gates[0].axes == (Axis("FITC", None, "uncompensated", plain),)
    assert plan.gates[1].axes == (Axis("D1", None, "M", replace(plain, divisor="D2")),)


def test_quadrants_may_stand_on_a_ratio(read):
    quadrant = """
    <gating:QuadrantGate gating:id="q">
      <gating:divider gating:id="d" gating:compensation-ref="FCS">
        <data-type:new-dimension data-type:transformation-ref="R"/>
        <gating:value>1</gating:value></gating:divider>
      <gating:Quadrant gating:id="low">
        <gating:position gating:divider_ref="d" gating:location="0"/></gating:Quadrant>
    </gating:QuadrantGate>"""
    (low,) = read(RATIO, quadrant).gates
    axis = Axis("FITC", None, "FCS", Ratio("PE", 2.0, -1.0, 3.0, None, 15.5))
    assert low == Rectangle("low", "root", (axis,), (None,), (1.0,))


def test_matrices_that_no_gate_uses_are_left_out(read):
    assert read(spill([(0, 0.2), (0.1, 1)]), range_gate("a")).spillovers == ()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([range_gate("a", parent="b")], "gate 'a' refers to 'b', which is no population of the f"),
        (
            [range_gate("a", parent="b"), range_gate("b", parent="a")],
            "gates need each other in a circle",
        ),
        ([range_gate("a", scale="L")], "gate 'a': transform 'L' is not a scale of the file"),
        ([range_gate("a", compensation="M")], "x: no matrix 'M' in the plan; it has: none"),
        (
            [spill([(0, 0.2), (0.1, 1)]), range_gate("a", compensation="M")],
            "the diagonal value of D1 is 0",
        ),
        (
            [spill([("x", 0.2), (0.1, 1)]), range_gate("a", compensation="M")],
            "matrix 'M' has a coefficient that is not a number",
        ),
        ([new_dimension(range_gate("r"), "x")], "gate 'r': new dimension 'x' is not a ratio"),
        (
            [
                spill([(1, 1, 0), (1, 1, 1)], "ABC", ' transforms:matrix-inverted-already="1"'),
                range_gate("a", compensation="M"),
            ],
            "matrix 'M' is inverted already, so it must have 3 rows (detectors) of 2 coefficients",
        ),
        (
            [
                spill([(1, 1), (1, 1)], inverted=' transforms:matrix-inverted-already="1"'),
                range_gate("a", compensation="M"),
            ],
            "matrix 'M' is inverted already, and singular",
        ),
        (["<gating:NoSuchGate/>"], "the gates cannot be read (ValueError: File is neither Gating"),
        ([range_gate("a"), range_gate("a")], "the gates cannot be read"),
        (["<open>"], "the file is not well-formed XML"),
    ],
)
def test_faults(read, parts, message):
    with pytest.raises(GatingError) as caught:
        read(*parts)
    assert message in str(caught.value)
    assert caught.value.file is not None
    assert caught.value.file.endswith("plan.xml")


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "http://localhost:1/x.dtd">',
    ],
)
def test_document_types_are_refused(read, doctype):
    head = HEAD.replace("<gating:Gating-ML", f"{doctype}<gating:Gating-ML", 1)
    with pytest.raises(GatingError, match="the file has a document type"):
        read(range_gate("a"), head=head)


def test_schema_locations_are_not_followed(read, tmp_path):
    # A validator that follows this one would refuse the gate for the schema it finds there.
    (tmp_path / "evil.xsd").write_text("<broken")
    location = f'xsi:schemaLocation="urn:evil {tmp_path}/evil.xsd" xmlns:e="urn:evil">'
    head = HEAD.replace('datatypes">', f'datatypes" {location}')
    assert read(range_gate("a"), head=head).paths == ("root", "root/a")


def test_large_files_are_refused(read, monkeypatch):
    monkeypatch.setattr("cytosepsis.gating.markup.MAX_BYTES", 100)
    with pytest.raises(GatingError, match="bytes; at most 100 are read"):
        read(range_gate("a"))


def test_a_missing_file(tmp_path):
    with pytest.raises(GatingError, match="the plan cannot be read: No such file"):
        read_gating(tmp_path / "no.xml")


# --- the standard's own files


def test_compliance_file_is_exact_to_the_event():
    plan = read_gating(real_file("gatingMLData/gml2/gates1.xml"))
    raw = read_fcs(real_file("gatingMLData/gml2/data1.fcs"))
    masks = gate(raw, plan).masks()
    results = real_file("gatingMLData/gml2/expected/set_1")
    wrong = {}
    by_name = {path.rpartition("/")[2]: mask for path, mask in masks.items()}
    truths = sorted(results.glob("Results_*.txt.gz"))
    for truth in truths:
        name = truth.name.removeprefix("Results_").removesuffix(".txt.gz")
        with gzip.open(truth, "rt") as file:
            expected = np.array(file.read().split(), dtype=int).astype(bool)
        if (by_name[name] != expected).any():
            wrong[name] = int((by_name[name] != expected).sum())
    assert len(truths) == 60
    assert wrong == {}


@pytest.mark.parametrize("name", ["boolean_and3_complement", "quadrant2", "parent_quadrant_rect"])
def test_flowkit_counts_the_same(name):
    path = real_file(f"FlowKit/gate_ref/gml/gml_{name}_gate.xml")
    fcs = real_file("gatingMLData/gml2/data1.fcs")
    counts = gate(read_fcs(fcs), read_gating(path)).n_events
    results = flowkit.parse_gating_xml(str(path)).gate_sample(flowkit.Sample(str(fcs)))
    report = results.report
    theirs = dict(zip(report["gate_name"], report["count"], strict=True))
    ours = {key.rpartition("/")[2]: count for key, count in counts.items() if key != "root"}
    assert len(ours) > 1
    assert all(theirs[key] == count for key, count in ours.items())
