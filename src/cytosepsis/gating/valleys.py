"""Cuts on one axis, found in the density of the parent's events.

Every result is the same for any order of the events, and moves with them when the axis is shifted
or scaled.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cytosepsis.gating.finding import GateStatus
from cytosepsis.kernels import density as kd
from cytosepsis.kernels.regions import LEAST, MOST

Floats = NDArray[np.float64]

# A valley counts where the lower of its two peaks stands above it by so many standard deviations
# of counting; some hundred places of a density are independent, so 3.5 lets through one in some
# thousand by chance, and those are mostly too shallow.
SIGNIFICANT = 3.5
SHALLOW = 0.9  # of the lower peak; two equal normals 2.5 standard deviations apart have this valley
FEWEST_IN_PEAK = 20  # events on either side of a valley
RIVAL = 0.7  # of the main valley's depth: another as deep leaves open which is meant
PILED = 0.01  # share of events exactly on the least or greatest value that makes a pile
_TAIL_SMOOTHER = 2.0  # slopes are noisier than heights
_MIN_BINS, _MAX_BINS = 128, 4096


@dataclass(frozen=True, slots=True)
class Density:
    """A smoothed density of events: counts per bin."""

    low: float
    width: float  # of a bin
    heights: Floats
    sigma: float  # of the smoothing, in bins
    n_events: int

    def place(self, index: float) -> float:
        """Return the value at a bin's middle."""
        return self.low + (index + 0.5) * self.width

    def noise(self, first: int, second: int) -> float:
        """Counting standard deviation of the difference of two heights."""
        mass = self.heights[first] + self.heights[second]
        return math.sqrt(mass / (2.0 * math.sqrt(math.pi) * self.sigma))


@dataclass(frozen=True, slots=True)
class Valley:
    """Between two neighbouring peaks; all as indices of bins."""

    left: int
    bottom: int
    right: int


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut, or why there is none."""

    status: GateStatus
    value: float | None
    numbers: tuple[tuple[str, float], ...] = ()


def ordered_finite(values: Floats) -> Floats:
    """Sort the values that can be gated: what follows is the same for any order of the events.

    Those that are not finite, or too large for a polygon's arithmetic, are no intensities.
    """
    return np.sort(values[np.abs(values) <= MOST])


def density_of(ordered: Floats, factor: float = 1.0) -> Density | None:
    """Smooth the density of ascending values; None where all of them are equal.

    Bandwidth: 0.9 · min(SD, IQR / 1.349) · n^(-1/5) (Silverman 1986, eq. 3.31) times `factor`, the
    shortest interval that holds half of the events in place of the IQR where it is shorter.
    Events piled on the least or greatest value (a detector's end) are left out.
    """
    inner = without_piles(ordered)
    n = len(inner)
    if n < 2 or inner[-1] - inner[0] < LEAST:
        return None
    lower, q1, q3, upper = (_quantile(inner, share) for share in (0.001, 0.25, 0.75, 0.999))
    spread = float(np.std(inner))
    low_half, high_half = kd.shortest_interval(inner, (n + 1) // 2)
    for half in (q3 - q1, high_half - low_half):  # the second is narrow beside another peak
        if half > 0:
            spread = min(spread, half / 1.349)
    bandwidth = factor * 0.9 * spread * n**-0.2
    # A few far events must not stretch the bins.
    reach = upper - lower
    low = max(float(inner[0]), lower - reach) - 4.0 * bandwidth
    high = min(float(inner[-1]), upper + reach) + 4.0 * bandwidth
    n_bins = int(np.clip(math.ceil((high - low) / (bandwidth / 4.0)), _MIN_BINS, _MAX_BINS))
    width = (high - low) / n_bins
    sigma = max(bandwidth / width, 1.0)
    counts = kd.spread_counts(inner, low, high, n_bins, bandwidth)
    return Density(low, width, kd.smooth(counts, sigma), sigma, n)


def _quantile(ordered: Floats, share: float) -> float:
    """Quantile of ascending values (which numpy would sort once more), between two linearly."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def without_piles(ordered: Floats) -> Floats:
    """Leave out events piled on the least or greatest value, where there are many."""
    n = len(ordered)
    if n == 0 or ordered[0] == ordered[-1]:
        return ordered
    first = int(np.searchsorted(ordered, ordered[0], side="right"))
    last = int(np.searchsorted(ordered, ordered[-1], side="left"))
    return ordered[first if first > PILED * n else 0 : last if n - last > PILED * n else n]


def valleys_of(density: Density) -> tuple[Valley, ...]:
    """Return the valleys that stand out of the noise of counting, left to right."""
    heights = density.heights
    peaks = [int(peak) for peak in kd.local_maxima(heights)]
    found = [
        Valley(a, int(kd.lowest_between(heights, a, b)), b) for a, b in itertools.pairwise(peaks)
    ]
    while found:
        worst = min(range(len(found)), key=lambda k: (_standing(density, found[k]), -k))
        if _stands(density, found, worst):
            return tuple(found)
        found = _without(found, worst, heights)
    return ()


def _standing(density: Density, valley: Valley) -> float:
    """Height of the lower peak above the bottom, in standard deviations of counting."""
    heights = density.heights
    lower = valley.left if heights[valley.left] <= heights[valley.right] else valley.right
    noise = density.noise(lower, valley.bottom)
    return float(heights[lower] - heights[valley.bottom]) / noise if noise > 0 else 0.0


def _stands(density: Density, found: list[Valley], k: int) -> bool:
    valley, heights = found[k], density.heights
    lower = min(heights[valley.left], heights[valley.right])
    begin = found[k - 1].bottom if k else 0
    end = found[k + 1].bottom if k + 1 < len(found) else len(heights)
    fewest = min(heights[begin : valley.bottom].sum(), heights[valley.bottom : end].sum())
    return bool(
        _standing(density, valley) >= SIGNIFICANT
        and heights[valley.bottom] <= SHALLOW * lower
        and fewest >= FEWEST_IN_PEAK
    )


def _without(found: list[Valley], k: int, heights: Floats) -> list[Valley]:
    """Let the lower peak of a valley that does not stand out vanish into the higher one."""
    valley = found[k]
    if heights[valley.left] <= heights[valley.right]:  # the left peak vanishes
        if k == 0:
            return found[1:]
        before = found[k - 1]
        bottom = min((before.bottom, valley.bottom), key=lambda b: heights[b])
        return [*found[: k - 1], Valley(before.left, bottom, valley.right), *found[k + 1 :]]
    if k + 1 == len(found):
        return found[:-1]
    after = found[k + 1]
    bottom = min((after.bottom, valley.bottom), key=lambda b: heights[b])
    return [*found[:k], Valley(valley.left, bottom, after.right), *found[k + 2 :]]


def cut_at_valley(
    ordered: Floats,
    *,
    low: float | None = None,
    high: float | None = None,
    which: Literal["main", "first", "last"] = "main",
    near: float | None = None,
    factor: float = 1.0,
) -> Cut:
    """Cut at the main valley within [low, high], at the first or last, or the one nearest `near`.

    The main valley is the deepest below the lower of its peaks. `one_peak` where no valley stands
    out; `no_valley` where none lies within the limits, or where another is about as deep as the
    main one: which of the two is meant is not for us to say.
    """
    density = density_of(ordered, factor)
    if density is None:
        return Cut("one_peak", None)
    valleys = valleys_of(density)
    if not valleys:
        peak = int(np.argmax(density.heights))
        return Cut("one_peak", None, (("peak_1", density.place(peak)),))
    heights = density.heights
    places = {valley: _bottom_place(density, valley) for valley in valleys}
    inside = [
        valley
        for valley, place in places.items()
        if (low is None or place >= low) and (high is None or place <= high)
    ]
    peaks = sorted({valley.left for valley in valleys} | {valley.right for valley in valleys})
    listed = tuple((f"peak_{k}", density.place(peak)) for k, peak in enumerate(peaks, 1))
    if not inside:
        return Cut("no_valley", None, listed)

    def depth(valley: Valley) -> float:
        lower = min(heights[valley.left], heights[valley.right])
        return float(lower - heights[valley.bottom])

    ranked = sorted(inside, key=depth, reverse=True)
    if near is not None:
        best = min(inside, key=lambda valley: abs(places[valley] - near))
    elif which == "main":
        best = ranked[0]
        if len(ranked) > 1 and depth(ranked[1]) > RIVAL * depth(best):
            rivals = (("valley_1", places[best]), ("valley_2", places[ranked[1]]))
            return Cut("no_valley", None, (*listed, *rivals))
    else:
        best = inside[0] if which == "first" else inside[-1]
    lower = float(min(heights[best.left], heights[best.right]))
    numbers = (
        ("cut", places[best]),
        *listed,
        ("left_peak", density.place(best.left)),
        ("right_peak", density.place(best.right)),
        ("valley_of_peak", float(heights[best.bottom]) / lower),
        ("stands_out", _standing(density, best)),
        ("n_valleys", float(len(inside))),
    )
    return Cut("ok", places[best], numbers)


def _bottom_place(density: Density, valley: Valley) -> float:
    """Where a valley lies: the middle of mass of what is missing below a fifth of its depth.

    The least bin alone jumps about where a valley is wide and nearly empty.
    """
    heights = density.heights
    bottom = heights[valley.bottom]
    level = bottom + 0.2 * (min(heights[valley.left], heights[valley.right]) - bottom)
    first = valley.bottom
    while first > valley.left and heights[first - 1] < level:
        first -= 1
    last = valley.bottom
    while last < valley.right and heights[last + 1] < level:
        last += 1
    missing = level - heights[first : last + 1]
    return density.place(first + float(missing @ np.arange(len(missing))) / float(missing.sum()))


def cut_at_tail(
    ordered: Floats,
    *,
    peak: Literal["tallest", "lowest", "highest"] = "tallest",
    side: Literal["right", "left"] = "right",
    tolerance: float = 0.01,
    factor: float = 1.0,
) -> Cut:
    """Cut where the flank of a peak has run out: its slope is `tolerance` of the steepest.

    `no_valley` where the flank is still falling at the end of the events.
    """
    signed = ordered if side == "right" else -ordered[::-1]
    density = density_of(signed, _TAIL_SMOOTHER * factor)
    if density is None:
        return Cut("one_peak", None)
    heights = density.heights
    valleys = valleys_of(density)
    peaks = sorted({v.left for v in valleys} | {v.right for v in valleys})
    peaks = peaks or [int(np.argmax(heights))]
    if side == "left":
        peak = {"lowest": "highest", "highest": "lowest", "tallest": "tallest"}[peak]  # type: ignore[assignment]
    start = {
        "tallest": max(peaks, key=lambda p: heights[p]),
        "lowest": peaks[0],
        "highest": peaks[-1],
    }[peak]
    fall = heights[:-1] - heights[1:]  # between bins k and k + 1
    end = next((v.bottom for v in valleys if v.left == start), len(fall) - 1)
    steepest = start + int(np.argmax(fall[start : end + 1]))
    limit = tolerance * fall[steepest]
    sign = 1.0 if side == "right" else -1.0
    found = (("peak_1", sign * density.place(start)), ("n_peaks", float(len(peaks))))
    for k in range(steepest, len(fall)):
        if fall[k] < limit:
            part = (fall[k - 1] - limit) / (fall[k - 1] - fall[k])  # between the two slopes
            value = sign * float(density.place(k - 0.5 + part))
            return Cut("ok", value, (("cut", value), *found))
    return Cut("no_valley", None, found)


def cut_at_peak(
    ordered: Floats,
    *,
    peak: Literal["tallest", "lowest", "highest"] = "tallest",
    offset: float = 0.0,
    factor: float = 1.0,
) -> Cut:
    """Cut at a peak's middle, moved by `offset`; of one peak that is it, of none `one_peak`."""
    density = density_of(ordered, factor)
    if density is None:
        return Cut("one_peak", None)
    valleys = valleys_of(density)
    peaks = sorted({v.left for v in valleys} | {v.right for v in valleys})
    peaks = peaks or [int(np.argmax(density.heights))]
    chosen = {
        "tallest": max(peaks, key=lambda p: density.heights[p]),
        "lowest": peaks[0],
        "highest": peaks[-1],
    }[peak]
    place = density.place(chosen)
    return Cut(
        "ok", place + offset, (("cut", place + offset), ("peak", place), ("n_peaks", len(peaks)))
    )


def cut_at_quantile(ordered: Floats, share: float) -> Cut:
    """Cut below which lies a share of the events; `few_events` where the rarer side has under 5."""
    n = len(ordered)
    if n * min(share, 1.0 - share) < 5.0:
        return Cut("few_events", None)
    value = _quantile(ordered, share)
    return Cut("ok", value, (("cut", value), ("quantile", share)))
