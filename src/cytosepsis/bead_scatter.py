"""Single beads by their scatter: which parameters tell, and which events lie where beads do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels.density import bin_counts_2d, connected_regions, smooth_2d

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

SCATTER_BINS = 192  # per axis
SCATTER_FLOOR = 0.05  # the bead region reaches down to this part of its greatest density
MIN_SINGLETS = 0.20  # a region that keeps less of the file is not the beads
HEIGHT_SD = 4.0  # area / height further from its median than so many robust SDs: not one bead


def single_beads(scatter: Float) -> Mask:
    """Events in the densest region of FSC × SSC: beads, without debris and doublets.

    Of the connected regions above a tenth of the greatest density the one with the most events is
    the beads (debris may be denser, but is spread); it is followed down to a twentieth of its own
    greatest density. With a height, events whose area / height is off the rule go too.

    Parameters
    ----------
    scatter : (n_events, 2 or 3): FSC, SSC and, where there is one, the height that belongs to FSC;
        a value that is not positive is not a bead's

    Returns
    -------
    bool (n_events,). All true where scatter cannot tell: constant, mostly not positive, or without
    a region that holds a fifth of the events.

    """
    usable = np.all(np.isfinite(scatter) & (scatter > 0), axis=1)
    everything = np.ones(len(scatter), dtype=np.bool_)
    if usable.sum() <= 0.5 * len(scatter):
        return everything
    logs = np.log10(np.where(usable[:, None], scatter, 1.0))
    kept: Mask = usable & _densest(logs[:, 0], logs[:, 1], usable)
    if kept.sum() < MIN_SINGLETS * len(scatter):
        return everything
    if scatter.shape[1] > 2:
        kept &= _one_bead_wide(logs[:, 0] - logs[:, 2], kept)
    return kept


def _densest(x: Float, y: Float, usable: Mask) -> Mask:
    """Events in the region of the plane that holds the most of them, as `single_beads` says."""
    axes = [_axis(values[usable]) for values in (x, y)]
    cells = [
        np.clip(((values - low) * n / (high - low)).astype(np.int64), 0, n - 1)
        for values, (low, high, n) in zip((x, y), axes, strict=True)
    ]
    (x_low, x_high, n_x), (y_low, y_high, n_y) = axes
    counts = bin_counts_2d(x[usable], y[usable], x_low, x_high, y_low, y_high, n_x, n_y)
    density = smooth_2d(counts, 1.5)
    region = density > 0
    for floor in (0.1, SCATTER_FLOOR):
        labels = connected_regions(density > floor * density[region].max())
        n_regions = int(labels.max())
        events = np.bincount(labels.ravel(), weights=counts.ravel(), minlength=n_regions + 1)
        if floor == SCATTER_FLOOR:  # the same region, followed further down
            events = np.where(np.isin(np.arange(n_regions + 1), labels[region]), events, -1.0)
        region = labels == 1 + int(np.argmax(events[1:]))
    inside = (x >= x_low) & (x < x_high) & (y >= y_low) & (y < y_high)
    result: Mask = inside & region[cells[0], cells[1]]
    return result


def _axis(values: Float) -> tuple[float, float, int]:
    """Ends and number of bins of a scatter axis: never finer than the values are quantised."""
    low, middle, high = np.quantile(values, (0.005, 0.5, 0.995))
    low, high = low - 0.05, high + 0.05
    different = np.unique(values)
    place = int(np.searchsorted(different, middle))
    around = different[max(0, place - 2) : place + 3]
    step = float(np.median(np.diff(around))) if around.size > 1 else 0.0
    n_bins = min(SCATTER_BINS, int((high - low) / (2.0 * step))) if step > 0 else SCATTER_BINS
    return float(low), float(high), max(4, n_bins)


def _one_bead_wide(ratio: Float, among: Mask) -> Mask:
    """Events whose log area / height lies near its median among some events."""
    centre = float(np.median(ratio[among]))
    spread = 1.4826 * float(np.median(np.abs(ratio[among] - centre)))
    near: Mask = np.abs(ratio - centre) <= max(HEIGHT_SD * spread, 0.02)
    return near


def scatter_columns(pnn: Sequence[str]) -> tuple[int, ...]:
    """Columns of FSC, SSC and, beside an FSC area, its height; () where either is absent."""
    upper = [name.upper() for name in pnn]
    forward = _first(upper, ("FSC-A", "FS INT", "FS-A", "FSC", "FS"), ("FSC", "FS"))
    side = _first(upper, ("SSC-A", "SS INT", "SS-A", "SSC", "SS"), ("SSC", "SS"))
    if forward is None or side is None:
        return ()
    height = _first(upper, ("FSC-H", "FS PEAK", "FS-H"), ())
    is_area = upper[forward].startswith(("FSC-A", "FS INT", "FS-A"))
    return (forward, side, height) if height is not None and is_area else (forward, side)


def _first(names: Sequence[str], preferred: Sequence[str], begins: Sequence[str]) -> int | None:
    """Index of the first name that begins with the earliest preferred word, else with any."""
    for word in (*preferred, *begins):
        for index, name in enumerate(names):
            if name.startswith(word):
                return index
    return None
