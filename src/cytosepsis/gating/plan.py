"""Frozen gates and the `GatingPlan` that holds them, parents first.

Coordinates are on the axis's transformed scale; without a transform, on the linear compensated
scale. Edges: a rectangle keeps minimum ≤ value < maximum; events on an edge or vertex of a polygon
and on the border of an ellipse are inside (Gating-ML 2.0, 5.1). NaN lies in no region.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cytosepsis.compensation import Spillover
from cytosepsis.transforms import Transform

ROOT = "root"

# What an axis is compensated with: the assay's or caller's choice, nothing, the file's own matrix,
# or the name of one of the plan's matrices. Scatter and time are never compensated.
DEFAULT_COMPENSATION = "default"
UNCOMPENSATED = "uncompensated"
FILE_COMPENSATION = "FCS"


@dataclass(frozen=True, slots=True)
class Axis:
    """One coordinate of a gate: a role or $PnN/$PnS name, how compensated, how transformed."""

    channel: str
    transform: Transform | None = None
    compensation: str = DEFAULT_COMPENSATION


@dataclass(frozen=True, slots=True)
class Rectangle:
    """minimum ≤ value < maximum on every axis; a None side is open."""

    name: str
    parent: str
    axes: tuple[Axis, ...]
    minimum: tuple[float | None, ...]
    maximum: tuple[float | None, ...]
    complement: bool = False


@dataclass(frozen=True, slots=True)
class Polygon:
    """Inside by the even-odd rule, border included."""

    name: str
    parent: str
    x: Axis
    y: Axis
    vertices: tuple[tuple[float, float], ...]
    complement: bool = False


@dataclass(frozen=True, slots=True)
class Ellipse:
    """(v - mean)ᵀ covariance⁻¹ (v - mean) ≤ distance_square."""

    name: str
    parent: str
    axes: tuple[Axis, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    distance_square: float
    complement: bool = False


@dataclass(frozen=True, slots=True)
class Operand:
    """A population taking part in a boolean gate, by full path."""

    gate: str
    complement: bool = False


@dataclass(frozen=True, slots=True)
class Boolean:
    """`and`, `or` or `not` (one operand) of populations named by full path, within the parent."""

    name: str
    parent: str
    operator: Literal["and", "or", "not"]
    operands: tuple[Operand, ...]
    complement: bool = False


# A quadrant gate is lowered by its readers to one Rectangle per named quadrant: nothing is left
# for the walk to know of it.
Gate = Rectangle | Polygon | Ellipse | Boolean


def path_of(gate: Gate) -> str:
    """Full path of the population that a gate defines, e.g. `root/singlets/monocytes`."""
    return f"{gate.parent}/{gate.name}"


@dataclass(frozen=True, slots=True)
class GatingPlan:
    """Gates in order, parents and operands before the gates that use them.

    Build one with `make_plan`, which checks the order and the names.
    """

    gates: tuple[Gate, ...]
    spillovers: tuple[tuple[str, Spillover], ...] = ()
    source: str = ""  # file name the plan came from, for messages

    def __iter__(self) -> Iterator[Gate]:
        return iter(self.gates)

    @property
    def paths(self) -> tuple[str, ...]:
        """Full paths of all populations, root first, in plan order."""
        return (ROOT, *(path_of(gate) for gate in self.gates))

    @property
    def channels(self) -> tuple[str, ...]:
        """Roles or names the gates refer to, each once, in order of first use."""
        seen: dict[str, None] = {}
        for gate in self.gates:
            for axis in axes_of(gate):
                seen.setdefault(axis.channel)
        return tuple(seen)


def axes_of(gate: Gate) -> tuple[Axis, ...]:
    """The axes a gate reads; none for a boolean gate."""
    match gate:
        case Polygon():
            return (gate.x, gate.y)
        case Boolean():
            return ()
        case _:
            return gate.axes
