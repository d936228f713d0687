"""Figures of one bead run: levels in the histogram, the line, residuals, recoveries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cytosepsis.report.drawing import BLUE, GREY, PALE, VERMILLION, new_figure, svg_uri
from cytosepsis.report.scales import PlotAxis, Ticks, ticks_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]


def line_uri(line: Row, levels: Sequence[Row], limits: dict[str, Any]) -> str:
    """Three figures beside each other: line, residuals, recoveries with their limits."""
    figure = new_figure(8.4, 2.6)
    draw_line(figure.add_axes((0.075, 0.2, 0.25, 0.7)), line, levels)
    draw_residuals(figure.add_axes((0.415, 0.2, 0.24, 0.7)), line, levels)
    draw_recoveries(figure.add_axes((0.745, 0.2, 0.24, 0.7)), levels, limits)
    return svg_uri(figure)


def line_alt(line: Row, levels: Sequence[Row]) -> str:
    """The line and its levels in words."""
    words = "; ".join(
        f"{level['pe_molecules']:,.0f} PE read back at {level['recovery']:.0%}"
        for level in levels
        if level["recovery"] is not None
    )
    return (
        f"Line of log10 intensity on log10 PE molecules: slope {line['slope']:.3f}, intercept "
        f"{line['intercept']:.3f}, R² {line['r_squared']:.4f}. {words}."
    )


def draw_line(axes: Axes, line: Row, levels: Sequence[Row]) -> None:
    """Intensity of each level against its PE molecules, with the line."""
    x = np.log10([level["pe_molecules"] for level in levels])
    y = np.log10([level["intensity"] for level in levels])
    ends = np.array([x.min() - 0.3, x.max() + 0.3])
    axes.plot(ends, line["slope"] * ends + line["intercept"], color=GREY, linewidth=1)
    axes.plot(x, y, linestyle="none", marker="o", markersize=4.5, color=BLUE)
    axes.set_title(f"slope {line['slope']:.3f}, R² {line['r_squared']:.4f}", loc="left")
    axes.set_xlabel("PE molecules per bead")
    axes.set_ylabel("intensity")
    _log_axis(axes, ends, horizontal=True)
    _log_axis(axes, axes.get_ylim(), horizontal=False)


def draw_residuals(axes: Axes, line: Row, levels: Sequence[Row]) -> None:
    """Distance of each level from the line, in per cent of intensity."""
    x = np.log10([level["pe_molecules"] for level in levels])
    y = np.log10([level["intensity"] for level in levels])
    off = 100 * (10 ** (y - line["slope"] * x - line["intercept"]) - 1)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.vlines(x, 0, off, color=BLUE, linewidth=1)
    axes.plot(x, off, linestyle="none", marker="o", markersize=4.5, color=BLUE)
    reach = max(2.0, 1.3 * float(np.abs(off).max()))
    axes.set_ylim(-reach, reach)
    axes.set_title("residuals", loc="left")
    axes.set_ylabel("intensity off the line, %")
    axes.set_xlabel("PE molecules per bead")
    _log_axis(axes, (x.min() - 0.3, x.max() + 0.3), horizontal=True)


def draw_recoveries(axes: Axes, levels: Sequence[Row], limits: dict[str, Any]) -> None:
    """PE read back from each level, with the limits that judge it."""
    shares = [100 * (level["recovery"] or math.nan) for level in levels]
    low, high = (100 * limit for limit in limits.get("recovery", (0.90, 1.10)))
    axes.axhspan(low, high, color=PALE, zorder=0, linewidth=0)
    axes.axhline(100, color=GREY, linewidth=0.8)
    places = np.arange(1, len(levels) + 1)
    out = [not low <= share <= high for share in shares]
    for inside, colour, marker in ((True, BLUE, "o"), (False, VERMILLION, "^")):
        chosen = [k for k, is_out in enumerate(out) if is_out != inside]
        axes.plot(
            places[chosen],
            [shares[k] for k in chosen],
            linestyle="none",
            marker=marker,
            markersize=5,
            color=colour,
        )
    finite = [share for share in shares if math.isfinite(share)]
    axes.set_ylim(min([low, *finite]) - 4, max([high, *finite]) + 4)
    axes.set_xlim(0.5, len(levels) + 0.5)
    axes.set_xticks(places)
    axes.set_title(f"recovery, limits {low:.0f} to {high:.0f} %", loc="left")
    axes.set_xlabel("level, from the dimmest")
    axes.set_ylabel("PE read back, %")


def _log_axis(axes: Axes, edges: Sequence[float] | Any, *, horizontal: bool) -> None:
    low, high = float(edges[0]), float(edges[1])
    marks: Ticks = ticks_of(PlotAxis("", "log10", None, low, high, 1))
    if horizontal:
        axes.set_xlim(low, high)
        axes.set_xticks(marks.places, marks.labels)
        axes.set_xticks(marks.minor, minor=True)
    else:
        axes.set_ylim(low, high)
        axes.set_yticks(marks.places, marks.labels)
        axes.set_yticks(marks.minor, minor=True)
