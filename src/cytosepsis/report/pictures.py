"""Pictures of gates: a population's density with the gates drawn on it, counts and percentages."""
# ruff: noqa: PLC0415 - matplotlib is slow to import and an extra: imported where a figure is made

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from cytosepsis.densities import unpack
from cytosepsis.report.drawing import (
    BLUE,
    PALE,
    VERMILLION,
    axes_size,
    dress,
    new_figure,
    shortened,
    svg_uri,
)
from cytosepsis.report.scales import PlotAxis, axis_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
Shape = list[tuple[float, float]]  # corners of a closed line

_CORNERS = 72  # that make an ellipse
_SIZE = (2.95, 2.6)  # inches
_ALONE = (2.95, 1.9)
_WIDE = (5.9, 2.4)


@dataclass(frozen=True, slots=True)
class DrawnGate:
    """A gate of a picture with what it holds."""

    name: str
    path: str
    form: str
    numbers: tuple[float | None, ...]
    complement: bool
    n_events: int | None
    fraction: float | None  # of the parent

    @property
    def words(self) -> str:
        """What stands beside it: name, percentage of the parent, events."""
        share = "" if self.fraction is None else f" {percent(self.fraction)}"
        count = "" if self.n_events is None else f", {self.n_events:,} events"
        outside = " (outside)" if self.complement else ""
        return f"{self.name}{outside}{share}{count}"


@dataclass(frozen=True, slots=True)
class Picture:
    """One row of `densities`, read."""

    path: str
    n_events: int
    n_shown: int
    x: PlotAxis
    y: PlotAxis | None
    counts: NDArray[np.int64]
    gates: tuple[DrawnGate, ...]

    @property
    def title(self) -> str:
        """The population that is shown."""
        return "all events" if self.path == "root" else self.path.removeprefix("root/")

    @property
    def alt(self) -> str:
        """What the picture shows, in words."""
        kind = (
            f"Histogram of {self.x.label}"
            if self.y is None
            else f"Density of {self.x.label} against {self.y.label}"
        )
        gates = "; ".join(gate.words for gate in self.gates)
        drawn = f" Gates: {gates}." if gates else ""
        return f"{kind} for {self.title}, {self.n_events:,} events.{drawn}"


def percent(fraction: float) -> str:
    """A fraction as people write it: three figures, never 100 % of what is not all."""
    if 0.9995 <= fraction < 1:
        return ">99.9\N{NO-BREAK SPACE}%"
    share = 100 * fraction
    digits = f"{share:.0f}" if share in (0, 100) else f"{share:.3g}"
    return f"{digits}\N{NO-BREAK SPACE}%"


def read_picture(row: Row, populations: Mapping[str, Row]) -> Picture:
    """A row of `densities`, with the counts of its file's populations by path."""
    x, y = axis_of(row, "x"), axis_of(row, "y")
    assert x is not None
    shape = (x.n_bins,) if y is None else (x.n_bins, y.n_bins)
    gates = []
    for gate in json.loads(row["gates"] or "[]"):
        found = populations.get(gate["path"])
        gates.append(
            DrawnGate(
                name=found["population"] if found else gate["path"].rpartition("/")[2],
                path=gate["path"],
                form=gate["form"],
                numbers=tuple(gate["numbers"]),
                complement=gate["complement"],
                n_events=found["n_events"] if found else None,
                fraction=found["fraction_of_parent"] if found else None,
            )
        )
    counts = unpack(row["counts"], shape)
    return Picture(row["path"], row["n_events"], row["n_shown"], x, y, counts, tuple(gates))


def picture_uri(
    picture: Picture, marks: Sequence[tuple[float, str]] = (), *, wide: bool = False
) -> str:
    """A picture as an image; `marks` are linear values of x to be marked, with their names."""
    width, height = _WIDE if wide else _ALONE if picture.y is None else _SIZE
    figure = new_figure(width, height)
    left, below, above = 0.55 / width, 0.43 / height, 0.25 / height
    axes = figure.add_axes((left, below, 1 - left - 0.08 / width, 1 - below - above))
    draw_picture(axes, picture, marks)
    return svg_uri(figure)


def draw_picture(axes: Axes, picture: Picture, marks: Sequence[tuple[float, str]] = ()) -> None:
    """Draw a picture into axes, with its gates and what they hold."""
    axes.set_title(_title(picture, axes), loc="left", y=1.01)
    if picture.y is None:
        _draw_histogram(axes, picture)
    else:
        _draw_density(axes, picture, picture.y)
    dress(axes, picture.x, picture.y)
    for value, name in marks:
        place = picture.x.place(value)
        if place is not None:
            axes.axvline(place, color=VERMILLION, linewidth=1.1)
            axes.annotate(
                shortened(name, 24),
                (place, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -8),
                textcoords="offset points",
                fontsize=7,
                color=VERMILLION,
            )
    for index, gate in enumerate(picture.gates):
        _draw_gate(axes, gate, picture, index)


def _title(picture: Picture, axes: Axes) -> str:
    """Population and events; of a long path the end, which tells populations apart."""
    count = f" · {picture.n_events:,}"
    room = round(15 * axes_size(axes)[0]) - len(count)
    name = shortened(picture.title, 500)
    return (name if len(name) <= room else "…" + name[-(room - 1) :]) + count


def _draw_histogram(axes: Axes, picture: Picture) -> None:
    edges = np.linspace(*picture.x.edges, picture.x.n_bins + 1)
    counts = _gathered(picture.counts, edges)
    axes.stairs(*counts, fill=True, color=PALE)
    axes.stairs(*counts, color=BLUE, linewidth=0.9)
    axes.set_ylim(0, max(1.0, float(counts[0].max()) * 1.18))
    axes.set_ylabel("events")
    axes.yaxis.set_label_coords(-0.42 / axes_size(axes)[0], 0.5)
    axes.yaxis.set_major_locator(_few_whole_numbers())


def _gathered(
    counts: NDArray[np.int64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Neighbouring bins put together where there are few events to a bin."""
    together, occupied = 1, np.flatnonzero(counts)
    span = int(occupied[-1] - occupied[0]) + 1 if len(occupied) else 1
    while together < 8 and counts.sum() < 20 * (span // together):
        together *= 2
    n = len(counts) // together * together
    return counts[:n].reshape(-1, together).sum(axis=1), edges[: n + 1 : together]


def _few_whole_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4, integer=True)


def _draw_density(axes: Axes, picture: Picture, y: PlotAxis) -> None:
    from matplotlib import colormaps

    counts = picture.counts.T.astype(np.float64)
    top = counts.max() or 1.0
    # an event alone is seen too: the scale is that of the logarithm
    shade = np.log1p(counts) / np.log1p(top)
    colours = colormaps["viridis"](shade, bytes=True)
    colours[counts == 0] = 255
    axes.imshow(
        colours,
        origin="lower",
        extent=(*picture.x.edges, *y.edges),
        aspect="auto",
        interpolation="none",
    )


def _draw_gate(axes: Axes, gate: DrawnGate, picture: Picture, index: int) -> None:
    shape = outline(gate, picture)
    if not shape:
        return
    from matplotlib.patches import Polygon

    dashes = "--" if gate.complement else "-"
    for colour, width in (("white", 2.6), (VERMILLION, 1.3)):
        axes.add_patch(
            Polygon(
                np.array(shape),
                fill=False,
                edgecolor=colour,
                linewidth=width,
                linestyle=dashes,
                clip_on=True,
            )
        )
    words = shortened(gate.name, 20)
    if gate.fraction is not None:
        words += f"\n{percent(gate.fraction)}"
    x, y = _label_place(shape, axes, index)
    axes.text(
        x,
        y,
        words,
        ha="center",
        va="top",
        fontsize=7,
        linespacing=1.05,
        clip_on=True,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
    )


def outline(gate: DrawnGate, picture: Picture) -> Shape:
    """The corners of a gate on a picture; open sides end at the picture's."""
    y_edges = (0.0, 1.0) if picture.y is None else picture.y.edges
    match gate.form:
        case "rectangle":
            x_low, x_high, y_low, y_high = gate.numbers
            if picture.y is None:  # a band over the whole height
                y_low, y_high = 0.0, float(max(picture.counts.max(), 1)) * 1.1
            left = picture.x.low if x_low is None else x_low
            right = picture.x.high if x_high is None else x_high
            bottom = y_edges[0] if y_low is None else y_low
            top = y_edges[1] if y_high is None else y_high
            return [(left, bottom), (right, bottom), (right, top), (left, top)]
        case "polygon":
            numbers = cast("tuple[float, ...]", gate.numbers)
            return list(zip(numbers[::2], numbers[1::2], strict=True))
        case _:
            return _ellipse(cast("tuple[float, ...]", gate.numbers))


def _ellipse(numbers: tuple[float, ...]) -> Shape:
    mean_x, mean_y, xx, xy, yy, square = numbers
    values, vectors = np.linalg.eigh(np.array([[xx, xy], [xy, yy]]))
    if values.min() <= 0 or square < 0:  # the standard's own file has one that is none
        return []
    turns = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    circle = np.array([np.cos(turns), np.sin(turns)]) * np.sqrt(square)
    x, y = vectors @ (np.sqrt(values)[:, None] * circle)
    return list(zip((mean_x + x).tolist(), (mean_y + y).tolist(), strict=True))


def _label_place(shape: Shape, axes: Axes, index: int) -> tuple[float, float]:
    """Inside the gate's top, as far as the picture shows it; neighbours step down."""
    (x_low, x_high), (y_low, y_high) = axes.get_xlim(), axes.get_ylim()
    xs = [min(max(x, x_low), x_high) for x, _ in shape]
    ys = [min(max(y, y_low), y_high) for _, y in shape]
    x = (min(xs) + max(xs)) / 2
    margin = 0.17 * (x_high - x_low)
    x = min(max(x, x_low + margin), x_high - margin)
    step = 0.0 if max(ys) - min(ys) < 0.5 * (y_high - y_low) else 0.13 * (index % 3)
    return x, min(max(ys) - (0.02 + step) * (y_high - y_low), y_high)
