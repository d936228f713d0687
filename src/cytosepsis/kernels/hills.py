"""Hills of a smoothed density on a grid: which cells belong to which peak, and their outline."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import kernel

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


@kernel
def hills(density: Float, sigma: float, significant: float, shallow: float) -> Int:
    """Label the cells of a grid by the peak that they lead up to; -1 where the density is zero.

    Cells are taken from the densest down; each joins the hill of its densest neighbour (of eight)
    that has been taken. Where two hills meet, the lower one is part of the higher unless its peak
    stands above the meeting place by `significant` standard deviations of counting, and the
    meeting place is below `shallow` of it. (Persistence: Chazal et al. 2013,
    10.1145/2535927.)

    Parameters
    ----------
    density : (n_x, n_y), counts smoothed with a round Gaussian of `sigma` cells

    Returns
    -------
    int64 (n_x, n_y): the flat index of the hill's peak

    """
    n_x, n_y = density.shape
    flat = density.ravel()
    some = np.flatnonzero(flat > 0.0)
    order = some[np.argsort(-flat[some], kind="mergesort")]
    hill = np.full(flat.size, -1, dtype=np.int64)
    # standard deviation of the difference of two heights: sqrt(their sum / (4 pi)) / sigma
    limits = (significant / (sigma * math.sqrt(4.0 * math.pi)), shallow)
    for cell in order:
        height = flat[cell]
        i, j = cell // n_y, cell % n_y
        best = -1
        for a in range(max(i - 1, 0), min(i + 2, n_x)):
            for b in range(max(j - 1, 0), min(j + 2, n_y)):
                near = a * n_y + b
                if hill[near] >= 0 and (best < 0 or flat[near] > flat[best]):
                    best = near
        if best < 0:
            hill[cell] = cell
            continue
        top = _root(hill, best)
        hill[cell] = top
        for a in range(max(i - 1, 0), min(i + 2, n_x)):
            for b in range(max(j - 1, 0), min(j + 2, n_y)):
                near = a * n_y + b
                if hill[near] >= 0:
                    top = _joined(flat, hill, top, _root(hill, near), height, limits)
    for cell in range(flat.size):
        if hill[cell] >= 0:
            hill[cell] = _root(hill, cell)
    return hill.reshape((n_x, n_y))


@kernel
def _joined(
    flat: Float, hill: Int, top: int, other: int, height: float, limits: tuple[float, float]
) -> int:
    """The hill that a cell where two meet belongs to: the lower, if it stands, keeps its own."""
    if other == top:
        return top
    low = other if flat[other] <= flat[top] else top
    noise = math.sqrt(flat[low] + height) * limits[0]
    if flat[low] - height >= noise and height <= limits[1] * flat[low]:
        return top
    high = top if low == other else other
    hill[low] = high
    return high


@kernel
def _root(hill: Int, cell: int) -> int:
    while hill[cell] != cell:
        hill[cell] = hill[hill[cell]]
        cell = hill[cell]
    return cell


@kernel
def reach(inside: Bool, beyond: Bool, i: float, j: float, n_rays: int, step: float) -> Float:
    """How far the inside stretches from a place, along rays at equal angles: (n_rays,), in cells.

    A ray ends at the first cell that is `beyond`, or at the grid's end, and reaches as far as its
    last cell that is inside. Places are in cells, whole numbers being the middles.
    """
    n_x, n_y = inside.shape
    out = np.zeros(n_rays)
    for ray in range(n_rays):
        angle = 2.0 * math.pi * ray / n_rays
        along, across = math.cos(angle), math.sin(angle)
        length = 0.0
        while True:
            length += step
            a = math.floor(i + length * along + 0.5)
            b = math.floor(j + length * across + 0.5)
            if not (0 <= a < n_x and 0 <= b < n_y) or beyond[a, b]:
                break
            if inside[a, b]:
                out[ray] = length
    return out
