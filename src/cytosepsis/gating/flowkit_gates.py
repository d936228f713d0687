"""Gates and transforms as FlowKit's parsers give them, turned into ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cytosepsis.errors import GatingError
from cytosepsis.gating.plan import Axis, Ellipse, FixedGate, Polygon, Rectangle
from cytosepsis.transforms import (
    Asinh,
    Biex,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    OffsetLog,
    Transform,
)


@contextmanager
def flowkit_door(advice: str) -> Iterator[None]:
    """Turn whatever FlowKit's parsers raise into a GatingError; their warnings stay inside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except GatingError:
            raise
        except Exception as error:  # FlowKit's parsers raise anything on what they do not know
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise GatingError(f"the gates cannot be read ({reason}). {advice}") from error


def transform_of(
    xform: Any, *, bound_min: float | None = None, bound_max: float | None = None
) -> Transform | None:
    """Our twin of one of FlowKit's transforms; None of one that has none (ratios)."""
    low, high = bound_min, bound_max
    made: Transform | None
    match type(xform).__name__:
        case "LinearTransform":
            made = Linear(xform.param_t, xform.param_a, low, high)
        case "LogTransform":
            made = Log(xform.param_t, xform.param_m, low, high)
        case "AsinhTransform":
            made = Asinh(xform.param_t, xform.param_m, xform.param_a, low, high)
        case "LogicleTransform":
            made = Logicle(xform.param_t, xform.param_w, xform.param_m, xform.param_a, low, high)
        case "HyperlogTransform":
            made = Hyperlog(xform.param_t, xform.param_w, xform.param_m, xform.param_a, low, high)
        case "WSPLogTransform":
            made = OffsetLog(xform.offset, xform.decades, low, high)
        case "WSPBiexTransform":
            # FlowKit's table has 4096 steps whatever FlowJo's `length`; so has ours, since the
            # gate's coordinates come on that scale.
            made = Biex(
                xform.negative, xform.width, xform.positive, xform.max_value, 4096, low, high
            )
        case _:
            made = None
    return made


def region_of(gate: Any, name: str, parent: str, axes: Sequence[Axis]) -> FixedGate:
    """Our twin of FlowKit's rectangle, polygon or ellipsoid, on axes that are ours already."""
    axes = tuple(axes)
    complement = bool(getattr(gate, "use_complement", False))
    match gate.gate_type:
        case "RectangleGate":
            low = tuple(_bound(dimension.min) for dimension in gate.dimensions)
            high = tuple(_bound(dimension.max) for dimension in gate.dimensions)
            return Rectangle(name, parent, axes, low, high, complement)
        case "PolygonGate":
            vertices = tuple((float(x), float(y)) for x, y in gate.vertices)
            if len(axes) != 2:
                raise GatingError(f"polygon {name!r} has {len(axes)} dimensions, must have 2")
            return Polygon(name, parent, axes[0], axes[1], vertices, complement)
        case "EllipsoidGate":
            mean = tuple(float(value) for value in gate.coordinates)
            rows = tuple(tuple(float(v) for v in row) for row in gate.covariance_matrix)
            return Ellipse(name, parent, axes, mean, rows, float(gate.distance_square), complement)
        case kind:
            raise GatingError(f"gate {name!r} is a {kind}, which cannot be applied")


def _bound(value: Any) -> float | None:
    return None if value is None else float(value)
