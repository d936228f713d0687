"""The page on which all patients' courses are zoomed and asked: the one that gains from Bokeh.

Bokeh comes with FlowKit; its scripts lie in the page, each named by its digest in the policy.
"""
# ruff: noqa: PLC0415 - bokeh takes seconds to import, and one page needs it

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cytosepsis.report.drawing import BLACK, GREY, STATUS_COLOURS
from cytosepsis.report.html import render, script_digest
from cytosepsis.report.site import Site
from cytosepsis.report.source import Row, Source

if TYPE_CHECKING:
    from bokeh.plotting import figure as Plot  # noqa: N812 - a class that bokeh writes small

ADDRESS = "courses.html"
MAX_VALUES = 20_000  # shown; more make the page slow and large
_SHAPES = {"ok": "circle", "flagged": "triangle", "failed": "x"}


def courses_of(source: Source) -> list[Row]:
    """Values of patients that have a day: what the page shows."""
    return [
        row
        for row in source.rows("patients")
        if row["abc"] is not None and row["abc"] > 0 and row["day"] is not None
    ][:MAX_VALUES]


def courses_page(site: Site, source: Source, cutoffs: Mapping[str, Sequence[float]]) -> str:
    """HTML of the page."""
    from bokeh.embed import components
    from bokeh.resources import Resources

    rows = courses_of(source)
    assays = {row["sample_id"]: row["assay"] for row in source.rows("abc")}
    used = {assays.get((row["sample_id"] or "").split(";")[0]) for row in rows}
    lines = sorted({c for assay, found in cutoffs.items() if assay in used for c in found})
    script, place = components(_plot(rows, lines), wrap_script=False)
    # An id may hold what would end the element; in a string of the script this is the same text.
    script = script.replace("</", "<\\/").replace("<!--", "<\\!--")
    library = Resources(mode="inline", components=["bokeh"], log_level="error")
    scripts = [*library.js_raw, script]
    return render(
        "courses.html",
        site=site,
        root="",
        here="courses",
        title="Courses",
        n_values=len(rows),
        n_patients=len({row["patient_id"] for row in rows}),
        place=place,
        more_scripts=scripts,
        more_digests=[script_digest(each) for each in scripts],
    )


def _plot(rows: Sequence[Row], cutoffs: Sequence[float]) -> Plot:
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.plotting import figure

    plot = figure(
        height=560,
        sizing_mode="stretch_width",
        y_axis_type="log",
        x_axis_label="day since shock onset",
        y_axis_label="AB/C",
        tools="box_zoom,wheel_zoom,pan,reset",
        toolbar_location="above",
    )
    plot.toolbar.logo = None  # it leads out of the report
    for cutoff in cutoffs:
        plot.hspan(y=cutoff, line_dash="dotted", line_color=BLACK)
    by_patient: dict[str, list[Row]] = {}
    for row in rows:
        by_patient.setdefault(row["patient_id"], []).append(row)
    ordered = [sorted(found, key=lambda r: int(r["day"])) for found in by_patient.values()]
    plot.multi_line(
        xs=[[row["day"] for row in found] for found in ordered],
        ys=[[row["abc"] for row in found] for found in ordered],
        color=GREY,
        alpha=0.45,
    )
    points: list[Any] = []
    for status, colour in STATUS_COLOURS.items():
        found = [row for row in rows if row["status"] == status]
        if found:
            points.append(
                plot.scatter(
                    "day",
                    "abc",
                    source=ColumnDataSource(_columns(found)),
                    marker=_SHAPES[status],
                    color=colour,
                    size=7,
                    legend_label=status,
                )
            )
    plot.add_layout(plot.legend[0], "right")
    said = ("patient_id", "timepoint", "day", "abc", "interval", "band", "status", "flags")
    plot.add_tools(HoverTool(renderers=points, tooltips=[(name, f"@{name}") for name in said]))
    return plot


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    names = ("patient_id", "timepoint", "day", "abc", "band", "status", "flags")
    return {
        **{name: [row[name] for row in rows] for name in names},
        "interval": [
            f"{row['abc_low']:,.0f} to {row['abc_high']:,.0f}"
            if row["abc_low"] is not None and row["abc_high"] is not None
            else ""
            for row in rows
        ],
    }
