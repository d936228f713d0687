"""A patient's AB/C over time, with intervals and the bands of the study's cut-offs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cytosepsis.report.drawing import (
    BLACK,
    GREY,
    PALE,
    STATUS_COLOURS,
    new_figure,
    shortened,
    svg_uri,
)
from cytosepsis.report.scales import power_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]
_MARKERS = {"ok": "o", "flagged": "^", "failed": "x"}
_BANDS = ("#f3d9c6", "#f8ecd2", "#eef3f0", "#dcebf5")  # low to high, pale
_ROOM = 1.6  # factor above and below the values
_SHORT = 14  # characters of a label below the axis


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Values of one patient in the order of time."""

    points: tuple[Row, ...]  # rows of `patients` with a value
    others: tuple[Row, ...]  # rows of `abc` that do not stand for a timepoint
    cutoffs: tuple[float, ...]

    @property
    def has_days(self) -> bool:
        """Whether every value has its day; else they stand side by side."""
        return all(row["day"] is not None for row in self.points)

    @property
    def alt(self) -> str:
        """The values in words."""
        words = []
        for row in self.points:
            when = row["timepoint"] or "no timepoint"
            day = "" if row["day"] is None else f" (day {row['day']})"
            words.append(f"{when}{day} {row['abc']:,.0f}")
        return f"AB/C over time: {'; '.join(words)}."


def trajectory_of(
    patients: Sequence[Row], abc: Sequence[Row], cutoffs: Sequence[float]
) -> Trajectory | None:
    """Values that can be drawn; None where a patient has none."""
    points = [row for row in patients if row["abc"] is not None and row["abc"] > 0]
    if all(row["day"] is not None for row in points):
        points.sort(key=lambda row: int(row["day"]))
    standing = {name for row in points for name in (row["sample_id"] or "").split(";")}
    others = [
        row
        for row in abc
        if row["sample_id"] not in standing
        and row["abc"] is not None
        and row["abc"] > 0
        and row["day"] is not None
        and row["condition"] is None
    ]
    if not points and not others:
        return None
    return Trajectory(tuple(points), tuple(others), tuple(sorted(cutoffs)))


def trajectory_uri(shown: Trajectory) -> str:
    """The trajectory as an image."""
    figure = new_figure(6.6, 2.9)
    draw_trajectory(figure.add_axes((0.1, 0.17, 0.76, 0.76)), shown)
    return svg_uri(figure)


def draw_trajectory(axes: Axes, shown: Trajectory) -> None:
    """Draw it into axes: a logarithmic scale, as differences of AB/C are ratios."""
    places = (
        [float(row["day"]) for row in shown.points]
        if shown.has_days
        else [float(k) for k in range(len(shown.points))]
    )
    others = shown.others if shown.has_days else ()
    low, high = _limits(shown)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    _bands(axes, shown.cutoffs, low, high)
    values = [float(row["abc"]) for row in shown.points]
    axes.plot(places, values, color=GREY, linewidth=1.0, zorder=2)
    for x, row in zip(places, shown.points, strict=True):
        _point(axes, x, row, hollow=False)
    for row in others:
        _point(axes, float(row["day"]), row, hollow=True)
    every = [*places, *(float(row["day"]) for row in others)]
    axes.set_xlim(min(every) - 0.7, max(every) + 0.7)
    if shown.has_days:
        axes.set_xlabel("day since shock onset (the first 24 h are day 1)")
        axes.set_xticks(sorted({round(x) for x in every}))
    else:
        labels = [shortened(str(row["timepoint"] or "–"), _SHORT) for row in shown.points]
        axes.set_xticks(places, labels)
    axes.set_ylabel("AB/C")
    _log_marks(axes, low, high)


def _point(axes: Axes, x: float, row: Row, *, hollow: bool) -> None:
    colour = STATUS_COLOURS[row["status"]]
    low, high = row["abc_low"], row["abc_high"]
    if low is not None and high is not None:
        axes.plot([x, x], [max(low, 1e-9), high], color=colour, linewidth=1.2, zorder=3)
    axes.plot(
        [x],
        [row["abc"]],
        linestyle="none",
        marker=_MARKERS[row["status"]],
        markersize=5.5,
        color=colour,
        markerfacecolor="white" if hollow else colour,
        zorder=4,
    )


def _limits(shown: Trajectory) -> tuple[float, float]:
    rows = [*shown.points, *shown.others]
    low = min(float(row["abc_low"] or row["abc"]) for row in rows)
    high = max(float(row["abc_high"] or row["abc"]) for row in rows)
    low = low if low > 0 else min(float(row["abc"]) for row in rows)
    near = [c for c in shown.cutoffs if c > 0]
    return min([low, *near]) / _ROOM, max([high, *near]) * _ROOM


def _bands(axes: Axes, cutoffs: Sequence[float], low: float, high: float) -> None:
    """Bands between the cut-offs, each named at the right: lower ≤ value < upper."""
    if not cutoffs:
        return
    edges = [low, *(c for c in cutoffs if low < c < high), high]
    names = ["", *(f"{c:,.0f}" for c in edges[1:-1])]
    for index, (bottom, top) in enumerate(pairwise(edges)):
        shade = _BANDS[min(index, len(_BANDS) - 1)] if len(edges) <= len(_BANDS) + 1 else PALE
        axes.axhspan(bottom, top, color=shade, zorder=0, linewidth=0)
        if index:
            axes.axhline(bottom, color=BLACK, linewidth=0.5, linestyle=":", zorder=1)
        upper = names[index + 1] if index + 1 < len(names) else None
        words = f"≥ {names[index]}" if upper is None else f"< {upper}" if not index else ""
        axes.annotate(
            words or f"{names[index]} to {upper}",
            (1.01, (bottom * top) ** 0.5),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            color=GREY,
        )


def _log_marks(axes: Axes, low: float, high: float) -> None:
    """1, 2 and 5 of every decade, in plain numbers as far as they are short."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator  # noqa: PLC0415

    places = [m * 10.0**p for p in range(-3, 10) for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    if len(places) > 10:
        places = [p for p in places if str(p).strip("0.").startswith("1")]
    labels = [f"{p:,.0f}" if 1 <= p < 1e7 else power_text(round(math.log10(p))) for p in places]
    axes.yaxis.set_major_locator(FixedLocator(places))
    axes.yaxis.set_major_formatter(FixedFormatter(labels))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
