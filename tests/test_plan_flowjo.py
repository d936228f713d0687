import csv

import numpy as np
import pytest

from cytosepsis.errors import GatingError
from cytosepsis.fcs import read_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.plan import Axis, Boolean, Operand, Polygon, Rectangle
from cytosepsis.gating.reader import read_gating
from cytosepsis.transforms import Asinh, Biex, Linear, Logicle, OffsetLog
from plan_files import real_file

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<Workspace version="20.0" flowJoVersion="{version}"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"
  xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations"
  xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes">
<Groups/><SampleList>"""
LINEAR = 'linear transforms:minRange="0" transforms:maxRange="1000" gain="1"'
WIDER = 'linear transforms:minRange="0" transforms:maxRange="2000" gain="1"'
BIEX = (
    'biex transforms:length="256" transforms:maxRange="262144" transforms:neg="0" '
    'transforms:width="-100" transforms:pos="4.5"'
)
LOGICLE = 'logicle transforms:T="1000" transforms:W="1" transforms:M="4" transforms:A="0"'
ASINH = 'fasinh transforms:T="1000" transforms:A="0" transforms:M="4" length="256"'
LOG = 'log transforms:offset="0.5" transforms:decades="5"'


def scale(channel, kind=LINEAR):
    return (
        f'<transforms:{kind}><data-type:parameter data-type:name="{channel}"/>'
        f"</transforms:{kind.split()[0]}>"
    )


def dimension(channel, low=None, high=None):
    low = "" if low is None else f' gating:min="{low}"'
    high = "" if high is None else f' gating:max="{high}"'
    return (
        f"<gating:dimension{low}{high}>"
        f'<data-type:fcs-dimension data-type:name="{channel}"/></gating:dimension>'
    )


def population(name, *dimensions, children="", kind="RectangleGate", extra="", inside=1):
    return (
        f'<Population name="{name}" owningGroup="g" count="1"><Gate>'
        f'<gating:{kind} eventsInside="{inside}">{"".join(dimensions)}{extra}</gating:{kind}>'
        "</Gate>"
        f"<Subpopulations>{children}</Subpopulations></Population>"
    )


def boolean(node, name, *operands, children=""):
    listed = "".join(f'<Dependent name="{operand}"/>' for operand in operands)
    return (
        f'<{node} name="{name}" owningGroup=""><Dependents>{listed}</Dependents>'
        f"<Subpopulations>{children}</Subpopulations></{node}>"
    )


def sample(populations, *, name="s.fcs", scales="", pnn=(), fil=None, uri="", matrix="", number=1):
    words = {f"$P{i}N": label for i, label in enumerate(pnn, 1)}
    if fil is not None:
        words["$FIL"] = fil
    keywords = "".join(f'<Keyword name="{k}" value="{v}"/>' for k, v in words.items())
    return (
        f'<Sample><DataSet uri="{uri}" sampleID="{number}"/>{matrix}'
        f"<Transformations>{scales}</Transformations><Keywords>{keywords}</Keywords>"
        f'<SampleNode name="{name}" sampleID="{number}"><Subpopulations>{populations}'
        "</Subpopulations></SampleNode></Sample>"
    )


def spill(names=("A", "B"), name="Acquisition-defined", rows=((1, 0.2), (0.1, 1))):
    listed = "".join(f'<data-type:parameter data-type:name="{n}"/>' for n in names)
    spillovers = ""
    for own, row in zip(names, rows, strict=False):
        values = "".join(
            f'<transforms:coefficient data-type:parameter="{n}" transforms:value="{v}"/>'
            for n, v in zip(names, row, strict=True)
        )
        spillovers += (
            f'<transforms:spillover data-type:parameter="{own}">{values}</transforms:spillover>'
        )
    return (
        f'<transforms:spilloverMatrix name="{name}" prefix="Comp-" suffix="">'
        f"<data-type:parameters>{listed}</data-type:parameters>{spillovers}"
        "</transforms:spilloverMatrix>"
    )


@pytest.fixture
def read(tmp_path):
    def read(*samples, wanted=None, version="10.8.1", ending="wsp"):
        path = tmp_path / f"w.{ending}"
        text = HEAD.format(version=version) + "".join(samples) + "</SampleList></Workspace>"
        path.write_text(text, encoding="utf-8")
        return read_gating(path, sample=wanted)

    return read


def test_a_tree_with_slashes_twins_and_booleans(read):
    t = population("T/B", dimension("A", 10), children=population("x", dimension("B", None, 5)))
    other = population("x", dimension("A", 1, 2), inside=0)
    both = boolean("AndNode", "both", "T/B/x", "x", children=population("y", dimension("A", 3)))
    plan = read(sample(both + t + other + boolean("NotNode", "none", "T/B")), ending="xml")
    a, b = (Axis(name, None, "uncompensated") for name in "AB")
    assert plan.gates == (
        Rectangle("T_B", "root", (a,), (10.0,), (None,)),
        Rectangle("x", "root/T_B", (b,), (None,), (5.0,)),
        Rectangle("x", "root", (a,), (1.0,), (2.0,), complement=True),
        Boolean("both", "root", "and", (Operand("root/T_B/x"), Operand("root/x"))),
        Rectangle("y", "root/both", (a,), (3.0,), (None,)),
        Boolean("none", "root", "not", (Operand("root/T_B"),)),
    )
    assert plan.source == "w.xml"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (LINEAR, Linear(1000.0, 0.0)),
        (LOGICLE, Logicle(1000.0, 1.0, 4.0, 0.0)),
        (ASINH, Asinh(1000.0, 4.0, 0.0)),
        (LOG, OffsetLog(0.5, 5.0)),
        (BIEX, Biex(0.0, -100.0, 4.5, 262144.0, 4096)),
    ],
)
def test_scales(read, kind, expected):
    plan = read(sample(population("a", dimension("A", 10, 500)), scales=scale("A", kind)))
    (rectangle,) = plan.gates
    assert rectangle.axes[0].transform == expected
    # Coordinates are linear in the workspace, on the axis's scale in the plan.
    assert rectangle.minimum[0] < rectangle.maximum[0] != 500


def test_a_compensated_channel_has_its_own_scale_and_an_uncompensated_one_no_matrix(read):
    gates = population("a", dimension("Comp-A", 10)) + population("b", dimension("A", 10))
    plan = read(
        sample(gates, scales=scale("A") + scale("Comp-A", WIDER), matrix=spill(), pnn=("A", "B"))
    )
    compensated, plain = plan.gates
    assert compensated.axes == (Axis("A", Linear(2000.0), "Acquisition-defined"),)
    assert plain.axes == (Axis("A", Linear(1000.0), "uncompensated"),)
    ((name, spillover),) = plan.spillovers
    assert (name, spillover.detectors) == ("Acquisition-defined", ("A", "B"))
    assert spillover.matrix == ((1.0, 0.2), (0.1, 1.0))


def test_a_compensated_channel_without_a_scale_has_that_of_the_channel(read):
    plan = read(sample(population("a", dimension("Comp-A", 10)), scales=scale("A"), matrix=spill()))
    assert plan.gates[0].axes == (Axis("A", Linear(1000.0), "Acquisition-defined"),)


def test_slashes_in_channels_are_restored(read):
    gates = population("a", dimension("Comp-V_450-A", 10), dimension("F_S", 3))
    matrix = spill(("V_450-A", "B"), name="FCS")
    plan = read(sample(gates, matrix=matrix, pnn=("F/S", "V/450-A", "B")))
    assert plan.gates[0].axes == (
        Axis("V/450-A", None, "FCS (workspace)"),
        Axis("F/S", None, "uncompensated"),
    )
    assert plan.spillovers[0][1].detectors == ("V/450-A", "B")


def test_a_matrix_that_no_gate_uses_is_left_out(read):
    plan = read(sample(population("a", dimension("A", 10)), matrix=spill()))
    assert plan.spillovers == ()


def test_sides_on_the_end_of_a_biex_scale_are_open(read):
    gates = population("a", dimension("A", -1e9, 1e9), dimension("B", 5))
    plan = read(sample(gates, scales=scale("A", BIEX)))
    assert (plan.gates[0].minimum, plan.gates[0].maximum) == ((None, 5.0), (None, None))


def vertices(*points):
    return "".join(
        "<gating:vertex>"
        + "".join(f'<gating:coordinate data-type:value="{v}"/>' for v in point)
        + "</gating:vertex>"
        for point in points
    )


def test_polygons_and_ellipses(read):
    corners = vertices((0, 0), (500, 0), (500, 250))
    # Display space of 256: centre (128, 64), half axes 50 along x and 40 along y, foci at ±30.
    ellipse = f"<gating:foci>{vertices((98, 64), (158, 64))}</gating:foci>" + (
        f"<gating:edge>{vertices((178, 64), (78, 64), (128, 104), (128, 24))}</gating:edge>"
    )
    gates = population("p", dimension("A"), dimension("B"), kind="PolygonGate", extra=corners)
    gates += population("e", dimension("A"), dimension("B"), kind="EllipsoidGate", extra=ellipse)
    polygon, oval = read(sample(gates, scales=scale("A") + scale("B"))).gates
    assert isinstance(polygon, Polygon)
    assert polygon.vertices == ((0.0, 0.0), (0.5, 0.0), (0.5, 0.25))
    assert isinstance(oval, Polygon)
    x, y = (np.array(oval.vertices) * 256 - (128, 64)).T
    np.testing.assert_allclose((x / 50) ** 2 + (y / 40) ** 2, 1, rtol=1e-9)


def test_samples_are_found_by_name_by_fil_and_by_file(read):
    samples = [
        sample(population("one", dimension("A", 1)), name="1.fcs", fil="x.fcs"),
        sample(
            population("two", dimension("A", 1)),
            name="renamed",
            fil="y.fcs",
            uri="file:/D:/my%20study/z%20z.fcs",
            number=2,
        ),
    ]
    for wanted, expected in {
        "1.fcs": "one",
        "renamed": "two",
        "y.fcs": "two",
        "z z.fcs": "two",
        "sub/dir/x.fcs": "one",
        "sampleID=2": "two",
        "$FIL = x.fcs": "one",
        ("unknown.fcs", "y.fcs"): "two",
    }.items():
        assert read(*samples, wanted=wanted).paths == ("root", f"root/{expected}")


def test_other_samples_need_not_be_readable(read):
    broken = sample(population("b", dimension("A", 1)), scales=scale("A", "odd"), name="broken")
    plan = read(broken, sample(population("a", dimension("A", 1))), wanted="s.fcs")
    assert plan.paths == ("root", "root/a")


def test_every_sample_that_answers_is_named(read):
    samples = [
        sample(population("a", dimension("A", 1)), name=f"{n}", fil="same", number=n)
        for n in (1, 2)
    ]
    with pytest.raises(GatingError, match=r"2 samples .* by their \$FIL \(their ids: 1, 2\)"):
        read(*samples, wanted="same")
    with pytest.raises(GatingError, match=r"2 samples .* by their keyword \$FIL"):
        read(*samples, wanted="$FIL=same")
    with pytest.raises(GatingError, match=r"no sample 'TUBE=1' in the workspace; it has: 1, 2"):
        read(*samples, wanted="TUBE=1")


ONE = population("a", dimension("A", 1))


@pytest.mark.parametrize(
    ("samples", "wanted", "message"),
    [
        ([], None, "the workspace has no samples"),
        ([sample(ONE, name="1"), sample(ONE, name="2")], None, "has 2 samples; say which one"),
        ([sample(ONE, name=f"{i}") for i in range(21)], None, "17, 18, 19, …"),
        ([sample(ONE, name="1"), sample(ONE, name="2")], "3", "no sample '3' in the workspace; i"),
        (
            [sample(ONE, number=5), sample(ONE, number=6)],
            "s.fcs",
            "2 samples of the workspace are called 's.fcs' by their name (their ids: 5, 6); say",
        ),
        ([sample(ONE + ONE)], None, "two populations are called 'a'"),
        (
            [sample(ONE.replace("RectangleGate", "CurlyQuad"))],
            None,
            "population 'a' is defined by CurlyQuad; one of RectangleGate, PolygonGate, Ellipsoid",
        ),
        (
            [sample('<Population name="a" owningGroup=""/>')],
            None,
            "population 'a' is defined by nothing",
        ),
        (
            [sample(boolean("OrNode", "o", "a/b"))],
            None,
            "population 'o' combines 'a/b', which the sample does not have",
        ),
        (
            [sample(ONE, scales=scale("A", "odd"))],
            None,
            "the gates cannot be read (ValueError: FlowJo transform type 'odd' is undocumented",
        ),
        (
            [sample(ONE, matrix=spill(rows=((0, 0.2), (0.1, 1))))],
            None,
            "the diagonal value of A is 0",
        ),
        (
            [sample(population("a", dimension("A", 5, 5)))],
            None,
            "root/a: ranges.x: min 5 must be less than max 5",
        ),
    ],
)
def test_faults(read, samples, wanted, message):
    with pytest.raises(GatingError) as caught:
        read(*samples, wanted=wanted)
    assert message in str(caught.value)
    assert str(caught.value.file).endswith("w.wsp")


def test_older_versions_are_refused(read):
    with pytest.raises(GatingError, match="a workspace of FlowJo 10 was expected, found FlowJo 9"):
        read(sample(ONE), version="9.9.6")


def test_something_else_is_refused(tmp_path):
    (tmp_path / "w.wsp").write_text("<html/>")
    with pytest.raises(GatingError, match="the gates cannot be read"):
        read_gating(tmp_path / "w.wsp")


# --- workspaces that FlowJo saved, with the counts it stored


def flowjo_counts(path):
    with path.open(newline="") as file:
        return {row["path"]: int(row["count"]) for row in csv.DictReader(file)}


def test_a_real_workspace_counts_as_flowjo_does():
    fcs = real_file("FlowSOM/68983.fcs")
    plan = read_gating(real_file("FlowSOM/gating.wsp"), sample=fcs.name)
    counts = gate(read_fcs(fcs), plan).n_events
    stored = flowjo_counts(real_file("FlowSOM/flowjo_counts.csv"))
    assert len(stored) == 16
    # FlowJo bins polygons: 0.3 %, at least 2 events.
    wrong = {
        path: (counts[path], count)
        for path, count in stored.items()
        if abs(counts[path] - count) > max(2, 0.003 * count)
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "name",
    [
        "simple_diamond_example/simple_diamond_example_quad_gate",
        "simple_diamond_example/test_data_diamond_asinh_rect",
        "simple_diamond_example/test_data_diamond_asinh_rect2",
        "simple_diamond_example/test_data_diamond_biex_rect",
        "simple_line_example/single_ellipse_51_events",
    ],
)
def test_small_workspaces_count_as_flowjo_does(name):
    path = real_file(f"FlowKit/{name}.wsp")
    (fcs,) = path.parent.glob("*.fcs")
    counts = gate(read_fcs(fcs), read_gating(path)).n_events
    assert dict(counts) == flowjo_counts(path.with_name(f"{path.stem}_flowjo_counts.csv"))
