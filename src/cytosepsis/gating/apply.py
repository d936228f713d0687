"""Gates applied to the events of a file: counts, values of populations, membership."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cytosepsis.compensation import Spillover, spillover_of
from cytosepsis.densities import Canvas
from cytosepsis.errors import GatingError
from cytosepsis.fcs import RawEvents
from cytosepsis.gating.lowering import Lowered, Measure, asked_of, compensations, lower_plan
from cytosepsis.gating.mixing import unmixed_names
from cytosepsis.gating.plan import DEFAULT_COMPENSATION, FILE_COMPENSATION, Axis, GatingPlan
from cytosepsis.gating.row_form import row_form, views_of, walk_blocks
from cytosepsis.kernels import walk
from cytosepsis.kernels.regions import empty_expansion
from cytosepsis.panel import resolve
from cytosepsis.transforms import apply


@dataclass(frozen=True, slots=True)
class Picture:
    """Linear values of one population that are counted on a canvas, one measure per axis."""

    measures: tuple[Measure, ...]
    canvas: Canvas


class Populations:
    """What a plan finds in a file.

    `n_events` maps full paths to counts, root included. `mask` gives membership; it walks the
    file once more, so that nothing of its size is held unless asked for.
    """

    __slots__ = ("_lowered", "_raw", "n_events", "values")

    def __init__(
        self,
        raw: RawEvents,
        lowered: Lowered,
        n_events: Mapping[str, int],
        values: Mapping[Measure, NDArray[np.float64]],
    ) -> None:
        self._raw = raw
        self._lowered = lowered
        self.n_events = n_events
        self.values = values

    @property
    def paths(self) -> tuple[str, ...]:
        """Full paths of the populations, root first, in plan order."""
        return self._lowered.paths

    def mask(self, path: str) -> NDArray[np.bool_]:
        """Membership of one population: bool (n_events,), in file order."""
        return self.masks((path,))[path]

    def masks(self, paths: Sequence[str] | None = None) -> dict[str, NDArray[np.bool_]]:
        """Membership of several populations (default: all) in one walk."""
        asked = self.paths if paths is None else tuple(paths)
        unknown = [path for path in asked if path not in self.n_events]
        if unknown:
            raise GatingError(
                f"no population {', '.join(unknown)}; the plan has {', '.join(self.paths)}"
            )
        return _walk(self._raw, self._lowered, asked)[2]


def gate(
    raw: RawEvents,
    plan: GatingPlan,
    *,
    channels: Mapping[str, str | Sequence[str]] | None = None,
    spillover: Spillover | Literal["none"] | None = None,
    measures: Sequence[Measure] = (),
    pictures: Sequence[Picture] = (),
) -> Populations:
    """Apply a gating plan to a file.

    Parameters
    ----------
    raw
        The file.
    plan
        The gates.
    channels
        Accepted $PnN or $PnS names of each role that the plan uses; a role that is not named is
        tried as $PnN, then as $PnS.
    spillover
        Matrix for the axes whose compensation the plan leaves open. None: the file's own, where it
        has one; "none": they stay uncompensated. Axes for which the plan names a matrix, be it the
        file's, keep to the plan. Axes may name the fluorochromes of a matrix.
    measures
        Populations and channels whose values are collected in `values`, linear ones where the
        measure names no transform.
    pictures
        Canvases to be filled in the same walk, block by block.

    Raises
    ------
    ChannelError, CompensationError, GatingError, FcsError

    """
    shown = (measure for picture in pictures for measure in picture.measures)
    every = tuple(dict.fromkeys((*measures, *shown)))
    lowered = _lowered(raw, plan, channels, spillover, every)
    counts, values, _ = _walk(raw, lowered, (), measures, pictures)
    return Populations(raw, lowered, counts, values)


def population_values(
    raw: RawEvents,
    plan: GatingPlan,
    path: str,
    axes: Sequence[Axis],
    *,
    channels: Mapping[str, str | Sequence[str]] | None = None,
    spillover: Spillover | Literal["none"] | None = None,
) -> Iterator[NDArray[np.float64]]:
    """Yield one population's values on some axes, block by block, in file order.

    One walk over the file; only the gates on which the population depends are applied, and of
    `root` none: then the blocks hold every event. Values are compensated and transformed as each
    axis says. Nothing of the file's size is held, so the caller decides what to keep.

    Parameters
    ----------
    raw, plan, channels, spillover
        As for `gate`.
    path
        Full path of the population.
    axes
        What is wanted, at least one.

    Yields
    ------
    NDArray
        float64 (n_axes, n): of each block of the file the population's events; n may be 0. The
        caller may keep or change it.

    Raises
    ------
    ChannelError, CompensationError, GatingError, FcsError

    """
    if path not in plan.paths:
        raise GatingError(f"no population {path}; the plan has {', '.join(plan.paths)}")
    measures = [Measure.on(path, axis) for axis in axes]
    assert measures, "no axes: the plan's counts tell how many events there are"
    lowered = _lowered(raw, plan.leading_to(path), channels, spillover, measures)
    for measured in _blocks(raw, lowered, _output(lowered)):
        yield np.array(
            [
                _transformed(measure, values)
                for measure, values in zip(measures, measured, strict=True)
            ]
        )


def _lowered(
    raw: RawEvents,
    plan: GatingPlan,
    channels: Mapping[str, str | Sequence[str]] | None,
    spillover: Spillover | Literal["none"] | None,
    measures: Sequence[Measure],
) -> Lowered:
    roles = {
        role: (names,) if isinstance(names, str) else tuple(names)
        for role, names in (channels or {}).items()
    }
    asked = asked_of(plan, measures)
    given = spillover if isinstance(spillover, Spillover) else None
    brought = {DEFAULT_COMPENSATION: given, **dict(plan.spillovers)}
    unmixed = unmixed_names(asked, brought, roles, raw.pnn, raw.pns)
    wanted = dict.fromkeys(channel for channel, name in asked if (channel, name) not in unmixed)
    columns = resolve(roles, raw.pnn, raw.pns, wanted=wanted)
    form = row_form(raw)
    used = compensations(plan, form, columns, measures)
    own = spillover_of(raw.keywords) if _needs_own(used, spillover) else None
    return lower_plan(
        plan,
        form,
        tuple(columns.items()),
        spillover=own if spillover is None else given,
        own=own,
        unmixed=tuple(unmixed.items()),
        measures=tuple(measures),
    )


def _needs_own(asked: Collection[str], spillover: Spillover | Literal["none"] | None) -> bool:
    """Whether the file's own matrix is needed; one that nobody needs may be broken."""
    return FILE_COMPENSATION in asked or (DEFAULT_COMPENSATION in asked and spillover is None)


def _walk(
    raw: RawEvents,
    lowered: Lowered,
    asked: Sequence[str],
    measures: Sequence[Measure] = (),
    pictures: Sequence[Picture] = (),
) -> tuple[Mapping[str, int], dict[Measure, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
    """Counts, values of the measures, and membership of the populations asked for."""
    paths = lowered.paths
    membership = np.zeros((len(asked), raw.n_events), dtype=np.bool_)
    member_row = np.full(len(paths), -1, dtype=np.int64)
    for row, path in enumerate(asked):
        member_row[paths.index(path)] = row
    output = _output(lowered, member_row, membership)
    place = {measure: index for index, measure in enumerate(lowered.measures)}
    collected: list[list[NDArray[np.float64]]] = [[] for _ in measures]
    for measured in _blocks(raw, lowered, output):
        for measure, parts in zip(measures, collected, strict=True):
            parts.append(measured[place[measure]].copy())
        for picture in pictures:
            picture.canvas.add([measured[place[measure]] for measure in picture.measures])
    counts = MappingProxyType(dict(zip(paths, output.counts.tolist(), strict=True)))
    values = {
        measure: _transformed(measure, np.concatenate(parts) if parts else np.empty(0))
        for measure, parts in zip(measures, collected, strict=True)
    }
    if len(asked) and "root" in asked:
        membership[asked.index("root")] = True
    return counts, values, dict(zip(asked, membership, strict=True))


def _transformed(measure: Measure, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values if measure.transform is None else apply(measure.transform, values)


def _output(
    lowered: Lowered,
    member_row: walk.Ints | None = None,
    membership: NDArray[np.bool_] | None = None,
) -> walk.Output:
    n = len(lowered.paths)
    return walk.Output(
        counts=np.zeros(n, dtype=np.int64),
        measured=np.empty((len(lowered.measures), 0)),
        n_measured=np.zeros(len(lowered.measures), dtype=np.int64),
        member_row=np.full(n, -1, dtype=np.int64) if member_row is None else member_row,
        membership=np.empty((0, 0), dtype=np.bool_) if membership is None else membership,
    )


def _blocks(
    raw: RawEvents, lowered: Lowered, output: walk.Output
) -> Iterator[list[NDArray[np.float64]]]:
    """Walk the file; of each block the linear values of every measure, valid until the next."""
    scratch = _scratch(lowered.program)
    bits = np.empty(2 * walk.BLOCK, dtype=np.uint32)
    numbers = np.empty(walk.BLOCK, dtype=np.uint32)
    first, seen = 0, 0
    for block in walk_blocks(raw, row_form(raw)):
        rows = len(block)
        if block.ctypes.data != seen:  # the buffer is reused, and so are the views of it
            seen, views = block.ctypes.data, views_of(block, bits, numbers)
        if output.measured.shape[1] < rows:
            output = output._replace(measured=np.empty((len(lowered.measures), rows)))
        output.n_measured[:] = 0
        walk.walk(lowered.program, scratch, views, output, rows, first)
        first += rows
        yield [row[:n] for row, n in zip(output.measured, output.n_measured, strict=True)]


def _scratch(program: walk.Program) -> walk.Scratch:
    n_populations = len(program.kind) + 1
    dimensions = max(1, int(np.diff(program.dim_start).max(initial=1)))
    block = walk.BLOCK
    alive = np.empty((n_populations, block), dtype=np.uint32)
    alive[0] = np.arange(block)
    member = np.zeros((n_populations, block), dtype=np.uint8)
    member[0] = 1
    return walk.Scratch(
        sources=np.empty((len(program.source_column), block)),
        axes=np.empty((len(program.axis_start) - 1, block)),
        divisor=np.empty(block),
        alive=alive,
        n_alive=np.zeros(n_populations, dtype=np.int64),
        member=member,
        gathered=np.empty((dimensions, block)),
        rows=np.empty(block, dtype=np.uint32),
        inside=np.empty(block, dtype=np.bool_),
        doubt=np.empty(block, dtype=np.bool_),
        expansion=empty_expansion(),
    )
