"""A batch reference: learned from many samples, frozen, and leant on as the plan says."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

import cytosepsis as cs
from cytosepsis.errors import GatingError
from cytosepsis.gating.batch import BatchGate, batch_text, learn, read_batch, shrunk
from cytosepsis.gating.finding import GateFinding
from cytosepsis.gating.region import Bounds, Outline
from cytosepsis.gating.toml_plan import read_toml_plan
from events import raw_of

PLAN = """\
batch = "x.reference.toml"

[[gates]]
name = "bright"
type = "threshold"
x = "A"
method = "valley"
on_fail = "batch"
"""
SHRINKAGE = 0.25


def finding(cut, status="ok"):
    region = None if cut is None else Bounds((cut,), (None,))
    return GateFinding("root/bright", "threshold", "valley", status, "found", ("A",), 900, region)


@pytest.fixture
def plan(tmp_path):
    gates = learn([[finding(cut)] for cut in (2.0, 4.0, 3.0, 9.0, 2.5)])
    text = batch_text(gates, shrinkage=SHRINKAGE, n_samples=5, plan_digest="0" * 64)
    (tmp_path / "x.reference.toml").write_text(text)
    (tmp_path / "plan.toml").write_text(PLAN)
    return read_toml_plan(tmp_path / "plan.toml")


def events(apart, n=4000):
    rng = np.random.default_rng(1)
    return raw_of(np.column_stack([rng.normal(0, 1, n) + apart * (np.arange(n) % 2)]), ("A",))


def test_what_is_learned_is_the_median_whatever_the_order():
    samples = [[finding(cut)] for cut in (2.0, 4.0, 3.0, 9.0, 2.5)]
    assert learn(samples) == (BatchGate("root/bright", Bounds((3.0,), (None,)), 5),)
    assert learn(samples[::-1]) == learn(samples)


def test_only_what_was_found_and_often_enough_is_learned():
    samples = [
        [finding(2.0)],
        [finding(3.0)],
        [finding(None, "one_peak")],
        [finding(9.0, "clamped")],
    ]
    samples.append([replace(finding(5.0), standing="reference")])
    assert learn(samples) == ()


def test_it_stands_where_the_gate_cannot_be_found(plan, tmp_path):
    found = cs.gate(events(0.0), plan).findings[0]
    assert (found.status, found.standing) == ("one_peak", "batch")
    assert found.region == Bounds((3.0,), (None,))
    content = (tmp_path / "x.reference.toml").read_bytes()
    assert found.batch_digest == hashlib.sha256(content).hexdigest()


def test_each_sample_moves_from_it_by_the_shrinkage(plan):
    own = cs.gate(events(8.0), replace(plan, batch=None)).findings[0].region.minimum[0]
    leaning = cs.gate(events(8.0), plan).findings[0]
    assert leaning.standing == "found"
    assert leaning.region.minimum[0] == pytest.approx(own + SHRINKAGE * (3.0 - own))


def test_outlines_are_shrunk_corner_by_corner():
    one, two = Outline(((0, 0), (4, 0), (0, 4))), Outline(((2, 2), (6, 2), (2, 6)))
    assert shrunk(one, two, 0.5) == Outline(((1, 1), (5, 1), (1, 5)))
    assert shrunk(one, Bounds((1.0,), (None,)), 0.5) == one


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("y.reference.toml", None, "the batch reference cannot be read"),
        ("plan.batch.toml", None, "a file beside the plan that ends in .reference.toml"),
        ("../x.reference.toml", None, "a file beside the plan that ends in .reference.toml"),
        ("x.reference.toml", "version = 2", "has version 2; this version of the program reads 1"),
        ("x.reference.toml", "version = 1\nshrinkage = 3", "shrinkage is 3; from 0 to 1 is meant"),
        ("x.reference.toml", "version =", "is not TOML"),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused(name, content, fault, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN.replace("x.reference.toml", name))
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(GatingError) as caught:
        read_toml_plan(tmp_path / "plan.toml")
    assert fault in caught.value.message


def test_a_gate_that_leans_on_none_is_refused(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN.split("\n", 1)[1])
    with pytest.raises(GatingError, match="leans on a batch reference; the plan names none"):
        read_toml_plan(tmp_path / "plan.toml")


def test_a_reference_survives_as_it_was_written(plan, tmp_path):
    batch = read_batch(tmp_path / "x.reference.toml")
    assert batch == plan.batch
    assert (batch.shrinkage, batch.gates[0].n_samples) == (SHRINKAGE, 5)
