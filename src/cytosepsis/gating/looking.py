"""The events on which gates are found: each axis is walked once, each population told once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import (
    ROOT,
    Axis,
    FixedGate,
    Gate,
    GatingPlan,
    Polygon,
    Rectangle,
    axes_of,
    path_of,
)
from cytosepsis.kernels.regions import empty_expansion, in_polygon
from cytosepsis.transform_values import apply

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Walked = Callable[[GatingPlan, Sequence[Measure]], Mapping[Measure, Floats]]

_BLOCK = 8192  # events whose polygon test stays in cache


class LookedAt:
    """Events that are looked at again for every gate: what one gate has asked for, the next has.

    Later gates ask for the parent's events under gates that were found a moment ago. Those gates
    are applied to the values here, without a program of their own for the walk. Kinds of gates that
    are not told here are left to the walk.
    """

    def __init__(self, walked: Walked, plan: GatingPlan, *, ahead: Iterable[Axis] = ()) -> None:
        """Look at the events that `walked` knows, under a plan's matrices.

        Axes `ahead` will be asked for: the first walk sees to them too.
        """
        self._walked, self._bare = walked, replace(plan, gates=())
        self._ahead = tuple(ahead)
        self._linear: dict[Axis, Floats] = {}  # of all events
        self._values: dict[tuple[tuple[Gate, ...], Axis], Floats] = {}
        self._members: dict[tuple[Gate, ...], Bools] = {}

    def __call__(self, plan: GatingPlan, measures: Sequence[Measure]) -> Mapping[Measure, Floats]:
        """Values of populations under a plan that is all fixed."""
        gates = {path_of(gate): gate for gate in plan}
        known: dict[Measure, Floats] = {}
        for measure in measures:
            chain = _chain(gates, measure.path)
            if chain is None:
                return self._walked(plan, measures)
            self._walk([m.axis for m in measures] + [a for gate in chain for a in axes_of(gate)])
            known[measure] = self._of(chain, measure.axis)
        return known

    def _walk(self, axes: Sequence[Axis]) -> None:
        """Walk the events once for all axes that have not been asked for before."""
        new = [axis for axis in dict.fromkeys(map(_linear, axes)) if axis not in self._linear]
        if new:
            new = list(dict.fromkeys((*new, *map(_linear, self._ahead))))
            self._ahead = ()
            measures = {axis: Measure.on(ROOT, axis) for axis in new}
            values = self._walked(self._bare, tuple(measures.values()))
            self._linear |= {axis: values[measure] for axis, measure in measures.items()}

    def _of(self, chain: tuple[FixedGate, ...], axis: Axis) -> Floats:
        """Values of a population, the last of a chain of gates, on an axis."""
        if (chain, axis) not in self._values:
            if axis.transform is not None:
                values = apply(axis.transform, self._of(chain, _linear(axis)))
            else:
                values = self._linear[axis]
                for k in range(len(chain)):
                    values = values[self._inside(chain[: k + 1])]
            self._values[chain, axis] = values
        return self._values[chain, axis]

    def _inside(self, chain: tuple[FixedGate, ...]) -> Bools:
        """Which events of the parent the last gate of a chain keeps."""
        if chain not in self._members:
            gate = chain[-1]
            values = [self._of(chain[:-1], axis) for axis in axes_of(gate)]
            self._members[chain] = _kept(gate, values)
        return self._members[chain]


def _linear(axis: Axis) -> Axis:
    return axis if axis.transform is None else replace(axis, transform=None)


def _chain(gates: Mapping[str, Gate], path: str) -> tuple[FixedGate, ...] | None:
    """Gates that lead to a population, parents first; None where the walk has to tell."""
    chain: list[FixedGate] = []
    while path != ROOT:
        gate = gates[path]
        if not isinstance(gate, Rectangle | Polygon):
            return None
        chain.append(gate)
        path = gate.parent
    return tuple(reversed(chain))


def _kept(gate: FixedGate, values: Sequence[Floats]) -> Bools:
    """Tell which values a gate keeps, as the walk does."""
    inside = np.ones(len(values[0]), dtype=np.bool_)
    match gate:
        case Rectangle():
            for of_axis, low, high in zip(values, gate.minimum, gate.maximum, strict=True):
                inside &= of_axis >= (-np.inf if low is None else low)
                if high is not None:
                    inside &= of_axis < high
        case Polygon():
            inside = _in_polygon(values[0], values[1], np.array(gate.vertices))
    return ~inside if gate.complement else inside


def _in_polygon(x: Floats, y: Floats, vertices: Floats) -> Bools:
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    box = np.array([low[0], high[0], low[1], high[1]])
    inside = np.empty(len(x), dtype=np.bool_)
    crossings, expansion = np.empty(_BLOCK, dtype=np.int64), empty_expansion()
    for first in range(0, len(x), _BLOCK):
        part = slice(first, min(first + _BLOCK, len(x)))
        n = part.stop - first
        in_polygon(x[part], y[part], n, vertices, box, inside[part], crossings, expansion)
    return inside
