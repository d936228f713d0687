"""A cluster on two axes, told from its neighbours; and the densest part of a plane.

Events are counted on a grid, so that the work after counting does not grow with the file; nothing
depends on their order, and everything moves with the axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.gating.finding import Found, GateStatus
from cytosepsis.gating.region import Outline
from cytosepsis.kernels import density as kd
from cytosepsis.kernels import hills as kh
from cytosepsis.kernels.mixture import t_mixture
from cytosepsis.kernels.regions import LEAST, MOST

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CELLS = 128  # of the grid, on either axis
SIGMA = 1.6  # cells; clusters of cells are some 4 to 8 cells wide (one standard deviation)
SIGNIFICANT = 4.0  # standard deviations of counting that a peak stands above the pass to the next
SHALLOW = 0.9  # of the peak: a pass that is higher parts nothing, however many events there are
RAYS = 48  # vertices of the outline
_STEP = 0.125  # cells, along a ray
_COARSE = 2  # cells of the grid, on either axis, to one place of the mixture
_STEPS, _TOLERANCE = 200, 1e-4
_CORE = 0.7  # of a hill's events: the rest, its skirt, is a cloud of its own
# An event near the border is kept where the cluster is at least this likely. Below one half, so
# that the dim flank of septic monocytes is kept, at the price of a per cent of the neighbours.
_LIKELY = 0.3
_AGREES = (0.8, 1.25)  # events of the cluster by the mixture, to those counted on its hill
_FEWEST = 10.0  # events that make a cloud
_RIVAL = 0.5  # of the cluster's events: another as large where it is expected leaves open which


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
    ordered = np.partition(values, sorted({0, k, len(values) - 1 - k, len(values) - 1}))
    lower, upper = float(ordered[k]), float(ordered[-1 - k])
    span = 0.25 * (upper - lower)
    return max(float(ordered[0]), lower - span), min(float(ordered[-1]), upper + span)


def find_cluster(
    x: Floats,
    y: Floats,
    *,
    centre: tuple[float, float],
    drift: tuple[float, float],
    mass: float,
    components: int,
    min_events: int,
    purity: float,
    by_mixture: bool,
) -> Found:
    """Find the cluster whose peak lies near `centre`, and its border.

    `few_events`: fewer than `min_events` belong to it; `one_peak`: no peak of its own stands out
    there; `drifted`: one does, but further than `drift` (at most twice as far);
    `not_converged`: two peaks could be meant, or by the mixture less than `purity` of what the
    gate keeps belongs to the cluster.
    """
    grid = grid_of(x, y)
    if grid is None:
        return Found("few_events", None)
    labels = kh.hills(grid.density, SIGMA, SIGNIFICANT, SHALLOW)
    peaks = _peaks(grid, labels)
    near = sorted(
        (max(abs(p.x - centre[0]) / drift[0], abs(p.y - centre[1]) / drift[1]), p.label)
        for p in peaks.values()
    )
    inside = [peaks[label] for distance, label in near if distance <= 1.0]
    if not inside:
        beyond = [peaks[label] for distance, label in near if distance <= 2.0]
        return _not_there(grid, beyond, centre, drift, min_events)
    inside.sort(key=lambda p: (-p.n_events, p.label))
    target = inside[0]
    numbers: list[tuple[str, float]] = [
        ("centre_x", target.x),
        ("centre_y", target.y),
        ("n_cluster", target.n_events),
        ("n_peaks", float(len(peaks))),
    ]
    if target.n_events < min_events:
        return Found("few_events", None, tuple(numbers))
    if len(inside) > 1 and inside[1].n_events > _RIVAL * target.n_events:
        rival = (("rival_x", inside[1].x), ("rival_y", inside[1].y))
        return Found("not_converged", None, (*numbers, *rival))
    fitted = _fitted(grid, labels, peaks, target, components)
    hill = labels == target.label
    shares = fitted.shares()
    if by_mixture:
        upper = (shares[0] >= _LIKELY) & fitted.ends(mass)
        beyond = shares[1:-1].sum(axis=0) > 1.0 - _LIKELY
    else:
        upper, beyond = _upper(grid, hill, mass), (labels >= 0) & ~hill
    outline, kept = _outline(grid, upper, beyond, target)
    numbers += fitted.numbers(grid, kept, shares)
    agrees = float((shares[0] * grid.counts).sum()) / target.n_events
    numbers.append(("n_by_mixture", agrees * target.n_events))
    status: GateStatus = "ok"
    low, high = _AGREES
    if not (fitted.settled and low <= agrees <= high and dict(numbers)["purity"] >= purity):
        status = "not_converged"
    return Found(status, outline if status == "ok" else None, tuple(numbers))


def find_densest(x: Floats, y: Floats, *, fraction: float, min_events: int) -> Found:
    """Find the region around the highest peak that holds `fraction` of the events.

    `not_converged` where the region around one peak cannot hold them: there are others.
    """
    grid = grid_of(x, y)
    if grid is None or grid.counts.sum() < min_events:
        return Found("few_events", None)
    total = float(len(x))
    top = int(np.argmax(grid.density))
    peak = _Peak(top, *grid.place(*divmod(top, CELLS)), total)
    levels = np.sort(grid.density[grid.counts > 0])
    low, high = 0, len(levels) - 1
    best = None
    while low <= high:  # the lower the level, the larger the region
        middle = (low + high) // 2
        upper = grid.density >= levels[middle]
        outline, kept = _outline(grid, upper, ~upper, peak)
        held = float(grid.counts[kept].sum()) / total
        if held >= fraction:
            best, low = (outline, held), middle + 1
        else:
            high = middle - 1
    if best is None:
        return Found("not_converged", None)
    return Found("ok", best[0], (("fraction", best[1]),))


@dataclass(frozen=True, slots=True)
class _Peak:
    """A hill: its label, where its top lies, how many events are counted on it."""

    label: int
    x: float
    y: float
    n_events: float


def _peaks(grid: Grid, labels: NDArray[np.int64]) -> dict[int, _Peak]:
    flat = labels.ravel()
    known = flat >= 0
    found, place = np.unique(flat[known], return_inverse=True)
    n_events = np.bincount(place, weights=grid.counts.ravel()[known])
    return {
        int(label): _Peak(int(label), *grid.place(*divmod(int(label), CELLS)), float(n))
        for label, n in zip(found, n_events, strict=True)
    }


def _not_there(
    grid: Grid,
    beyond: list[_Peak],
    centre: tuple[float, float],
    drift: tuple[float, float],
    min_events: int,
) -> Found:
    """Say which status tells best that no peak lies where one is expected."""
    middles = [
        low + width * (np.arange(CELLS) + 0.5)
        for low, width in zip(grid.low, grid.width, strict=True)
    ]
    window = (np.abs(middles[0] - centre[0]) <= drift[0])[:, None] & (
        np.abs(middles[1] - centre[1]) <= drift[1]
    )
    n_there = float(grid.counts[window].sum())
    if beyond:
        nearest = beyond[0]
        numbers = (("centre_x", nearest.x), ("centre_y", nearest.y), ("n_expected", n_there))
        enough = nearest.n_events >= min_events
        return Found("drifted" if enough else "few_events", None, numbers)
    status: GateStatus = "one_peak" if n_there >= min_events else "few_events"
    return Found(status, None, (("n_expected", n_there),))


# ----------------------------------------------------------------------------- the mixture


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The clouds of a mixture on the grid, in units of cells; the cluster's own is the first."""

    clouds: Floats
    n_own: int  # clouds that make up the cluster; they stand first
    background: float
    settled: bool

    def shares(self) -> Floats:
        """Share of each cloud (and last the background) in each cell: (k + 1, n_x, n_y)."""
        i, j = _cells()
        parts = [_height(cloud, i, j) for cloud in self.clouds]
        parts.append(np.full((CELLS, CELLS), self.background / CELLS**2))
        every = np.array([np.sum(parts[: self.n_own], axis=0), *parts[self.n_own :]])
        shares: Floats = every / every.sum(axis=0)
        return shares

    def ends(self, mass: float) -> Bools:
        """Cells within the tail's end of any of the cluster's own clouds."""
        near = np.zeros((CELLS, CELLS), dtype=np.bool_)
        for cloud in self.clouds[: self.n_own]:
            freedom = cloud[6]
            end = freedom * ((1.0 - mass) ** (-2.0 / freedom) - 1.0)
            near |= _far(cloud, *_cells()) <= end
        return near

    def numbers(self, grid: Grid, kept: Bools, shares: Floats) -> list[tuple[str, float]]:
        """Purity of the cells kept, and the neighbour that overlaps most: how much, and where."""
        counts = grid.counts[kept]
        total = max(float(counts.sum()), 1.0)
        held = [float((share[kept] * counts).sum()) / total for share in shares]
        found = [("purity", held[0])]
        others = held[1:-1]
        if others:
            worst = int(np.argmax(others))
            x, y = grid.place(*self.clouds[worst + self.n_own, 1:3].tolist())
            found += [("overlap", others[worst]), ("neighbour_x", x), ("neighbour_y", y)]
        return found


def _fitted(
    grid: Grid,
    labels: NDArray[np.int64],
    peaks: dict[int, _Peak],
    target: _Peak,
    components: int,
) -> _Fitted:
    """Fit one cloud to every hill, from the moments of its cells."""
    others = sorted(
        (p for p in peaks.values() if p.label != target.label and p.n_events >= 10),
        key=lambda p: (-p.n_events, p.label),
    )[: components - 1]
    total = float(grid.counts.sum())
    start_of: list[tuple[float, ...]] = []
    n_own = 0
    for peak in (target, *others):
        hill = labels == peak.label
        core = _upper(grid, hill, _CORE)
        for part in (core, hill & ~core):
            if grid.counts[part].sum() >= _FEWEST and len(start_of) < components:
                start_of.append(_moments(grid, part, total))
        n_own = n_own or len(start_of)
    start = np.array(start_of)
    start[:, 0] *= 0.99 / start[:, 0].sum()
    side = CELLS // _COARSE
    coarse = grid.counts.reshape(side, _COARSE, side, _COARSE).sum(axis=(1, 3))
    i, j = np.nonzero(coarse)
    middle = (_COARSE - 1) / 2.0
    clouds, _, steps = t_mixture(
        np.asarray(i * _COARSE + middle, dtype=np.float64),
        np.asarray(j * _COARSE + middle, dtype=np.float64),
        coarse[i, j],
        start,
        0.25,
        float(CELLS**2),
        _STEPS,
        _TOLERANCE,
    )
    background = max(1e-9, 1.0 - float(clouds[:, 0].sum()))
    return _Fitted(clouds, n_own, background, steps < _STEPS)


def _moments(grid: Grid, cells: Bools, total: float) -> tuple[float, ...]:
    """Weight, mean and covariance of a hill's events, in cells; 20 degrees of freedom."""
    i, j = np.nonzero(cells)
    counts = grid.counts[i, j]
    mass = max(float(counts.sum()), 1.0)
    x, y = float(counts @ i) / mass, float(counts @ j) / mass
    xx = float(counts @ (i - x) ** 2) / mass
    xy = float(counts @ ((i - x) * (j - y))) / mass
    yy = float(counts @ (j - y) ** 2) / mass
    return mass / total, x, y, max(xx, 0.25), 0.0 if min(xx, yy) < 0.25 else xy, max(yy, 0.25), 20.0


def _cells() -> tuple[Floats, Floats]:
    """Places of all cells, in cells: (n_x, n_y) each."""
    i, j = np.indices((CELLS, CELLS), dtype=np.float64)
    return i, j


def _far(cloud: Floats, i: Floats, j: Floats) -> Floats:
    """Squared distance from a cloud's middle, in its own standard deviations."""
    _, x, y, xx, xy, yy, _ = cloud
    size = xx * yy - xy * xy
    far: Floats = (yy * (i - x) ** 2 - 2 * xy * (i - x) * (j - y) + xx * (j - y) ** 2) / size
    return far


def _height(cloud: Floats, i: Floats, j: Floats) -> Floats:
    weight, _, _, xx, xy, yy, freedom = cloud
    scale = weight / (2.0 * math.pi * math.sqrt(xx * yy - xy * xy))
    height: Floats = scale * (1.0 + _far(cloud, i, j) / freedom) ** (-(freedom + 2.0) / 2.0)
    return height


# ------------------------------------------------------------------------------ the border


def _upper(grid: Grid, hill: Bools, mass: float) -> Bools:
    """The upper part of a hill that holds `mass` of its events."""
    heights, counts = grid.density[hill], grid.counts[hill]
    order = np.argsort(-heights, kind="stable")
    held = np.cumsum(counts[order])
    last = int(np.searchsorted(held, mass * held[-1]))
    upper: Bools = hill & (grid.density >= heights[order[min(last, len(order) - 1)]])
    return upper


def _outline(grid: Grid, inside: Bools, beyond: Bools, peak: _Peak) -> tuple[Outline, Bools]:
    """The outline around a peak as a polygon, and the cells within it."""
    i, j = divmod(peak.label, CELLS)
    reach = kh.reach(inside, beyond, float(i), float(j), RAYS, _STEP)
    smooth = np.median([np.roll(reach, -1), reach, np.roll(reach, 1)], axis=0)
    smooth = np.maximum(smooth, 0.5)
    angles = 2.0 * np.pi * np.arange(RAYS) / RAYS
    along, across = i + smooth * np.cos(angles), j + smooth * np.sin(angles)
    vertices = tuple(grid.place(float(a), float(b)) for a, b in zip(along, across, strict=True))
    kept = _within(peak, smooth)
    return Outline(tuple((_gateable(x), _gateable(y)) for x, y in vertices)), kept


def _within(peak: _Peak, reach: Floats) -> Bools:
    """Cells whose middle lies within an outline around a peak."""
    i, j = divmod(peak.label, CELLS)
    cells_i, cells_j = _cells()
    turn = np.mod(np.arctan2(cells_j - j, cells_i - i), 2.0 * np.pi)
    angles = 2.0 * np.pi * np.arange(RAYS + 1) / RAYS
    within: Bools = np.hypot(cells_i - i, cells_j - j) <= np.interp(
        turn, angles, np.append(reach, reach[0])
    )
    return within


def _gateable(value: float) -> float:
    return 0.0 if abs(value) < LEAST else float(value)
