"""Golden tables of every scale: ours, FlowKit's and published values within what is stated."""

import csv
import math
from pathlib import Path

import flowkit
import numpy as np
import pytest
from lxml import etree

import naive
from cytosepsis.gating.apply import gate
from cytosepsis.gating.plan import UNCOMPENSATED, Axis, GatingPlan, Ratio, Rectangle
from cytosepsis.transform_values import apply, inverse
from cytosepsis.transforms import Asinh, Biex, Hyperlog, Linear, Log, Logicle
from events import raw_of
from plan_files import real_file

TABLE = Path(__file__).parent / "golden" / "transforms.csv"

# How far from the table, as a share of the scale's length (biex: of 4096); measured: 3e-16, both
# ours and FlowKit's. A biex table is built of exponentials, which platforms round differently.
TOLERANCE = {"biex": 1e-12}
TOLERANCE_ELSE = 2e-15


KINDS = {kind.__name__.lower(): kind for kind in (Linear, Log, Asinh, Logicle, Hyperlog, Biex)}


def golden():
    """Scales of the table with their values: (kind, transform) → x, y."""
    scales = {}
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            texts = (row[key] for key in ("first", "second", "third", "fourth"))
            numbers = tuple(float(text) for text in texts if text)
            pairs = scales.setdefault((row["kind"], numbers), [])
            pairs.append((float(row["x"]), float(row["y"])))
    return {
        (kind, KINDS[kind](*numbers)): tuple(np.array(pairs).T)
        for (kind, numbers), pairs in scales.items()
    }


GOLDEN = golden()
EACH = pytest.mark.parametrize(("kind", "scale"), list(GOLDEN), ids=str)


def close(found, wanted, tolerance):
    """Equal within the tolerance, and infinite or no number in the same places."""
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


@EACH
def test_ours(kind, scale):
    x, y = GOLDEN[kind, scale]
    length = scale.length if isinstance(scale, Biex) else 1.0
    close(apply(scale, x), y, TOLERANCE.get(kind, TOLERANCE_ELSE) * length)


@EACH
def test_the_table_is_what_the_formulas_say(kind, scale):
    x, y = GOLDEN[kind, scale]
    some = range(len(x) % 3, len(x), 5)
    assert [naive.transform(scale, float(x[k])) for k in some] == pytest.approx(
        [float(y[k]) for k in some], rel=0, abs=0, nan_ok=True
    )


def test_the_table_has_every_kind():
    assert {kind for kind, _ in GOLDEN} == set(KINDS)
    assert all(len(x) == 21 for x, _ in GOLDEN.values())


@EACH
def test_flowkit(kind, scale):
    x, y = GOLDEN[kind, scale]
    if kind == "biex":
        theirs = flowkit.transforms.WSPBiexTransform(
            negative=scale.negative,
            width=scale.width,
            positive=scale.positive,
            max_value=scale.max_range,
        )
        close(theirs.apply(x), y, TOLERANCE["biex"] * 4096)
        return
    t = flowkit.transforms
    theirs = {
        "linear": lambda: t.LinearTransform(scale.top, scale.additional),
        "log": lambda: t.LogTransform(scale.top, scale.decades),
        "asinh": lambda: t.AsinhTransform(scale.top, scale.decades, scale.additional),
        "logicle": lambda: t.LogicleTransform(
            scale.top, scale.width, scale.decades, scale.additional
        ),
        "hyperlog": lambda: t.HyperlogTransform(
            scale.top, scale.width, scale.decades, scale.additional
        ),
    }[kind]()
    with np.errstate(all="ignore"):
        found = theirs.apply(np.ascontiguousarray(x))
    close(found, y, TOLERANCE_ELSE)


# --- published values

POINTS = (-10, -5, -1, 0, 0.3, 1, 3, 10, 100, 1000)
# Tables of Gating-ML 2.0 (T = 1000) as FlowUtils and others keep them: six digits.
PUBLISHED = {
    Logicle(1000.0, 1.0, 4.0, 0.0): (
        *(0.067574, 0.147986, 0.228752, 0.25, 0.256384),
        *(0.271248, 0.312897, 0.432426, 0.739548, 1.0),
    ),
    Hyperlog(1000.0, 1.0, 4.0, 0.0): (
        *(0.08355406, 0.15586819, 0.2294768, 0.25, 0.25623887),
        *(0.2705232, 0.30909185, 0.41644594, 0.73187469, 1.0),
    ),
    Asinh(1000.0, 4.0, 1.0): (
        *(-0.200009, -0.139829, -0.000856, 0.2, 0.303776),
        *(0.400856, 0.495521, 0.600009, 0.8, 1.0),
    ),
}


@pytest.mark.parametrize("scale", list(PUBLISHED), ids=str)
def test_published_values(scale):
    np.testing.assert_allclose(apply(scale, np.array(POINTS)), PUBLISHED[scale], atol=5.1e-7)


# --- Gating-ML 1.5: the same curves under other parameters, printed with two decimals


def table_of(name):
    with real_file(f"gatingMLData/gml15/expected/{name}/{name}.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["AS"].strip().lstrip("-").isdecimal()]
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0] if key}


def described(name, kind):
    """(id, a, b, channel) of each transform of a kind in a file of the suite, version 1.5."""
    space = "{http://www.isac-net.org/std/Gating-ML/v1.5/transformations}"
    types = "{http://www.isac-net.org/std/Gating-ML/v1.5/datatypes}"
    root = etree.parse(real_file(f"gatingMLData/gml15/xml/{name}.xml")).getroot()
    for element in root.findall(f"{space}transformation"):
        found = element.find(space + kind)
        parameter = None if found is None else found.find(types + "parameter")
        if parameter is not None:
            a, b = (float(found.get(space + key)) for key in "ab")
            yield element.get(space + "id"), a, b, parameter.get(types + "name")


def test_asinh_of_the_older_standard():
    """b · asinh(a x)."""
    table = table_of("25TrASinH")
    n = 0
    for name, a, b, channel in described("25TrASinH", "asinh"):
        ln10 = math.log(10)
        found = apply(Asinh(math.sinh(ln10) / abs(a), 1.0, 0.0), table[channel]) * ln10 * b
        np.testing.assert_allclose(math.copysign(1, a) * found, table[name], atol=0.0051)
        n += 1
    assert n >= 4


def test_ln_of_the_older_standard():
    """b · ln(a x); 0 where the logarithm is not defined, where ours is no number."""
    table = table_of("23TrLn")
    n = 0
    for name, a, b, channel in described("23TrLn", "ln"):
        if a > 0:
            found = apply(Log(10 / a, 1.0), table[channel]) * math.log(10) * b
            np.testing.assert_allclose(found, table[name], atol=0.0051)
            n += 1
    assert n >= 4


def test_hyperlog_of_the_older_standard():
    """Bagwell's own parameters: a = r / d, b the linear part; x = 10^(y/a) + b y / a - 1."""
    table = table_of("27TrHyperlog")
    n = 0
    for name, a, b, channel in described("27TrHyperlog", "hyperlog"):
        width = small_root(b)
        if width is None:
            continue
        decades = 5.0
        u = 1 - width / decades
        top = math.expm1(decades * math.log(10) * u) + b * decades * u
        y = apply(Hyperlog(top, width, decades, 0.0), table[channel])
        found = a * decades * (y - width / decades)
        np.testing.assert_allclose(found, table[name], atol=0.0051)
        n += 1
    assert n >= 4


def small_root(b):
    """W ≤ 1 / ln 10 with 10^W / W = b, by halving; none where b is too small."""
    low, high = 1e-9, 1 / math.log(10)
    if 10**high / high > b:
        return None
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if 10**middle / middle > b else (low, middle)
    return low


def test_ratios_of_the_older_standard():
    table = table_of("20TrRatio")
    for name, x, y in (("TrR1", "BS", "AS"), ("TrR3", "HS", "DS"), ("TrR5", "CS", "FS")):
        raw = raw_of(np.column_stack([table[x], table[y]]), ("x", "y"))
        axis = Axis("x", None, UNCOMPENSATED, Ratio("y"))
        for row, printed in enumerate(table[name]):
            around = Rectangle("r", "root", (axis,), (printed - 0.0051,), (printed + 0.0051,))
            assert gate(raw, GatingPlan((around,))).mask("root/r")[row]


def test_flowjos_own_table():
    """As FlowJo exported it: six digits of the linear value of each of 4096 channels."""
    name = "tr_biex_l256_w-7.943282_n1.000000_m4.418540_r262144.000029.csv"
    with real_file(f"FlowKit/flowjo_xforms/{name}").open(newline="") as file:
        rows = np.array(list(csv.reader(file))[1:], dtype=float)
    found = inverse(Biex(negative=1.0, width=-7.943282), rows[:, 0])
    np.testing.assert_allclose(found, rows[:, 1], rtol=6e-6, atol=1e-3)
