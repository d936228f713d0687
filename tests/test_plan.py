import math

import pytest

from cytosepsis.compensation import Spillover
from cytosepsis.errors import GatingError
from cytosepsis.gating.dependencies import in_order
from cytosepsis.gating.plan import (
    Axis,
    Boolean,
    Ellipse,
    Operand,
    Polygon,
    Rectangle,
    make_plan,
)
from cytosepsis.transforms import (
    Asinh,
    Biex,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    OffsetLog,
    transform_faults,
)

X, Y = Axis("x"), Axis("y")
TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
MATRIX = Spillover(("A",), ("A",), ((1.0,),))


def slab(name, parent="root", low=0.0, high=1.0, axis=X):
    return Rectangle(name, parent, (axis,), (low,), (high,))


def message_of(*gates, **options):
    with pytest.raises(GatingError) as caught:
        make_plan(gates, **options)
    return str(caught.value)


def test_names_become_full_paths():
    plan = make_plan(
        [
            slab("a", ""),
            slab("b", "a"),
            slab("c", "root/a/b"),
            Boolean("d", "b", "and", (Operand("c"), Operand("root/a", complement=True))),
        ],
        source="p.toml",
    )
    assert plan.paths == ("root", "root/a", "root/a/b", "root/a/b/c", "root/a/b/d")
    assert plan.gates[3].operands == (Operand("root/a/b/c"), Operand("root/a", complement=True))
    assert plan.source == "p.toml"
    assert make_plan(plan.gates, plan.spillovers, plan.source) == plan


def test_infinite_bounds_are_open_sides():
    plan = make_plan([slab("a", low=-math.inf, high=3.0), slab("b", low=1.0, high=math.inf)])
    assert [(g.minimum, g.maximum) for g in plan] == [((None,), (3.0,)), ((1.0,), (None,))]


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ([slab("b", "a"), slab("a")], "root/a/b: parent: 'a' comes later in the plan"),
        ([slab("ab"), slab("c", "root/an")], "no population 'root/an' before this gate: did you"),
        ([slab("ab"), slab("c", "zz")], "no population 'zz' before this gate: known here: root, "),
        ([slab("a"), slab("b", "a"), slab("c", "a/b")], "did you mean 'root/a/b'?"),
        (
            [slab("a"), slab("t", "a"), slab("b"), slab("t", "b"), slab("c", "t")],
            "'t' is the name of several populations: write root/a/t or root/b/t",
        ),
        ([slab("a"), slab("a", "root")], "root/a: name: root/a is defined twice"),
        ([slab(" ")], "name: a population needs a name"),
        ([slab("a/b")], "name: 'a/b' contains '/', which separates"),
        ([slab("root")], "name: 'root' is the name of all events"),
        ([slab("a\nb")], "name: 'a\\nb' contains a control character"),
        ([slab("a", axis=Axis(" "))], "x: an axis needs a channel"),
        ([slab("a", axis=Axis("A", None, "M"))], "x: no matrix 'M' in the plan; it has: none"),
        (
            [slab("a", axis=Axis("A", Logicle(1.0, 3.0, 4.5)))],
            "root/a: x.transform: W is 3, must be at most M / 2",
        ),
        ([slab("a", low=2.0)], "root/a: ranges.x: min 2 must be less than max 1"),
        ([slab("a", low=math.nan)], "root/a: ranges.x: a bound is not a number"),
        ([slab("a", low=math.inf, high=None)], "ranges.x: min inf must be less than max inf"),
        ([slab("a", low=None, high=None)], "root/a: ranges: no side is bounded"),
        ([Rectangle("a", "root", (X, Y), (1.0,), (2.0,))], "2 axes, 1 minima and 1 maxima"),
        ([Polygon("a", "root", X, Y, TRIANGLE[:2])], "vertices: at least 3 different ones are"),
        ([Polygon("a", "root", X, Y, (*TRIANGLE[:2], TRIANGLE[0]))], "are needed, found 2"),
        (
            [Polygon("a", "root", X, Y, (*TRIANGLE, (math.inf, 0.0)))],
            "vertices[3]: two finite numbers are needed, found [inf, 0.0]",
        ),
        ([Boolean("a", "root", "xor", ())], "operator: 'xor' is none of and, or, not"),
        ([Boolean("a", "root", "and", ())], "operands: 'and' needs operands, found 0"),
        (
            [slab("a"), Boolean("b", "root", "not", (Operand("a"), Operand("a")))],
            "operands: 'not' needs one operand, found 2",
        ),
        (
            [Boolean("b", "root", "not", (Operand("b"),))],
            "operands[0]: 'b' comes later in the plan",
        ),
        ([Boolean("b", "root", "not", (Operand("root"),))], "root holds every event"),
    ],
)
def test_faults(gates, message):
    assert message in message_of(*gates)


def ellipse(mean=(0.0, 0.0), covariance=((1.0, 0.0), (0.0, 1.0)), square=1.0, axes=(X, Y)):
    return Ellipse("e", "root", axes, mean, covariance, square)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            ellipse(axes=(X,), mean=(0.0,), covariance=((1.0,),)),
            "axes: an ellipse needs at least 2",
        ),
        (ellipse(mean=(0.0,)), "mean: 2 finite numbers are needed, found [0.0]"),
        (ellipse(mean=(0.0, math.nan)), "mean: 2 finite numbers are needed"),
        (ellipse(square=0.0), "distance_square: must be positive, found 0"),
        (ellipse(covariance=((1.0, 0.0),)), "covariance: 2 rows of 2 finite numbers are needed"),
        (ellipse(covariance=((1.0, 0.5), (0.4, 1.0))), "must be symmetric and positive definite"),
        (ellipse(covariance=((1.0, 2.0), (2.0, 1.0))), "must be symmetric and positive definite"),
        (ellipse(covariance=((1.0, 0.0), (0.0, -1.0))), "must be symmetric and positive definite"),
    ],
)
def test_ellipse_faults(gate, message):
    assert message in message_of(gate)


def test_ellipses_are_judged_whatever_their_units():
    # FSC in 1e5 against a transformed axis in 1e-1: a plain condition number would refuse this.
    assert make_plan([ellipse(covariance=((4e9, 20.0), (20.0, 1e-4)))])


def test_ellipses_of_the_standard_need_only_be_invertible():
    askew = ellipse(covariance=((1.0, 2.0), (1.0, 1.0)))
    assert make_plan([askew], strict_ellipses=False).gates == (askew,)
    flat = ellipse(covariance=((1.0, 1.0), (1.0, 1.0)))
    assert "covariance: cannot be inverted" in message_of(flat, strict_ellipses=False)


def test_matrices_need_names_of_their_own():
    message = message_of(spillovers=[("M", MATRIX), ("M", MATRIX), ("FCS", MATRIX)])
    assert message == (
        "spillovers: M: two matrices have this name\n"
        "spillovers: FCS: a matrix cannot be named 'FCS'"
    )
    assert make_plan([slab("a", axis=Axis("A", None, "M"))], [("M", MATRIX)])


def test_all_faults_are_told_at_once():
    lines = message_of(slab("a/"), slab("b", low=3.0), source="p.toml").splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("p.toml: root/a/: name:")


@pytest.mark.parametrize(
    "transform",
    [
        Linear(1.0, -0.5),
        Log(10.0, 1.0),
        Asinh(1.0, 4.0, 4.0),
        Logicle(1.0, 0.0, 4.5),
        Logicle(1.0, 1.0, 4.0, -1.0),
        Hyperlog(1.0, 1.0, 2.0),
        Biex(),
        Biex(length=256, width=-1.0),
        OffsetLog(0.1, 5.0),
    ],
)
def test_sound_transforms(transform):
    assert list(transform_faults(transform)) == []


@pytest.mark.parametrize(
    ("transform", "faults"),
    [
        (Linear(1.0, -1.0), ["A is -1, must be > -T"]),
        (Linear(0.0), ["T is 0, must be > 0", "A is 0, must be > -T"]),
        (Log(0.0, -1.0), ["T is 0, must be > 0", "M is -1, must be > 0"]),
        (Asinh(1.0, 2.0, 3.0), ["A is 3, must be 0 to M"]),
        (Logicle(1.0, -0.1, 4.5), ["W is -0.1, must be >= 0", "A is 0, must be -W to M - 2 W"]),
        (Logicle(1.0, 1.0, 4.5, 2.6), ["A is 2.6, must be -W to M - 2 W"]),
        (Hyperlog(1.0, 0.0, 4.5), ["W is 0, must be > 0"]),
        (Hyperlog(1.0, 2.5, 4.5, -1.0), ["W is 2.5, must be at most M / 2"]),
        (OffsetLog(0.0, 0.0), ["offset is 0, must be > 0", "decades is 0, must be > 0"]),
        (Biex(max_range=0.0, negative=-1.0), ["maxRange is 0, must", "neg is -1, must be >= 0"]),
        (Biex(width=10.0), ["width is 10, must be at most -1"]),
        (Biex(length=1), ["length is 1, must be a whole number from 2 to"]),
        (Biex(positive=0.5), ["pos is 0.5, must be > log10(-width) / 2"]),
        (Log(math.nan, math.inf), ["top, decades must be finite"]),
        (Log(1.0, 1.0, 2.0, 1.0), ["boundMin 2 must be less than boundMax 1"]),
    ],
)
def test_transform_limits(transform, faults):
    found = list(transform_faults(transform))
    assert len(found) == len(faults)
    assert all(text.startswith(start) for text, start in zip(found, faults, strict=True))


def test_gates_are_ordered_by_need_and_else_as_given():
    assert in_order({"c": ["a"], "b": [], "a": [], "d": ["b"]}) == ["b", "a", "c", "d"]
    with pytest.raises(GatingError, match=r"in a circle: (a → b → a|b → a → b)"):
        in_order({"a": ["b"], "b": ["a"]})
