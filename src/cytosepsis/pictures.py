"""Which pictures show a plan's gates on a file, as canvases that the walk fills.

One picture per population and pair of axes that gates below it look at, with those gates drawn:
gates of one axis give a histogram, of gates of more axes the first two are shown. The quantified
population's intensities are a histogram of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from cytosepsis.bead_scatter import scatter_columns, single_beads
from cytosepsis.canvas import Canvas, Scale
from cytosepsis.compensation import Spillover, spillover_of
from cytosepsis.densities import Density, Outline
from cytosepsis.fcs import RawEvents
from cytosepsis.gating.apply import Picture
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.mixing import is_never_compensated
from cytosepsis.gating.plan import (
    DEFAULT_COMPENSATION,
    FILE_COMPENSATION,
    ROOT,
    UNCOMPENSATED,
    Axis,
    Ellipse,
    Gate,
    GatingPlan,
    Polygon,
    Rectangle,
    axes_of,
    path_of,
)
from cytosepsis.gating.row_form import row_form
from cytosepsis.panel import find
from cytosepsis.transforms import Logicle, Transform

Roles = Mapping[str, Sequence[str]]
Key = tuple[str, tuple[Axis, ...]]  # a population and the axes it is seen on

SINGLE_BEADS = f"{ROOT}/single beads"  # as `bead_scatter` finds them
N_BEAD_BINS = 512  # levels are narrow: a CV of 2 % is a hundredth of a decade

# For intensities that no gate looks at: four and a half decades, half of one around zero.
_WIDTH, _DECADES = 0.5, 4.5


@dataclass(slots=True)
class _Sketch:
    """One picture in the making: gates that are drawn on it, and where they end on each axis."""

    outlines: list[Outline] = field(default_factory=list)
    bounds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))


def pictures_of(
    raw: RawEvents,
    plan: GatingPlan,
    *,
    channels: Roles,
    spillover: Spillover | Literal["none"] | None = None,
    quantified: Measure | None = None,
) -> tuple[Picture, ...]:
    """List a file's pictures, in the order of the plan, the quantified population last.

    Parameters
    ----------
    raw, plan, channels, spillover
        As for `gate`; gates that are found on the data have to be plain gates by now.
    quantified
        The population and channel whose intensities are shown too.

    """
    axes = _AxisReader(raw, plan, channels, spillover)
    pictures = [
        Picture(
            tuple(_measure(path, axis) for axis in seen),
            Canvas(
                path,
                [axes.scale(a, b) for a, b in zip(seen, sketch.bounds, strict=False)],
                sketch.outlines,
            ),
        )
        for (path, seen), sketch in _sketches(plan).items()
    ]
    if quantified is not None:
        scale = axes.scale(Axis(quantified.channel, compensation=quantified.compensation), ())
        scale = replace(scale, transform=axes.usual_transform(quantified))
        pictures.append(Picture((quantified,), Canvas(quantified.path, [scale])))
    return tuple(pictures)


def bead_densities(raw: RawEvents, column: int) -> tuple[Density, ...]:
    """Return the pictures of a bead file: its scatter, and what single beads show in a channel.

    Where scatter tells no single beads, all events are shown. A level that the line rests on is in
    the histogram wherever scatter was used to find it; the flag `scatter_not_used` says where not.
    """
    events = raw.linear()
    columns = scatter_columns(raw.pnn)
    pictures = []
    path = ROOT
    shown = events[:, column]
    if columns:
        scales = [Scale(raw.pnn[c], None, raw.pnn[c], log10=True) for c in columns[:2]]
        canvas = Canvas(ROOT, scales)
        canvas.add([events[:, c] for c in columns[:2]])
        pictures.append(canvas.density())
        single = single_beads(events[:, list(columns)])
        if not single.all():
            path, shown = SINGLE_BEADS, shown[single]
    name = raw.pnn[column]
    transform = _logicle(raw.parameters[column].top_of_scale)
    canvas = Canvas(path, [Scale(name, transform, name)], n_bins=N_BEAD_BINS)
    canvas.add([shown])
    return (*pictures, canvas.density())


def _sketches(plan: GatingPlan) -> dict[Key, _Sketch]:
    sketches: dict[Key, _Sketch] = {}
    for gate in plan:
        axes = axes_of(gate)[:2]
        if not axes:
            continue
        mirrored = (gate.parent, axes) not in sketches and (gate.parent, axes[::-1]) in sketches
        sketch = sketches.setdefault((gate.parent, axes[::-1] if mirrored else axes), _Sketch())
        outline = _outline(gate)
        sketch.outlines.append(_mirror(outline) if mirrored else outline)
        for place in range(len(axes)):
            sketch.bounds[place].extend(_bounds(gate, 1 - place if mirrored else place))
    return sketches


def _outline(gate: Gate) -> Outline:
    match gate:
        case Rectangle():
            numbers: list[float | None] = []
            for low, high in list(zip(gate.minimum, gate.maximum, strict=True))[:2]:
                numbers += [low, high]
            numbers += [None] * (4 - len(numbers))
            return Outline(path_of(gate), "rectangle", tuple(numbers), gate.complement)
        case Polygon():
            corners = tuple(number for vertex in gate.vertices for number in vertex)
            return Outline(path_of(gate), "polygon", corners, gate.complement)
        case Ellipse():
            # the shadow of an ellipsoid on two of its axes has that part of its covariance
            (xx, xy), (_, yy) = (row[:2] for row in gate.covariance[:2])
            form = (*gate.mean[:2], xx, xy, yy, gate.distance_square)
            return Outline(path_of(gate), "ellipse", form, gate.complement)
        case _:
            raise AssertionError(f"{path_of(gate)} has axes and no outline")


def _mirror(outline: Outline) -> Outline:
    """Exchange x and y."""
    n = outline.numbers
    match outline.form:
        case "rectangle":
            turned = (*n[2:], *n[:2])
        case "polygon":
            turned = tuple(
                number for x, y in zip(n[::2], n[1::2], strict=True) for number in (y, x)
            )
        case _:
            turned = (n[1], n[0], n[4], n[3], n[2], n[5])
    return replace(outline, numbers=turned)


def _bounds(gate: Gate, place: int) -> Iterator[float]:
    """Where a gate ends on one of its axes."""
    match gate:
        case Rectangle():
            ends = (gate.minimum[place], gate.maximum[place])
            yield from (end for end in ends if end is not None)
        case Polygon():
            yield from (vertex[place] for vertex in gate.vertices)
        case Ellipse():
            reach = math.sqrt(max(gate.covariance[place][place] * gate.distance_square, 0.0))
            yield from (gate.mean[place] - reach, gate.mean[place] + reach)


def _measure(path: str, axis: Axis) -> Measure:
    """An axis before its transform: the canvas transforms, block by block."""
    return Measure.on(path, replace(axis, transform=None))


@dataclass(frozen=True, slots=True)
class _AxisReader:
    """What a file says of the axes of a plan."""

    raw: RawEvents
    plan: GatingPlan
    channels: Roles
    spillover: Spillover | Literal["none"] | None

    def scale(self, axis: Axis, bounds: Sequence[float]) -> Scale:
        column = self._column(axis)
        parameter = None if column is None else self.raw.parameters[column]
        known = column is not None and axis.ratio is None
        return Scale(
            channel=axis.channel,
            transform=axis.transform,
            detector=parameter.pnn if parameter else None,
            compensated=self._is_compensated(axis, column),
            divisor=axis.ratio.divisor if axis.ratio else None,
            reach=self._reach(column) if known and column is not None else None,
            bounds=tuple(bounds),
        )

    def usual_transform(self, measure: Measure) -> Transform:
        """The transform that the plan's gates use for a channel, else a logicle of its range."""
        for gate in self.plan:
            for axis in axes_of(gate):
                if axis.channel == measure.channel and axis.transform and axis.ratio is None:
                    return axis.transform
        column = self._column(Axis(measure.channel))
        top = None if column is None else self.raw.parameters[column].top_of_scale
        return _logicle(top)

    def _reach(self, column: int) -> float | None:
        parameter = self.raw.parameters[column]
        if parameter.is_time:
            return None
        top = self.raw.parameters[column].top_of_scale
        return None if top is None else top + 1.0

    def _column(self, axis: Axis) -> int | None:
        accepted = self.channels.get(axis.channel, (axis.channel,))
        accepted = (accepted,) if isinstance(accepted, str) else accepted
        return find(accepted, self.raw.pnn, self.raw.pns)

    def _is_compensated(self, axis: Axis, column: int | None) -> bool:
        if column is None:
            return True  # a fluorochrome exists only by its matrix
        if axis.compensation == UNCOMPENSATED or is_never_compensated(row_form(self.raw), column):
            return False
        matrix = self._matrix(axis.compensation)
        return matrix is not None and self.raw.pnn[column] in matrix.detectors

    def _matrix(self, name: str) -> Spillover | None:
        if name in (FILE_COMPENSATION, DEFAULT_COMPENSATION):
            if name == DEFAULT_COMPENSATION and self.spillover is not None:
                return None if self.spillover == "none" else self.spillover
            return spillover_of(self.raw.keywords)
        return dict(self.plan.spillovers).get(name)


def _logicle(top: float | None) -> Logicle:
    return Logicle(top + 1.0 if top and top > 1.0 else 262_144.0, _WIDTH, _DECADES)
