"""Pictures in the making: a population's events counted on one or two axes, block by block.

A `Canvas` is filled while a file is walked, so that nothing of the file's size is held.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cytosepsis.densities import Density, DensityAxis, Outline, pack
from cytosepsis.kernels.density import bin_counts, bin_counts_2d
from cytosepsis.transform_values import apply
from cytosepsis.transforms import Biex, Transform

Float = NDArray[np.float64]

N_BINS = 128  # of each axis of a picture of two
N_BINS_ALONE = 256  # of a histogram
# An axis without a transform reaches as far as the first events do: so many are looked at first.
N_LOOKED_AT = 32_768
LOW_SHARE, HIGH_SHARE = 0.005, 0.995  # of them, what the axis holds at least


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
