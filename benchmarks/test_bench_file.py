"""One file, from opening to antibodies per cell: ours, FlowKit's, and its bytes touched once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import cytosepsis as cs
from inputs import FILE_DYES
from jobs import ours, same, touch
from peers import flowkit_job, strategy

pytestmark = pytest.mark.benchmark(group="file: 300,000 events x 14 channels")


def test_file_ours(benchmark: BenchmarkFixture, blood_file: Path, plan_path: Path) -> None:
    plan = cs.read_gating(plan_path)
    ours(blood_file, plan)
    answer = benchmark(ours, blood_file, plan)
    assert same(answer, flowkit_job(blood_file, strategy(FILE_DYES), FILE_DYES))


def test_file_flowkit(benchmark: BenchmarkFixture, blood_file: Path) -> None:
    benchmark.pedantic(flowkit_job, (blood_file, strategy(FILE_DYES), FILE_DYES), rounds=5)


def test_file_touched(benchmark: BenchmarkFixture, blood_file: Path) -> None:
    benchmark(touch, [blood_file])
