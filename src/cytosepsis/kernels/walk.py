"""The pass over the events: each event walks down the tree of gates until it falls out.

A block of rows small enough to stay in cache is taken through the gates in plan order, parents
first; a gate looks only at the events still alive under its parent, and a column is decoded,
unmixed or transformed only for events whose fate depends on it. The plan is data (`Program`), so
one compiled kernel serves every plan and every layout.

While more than half of a block is alive, gates are tried on all of its rows and populations are
masks; below that they are lists of rows. Neither way asks more of an event than the other: what a
mask leaves out is decided and forgotten.
"""

from __future__ import annotations

import numpy as np

from cytosepsis.kernels import borrowing, inlined
from cytosepsis.kernels.alive import (
    chosen,
    enter_mask,
    enter_rows,
    leave,
    mask_of,
    rows_of,
    turn_over,
)
from cytosepsis.kernels.columns import axis_values, load
from cytosepsis.kernels.decode import FLOAT64_SWAPPED, Rows, Views, seen_as_numbers
from cytosepsis.kernels.program import (
    AND,
    BLOCK,
    MEASURE,
    OR,
    POLYGON,
    RECTANGLE,
    Bools,
    Bytes,
    Floats,
    Ints,
    Output,
    Program,
    Scratch,
    scratch_of,
    unpack,
)
from cytosepsis.kernels.regions import decide, in_ellipse, in_polygon, polygon_sides, sure_band
from cytosepsis.kernels.transforms import NONE, guess_many, transform_many, transform_value


@borrowing
def transformed(program: Program, d: int, value: float) -> float:
    """A value of dimension d on the scale on which its gate was drawn."""
    t = program.dim_transform[d]
    if t == NONE:
        return value
    table = program.tables[program.table_start[t] : program.table_start[t + 1]]
    return transform_value(program.transform_kind[t], program.transform_numbers[t], table, value)


@borrowing
def holds(program: Program, d: int, value: float) -> bool:
    """Whether the transform itself puts a linear value between the limits of dimension d."""
    value = transformed(program, d, value)
    low = program.dim_limits[d, 0]
    # a NaN bound is open; a NaN value is in no interval
    return (value >= low or (np.isnan(low) and not np.isnan(value))) and not (
        value >= program.dim_limits[d, 1]
    )


@inlined
def clear_outside(
    program: Program, scratch: Scratch, step: int, d: int, rows: Rows, n_rows: int, first: bool
) -> None:
    """Clear `inside` of the rows that dimension d surely puts outside; `first` sets it afresh.

    `inside` is by row of the block where most rows are asked about, else by place in `rows`. For a
    rectangle the test is final: what the carried bounds leave in doubt is asked of the transform.
    """
    axis = axis_values(program, scratch, d)
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


@inlined
def form_of(program: Program, step: int) -> Floats:
    """A polygon's box and vertices, or an ellipse's numbers."""
    return program.numbers[program.number_start[step] : program.number_start[step + 1]]


@inlined
def shape(program: Program, scratch: Scratch, step: int, rows: Rows) -> None:
    """Set `inside` to which of the rows lie in a polygon or an ellipse."""
    form = form_of(program, step)
    if program.kind[step] == POLYGON:
        polygon(program, scratch, step, rows, form[:4], form[4:].reshape((-1, 2)))
    else:
        first = program.dim_start[step]
        dimensions = program.dim_start[step + 1] - first
        for d in range(first, first + dimensions):
            gather(program, scratch, d, rows, False)
        in_ellipse(scratch.gathered, len(rows), dimensions, form, scratch.inside)


@inlined
def polygon(
    program: Program, scratch: Scratch, step: int, rows: Rows, box: Floats, vertices: Floats
) -> None:
    """Set `inside` to which of the rows lie in a polygon.

    By rough values on transformed axes; what is too near to an edge for them is transformed.
    """
    n = len(rows)
    first = program.dim_start[step]
    slack_x = gather(program, scratch, first, rows, True)
    slack_y = gather(program, scratch, first + 1, rows, True)
    if program.dim_slot[first] == 1:
        slack_x, slack_y = slack_y, slack_x
    x = scratch.gathered[0]
    y = scratch.gathered[1]
    inside = scratch.inside
    crossings = scratch.crossings
    if not polygon_sides(x, y, n, vertices, box, slack_x, slack_y, inside, crossings):
        return
    for d in range(first, first + 2):
        axis = axis_values(program, scratch, d)
        values = scratch.gathered[program.dim_slot[d]]
        for i in range(n):
            if crossings[i] != 0:
                values[i] = transformed(program, d, axis[rows[i]])
    decide(x, y, n, vertices, box, inside, crossings, scratch.expansion)


@inlined
def bare_polygon(program: Program, scratch: Scratch, step: int, n_rows: int) -> None:
    """Set `inside` to which rows of the block lie in a polygon on bare axes."""
    first = program.dim_start[step]
    x = axis_values(program, scratch, first)
    y = axis_values(program, scratch, first + 1)
    if program.dim_slot[first] == 1:
        x, y = y, x
    form = form_of(program, step)
    in_polygon(
        x,
        y,
        n_rows,
        form[4:].reshape((-1, 2)),
        form[:4],
        scratch.inside,
        scratch.crossings,
        scratch.expansion,
    )


@inlined
def gather(program: Program, scratch: Scratch, d: int, rows: Rows, roughly: bool) -> float:
    """Transformed values of a gate's coordinate for its rows, gathered[coordinate, :n].

    How far they may be off, which is 0 unless `roughly` is enough.
    """
    slack = 0.0
    n = len(rows)
    axis = axis_values(program, scratch, d)
    out = scratch.gathered[program.dim_slot[d]]
    for i in range(n):
        out[i] = axis[rows[i]]
    t = program.dim_transform[d]
    if t != NONE:
        table = program.tables[program.table_start[t] : program.table_start[t + 1]]
        numbers = program.transform_numbers[t]
        kind = program.transform_kind[t]
        if roughly:
            slack = guess_many(kind, numbers, table, out[:n], out[:n])
        else:
            transform_many(kind, numbers, table, out[:n], out[:n])
    return slack


@inlined
def boolean(program: Program, scratch: Scratch, step: int, rows: Rows) -> None:
    """Set `inside` to for which of the rows a combination of memberships holds."""
    conjunction = program.kind[step] == AND
    for i in range(len(rows)):
        scratch.inside[i] = conjunction
    for k in range(program.operand_start[step], program.operand_start[step + 1]):
        member = scratch.member[program.operand_population[k]]
        flip = program.operand_complement[k] != 0
        for i in range(len(rows)):
            belongs = member[rows[i]] != flip
            if conjunction:
                scratch.inside[i] &= belongs
            else:
                scratch.inside[i] |= belongs


@inlined
def region(program: Program, scratch: Scratch, views: Views, step: int, n_rows: int) -> None:
    """Settle the population of a rectangle, polygon or ellipse.

    Dimension by dimension, cheap ones first; a dear one is decoded and unmixed only for what the
    ones before it have left. While that is more than half of the block, all its rows are tried.
    """
    parent = program.parent[step]
    out = scratch.alive[step + 1]
    inside = scratch.inside
    dense = 2 * scratch.n_alive[parent] > n_rows
    mask = scratch.member[parent]
    left = scratch.alive[0, :n_rows]
    if dense:
        mask = mask_of(scratch, parent, n_rows)
    else:
        left = rows_of(scratch, parent, n_rows)
    m = scratch.n_alive[parent]
    untried = True  # whether `inside` says nothing yet
    for d in range(program.dim_start[step], program.dim_start[step + 1]):
        load(program, scratch, views, d, left, n_rows)
        if program.dim_narrows[d]:
            clear_outside(program, scratch, step, d, left, n_rows, untried)
            untried = False
        if program.dim_settles[d]:
            if dense:
                m = leave(mask, n_rows, inside)
                if 2 * m > n_rows:
                    continue
                dense = False
            m = chosen(inside, left, out)
            left = out[:m]
            untried = True
    if program.kind[step] == RECTANGLE:
        if dense:
            enter_mask(scratch, step + 1, inside, n_rows, m)
        else:
            enter_rows(scratch, step + 1, m)
        return
    if dense and untried and program.kind[step] == POLYGON:  # on bare axes: used where they lie
        bare_polygon(program, scratch, step, n_rows)
        enter_mask(scratch, step + 1, inside, n_rows, leave(mask, n_rows, inside))
        return
    if dense:
        left = rows_of(scratch, parent, n_rows) if untried else out[: chosen(inside, left, out)]
    shape(program, scratch, step, left)
    enter_rows(scratch, step + 1, chosen(inside, left, out))


@inlined
def settle(
    program: Program, scratch: Scratch, output: Output, step: int, n_rows: int, first_event: int
) -> None:
    """Count the step's population, and note its membership where asked for."""
    p = step + 1
    output.counts[p] += scratch.n_alive[p]
    asked = output.member_row[p]
    if program.keep[step] or asked >= 0:
        member = mask_of(scratch, p, n_rows)
        if asked >= 0:
            for row in range(n_rows):
                output.membership[asked, first_event + row] = member[row]


@inlined
def measure(
    program: Program, scratch: Scratch, output: Output, step: int, number: int, rows: Rows
) -> None:
    """Hand on the values of a population on one axis."""
    axis = axis_values(program, scratch, program.dim_start[step])
    n = output.n_measured[number]
    out = output.measured[number]
    for i in range(len(rows)):
        out[n + i] = axis[rows[i]]
    output.n_measured[number] = n + len(rows)


@inlined
def walk_block(
    program: Program, scratch: Scratch, views: Views, output: Output, n_rows: int, first_event: int
) -> None:
    """Take one block through all steps; views begin at the block's first row."""
    scratch.n_alive[0] = n_rows  # its rows and memberships never change
    scratch.listed[0] = 1
    scratch.masked[0] = 1
    output.counts[0] += n_rows
    number = 0
    for step in range(len(program.kind)):
        kind = program.kind[step]
        parent = program.parent[step]
        if kind == MEASURE:
            rows = rows_of(scratch, parent, n_rows)
            load(program, scratch, views, program.dim_start[step], rows, n_rows)
            measure(program, scratch, output, step, number, rows)
            number += 1
            continue
        if kind in (AND, OR):
            rows = rows_of(scratch, parent, n_rows)
            boolean(program, scratch, step, rows)
            m = chosen(scratch.inside, rows, scratch.alive[step + 1])
            enter_rows(scratch, step + 1, m)
        else:
            region(program, scratch, views, step, n_rows)
        if program.complement[step]:
            turn_over(scratch, step + 1, parent, n_rows)
        settle(program, scratch, output, step, n_rows, first_event)


@borrowing
def walk(
    ints: Ints,
    floats: Floats,
    space_floats: Floats,
    space_ints: Ints,
    space_rows: Rows,
    space_bools: Bools,
    data: Bytes,
    counts: Ints,
    measured: Floats,
    n_measured: Ints,
    member_row: Ints,
    membership: Bools,
    n_rows: int,
    first_event: int,
) -> None:
    """Take n_rows stored rows (the bytes `data`) through a packed program, block by block.

    `counts` to `membership` are those of `Output`, `space_…` those of `Space`.
    """
    program = unpack(ints, floats)
    scratch = scratch_of(program, space_floats, space_ints, space_rows, space_bools)
    views = seen_as_numbers(data, scratch.bits, scratch.numbers)
    output = Output(counts, measured, n_measured, member_row, membership)
    n_measured[:] = 0
    stride = np.uint64(program.layout[1])
    for first in range(0, n_rows, BLOCK):
        item = np.uint64(first) * stride
        # a swapped double is read as two words
        word = item + item if program.layout[0] == FLOAT64_SWAPPED else item
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
