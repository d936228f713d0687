"""Pictures of populations as binned counts: what a report shows instead of reading events again.

A `Canvas` is filled block by block while a file is walked, so that nothing of the file's size is
held. Counts are of every event, bins are equal on the axis's own scale, and what lies beyond an end
is counted in the bin at that end, as cytometers display it: the counts of a picture add up to the
population, but for events that have no place on an axis (a logarithm of a negative value).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels.density import bin_counts, bin_counts_2d
from cytosepsis.transforms import Biex, Transform, apply

Float = NDArray[np.float64]

N_BINS = 128  # of each axis of a picture of two
N_BINS_ALONE = 256  # of a histogram
# An axis without a transform reaches as far as the first events do: so many are looked at first.
N_LOOKED_AT = 32_768
LOW_SHARE, HIGH_SHARE = 0.005, 0.995  # of them, what the axis holds at least

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


@dataclass(frozen=True, slots=True)
class Scale:
    """What a canvas has to know of an axis before it sees a value."""

    channel: str
    transform: Transform | None
    detector: str | None = None
    compensated: bool = False
    divisor: str | None = None
    log10: bool = False  # decades, of what is never negative (scatter of beads)
    reach: float | None = None  # greatest value of the detector, linear, where it is known
    bounds: tuple[float, ...] = ()  # of gates on an axis without a transform: to be seen too


class Canvas:
    """Counts of one picture in the making: `add` blocks of linear values, then take `density`."""

    def __init__(
        self,
        path: str,
        scales: Sequence[Scale],
        outlines: Sequence[Outline] = (),
        *,
        n_bins: int | None = None,
    ) -> None:
        assert len(scales) in (1, 2)
        self._path, self._scales, self._outlines = path, tuple(scales), tuple(outlines)
        self._n_bins = n_bins or (N_BINS_ALONE if len(scales) == 1 else N_BINS)
        self._waiting: list[Float] = []  # until there is enough to choose the ends from
        self._n_waiting = 0
        self._ends: list[tuple[float, float]] | None = None
        self._counts = np.zeros((self._n_bins,) * len(scales))
        self._n_events = 0

    def add(self, values: Sequence[Float]) -> None:
        """Count a block: linear values (n,) for each axis; they are copied or done with."""
        block = np.array([_scaled(s, v) for s, v in zip(self._scales, values, strict=True)])
        self._n_events += block.shape[1]
        if self._ends is not None:
            self._count(block)
            return
        self._waiting.append(block)
        self._n_waiting += block.shape[1]
        if self._n_waiting >= N_LOOKED_AT:
            self._settle()

    def density(self) -> Density:
        """Return what has been counted."""
        if self._ends is None:
            self._settle()
        assert self._ends is not None
        axes = [
            DensityAxis(
                channel=s.channel,
                detector=s.detector,
                compensated=s.compensated,
                scale=_name(s),
                parameters=_parameters(s.transform),
                first_edge=low,
                last_edge=high,
                n_bins=self._n_bins,
                divisor=s.divisor,
            )
            for s, (low, high) in zip(self._scales, self._ends, strict=True)
        ]
        return Density(
            path=self._path,
            n_events=self._n_events,
            n_shown=int(self._counts.sum()),
            x=axes[0],
            y=axes[1] if len(axes) == 2 else None,
            counts=pack(self._counts),
            outlines=self._outlines,
        )

    def _settle(self) -> None:
        """Choose the ends of the axes from what has been seen, and count that."""
        blocks, self._waiting = self._waiting, []
        seen = np.concatenate(blocks, axis=1) if blocks else np.empty((len(self._scales), 0))
        self._ends = [_ends(s, row) for s, row in zip(self._scales, seen, strict=True)]
        self._count(seen)

    def _count(self, block: Float) -> None:
        assert self._ends is not None
        inside = [
            np.clip(row, low, math.nextafter(high, low))
            for row, (low, high) in zip(block, self._ends, strict=True)
        ]
        n = self._n_bins
        if len(inside) == 1:
            self._counts += bin_counts(inside[0], *self._ends[0], n)
        else:
            (x_low, x_high), (y_low, y_high) = self._ends
            x, y = inside
            self._counts += bin_counts_2d(x, y, x_low, x_high, y_low, y_high, n, n)


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


def _scaled(scale: Scale, values: Float) -> Float:
    if scale.log10:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(values)
    return values if scale.transform is None else apply(scale.transform, values)


def _name(scale: Scale) -> str:
    if scale.log10:
        return "log10"
    return "linear" if scale.transform is None else type(scale.transform).__name__.lower()


def _parameters(transform: Transform | None) -> tuple[tuple[str, float], ...]:
    if transform is None:
        return ()
    values = ((field.name, getattr(transform, field.name)) for field in fields(transform))
    return tuple((name, float(value)) for name, value in values if value is not None)


def _ends(scale: Scale, seen: Float) -> tuple[float, float]:
    """Ends of an axis: those of the transform's scale, else as far as the values reach."""
    if isinstance(scale.transform, Biex):
        return 0.0, float(scale.transform.length)
    if scale.transform is not None:
        return 0.0, 1.0
    finite = seen[np.isfinite(seen)]
    if scale.log10:
        return _decades(finite)
    ends = np.quantile(finite, (LOW_SHARE, HIGH_SHARE)) if finite.size else (0.0, 1.0)
    low, high = (float(end) for end in ends)
    # gates are to be seen, but one that is open in all but name must not squeeze the events
    furthest = scale.reach if scale.reach is not None else 8.0 * high
    high = _power_above(max(high, *(bound for bound in scale.bounds if bound <= furthest), 0.0))
    if scale.reach is not None and scale.reach > 0:
        high = min(high, scale.reach)
    # a few values just below zero are noise of the baseline, not worth half of the picture
    return (0.0 if low >= -0.01 * high else -_power_above(-low)), high


def _decades(finite: Float) -> tuple[float, float]:
    """Whole tenths of decades around nearly all values."""
    if not finite.size:
        return 0.0, 1.0
    low, high = np.quantile(finite, (LOW_SHARE, HIGH_SHARE))
    return math.floor(float(low) * 10 - 1) / 10, math.ceil(float(high) * 10 + 1) / 10


def _power_above(value: float) -> float:
    """The power of two that is not below a value: samples of one panel get the same axis."""
    return 2.0 ** math.ceil(math.log2(value)) if value > 0 else 1.0
