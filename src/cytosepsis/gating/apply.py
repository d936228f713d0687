"""Gates applied to the events of a file: counts, values of populations, membership."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cytosepsis.compensation import Spillover, spillover_of
from cytosepsis.errors import GatingError
from cytosepsis.fcs import RawEvents
from cytosepsis.gating.adaptive import Events, GivenGate, Resolved, resolve
from cytosepsis.gating.lowering import Lowered, Measure, asked_of, compensations, lower_plan
from cytosepsis.gating.mixing import unmixed_names
from cytosepsis.gating.plan import DEFAULT_COMPENSATION, FILE_COMPENSATION, GatingPlan
from cytosepsis.gating.row_form import row_form, walk_blocks
from cytosepsis.gating.sampling import sample_rows
from cytosepsis.kernels import walk
from cytosepsis.kernels.decode import Views
from cytosepsis.kernels.regions import empty_expansion
from cytosepsis.panel import resolve as resolve_names


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
    plan: GatingPlan,
    *,
    channels: Mapping[str, str | Sequence[str]] | None = None,
    spillover: Spillover | Literal["none"] | None = None,
    measures: Sequence[Measure] = (),
    controls: Mapping[str, RawEvents] | None = None,
    given: Sequence[GivenGate] = (),
) -> Populations:
    """Apply a gating plan to a file; data-driven gates are found on its events first.

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
        Populations and channels whose linear values are collected in `values`.
    controls
        The sample's control tubes by role (`fmo`, `isotype`, …), for thresholds from a control.
    given
        Gates of this sample that a reviewer has placed; they stand instead of the plan's.

    Raises
    ------
    ChannelError, CompensationError, GatingError, FcsError

    """
    roles = {
        role: (names,) if isinstance(names, str) else tuple(names)
        for role, names in (channels or {}).items()
    }
    tube = _Tube(raw, roles, spillover)
    resolved = Resolved(plan, ())
    if plan.data_driven or given:
        tube.columns(plan, measures)  # whatever is missing is named at once
        tubes = {role: _Tube(control, roles, spillover) for role, control in (controls or {}).items()}
        resolved = resolve(plan, tube.values, controls=_looks(tubes), given=given)
    lowered = tube.lowered(resolved.plan, measures)
    counts, values, _ = _walk(walk_blocks(raw, row_form(raw)), raw.n_events, lowered, ())
    return Populations(raw, lowered, counts, values, resolved)


def _looks(tubes: Mapping[str, _Tube]) -> dict[str, Events]:
    return {role: tube.values for role, tube in tubes.items()}


class _Tube:
    """A file with the names and the matrix by which it is gated."""

    def __init__(
        self,
        raw: RawEvents,
        roles: Mapping[str, tuple[str, ...]],
        spillover: Spillover | Literal["none"] | None,
    ) -> None:
        self.raw, self.roles, self.spillover = raw, roles, spillover
        self._rows: NDArray[Any] | None = None

    def columns(
        self, plan: GatingPlan, measures: Sequence[Measure]
    ) -> tuple[dict[str, int], dict[tuple[str, str], str]]:
        """Column of every channel that is asked for, and the fluorochromes that some mean."""
        raw = self.raw
        asked = asked_of(plan, measures)
        given = self.spillover if isinstance(self.spillover, Spillover) else None
        brought = {DEFAULT_COMPENSATION: given, **dict(plan.spillovers)}
        unmixed = unmixed_names(asked, brought, self.roles, raw.pnn, raw.pns)
        wanted = dict.fromkeys(channel for channel, name in asked if (channel, name) not in unmixed)
        return dict(resolve_names(self.roles, raw.pnn, raw.pns, wanted=wanted)), dict(unmixed)

    def lowered(self, plan: GatingPlan, measures: Sequence[Measure]) -> Lowered:
        """Lower a plan of fixed gates for this file."""
        columns, unmixed = self.columns(plan, measures)
        spillover, form = self.spillover, row_form(self.raw)
        given = spillover if isinstance(spillover, Spillover) else None
        used = compensations(plan, form, columns, measures)
        own = spillover_of(self.raw.keywords) if _needs_own(used, spillover) else None
        return lower_plan(
            plan,
            form,
            tuple(columns.items()),
            spillover=own if spillover is None else given,
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
        return _walk([rows] if len(rows) else [], len(rows), self.lowered(plan, measures), ())[1]


def _needs_own(asked: Collection[str], spillover: Spillover | Literal["none"] | None) -> bool:
    """Whether the file's own matrix is needed; one that nobody needs may be broken."""
    return FILE_COMPENSATION in asked or (DEFAULT_COMPENSATION in asked and spillover is None)


def _walk(
    blocks: Iterable[NDArray[Any]], n_events: int, lowered: Lowered, asked: Sequence[str]
) -> tuple[Mapping[str, int], dict[Measure, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
    program, paths = lowered.program, lowered.paths
    membership = np.zeros((len(asked), n_events), dtype=np.bool_)
    member_row = np.full(len(paths), -1, dtype=np.int64)
    for row, path in enumerate(asked):
        member_row[paths.index(path)] = row
    output = walk.Output(
        counts=np.zeros(len(paths), dtype=np.int64),
        measured=np.empty((len(lowered.measures), 0)),
        n_measured=np.zeros(len(lowered.measures), dtype=np.int64),
        member_row=member_row,
        membership=membership,
    )
    collected: list[list[NDArray[np.float64]]] = [[] for _ in lowered.measures]
    scratch = _scratch(program)
    bits = np.empty(2 * walk.BLOCK, dtype=np.uint32)
    numbers = np.empty(walk.BLOCK, dtype=np.uint32)
    first, seen = 0, 0
    for block in blocks:
        rows = len(block)
        if block.ctypes.data != seen:  # the buffer is reused, and so are the views of it
            seen, views = block.ctypes.data, _views(block, bits, numbers)
        if output.measured.shape[1] < rows:
            output = output._replace(measured=np.empty((len(lowered.measures), rows)))
        output.n_measured[:] = 0
        walk.walk(program, scratch, views, output, rows, first)
        for number, parts in enumerate(collected):
            parts.append(output.measured[number, : output.n_measured[number]].copy())
        first += rows
    counts = MappingProxyType(dict(zip(paths, output.counts.tolist(), strict=True)))
    values = {
        measure: np.concatenate(parts) if parts else np.empty(0)
        for measure, parts in zip(lowered.measures, collected, strict=True)
    }
    if len(asked) and "root" in asked:
        membership[asked.index("root")] = True
    return counts, values, dict(zip(asked, membership, strict=True))


def _views(block: NDArray[Any], bits: NDArray[np.uint32], rows: NDArray[np.uint32]) -> Views:
    flat = block.reshape(-1).view(np.uint8)

    def seen_as(kind: type[Any]) -> NDArray[Any]:
        size = np.dtype(kind).itemsize
        return flat[: len(flat) // size * size].view(kind)

    return Views(
        f32=seen_as(np.float32),
        f64=seen_as(np.float64),
        u8=flat,
        u16=seen_as(np.uint16),
        u32=seen_as(np.uint32),
        bits32=bits,
        float32=bits.view(np.float32),
        float64=bits.view(np.float64),
        rows=rows,
    )


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
