"""Events counted on a grid, and the hills of their smoothed density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import density as kd
from cytosepsis.kernels.regions import LEAST, MOST

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CELLS = 128  # of the grid, on either axis
SIGMA = 1.6  # cells; clusters of cells are some 4 to 8 cells wide (one standard deviation)


@dataclass(frozen=True, slots=True)
class Grid:
    """Counts of events on a grid, and their smoothed density."""

    low: tuple[float, float]
    width: tuple[float, float]  # of a cell
    counts: Floats
    density: Floats

    def place(self, i: float, j: float) -> tuple[float, float]:
        """Return the values at a place given in cells; whole numbers are the middles."""
        return (
            self.low[0] + (i + 0.5) * self.width[0],
            self.low[1] + (j + 0.5) * self.width[1],
        )


def grid_of(x: Floats, y: Floats) -> Grid | None:
    """Count finite pairs; None where there is none, or an axis has a single value."""
    finite = (np.abs(x) <= MOST) & (np.abs(y) <= MOST)
    if not finite.all():
        x, y = x[finite], y[finite]
    if len(x) < 2:
        return None
    lows, widths = [], []
    for values in (x, y):
        low, high = _range(values)
        if not high - low >= LEAST:
            return None
        margin = 4.0 * SIGMA / (CELLS - 8.0 * SIGMA) * (high - low)
        low, high = low - margin, high + margin
        lows.append(low)
        widths.append((high - low) / CELLS)
    ends = [low + width * CELLS for low, width in zip(lows, widths, strict=True)]
    counts = kd.bin_counts_2d(x, y, lows[0], ends[0], lows[1], ends[1], CELLS, CELLS)
    density = kd.smooth_2d(counts, SIGMA)
    return Grid((lows[0], lows[1]), (widths[0], widths[1]), counts, density)


def _range(values: Floats) -> tuple[float, float]:
    """Where events lie; a few that are far away do not stretch it."""
    k = int(0.001 * (len(values) - 1))
    ordered = np.sort(values)  # by vector instructions: faster than selecting four of them
    lower, upper = float(ordered[k]), float(ordered[-1 - k])
    span = 0.25 * (upper - lower)
    return max(float(ordered[0]), lower - span), min(float(ordered[-1]), upper + span)


@dataclass(frozen=True, slots=True)
class Peak:
    """A hill: its label, where its top lies, how many events are counted on it."""

    label: int
    x: float
    y: float
    n_events: float


def peaks_of(grid: Grid, labels: NDArray[np.int64]) -> dict[int, Peak]:
    """Return the hills of a labelled grid by their labels."""
    flat = labels.ravel()
    known = flat >= 0
    found, place = np.unique(flat[known], return_inverse=True)
    n_events = np.bincount(place, weights=grid.counts.ravel()[known])
    return {
        int(label): Peak(int(label), *grid.place(*divmod(int(label), CELLS)), float(n))
        for label, n in zip(found, n_events, strict=True)
    }


def upper_part(grid: Grid, hill: Bools, mass: float) -> Bools:
    """The upper part of a hill that holds `mass` of its events."""
    heights, counts = grid.density[hill], grid.counts[hill]
    order = np.argsort(-heights, kind="stable")
    held = np.cumsum(counts[order])
    last = int(np.searchsorted(held, mass * held[-1]))
    upper: Bools = hill & (grid.density >= heights[order[min(last, len(order) - 1)]])
    return upper
