"""The band in which single particles lie: height against area, by robust lines.

Bins of equal numbers of events along the area; in each, the middle and width of the shortest
interval that holds half of the events' heights (doublets and debris lie outside it); robust lines
through those. Nothing depends on the order of the events, nor on the units of either axis.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from cytosepsis.gating.finding import Found
from cytosepsis.gating.region import Outline
from cytosepsis.kernels import density as kd
from cytosepsis.kernels.regions import LEAST, MOST

Floats = NDArray[np.float64]

_BINS = 12
_ENDS = 0.01  # share of the events at either end of the area that lends no bin: margins, clumps
_MAJORITY = 0.5  # a band that holds less of the events is no band of single particles
# Half of a normal's events lie within 0.6745 standard deviations of its middle; the shortest half
# of a sample is somewhat shorter, which the width's multiple forgives.
_HALF_WIDTH = 0.6745


def singlet_band(area: Floats, height: Floats, *, width: float, min_events: int) -> Found:
    """Find the band, `width` robust standard deviations to either side of the line.

    The heights' scatter is a line of the area too, so that the band is a wedge. `few_events` below
    `min_events` finite pairs; `not_converged` where the events have no such band.
    """
    finite = (np.abs(area) <= MOST) & (np.abs(height) <= MOST)
    if not finite.all():
        area, height = area[finite], height[finite]
    order = np.argsort(area)
    x, y = area[order], height[order]
    if len(x) < min_events:
        return Found("few_events", None)
    bins = _bins(x)
    centre = np.array([_median(x[part]) for part in bins])
    if len(bins) < 2 or centre[-1] - centre[0] < LEAST or np.ptp(y) < LEAST:
        return Found("not_converged", None)
    slope, intercept = _line(centre, np.array([_middle(y[part])[0] for part in bins]))
    # Within a bin heights follow the area: the scatter is that about the line.
    off = y - intercept - slope * x
    rest = [_middle(off[part]) for part in bins]
    more, shift = _line(centre, np.array([middle for middle, _ in rest]))
    slope, intercept = slope + more, intercept + shift
    growth, base = _line(centre, np.array([half for _, half in rest]) / _HALF_WIDTH)
    least = float(np.median([half for _, half in rest])) / _HALF_WIDTH / 4.0

    def scatter(at: Floats) -> Floats:
        return np.maximum(base + growth * at, least)

    share = float(np.mean(np.abs(y - intercept - slope * x) <= width * scatter(x)))
    numbers = (
        ("slope", slope),
        ("intercept", intercept),
        ("scatter_low", float(scatter(centre[:1])[0])),
        ("scatter_high", float(scatter(centre[-1:])[0])),
        ("fraction", share),
    )
    if least <= 0.0 or share < _MAJORITY:
        return Found("not_converged", None, numbers)
    return Found(
        "ok", Outline(_wedge(x, slope, intercept, width, scatter(centre), centre)), numbers
    )


def _bins(x: Floats) -> list[slice]:
    """Parts of about equal numbers of ascending areas; equal areas are in one part."""
    n = len(x)
    places = np.linspace(_ENDS * n, (1.0 - _ENDS) * n, _BINS + 1).astype(np.intp)
    edges = np.searchsorted(x, x[np.minimum(places, n - 1)])
    return [slice(a, b) for a, b in itertools.pairwise(edges.tolist()) if b > a]


def _median(ascending: Floats) -> float:
    n = len(ascending)
    return float(0.5 * (ascending[(n - 1) // 2] + ascending[n // 2]))


def _middle(values: Floats) -> tuple[float, float]:
    """Middle and half width of the shortest interval that holds half of the values."""
    low, high = kd.shortest_interval(np.sort(values), (len(values) + 1) // 2)
    return 0.5 * (low + high), 0.5 * (high - low)


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and intercept by medians of all pairs (Theil 1950; Sen 1968, 10.2307/2285891)."""
    i, j = np.triu_indices(len(x), 1)
    apart = x[j] != x[i]
    slopes = (y[j] - y[i])[apart] / (x[j] - x[i])[apart]
    slope = _median(np.sort(slopes))
    return slope, _median(np.sort(y - slope * x))


def _wedge(
    x: Floats, slope: float, intercept: float, width: float, scatter: Floats, centre: Floats
) -> tuple[tuple[float, float], ...]:
    """Vertices from far below to far above the events, along both borders of the band."""
    span = float(x[-1] - x[0])
    ends = float(x[0]) - span, float(x[-1]) + span
    knots = [ends[0], float(centre[0]), float(centre[-1]), ends[1]]
    reach = np.interp(knots, [centre[0], centre[-1]], [scatter[0], scatter[-1]])
    growth = (scatter[-1] - scatter[0]) / (centre[-1] - centre[0])
    reach[3] = max(reach[2] + growth * (knots[3] - knots[2]), reach[2] / 4.0)
    reach[0] = max(reach[1] - growth * (knots[1] - knots[0]), min(reach[1], reach[2]) / 4.0)
    line = [intercept + slope * knot for knot in knots]
    lower = [(k, m - width * r) for k, m, r in zip(knots, line, reach, strict=True)]
    upper = [(k, m + width * r) for k, m, r in zip(knots, line, reach, strict=True)]
    vertices = [*lower, *reversed(upper)]
    return tuple((_gateable(a), _gateable(b)) for a, b in vertices)


def _gateable(value: float) -> float:
    return 0.0 if abs(value) < LEAST else float(value)
