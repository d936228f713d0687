"""Figures of analyses, each drawn from the rows of one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cytosepsis.report import outcome_figures
from cytosepsis.report.drawing import (
    BLUE,
    GREY,
    ORANGE,
    PALE,
    SKY,
    VERMILLION,
    new_figure,
    shortened,
    svg_uri,
)
from cytosepsis.report.site import Shown
from cytosepsis.report.source import Row, Source

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_CHARTS = 40  # of one page; each is some 20 kB
_PIXELS = 96  # CSS pixels to an inch
_VERDICTS = {  # colour and sign of a run on a control chart
    "ok": (BLUE, "o"),
    "warning": (ORANGE, "^"),
    "rejected": (VERMILLION, "X"),
    "learning": (SKY, "o"),
    "missing": (GREY, "x"),
}


def figures_of(source: Source, table: str) -> list[Shown]:
    """The figures of a table; most have none."""
    draw = _FIGURES.get(table)
    return draw(source.rows(table)) if draw is not None and source.rows(table) else []


# ------------------------------------------------------------------------------ control charts


def control_charts(rows: Sequence[Row]) -> list[Shown]:
    """Levey-Jennings charts, those with a broken rule first."""
    names = ("quantity", "item", "cytometer", "lot", "channel", "statistic")
    charts: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        charts.setdefault(tuple(row[name] for name in names), []).append(row)
    ordered = sorted(charts.values(), key=lambda chart: -_alarm(chart))
    return [_control_chart(chart) for chart in ordered[:MAX_CHARTS] if len(chart) > 1]


def _alarm(chart: Sequence[Row]) -> int:
    verdicts = {row["verdict"] for row in chart}
    return 2 if "rejected" in verdicts else 1 if "warning" in verdicts else 0


def _control_chart(chart: Sequence[Row]) -> Shown:
    first = chart[0]
    what = [first["quantity"], first["item"], first["cytometer"], first["lot"], first["channel"]]
    title = " · ".join(str(word) for word in what if word)
    figure = new_figure(4.4, 2.1)
    axes = figure.add_axes((0.17, 0.14, 0.81, 0.72))
    places = range(len(chart))
    for reach, colour in ((3, "#f6f1ec"), (2, "#eef1f4"), (1, "#e3ebf2")):
        _limits(axes, chart, reach, colour)
    values = [(k, row["value"]) for k, row in zip(places, chart, strict=True) if _known(row)]
    if values:
        axes.plot(*zip(*values, strict=True), color=GREY, linewidth=0.8, zorder=2)
    for verdict, (colour, sign) in _VERDICTS.items():
        found = [(k, v) for k, v in values if chart[k]["verdict"] == verdict]
        if found:
            axes.plot(
                *zip(*found, strict=True),
                linestyle="none",
                marker=sign,
                markersize=4.5,
                color=colour,
                zorder=3,
            )
    axes.set_title(shortened(title, 62), loc="left", fontsize=7.5, y=1.01)
    axes.set_xlim(-0.6, len(chart) - 0.4)
    axes.set_xticks([0, len(chart) - 1], [_day(chart[0]), _day(chart[-1])])
    first_day, last_day = axes.get_xticklabels()
    first_day.set_horizontalalignment("left")
    last_day.set_horizontalalignment("right")
    axes.set_ylabel(shortened(str(first["unit"] or ""), 24))
    axes.tick_params(labelsize=6.5)
    broken = [row for row in chart if row["verdict"] in ("warning", "rejected")]
    words = "; ".join(
        f"{row['run']} {_day(row)}: {row['verdict']}, {row['rules'] or 'no rule'}" for row in broken
    )
    alt = f"Control chart of {title}, {len(chart)} runs. {words or 'No rule is broken.'}"
    return Shown(svg_uri(figure), alt, 422, 202, shortened(words, 160) if words else "")


def _known(row: Row) -> bool:
    return row["value"] is not None


def _limits(axes: Axes, chart: Sequence[Row], reach: int, colour: str) -> None:
    """A band of so many standard deviations, as it was when each run was judged."""
    known = [
        (k, row["mean"], row["sd"])
        for k, row in enumerate(chart)
        if row["mean"] is not None and row["sd"] is not None
    ]
    if not known:
        return
    places = [k + side for k, *_ in known for side in (-0.5, 0.5)]
    means = [mean for _, mean, _ in known for _ in range(2)]
    ends = [reach * sd for *_, sd in known for _ in range(2)]
    low = [mean - end for mean, end in zip(means, ends, strict=True)]
    high = [mean + end for mean, end in zip(means, ends, strict=True)]
    axes.fill_between(places, low, high, color=colour, linewidth=0, zorder=0)
    if reach == 1:
        axes.plot(places, means, color=GREY, linewidth=0.6)


def _day(row: Row) -> str:
    return "" if row["acquired_at"] is None else str(row["acquired_at"].date())


# -------------------------------------------------------------------------------------- cohort


def cohort_flow(rows: Sequence[Row]) -> list[Shown]:
    """Patients of every step as bars, from all assessed to those with a value."""
    height = 0.3 * len(rows) + 0.6
    figure = new_figure(8.0, height)
    axes = figure.add_axes((0.52, 0.45 / height, 0.46, 1 - 0.55 / height))
    taken = {"excluded": VERMILLION, "unknown": ORANGE}
    for k, row in enumerate(rows):
        axes.barh(k, row["n"], color=taken.get(row["stage"], BLUE), height=0.7)
        axes.annotate(f" {row['n']:,}", (row["n"], k), va="center", fontsize=7)
    labels = [
        shortened(f"{row['stage']}: {row['timepoint'] or row['meaning']}", 62) for row in rows
    ]
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("patients")
    axes.set_xlim(0, max(1, *(row["n"] for row in rows)) * 1.12)
    axes.axvline(0, color=PALE)
    words = "; ".join(f"{row['stage']} {row['n']}" for row in rows)
    uri = svg_uri(figure)
    return [Shown(uri, f"Flow of patients: {words}.", 768, round(height * _PIXELS))]


_FIGURES: dict[str, Callable[[Sequence[Row]], list[Shown]]] = {
    "control_charts": control_charts,
    "cohort_flow": cohort_flow,
    "biomarkers": outcome_figures.auc_forest,
    "hazards": outcome_figures.hazard_forest,
    "cutoffs": outcome_figures.operating_points,
    "roc": outcome_figures.roc_curves,
    "curves": outcome_figures.time_curves,
    "exvivo_effects": outcome_figures.paired_wells,
}
