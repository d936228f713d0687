"""Reading of every layout: a million numbers as stored, to float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cytosepsis.fcs import read_fcs
from layouts import COLUMNS, LAYOUTS, ROWS, written

pytestmark = pytest.mark.benchmark(group="layouts: 100,000 events x 10 channels to float64")


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(benchmark: BenchmarkFixture, tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    assert read_fcs(path).stored().shape == (ROWS, COLUMNS)
    with np.errstate(invalid="ignore"):
        benchmark.pedantic(lambda: read_fcs(path).stored(), rounds=7)
