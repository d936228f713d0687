import tomllib

import pytest

from cytosepsis.errors import GatingError
from cytosepsis.gating.plan import Axis, Boolean, Ellipse, Operand, Polygon, Ratio, Rectangle
from cytosepsis.gating.reader import read_gating
from cytosepsis.gating.toml_plan import parse_toml_plan
from cytosepsis.transforms import Asinh, Biex, Hyperlog, Linear, Log, Logicle

EVERY_TYPE = """
[transforms.logicle]
type = "logicle"
T = 262144
W = 0.5
M = 4.5
A = 0.0

[[gates]]
name = "singlets"
type = "polygon"
x = "fsc"
y = "fsc_height"
vertices = [[10000, 5000], [250000, 180000], [250000, 260000.5]]

[[gates]]
name = "monocytes"
parent = "singlets"
type = "rectangle"
x = { channel = "cd14", transform = "logicle" }
y = { channel = "hladr", compensated = false }
ranges = { x = { min = 0.45, max = 0.9 }, y = { min = -1 } }

[[gates]]
name = "core"
parent = "root/singlets/monocytes"
type = "ellipse"
x = "cd14"
y = "ssc"
mean = [1, 2.5]
covariance = [[2, 1], [1, 3]]
distance_square = 4
complement = true

[[gates]]
name = "rest"
parent = "singlets"
type = "boolean"
operator = "and"
operands = ["root/singlets", { gate = "core", complement = true }]

[[gates]]
type = "quadrant"
parent = "singlets"
x = "cd14"
y = "hladr"
dividers = { x = [5], y = [7] }
names = { "+-" = "bright dull", "--" = "neither" }

[[gates]]
name = "one side"
type = "rectangle"
x = "ssc"
ranges = { x = { max = inf, min = 3 } }
"""


def parse(text):
    return parse_toml_plan(tomllib.loads(text))


def faults_of(text):
    with pytest.raises(GatingError) as caught:
        parse(text)
    return str(caught.value).splitlines()


RATIO = """
[transforms.log]
type = "log"
T = 100
M = 2

[[gates]]
name = "r"
type = "rectangle"
x = { channel = "fsc", transform = "log", ratio = { divisor = "fsc_height", A = 2, C = -1 } }
y = { channel = "ssc", compensated = false, ratio = { divisor = "fsc", B = 0.5, boundMax = 9 } }
ranges = { x = { min = 0.45 } }
"""


def test_ratios():
    plan = parse(RATIO)
    (gate,) = plan.gates
    assert gate.axes == (
        Axis("fsc", Log(100.0, 2.0), "default", Ratio("fsc_height", 2.0, 0.0, -1.0)),
        Axis("ssc", None, "uncompensated", Ratio("fsc", 1.0, 0.5, 0.0, None, 9.0)),
    )
    assert plan.channels == ("fsc", "fsc_height", "ssc")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('divisor = "fsc_height", ', "", "gates[0].x.ratio.divisor (r): text is needed here"),
        ("C = -1", 'C = "1"', "gates[0].x.ratio.C (r): a number was expected, found '1'"),
        (
            "C = -1",
            "c = -1",
            "gates[0].x.ratio.c (r): unknown key of a ratio; known: divisor, A, B",
        ),
        ("C = -1", "C = inf", "gates[0].x.ratio (r): A, B and C must be finite, found 2, 0, inf"),
        ("boundMax = 9", "boundMax = 9, boundMin = 9", "gates[0].y.ratio (r): boundMin 9 must be"),
        ('ratio = { divisor = "fsc_', 'ratio = { divisor = "", x = "', "x.ratio.x (r): unknown"),
    ],
)
def test_faults_of_ratios(old, new, fault):
    faults = faults_of(RATIO.replace(old, new))
    assert any(fault in line for line in faults), faults


def test_every_type(tmp_path):
    path = tmp_path / "plan.TOML"
    path.write_text("\ufeff" + EVERY_TYPE, encoding="utf-8")
    plan = read_gating(path, sample="means nothing here")
    logicle = Logicle(262144.0, 0.5, 4.5, 0.0)
    cd14, hladr = Axis("cd14"), Axis("hladr")
    inside = "root/singlets"
    assert plan.source == "plan.TOML"
    assert plan.gates == (
        Polygon(
            "singlets",
            "root",
            Axis("fsc"),
            Axis("fsc_height"),
            ((10000.0, 5000.0), (250000.0, 180000.0), (250000.0, 260000.5)),
        ),
        Rectangle(
            "monocytes",
            inside,
            (Axis("cd14", logicle), Axis("hladr", None, "uncompensated")),
            (0.45, -1.0),
            (0.9, None),
        ),
        Ellipse(
            "core",
            f"{inside}/monocytes",
            (cd14, Axis("ssc")),
            (1.0, 2.5),
            ((2.0, 1.0), (1.0, 3.0)),
            4.0,
            complement=True,
        ),
        Boolean(
            "rest",
            inside,
            "and",
            (Operand(inside), Operand(f"{inside}/monocytes/core", complement=True)),
        ),
        Rectangle("bright dull", inside, (cd14, hladr), (5.0, None), (None, 7.0)),
        Rectangle("neither", inside, (cd14, hladr), (None, None), (5.0, 7.0)),
        Rectangle("one side", "root", (Axis("ssc"),), (3.0,), (None,)),
    )


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('type = "linear"\nT = 10', Linear(10.0, 0.0)),
        ('type = "log"\nT = 10\nM = 2\nboundMin = 0\nboundMax = 1', Log(10.0, 2.0, 0.0, 1.0)),
        ('type = "asinh"\nT = 10\nM = 4\nA = 1', Asinh(10.0, 4.0, 1.0)),
        ('type = "hyperlog"\nT = 10\nW = 1\nM = 4\nA = 0', Hyperlog(10.0, 1.0, 4.0, 0.0)),
        ('type = "biex"', Biex()),
        (
            'type = "biex"\nlength = 256\nmaxRange = 1e5\nneg = 1\nwidth = -100\npos = 5',
            Biex(1.0, -100.0, 5.0, 1e5, 256),
        ),
    ],
)
def test_transforms(table, expected):
    plan = parse(
        f'[transforms.t]\n{table}\n[[gates]]\nname = "a"\ntype = "rectangle"\n'
        'x = { channel = "c", transform = "t" }\nranges = { x = { min = 1 } }'
    )
    assert plan.gates[0].axes[0].transform == expected


def test_quadrants_of_several_dividers_are_numbered():
    plan = parse(
        '[[gates]]\ntype = "quadrant"\nx = "a"\ny = "b"\ndividers = { x = [1, 3], y = [2] }\n'
        'names = { "1,1" = "middle top", "2,0" = "right bottom" }'
    )
    assert [(g.name, g.minimum, g.maximum) for g in plan] == [
        ("middle top", (1.0, 2.0), (3.0, None)),
        ("right bottom", (3.0, None), (None, 2.0)),
    ]


def test_quadrants_of_one_axis():
    plan = parse(
        '[[gates]]\ntype = "quadrant"\nx = "a"\ndividers = { x = [1] }\n'
        'names = { "-" = "low", "1" = "high" }'
    )
    assert [(g.name, g.minimum, g.maximum) for g in plan] == [
        ("low", (None,), (1.0,)),
        ("high", (1.0,), (None,)),
    ]


RECTANGLE = '[[gates]]\nname = "a"\ntype = "rectangle"\nx = "c"\n'
POLYGON = '[[gates]]\nname = "a"\ntype = "polygon"\nx = "c"\ny = "d"\n'
QUADRANT = '[[gates]]\nname = "q"\ntype = "quadrant"\nx = "c"\ny = "d"\n'
CROSS = QUADRANT + "dividers = { x = [1], y = [1] }\n"
BOOLEAN = '[[gates]]\nname = "a"\ntype = "boolean"\n'
SOUND = RECTANGLE + "ranges = { x = { min = 1 } }\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "gates: a plan needs at least one [[gates]] table"),
        ("gates = 3", "gates: an array was expected, found 3"),
        ("gates = [3]", "gates[0]: a table was expected, found 3"),
        ("gate = []", "gate: unknown key; did you mean 'gates'?"),
        ("[transforms]\na = 1\n" + SOUND, "transforms.a: a table was expected, found 1"),
        (
            '[transforms.a]\ntype = "lgicle"\n' + SOUND,
            "transforms.a.type: no transform 'lgicle'; d",
        ),
        ("[transforms.a]\nT = 1\n" + SOUND, "transforms.a.type: text is needed here"),
        (
            '[transforms.a]\ntype = "log"\nT = 1\n' + SOUND,
            "transforms.a.M: a number is needed here",
        ),
        (
            '[transforms.a]\ntype = "log"\nT = "x"\nM = true\n' + SOUND,
            "transforms.a.T: a number was expected, found 'x'",
        ),
        (
            '[transforms.a]\ntype = "log"\nT = 1\nM = 1\nW = 1\n' + SOUND,
            "transforms.a.W: unknown key of a log transform; known: type, T, M, boundMin, boundMax",
        ),
        (
            '[transforms.a]\ntype = "log"\nT = -1\nM = 1\n' + SOUND,
            "transforms.a: T is -1, must be > 0",
        ),
        (
            '[transforms.a]\ntype = "biex"\nlength = 2.5\n' + SOUND,
            "transforms.a: length is 2.5, must be a whole number from 2 to 1048576",
        ),
        ('[[gates]]\ntype = "rectangle"\n', "gates[0].name: text is needed here"),
        ('[[gates]]\nname = 3\ntype = "polygon"', "gates[0].name: text was expected, found 3"),
        ('[[gates]]\nname = "a"\n', "gates[0].type (a): text is needed here"),
        (
            '[[gates]]\nname = "a"\ntype = "elipse"',
            "gates[0].type (a): no gate 'elipse'; did you me",
        ),
        (
            '[[gates]]\nname = "a"\ntype = "singlet"\nx = "A"\ny = "B"\nwith = 3',
            "gates[0].with (a): unknown key of a singlet gate; did you mean 'width'?",
        ),
        (
            SOUND + "verices = 1",
            "gates[0].verices (a): unknown key of a rectangle gate; known: name",
        ),
        (SOUND + 'complement = "no"', "gates[0].complement (a): true or false was expected, found"),
        (
            '[[gates]]\nname = "a"\ntype = "rectangle"\n',
            "gates[0].x (a): a channel or a table with",
        ),
        (RECTANGLE, "gates[0].ranges (a): a table is needed here"),
        (RECTANGLE + "ranges = { y = {} }", "gates[0].ranges.y (a): unknown key (the gate has no"),
        (RECTANGLE + "ranges = { x = 3 }", "gates[0].ranges.x (a): a table was expected, found 3"),
        (
            RECTANGLE + "ranges = { x = { mn = 3 } }",
            "gates[0].ranges.x.mn (a): unknown key; did you",
        ),
        (RECTANGLE + "ranges = { x = {} }", "gates[0].ranges (a): no side is bounded: the gate"),
        (
            RECTANGLE + "ranges = { x = { min = nan } }",
            "gates[0].ranges.x (a): a bound is not a number",
        ),
        (
            '[[gates]]\nname = "a"\ntype = "rectangle"\nx = {}\nranges = { x = {} }',
            "gates[0].x.channel (a): text is needed here",
        ),
        (
            '[transforms.tt]\ntype = "biex"\n[[gates]]\nname = "a"\ntype = "rectangle"\n'
            'x = { channel = "c", transform = "t" }\nranges = { x = { min = 1 } }',
            "gates[0].x.transform (a): no transform 't' in [transforms]; did you mean 'tt'?",
        ),
        (
            '[[gates]]\nname = "a"\ntype = "rectangle"\nx = { channel = "c", compensate = false }\n'
            "ranges = { x = { min = 1 } }",
            "gates[0].x.compensate (a): unknown key of an axis; did you mean 'compensated'?",
        ),
        (
            '[[gates]]\nname = "a"\ntype = "polygon"\nx = "c"\nvertices = [[0, 0], [1, 1], [1, 0]]',
            "gates[0].y (a): a channel or a table with one is needed here",
        ),
        (POLYGON, "gates[0].vertices (a): an array is needed here"),
        (
            POLYGON + "vertices = [[1], [2, 2]]",
            "gates[0].vertices[0] (a): two numbers are needed, fo",
        ),
        (
            POLYGON + "vertices = [[], [2, 2]]",
            "gates[0].vertices[0] (a): two numbers are needed, fo",
        ),
        (
            POLYGON + "vertices = [[1, 'x']]",
            "gates[0].vertices[0] (a): an array of numbers was expe",
        ),
        (
            POLYGON + "vertices = [[1, 1], [2, 2]]",
            "gates[0].vertices (a): at least 3 different ones",
        ),
        (
            POLYGON + "vertices = [[1, 1], [2, 2], [3, inf]]",
            "gates[0].vertices[2] (a): two finite numbers are needed, found [3.0, inf]",
        ),
        (QUADRANT + "names = {}", "gates[0].dividers (q): a table is needed here"),
        (CROSS, "gates[0].names (q): a table is needed here"),
        (CROSS + "names = {}", "gates[0].names (q): name at least one quadrant"),
        (
            CROSS + 'names = { "+" = "a" }',
            "gates[0].names.+ (q): unknown key, no such quadrant; did",
        ),
        (
            CROSS + 'names = { "+-" = "a", "1,0" = "b" }',
            "gates[0].names.1,0 (q): this quadrant is already named 'a'",
        ),
        (CROSS + 'names = { "+-" = 3 }', "gates[0].names.+- (q): text was expected, found 3"),
        (CROSS + 'names = { "+-" = "a/b" }', "gates[0].names (q): 'a/b' contains '/'"),
        (
            QUADRANT + 'dividers = { x = [1], y = [2, 1] }\nnames = { "0,0" = "a" }',
            "gates[0].dividers.y (q): ascending finite numbers are needed, found [2.0, 1.0]",
        ),
        (
            QUADRANT + f"dividers = {{ x = [1], y = {list(range(101))} }}\nnames = {{}}",
            "gates[0].dividers.y (q): at most 100 dividers, found 101",
        ),
        (
            CROSS + 'names = { "+-" = "a" }\ncomplement = true',
            "gates[0].complement (q): unknown key o",
        ),
        (BOOLEAN + 'operator = "and"', "gates[0].operands (a): an array is needed here"),
        (
            BOOLEAN + 'operator = "not"\noperands = [{ gat = "b" }]',
            "gates[0].operands[0].gat (a): unknown key of an operand; did you mean 'gate'?",
        ),
        (
            BOOLEAN + 'operator = "not"\noperands = ["b"]',
            "gates[0].operands[0] (a): no population 'b' before this gate: known",
        ),
        (SOUND + 'parent = "b"', "gates[0].parent (a): no population 'b' before this gate"),
    ],
)
def test_faults_with_their_place(text, fault):
    assert any(line.startswith(fault) for line in faults_of(text)), faults_of(text)


def test_a_gate_that_cannot_be_read_is_still_known_to_its_children():
    text = RECTANGLE + SOUND.replace('"a"', '"b"\nparent = "a"')
    assert faults_of(text) == ["gates[0].ranges (a): a table is needed here"]


def test_quadrants_share_the_faults_of_their_parent():
    text = CROSS + 'names = { "+-" = "a", "--" = "b" }\nparent = "zzz"'
    assert faults_of(text) == [
        "gates[0].parent (q): no population 'zzz' before this gate: known here: root"
    ]


def test_all_faults_at_once():
    lines = faults_of(RECTANGLE + POLYGON.replace('"a"', '"b"') + "vertices = [[1]]\nz = 1")
    assert [line.split(":")[0] for line in lines] == [
        "gates[0].ranges (a)",
        "gates[1].z (b)",
        "gates[1].vertices[0] (b)",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", "the plan is not valid TOML: Invalid value"),
        (b"\xff\xfe", "the plan is not UTF-8 text"),
        (b"[[gates]]\n", "gates[0].type: text is needed here"),
        (None, "the plan cannot be read: No such file or directory"),
    ],
)
def test_errors_name_the_file(tmp_path, content, message):
    path = tmp_path / "plan.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GatingError) as caught:
        read_gating(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(GatingError, match=r"ends in \.toml, \.xml .* or \.wsp .*, not in '\.csv'"):
        read_gating(tmp_path / "plan.csv")
