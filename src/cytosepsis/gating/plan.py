"""Frozen gates and the `GatingPlan` that holds them, parents first.

Coordinates are on the axis's transformed scale; without a transform, on the linear compensated
scale. Edges: a rectangle keeps minimum ≤ value < maximum; events on an edge or vertex of a polygon
and on the border of an ellipse are inside (Gating-ML 2.0, 5.1). NaN lies in no region.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cytosepsis.compensation import Spillover
from cytosepsis.errors import GatingError
from cytosepsis.gating.axis import (
    DEFAULT_COMPENSATION,
    FILE_COMPENSATION,
    ROOT,
    UNCOMPENSATED,
    Axis,
    Ratio,
    axis_faults,
    axis_key,
)
from cytosepsis.gating.batch import Batch
from cytosepsis.gating.data_driven import (
    Cluster,
    DataDrivenGate,
    Densest,
    Singlet,
    Threshold,
    axes_asked,
    data_driven_faults,
)


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
FixedGate = Rectangle | Polygon | Ellipse | Boolean
Gate = FixedGate | DataDrivenGate


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
    batch: Batch | None = None  # where its gates usually lie, learned from many samples

    def __iter__(self) -> Iterator[Gate]:
        return iter(self.gates)

    @property
    def paths(self) -> tuple[str, ...]:
        """Full paths of all populations, root first, in plan order."""
        return (ROOT, *(path_of(gate) for gate in self.gates))

    @property
    def data_driven(self) -> bool:
        """Whether any gate has to be found in each sample."""
        return any(isinstance(gate, DataDrivenGate) for gate in self.gates)

    @property
    def channels(self) -> tuple[str, ...]:
        """Roles or names the gates refer to, each once, in order of first use."""
        seen: dict[str, None] = {}
        for gate in self.gates:
            for axis in axes_of(gate):
                seen.update(dict.fromkeys(axis.channels))
        return tuple(seen)

    def leading_to(self, path: str) -> GatingPlan:
        """The part of the plan on which a population depends: its own gate, and what that needs."""
        needed = {path}
        kept: list[Gate] = []
        for gate in reversed(self.gates):
            if path_of(gate) in needed:
                kept.append(gate)
                needed.add(gate.parent)
                if isinstance(gate, Boolean):
                    needed.update(operand.gate for operand in gate.operands)
                elif isinstance(gate, Threshold) and gate.same:
                    needed.add(gate.same)
        return replace(self, gates=tuple(reversed(kept)))


def axes_of(gate: Gate) -> tuple[Axis, ...]:
    """Return the axes a gate reads; none for a boolean gate."""
    match gate:
        case Polygon():
            return (gate.x, gate.y)
        case Boolean():
            return ()
        case Rectangle() | Ellipse():
            return gate.axes
        case _:
            return axes_asked(gate)


def fixed(gate: Gate) -> FixedGate:
    """Return the gate itself, where it is fixed; a data-driven one is a programmer's mistake."""
    assert isinstance(gate, FixedGate), f"{path_of(gate)} has not been resolved"
    return gate


def make_plan(
    gates: Sequence[Gate],
    spillovers: Sequence[tuple[str, Spillover]] = (),
    source: str = "",
    *,
    strict_ellipses: bool = True,
) -> GatingPlan:
    """Check gates and put them together; parents and operands may be full paths or unique names.

    In the plan every parent and operand is a full path, and an infinite bound of a rectangle is an
    open side. With `strict_ellipses` off, a covariance need only be invertible (the standard's own
    compliance file has one that is neither symmetric nor positive definite).

    Raises
    ------
    GatingError
        One line per fault, each with the path of its gate: all of them, not only the first.
    """
    resolved, faults = examine(gates, spillovers, strict_ellipses=strict_ellipses)
    if faults:
        lines = []
        for fault in faults:
            place = path_of(resolved[fault.index]) if fault.index >= 0 else "spillovers"
            lines.append(": ".join(part for part in (place, fault.key, fault.message) if part))
        raise GatingError("\n".join(lines), file=source or None, step="gating")
    return GatingPlan(resolved, tuple(spillovers), source)


@dataclass(frozen=True, slots=True)
class GateFault:
    """One thing wrong with a gate: its index (-1: the matrices), the key meant, what and why."""

    index: int
    key: str
    message: str


def examine(
    gates: Sequence[Gate],
    spillovers: Sequence[tuple[str, Spillover]] = (),
    *,
    strict_ellipses: bool = True,
    unread: Collection[int] = (),
) -> tuple[tuple[Gate, ...], tuple[GateFault, ...]]:
    """Gates with full paths, and all their faults; `unread` gates lend only their names."""
    matrices = [name for name, _ in spillovers]
    faults = [GateFault(-1, name, why) for name, why in _matrix_name_faults(matrices)]
    tree = _Tree(Counter(gate.name for gate in gates))
    resolved: list[Gate] = []
    for index, given in enumerate(gates):
        found: list[tuple[str, str]] = []
        gate = _with_full_paths(given, tree, found)
        if index not in unread:
            found += _name_faults(gate.name)
            found += [
                f for i, axis in enumerate(axes_of(gate)) for f in axis_faults(i, axis, matrices)
            ]
            found += _region_faults(gate, strict_ellipses=strict_ellipses)
        if path_of(gate) in tree.paths:
            found.append(("name", f"{path_of(gate)} is defined twice"))
        faults += [GateFault(index, key, message) for key, message in found]
        tree.add(gate, placed=gate.parent in tree.paths)
        resolved.append(gate)
    return tuple(resolved), tuple(faults)


class _Tree:
    """Populations known so far, by path and by name; `n_named` counts those still to come too."""

    def __init__(self, n_named: Counter[str]) -> None:
        self.n_named = n_named
        self.paths: dict[str, None] = {ROOT: None}
        self.named: dict[str, list[str]] = {}

    def add(self, gate: Gate, *, placed: bool) -> None:
        if placed:
            self.paths.setdefault(path_of(gate))
        self.named.setdefault(gate.name, []).append(path_of(gate))

    def find(self, reference: str) -> str | None:
        """Full path of a population by path or unique name; None where `explain` says why not."""
        if reference in self.paths:
            return reference
        paths = self.named.get(reference, [])
        return paths[0] if len(paths) == 1 == self.n_named[reference] else None

    def explain(self, reference: str) -> str:
        if self.n_named[reference] > 1:
            known = " or ".join(dict.fromkeys(self.named.get(reference, []))) or "the full path"
            return f"{reference!r} is the name of several populations: write {known}"
        if self.n_named[reference] == 1:
            return f"{reference!r} comes later in the plan: put it before the gates that use it"
        names = [*self.paths, *self.named]
        near = difflib.get_close_matches(reference, names, n=1) or [
            path for path in self.paths if path == f"{ROOT}/{reference}"
        ]
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(self.paths)}"
        return f"no population {reference!r} before this gate: {hint}"


def _with_full_paths(gate: Gate, tree: _Tree, found: list[tuple[str, str]]) -> Gate:
    """Replace names of parent and operands by paths; what cannot be found is noted and kept."""
    parent = tree.find(gate.parent or ROOT)
    if parent is None:
        found.append(("parent", tree.explain(gate.parent)))
        parent = gate.parent if gate.parent.startswith(f"{ROOT}/") else f"{ROOT}/{gate.parent}"
    if isinstance(gate, Rectangle):
        low = tuple(None if bound == -math.inf else bound for bound in gate.minimum)
        high = tuple(None if bound == math.inf else bound for bound in gate.maximum)
        return replace(gate, parent=parent, minimum=low, maximum=high)
    if isinstance(gate, Threshold) and gate.same:
        path = tree.find(gate.same)
        if path is None:
            found.append(("same", tree.explain(gate.same)))
        return replace(gate, parent=parent, same=path or gate.same)
    if not isinstance(gate, Boolean):
        return replace(gate, parent=parent)
    operands = []
    for index, operand in enumerate(gate.operands):
        path = tree.find(operand.gate)
        if path is None:
            found.append((f"operands[{index}]", tree.explain(operand.gate)))
        elif path == ROOT:
            found.append((f"operands[{index}]", "root holds every event: it is no operand"))
        operands.append(replace(operand, gate=path or operand.gate))
    return replace(gate, parent=parent, operands=tuple(operands))


def _name_faults(name: str) -> Iterator[tuple[str, str]]:
    if not name.strip():
        yield "name", "a population needs a name"
    if "/" in name:
        yield "name", f"{name!r} contains '/', which separates the names of a path"
    if name == ROOT:
        yield "name", f"{ROOT!r} is the name of all events"
    if any(ord(character) < 32 for character in name):
        yield "name", f"{name!r} contains a control character"


def _matrix_name_faults(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, count in Counter(names).items():
        if count > 1:
            yield name, "two matrices have this name"
        if not name or name in (DEFAULT_COMPENSATION, UNCOMPENSATED, FILE_COMPENSATION):
            yield name, f"a matrix cannot be named {name!r}"


def _region_faults(gate: Gate, *, strict_ellipses: bool) -> Iterator[tuple[str, str]]:
    match gate:
        case Rectangle():
            yield from _rectangle_faults(gate)
        case Polygon():
            yield from _polygon_faults(gate)
        case Ellipse():
            yield from _ellipse_faults(gate, strict=strict_ellipses)
        case Boolean():
            n = len(gate.operands)
            if gate.operator not in ("and", "or", "not"):
                yield "operator", f"{gate.operator!r} is none of and, or, not"
            elif n == 0 or (gate.operator == "not" and n != 1):
                wanted = "one operand" if gate.operator == "not" else "operands"
                yield "operands", f"{gate.operator!r} needs {wanted}, found {n}"
        case _:
            yield from data_driven_faults(gate)


def _rectangle_faults(gate: Rectangle) -> Iterator[tuple[str, str]]:
    if not len(gate.axes) == len(gate.minimum) == len(gate.maximum) > 0:
        yield (
            "ranges",
            (f"{len(gate.axes)} axes, {len(gate.minimum)} minima and {len(gate.maximum)} maxima"),
        )
        return
    for index, (minimum, maximum) in enumerate(zip(gate.minimum, gate.maximum, strict=True)):
        low = -math.inf if minimum is None else minimum
        high = math.inf if maximum is None else maximum
        if math.isnan(low) or math.isnan(high):
            yield f"ranges.{axis_key(index)}", "a bound is not a number"
        elif not low < high:
            yield f"ranges.{axis_key(index)}", f"min {low:g} must be less than max {high:g}"
    if all(bound is None for bound in (*gate.minimum, *gate.maximum)):
        yield "ranges", "no side is bounded: the gate would keep every event"


def _polygon_faults(gate: Polygon) -> Iterator[tuple[str, str]]:
    for index, vertex in enumerate(gate.vertices):
        if len(vertex) != 2 or not all(math.isfinite(value) for value in vertex):
            yield f"vertices[{index}]", f"two finite numbers are needed, found {list(vertex)}"
    if len(set(gate.vertices)) < 3:
        yield "vertices", f"at least 3 different ones are needed, found {len(set(gate.vertices))}"


def _ellipse_faults(gate: Ellipse, *, strict: bool) -> Iterator[tuple[str, str]]:
    n = len(gate.axes)
    rows = [len(row) for row in gate.covariance]
    if n < 2:
        yield "axes", f"an ellipse needs at least 2, found {n}"
    if len(gate.mean) != n or not all(math.isfinite(value) for value in gate.mean):
        yield "mean", f"{n} finite numbers are needed, found {list(gate.mean)}"
    if not (math.isfinite(gate.distance_square) and gate.distance_square > 0):
        yield "distance_square", f"must be positive, found {gate.distance_square:g}"
    if rows != [n] * n or not all(math.isfinite(v) for row in gate.covariance for v in row):
        yield "covariance", f"{n} rows of {n} finite numbers are needed"
    elif strict and not is_covariance(np.array(gate.covariance)):
        yield "covariance", "must be symmetric and positive definite"
    elif not strict and np.linalg.matrix_rank(np.array(gate.covariance)) < n:
        yield "covariance", "cannot be inverted"


def is_covariance(matrix: NDArray[np.float64]) -> bool:
    """Symmetric and positive definite, whatever the units: judged on the correlations."""
    if (np.diag(matrix) <= 0).any():
        return False
    spread = np.sqrt(np.diag(matrix))
    correlation = matrix / np.outer(spread, spread)
    symmetric = np.allclose(correlation, correlation.T, rtol=0, atol=1e-9)
    return bool(symmetric and np.linalg.eigvalsh(correlation).min() > 1e-12)


__all__ = [
    "DEFAULT_COMPENSATION",
    "FILE_COMPENSATION",
    "ROOT",
    "UNCOMPENSATED",
    "Axis",
    "Boolean",
    "Cluster",
    "DataDrivenGate",
    "Densest",
    "Ellipse",
    "FixedGate",
    "Gate",
    "GateFault",
    "GatingPlan",
    "Operand",
    "Polygon",
    "Ratio",
    "Rectangle",
    "Singlet",
    "Threshold",
    "axes_of",
    "axis_key",
    "examine",
    "fixed",
    "is_covariance",
    "make_plan",
    "path_of",
]
