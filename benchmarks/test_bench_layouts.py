"""Reading of every layout: a million numbers as stored, to float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cytosepsis.fcs import read_fcs

pytestmark = pytest.mark.benchmark(group="layouts: 100,000 events x 10 channels to float64")

ROWS, COLUMNS = 100_000, 10
LAYOUTS = {
    "float 32": ("F", (32,), "1,2,3,4"),
    "float 32, big-endian": ("F", (32,), "4,3,2,1"),
    "integer 16": ("I", (16,), "1,2,3,4"),
    "integer 24": ("I", (24,), "4,3,2,1"),
    "integer 64": ("I", (64,), "1,2,3,4"),
    "integer 8/16/32 mixed": ("I", (8, 16, 32, 16, 8), "1,2,3,4"),
    "integer 10, packed": ("I", (10,), "1,2,3,4"),
    "text of 6 characters": ("A", (6,), "1,2,3,4"),
}


def written(folder: Path, name: str) -> Path:
    """A file of random bits, or of digits, in a layout."""
    kind, widths, order = LAYOUTS[name]
    bits = widths * (COLUMNS // len(widths))
    row = sum(bits) * (8 if kind == "A" else 1)
    random = np.random.default_rng(1)
    if kind == "A":
        data = random.integers(48, 58, ROWS * row // 8, dtype=np.uint8).tobytes()
    elif kind == "F":
        data = (
            random.normal(0, 1e4, ROWS * COLUMNS)
            .astype("<f4" if order[0] == "1" else ">f4")
            .tobytes()
        )
    else:
        data = random.bytes(ROWS * row // 8)
    pairs = {"$BYTEORD": order, "$DATATYPE": kind, "$MODE": "L", "$NEXTDATA": "0"}
    pairs |= {"$PAR": str(COLUMNS), "$TOT": str(ROWS)}
    for n, width in enumerate(bits, start=1):
        pairs |= {f"$P{n}N": f"c{n}", f"$P{n}B": str(width), f"$P{n}E": "0,0"}
        pairs[f"$P{n}R"] = str(2**width if kind == "I" else 262144)
    words = "".join(f"{key}/{value}/" for key, value in pairs.items())
    end = 58 + 1 + len(words) - 1
    header = b"FCS3.0    %8d%8d%8d%8d%8d%8d" % (58, end, end + 1, end + len(data), 0, 0)
    path = folder / "a.fcs"
    path.write_bytes(header + b"/" + words.encode() + data)
    return path


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(benchmark: BenchmarkFixture, tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    assert read_fcs(path).stored().shape == (ROWS, COLUMNS)
    with np.errstate(invalid="ignore"):
        benchmark.pedantic(lambda: read_fcs(path).stored(), rounds=7)
