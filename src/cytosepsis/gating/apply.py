"""Gates applied to the events of a file: counts, values of populations, membership."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cytosepsis.canvas import Canvas
from cytosepsis.compensation import Spillover, spillover_of
from cytosepsis.errors import GatingError
from cytosepsis.fcs import RawEvents
from cytosepsis.gating.adaptive import Resolved, resolve
from cytosepsis.gating.given import GivenGate
from cytosepsis.gating.looking import LookedAt
from cytosepsis.gating.lowering import Lowered, Measure, asked_of, compensations, lower_plan
from cytosepsis.gating.mixing import unmixed_names
from cytosepsis.gating.plan import (
    DEFAULT_COMPENSATION,
    FILE_COMPENSATION,
    Axis,
    GatingPlan,
    axes_of,
)
from cytosepsis.gating.row_form import row_form, walk_blocks
from cytosepsis.gating.sampling import sample_rows
from cytosepsis.kernels.program import Ints, Output, space_for
from cytosepsis.kernels.walk import walk
from cytosepsis.panel import resolve as resolve_names
from cytosepsis.transform_values import apply


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

    __slots__ = ("_lowered", "_raw", "findings", "n_events", "plan", "values")

    def __init__(
        self,
        raw: RawEvents,
        lowered: Lowered,
        n_events: Mapping[str, int],
        values: Mapping[Measure, NDArray[np.float64]],
        resolved: Resolved,
    ) -> None:
        self._raw = raw
        self._lowered = lowered
        self.plan = resolved.plan  # of fixed gates: data-driven ones as they were found here
        self.findings = resolved.findings  # how; empty where the plan has only fixed gates
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
        blocks = walk_blocks(self._raw, row_form(self._raw))
        return _walk(blocks, self._raw.n_events, self._lowered, asked)[2]


def gate(
    raw: RawEvents,
    plan: GatingPlan | Resolved,
    *,
    channels: Mapping[str, str | Sequence[str]] | None = None,
    spillover: Spillover | Literal["none"] | None = None,
    measures: Sequence[Measure] = (),
    pictures: Sequence[Picture] = (),
    controls: Mapping[str, RawEvents] | None = None,
    given: Sequence[GivenGate] = (),
    shown_to: Callable[[NDArray[Any]], None] | None = None,
) -> Populations:
    """Apply a gating plan to a file; data-driven gates are found on its events first.

    Parameters
    ----------
    raw
        The file.
    plan
        The gates; or what `find_gates` made of them on this file.
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
    controls, given
        As for `find_gates`; of no use beside what that has found.
    shown_to
        Called with each block of rows before it is walked, to look at it and not to keep it: for
        what would else read the file again.

    Raises
    ------
    ChannelError, CompensationError, GatingError, FcsError

    """
    resolved = plan if isinstance(plan, Resolved) else None
    if resolved is None:
        assert isinstance(plan, GatingPlan)
        resolved = find_gates(
            raw, plan, channels=channels, spillover=spillover, controls=controls, given=given
        )
    shown = (measure for picture in pictures for measure in picture.measures)
    every = tuple(dict.fromkeys((*measures, *shown)))
    lowered = _Tube(raw, channels, spillover).lowered(resolved.plan, every)
    blocks = walk_blocks(raw, row_form(raw))
    if shown_to is not None:
        blocks = _shown(blocks, shown_to)
    counts, values, _ = _walk(blocks, raw.n_events, lowered, (), measures, pictures)
    return Populations(raw, lowered, counts, values, resolved)


def find_gates(
    raw: RawEvents,
    plan: GatingPlan,
    *,
    channels: Mapping[str, str | Sequence[str]] | None = None,
    spillover: Spillover | Literal["none"] | None = None,
    controls: Mapping[str, RawEvents] | None = None,
    given: Sequence[GivenGate] = (),
) -> Resolved:
    """Find a plan's data-driven gates on a file's events; the plan that is returned has none.

    Parameters
    ----------
    raw, plan, channels, spillover
        As for `gate`.
    controls
        The sample's control tubes by role (`fmo`, `isotype`, …), for thresholds from a control.
    given
        Gates of this sample that a reviewer has placed; they stand instead of the plan's.

    Raises
    ------
    ChannelError, CompensationError, GatingError, FcsError

    """
    if not (plan.data_driven or given):
        return Resolved(plan, ())
    tube = _Tube(raw, channels, spillover)
    tube.names(plan, ())  # whatever is missing is named at once
    others = {
        role: LookedAt(_Tube(control, channels, spillover).values, plan)
        for role, control in (controls or {}).items()
    }
    looked_at = LookedAt(tube.values, plan, ahead=[a for g in plan for a in axes_of(g)])
    return resolve(plan, looked_at, controls=others, given=given)


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
    axis says. Nothing of the file's size is held, so the caller decides what to keep. The gates are
    fixed ones: of data-driven ones give the plan as they were found, `gate(…).plan`.

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
    leading = plan.leading_to(path)
    if leading.data_driven:
        raise GatingError(f"{path} depends on gates that are found in each sample: find them first")
    lowered = _Tube(raw, channels, spillover).lowered(leading, measures)
    blocks = walk_blocks(raw, row_form(raw))
    for measured in _measured(blocks, lowered, _output(lowered)):
        yield np.array(
            [
                _transformed(measure, values)
                for measure, values in zip(measures, measured, strict=True)
            ]
        )


class _Tube:
    """A file with the names and the matrix by which it is gated."""

    def __init__(
        self,
        raw: RawEvents,
        channels: Mapping[str, str | Sequence[str]] | None,
        spillover: Spillover | Literal["none"] | None,
    ) -> None:
        self.raw, self.spillover = raw, spillover
        self.roles = {
            role: (names,) if isinstance(names, str) else tuple(names)
            for role, names in (channels or {}).items()
        }
        self._given = spillover if isinstance(spillover, Spillover) else None
        self._rows: NDArray[Any] | None = None

    def names(
        self, plan: GatingPlan, measures: Sequence[Measure]
    ) -> tuple[Mapping[str, int], Mapping[tuple[str, str], str]]:
        """Column of every channel that is asked for, and the fluorochromes that some mean."""
        raw = self.raw
        asked = asked_of(plan, measures)
        brought = {DEFAULT_COMPENSATION: self._given, **dict(plan.spillovers)}
        unmixed = unmixed_names(asked, brought, self.roles, raw.pnn, raw.pns)
        wanted = dict.fromkeys(channel for channel, name in asked if (channel, name) not in unmixed)
        return resolve_names(self.roles, raw.pnn, raw.pns, wanted=wanted), unmixed

    def lowered(self, plan: GatingPlan, measures: Sequence[Measure]) -> Lowered:
        """Lower a plan of fixed gates for this file."""
        columns, unmixed = self.names(plan, measures)
        form = row_form(self.raw)
        used = compensations(plan, form, columns, measures)
        needed = _needs_own(used, self.spillover)
        own = spillover_of(self.raw.keywords) if needed else None
        return lower_plan(
            plan,
            form,
            tuple(columns.items()),
            spillover=own if self.spillover is None else self._given,
            own=own,
            unmixed=tuple(unmixed.items()),
            measures=tuple(measures),
        )

    def values(
        self, plan: GatingPlan, measures: Sequence[Measure]
    ) -> Mapping[Measure, NDArray[np.float64]]:
        """Values of populations among the events on which gates are found."""
        if self._rows is None:
            self._rows = sample_rows(self.raw, row_form(self.raw))
        rows = self._rows
        blocks = [rows] if len(rows) else []
        return _walk(blocks, len(rows), self.lowered(plan, measures), (), measures)[1]


def _shown(
    blocks: Iterable[NDArray[Any]], to: Callable[[NDArray[Any]], None]
) -> Iterator[NDArray[Any]]:
    for block in blocks:
        to(block)
        yield block


def _needs_own(asked: Collection[str], spillover: Spillover | Literal["none"] | None) -> bool:
    """Whether the file's own matrix is needed; one that nobody needs may be broken."""
    return FILE_COMPENSATION in asked or (DEFAULT_COMPENSATION in asked and spillover is None)


def _walk(
    blocks: Iterable[NDArray[Any]],
    n_events: int,
    lowered: Lowered,
    asked: Sequence[str],
    measures: Sequence[Measure] = (),
    pictures: Sequence[Picture] = (),
) -> tuple[Mapping[str, int], dict[Measure, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
    """Counts, values of the measures, and membership of the populations asked for."""
    paths = lowered.paths
    membership = np.zeros((len(asked), n_events), dtype=np.bool_)
    member_row = np.full(len(paths), -1, dtype=np.int64)
    for row, path in enumerate(asked):
        member_row[paths.index(path)] = row
    output = _output(lowered, member_row, membership)
    place = {measure: index for index, measure in enumerate(lowered.measures)}
    collected: list[list[NDArray[np.float64]]] = [[] for _ in measures]
    for measured in _measured(blocks, lowered, output):
        for measure, parts in zip(measures, collected, strict=True):
            parts.append(measured[place[measure]].copy())
        for picture in pictures:
            picture.canvas.add([measured[place[measure]] for measure in picture.measures])
    counts = MappingProxyType(dict(zip(paths, output.counts.tolist(), strict=True)))
    values = {}
    for measure, parts in zip(measures, collected, strict=True):
        values[measure] = _transformed(measure, _joined(parts))
        parts.clear()  # so that of a large population only one measure is held twice
    if len(asked) and "root" in asked:
        membership[asked.index("root")] = True
    return counts, values, dict(zip(asked, membership, strict=True))


def _joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0)


def _transformed(measure: Measure, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values if measure.transform is None else apply(measure.transform, values)


def _output(
    lowered: Lowered,
    member_row: Ints | None = None,
    membership: NDArray[np.bool_] | None = None,
) -> Output:
    n = len(lowered.paths)
    return Output(
        counts=np.zeros(n, dtype=np.int64),
        measured=np.empty((len(lowered.measures), 0)),
        n_measured=np.zeros(len(lowered.measures), dtype=np.int64),
        member_row=np.full(n, -1, dtype=np.int64) if member_row is None else member_row,
        membership=np.empty((0, 0), dtype=np.bool_) if membership is None else membership,
    )


def _measured(
    blocks: Iterable[NDArray[Any]], lowered: Lowered, output: Output
) -> Iterator[list[NDArray[np.float64]]]:
    """Walk blocks of rows; of each the linear values of every measure, valid until the next."""
    ints, floats = lowered.packed
    space = space_for(lowered.program)
    first = 0
    for block in blocks:
        rows = len(block)
        if output.measured.shape[1] < rows:
            output = output._replace(measured=np.empty((len(lowered.measures), rows)))
        data = block.reshape(-1).view(np.uint8)
        walk(
            ints,
            floats,
            space.floats,
            space.ints,
            space.rows,
            space.bools,
            data,
            output.counts,
            output.measured,
            output.n_measured,
            output.member_row,
            output.membership,
            rows,
            first,
        )
        first += rows
        yield [row[:n] for row, n in zip(output.measured, output.n_measured, strict=True)]
