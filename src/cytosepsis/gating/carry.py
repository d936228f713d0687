"""Interval bounds of a transformed axis, carried back to the linear one.

Transforms increase, so an interval on the transformed axis is an interval on the linear axis; a
computed transform is not monotone to its last bit, so close to a carried bound the transform
itself decides. The margin is 256 rounding errors on the transformed scale and 64 units in the
last place on the linear one (neighbouring doubles were seen to disagree within 50).
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache

import numpy as np

from cytosepsis.kernels import transforms as kt
from cytosepsis.transform_values import arrays
from cytosepsis.transforms import Transform

_ULPS = 64
_ROUNDING = 256 * 2.0**-52

Band = tuple[float, float, float, float]


def open_band() -> Band:
    """A band that keeps everything but NaN."""
    return (-math.inf, math.nan, -math.inf, math.nan)


def linear_band(low: float | None, high: float | None) -> Band:
    """The band of low ≤ v < high on the linear axis itself: always sure."""
    least = -math.inf if low is None else low
    most = math.nan if high is None else high
    return (least, most, least, most)


@lru_cache(maxsize=4096)
def carried_band(transform: Transform, low: float | None, high: float | None) -> Band:
    """Carry low ≤ T(v) < high back: (in_low, in_high, out_low, out_high) of `regions.sure_band`."""
    carry = _Carrier(transform)
    in_low = out_low = carry.start
    in_high = out_high = math.nan
    if low is not None:
        out_low = carry.first_at(low, -1)
        in_low = carry.first_at(low, 1)
        if in_low == math.inf:
            in_low = math.nan  # nothing is surely in
    if high is not None:
        in_high = carry.first_at(high, -1)
        out_high = carry.first_at(high, 1)
        if out_high == math.inf:
            out_high = math.nan  # nothing is surely above
    return (in_low, in_high, out_low, out_high)


class _Carrier:
    """Finds where a transform reaches a value, by halving the set of doubles."""

    def __init__(self, transform: Transform) -> None:
        self.kind, self.numbers, self.table = arrays(transform)
        self.scale = float(len(self.table)) if self.kind == kt.TABLE else 1.0
        # A logarithm is NaN below zero: nothing there is in any interval.
        self.start = 0.0 if self.kind == kt.LOG else -math.inf

    def first_at(self, value: float, side: int) -> float:
        """The first double whose transform reaches value, moved outwards by the margin.

        side -1: a little too early for certain, 1: a little too late; inf where none reaches it.
        Infinities take part: an event may carry them, and a transform sends them to infinity.
        """
        wanted = value + side * _ROUNDING * max(self.scale, abs(value))
        low = _order(self.start)
        high = _order(math.inf)
        if self._at(high) < wanted:
            return math.inf
        if self._at(low) >= wanted:
            return self.start
        while high - low > 1:
            middle = (low + high) // 2
            if self._at(middle) >= wanted:
                high = middle
            else:
                low = middle
        return _double(high + side * _ULPS)

    def _at(self, order: int) -> float:
        return float(kt.transform_value(self.kind, self.numbers, self.table, _double(order)))


def _order(value: float) -> int:
    """Place of a double among all, infinities included: neighbours differ by one."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)


def _double(order: int) -> float:
    limit = _order(math.inf)
    place = max(-limit, min(limit, order))
    bits = place if place >= 0 else -place | -0x8000000000000000
    return float(np.float64(struct.unpack("<d", struct.pack("<q", bits))[0]))
