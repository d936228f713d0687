"""The events of a control that may speak: not saturated, and of the cells that carry the dye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.bead_scatter import scatter_columns
from cytosepsis.fcs import RawEvents
from cytosepsis.kernels.density import bin_counts_2d, smooth_2d

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

SCATTER_BINS = 64  # per axis
SCATTER_FLOOR = 0.1  # the cells' region reaches down to this part of its greatest density
MIN_BRIGHT = 0.3  # of the bright events; a region that holds fewer is not theirs
PILE = 0.001  # of the events at one greatest value: the detector ended there
MIN_EVENTS = 50  # that are usable, of a control


@dataclass(frozen=True, slots=True)
class ControlEvents:
    """Usable events of one control and what was left out."""

    values: Float  # (n_used, n_detectors), linear, in the order of the matrix
    n_events: int
    n_saturated: int
    scatter: bool  # whether the region of the dye's cells was found


def usable_events(
    raw: RawEvents, detectors: Sequence[int], own: int | None, *, scatter: bool = True
) -> ControlEvents:
    """Events of a control without those that mislead.

    Left out are events with a value that is not finite or is the detector's last, and those away
    from the scatter of the bright events: a dye of rare cells is measured on these cells.

    Parameters
    ----------
    raw : the control's file
    detectors : columns of the matrix's detectors in the file
    own : which of them is the dye's own; None: unstained, no bright events
    scatter : False: all scatters are taken
    """
    events = raw.linear()
    values = np.ascontiguousarray(events[:, list(detectors)])
    finite = np.isfinite(values).all(axis=1)
    saturated = np.zeros(len(values), dtype=np.bool_)
    for place, column in enumerate(detectors):
        saturated |= values[:, place] >= _top(
            values[finite, place], raw.parameters[column].top_of_scale
        )
    kept: Mask = finite & ~saturated
    region = None
    columns = scatter_columns(raw.pnn)[:2]
    if scatter and own is not None and columns and kept.sum() >= MIN_EVENTS:
        region = around_bright(events[kept][:, list(columns)], values[kept, own])
    used = values[kept] if region is None else values[kept][region]
    if len(used) < MIN_EVENTS:
        region, used = None, values[kept]
    return ControlEvents(used, len(values), int((saturated & finite).sum()), region is not None)


def around_bright(scatter: Float, intensity: Float) -> Mask | None:
    """Events whose scatter is that of the bright ones; None where scatter does not tell.

    Bright is what lies above half-way between the 1st and 99.5th percentile on an arcsinh scale.
    The density of their FSC × SSC is followed from its peak down to `SCATTER_FLOOR`; of the regions
    the one with the peak is theirs. Deterministic.

    Parameters
    ----------
    scatter : (n_events, 2)
    intensity : (n_events,) in the dye's own detector
    """
    from scipy.ndimage import label  # noqa: PLC0415  (slow to import)

    bright = scatter[is_bright(intensity) & np.isfinite(scatter).all(axis=1)]
    axes = [_axis(bright[:, k]) for k in range(2)] if len(bright) >= 10 else [None, None]
    if axes[0] is None or axes[1] is None:
        return None
    (x_low, x_high, x_sigma), (y_low, y_high, y_sigma) = axes[0], axes[1]
    counts = bin_counts_2d(
        np.ascontiguousarray(bright[:, 0]),
        np.ascontiguousarray(bright[:, 1]),
        x_low,
        x_high,
        y_low,
        y_high,
        SCATTER_BINS,
        SCATTER_BINS,
    )
    density = smooth_2d(counts, max(x_sigma, y_sigma))
    labels, _ = label(density > SCATTER_FLOOR * density.max())
    region = labels == labels[np.unravel_index(int(density.argmax()), density.shape)]
    if counts[region].sum() < MIN_BRIGHT * len(bright):
        return None
    lows, highs = np.array([x_low, y_low]), np.array([x_high, y_high])
    inside = ((scatter >= lows) & (scatter < highs)).all(axis=1)
    cells = np.zeros(scatter.shape, dtype=np.int64)
    cells[inside] = (scatter[inside] - lows) * SCATTER_BINS / (highs - lows)
    cells = np.minimum(cells, SCATTER_BINS - 1)
    result: Mask = inside & region[cells[:, 0], cells[:, 1]]
    return result


def is_bright(intensity: Float) -> Mask:
    """Events above half-way between dim and bright on an arcsinh scale; all true of one value."""
    centre = float(np.median(intensity))
    width = 1.4826 * float(np.median(np.abs(intensity - centre)))
    scaled = np.arcsinh(intensity / width) if width > 0 else intensity
    low, high = np.quantile(scaled, (0.01, 0.995))
    bright: Mask = scaled >= 0.5 * (low + high)
    return bright


def _axis(values: Float) -> tuple[float, float, float] | None:
    """Ends of a scatter axis and its smoothing in bins (Scott's rule); None if flat."""
    low, quarter, three, high = np.quantile(values, (0.005, 0.25, 0.75, 0.995))
    if not high > low:
        return None
    reach = 0.15 * (high - low)
    low, high = low - reach, high + reach
    bandwidth = (three - quarter) / 1.349 * len(values) ** (-1 / 6)
    return float(low), float(high), max(1.0, float(bandwidth / (high - low) * SCATTER_BINS))


def _top(values: Float, stated: float | None) -> float:
    """Value at and above which a detector is saturated; infinity where it never is.

    The greatest value where events pile up at it, as they do where a detector ends below its $PnR;
    else what $PnR says, unless events lie above it.
    """
    if values.size == 0:
        return float("inf")
    greatest = float(values.max())
    piled = int((values == greatest).sum())
    if piled >= max(5, PILE * values.size):
        below = values[values < greatest]
        # of whole numbers a few share the greatest value, but more the one below it
        if below.size == 0 or piled > 3 * int((below == below.max()).sum()):
            return greatest
    return stated if stated is not None and greatest <= stated * (1 + 1e-6) else float("inf")
