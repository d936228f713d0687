"""Columns of a block: decoded, scaled and mixed (compensated, unmixed) as gates ask for them."""

from __future__ import annotations

import numpy as np

from cytosepsis.kernels import borrowing, inlined
from cytosepsis.kernels.decode import Rows, Views, decode_all, decode_rows
from cytosepsis.kernels.program import Floats, Program, Scratch


@inlined
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


@inlined
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
