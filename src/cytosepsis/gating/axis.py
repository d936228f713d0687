"""The coordinates of gates: a channel, how it is compensated, divided and transformed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cytosepsis.transforms import Transform, transform_faults

ROOT = "root"

# What an axis is compensated with: the assay's or caller's choice, nothing, the file's own matrix,
# or the name of one of the plan's matrices. Scatter and time are never compensated.
DEFAULT_COMPENSATION = "default"
UNCOMPENSATED = "uncompensated"
FILE_COMPENSATION = "FCS"


@dataclass(frozen=True, slots=True)
class Ratio:
    """What an axis's channel x is divided by: factor · (x - offset) / (y - divisor_offset).

    `fratio` of Gating-ML 2.0 (A, B, C), with its bounds. Where y is divisor_offset the ratio is
    infinite, or NaN where x is offset too: that lies in no region.
    """

    divisor: str
    factor: float = 1.0
    offset: float = 0.0
    divisor_offset: float = 0.0
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """One coordinate of a gate: a role or $PnN/$PnS name, how compensated, how transformed.

    With a `ratio` it is that of the channel to the ratio's divisor, both compensated alike; the
    transform comes after. Where a matrix unmixes more detectors than fluorochromes, or names its
    fluorochromes, a channel may be one of them.
    """

    channel: str
    transform: Transform | None = None
    compensation: str = DEFAULT_COMPENSATION
    ratio: Ratio | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the channel, and what it is divided by."""
        return (self.channel,) if self.ratio is None else (self.channel, self.ratio.divisor)


def axis_faults(index: int, axis: Axis, matrices: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name each fault of an axis, with the key meant; `matrices` are those that the plan brings."""
    key = axis_key(index)
    if not all(channel.strip() for channel in axis.channels):
        yield key, "an axis needs a channel"
    if axis.ratio is not None:
        yield from ((f"{key}.ratio", fault) for fault in _ratio_faults(axis.ratio))
    if axis.transform is not None:
        yield from ((f"{key}.transform", fault) for fault in transform_faults(axis.transform))
    known = (DEFAULT_COMPENSATION, UNCOMPENSATED, FILE_COMPENSATION, *matrices)
    if axis.compensation not in known:
        listed = ", ".join(matrices) or "none"
        yield key, f"no matrix {axis.compensation!r} in the plan; it has: {listed}"


def _ratio_faults(ratio: Ratio) -> Iterator[str]:
    numbers = (ratio.factor, ratio.offset, ratio.divisor_offset)
    low = -math.inf if ratio.bound_min is None else ratio.bound_min
    high = math.inf if ratio.bound_max is None else ratio.bound_max
    if not all(math.isfinite(number) for number in numbers):
        yield f"A, B and C must be finite, found {', '.join(f'{n:g}' for n in numbers)}"
    if not low < high:
        yield f"boundMin {low:g} must be less than boundMax {high:g}"


def axis_key(index: int) -> str:
    """x, y, z, then the number of the axis: how messages and TOML plans call the axes of a gate."""
    return "xyz"[index] if index < 3 else f"axis {index + 1}"
