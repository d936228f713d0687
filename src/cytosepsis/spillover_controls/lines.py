"""One robust line: what a control's own detector says of another, however the noise grows.

Noise of a detector grows with its light, so that bright events say less than their distance
suggests, and it stands in both detectors, which pulls an ordinary slope towards zero. Here every
event weighs by the variance that its brightness has, events far off the line are held back
(Huber), and the line is fitted to where an event most likely lies on it, not to where its own
detector's noise has put it (York 1966, 10.1139/p66-090).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Point = tuple[float, float]  # x, y

HUBER = 1.345  # standard deviations; 95 % efficient where the noise is normal (Huber 1981)
CUT = 1.5  # standard deviations; what lies further off counts as if it lay there
CUT_MEAN = 0.7784652  # mean of min(z², CUT²) of a standard normal z
TRIM = 0.01  # of the events at either end of either detector, for the first line only
CLOUD = 6.0
MIN_ABOVE = 10  # events
MAX_BINS = 64
EVENTS_PER_BIN = 5


@dataclass(frozen=True, slots=True)
class Noise:
    """Variance of a detector's noise: constant + per_light · intensity."""

    constant: float = 0.0
    per_light: float = 0.0

    def variance(self, intensity: Float) -> Float:
        """Variance at some intensities; below zero as at zero."""
        return self.constant + self.per_light * np.maximum(intensity, 0.0)


@dataclass(frozen=True, slots=True)
class Variance:
    """Variance of the distance from a line: constant + linear · x + square · x²."""

    constant: float
    linear: float = 0.0
    square: float = 0.0

    def at(self, x: Float) -> Float:
        """Variance at some x; below zero as at zero."""
        light = np.maximum(x, 0.0)
        return self.constant + light * (self.linear + self.square * light)


@dataclass(frozen=True, slots=True)
class Line:
    """y = intercept + slope · x, with the variance of y - line and the slope's standard error."""

    slope: float
    intercept: float
    variance: Variance
    standard_error: float = float("nan")


def first_line(x: Float, y: Float, *, anchor: Point | None = None) -> Line:
    """Line through the trimmed events by Huber's estimate, without weights; x is ascending.

    1 % at both ends of both axes is left out (of fewer than 100 events none). An anchor is a point
    that the line must pass through.
    """
    n_trim = int(TRIM * x.size)
    low, high = np.sort(y)[[n_trim, y.size - 1 - n_trim]]
    inside = (y >= low) & (y <= high)
    inside[:n_trim] = False
    inside[x.size - n_trim :] = False
    xs, ys = x[inside], y[inside]
    weights = np.ones(xs.size)
    slope = intercept = 0.0
    for _ in range(50):
        before = slope
        slope, intercept = _weighted(xs, ys, weights, xs, anchor)
        off = np.abs(ys - intercept - slope * xs)
        scale = max(1.4826 * float(np.median(off)), 1e-12 * (1.0 + float(np.abs(ys).max())))
        weights = np.minimum(1.0, HUBER * scale / np.maximum(off, 1e-300))
        if abs(slope - before) <= 1e-6:
            break
    return Line(slope, intercept, _first_variance(x, y - intercept - slope * x))


def next_line(
    x: Float,
    y: Float,
    line: Line,
    *,
    noise: Noise,
    anchor: Point | None = None,
    weigh: bool = True,
    step: float = 1.0,
) -> Line:
    """Return the line after one round of reweighting; x is ascending.

    Parameters
    ----------
    x, y : (n,) own and other detector, linear
    line : the line so far
    noise : of the own detector
    anchor : a point that the line must pass through
    weigh : whether the variance is found anew, or stays that of `line`
    step : of the way to the new line that is gone, 0 to 1

    """
    off = y - line.intercept - line.slope * x
    place, variance = _placed(x, off, line, noise)
    variance_of = line.variance
    if weigh:
        variance_of = _variance(place, off, variance)
        place, variance = _placed(x, off, Line(line.slope, line.intercept, variance_of), noise)
    place = _without_the_unstained(place, x, noise)
    z = np.abs(off) / np.sqrt(variance)
    weights = np.minimum(1.0, HUBER / np.maximum(z, 1e-300)) / variance
    slope, intercept = _weighted(x, y, weights, place, anchor)
    centre = anchor[0] if anchor else float(np.average(place, weights=weights))
    centred = place - centre
    pull = float(np.sqrt(np.sum(np.square(weights * off * centred))))
    hold = float(np.sum(np.square(centred[z < HUBER]) / variance[z < HUBER]))
    return Line(
        slope=line.slope + step * (slope - line.slope),
        intercept=line.intercept + step * (intercept - line.intercept),
        variance=variance_of,
        standard_error=pull / hold if hold > 0 else float("inf"),
    )


def noise_growth(x: Float, y: Float) -> float:
    """How fast the variance of y grows with x (≥ 0), y's centre being free to bend with x.

    x ascending. For the spread that a dye leaves in another detector after compensation.
    """
    edges = _edges(x.size, 20)
    middle = np.repeat(
        [float(np.median(part)) for part in np.split(y, edges[1:])],
        np.diff([*edges, x.size]),
    )
    fitted = _first_variance(x, y - middle, n_columns=2)
    off = y - middle
    for _ in range(5):
        fitted = _variance(x, off, fitted.at(x), 2)
    return fitted.linear


def _placed(x: Float, off: Float, line: Line, noise: Noise) -> tuple[Float, Float]:
    """Where on the line each event most likely lies, and the variance there."""
    place = x
    variance = line.variance.at(x)
    if line.slope == 0.0 or (noise.constant == 0.0 and noise.per_light == 0.0):
        return place, variance
    for _ in range(2):
        own = np.minimum(line.slope**2 * noise.variance(place), 0.9 * variance)
        place = x + own / (line.slope * variance) * off
        variance = line.variance.at(place)
    return place, variance


def _without_the_unstained(place: Float, x: Float, noise: Noise) -> Float:
    """Places in which the cloud of unstained events is one point, its centre.

    Bright and dim cells differ in their own light, in all detectors together; inside the cloud that
    is a slope, but not the dye's. The cloud reaches CLOUD standard deviations above its foot (the
    1st percentile of all events). Where hardly an event lies above it, all stay where they are.
    """
    width = float(np.sqrt(noise.constant))
    inside = place <= x[int(TRIM * x.size)] + CLOUD * width
    if not inside.any() or (~inside).sum() < MIN_ABOVE:
        return place
    return np.where(inside, float(place[inside].mean()), place)


def _weighted(
    x: Float, y: Float, weights: Float, place: Float, anchor: Point | None
) -> tuple[float, float]:
    """Slope and intercept that leave residuals without weight along `place`."""
    if anchor is None:
        total = float(weights.sum())
        x_mean, y_mean = float(weights @ x) / total, float(weights @ y) / total
        lever = weights * (place - float(weights @ place) / total)
    else:
        x_mean, y_mean = anchor
        lever = weights * (place - x_mean)
    along = float(lever @ (x - x_mean))
    slope = float(lever @ (y - y_mean)) / along if along > 0 else 0.0
    return slope, y_mean - slope * x_mean


def _edges(n: int, per_bin: int) -> NDArray[np.int64]:
    n_bins = max(1, min(MAX_BINS, n // per_bin))
    return (np.arange(n_bins) * n) // n_bins


def _first_variance(x: Float, off: Float, *, n_columns: int = 3) -> Variance:
    """Variance from the squared distances in bins of x, without knowing how it grows."""
    return _variance(x, off, np.full(x.size, float(np.square(off).mean()) + _tiny(off)), n_columns)


def _variance(x: Float, off: Float, variance: Float, n_columns: int = 3) -> Variance:
    """Variance from squared distances in bins of x, cut so that strays hardly widen it."""
    edges = _edges(x.size, EVENTS_PER_BIN)
    counts = np.diff([*edges, x.size])
    inside = np.minimum(np.square(off) / variance, CUT**2)
    means = np.add.reduceat(inside, edges) / counts / CUT_MEAN
    expected = np.add.reduceat(variance, edges) / counts
    return _fitted(x, means * expected, expected, n_columns)


def _fitted(x: Float, squares: Float, expected: Float, n_columns: int) -> Variance:
    from scipy.optimize import nnls  # noqa: PLC0415  (slow to import)

    edges = _edges(x.size, EVENTS_PER_BIN)
    counts = np.diff([*edges, x.size])
    light = np.add.reduceat(np.maximum(x, 0.0), edges) / counts
    scale = max(float(light.max()), 1e-300)
    design = np.stack([np.ones(light.size), light / scale, np.square(light / scale)], axis=1)
    weights = np.sqrt(counts) / expected
    found, _ = nnls(design[:, :n_columns] * weights[:, None], squares * weights)
    constant, linear, square = (*(float(value) for value in found), 0.0, 0.0)[:3]
    floor = 1e-4 * float(squares.min()) + 1e-18 * (1.0 + float(squares.max()))
    return Variance(max(constant, floor), linear / scale, square / scale**2)


def _tiny(off: Float) -> float:
    return 1e-18 * (1.0 + float(np.square(off).max()))
