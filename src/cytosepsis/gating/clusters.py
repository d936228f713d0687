"""A cluster on two axes, told from its neighbours; and the densest part of a plane.

Events are counted on a grid, so that the work after counting does not grow with the file; nothing
depends on their order, and everything moves with the axes.
"""

from __future__ import annotations

import numpy as np

from cytosepsis.gating.clouds import Clouds, fit_clouds
from cytosepsis.gating.finding import Found, GateStatus
from cytosepsis.gating.grid import (
    CELLS,
    SIGMA,
    Bools,
    Floats,
    Grid,
    Peak,
    grid_of,
    peaks_of,
    upper_part,
)
from cytosepsis.gating.region import Outline
from cytosepsis.kernels import hills as kh
from cytosepsis.kernels.regions import LEAST

SIGNIFICANT = 4.0  # standard deviations of counting that a peak stands above the pass to the next
SHALLOW = 0.9  # of the peak: a pass that is higher parts nothing, however many events there are
RAYS = 48  # vertices of the outline
_STEP = 0.125  # cells, along a ray
# An event near the border is kept where the cluster is at least this likely. Below one half, so
# that the dim flank of septic monocytes is kept, at the price of a per cent of the neighbours; and
# further below, down to the first, as long as so much of the whole gate is the cluster's own.
_LIKELY = (0.1, 0.3)
_OWN = 0.95
_AGREES = (0.8, 1.25)  # events of the cluster by the mixture, to those counted on its hill
_FEWEST = 10.0  # events of a hill that is a neighbour
_RIVAL = 0.5  # of the cluster's events: another as large where it is expected leaves open which


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
    peaks = peaks_of(grid, labels)
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
    clouds = fit_clouds(grid, labels, target, _neighbours(peaks, target), components)
    hill = labels == target.label
    outline, kept = _outline(grid, *_sides(grid, hill, clouds, mass, by_mixture), target)
    numbers += clouds.numbers(grid, kept)
    counts = grid.counts.ravel()[clouds.seen]
    agrees = float(clouds.shares[0] @ counts) / target.n_events
    numbers.append(("n_by_mixture", agrees * target.n_events))
    status: GateStatus = "ok"
    low, high = _AGREES
    if not (clouds.settled and low <= agrees <= high and dict(numbers)["purity"] >= purity):
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
    peak = Peak(top, *grid.place(*divmod(top, CELLS)), total)
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


def _not_there(
    grid: Grid,
    beyond: list[Peak],
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


def _neighbours(peaks: dict[int, Peak], target: Peak) -> list[Peak]:
    """Other hills, the largest first."""
    others = [p for p in peaks.values() if p.label != target.label and p.n_events >= _FEWEST]
    return sorted(others, key=lambda p: (-p.n_events, p.label))


# ------------------------------------------------------------------------------ the border


def _sides(
    grid: Grid, hill: Bools, clouds: Clouds, mass: float, by_mixture: bool
) -> tuple[Bools, Bools]:
    """Cells that are the cluster's, and cells that are surely another's."""
    within, beyond = np.zeros_like(hill), np.zeros_like(hill)
    within.ravel()[clouds.seen] = True
    if not by_mixture:
        return upper_part(grid, hill, mass), within & ~hill
    share, ends = clouds.shares[0], clouds.ends(mass)
    likely = _likely(grid.counts.ravel()[clouds.seen], share, ends)
    # On its hill the density falls away from its peak: the tail of a neighbour rises there only in
    # a mixture that fits that neighbour's tail badly.
    own = hill.ravel()[clouds.seen]
    within.ravel()[clouds.seen] = ((share >= likely) | own) & ends
    beyond.ravel()[clouds.seen] = (clouds.shares[1:-1].sum(axis=0) > 1.0 - likely) & ~own
    return within, beyond


def _likely(counts: Floats, share: Floats, ends: Bools) -> float:
    """The least share of a cell that is kept: the lowest by which the gate stays pure enough."""
    some = ends & (counts > 0)
    order = np.argsort(-share[some], kind="stable")
    counts, share = counts[some][order], share[some][order]
    pure = np.flatnonzero(np.cumsum(counts * share) >= _OWN * np.cumsum(counts))
    least = float(share[pure[-1]]) if len(pure) else 1.0
    return min(max(least, _LIKELY[0]), _LIKELY[1])


def _outline(grid: Grid, inside: Bools, beyond: Bools, peak: Peak) -> tuple[Outline, Bools]:
    """The outline around a peak as a polygon, and the cells within it."""
    i, j = divmod(peak.label, CELLS)
    reach = kh.reach(inside, beyond, float(i), float(j), RAYS, _STEP)
    smooth = np.sort([np.roll(reach, -1), reach, np.roll(reach, 1)], axis=0)[1]
    smooth = np.maximum(smooth, 0.5)
    angles = 2.0 * np.pi * np.arange(RAYS) / RAYS
    along, across = i + smooth * np.cos(angles), j + smooth * np.sin(angles)
    vertices = tuple(grid.place(float(a), float(b)) for a, b in zip(along, across, strict=True))
    kept = _within(grid, peak, smooth)
    return Outline(tuple((_gateable(x), _gateable(y)) for x, y in vertices)), kept


def _within(grid: Grid, peak: Peak, reach: Floats) -> Bools:
    """Cells with events whose middle lies within an outline around a peak."""
    i, j = divmod(peak.label, CELLS)
    cells_i, cells_j = np.nonzero(grid.counts)
    turn = np.mod(np.arctan2(cells_j - j, cells_i - i), 2.0 * np.pi)
    angles = 2.0 * np.pi * np.arange(RAYS + 1) / RAYS
    within = np.zeros((CELLS, CELLS), dtype=np.bool_)
    within[cells_i, cells_j] = np.hypot(cells_i - i, cells_j - j) <= np.interp(
        turn, angles, np.append(reach, reach[0])
    )
    return within


def _gateable(value: float) -> float:
    return 0.0 if abs(value) < LEAST else float(value)
