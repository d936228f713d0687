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
from cytosepsis.kernels.decode import FLOAT64_SWAPPED, Rows, Views, decode_all, decode_rows
from cytosepsis.kernels.regions import in_ellipse, in_polygon, sure_band
from cytosepsis.kernels.transforms import NONE, transform_many, transform_value

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
    stride: np.uint64  # items in a row
    # sources: columns of the file that are needed
    source_column: NDArray[np.uint64]
    source_mask: Ints
    source_gain: Floats  # values are divided by it
    source_step: Floats  # and multiplied by it
    # axes: linear combinations of sources (one with weight 1 where not compensated)
    axis_start: Ints
    axis_source: Ints
    axis_weight: Floats
    # a ratio's divisor is combined of the axis's terms from here on; else this is their end
    axis_divisor: Ints
    axis_ratio: Floats  # (n, 5): factor, offset, divisor's offset, least, most (NaN: no bound)
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
    dim_slot: Ints  # which coordinate of its gate it is
    dim_narrows: NDArray[np.bool_]  # whether its band is tested
    dim_settles: NDArray[np.bool_]  # whether what was put outside is left out before the next one
    # what each dimension has to decode and unmix first, for the events still asked about
    load_start: Ints
    load_source: Ints
    mix_start: Ints
    mix_axis: Ints


class Scratch(NamedTuple):
    """Working memory of one walk, reused for every block."""

    sources: Floats  # (n_sources, BLOCK)
    axes: Floats  # (n_axes, BLOCK)
    divisor: Floats  # (BLOCK,)
    alive: Rows  # (n_populations, BLOCK): rows of the block, ascending
    n_alive: Ints  # (n_populations,)
    member: NDArray[np.uint8]  # (n_populations, BLOCK)
    gathered: Floats  # (most dimensions, BLOCK)
    rows: Rows  # (BLOCK,)
    inside: NDArray[np.bool_]
    doubt: NDArray[np.bool_]
    expansion: Floats


class Output(NamedTuple):
    """What a walk fills: counts, values of measured populations, membership where asked for."""

    counts: Ints  # (n_populations,)
    measured: Floats  # (n_measures, ≥ rows of a call)
    n_measured: Ints  # (n_measures,), set to 0 by the caller before each call
    member_row: Ints  # (n_populations,): row of `membership`, or -1
    membership: NDArray[np.bool_]  # (n_asked, n_events)


@kernel
def load(program: Program, scratch: Scratch, views: Views, d: int, rows: Rows, n_rows: int) -> None:
    """Decode and unmix what dimension d needs: for the given rows, or all where most are alive."""
    dense = 2 * len(rows) > n_rows
    for k in range(program.load_start[d], program.load_start[d + 1]):
        s = program.load_source[k]
        out = scratch.sources[s]
        mask = program.source_mask[s]
        column = program.source_column[s]
        if dense:
            decode_all(views, program.code, column, program.stride, n_rows, mask, out)
        else:
            decode_rows(views, program.code, column, program.stride, rows, mask, out)
        scale(out, rows, n_rows, dense, program.source_gain[s], program.source_step[s])
    for k in range(program.mix_start[d], program.mix_start[d + 1]):
        a = program.mix_axis[k]
        first = program.axis_start[a]
        out = scratch.axes[a]
        divisor = program.axis_divisor[a]
        for t in range(first, divisor):
            source = scratch.sources[program.axis_source[t]]
            mix(out, source, rows, n_rows, dense, program.axis_weight[t], t == first)
        for t in range(divisor, program.axis_start[a + 1]):
            source = scratch.sources[program.axis_source[t]]
            weight = program.axis_weight[t]
            mix(scratch.divisor, source, rows, n_rows, dense, weight, t == divisor)
        if divisor < program.axis_start[a + 1]:
            divide(out, scratch.divisor, rows, n_rows, dense, program.axis_ratio[a])


@kernel
def divide(out: Floats, divisor: Floats, rows: Rows, n_rows: int, dense: bool, r: Floats) -> None:
    """Replace out by its bounded ratio to the divisor; by zero: infinite, or NaN."""
    for i in range(n_rows if dense else len(rows)):
        row = np.uint32(i) if dense else rows[i]
        value = r[0] * ((out[row] - r[1]) / (divisor[row] - r[2]))
        if value < r[3]:
            value = r[3]
        elif value > r[4]:
            value = r[4]
        out[row] = value


@kernel
def scale(out: Floats, rows: Rows, n_rows: int, dense: bool, gain: float, factor: float) -> None:
    """Divide by a gain and multiply by a time step where they are not 1."""
    if gain == 1.0 and factor == 1.0:
        return
    if dense:
        for i in range(n_rows):
            out[i] = out[i] / gain * factor
    else:
        for row in rows:
            out[row] = out[row] / gain * factor


@kernel
def mix(
    out: Floats, source: Floats, rows: Rows, n_rows: int, dense: bool, weight: float, first: bool
) -> None:
    """Set (first) or add to out the weighted source."""
    if dense and first:
        for i in range(n_rows):
            out[i] = source[i] * weight
    elif dense:
        for i in range(n_rows):
            out[i] += source[i] * weight
    elif first:
        for row in rows:
            out[row] = source[row] * weight
    else:
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
def holds(program: Program, d: int, value: float) -> bool:
    """Whether the transform itself puts a linear value between the limits of dimension d."""
    value = transformed(program, d, value)
    low = program.dim_limits[d, 0]
    # a NaN bound is open; a NaN value is in no interval
    return (value >= low or (np.isnan(low) and not np.isnan(value))) and not (
        value >= program.dim_limits[d, 1]
    )


@kernel
def clear_outside(
    program: Program, scratch: Scratch, step: int, d: int, rows: Rows, n_rows: int, first: bool
) -> None:
    """Clear `inside` of the rows that dimension d surely puts outside; `first` sets it afresh.

    `inside` is by row of the block where most rows are asked about, else by place in `rows`. For a
    rectangle the test is final: what the carried bounds leave in doubt is asked of the transform.
    """
    axis = scratch.axes[program.dim_axis[d]]
    dense = 2 * len(rows) > n_rows
    values = axis
    n = n_rows
    if not dense:
        values = scratch.gathered[0]
        n = len(rows)
        for i in range(n):
            values[i] = axis[rows[i]]
    if not sure_band(values, n, program.dim_sure[d], first, scratch.inside, scratch.doubt):
        return
    if program.kind[step] != RECTANGLE:
        return
    for i in range(len(rows)):
        place = rows[i] if dense else np.uint32(i)
        if scratch.doubt[place] and scratch.inside[place]:
            scratch.inside[place] = holds(program, d, values[place])


@kernel
def compress(scratch: Scratch, rows: Rows, dense: bool, out: Rows) -> int:
    """Write the rows whose `inside` is set to out, which may be the rows themselves; how many."""
    inside = scratch.inside
    m = 0
    if dense:
        for i in range(len(rows)):
            row = rows[i]
            out[m] = row
            m += inside[row]
    else:
        for i in range(len(rows)):
            row = rows[i]
            out[m] = row
            m += inside[i]
    return m


@kernel
def shape(program: Program, scratch: Scratch, step: int, rows: Rows, n_rows: int, out: Rows) -> int:
    """Write the rows inside a polygon or an ellipse to out; how many."""
    n = len(rows)
    first = program.dim_start[step]
    start = program.number_start[step]
    form = program.numbers[start : program.number_start[step + 1]]
    if n == n_rows and program.kind[step] == POLYGON and not program.dim_narrows[first]:
        # all rows on bare axes: used where they lie
        x = scratch.axes[program.dim_axis[first]]
        y = scratch.axes[program.dim_axis[first + 1]]
        if program.dim_slot[first] == 1:
            x, y = y, x
    else:
        gather(program, scratch, step, rows)
        x = scratch.gathered[0]
        y = scratch.gathered[1]
    if program.kind[step] == POLYGON:
        vertices = form[4:].reshape((-1, 2))
        in_polygon(x, y, n, vertices, form[:4], scratch.inside, scratch.doubt, scratch.expansion)
    else:
        dimensions = program.dim_start[step + 1] - first
        in_ellipse(scratch.gathered, n, dimensions, form, scratch.inside)
    return compress(scratch, rows, False, out)


@kernel
def gather(program: Program, scratch: Scratch, step: int, rows: Rows) -> None:
    """Transformed values of a gate's coordinates for its rows: gathered[coordinate, :n]."""
    n = len(rows)
    for d in range(program.dim_start[step], program.dim_start[step + 1]):
        axis = scratch.axes[program.dim_axis[d]]
        out = scratch.gathered[program.dim_slot[d]]
        for i in range(n):
            out[i] = axis[rows[i]]
        t = program.dim_transform[d]
        if t != NONE:
            table = program.tables[program.table_start[t] : program.table_start[t + 1]]
            numbers = program.transform_numbers[t]
            transform_many(program.transform_kind[t], numbers, table, out[:n], out[:n])


@kernel
def boolean(program: Program, scratch: Scratch, step: int, rows: Rows, out: Rows) -> int:
    """Write the rows for which the combination of memberships holds to out; how many."""
    conjunction = program.kind[step] == AND
    for i in range(len(rows)):
        scratch.inside[i] = conjunction
    for k in range(program.operand_start[step], program.operand_start[step + 1]):
        member = scratch.member[program.operand_population[k]]
        flip = program.operand_complement[k]
        for i in range(len(rows)):
            belongs = (member[rows[i]] != 0) != flip
            if conjunction:
                scratch.inside[i] &= belongs
            else:
                scratch.inside[i] |= belongs
    return compress(scratch, rows, False, out)


@kernel
def region(
    program: Program,
    scratch: Scratch,
    views: Views,
    step: int,
    rows: Rows,
    n_rows: int,
    out: Rows,
) -> int:
    """Write the rows inside a rectangle, polygon or ellipse to out; how many.

    Dimension by dimension, cheap ones first; a dear one is decoded and unmixed only for what the
    ones before it have left.
    """
    left = rows
    first = True
    for d in range(program.dim_start[step], program.dim_start[step + 1]):
        load(program, scratch, views, d, left, n_rows)
        if program.dim_narrows[d]:
            clear_outside(program, scratch, step, d, left, n_rows, first)
            first = False
        if program.dim_settles[d]:
            m = compress(scratch, left, 2 * len(left) > n_rows, out)
            left = out[:m]
            first = True
    if program.kind[step] != RECTANGLE:
        return shape(program, scratch, step, left, n_rows, out)
    return len(left)


@kernel
def settle(program: Program, scratch: Scratch, output: Output, step: int, first_event: int) -> None:
    """Count the step's population, and note its membership where asked for."""
    p = step + 1
    alive = scratch.alive[p]
    m = scratch.n_alive[p]
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
def without(rows: Rows, left: Rows, m: int, out: Rows) -> int:
    """Write the rows that are not among the first m of left (both ascending) to out; how many."""
    n = 0
    k = 0
    for i in range(len(rows)):
        if k < m and left[k] == rows[i]:
            k += 1
        else:
            out[n] = rows[i]
            n += 1
    return n


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
    program: Program, scratch: Scratch, views: Views, output: Output, n_rows: int, first_event: int
) -> None:
    """Take one block through all steps; views begin at the block's first row."""
    scratch.n_alive[0] = n_rows  # its rows and memberships never change
    output.counts[0] += n_rows
    number = 0
    for step in range(len(program.kind)):
        kind = program.kind[step]
        parent = program.parent[step]
        rows = scratch.alive[parent, : scratch.n_alive[parent]]
        if kind == MEASURE:
            load(program, scratch, views, program.dim_start[step], rows, n_rows)
            measure(program, scratch, output, step, number, rows)
            number += 1
            continue
        flip = program.complement[step]
        out = scratch.rows if flip else scratch.alive[step + 1]
        if kind in (AND, OR):
            m = boolean(program, scratch, step, rows, out)
        else:
            m = region(program, scratch, views, step, rows, n_rows, out)
        if flip:
            m = without(rows, out, m, scratch.alive[step + 1])
        scratch.n_alive[step + 1] = m
        settle(program, scratch, output, step, first_event)


@kernel
def walk(
    program: Program, scratch: Scratch, views: Views, output: Output, n_rows: int, first_event: int
) -> None:
    """Take n_rows stored rows (as `views`) through the program, block by block."""
    stride = program.stride
    for first in range(0, n_rows, BLOCK):
        item = np.uint64(first) * stride
        # a swapped double is read as two words
        word = item + item if program.code == FLOAT64_SWAPPED else item
        block = Views(
            views.f32[item:],
            views.f64[item:],
            views.u8[item:],
            views.u16[item:],
            views.u32[word:],
            views.bits32,
            views.float32,
            views.float64,
            views.rows,
        )
        rows = min(BLOCK, n_rows - first)
        walk_block(program, scratch, block, output, rows, first_event + first)
