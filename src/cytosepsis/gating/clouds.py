"""The clouds of events that a mixture of t-distributions finds on a grid, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.gating.grid import CELLS, Bools, Floats, Grid, Peak
from cytosepsis.kernels.mixture import t_heights, t_mixture

Cells = NDArray[np.intp]  # flat indices of a grid

# Where the parts of a hill end that each begin a cloud, as shares of its events from the top down:
# its core, its skirt, and what lies around them. Without a cloud of its own, what lies around a
# large hill is taken by the skirt of a small one nearby.
_PARTS = (0.7, 0.95)
_FEWEST = 10.0  # events that make a cloud
_PLACES = (4, 2)  # cells, on either axis, to one place of the mixture: coarse first, then finer
_STEPS, _TOLERANCE = 200, 1e-4
_FLOOR = 0.25  # least variance of a cloud, in cells
_LEAST_BACKGROUND = 1e-9


@dataclass(frozen=True, slots=True)
class Clouds:
    """The clouds of a mixture, in units of cells; the cluster's own are the first.

    Heights and shares are those of the cells that are `seen`: within reach of the smoothing from
    any event. Nothing is decided beyond.
    """

    clouds: Floats
    n_own: int
    settled: bool
    seen: Cells
    heights: Floats  # of each cloud in each cell seen: (k, n_seen)
    shares: Floats  # of the cluster's events, each other cloud's, the background's: (1 + …, n_seen)

    def ends(self, mass: float) -> Bools:
        """Cells seen within the tail's end of any of the cluster's own clouds."""
        freedom = self.clouds[: self.n_own, 6]
        end = freedom * ((1.0 - mass) ** (-2.0 / freedom) - 1.0)  # squared, in deviations
        at_end = _tops(self.clouds[: self.n_own]) * (1.0 + end / freedom) ** (-0.5 * freedom - 1.0)
        within: Bools = np.any(self.heights[: self.n_own] >= at_end[:, None], axis=0)
        return within

    def numbers(self, grid: Grid, kept: Bools) -> list[tuple[str, float]]:
        """Purity of the cells kept, and the neighbour that overlaps most: how much, and where."""
        counts = grid.counts.ravel()[self.seen] * kept.ravel()[self.seen]
        held = self.shares @ counts / max(float(counts.sum()), 1.0)
        found = [("purity", float(held[0]))]
        others = held[1:-1]
        if len(others):
            worst = int(np.argmax(others))
            x, y = grid.place(*self.clouds[worst + self.n_own, 1:3].tolist())
            found += [("overlap", float(others[worst])), ("neighbour_x", x), ("neighbour_y", y)]
        return found


def fit_clouds(
    grid: Grid,
    labels: NDArray[np.int64],
    target: Peak,
    others: Sequence[Peak],
    components: int,
) -> Clouds:
    """Fit up to three clouds to every hill, beginning with the moments of its parts.

    Parameters
    ----------
    labels
        The hill that each cell belongs to.
    target
        The cluster; its hill comes first.
    others
        Other hills, those that matter most first.
    components
        At most so many clouds.

    """
    start_of = [
        _moments(grid, cells)
        for peak in (target, *others)
        for cells in _parts(grid, np.flatnonzero(labels == peak.label))
        if grid.counts.ravel()[cells].sum() >= _FEWEST
    ][:components]
    clouds = np.array(start_of)
    clouds[:, 0] *= 0.99 / clouds[:, 0].sum()
    steps = 0
    for cells in _PLACES:
        clouds, _, steps = _fitted(grid, clouds, cells)
    return _owned(grid, labels == target.label, clouds, settled=steps < _STEPS)


def _fitted(grid: Grid, clouds: Floats, cells: int) -> tuple[Floats, Floats, int]:
    side = CELLS // cells
    counts = grid.counts.reshape(side, cells, side, cells).sum(axis=(1, 3))
    i, j = np.nonzero(counts)
    middle = (cells - 1) / 2.0
    return t_mixture(
        np.asarray(i * cells + middle, dtype=np.float64),
        np.asarray(j * cells + middle, dtype=np.float64),
        counts[i, j],
        clouds,
        _FLOOR,
        float(CELLS**2),
        _STEPS,
        _TOLERANCE,
    )


def _owned(grid: Grid, hill: Bools, clouds: Floats, *, settled: bool) -> Clouds:
    """Put those clouds first of which most events lie on the cluster's hill.

    A cloud that began on one hill may end on another, where the fit needed it more.
    """
    seen = np.flatnonzero(grid.density)
    i, j = np.divmod(seen, CELLS)
    heights = t_heights(clouds, i.astype(np.float64), j.astype(np.float64))
    background = max(_LEAST_BACKGROUND, 1.0 - float(clouds[:, 0].sum())) / CELLS**2
    everything = heights.sum(axis=0) + background
    events = grid.counts.ravel()[seen] / everything
    on_hill = heights @ (events * hill.ravel()[seen])
    own = on_hill > 0.5 * (heights @ events)
    n_own = int(own.sum())
    order = np.argsort(~own, kind="stable")
    heights = heights[order]
    shares = np.concatenate(
        [
            heights[:n_own].sum(axis=0, keepdims=True),
            heights[n_own:],
            np.full((1, len(seen)), background),
        ]
    )
    shares /= everything
    return Clouds(clouds[order], n_own, settled, seen, heights, shares)


def _parts(grid: Grid, hill: Cells) -> list[Cells]:
    """Part a hill's cells from the top down."""
    counts, density = grid.counts.ravel(), grid.density.ravel()
    ordered = hill[np.argsort(-density[hill], kind="stable")]
    held = np.cumsum(counts[ordered])
    return np.split(ordered, np.searchsorted(held, np.array(_PARTS) * held[-1]) + 1)


def _moments(grid: Grid, cells: Cells) -> tuple[float, ...]:
    """Weight, mean and covariance of some cells' events, in cells; 20 degrees of freedom."""
    i, j = np.divmod(cells, CELLS)
    counts = grid.counts.ravel()[cells]
    mass = max(float(counts.sum()), 1.0)
    x, y = float(counts @ i) / mass, float(counts @ j) / mass
    xx = float(counts @ (i - x) ** 2) / mass
    xy = float(counts @ ((i - x) * (j - y))) / mass
    yy = float(counts @ (j - y) ** 2) / mass
    flat = min(xx, yy) < _FLOOR
    return mass, x, y, max(xx, _FLOOR), 0.0 if flat else xy, max(yy, _FLOOR), 20.0


def _tops(clouds: Floats) -> Floats:
    """Height of each cloud at its middle."""
    size = clouds[:, 3] * clouds[:, 5] - clouds[:, 4] ** 2
    tops: Floats = clouds[:, 0] / (2.0 * np.pi * np.sqrt(size))
    return tops
