"""The pass over the events: each event walks down the tree of gates until it falls out.

A block of rows small enough to stay in cache is taken through the gates in plan order, parents
first; a gate looks only at the events still alive under its parent, and a column is decoded,
unmixed or transformed only for events whose fate depends on it. The plan is data (`Program`), so
one compiled kernel serves every plan and every layout.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import kernel
from cytosepsis.kernels.decode import Rows, Views, decode_rows
from cytosepsis.kernels.regions import in_ellipse, in_polygon, sure_band
from cytosepsis.kernels.transforms import NONE, transform_value

BLOCK = 1024  # rows; a dozen float64 columns of them stay in a 64-256 KiB cache

# Kinds of steps. A measuring step hands on a population's values on one axis.
RECTANGLE = 0
POLYGON = 1
ELLIPSE = 2
AND = 3
OR = 4
MEASURE = 5

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Program(NamedTuple):
    """A plan, lowered for one file. Populations are numbered, root 0; step s makes number s + 1.

    Ragged lists are flat arrays with `_start` offsets, one more than there are owners.
    """

    code: int  # layout, see `decode`
    stride: int  # items in a row
    # sources: columns of the file that are needed
    source_column: Ints
    source_mask: Ints
    source_gain: Floats  # values are divided by it
    source_step: Floats  # and multiplied by it
    # axes: linear combinations of sources (one with weight 1 where not compensated)
    axis_start: Ints
    axis_source: Ints
    axis_weight: Floats
    # transforms
    transform_kind: Ints
    transform_numbers: Floats  # (n, 8)
    table_start: Ints
    tables: Floats
    # steps
    kind: Ints
    parent: Ints
    complement: NDArray[np.bool_]
    keep: NDArray[np.bool_]  # whether membership is asked of by later steps
    dim_start: Ints
    dim_axis: Ints
    dim_transform: Ints  # -1: none
    dim_limits: Floats  # (n, 2): minimum ≤ v < maximum on the transformed scale; NaN: open
    dim_sure: Floats  # (n, 4): see `regions.sure_band`
    number_start: Ints
    numbers: Floats  # vertices (V, 2) and box, or an ellipse's numbers
    operand_start: Ints
    operand_population: Ints
    operand_complement: NDArray[np.bool_]
    # what each step has to decode and unmix first, for its parent's events
    load_start: Ints
    load_source: Ints
    mix_start: Ints
    mix_axis: Ints


class Scratch(NamedTuple):
    """Working memory of one walk, reused for every block."""

    sources: Floats  # (n_sources, BLOCK)
    axes: Floats  # (n_axes, BLOCK)
    alive: NDArray[np.int32]  # (n_populations, BLOCK): rows of the block, ascending
    n_alive: Ints  # (n_populations,)
    member: NDArray[np.uint8]  # (n_populations, BLOCK)
    gathered: Floats  # (most dimensions, BLOCK)
    picked: Floats  # (most dimensions, BLOCK)
    rows: NDArray[np.int32]  # (BLOCK,)
    inside: NDArray[np.bool_]
    doubt: NDArray[np.bool_]
    inside_picked: NDArray[np.bool_]
    doubt_picked: NDArray[np.bool_]
    expansion: Floats


class Output(NamedTuple):
    """What a walk fills: counts, values of measured populations, membership where asked for."""

    counts: Ints  # (n_populations,)
    measured: Floats  # (n_measures, ≥ rows of a call)
    n_measured: Ints  # (n_measures,), set to 0 by the caller before each call
    member_row: Ints  # (n_populations,): row of `membership`, or -1
    membership: NDArray[np.bool_]  # (n_asked, n_events)


@kernel
def load(program: Program, scratch: Scratch, views: Views, step: int, rows: Rows) -> None:
    """Decode and unmix what a step needs, for the given rows of the block."""
    for k in range(program.load_start[step], program.load_start[step + 1]):
        s = program.load_source[k]
        column = program.source_column[s]
        out = scratch.sources[s]
        decode_rows(views, program.code, column, program.stride, rows, program.source_mask[s], out)
        gain = program.source_gain[s]
        if gain != 1.0:
            for row in rows:
                out[row] /= gain
        factor = program.source_step[s]
        if factor != 1.0:
            for row in rows:
                out[row] *= factor
    for k in range(program.mix_start[step], program.mix_start[step + 1]):
        a = program.mix_axis[k]
        first = program.axis_start[a]
        out = scratch.axes[a]
        source = scratch.sources[program.axis_source[first]]
        weight = program.axis_weight[first]
        for row in rows:
            out[row] = source[row] * weight
        for t in range(first + 1, program.axis_start[a + 1]):
            source = scratch.sources[program.axis_source[t]]
            weight = program.axis_weight[t]
            for row in rows:
                out[row] += source[row] * weight


@kernel
def transformed(program: Program, d: int, value: float) -> float:
    """A value of dimension d on the scale on which its gate was drawn."""
    t = program.dim_transform[d]
    if t == NONE:
        return value
    table = program.tables[program.table_start[t] : program.table_start[t + 1]]
    return transform_value(program.transform_kind[t], program.transform_numbers[t], table, value)


@kernel
def gather(program: Program, scratch: Scratch, step: int, rows: Rows) -> None:
    """Values of a step's dimensions for its rows, side by side: gathered[dimension, :n]."""
    first = program.dim_start[step]
    for d in range(first, program.dim_start[step + 1]):
        axis = scratch.axes[program.dim_axis[d]]
        out = scratch.gathered[d - first]
        for i in range(len(rows)):
            out[i] = axis[rows[i]]


@kernel
def bands(program: Program, scratch: Scratch, step: int, n: int) -> None:
    """Interval tests of all dimensions: inside[:n] where not surely out, doubt where not sure."""
    first = program.dim_start[step]
    for i in range(n):
        scratch.inside[i] = True
        scratch.doubt[i] = False
    for d in range(first, program.dim_start[step + 1]):
        sure_band(
            scratch.gathered[d - first], n, program.dim_sure[d], scratch.inside, scratch.doubt
        )


@kernel
def rectangle(program: Program, scratch: Scratch, step: int, n: int) -> None:
    """Fill inside[:n]: by the carried bounds, and close to them by the transform itself."""
    first = program.dim_start[step]
    last = program.dim_start[step + 1]
    bands(program, scratch, step, n)
    for i in range(n):
        if not (scratch.doubt[i] and scratch.inside[i]):
            continue
        for d in range(first, last):
            value = transformed(program, d, scratch.gathered[d - first, i])
            low = program.dim_limits[d, 0]
            high = program.dim_limits[d, 1]
            # a NaN bound is open; a NaN value is in no interval
            if not (value >= low or np.isnan(low)) or value >= high or np.isnan(value):
                scratch.inside[i] = False


@kernel
def pick(program: Program, scratch: Scratch, step: int, n: int) -> int:
    """Transform the dimensions of the events not surely out: picked[dimension, :m]; m."""
    first = program.dim_start[step]
    last = program.dim_start[step + 1]
    bands(program, scratch, step, n)
    m = 0
    for i in range(n):
        if scratch.inside[i]:
            scratch.rows[m] = i
            m += 1
    for d in range(first, last):
        source = scratch.gathered[d - first]
        out = scratch.picked[d - first]
        for j in range(m):
            out[j] = transformed(program, d, source[scratch.rows[j]])
    return m


@kernel
def shape(program: Program, scratch: Scratch, step: int, n: int) -> None:
    """Fill inside[:n] for a polygon or an ellipse."""
    m = pick(program, scratch, step, n)
    start = program.number_start[step]
    numbers = program.numbers[start : program.number_start[step + 1]]
    if program.kind[step] == POLYGON:
        vertices = numbers[4:].reshape((-1, 2))
        in_polygon(
            scratch.picked[0],
            scratch.picked[1],
            m,
            vertices,
            numbers[:4],
            scratch.inside_picked,
            scratch.doubt_picked,
            scratch.expansion,
        )
    else:
        dimensions = program.dim_start[step + 1] - program.dim_start[step]
        in_ellipse(scratch.picked, m, dimensions, numbers, scratch.inside_picked)
    for j in range(m):
        scratch.inside[scratch.rows[j]] = scratch.inside_picked[j]


@kernel
def boolean(program: Program, scratch: Scratch, step: int, rows: Rows) -> None:
    """Fill inside[:n] from the membership of other populations."""
    conjunction = program.kind[step] == AND
    for i in range(len(rows)):
        scratch.inside[i] = conjunction
    for k in range(program.operand_start[step], program.operand_start[step + 1]):
        member = scratch.member[program.operand_population[k]]
        flip = program.operand_complement[k]
        for i in range(len(rows)):
            holds = (member[rows[i]] != 0) != flip
            if conjunction:
                scratch.inside[i] &= holds
            else:
                scratch.inside[i] |= holds


@kernel
def survive(
    program: Program, scratch: Scratch, output: Output, step: int, rows: Rows, first_event: int
) -> None:
    """Turn inside[:n] into the step's population: alive rows, count, membership."""
    p = step + 1
    flip = program.complement[step]
    alive = scratch.alive[p]
    m = 0
    for i in range(len(rows)):
        alive[m] = rows[i]
        m += scratch.inside[i] != flip
    scratch.n_alive[p] = m
    output.counts[p] += m
    if program.keep[step]:
        member = scratch.member[p]
        member[:] = 0
        for i in range(m):
            member[alive[i]] = 1
    asked = output.member_row[p]
    if asked >= 0:
        for i in range(m):
            output.membership[asked, first_event + alive[i]] = True


@kernel
def measure(
    program: Program, scratch: Scratch, output: Output, step: int, number: int, rows: Rows
) -> None:
    """Hand on the values of a population on one axis."""
    axis = scratch.axes[program.dim_axis[program.dim_start[step]]]
    n = output.n_measured[number]
    out = output.measured[number]
    for i in range(len(rows)):
        out[n + i] = axis[rows[i]]
    output.n_measured[number] = n + len(rows)


@kernel
def walk_block(
    program: Program,
    scratch: Scratch,
    views: Views,
    output: Output,
    n_rows: int,
    first_event: int,
) -> None:
    """Take one block through all steps; views begin at the block's first row."""
    for row in range(n_rows):
        scratch.alive[0, row] = row
        scratch.member[0, row] = 1
    scratch.n_alive[0] = n_rows
    output.counts[0] += n_rows
    number = 0
    for step in range(len(program.kind)):
        kind = program.kind[step]
        parent = program.parent[step]
        rows = scratch.alive[parent, : scratch.n_alive[parent]]
        load(program, scratch, views, step, rows)
        if kind == MEASURE:
            measure(program, scratch, output, step, number, rows)
            number += 1
            continue
        if kind == AND or kind == OR:  # noqa: PLR1714  (membership tests compile badly)
            boolean(program, scratch, step, rows)
        else:
            gather(program, scratch, step, rows)
            if kind == RECTANGLE:
                rectangle(program, scratch, step, len(rows))
            else:
                shape(program, scratch, step, len(rows))
        survive(program, scratch, output, step, rows, first_event)


@kernel
def walk(
    program: Program,
    scratch: Scratch,
    views: Views,
    output: Output,
    n_rows: int,
    first_event: int,
) -> None:
    """Take n_rows stored rows (as `views`) through the program, block by block."""
    stride = program.stride
    for first in range(0, n_rows, BLOCK):
        item = first * stride
        block = Views(
            views.f32[item:],
            views.f64[item:],
            views.u8[item:],
            views.u16[item:],
            views.u32[item:],
            views.bits32,
            views.float32,
            views.float64,
        )
        rows = min(BLOCK, n_rows - first)
        walk_block(program, scratch, block, output, rows, first_event + first)
