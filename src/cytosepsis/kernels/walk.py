"""The pass over the events: each event walks down the tree of gates until it falls out.

A block of rows small enough to stay in cache is taken through the gates in plan order, parents
first; a gate looks only at the events still alive under its parent, and a column is decoded,
unmixed or transformed only for events whose fate depends on it. The plan is data (`Program`), so
one compiled kernel serves every plan and every layout.
"""

from __future__ import annotations

import numpy as np

from cytosepsis.kernels import borrowing, viewing
from cytosepsis.kernels.decode import (
    FLOAT64_SWAPPED,
    Rows,
    Views,
    decode_all,
    decode_rows,
    seen_as_numbers,
)
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
from cytosepsis.kernels.regions import in_ellipse, in_polygon, sure_band
from cytosepsis.kernels.transforms import NONE, transform_many, transform_value


@borrowing
def load(program: Program, scratch: Scratch, views: Views, d: int, rows: Rows, n_rows: int) -> None:
    """Decode and unmix what dimension d needs: for the given rows, or all where most are alive."""
    dense = 2 * len(rows) > n_rows
    code = program.layout[0]
    stride = np.uint64(program.layout[1])
    for k in range(program.load_start[d], program.load_start[d + 1]):
        s = program.load_source[k]
        out = scratch.values[s]
        mask = program.source_mask[s]
        column = np.uint64(program.source_column[s])
        if dense:
            decode_all(views, code, column, stride, n_rows, mask, out)
        else:
            decode_rows(views, code, column, stride, rows, mask, out)
        scale(out, rows, n_rows, dense, program.source_gain[s], program.source_step[s])
    for k in range(program.mix_start[d], program.mix_start[d + 1]):
        a = program.mix_axis[k]
        first = program.axis_start[a]
        out = scratch.values[program.axis_value[a]]
        divisor = program.axis_divisor[a]
        for t in range(first, divisor):
            source = scratch.values[program.axis_source[t]]
            mix(out, source, rows, n_rows, dense, program.axis_weight[t], t == first)
        for t in range(divisor, program.axis_start[a + 1]):
            source = scratch.values[program.axis_source[t]]
            weight = program.axis_weight[t]
            mix(scratch.divisor, source, rows, n_rows, dense, weight, t == divisor)
        if divisor < program.axis_start[a + 1]:
            divide(out, scratch.divisor, rows, n_rows, dense, program.axis_ratio[a])


@viewing
def axis_values(program: Program, scratch: Scratch, d: int) -> Floats:
    """The values of dimension d's axis in the block, as far as they were loaded."""
    return scratch.values[program.axis_value[program.dim_axis[d]]]


@borrowing
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


@borrowing
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


@borrowing
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


@borrowing
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


@borrowing
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


@borrowing
def shape(program: Program, scratch: Scratch, step: int, rows: Rows, n_rows: int, out: Rows) -> int:
    """Write the rows inside a polygon or an ellipse to out; how many."""
    n = len(rows)
    first = program.dim_start[step]
    start = program.number_start[step]
    form = program.numbers[start : program.number_start[step + 1]]
    if n == n_rows and program.kind[step] == POLYGON and not program.dim_narrows[first]:
        # all rows on bare axes: used where they lie
        x = axis_values(program, scratch, first)
        y = axis_values(program, scratch, first + 1)
        if program.dim_slot[first] == 1:
            x, y = y, x
    else:
        gather(program, scratch, step, rows)
        x = scratch.gathered[0]
        y = scratch.gathered[1]
    if program.kind[step] == POLYGON:
        vertices = form[4:].reshape((-1, 2))
        inside = scratch.inside
        in_polygon(x, y, n, vertices, form[:4], inside, scratch.crossings, scratch.expansion)
    else:
        dimensions = program.dim_start[step + 1] - first
        in_ellipse(scratch.gathered, n, dimensions, form, scratch.inside)
    return compress(scratch, rows, False, out)


@borrowing
def gather(program: Program, scratch: Scratch, step: int, rows: Rows) -> None:
    """Transformed values of a gate's coordinates for its rows: gathered[coordinate, :n]."""
    n = len(rows)
    for d in range(program.dim_start[step], program.dim_start[step + 1]):
        axis = axis_values(program, scratch, d)
        out = scratch.gathered[program.dim_slot[d]]
        for i in range(n):
            out[i] = axis[rows[i]]
        t = program.dim_transform[d]
        if t != NONE:
            table = program.tables[program.table_start[t] : program.table_start[t + 1]]
            numbers = program.transform_numbers[t]
            transform_many(program.transform_kind[t], numbers, table, out[:n], out[:n])


@borrowing
def boolean(program: Program, scratch: Scratch, step: int, rows: Rows, out: Rows) -> int:
    """Write the rows for which the combination of memberships holds to out; how many."""
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
    return compress(scratch, rows, False, out)


@borrowing
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


@borrowing
def settle(program: Program, scratch: Scratch, output: Output, step: int, first_event: int) -> None:
    """Count the step's population, and note its membership where asked for."""
    p = step + 1
    alive = scratch.alive[p]
    m = scratch.n_alive[p]
    output.counts[p] += m
    if program.keep[step]:
        member = scratch.member[p]
        member[:] = False
        for i in range(m):
            member[alive[i]] = True
    asked = output.member_row[p]
    if asked >= 0:
        for i in range(m):
            output.membership[asked, first_event + alive[i]] = True


@borrowing
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


@borrowing
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


@borrowing
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
