"""A mixture of two-dimensional t-distributions on counted places, by expectation-maximisation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import kernel

Float = NDArray[np.float64]


@kernel
def t_mixture(
    x: Float,
    y: Float,
    counts: Float,
    start: Float,
    floor: float,
    area: float,
    n_steps: int,
    tolerance: float,
) -> tuple[Float, Float, int]:
    """Fit clouds and an even background to counted places (Peel & McLachlan 2000).

    Degrees of freedom are fitted too (10.1023/A:1008981510081, section 6).

    Parameters
    ----------
    x, y, counts : (n,) places and how often each
    start : (k, 7) of each cloud: weight, mean x, mean y, variance x, covariance, variance y,
        degrees of freedom
    floor : least variance on either axis
    area : of the plane, over which the background is even
    n_steps, tolerance : at most so many steps; done when the mean log-likelihood gains less

    Returns
    -------
    clouds : (k, 7) as `start`; what is left of the weight is the background's
    share : (k + 1, n) of each place, the background last
    steps : taken; `n_steps` where it had not settled by then

    """
    n, k = x.size, start.shape[0]
    clouds = start.copy()
    share = np.zeros((k + 1, n))
    pull = np.zeros((k, n))
    stretch = np.zeros((k, n))  # logarithms, of which both the height and the freedom are made
    whole = np.zeros(n)
    background = max(1e-6, 1.0 - clouds[:, 0].sum())
    total = counts.sum()
    before = -math.inf
    steps = n_steps
    for step in range(n_steps):
        whole[:] = background / area
        form = _forms(clouds)
        for c in range(k):
            _raised(clouds, form, c, x, y, share, pull, stretch, whole)
        gained = 0.0
        for i in range(n):
            gained += counts[i] * math.log(whole[i])
        share[k] = background / area
        for c in range(k + 1):
            for i in range(n):
                share[c, i] /= whole[i]
        gained /= total
        if gained - before < tolerance:
            steps = step
            break
        before = gained
        background = max(1e-9, (counts * share[k]).sum() / total)
        for c in range(k):
            _moved(clouds, c, x, y, counts, share, pull, stretch, floor)
    return clouds, share, steps


@kernel
def _raised(
    clouds: Float,
    form: Float,
    c: int,
    x: Float,
    y: Float,
    heights: Float,
    pull: Float,
    stretch: Float,
    whole: Float,
) -> None:
    """One cloud's height at every place, added to the whole, and what moving it will need."""
    at_x, at_y, freedom = clouds[c, 1], clouds[c, 2], clouds[c, 6]
    xx, xy, yy, top, power = form[c, 0], form[c, 1], form[c, 2], form[c, 3], form[c, 4]
    for i in range(x.size):
        dx, dy = x[i] - at_x, y[i] - at_y
        far = xx * dx * dx + 2.0 * xy * dx * dy + yy * dy * dy
        logarithm = math.log1p(far / freedom)
        height = top * math.exp(-power * logarithm)
        stretch[c, i] = logarithm
        pull[c, i] = (freedom + 2.0) / (freedom + far)
        heights[c, i] = height
        whole[i] += height


@kernel
def t_heights(clouds: Float, x: Float, y: Float) -> Float:
    """Height of each cloud (k, 7), weight included, at each place: (k, n)."""
    form = _forms(clouds)
    heights = np.empty((len(clouds), x.size))
    for c in range(len(clouds)):
        at_x, at_y, freedom = clouds[c, 1], clouds[c, 2], clouds[c, 6]
        xx, xy, yy, top, power = form[c, 0], form[c, 1], form[c, 2], form[c, 3], form[c, 4]
        for i in range(x.size):
            dx, dy = x[i] - at_x, y[i] - at_y
            far = xx * dx * dx + 2.0 * xy * dx * dy + yy * dy * dy
            heights[c, i] = top * math.exp(-power * math.log1p(far / freedom))
    return heights


@kernel
def _forms(clouds: Float) -> Float:
    """Inverse covariance, height and exponent of each cloud: (k, 5)."""
    k = clouds.shape[0]
    form = np.empty((k, 5))
    for c in range(k):
        vx, vxy, vy = clouds[c, 3], clouds[c, 4], clouds[c, 5]
        size = vx * vy - vxy * vxy
        form[c, 0] = vy / size
        form[c, 1] = -vxy / size
        form[c, 2] = vx / size
        form[c, 3] = clouds[c, 0] / (2.0 * math.pi * math.sqrt(size))
        form[c, 4] = 0.5 * (clouds[c, 6] + 2.0)
    return form


@kernel
def _moved(
    clouds: Float,
    c: int,
    x: Float,
    y: Float,
    counts: Float,
    share: Float,
    pull: Float,
    stretch: Float,
    floor: float,
) -> None:
    """One cloud moved to where its share of the places lies."""
    mass = 0.0
    weight = 0.0
    sx = 0.0
    sy = 0.0
    spread = 0.0
    for i in range(x.size):
        own = counts[i] * share[c, i]
        pulled = own * pull[c, i]
        mass += own
        weight += pulled
        sx += pulled * x[i]
        sy += pulled * y[i]
        spread -= own * stretch[c, i] + pulled
    total = counts.sum()
    clouds[c, 0] = mass / total
    if mass < 3.0:
        return  # nearly dead: its form stays
    mx, my = sx / weight, sy / weight
    vx = 0.0
    vxy = 0.0
    vy = 0.0
    for i in range(x.size):
        own = counts[i] * share[c, i] * pull[c, i]
        vx += own * (x[i] - mx) ** 2
        vxy += own * (x[i] - mx) * (y[i] - my)
        vy += own * (y[i] - my) ** 2
    clouds[c, 1], clouds[c, 2] = mx, my
    clouds[c, 3], clouds[c, 5] = max(vx / mass, floor), max(vy / mass, floor)
    limit = 0.98 * math.sqrt(clouds[c, 3] * clouds[c, 5])
    clouds[c, 4] = min(max(vxy / mass, -limit), limit)
    freedom = clouds[c, 6]
    spread = spread / mass + math.log((freedom + 2.0) / freedom)  # mean of log(pull) - pull
    clouds[c, 6] = _freedom(spread, freedom)


@kernel
def _freedom(spread: float, now: float) -> float:
    """Degrees of freedom from 3 to 100 that solve the likelihood's equation, by halving."""
    half = 0.5 * (now + 2.0)
    known = 1.0 + spread + _digamma(half) - math.log(half)
    low, high = 3.0, 100.0
    if _left_of(high, known) > 0.0:
        return high
    if _left_of(low, known) < 0.0:
        return low
    for _ in range(30):
        middle = math.sqrt(low * high)
        if _left_of(middle, known) > 0.0:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


@kernel
def _left_of(freedom: float, known: float) -> float:
    """Above zero where the degrees of freedom are still too few."""
    return math.log(0.5 * freedom) - _digamma(0.5 * freedom) + known


@kernel
def _digamma(value: float) -> float:
    """Logarithmic derivative of the gamma function, for value > 0 (series from 6 up)."""
    total = 0.0
    while value < 6.0:
        total -= 1.0 / value
        value += 1.0
    square = 1.0 / (value * value)
    tail = square * (1.0 / 12.0 - square * (1.0 / 120.0 - square / 252.0))
    return total + math.log(value) - 0.5 / value - tail
