"""Who is alive in a block: populations as masks or as lists of rows, each made from the other.

A population is entered in one form; the other is made when it is first asked for. Lists ascend.
"""

from __future__ import annotations

import numpy as np

from cytosepsis.kernels import borrowing, inlined
from cytosepsis.kernels.decode import Rows
from cytosepsis.kernels.program import Bools, Scratch


@borrowing
def chosen(inside: Bools, rows: Rows, out: Rows) -> int:
    """Write the rows whose place is set in inside to out, or to the rows themselves; how many."""
    m = 0
    for i in range(len(rows)):
        row = rows[i]
        out[m] = row
        m += inside[i]
    return m


@borrowing
def leave(mask: Bools, n_rows: int, inside: Bools) -> int:
    """Clear `inside` where the mask is not set; how many rows are left in it."""
    kept = mask.view(np.uint8)
    left = inside.view(np.uint8)
    for row in range(n_rows):
        left[row] = left[row] & kept[row]
    m = 0
    for row in range(n_rows):
        m += inside[row]
    return m


@inlined
def rows_of(scratch: Scratch, p: int, n_rows: int) -> Rows:
    """The rows of a population, listed when they are first asked for."""
    if not scratch.listed[p]:
        chosen(scratch.member[p], scratch.alive[0, :n_rows], scratch.alive[p])
        scratch.listed[p] = 1
    return scratch.alive[p, : scratch.n_alive[p]]


@borrowing
def mark(rows: Rows, n_rows: int, mask: Bools) -> None:
    """Set the mask of a block to the given rows."""
    for row in range(n_rows):
        mask[row] = False
    for row in rows:
        mask[row] = True


@inlined
def mask_of(scratch: Scratch, p: int, n_rows: int) -> Bools:
    """The mask of a population, made when it is first asked for."""
    if not scratch.masked[p]:
        mark(scratch.alive[p, : scratch.n_alive[p]], n_rows, scratch.member[p])
        scratch.masked[p] = 1
    return scratch.member[p]


@inlined
def enter_rows(scratch: Scratch, p: int, m: int) -> None:
    """Note that a population is the first m of its list of rows."""
    scratch.n_alive[p] = m
    scratch.listed[p] = 1
    scratch.masked[p] = 0


@inlined
def enter_mask(scratch: Scratch, p: int, inside: Bools, n_rows: int, m: int) -> None:
    """Note that a population is the m rows of a mask."""
    member = scratch.member[p]
    for row in range(n_rows):
        member[row] = inside[row]
    scratch.n_alive[p] = m
    scratch.listed[p] = 0
    scratch.masked[p] = 1


@inlined
def turn_over(scratch: Scratch, p: int, parent: int, n_rows: int) -> None:
    """Replace a population by what its parent has besides."""
    m = scratch.n_alive[parent] - scratch.n_alive[p]
    if scratch.masked[p] or 2 * m > n_rows:
        inside = mask_of(scratch, p, n_rows)
        mask = mask_of(scratch, parent, n_rows)
        for row in range(n_rows):
            inside[row] = mask[row] & (not inside[row])
        scratch.listed[p] = 0
    else:
        rows = rows_of(scratch, parent, n_rows)
        left = scratch.alive[p, : scratch.n_alive[p]]
        without(rows, left, scratch.rows)
        for i in range(m):
            scratch.alive[p, i] = scratch.rows[i]
    scratch.n_alive[p] = m


@borrowing
def without(rows: Rows, left: Rows, out: Rows) -> None:
    """Write the rows that are not among left (both ascending) to out."""
    n = 0
    k = 0
    for i in range(len(rows)):
        if k < len(left) and left[k] == rows[i]:
            k += 1
        else:
            out[n] = rows[i]
            n += 1
