"""A study, from its folder to its tables; FlowKit's side computes the same numbers, no tables."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import polars as pl
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import cytosepsis as cs
from inputs import STUDY_DYES, sample_files
from jobs import touch
from peers import flowkit_job, strategy

pytestmark = pytest.mark.benchmark(group="study: 6 files x 100,000 events x 7 channels")


def test_study_ours(benchmark: BenchmarkFixture, study_folder: Path, tmp_path: Path) -> None:
    numbers = itertools.count()

    def run() -> pl.DataFrame:
        # A new folder each time: nothing is taken from an earlier run.
        study = cs.load_study(study_folder)
        out = tmp_path / f"results{next(numbers)}"
        return cs.run_study(study, out=out, workers=1, digest="stat", plots=False).table("abc")

    rows = benchmark.pedantic(run, rounds=3, warmup_rounds=1).sort("sample_id").to_dicts()
    files = sample_files(study_folder)
    assert len(rows) == len(files)
    for row, file in zip(rows, files, strict=True):
        median = flowkit_job(file, strategy(STUDY_DYES), STUDY_DYES).median
        assert math.isclose(row["intensity"], median, rel_tol=1e-9)


def test_study_flowkit(benchmark: BenchmarkFixture, study_folder: Path) -> None:
    plan = strategy(STUDY_DYES)
    files = sample_files(study_folder)
    benchmark.pedantic(lambda: [flowkit_job(f, plan, STUDY_DYES) for f in files], rounds=3)


def test_study_touched(benchmark: BenchmarkFixture, study_folder: Path) -> None:
    benchmark(touch, sample_files(study_folder))
