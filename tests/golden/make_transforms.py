"""Compute `transforms.csv` again: the published formulas in numbers of 60 digits (`naive.py`).

PYTHONPATH=src:tests python tests/golden/make_transforms.py
"""

from __future__ import annotations

import csv
from pathlib import Path

import naive
from cytosepsis.transforms import Asinh, Biex, Hyperlog, Linear, Log, Logicle, Transform

# T W M A (biex: pos, width, neg, maxRange), as labs and the standard's own examples have them
SCALES: tuple[Transform, ...] = (
    Linear(262144.0, 0.0),
    Linear(1000.0, 100.0),
    Log(262144.0, 4.5),
    Log(10000.0, 5.0),
    Asinh(1000.0, 4.0, 1.0),
    Asinh(262144.0, 4.5, 0.0),
    Logicle(262144.0, 0.5, 4.5, 0.0),
    Logicle(262144.0, 1.5, 4.5, 0.0),
    Logicle(10000.0, 0.0, 4.5, 0.0),
    Logicle(1000.0, 1.0, 4.0, 0.5),
    Logicle(4194304.0, 0.7, 5.3, -0.3),
    Hyperlog(262144.0, 0.5, 4.5, 0.0),
    Hyperlog(1000.0, 1.0, 4.0, 1.0),
    Hyperlog(10000.0, 0.01, 4.5, 0.0),
    Biex(),
    Biex(negative=1.0, width=-7.943282),
    Biex(negative=0.5, width=-100.0, positive=4.5, max_range=262144.0),
)
VALUES = (
    *(-262144.0, -10000.0, -1000.0, -100.0, -10.0, -1.0, -0.3, -1e-6, 0.0),
    *(1e-6, 0.3, 1.0, 3.0, 10.0, 33.3, 100.0, 1000.0, 3162.27766, 10000.0, 100000.0, 262143.0),
)
NUMBERS = {
    Linear: ("top", "additional"),
    Log: ("top", "decades"),
    Asinh: ("top", "decades", "additional"),
    Logicle: ("top", "width", "decades", "additional"),
    Hyperlog: ("top", "width", "decades", "additional"),
    Biex: ("negative", "width", "positive", "max_range"),
}


def rows() -> list[list[str]]:
    """Return kind, four numbers (empty where the kind has fewer), x, y."""
    table = []
    for scale in SCALES:
        numbers = [repr(float(getattr(scale, name))) for name in NUMBERS[type(scale)]]
        numbers += [""] * (4 - len(numbers))
        for x in VALUES:
            y = naive.transform(scale, x)
            table.append([type(scale).__name__.lower(), *numbers, repr(x), repr(y)])
    return table


if __name__ == "__main__":
    with (Path(__file__).parent / "transforms.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind", "first", "second", "third", "fourth", "x", "y"])
        writer.writerows(rows())
