"""Figures of biomarkers and ex vivo experiments: forests, operating points, curves, pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cytosepsis.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    new_figure,
    shortened,
    svg_uri,
)
from cytosepsis.report.html import number
from cytosepsis.report.scales import PlotAxis, ticks_of
from cytosepsis.report.site import Shown
from cytosepsis.report.source import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_FIGURES = 24  # of one table on one page
_MAX_LINES = 40  # of one forest
_PIXELS = 96  # CSS pixels to an inch
_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS = ("o", "^", "s", "D", "v", "P")
_DASHES = ("-", "--", ":", "-.")

Point = tuple[str, float, float, float]  # label, estimate, low, high


def grouped(rows: Sequence[Row], *columns: str) -> dict[tuple[object, ...], list[Row]]:
    """Rows by the values of some columns, as they first appear."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in columns), []).append(row)
    return groups


# ------------------------------------------------------------------------------------- forests


def auc_forest(rows: Sequence[Row]) -> list[Shown]:
    """AUC of every marker and timepoint with its interval, one forest per outcome."""
    return [
        _forest(f"AUC for {outcome}", _points(found, "auc", "auc_low", "auc_high"), 0.5, log=False)
        for (outcome,), found in grouped(rows, "outcome").items()
        if _points(found, "auc", "auc_low", "auc_high")
    ][:MAX_FIGURES]


def hazard_forest(rows: Sequence[Row]) -> list[Shown]:
    """Hazard ratios per SD of the marker, one forest per outcome and model."""
    shown = []
    for (outcome, model), found in grouped(rows, "outcome", "model").items():
        points = _points(found, "hazard_ratio", "low", "high")
        if points:
            name = str(model).replace("_", "-")
            shown.append(
                _forest(f"Hazard ratio per SD for {outcome}, {name}", points, 1.0, log=True)
            )
    return shown[:MAX_FIGURES]


def _points(rows: Sequence[Row], value: str, low: str, high: str) -> list[Point]:
    """Rows that have an estimate and both ends."""
    points = []
    for row in rows:
        if any(row[name] is None for name in (value, low, high)):
            continue
        adjusted = f", adjusted ({row['adjusted_for']})" if row.get("adjusted_for") else ""
        plain = "" if value == "auc" else adjusted
        label = f"{row['marker']}, {row['timepoint']}{plain}"
        points.append((label, row[value], row[low], row[high]))
    return points


def _forest(title: str, every: Sequence[Point], nothing: float, *, log: bool) -> Shown:
    points = [p for p in every if not log or min(p[1:]) > 0][:_MAX_LINES]
    height = 0.24 * len(points) + 0.8
    figure = new_figure(7.6, height)
    axes = figure.add_axes((0.36, 0.42 / height, 0.42, 1 - 0.72 / height))
    if log:
        axes.set_xscale("log")
    axes.axvline(nothing, color=GREY, linewidth=0.8, linestyle=":")
    for k, (_, value, low, high) in enumerate(points):
        clear = not low <= nothing <= high
        colour = VERMILLION if clear else BLUE
        axes.plot([low, high], [k, k], color=colour, linewidth=1.1)
        axes.plot([value], [k], marker="s" if clear else "o", markersize=4.5, color=colour)
        axes.annotate(
            f"{number(value)} ({number(low)} to {number(high)})",
            (1.02, k),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
        )
    axes.set_yticks(range(len(points)), [shortened(label, 44) for label, *_ in points])
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.set_title(shortened(title, 80), loc="left", y=1.0)
    if log and points:
        _log_ticks(axes, min(p[2] for p in points), max(p[3] for p in points))
    elif not log:
        axes.set_xlim(min([0.4, *(p[2] for p in points)]) - 0.02, 1.0)
    words = "; ".join(
        f"{label} {number(value)} ({number(low)} to {number(high)})"
        for label, value, low, high in points
    )
    left = len(every) - len(points)
    more = f"{left} more are in the table." if left else ""
    return Shown(svg_uri(figure), f"{title}: {words}.", 730, round(height * _PIXELS), more)


def _log_ticks(axes: Axes, low: float, high: float) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator  # noqa: PLC0415

    axes.set_xlim(min(low, 0.5) / 1.1, max(high, 2.0) * 1.1)
    every = [m * 10.0**p for p in range(-4, 5) for m in (1, 2, 5)]
    places = [p for p in every if min(low, 0.5) / 1.1 <= p <= max(high, 2.0) * 1.1]
    if len(places) > 9:
        places = [p for p in places if math.log10(p) == round(math.log10(p))]
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{p:g}" for p in places]))
    axes.xaxis.set_minor_locator(NullLocator())


# ----------------------------------------------------------------------- ROC: operating points


def operating_points(rows: Sequence[Row]) -> list[Shown]:
    """Sensitivity against 1 - specificity of the cut-offs that were fixed beforehand."""
    shown = []
    for key, found in grouped(rows, "marker", "timepoint", "outcome").items():
        points = [r for r in found if r["sensitivity"] is not None and r["specificity"] is not None]
        if points:
            shown.append(_operating(" · ".join(map(str, key)), points))
    return shown[:MAX_FIGURES]


def _operating(title: str, points: Sequence[Row]) -> Shown:
    figure = new_figure(3.3, 3.1)
    axes = figure.add_axes((0.16, 0.14, 0.8, 0.76))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle=":")
    for k, row in enumerate(points):
        x, y = 1 - row["specificity"], row["sensitivity"]
        colour = _COLOURS[k % len(_COLOURS)]
        if row["specificity_low"] is not None:
            ends = [1 - row["specificity_high"], 1 - row["specificity_low"]]
            axes.plot(ends, [y, y], color=colour, linewidth=0.9)
        if row["sensitivity_low"] is not None:
            ends = [row["sensitivity_low"], row["sensitivity_high"]]
            axes.plot([x, x], ends, color=colour, linewidth=0.9)
        label = f"{row['called']} {number(row['cutoff'])}"
        label += f", {row['stratum']}" if row["stratum"] else ""
        axes.plot(
            [x],
            [y],
            marker=_MARKERS[k % len(_MARKERS)],
            color=colour,
            label=shortened(label, 30),
            linestyle="none",
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    axes.set_title(shortened(title, 46), loc="left", y=1.01)
    axes.legend(loc="lower right", fontsize=6.5)
    words = "; ".join(
        f"{row['called']} {number(row['cutoff'])}: sensitivity {number(row['sensitivity'])}, "
        f"specificity {number(row['specificity'])}"
        for row in points
    )
    return Shown(svg_uri(figure), f"Operating points of {title}. {words}.", 317, 298)


def roc_curves(rows: Sequence[Row]) -> list[Shown]:
    """ROC curves of each timepoint and outcome, declared questions first; few markers each."""
    shown = []
    roles = ("primary", "family", "exploratory")
    for key, found in grouped(rows, "timepoint", "outcome", "stratum").items():
        curves = sorted(
            grouped(found, "marker").items(), key=lambda item: roles.index(item[1][0]["role"])
        )
        shown.append(_roc(" · ".join(str(word) for word in key if word), curves))
    return shown[:MAX_FIGURES]


def _roc(title: str, every: Sequence[tuple[tuple[object, ...], list[Row]]]) -> Shown:
    curves = every[: len(_COLOURS)]
    figure = new_figure(3.9, 3.1)
    axes = figure.add_axes((0.13, 0.14, 0.82, 0.76))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle=":")
    for k, ((marker,), points) in enumerate(curves):
        axes.plot(
            [row["false_positive_rate"] for row in points],
            [row["true_positive_rate"] for row in points],
            color=_COLOURS[k],
            linestyle=_DASHES[k % len(_DASHES)],
            linewidth=1.2,
            label=shortened(str(marker), 30),
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    axes.set_title(shortened(title, 54), loc="left", y=1.01)
    axes.legend(loc="lower right", fontsize=6.5)
    names = ", ".join(str(marker) for (marker,), _ in curves)
    left = len(every) - len(curves)
    more = f"{left} more markers are in the table." if left else ""
    alt = f"ROC curves, {title}: {names}. AUC and intervals are in the table biomarkers."
    return Shown(svg_uri(figure), alt, 374, 298, more)


# -------------------------------------------------------------------------------------- curves


def time_curves(rows: Sequence[Row]) -> list[Shown]:
    """Cumulative incidence, or share free of the event, in the groups of the primary marker."""
    return [
        _curves(" · ".join(map(str, key)), found)
        for key, found in grouped(rows, "marker", "timepoint", "outcome").items()
    ][:MAX_FIGURES]


def _curves(title: str, rows: Sequence[Row]) -> Shown:
    figure = new_figure(4.4, 3.1)
    axes = figure.add_axes((0.14, 0.15, 0.82, 0.74))
    words = []
    for k, ((group, _), found) in enumerate(grouped(rows, "group", "cutoff").items()):
        points = [row for row in found if row["share"] is not None]
        if not points:
            continue
        days = [row["day"] for row in points]
        colour = _COLOURS[k % len(_COLOURS)]
        label = f"{group} {number(points[0]['cutoff'])}, n = {points[0]['at_risk']}"
        axes.step(
            days,
            [row["share"] for row in points],
            where="post",
            color=colour,
            linestyle=_DASHES[k % len(_DASHES)],
            label=shortened(label, 40),
        )
        ends = [row for row in points if row["low"] is not None and row["high"] is not None]
        axes.fill_between(
            [row["day"] for row in ends],
            [row["low"] for row in ends],
            [row["high"] for row in ends],
            step="post",
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
        words.append(f"{label}: {number(points[-1]['share'])} at day {number(days[-1])}")
    p = rows[0]["log_rank_p"]
    kind = {"event_free": "free of the event", "incidence": "cumulative incidence"}.get(
        rows[0]["kind"], str(rows[0]["kind"])
    )
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("days since the draw")
    axes.set_ylabel(kind)
    test = "" if p is None else f" · log-rank p {number(p, 2)}"
    axes.set_title(shortened(title, 52) + test, loc="left", y=1.01, fontsize=7.5)
    if words:
        axes.legend(loc="best", fontsize=6.5)
    return Shown(svg_uri(figure), f"{title}, {kind}. {'; '.join(words)}.", 422, 298)


# --------------------------------------------------------------------------------------- pairs


def paired_wells(rows: Sequence[Row]) -> list[Shown]:
    """Without and with the drug, each patient a line, one figure per experiment."""
    experiment = ("group", "timepoint", "readout", "stimulus")
    drug = ("drug", "dose", "dose_unit", "drug_timing")
    shown = []
    for key, found in grouped(rows, *experiment, *drug).items():
        pairs = [r for r in found if r["value"] is not None and r["control"] is not None]
        if pairs:
            shown.append(_pairs(key, pairs))
    return shown[:MAX_FIGURES]


def _pairs(key: tuple[object, ...], pairs: Sequence[Row]) -> Shown:
    group, timepoint, readout, stimulus, drug, dose, unit, timing = key
    where = [group, timepoint, readout, stimulus or "no stimulus"]
    title = " · ".join(str(word) for word in where if word)
    amount = None if dose is None else number(float(str(dose)))
    given = " ".join(str(word) for word in (drug, amount, unit, timing) if word)
    log = pairs[0]["scale"] == "log10" and all(r["value"] > 0 and r["control"] > 0 for r in pairs)
    figure = new_figure(2.9, 2.8)
    axes = figure.add_axes((0.24, 0.13, 0.72, 0.76))
    values = [v for r in pairs for v in (r["control"], r["value"])]
    for row in pairs:
        ends = [math.log10(v) if log else v for v in (row["control"], row["value"])]
        rises = row["value"] >= row["control"]
        axes.plot(
            [0, 1],
            ends,
            color=BLUE if rises else ORANGE,
            linestyle="-" if rises else "--",
            marker="o",
            markersize=3,
            linewidth=0.8,
        )
    if log:
        low, high = math.log10(min(values)) - 0.1, math.log10(max(values)) + 0.1
        marks = ticks_of(PlotAxis("", "log10", None, low, high, 1))
        axes.set_ylim(low, high)
        axes.set_yticks(marks.places, marks.labels)
        axes.set_yticks(marks.minor, minor=True)
    axes.set_xlim(-0.25, 1.25)
    axes.set_xticks([0, 1], ["without", shortened(given, 22)])
    axes.set_ylabel(shortened(str(pairs[0]["unit"] or ""), 20))
    axes.set_title(shortened(title, 44), loc="left", y=1.01, fontsize=7.5)
    n_up = sum(r["value"] >= r["control"] for r in pairs)
    alt = f"{title}: {len(pairs)} pairs without and with {given}; {n_up} rise."
    return Shown(svg_uri(figure), alt, 278, 269, f"{len(pairs)} pairs; whole lines rise ({n_up})")
