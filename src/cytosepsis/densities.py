"""Pictures of populations as binned counts: what a report shows instead of reading events again.

Counts are of every event, bins are equal on the axis's own scale, and what lies beyond an end is
counted in the bin at that end, as cytometers display it: the counts of a picture add up to the
population, but for events that have no place on an axis (a logarithm of a negative value).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

Outlined = Literal["rectangle", "polygon", "ellipse"]


@dataclass(frozen=True, slots=True)
class Outline:
    """A gate as it is drawn over a picture, in the picture's coordinates."""

    path: str  # of the population that it defines
    form: Outlined
    # rectangle: x low, x high, y low, y high (None: open); polygon: x, y of each vertex in turn;
    # ellipse: mean x, mean y, covariance xx, xy, yy, square of the distance
    numbers: tuple[float | None, ...]
    complement: bool = False  # its population is what lies outside


@dataclass(frozen=True, slots=True)
class DensityAxis:
    """One axis of a picture and its scale; bins are equal between its ends on that scale."""

    channel: str  # the role, or what a plan or lot calls it
    detector: str | None  # $PnN; None of a fluorochrome that a matrix unmixes from several
    compensated: bool
    scale: str  # linear (no transform), log10, or the transform's name in lower case
    parameters: tuple[tuple[str, float], ...]  # of the transform, as `transforms` names them
    first_edge: float
    last_edge: float
    n_bins: int
    divisor: str | None = None  # of a ratio: the channel below


@dataclass(frozen=True, slots=True)
class Density:
    """One picture: a population's events counted on one or two axes."""

    path: str
    n_events: int  # in the population
    n_shown: int  # events that have a place on every axis
    x: DensityAxis
    y: DensityAxis | None  # None: a histogram
    counts: str  # see `pack`; of two axes x by x
    outlines: tuple[Outline, ...] = ()


def pack(counts: Float) -> str:
    """Counts as text: numbers in order, the last axis running fastest, a run of n zeros as `zn`.

    Zeros at the end are left out.
    """
    flat = counts.reshape(-1)
    places = np.flatnonzero(flat)
    numbers = np.empty((len(places), 2), dtype=np.int64)
    numbers[:, 0] = 1 - np.diff(places, prepend=-1)  # zeros before it, as minus so many
    numbers[:, 1] = flat[places]
    words = numbers[numbers != 0]
    return " ".join(map(str, words.tolist())).replace("-", "z")


def unpack(text: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Counts of the shape (x bins,) or (x bins, y bins) from their text.

    ValueError where the text holds more than the shape does, or is none of `pack`'s.
    """
    out = np.zeros(math.prod(shape), dtype=np.int64)
    numbers = np.array(text.replace("z", "-").split(), dtype=np.int64)
    steps = np.where(numbers < 0, -numbers, 1)
    places = np.cumsum(steps) - steps
    counted = numbers > 0
    if len(numbers) and int(places[-1] + steps[-1]) > len(out):
        raise ValueError(f"{int(places[-1] + steps[-1])} counts for {len(out)} bins")
    out[places[counted]] = numbers[counted]
    return out.reshape(shape)
