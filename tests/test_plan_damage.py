"""Altered plans: read, or refused as ours; never another exception."""

import contextlib
import random
import re

import pytest

from cytosepsis.errors import GatingError
from cytosepsis.gating.reader import read_gating
from plan_files import real_file

TOML = """
[transforms.l]
type = "logicle"
T = 1000
W = 0.5
M = 4.5
[[gates]]
name = "a"
type = "polygon"
x = { channel = "c", transform = "l" }
y = "d"
vertices = [[1, 2], [3, 4], [5, 0]]
[[gates]]
type = "quadrant"
parent = "a"
x = "c"
y = "d"
dividers = { x = [1, 3], y = [2] }
names = { "0,1" = "b", "1,0" = "c" }
[[gates]]
name = "e"
type = "boolean"
operator = "or"
operands = ["b", { gate = "c", complement = true }]
"""
ODD = ["", '""', '"nan"', '"-1e400"', '"x"', "0", '"root"', '"a/b"', "[", "nan", "{}"]


def altered(text, seed):
    chance = random.Random(seed)  # noqa: S311  (no secret)
    parts = re.findall(r'"[^"]*"|<[^>]*>|[^<"\s]+|\s+', text)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(parts))
        parts[place] = chance.choice([*ODD, parts[place] * 2, chance.choice(parts)])
    return "".join(parts)


def sources():
    yield "toml", TOML
    for name in ("boolean_and3_complement", "matrix_transform_logicle_rect1", "quadrant2"):
        yield "xml", real_file(f"FlowKit/gate_ref/gml/gml_{name}_gate.xml").read_text()
    for name in ("simple_diamond_example/test_data_diamond_biex_rect",):
        yield "wsp", real_file(f"FlowKit/{name}.wsp").read_text()


def test_altered_plans(tmp_path):
    n_read = 0
    n_altered = 0
    for ending, text in sources():
        path = tmp_path / f"plan.{ending}"
        for seed in range(60):
            path.write_text(altered(text, seed))
            n_altered += 1
            with contextlib.suppress(GatingError):
                n_read += len(read_gating(path).gates) > 0
    assert 0 < n_read < n_altered


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.9])
def test_truncated_plans(tmp_path, cut):
    for ending, text in sources():
        path = tmp_path / f"plan.{ending}"
        path.write_text(text[: int(len(text) * cut)])
        if ending == "toml" and cut > 0.5:
            continue  # a table that is cut off may still be sound TOML
        with pytest.raises(GatingError):
            read_gating(path)
