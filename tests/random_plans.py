"""Hypothesis strategies: transforms, matrices, plans, and events that lie where it hurts."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cytosepsis.compensation import Spillover
from cytosepsis.gating.plan import (
    DEFAULT_COMPENSATION,
    UNCOMPENSATED,
    Axis,
    Boolean,
    Ellipse,
    Gate,
    GatingPlan,
    Operand,
    Polygon,
    Ratio,
    Rectangle,
    path_of,
)
from cytosepsis.transform_values import inverse
from cytosepsis.transforms import Asinh, Biex, Hyperlog, Linear, Log, Logicle, OffsetLog, Transform
from effort import COMPILED

CHANNELS = ("FSC-A", "SSC-A", "A", "B", "C", "Time")
FLUORESCENCE = ("A", "B", "C")

SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 1000.0, -1000.0, 262144.0, 262143.0, 1e6, -1e6,
    5e-324, -5e-324, 1e-310, 1e-30, 1e300, -1e300, 1.7976931348623157e308,
    math.nan, math.inf, -math.inf,
)  # fmt: skip

MATRICES = (
    ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ((1.0, 0.25, 0.0), (0.0, 1.0, 0.0), (0.0, 0.125, 1.0)),
    ((1.0, 0.1, 0.02), (0.3, 1.0, 0.07), (0.0, 0.05, 1.0)),
)


def bounded(parts: dict[str, st.SearchStrategy[Any]], kind: type[Any]) -> st.SearchStrategy[Any]:
    """Build a transform of a kind, now and then with bounds of its own."""
    length = 4096 if kind is Biex else 1
    bounds = st.sampled_from(
        [(None, None)] * 4
        + [(0.0, 1.0 * length), (None, 0.75 * length), (0.25 * length, None), (-2.0, 3.0)]
    )
    return st.builds(
        lambda bounds, **values: kind(**values, bound_min=bounds[0], bound_max=bounds[1]),
        bounds=bounds,
        **parts,
    )


def biexponentials(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Logicle and hyperlog over their whole range of parameters."""

    def make(top: float, decades: float, width: float, share: float, bounds: Any) -> Any:
        w = max(width * decades / 2, 0.01) if kind is Hyperlog else width * decades / 2
        a = -w + share * (decades - w)
        return kind(top, w, decades, min(a, decades - 2 * w), *bounds)

    if kind is Logicle and not COMPILED:  # its table of roots takes half a second without
        return st.sampled_from(
            (
                Logicle(262144.0, 0.5, 4.5, 0.0),
                Logicle(1000.0, 1.0, 4.0, 0.5, 0.0, 1.0),
                Logicle(1.0, 0.0, 7.3, 1.0, -2.0),
            )
        )
    return st.builds(
        make,
        top=st.sampled_from((262144.0, 1000.0, 1.0, 4.2e9, 10000.0)),
        decades=st.sampled_from((4.5, 4.0, 1.0, 7.3)),
        width=st.sampled_from((0.0, 0.1, 0.2222, 0.5, 0.9, 1.0)),
        share=st.sampled_from((0.0, 0.1, 0.5, 1.0)),
        bounds=st.sampled_from([(None, None)] * 3 + [(0.0, 1.0), (0.25, None), (-2.0, 3.0)]),
    )


TOPS = st.sampled_from((262144.0, 1000.0, 1.0, 1e-3, 4.2e9))
TRANSFORMS: dict[str, st.SearchStrategy[Transform]] = {
    "linear": TOPS.flatmap(
        lambda top: bounded(
            {"top": st.just(top), "additional": st.sampled_from((0.0, top / 10, top))}, Linear
        )
    ),
    "log": bounded({"top": TOPS, "decades": st.sampled_from((1.0, 4.5, 5.0))}, Log),
    "asinh": bounded(
        {
            "top": TOPS,
            "decades": st.sampled_from((1.0, 4.5, 5.0)),
            "additional": st.sampled_from((0.0, 0.5, 1.0)),
        },
        Asinh,
    ),
    "logicle": biexponentials(Logicle),
    "hyperlog": biexponentials(Hyperlog),
    "biex": bounded(
        {
            "negative": st.sampled_from((0.0, 0.5, 1.0)),
            "width": st.sampled_from((-10.0, -100.0, -1.5)),
            "positive": st.sampled_from((4.418540, 4.0, 5.0)),
        },
        Biex,
    ),
    "offset_log": bounded(
        {"offset": st.sampled_from((1.0, 0.5, 100.0)), "decades": st.sampled_from((4.0, 5.5))},
        OffsetLog,
    ),
}
ANY_TRANSFORM = st.one_of(*TRANSFORMS.values())


def scale_of(transform: Transform | None) -> float:
    """Length of the axis on which a gate of this transform is drawn."""
    if transform is None:
        return 262144.0
    return 4096.0 if isinstance(transform, Biex) else 1.0


RATIOS = st.builds(
    lambda divisor, numbers, bounds: Ratio(divisor, *numbers, *bounds),
    divisor=st.sampled_from(CHANNELS),
    numbers=st.sampled_from(((1.0, 0.0, 0.0), (1.0, 0.0, -1.0), (2.7, -100.0, -300.0))),
    bounds=st.sampled_from([(None, None)] * 3 + [(None, 2.0), (-1.0, None), (0.25, 3.0)]),
)


@st.composite
def axes(draw: Any) -> Axis:
    channel = draw(st.sampled_from(CHANNELS))
    transform = draw(st.none() | ANY_TRANSFORM)
    compensation = draw(st.sampled_from((DEFAULT_COMPENSATION, UNCOMPENSATED, "matrix")))
    ratio = draw(st.sampled_from((False,) * 5 + (True,)))
    return Axis(channel, transform, compensation, draw(RATIOS) if ratio else None)


def places(axis: Axis) -> st.SearchStrategy[float]:
    """Coordinates on an axis: round parts of it, integers, anything near it."""
    scale = scale_of(axis.transform)
    if axis.ratio is not None and axis.transform is None:
        scale = 4.0
    return st.one_of(
        st.sampled_from([k / 8 * scale for k in range(-4, 13)]),
        st.sampled_from((0.0, 1.0, -1.0, 2.0, -100.0, 1000.0)),
        st.floats(-0.5, 1.5, width=32).map(lambda share: share * scale),
    )


@st.composite
def rectangles(draw: Any, name: str, parent: str, complement: bool) -> Rectangle:
    chosen = draw(st.lists(axes(), min_size=1, max_size=3))
    return Rectangle(
        name,
        parent,
        tuple(chosen),
        tuple(draw(st.none() | places(axis)) for axis in chosen),
        tuple(draw(st.none() | places(axis)) for axis in chosen),
        complement,
    )


@st.composite
def polygons(draw: Any, name: str, parent: str, complement: bool) -> Polygon:
    x, y = draw(axes()), draw(axes())
    n = draw(st.integers(3, 7))
    vertices = tuple((draw(places(x)), draw(places(y))) for _ in range(n))
    return Polygon(name, parent, x, y, vertices, complement)


@st.composite
def ellipses(draw: Any, name: str, parent: str, complement: bool) -> Ellipse:
    chosen = [draw(axes()) for _ in range(draw(st.sampled_from((2, 2, 2, 3))))]
    mean = tuple(draw(places(axis)) for axis in chosen)
    radius = [scale_of(axis.transform) * draw(st.sampled_from((0.05, 0.3, 1.0))) for axis in chosen]
    lean = draw(st.sampled_from((0.0, 0.5, -0.4)))
    covariance = tuple(
        tuple(radius[i] * radius[j] * (1.0 if i == j else lean) for j in range(len(chosen)))
        for i in range(len(chosen))
    )
    limit = draw(st.sampled_from((0.5, 1.0, 6.0)))
    return Ellipse(name, parent, tuple(chosen), mean, covariance, limit, complement)


@st.composite
def booleans(
    draw: Any, name: str, parent: str, complement: bool, earlier: Sequence[str]
) -> Boolean:
    operator = draw(st.sampled_from(("and", "or", "not")))
    count = 1 if operator == "not" else draw(st.integers(1, 4))
    operands = tuple(
        Operand(draw(st.sampled_from(list(earlier))), draw(st.booleans())) for _ in range(count)
    )
    return Boolean(name, parent, operator, operands, complement)


@st.composite
def plans(draw: Any, most_gates: int = 8) -> GatingPlan:
    """Up to `most_gates` gates of all kinds under any earlier population, at most six deep."""
    paths = ["root"]
    gates: list[Gate] = []
    for number in range(draw(st.integers(1, most_gates))):
        parent = draw(st.sampled_from([path for path in paths if path.count("/") < 6]))
        name, complement = f"g{number}", draw(st.sampled_from((False, False, True)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            gate: Gate = draw(rectangles(name, parent, complement))
        elif kind == 1:
            gate = draw(polygons(name, parent, complement))
        elif kind == 2:
            gate = draw(ellipses(name, parent, complement))
        else:
            gate = draw(booleans(name, parent, complement, paths))
        gates.append(gate)
        paths.append(path_of(gate))
    return GatingPlan(tuple(gates), (("matrix", spillover(2)),))


def spillover(number: int) -> Spillover:
    return Spillover(FLUORESCENCE, FLUORESCENCE, MATRICES[number])


# --- events


def shifted(value: float, places: int) -> float:
    """The double so many places further up (or down) in the order of all doubles."""
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    place = (bits if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)) + places
    limit = 0x7FF0000000000000  # infinity
    place = max(-limit, min(limit, place))
    size: float = struct.unpack("<d", struct.pack("<q", abs(place)))[0]
    return math.copysign(size, place)


def neighbours(value: float) -> list[float]:
    """A double, the two beside it, and two some fifty units in the last place away."""
    return [shifted(value, places) for places in (0, -1, 1, -50, 50)]


def telling(axis: Axis, coordinates: Sequence[float | None]) -> list[float]:
    """Linear values at which a gate's decision on this axis turns, and their neighbours."""
    linear = [carried_back(axis.transform, c) for c in coordinates if c is not None]
    return [n for value in linear if math.isfinite(value) for n in neighbours(value)]


def carried_back(transform: Transform | None, value: float) -> float:
    """Linear value of a coordinate; inf where that is beyond doubles, which plain Python raises."""
    try:
        return float(inverse(transform, np.array([value]))[0])
    except OverflowError:
        return math.inf


def telling_ratios(axis: Axis, coordinates: Sequence[float | None]) -> list[dict[str, float]]:
    """Pairs of linear values whose ratio is (nearly) where a decision turns, or has no divisor."""
    ratio = axis.ratio
    assert ratio is not None
    if ratio.divisor == axis.channel:
        return []
    found = [
        {axis.channel: x, ratio.divisor: ratio.divisor_offset} for x in (ratio.offset, 7.0, -7.0)
    ]
    for value in telling(replace(axis, ratio=None), coordinates):
        for divisor in (1.0, -3.0, 1000.0):
            over = divisor - ratio.divisor_offset
            found.append(
                {axis.channel: value / ratio.factor * over + ratio.offset, ratio.divisor: divisor}
            )
    return found


def pools(plan: GatingPlan) -> tuple[dict[str, list[float]], list[dict[str, float]]]:
    """Per channel, values worth trying; and pairs of values on edges of untransformed polygons."""
    values = {channel: list(SPECIAL) for channel in CHANNELS}
    pairs: list[dict[str, float]] = []

    def note(axis: Axis, coordinates: Sequence[float | None]) -> None:
        if axis.ratio is None:
            values[axis.channel] += telling(axis, coordinates)
        else:
            pairs.extend(telling_ratios(axis, coordinates))

    for gate in plan:
        match gate:
            case Rectangle():
                for axis, low, high in zip(gate.axes, gate.minimum, gate.maximum, strict=True):
                    note(axis, (low, high))
            case Polygon():
                for k, axis in enumerate((gate.x, gate.y)):
                    note(axis, [vertex[k] for vertex in gate.vertices])
                if gate.x.ratio is None and gate.y.ratio is None:
                    pairs += _on_edges(gate)
            case Ellipse():
                for k, axis in enumerate(gate.axes):
                    reach = math.sqrt(gate.covariance[k][k] * gate.distance_square)
                    middle = gate.mean[k]
                    note(axis, (middle, middle - reach, middle + reach))
            case Boolean():
                pass
    return values, pairs


def _on_edges(gate: Polygon) -> list[dict[str, float]]:
    found = []
    following = (*gate.vertices[1:], gate.vertices[0])
    for (ax, ay), (bx, by) in zip(gate.vertices, following, strict=True):
        for share in (0.0, 0.5, 0.25):
            point = (ax + share * (bx - ax), ay + share * (by - ay))
            linear = [
                carried_back(axis.transform, value)
                for axis, value in zip((gate.x, gate.y), point, strict=True)
            ]
            if gate.x.channel != gate.y.channel:
                found.append(dict(zip((gate.x.channel, gate.y.channel), linear, strict=True)))
    return found


@st.composite
def rows_for(draw: Any, plan: GatingPlan, most: int = 12) -> list[list[float]]:
    """Draw events: each value from its channel's pool, or two at once on an edge."""
    values, pairs = pools(plan)
    rows = []
    for _ in range(draw(st.integers(1, most))):
        row = {channel: draw(st.sampled_from(values[channel])) for channel in CHANNELS}
        if pairs and draw(st.booleans()):
            row |= draw(st.sampled_from(pairs))
        rows.append([row[channel] for channel in CHANNELS])
    return rows


def many_rows(plan: GatingPlan, n: int, seed: int) -> np.ndarray[Any, Any]:
    """(n, 6) events from the same pools, by a seed: for sizes beyond a block of the walk."""
    random = np.random.default_rng(seed)
    values, pairs = pools(plan)
    events = np.column_stack([random.choice(values[channel], n) for channel in CHANNELS])
    plain = random.random(events.shape) < 0.4
    events[plain] = random.normal(20000, 60000, plain.sum())
    for row in np.flatnonzero(random.random(n) < 0.3) if pairs else ():
        for channel, value in pairs[random.integers(len(pairs))].items():
            events[row, CHANNELS.index(channel)] = value
    return events
