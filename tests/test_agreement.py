"""Plans and files as FlowKit's GatingStrategy sees them, to the event; and where not, why."""

import warnings

import flowkit
import numpy as np
import pytest
from flowkit import gates
from flowkit import transforms as theirs

from cytosepsis import transforms
from cytosepsis.compensation import Spillover, spillover_of
from cytosepsis.fcs import read_fcs
from cytosepsis.fcs_write import write_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import (
    UNCOMPENSATED,
    Axis,
    Boolean,
    Ellipse,
    GatingPlan,
    Operand,
    Polygon,
    Rectangle,
    path_of,
)
from cytosepsis.transform_values import apply
from plan_files import real_file

DETECTORS = ("PerCP-A", "PE-A", "APC-A")
MATRIX = Spillover(
    DETECTORS, DETECTORS, ((1.0, 0.08, 0.01), (0.15, 1.0, 0.02), (0.03, 0.005, 1.0)), "panel"
)
NAMES = ("FSC-A", "FSC-H", "SSC-A", *DETECTORS, "Time")
TRANSFORMS = {
    "linear": (transforms.Linear(262144.0, 1000.0), theirs.LinearTransform(262144, 1000)),
    "asinh": (transforms.Asinh(262144.0, 4.5, 0.5), theirs.AsinhTransform(262144, 4.5, 0.5)),
    "logicle": (
        transforms.Logicle(262144.0, 0.5, 4.5, 0.0),
        theirs.LogicleTransform(262144, 0.5, 4.5, 0),
    ),
    "logicle_a": (
        transforms.Logicle(262144.0, 1.0, 4.5, 0.5),
        theirs.LogicleTransform(262144, 1.0, 4.5, 0.5),
    ),
    "hyperlog": (
        transforms.Hyperlog(262144.0, 0.5, 4.5, 0.0),
        theirs.HyperlogTransform(262144, 0.5, 4.5, 0),
    ),
    "log": (transforms.Log(262144.0, 4.5), theirs.LogTransform(262144, 4.5)),
}
OURS = {name: pair[0] for name, pair in TRANSFORMS.items()}


def blood(n, seed):
    """Lysed blood as a cytometer sees it: (n, 7) events in the order of NAMES."""
    random = np.random.default_rng(seed)
    # share, FSC, SSC, CD14, HLA-DR, CD3: medians
    kinds = np.array(
        [
            (0.20, 60e3, 15e3, 60.0, 300.0, 9000.0),  # T cells
            (0.05, 62e3, 16e3, 70.0, 25000.0, 80.0),  # B cells
            (0.08, 110e3, 45e3, 22000.0, 12000.0, 150.0),  # monocytes
            (0.57, 120e3, 120e3, 900.0, 250.0, 120.0),  # granulocytes
            (0.10, 9e3, 8e3, 40.0, 60.0, 40.0),  # debris
        ]
    )
    kind = kinds[random.choice(len(kinds), n, p=kinds[:, 0])]
    values = kind[:, 1:] * random.lognormal(0, (0.12, 0.2, 0.35, 0.4, 0.3), (n, 5))
    light = values[:, 2:] @ MATRIX.array() + random.normal(0, 60, (n, 3))
    doublet = random.random(n) < 0.04
    area = values[:, 0] * np.where(doublet, 1.8, 1.0)
    height = values[:, 0] * 0.85 * random.normal(1, 0.03, n)
    time = np.sort(random.random(n)) * 60
    return np.column_stack([area, height, values[:, 1], light, time])


@pytest.fixture(scope="module")
def blood_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("blood") / "a.fcs"
    write_fcs(path, blood(30_000, 7), pnn=NAMES)
    return path


def strategy_of(plan, spillover):
    """Turn our plan into FlowKit's; an axis without a say on compensation uses the matrix."""
    strategy = flowkit.GatingStrategy()
    matrix = flowkit.Matrix(spillover.array(), list(spillover.detectors))
    strategy.add_comp_matrix("panel", matrix)
    for name, (_, transform) in TRANSFORMS.items():
        strategy.add_transform(name, transform)
    names = {ours: name for name, (ours, _) in TRANSFORMS.items()}

    def dimension(axis, low=None, high=None):
        compensated = axis.channel in spillover.detectors and axis.compensation != UNCOMPENSATED
        return flowkit.Dimension(
            axis.channel,
            "panel" if compensated else "uncompensated",
            None if axis.transform is None else names[axis.transform],
            low,
            high,
        )

    for one in plan:
        match one:
            case Rectangle():
                dims = map(dimension, one.axes, one.minimum, one.maximum)
                made = gates.RectangleGate(one.name, list(dims), use_complement=one.complement)
            case Polygon():
                dims = [dimension(one.x), dimension(one.y)]
                made = gates.PolygonGate(
                    one.name, dims, list(one.vertices), use_complement=one.complement
                )
            case Ellipse():
                dims = [dimension(axis) for axis in one.axes]
                made = gates.EllipsoidGate(
                    one.name, dims, one.mean, np.array(one.covariance), one.distance_square
                )
            case Boolean():
                refs = []
                for operand in one.operands:
                    *path, name = operand.gate.split("/")
                    refs.append(
                        {"ref": name, "path": tuple(path), "complement": operand.complement}
                    )
                made = gates.BooleanGate(one.name, one.operator, refs)
        strategy.add_gate(made, tuple(one.parent.split("/")))
    return strategy


def compare(path, plan, spillover):
    """Compare membership under every gate; return ours."""
    raw = read_fcs(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*reported incorrect data offset", UserWarning)
        sample = flowkit.Sample(str(path), ignore_offset_error=True)
        # FlowKit takes the logarithm of negative values and says so
        warnings.filterwarnings("ignore", "(invalid value|divide by zero)", RuntimeWarning)
        result = strategy_of(plan, spillover).gate_sample(sample)
    ours = gate(raw, plan, spillover=spillover)
    masks = ours.masks()
    for one in plan:
        theirs = result.get_gate_membership(one.name, tuple(one.parent.split("/")))
        mine = masks[path_of(one)]
        assert (theirs != mine).sum() == 0, (path_of(one), theirs.sum(), mine.sum())
        count = result.get_gate_count(one.name, tuple(one.parent.split("/")))
        assert ours.n_events[path_of(one)] == count
    return ours


def test_a_monocyte_hierarchy_on_blood(blood_file):
    """Rectangle, polygon off the edges, ellipse, quadrants and booleans; compensated logicle."""
    logicle = OURS["logicle"]
    cd14, hladr, cd3 = (Axis(name, logicle) for name in DETECTORS)
    singlets = "root/cells/singlets"
    both = f"{singlets}/both"
    quadrants = [
        Rectangle(name, both, (cd14, hladr), low, high)
        for name, low, high in (
            ("++", (0.55, 0.5), (None, None)),
            ("+-", (0.55, None), (None, 0.5)),
            ("-+", (None, 0.5), (0.55, None)),
            ("--", (None, None), (0.55, 0.5)),
        )
    ]
    plan = GatingPlan(
        (
            Rectangle("cells", "root", (Axis("FSC-A"), Axis("SSC-A")), (2e4, None), (None, 2.5e5)),
            Polygon(
                "singlets", "root/cells", Axis("FSC-A"), Axis("FSC-H"),
                ((15e3, 9e3), (2.6e5, 1.9e5), (2.6e5, 2.5e5), (15e3, 17e3)),
            ),
            Polygon(
                "monocytes", singlets, cd14, Axis("SSC-A"),
                ((0.6, 2e4), (0.91, 1.7e4), (0.93, 1.1e5), (0.7, 1.3e5), (0.58, 7e4)),
            ),
            Ellipse(
                "dr", f"{singlets}/monocytes", (hladr, cd14), (0.68, 0.75),
                ((0.01, 0.004), (0.004, 0.009)), 2.3,
            ),
            Boolean(
                "both", singlets, "not", (Operand(f"{singlets}/monocytes/dr"),),
            ),
            *quadrants,
            Boolean(
                "either", singlets, "or",
                (Operand(f"{both}/++"), Operand(f"{singlets}/monocytes", True)),
            ),
            Boolean(
                "neither", singlets, "and",
                (Operand(f"{both}/++", True), Operand(f"{singlets}/monocytes")),
            ),
            Rectangle("t", singlets, (cd3,), (0.5,), (0.9,), True),
        )
    )  # fmt: skip
    found = compare(blood_file, plan, MATRIX)
    assert 1000 < found.n_events[f"{singlets}/monocytes"] < 4000
    assert found.n_events[f"{singlets}/monocytes/dr"] > 500
    assert sum(found.n_events[path_of(one)] for one in quadrants) == found.n_events[both]


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_each_transform(blood_file, name):
    """Intervals, polygons and ellipses on the transformed, compensated axis."""
    x, y = Axis("PE-A", OURS[name]), Axis("PerCP-A", OURS[name])
    ends = apply(OURS[name], np.array([40.0, 9e3, 5e4]))
    low, middle, high = np.quantile(ends, (0.1, 0.5, 0.9)).tolist()
    spread = (high - low) / 4
    plan = GatingPlan(
        (
            Rectangle("box", "root", (x, y), (low, low), (middle, high)),
            Rectangle("over", "root", (x,), (middle,), (None,)),
            Polygon(
                "shape", "root", x, y,
                ((low, low), (high, low + spread / 3), (high - spread / 2, high), (middle, low)),
            ),
            Ellipse(
                "round", "root", (x, y), (middle, middle),
                ((spread**2, spread**2 / 3), (spread**2 / 3, spread**2)), 2.0,
            ),
        )
    )  # fmt: skip
    found = compare(blood_file, plan, MATRIX)
    assert all(0 < found.n_events[path] < 30_000 for path in plan.paths[1:])


def test_quadrants_as_flowkit_draws_them(blood_file):
    logicle = OURS["logicle"]
    dividers = [
        flowkit.QuadrantDivider("x", "PerCP-A", "panel", [0.3, 0.55], "logicle"),
        flowkit.QuadrantDivider("y", "PE-A", "panel", [0.5], "logicle"),
    ]
    x, y = Axis("PerCP-A", logicle), Axis("PE-A", logicle)
    edges = ((None, 0.3), (0.3, 0.55), (0.55, None))
    ours, drawn = [], []
    for i, (left, right) in enumerate(edges):
        for j, (low, high) in enumerate(((None, 0.5), (0.5, None))):
            name = f"q{i}{j}"
            ours.append(Rectangle(name, "root", (x, y), (left, low), (right, high)))
            drawn.append(
                gates.Quadrant(
                    quadrant_id=name,
                    divider_refs=["x", "y"],
                    divider_ranges=[(left, right), (low, high)],
                )
            )
    strategy = strategy_of(GatingPlan(()), MATRIX)
    strategy.add_gate(gates.QuadrantGate("quads", dividers, drawn), ("root",))
    result = strategy.gate_sample(flowkit.Sample(str(blood_file)))
    masks = gate(read_fcs(blood_file), GatingPlan(tuple(ours)), spillover=MATRIX).masks()
    for one in ours:
        theirs_mask = result.get_gate_membership(one.name, ("root", "quads"))
        np.testing.assert_array_equal(masks[path_of(one)], theirs_mask)


def test_the_median_agrees_to_twelve_digits(blood_file):
    """Of compensated linear values of a population, as the assay reports it."""
    sample = flowkit.Sample(str(blood_file))
    sample.apply_compensation(flowkit.Matrix(MATRIX.array(), list(DETECTORS)))
    theirs_values = sample.get_events("comp")[:, NAMES.index("PE-A")]
    cd14 = Axis("PerCP-A", OURS["logicle"])
    plan = GatingPlan((Rectangle("g", "root", (cd14,), (0.6,), (None,)),))
    measures = [Measure("root/g", "PE-A"), Measure("root/g", "PE-A", UNCOMPENSATED)]
    found = gate(read_fcs(blood_file), plan, spillover=MATRIX, measures=measures)
    inside = found.mask("root/g")
    assert inside.sum() > 1000
    median = np.median(theirs_values[inside])
    # FlowKit solves linear equations, we multiply by the inverse: the last bits may differ
    assert np.median(found.values[measures[0]]) == pytest.approx(median, rel=1e-12)
    raw = sample.get_events("raw")[:, NAMES.index("PE-A")][inside]
    np.testing.assert_array_equal(found.values[measures[1]], raw)


REAL = [
    "CytoPipeline/Donor1.fcs",
    "FlowKit/test_comp_example.fcs",
    "FlowKit/4_color_beads/Compensation Controls_Blue B Stained Control_005.fcs",
]


@pytest.mark.parametrize("name", REAL)
def test_real_files(name):
    """Generic plan over a real file's own channels and matrix, gates at quantiles of its values."""
    path = real_file(name)
    raw = read_fcs(path)
    own = spillover_of(raw.keywords) or Spillover(raw.pnn[3:4], raw.pnn[3:4], ((1.0,),))
    events = raw.linear()
    light = own.detectors[:2] if len(own.detectors) > 1 else own.detectors * 2
    first = Axis(raw.pnn[0])
    x, y = Axis(light[0], OURS["logicle"]), Axis(light[1], OURS["asinh"])
    low, high = np.quantile(events[:, 0], (0.1, 0.8)).tolist()
    # off the values of the file, of which integers lie on their quantiles
    x1, x2, x3, y1, y2, y3 = (
        float(value) + 1e-7
        for axis in (x, y)
        for value in np.quantile(
            apply(axis.transform, events[:, raw.pnn.index(axis.channel)]),
            (0.2, 0.6, 0.95),
        )
    )
    plan = GatingPlan(
        (
            Rectangle("a", "root", (first,), (low,), (high,)),
            Polygon(
                "b", "root/a", x, y,
                ((x1, y1), (x3, y2), (x2, y3), (x1 - 0.1, y3 + 0.1)),
            ),
            Rectangle("c", "root/a", (x, y), (x1, None), (None, y3)),
            Boolean("d", "root/a", "and", (Operand("root/a/b"), Operand("root/a/c", True))),
        )
    )  # fmt: skip
    found = compare(path, plan, own)
    assert 0 < found.n_events["root/a/c"] < raw.n_events


# --- where the standard decides against FlowKit


def two_columns(tmp_path, rows):
    path = tmp_path / "a.fcs"
    write_fcs(path, rows, pnn=("A", "B"))
    return path


def membership(path, strategy, name="g"):
    return strategy.gate_sample(flowkit.Sample(str(path))).get_gate_membership(name, ("root",))


def test_edges_and_vertices_of_a_polygon_are_inside(tmp_path):
    """Gating-ML 2.0, 5.1.2; FlowKit leaves some of them out."""
    vertices = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))
    border = [(0, 0), (4, 0), (4, 4), (0, 4), (2, 0), (4, 2), (2, 4), (0, 2)]
    path = two_columns(tmp_path, [*border, (2, 2), (5, 5)])
    plan = GatingPlan((Polygon("g", "root", Axis("A"), Axis("B"), vertices),))
    ours = gate(read_fcs(path), plan).mask("root/g").tolist()
    assert ours == [True] * 9 + [False]
    strategy = flowkit.GatingStrategy()
    strategy.add_gate(
        gates.PolygonGate("g", [flowkit.Dimension("A"), flowkit.Dimension("B")], list(vertices)),
        ("root",),
    )
    assert not membership(path, strategy)[:8].all()


def test_bounds_are_part_of_a_transform(tmp_path):
    """Gating-ML 2.0, 6.7: beyond them values are set to the bound; FlowKit does not know them."""
    path = two_columns(tmp_path, [(-5000.0, 0), (100.0, 0), (1e7, 0)])
    bounded = transforms.Logicle(262144.0, 0.5, 4.5, 0.0, 0.0, 1.0)
    plan = GatingPlan((Rectangle("g", "root", (Axis("A", bounded),), (0.0,), (1.5,)),))
    free = transforms.Logicle(262144.0, 0.5, 4.5, 0.0)
    loose = GatingPlan((Rectangle("g", "root", (Axis("A", free),), (0.0,), (1.2,)),))
    raw = read_fcs(path)
    assert gate(raw, plan).mask("root/g").tolist() == [True, True, True]
    strategy = strategy_of(GatingPlan(()), Spillover(("A",), ("A",), ((1.0,),)))
    dimension = flowkit.Dimension("A", "uncompensated", "logicle", 0.0, 1.2)
    strategy.add_gate(gates.RectangleGate("g", [dimension]), ("root",))
    theirs_mask = membership(path, strategy).tolist()
    assert theirs_mask == gate(raw, loose).mask("root/g").tolist() == [False, True, False]


def test_compensation_is_a_matter_of_each_dimension(tmp_path):
    """One gate, one axis compensated and the other not; FlowKit compensates both."""
    path = two_columns(tmp_path, [(100.0, 60.0), (0.0, 60.0)])
    matrix = Spillover(("A", "B"), ("A", "B"), ((1.0, 0.5), (0.5, 1.0)))
    axes = (Axis("A"), Axis("B", None, UNCOMPENSATED))
    plan = GatingPlan((Rectangle("g", "root", axes, (None, 50.0), (None, None)),))
    assert gate(read_fcs(path), plan, spillover=matrix).mask("root/g").tolist() == [True, True]
    assert membership(path, strategy_of(plan, matrix)).tolist() != [True, True]


def test_rectangles_hold_their_minimum_and_not_their_maximum_in_both(tmp_path):
    path = two_columns(tmp_path, [(1.0, 0), (2.0, 0), (3.0, 0)])
    plan = GatingPlan((Rectangle("g", "root", (Axis("A"),), (1.0,), (3.0,)),))
    assert gate(read_fcs(path), plan).mask("root/g").tolist() == [True, True, False]
    strategy = strategy_of(plan, Spillover(("B",), ("B",), ((1.0,),)))
    assert membership(path, strategy).tolist() == [True, True, False]
