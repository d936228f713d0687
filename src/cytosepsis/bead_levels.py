"""Which peak of a bead file is which level of the lot: by rank, and by how straight the line is.

Every ascending choice of peaks for the levels is weighed; what a choice leaves over (a blank,
debris, doublets) costs according to how well it explains it. A choice that nearly wins with another
line makes the result ambiguous, and that is said.

What no file can tell: in a lot whose levels are evenly spaced, a blank that happens to lie where
the line continues, together with an absent brightest level, looks like the whole lot. A control
chart of the intercept shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from cytosepsis.bead_peaks import Peak
from cytosepsis.calibration import MIN_LEVELS

Float = NDArray[np.float64]

MAX_PEAKS = 14  # of more the smallest are left out: 14 choose 8 is 3 003 choices
MIN_PARTIAL = 4  # levels without which a lot with missing levels is not matched at all

CROOKED = 0.10  # decades of PE that a level may lie off the line before others are looked for
STRAIGHT = 0.04  # the same for a match that leaves levels out: 10 %

# Costs are negative log likelihoods (nats) but for a constant; they are judgements, not data.
_RESIDUAL = 0.02  # decades: lot values and linearity, about 5 %
_SLOPE = 0.07  # SD of the slope around 1: detectors are built to be linear
_CV = 0.20  # levels are rarely wider
_BLANK_CV = 0.35  # blanks are rarely narrower
_DOUBLET = 0.04  # decades between a doublet and the sum of its beads
_BELOW = 0.5  # left over below the dimmest level: a blank or debris, expected
_BELOW_LEVEL = 4.0  # the same, but as narrow and large as a level: a bright blank, or a level
_AS_DOUBLET = 1.0  # left over where doublets would lie, with fewer events than their beads
_OVER = 3.0  # left over otherwise, per peak
_OVER_BIG = 6.0  # the same, with as many events as a level
_MISSING = 8.0  # per level of the lot without a peak
_AMBIGUOUS = 4.0  # another choice costs at most so much more (about 50 : 1)
_SAME_LINE = 0.02  # decades of PE between two choices that make no difference (5 %)


@dataclass(frozen=True, slots=True)
class Line:
    """log10(intensity) = slope · log10(PE molecules) + intercept, by ordinary least squares."""

    slope: float
    intercept: float
    r_squared: float
    residual_sd: float  # log10 intensity, n - 2 degrees of freedom


@dataclass(frozen=True, slots=True)
class Match:
    """Peaks given to levels: `peaks[k]` is the level `pe_molecules[k]`, ascending."""

    pe_molecules: tuple[float, ...]
    peaks: tuple[Peak, ...]
    cost: float
    ambiguous: bool  # another choice with another line is nearly as good
    unexplained: tuple[Peak, ...] = ()  # as large as a level, but no level, blank or doublet
    saturated: tuple[Peak, ...] = ()  # at the top of the range: never part of the line

    @property
    def off(self) -> float:
        """Greatest distance of a level from the line, decades of PE."""
        y = [peak.median for peak in self.peaks]
        line = fit_line(self.pe_molecules, y)
        back = (np.log10(y) - line.intercept) / line.slope
        return float(np.max(np.abs(back - np.log10(self.pe_molecules))))


def fit_line(pe_molecules: Sequence[float], intensity: Sequence[float]) -> Line:
    """Straight line of log10(intensity) on log10(PE molecules), at least three of each, positive.

    Intensity on PE, not the reverse: the lot's values are given, the intensities are measured.
    """
    assert len(pe_molecules) == len(intensity) >= MIN_LEVELS
    x = np.log10(np.asarray(pe_molecules, dtype=np.float64))
    y = np.log10(np.asarray(intensity, dtype=np.float64))
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx))
    intercept = float(y.mean() - slope * x.mean())
    residual = dy - slope * dx
    total = float(dy @ dy)
    return Line(
        slope=slope,
        intercept=intercept,
        r_squared=1.0 - float(residual @ residual) / total if total > 0 else 0.0,
        residual_sd=math.sqrt(float(residual @ residual) / (x.size - 2)),
    )


def match_levels(peaks: Sequence[Peak], pe_molecules: Sequence[float]) -> Match | None:
    """Give peaks to the levels of a lot.

    Where there are peaks enough every level gets one. Where there are fewer, or no such choice is
    straight within a tenth of a decade, a lot of five or more levels may be matched in part, with
    at least four; the caller sees it from the number of levels returned. None where neither works.

    Parameters
    ----------
    peaks : ascending; those that are not positive cannot be levels and count as left over
    pe_molecules : of the lot's levels, in any order, at least three, all different

    """
    lot = np.sort(np.asarray(pe_molecules, dtype=np.float64))
    largest = sorted(peaks, key=lambda peak: -peak.n_events)[:MAX_PEAKS]
    candidates = sorted((p for p in largest if p.median > 0), key=lambda peak: peak.median)
    saturated = tuple(peak for peak in candidates if peak.is_saturated)
    candidates = [peak for peak in candidates if not peak.is_saturated]
    full = _best(candidates, lot, lot.size) if len(candidates) >= lot.size else None
    if full is None or full.off > CROOKED:
        # what saturates is the top of the lot, or above it
        within = lot[:-1] if saturated else lot
        full = _in_part(candidates, within, lot.size) or full
    if full is None:
        return None
    if len(full.peaks) == lot.size:  # every level is elsewhere: a few are aggregates
        large = 0.5 * float(np.median([peak.n_events for peak in full.peaks]))
        saturated = tuple(peak for peak in saturated if peak.n_events >= large)
    return replace(full, saturated=saturated, unexplained=_unexplained(candidates, full.peaks))


def _in_part(candidates: Sequence[Peak], within: Float, n_levels: int) -> Match | None:
    """The largest straight match that leaves out one to three levels, and no peak unexplained."""
    for size in range(n_levels - 1, max(MIN_PARTIAL, n_levels - 3) - 1, -1):
        if size <= min(len(candidates), within.size):
            match = _best(candidates, within, size)
            straight = match.off <= STRAIGHT and not match.ambiguous
            if straight and not _unexplained(candidates, match.peaks):
                return match
    return None


def _unexplained(candidates: Sequence[Peak], taken: Sequence[Peak]) -> tuple[Peak, ...]:
    """Peaks as large as a level that are neither level nor doublet, nor the one blank.

    Below the levels the dimmest peak may be the blank; another one must be as wide as debris is.
    """
    rest = [peak for peak in candidates if peak not in taken]
    dimmest = candidates[0]
    return tuple(
        peak
        for peak in rest
        if (cost := _explain(peak, taken, candidates)) == _OVER_BIG
        or (cost == _BELOW_LEVEL and peak is not dimmest)
    )


def _best(candidates: Sequence[Peak], lot: Float, size: int) -> Match:
    """The cheapest way to give `size` of the candidates to `size` levels, both ascending."""
    choices = np.array(list(combinations(range(len(candidates)), size)))
    levels = np.array(list(combinations(range(lot.size), size)))
    lines = _lines(np.log10(lot)[levels], np.log10([p.median for p in candidates])[choices])
    missing = _MISSING * (lot.size - size)
    # What a choice leaves over never lowers its cost: once the line alone costs too much, so do
    # all that follow, and only few choices need the slow half of the weighing.
    left_over: dict[int, float] = {}
    weighed: list[tuple[float, int]] = []
    best = math.inf
    for place in np.argsort(lines.cost, axis=None, kind="stable"):
        cost = float(lines.cost.flat[place]) + missing
        if cost > best + _AMBIGUOUS:
            break
        choice = int(place) % len(choices)
        if choice not in left_over:
            left_over[choice] = _left_over(candidates, choices[choice])
        weighed.append((cost + left_over[choice], int(place)))
        best = min(best, weighed[-1][0])
    cost, place = min(weighed)
    level, choice = divmod(place, len(choices))
    ends = np.log10(lot[levels[level]][[0, -1]])
    rivals = [other for rival, other in weighed if rival < cost + _AMBIGUOUS]
    peaks = tuple(candidates[index] for index in choices[choice])
    return Match(
        pe_molecules=tuple(float(value) for value in lot[levels[level]]),
        peaks=peaks,
        cost=cost,
        ambiguous=any(lines.apart(place, other, ends) > _SAME_LINE for other in rivals),
    )


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines of every choice of levels (rows) with every choice of peaks (columns)."""

    slope: Float
    intercept: Float
    cost: Float  # of crookedness and of a slope that is not 1

    def apart(self, one: int, other: int, ends: Float) -> float:
        """Decades of PE between two lines, for intensities at the ends of the first."""
        intensity = self.slope.flat[one] * ends + self.intercept.flat[one]
        slope = max(float(self.slope.flat[other]), 1e-3)
        return float(np.max(np.abs((intensity - self.intercept.flat[other]) / slope - ends)))


def _lines(x: Float, y: Float) -> _Lines:
    """Least-squares lines of log intensities (n_choices, size) on log PE (n_levels, size)."""
    dx = x - x.mean(axis=1, keepdims=True)
    dy = y - y.mean(axis=1, keepdims=True)
    slope = (dx @ dy.T) / np.square(dx).sum(axis=1)[:, None]
    residual = dy[None] - slope[..., None] * dx[:, None]
    return _Lines(
        slope=slope,
        intercept=y.mean(axis=1) - slope * x.mean(axis=1)[:, None],
        cost=np.square(residual / _RESIDUAL).sum(axis=2) / 2 + np.square((slope - 1) / _SLOPE) / 2,
    )


def _left_over(candidates: Sequence[Peak], choice: NDArray[np.int64]) -> float:
    """Cost of a choice apart from its line: what it leaves over, and how wide what it takes is."""
    taken = [candidates[index] for index in choice]
    rest = [peak for index, peak in enumerate(candidates) if index not in choice]
    wide = sum(4.0 * max(0.0, math.log(peak.cv / _CV)) for peak in taken if peak.cv > 0)
    return wide + sum(_explain(peak, taken, candidates) for peak in rest)


def _explain(peak: Peak, taken: Sequence[Peak], candidates: Sequence[Peak]) -> float:
    """Cost of a peak that is no level, given those that are."""
    sizes = sorted(level.n_events for level in taken)
    is_large = peak.n_events >= 0.5 * sizes[len(sizes) // 2]
    if peak.median < taken[0].median:
        return _BELOW_LEVEL if is_large and peak.cv <= _BLANK_CV else _BELOW
    if _is_doublet(peak, candidates):
        return _AS_DOUBLET
    return _OVER_BIG if is_large else _OVER


def _is_doublet(peak: Peak, candidates: Sequence[Peak]) -> bool:
    """Whether a peak lies at the sum of two others (or twice one), of which it has fewer events."""
    near = _DOUBLET + 0.43 * peak.cv / 2  # decades
    return any(
        abs(math.log10(peak.median / (one.median + other.median))) < near
        and min(one.n_events, other.n_events) > peak.n_events
        and max(one.n_events, other.n_events) > 2 * peak.n_events
        for one, other in combinations_with_replacement(candidates, 2)
    )
