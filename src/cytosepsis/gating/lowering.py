"""A gating plan, a panel and spillovers lowered to the arrays that the walk is driven by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from cytosepsis.compensation import Spillover
from cytosepsis.errors import GatingError
from cytosepsis.gating import carry
from cytosepsis.gating.mixing import Compensation, Mix, is_never_compensated
from cytosepsis.gating.plan import (
    DEFAULT_COMPENSATION,
    FILE_COMPENSATION,
    ROOT,
    Axis,
    Boolean,
    Ellipse,
    FixedGate,
    GatingPlan,
    Polygon,
    Ratio,
    Rectangle,
    axes_of,
    fixed,
    is_covariance,
    path_of,
)
from cytosepsis.gating.row_form import RowForm
from cytosepsis.kernels import regions
from cytosepsis.kernels.program import (
    AND,
    ELLIPSE,
    MEASURE,
    OR,
    POLYGON,
    RECTANGLE,
    Floats,
    Ints,
    Program,
    pack,
)
from cytosepsis.kernels.transforms import N_NUMBERS
from cytosepsis.transform_values import lower
from cytosepsis.transforms import Transform


@dataclass(frozen=True, slots=True)
class Measure:
    """A population's values on one axis are to be collected: linear ones without a transform."""

    path: str
    channel: str
    compensation: str = DEFAULT_COMPENSATION
    transform: Transform | None = None
    ratio: Ratio | None = None

    @classmethod
    def on(cls, path: str, axis: Axis) -> Measure:
        """Measure a population on an axis as gates have them."""
        return cls(path, axis.channel, axis.compensation, axis.transform, axis.ratio)

    @property
    def axis(self) -> Axis:
        """The axis it is measured on."""
        return Axis(self.channel, self.transform, self.compensation, self.ratio)


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program for one file, with the paths of its populations in the program's order."""

    program: Program
    packed: tuple[Ints, Floats]
    paths: tuple[str, ...]
    measures: tuple[Measure, ...]


@lru_cache(maxsize=64)
def lower_plan(
    plan: GatingPlan,
    form: RowForm,
    columns: tuple[tuple[str, int], ...],
    *,
    spillover: Spillover | None,
    own: Spillover | None = None,
    unmixed: tuple[tuple[tuple[str, str], str], ...] = (),
    measures: tuple[Measure, ...] = (),
) -> Lowered:
    """Lower a plan for files of one form; such files are many, so the program is kept.

    Parameters
    ----------
    plan
        The gates.
    form
        What the walk has to know of the file's rows.
    columns
        Column of every channel that the plan and the measures name, fluorochromes aside.
    spillover
        What an axis is compensated with where the plan leaves it open; None: nothing.
    own
        The file's own matrix, for axes of which the plan says that it be used; None: nothing.
    unmixed
        The fluorochrome of a matrix that a channel means under a compensation, where it means one.
    measures
        Populations and channels whose values the walk hands on.

    """
    compensation = Compensation(
        form,
        {DEFAULT_COMPENSATION: spillover, FILE_COMPENSATION: own, **dict(plan.spillovers)},
        dict(columns),
        dict(unmixed),
    )
    builder = _Builder(form, compensation)
    for gate in plan:
        builder.add_gate(fixed(gate))
    for measure in measures:
        builder.add_measure(measure)
    program = builder.program()
    return Lowered(program, pack(program), plan.paths, measures)


def compensations(
    plan: GatingPlan, form: RowForm, columns: Mapping[str, int], measures: Sequence[Measure]
) -> set[str]:
    """Return the names of the compensations that a plan and measures ask for on this file."""
    return {
        name
        for channel, name in asked_of(plan, measures)
        if channel in columns and not is_never_compensated(form, columns[channel])
    }


def asked_of(plan: GatingPlan, measures: Sequence[Measure]) -> list[tuple[str, str]]:
    """List every channel that a plan and measures ask for, with its compensation."""
    axes = [axis for gate in plan for axis in axes_of(gate)]
    axes += [measure.axis for measure in measures]
    return [(channel, axis.compensation) for axis in axes for channel in axis.channels]


_OPEN = (np.nan, np.nan)


@dataclass(frozen=True, slots=True)
class _Dim:
    """One dimension of a step: axis, transform (-1: none), limits after it, band before it."""

    axis: int
    transform: int
    limits: tuple[float, float]
    sure: carry.Band


@dataclass(slots=True)
class _Ragged:
    """A flat list with the offset at which each owner's part begins."""

    values: list[float] = field(default_factory=list)
    start: list[int] = field(default_factory=lambda: [0])

    def add(self, values: Sequence[float]) -> None:
        self.values.extend(values)
        self.start.append(len(self.values))

    def ints(self) -> tuple[Ints, Ints]:
        return np.array(self.start, dtype=np.int64), np.array(self.values, dtype=np.int64)

    def floats(self) -> tuple[Ints, Floats]:
        return np.array(self.start, dtype=np.int64), np.array(self.values, dtype=np.float64)


class _Builder:
    """Collects sources, axes, transforms and steps, each once, and schedules their computing."""

    def __init__(self, form: RowForm, compensation: Compensation) -> None:
        self.form, self.compensation = form, compensation
        self.populations: dict[str, int] = {ROOT: 0}
        self.ancestors: list[tuple[int, ...]] = [(0,)]  # of each population, itself included
        self.sources: dict[int, int] = {}
        self.axes: dict[Mix, int] = {}
        self.transforms: dict[Transform, int] = {}
        self.kind: list[int] = []
        self.parent: list[int] = []
        self.complement: list[bool] = []
        self.keep: list[bool] = []
        self.dims = _Ragged()
        self.limits: list[tuple[float, float]] = []
        self.sure: list[carry.Band] = []
        self.slots: list[int] = []
        self.narrows: list[bool] = []
        self.settles: list[bool] = []
        self.dim_transform: list[int] = []
        self.numbers, self.operands, self.loads, self.mixes = (_Ragged() for _ in range(4))
        self.operand_complement: list[bool] = []
        # populations for whose events a source or axis has been computed by then
        self.loaded: dict[int, set[int]] = {}
        self.mixed: dict[int, set[int]] = {}

    # -- steps

    def add_gate(self, gate: FixedGate) -> None:
        parent = self.populations[gate.parent]
        match gate:
            case Rectangle():
                dims = [
                    self._interval(axis, low, high)
                    for axis, low, high in zip(gate.axes, gate.minimum, gate.maximum, strict=True)
                ]
                self._step(RECTANGLE, parent, dims, flip=gate.complement)
            case Polygon():
                vertices = _vertices(gate)
                low, high = vertices.min(axis=0), vertices.max(axis=0)
                dims = [
                    self._box(axis, float(low[k]), float(high[k]))
                    for k, axis in enumerate((gate.x, gate.y))
                ]
                numbers = (low[0], high[0], low[1], high[1], *vertices.reshape(-1))
                self._step(POLYGON, parent, dims, numbers=numbers, flip=gate.complement)
            case Ellipse():
                dims = [self._ellipse_box(gate, k) for k in range(len(gate.axes))]
                numbers = _ellipse_numbers(gate)
                self._step(ELLIPSE, parent, dims, numbers=numbers, flip=gate.complement)
            case Boolean():
                operands = [(self.populations[o.gate], o.complement) for o in gate.operands]
                kind = OR if gate.operator == "or" else AND
                flip = gate.complement ^ (gate.operator == "not")
                self._step(kind, parent, (), operands=operands, flip=flip)
        self.populations[path_of(gate)] = len(self.kind)

    def add_measure(self, measure: Measure) -> None:
        if measure.path not in self.populations:
            known = ", ".join(self.populations)
            raise GatingError(f"no population {measure.path}; the plan has {known}")
        # a transform is applied to what has been collected, all at once
        dim = _Dim(self._axis(measure.axis), -1, _OPEN, carry.open_band())
        self._step(MEASURE, self.populations[measure.path], [dim])

    def _step(
        self,
        kind: int,
        parent: int,
        dims: Sequence[_Dim],
        *,
        numbers: Sequence[float] = (),
        operands: Sequence[tuple[int, bool]] = (),
        flip: bool = False,
    ) -> None:
        self.kind.append(kind)
        self.parent.append(parent)
        self.complement.append(flip)
        self.keep.append(False)
        self.ancestors.append((*self.ancestors[parent], len(self.kind)))
        self._add_dims(kind, parent, dims, flip)
        self.numbers.add(numbers)
        self.operands.add([operand for operand, _ in operands])
        self.operand_complement += [complement for _, complement in operands]
        for operand, _ in operands:
            if operand > 0:
                self.keep[operand - 1] = True

    def _add_dims(self, kind: int, parent: int, dims: Sequence[_Dim], flip: bool) -> None:
        """Order a step's dimensions, cheap ones first: they narrow what the dear ones cost."""
        mixes = list(self.axes)
        n_terms = [len(mixes[dim.axis].terms) for dim in dims]
        order = sorted(range(len(dims)), key=lambda k: (n_terms[k], k))
        # Bare shapes are tested whole at once: leaving events out first would cost as much.
        bare = kind != RECTANGLE and all(
            dim.transform < 0 and n == 1 for dim, n in zip(dims, n_terms, strict=True)
        )
        # Where values of this step will be found again: those of its first dimension by all of
        # the parent's events, the others by its own population (by nobody, if that is flipped).
        population = len(self.kind)
        later = parent if bare else (-population if flip else population)
        for place, k in enumerate(order):
            self.dim_transform.append(dims[k].transform)
            self.limits.append(dims[k].limits)
            self.sure.append(dims[k].sure)
            self.slots.append(k)
            self.narrows.append(not bare)
            following = order[place + 1] if place + 1 < len(order) else None
            dear = following is None or n_terms[following] > 1
            self.settles.append(dear and not bare and kind != MEASURE)
            self._schedule(parent, later, place == 0, dims[k].axis)
        self.dims.add([dims[k].axis for k in order])

    def _schedule(self, parent: int, later: int, first: bool, axis: int) -> None:
        """What is not yet computed for the events that a dimension asks about, it computes."""
        known = {*self.ancestors[parent], later}
        place = parent if first else later
        mix = list(self.axes)[axis]
        mixes = [] if mix.is_bare or self.mixed.get(axis, set()) & known else [axis]
        terms = mix.terms if mix.is_bare or mixes else ()
        sources = [self.sources[column] for column, _ in terms]
        loads = [s for s in dict.fromkeys(sources) if not self.loaded.get(s, set()) & known]
        for what, numbers in ((self.mixed, mixes), (self.loaded, loads)):
            for number in numbers:
                what.setdefault(number, set()).add(place)
        self.mixes.add(mixes)
        self.loads.add(loads)

    # -- dimensions

    def _axis(self, axis: Axis) -> int:
        mix = self.compensation.mix(axis)
        for column, _ in mix.terms:
            self.sources.setdefault(column, len(self.sources))
        return self.axes.setdefault(mix, len(self.axes))

    def _transform(self, transform: Transform | None) -> int:
        if transform is None:
            return -1
        return self.transforms.setdefault(transform, len(self.transforms))

    def _interval(self, axis: Axis, low: float | None, high: float | None) -> _Dim:
        limits = (np.nan if low is None else low, np.nan if high is None else high)
        if axis.transform is None:
            band = carry.linear_band(low, high)
        else:
            band = carry.carried_band(axis.transform, low, high)
        return _Dim(self._axis(axis), self._transform(axis.transform), limits, band)

    def _box(self, axis: Axis, low: float, high: float) -> _Dim:
        """The interval that holds a closed region: used only to leave out what is surely out."""
        if axis.transform is None:
            band = carry.linear_band(low, float(np.nextafter(high, np.inf)))
        else:
            band = carry.carried_band(axis.transform, low, high)
        return _Dim(self._axis(axis), self._transform(axis.transform), _OPEN, band)

    def _ellipse_box(self, gate: Ellipse, k: int) -> _Dim:
        covariance = np.array(gate.covariance)
        if not is_covariance(covariance):
            # Gating-ML's own compliance file has such a gate: the region is not bounded.
            return self._interval(gate.axes[k], None, None)
        reach = float(np.sqrt(gate.distance_square * covariance[k, k])) * (1 + _slack(covariance))
        low, high = gate.mean[k] - reach, gate.mean[k] + reach
        margin = 1e-9 * max(abs(low), abs(high))
        return self._box(gate.axes[k], low - margin, high + margin)

    # -- the arrays

    def program(self) -> Program:
        axes, transforms = _Ragged(), [lower(t) for t in self.transforms]
        weights: list[float] = []
        divisors: list[int] = []
        n_values, axis_value = len(self.sources), []
        for mix in self.axes:
            axis_value.append(self.sources[mix.terms[0][0]] if mix.is_bare else n_values)
            n_values += not mix.is_bare
            divisors.append(len(weights) + mix.n_dividend)
            axes.add([self.sources[column] for column, _ in mix.terms])
            weights += [weight for _, weight in mix.terms]
        tables = _Ragged()
        for transform in transforms:
            tables.add(transform.table.tolist())
        axis_start, axis_source = axes.ints()
        table_start, table_values = tables.floats()
        dim_start, dim_axis = self.dims.ints()
        number_start, numbers = self.numbers.floats()
        operand_start, operand_population = self.operands.ints()
        load_start, load_source = self.loads.ints()
        mix_start, mix_axis = self.mixes.ints()
        most_dimensions = int(np.diff(dim_start).max(initial=1))
        form = self.form
        parameters = [form.parameters[column] for column in self.sources]
        return Program(
            layout=np.array(
                [form.code, len(form.parameters), n_values, most_dimensions], dtype=np.int64
            ),
            source_column=np.array(list(self.sources), dtype=np.int64),
            source_mask=np.array([form.masks[c] for c in self.sources], dtype=np.int64),
            source_gain=np.array(
                [1.0 if form.is_linear else p.applied_gain for p in parameters], dtype=np.float64
            ),
            source_step=np.array(
                [form.time_step if p.is_time and not form.is_linear else 1.0 for p in parameters],
                dtype=np.float64,
            ),
            axis_value=np.array(axis_value, dtype=np.int64),
            axis_start=axis_start,
            axis_source=axis_source,
            axis_weight=np.array(weights, dtype=np.float64),
            axis_divisor=np.array(divisors, dtype=np.int64),
            axis_ratio=np.array([mix.ratio for mix in self.axes]).reshape(-1, 5),
            transform_kind=np.array([t.kind for t in transforms], dtype=np.int64),
            transform_numbers=np.array([t.numbers for t in transforms]).reshape(-1, N_NUMBERS),
            table_start=table_start,
            tables=table_values,
            kind=np.array(self.kind, dtype=np.int64),
            parent=np.array(self.parent, dtype=np.int64),
            complement=np.array(self.complement, dtype=np.int64),
            keep=np.array(self.keep, dtype=np.int64),
            dim_start=dim_start,
            dim_axis=dim_axis,
            dim_transform=np.array(self.dim_transform, dtype=np.int64),
            dim_limits=np.array(self.limits, dtype=np.float64).reshape(-1, 2),
            dim_sure=np.array(self.sure, dtype=np.float64).reshape(-1, 4),
            dim_slot=np.array(self.slots, dtype=np.int64),
            dim_narrows=np.array(self.narrows, dtype=np.int64),
            dim_settles=np.array(self.settles, dtype=np.int64),
            number_start=number_start,
            numbers=numbers,
            operand_start=operand_start,
            operand_population=operand_population,
            operand_complement=np.array(self.operand_complement, dtype=np.int64),
            load_start=load_start,
            load_source=load_source,
            mix_start=mix_start,
            mix_axis=mix_axis,
        )


def _vertices(gate: Polygon) -> Floats:
    vertices = np.array(gate.vertices, dtype=np.float64)
    size = np.abs(vertices)
    if not ((size == 0) | ((size >= regions.LEAST) & (size <= regions.MOST))).all():
        raise GatingError(
            f"{path_of(gate)}: coordinates of vertices should be 0 or {regions.LEAST:g} to "
            f"{regions.MOST:g} in size; found {list(gate.vertices)}"
        )
    return vertices


def _slack(covariance: Floats) -> float:
    """How much further, relatively, the ellipse of the computed inverse may reach than meant."""
    spread = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(spread, spread)
    least = float(np.linalg.eigvalsh((correlation + correlation.T) / 2).min())
    skew = float(np.abs(correlation - correlation.T).max())
    return 1e-9 + (8 * 2.0**-52 + 2 * skew) / least


def _ellipse_numbers(gate: Ellipse) -> tuple[float, ...]:
    try:
        precision = np.linalg.inv(np.array(gate.covariance))
    except np.linalg.LinAlgError:
        raise GatingError(f"{path_of(gate)}: the covariance cannot be inverted") from None
    return (*gate.mean, *precision.reshape(-1).tolist(), gate.distance_square)
