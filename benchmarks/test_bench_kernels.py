"""Kernels beside what FlowKit calls for the same values."""

from __future__ import annotations

import numpy as np
import pytest
from flowkit import transforms as peer
from flowutils.gating import points_in_polygon
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from cytosepsis.kernels.regions import empty_expansion, in_polygon
from cytosepsis.transform_values import apply
from cytosepsis.transforms import Asinh, Logicle
from inputs import LOGICLE, SINGLETS

N = 200_000
BLOCK = 1_024  # rows the walk hands to a kernel at once


@pytest.fixture(scope="module")
def intensities() -> NDArray[np.float64]:
    """Linear intensities of four decades, a tenth of them negative."""
    rng = np.random.default_rng(7)
    return np.asarray(rng.lognormal(6.0, 2.0, N) - 50.0)


@pytest.mark.benchmark(group="kernel: logicle")
def test_logicle_ours(benchmark: BenchmarkFixture, intensities: NDArray[np.float64]) -> None:
    transform = Logicle(LOGICLE["T"], LOGICLE["W"], LOGICLE["M"], LOGICLE["A"])
    apply(transform, intensities[:1])
    scaled = benchmark(apply, transform, intensities)
    expected = peer.LogicleTransform(*LOGICLE.values()).apply(intensities)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-11)


@pytest.mark.benchmark(group="kernel: logicle")
def test_logicle_flowkit(benchmark: BenchmarkFixture, intensities: NDArray[np.float64]) -> None:
    benchmark(peer.LogicleTransform(*LOGICLE.values()).apply, intensities)


@pytest.mark.benchmark(group="kernel: asinh")
def test_asinh_ours(benchmark: BenchmarkFixture, intensities: NDArray[np.float64]) -> None:
    transform = Asinh(262144.0, 4.5, 0.0)
    apply(transform, intensities[:1])
    scaled = benchmark(apply, transform, intensities)
    expected = peer.AsinhTransform(262144.0, 4.5, 0.0).apply(intensities)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-11)


@pytest.mark.benchmark(group="kernel: asinh")
def test_asinh_flowkit(benchmark: BenchmarkFixture, intensities: NDArray[np.float64]) -> None:
    benchmark(peer.AsinhTransform(262144.0, 4.5, 0.0).apply, intensities)


@pytest.fixture(scope="module")
def points() -> NDArray[np.float64]:
    """(n, 2) points around the polygon, none on an edge (their bits are random)."""
    rng = np.random.default_rng(8)
    return np.asarray(rng.uniform(0.0, 262_143.0, (N, 2)))


@pytest.mark.benchmark(group="kernel: polygon")
def test_polygon_ours(benchmark: BenchmarkFixture, points: NDArray[np.float64]) -> None:
    vertices = np.array(SINGLETS, dtype=np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    box = np.array([low[0], high[0], low[1], high[1]])
    x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    inside, crossings = np.empty(BLOCK, dtype=np.bool_), np.empty(BLOCK, dtype=np.int64)
    expansion = empty_expansion()

    def count() -> int:
        n_inside = 0
        for first in range(0, N, BLOCK):
            n = min(BLOCK, N - first)
            block = slice(first, first + n)
            in_polygon(x[block], y[block], n, vertices, box, inside, crossings, expansion)
            n_inside += int(np.count_nonzero(inside[:n]))
        return n_inside

    count()
    assert benchmark(count) == int(np.count_nonzero(points_in_polygon(vertices, points)))


@pytest.mark.benchmark(group="kernel: polygon")
def test_polygon_flowkit(benchmark: BenchmarkFixture, points: NDArray[np.float64]) -> None:
    benchmark(points_in_polygon, np.array(SINGLETS, dtype=np.float64), points)
