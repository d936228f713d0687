"""Pages of acquisition quality: every check, and how doubtful files ran over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cytosepsis.report.drawing import BLUE, GREY, ORANGE, new_figure, shortened, svg_uri
from cytosepsis.report.html import Grid, Head, number, render
from cytosepsis.report.site import QUALITY, Shown, Site
from cytosepsis.report.source import Row, Source

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILES_PER_PAGE = 20
_MAX_CHANNELS = 10  # drawn of one file: the doubtful ones first
_ROW = 0.72  # inches that one channel takes
_PIXELS = 96  # CSS pixels to an inch
_FIRST = "quality.html"
_MAX_CHECKS = 12_000  # rows of the first page's table; the file has all


@dataclass(frozen=True, slots=True)
class QualityRows:
    """The files of one page; sent to worker processes."""

    part: int
    n_parts: int
    bins: Mapping[str, tuple[Row, ...]]  # sample → rows of `quality_bins`
    windows: Mapping[str, tuple[Row, ...]]
    checks: Mapping[str, tuple[Row, ...]]
    all_checks: tuple[Row, ...]  # of every sample; on the first page only

    @property
    def address(self) -> str:
        """Of its page."""
        return part_address(self.part)


def part_address(part: int) -> str:
    """Address of a page of this kind, from 0."""
    return _FIRST if part == 0 else f"{QUALITY}/part{part + 1}.html"


def gather_quality(source: Source) -> list[QualityRows]:
    """The pages of quality; none where the run looked at none."""
    if not source.has("quality"):
        return []
    samples = list(source.grouped("quality_bins", "sample_id"))
    parts = [samples[k : k + FILES_PER_PAGE] for k in range(0, len(samples), FILES_PER_PAGE)]
    return [
        QualityRows(
            part=part,
            n_parts=max(1, len(parts)),
            bins=_of(source, "quality_bins", names),
            windows=_of(source, "quality_windows", names),
            checks=_of(source, "quality", names),
            all_checks=tuple(source.rows("quality")) if part == 0 else (),
        )
        for part, names in enumerate(parts or [[]])
    ]


def _of(source: Source, table: str, names: Sequence[str]) -> dict[str, tuple[Row, ...]]:
    return {name: tuple(source.of(table, "sample_id", name)) for name in names}


def quality_page(site: Site, rows: QualityRows) -> dict[str, str]:
    """HTML of one page by its address; figures are drawn here."""
    root = "" if rows.part == 0 else "../"
    html = render(
        "quality.html",
        site=site,
        root=root,
        here="quality",
        title="Acquisition quality",
        part=rows.part,
        addresses=[root + part_address(k) for k in range(rows.n_parts)],
        grid=_grid(site, rows.all_checks) if rows.part == 0 else None,
        files=[
            (name, _up(root, site.sample(name)), time_plot(name, rows), _findings(rows, name))
            for name in rows.bins
        ],
    )
    return {rows.address: html}


def _up(root: str, address: str | None) -> str | None:
    return None if address is None else root + address


def _findings(rows: QualityRows, name: str) -> list[str]:
    """What the checks of a file found, in words."""
    return [
        f"{row['check']}{' of ' + row['channel'] if row['channel'] else ''}: {row['verdict']}, "
        f"{number(row['n_flagged'])} events flagged, {row['n_windows'] or 0} odd stretches"
        for row in rows.checks.get(name, ())
        if row["verdict"] not in (None, "pass")
    ]


def time_plot(name: str, rows: QualityRows) -> Shown:
    """Flow rate and the channels' medians over time, odd stretches shaded."""
    channels: dict[str, list[Row]] = {}
    for row in rows.bins[name]:
        channels.setdefault(row["channel"], []).append(row)
    windows = rows.windows.get(name, ())
    odd = {window["channel"] for window in windows}
    shown = sorted(channels, key=lambda channel: channel not in odd)[:_MAX_CHANNELS]
    n = len(shown) + 1
    height = n * _ROW + 0.55
    figure = new_figure(7.4, height)
    drawn: list[Axes] = []
    for place, channel in enumerate([None, *shown]):
        bottom = (0.45 + (n - 1 - place) * _ROW) / height
        axes = figure.add_axes((0.17, bottom, 0.81, (_ROW - 0.14) / height))
        found = channels[shown[0]] if channel is None else channels[channel]
        _draw(axes, found, [w for w in windows if w["channel"] == channel], channel)
        drawn.append(axes)
    ends = [axes.get_xlim() for axes in drawn]
    for place, axes in enumerate(drawn):
        axes.set_xlim(min(low for low, _ in ends), max(high for _, high in ends))
        axes.tick_params(labelbottom=place == n - 1)
        axes.set_xlabel(axes.get_xlabel() if place == n - 1 else "")
    left = len(channels) - len(shown)
    more = f" {left} further channels are not drawn." if left else ""
    alt = (
        f"Flow rate and median of {', '.join(shown)} over time for {name}; "
        f"{len(windows)} odd stretches are shaded."
    )
    return Shown(svg_uri(figure), alt, round(7.4 * _PIXELS), round(height * _PIXELS), more.strip())


def _draw(axes: Axes, bins: Sequence[Row], windows: Sequence[Row], channel: str | None) -> None:
    """One channel, or (None) the flow rate, against seconds; without a clock against events."""
    clock = any(row["start_seconds"] is not None for row in bins)
    column = "start_seconds" if clock else "first_event"
    value = "events_per_second" if channel is None else "median"
    points = [
        (row[column], row[value])
        for row in bins
        if row[column] is not None and row[value] is not None
    ]
    for window in windows:
        begin, end = _ends(window, clock=clock)
        if begin is not None:
            axes.axvspan(begin, begin if end is None else end, color=ORANGE, alpha=0.45, zorder=0)
    if points:
        axes.step(*zip(*points, strict=True), where="post", color=BLUE, linewidth=0.9)
    else:
        axes.text(0.5, 0.5, "not known", transform=axes.transAxes, ha="center", color=GREY)
    axes.set_xlabel("seconds" if clock else "events")
    axes.set_ylabel(
        shortened(channel or "events/s", 16), rotation=0, ha="right", va="center", fontsize=7
    )
    axes.tick_params(labelsize=6.5)
    axes.margins(x=0.01, y=0.15)
    axes.locator_params(axis="y", nbins=3)


def _ends(window: Row, *, clock: bool) -> tuple[float | None, float | None]:
    if clock:
        return window["start_seconds"], window["stop_seconds"]
    return window["first_event"], window["first_event"] + window["n_events"]


def _shown(checks: Sequence[Row]) -> Sequence[Row]:
    """All checks, or of very many those that did not pass: a page stays below a few megabytes."""
    if len(checks) <= _MAX_CHECKS:
        return checks
    return [row for row in checks if row["verdict"] != "pass"][:_MAX_CHECKS]


def _grid(site: Site, checks: Sequence[Row]) -> Grid:
    return Grid(
        name="checks",
        caption="Checks of every acquisition"
        if len(checks) <= _MAX_CHECKS
        else "Checks that did not pass",
        heads=(
            Head("Sample", "link"),
            Head("Check", choose=True),
            Head("Channel", choose=True),
            Head("Verdict", choose=True),
            Head("Events", "number"),
            Head("Flagged", "number", title="Events that the check flags"),
            Head("Fraction", "number", title="The same of all events"),
            Head("Size", "number", title="What decides; see docs/tables.md"),
            Head("Odd stretches", "number"),
            Head("Note", choose=True, title="ok, or why the check is to be read with care"),
        ),
        rows=[
            (
                (row["sample_id"], site.sample(row["sample_id"])),
                row["check"],
                row["channel"],
                row["verdict"],
                row["n_events"],
                row["n_flagged"],
                row["fraction_flagged"],
                row["size"],
                row["n_windows"],
                row["status"],
            )
            for row in _shown(checks)
        ],
        file="quality.csv",
        search="Sample",
    )
