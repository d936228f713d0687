"""What the walk is driven by and what it works in: plans as arrays, memory, and their packing.

A call of compiled code pays for every array that it is given, so a plan crosses as two arrays and
the memory as four, and both are taken apart on the other side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import viewing
from cytosepsis.kernels.decode import Rows

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
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]


class Program(NamedTuple):
    """A plan, lowered for one file. Populations are numbered, root 0; step s makes number s + 1.

    Ragged lists are flat arrays with `_start` offsets, one more than there are owners. Yes and no
    are 1 and 0, so that there are two kinds of arrays only (see `pack`).
    """

    layout: Ints  # code (see `decode`), items in a row
    # sources: columns of the file that are needed
    source_column: Ints
    source_mask: Ints
    source_gain: Floats  # values are divided by it
    source_step: Floats  # and multiplied by it
    # axes: linear combinations of sources; one that is a source alone is its row of `values`
    axis_value: Ints  # row of `values`
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
    complement: Ints
    keep: Ints  # whether membership is asked of by later steps
    dim_start: Ints
    dim_axis: Ints
    dim_transform: Ints  # -1: none
    dim_limits: Floats  # (n, 2): minimum ≤ v < maximum on the transformed scale; NaN: open
    dim_sure: Floats  # (n, 4): see `regions.sure_band`
    number_start: Ints
    numbers: Floats  # vertices (V, 2) and box, or an ellipse's numbers
    operand_start: Ints
    operand_population: Ints
    operand_complement: Ints
    dim_slot: Ints  # which coordinate of its gate it is
    dim_narrows: Ints  # whether its band is tested
    dim_settles: Ints  # whether what was put outside is left out before the next one
    # what each dimension has to decode and unmix first, for the events still asked about
    load_start: Ints
    load_source: Ints
    mix_start: Ints
    mix_axis: Ints


class Scratch(NamedTuple):
    """Working memory of one walk, reused for every block."""

    values: Floats  # (n_sources + axes that are mixed, BLOCK)
    divisor: Floats  # (BLOCK,)
    gathered: Floats  # (most dimensions, BLOCK)
    expansion: Floats
    crossings: Ints  # (BLOCK,)
    n_alive: Ints  # (n_populations,)
    alive: Rows  # (n_populations, BLOCK): rows of the block, ascending
    rows: Rows  # (BLOCK,)
    bits: Rows  # (2 * BLOCK,)
    numbers: Rows  # (BLOCK,)
    member: Bools  # (n_populations, BLOCK)
    inside: Bools  # (BLOCK,)
    doubt: Bools  # (BLOCK,)


class Output(NamedTuple):
    """What a walk fills: counts, values of measured populations, membership where asked for."""

    counts: Ints  # (n_populations,)
    measured: Floats  # (n_measures, ≥ rows of a call)
    n_measured: Ints  # (n_measures,), of one call
    member_row: Ints  # (n_populations,): row of `membership`, or -1
    membership: NDArray[np.bool_]  # (n_asked, n_events)


def pack(program: Program) -> tuple[Ints, Floats]:
    """A program as two arrays, which are cheap to hand to compiled code; `unpack` undoes it.

    The integers begin with where each field begins and ends, among the arrays of its kind.
    """
    places = np.zeros((len(program), 2), dtype=np.int64)
    ints: list[NDArray[Any]] = [places.reshape(-1)]
    floats: list[NDArray[Any]] = [np.empty(0)]
    for number, part in enumerate(program):
        parts = ints if part.dtype == np.int64 else floats
        begin = sum(map(len, parts))
        parts.append(part.reshape(-1))
        places[number] = begin, begin + part.size
    return np.concatenate(ints), np.concatenate(floats)


@viewing
def whole(ints: Ints, number: int) -> Ints:
    """A packed field of integers."""
    return ints[ints[2 * number] : ints[2 * number + 1]]


@viewing
def real(ints: Ints, floats: Floats, number: int) -> Floats:
    """A packed field of numbers."""
    return floats[ints[2 * number] : ints[2 * number + 1]]


@viewing
def unpack(ints: Ints, floats: Floats) -> Program:
    """The program of which `pack` made two arrays, in views of them."""
    return Program(
        whole(ints, 0),  # layout
        whole(ints, 1),  # source_column
        whole(ints, 2),  # source_mask
        real(ints, floats, 3),  # source_gain
        real(ints, floats, 4),  # source_step
        whole(ints, 5),  # axis_value
        whole(ints, 6),  # axis_start
        whole(ints, 7),  # axis_source
        real(ints, floats, 8),  # axis_weight
        whole(ints, 9),  # axis_divisor
        real(ints, floats, 10).reshape((-1, 5)),  # axis_ratio
        whole(ints, 11),  # transform_kind
        real(ints, floats, 12).reshape((-1, 8)),  # transform_numbers
        whole(ints, 13),  # table_start
        real(ints, floats, 14),  # tables
        whole(ints, 15),  # kind
        whole(ints, 16),  # parent
        whole(ints, 17),  # complement
        whole(ints, 18),  # keep
        whole(ints, 19),  # dim_start
        whole(ints, 20),  # dim_axis
        whole(ints, 21),  # dim_transform
        real(ints, floats, 22).reshape((-1, 2)),  # dim_limits
        real(ints, floats, 23).reshape((-1, 4)),  # dim_sure
        whole(ints, 24),  # number_start
        real(ints, floats, 25),  # numbers
        whole(ints, 26),  # operand_start
        whole(ints, 27),  # operand_population
        whole(ints, 28),  # operand_complement
        whole(ints, 29),  # dim_slot
        whole(ints, 30),  # dim_narrows
        whole(ints, 31),  # dim_settles
        whole(ints, 32),  # load_start
        whole(ints, 33),  # load_source
        whole(ints, 34),  # mix_start
        whole(ints, 35),  # mix_axis
    )


class Space(NamedTuple):
    """The memory of a walk, rows of BLOCK, an array of each kind: `scratch_of` says whose is which.

    The integers have two rows, which hold a number for each population too.
    """

    floats: Floats
    ints: Ints
    rows: Rows
    bools: Bools


def space_for(program: Program) -> Space:
    """Memory for walks of this program."""
    n_populations = len(program.kind) + 1
    _, _, n_values, n_dimensions = program.layout.tolist()
    space = Space(
        floats=np.empty((n_values + n_dimensions + 2, BLOCK)),
        ints=np.empty((2, max(BLOCK, n_populations)), dtype=np.int64),
        rows=np.empty((n_populations + 4, BLOCK), dtype=np.uint32),
        bools=np.empty((n_populations + 2, BLOCK), dtype=np.bool_),
    )
    space.rows[0] = np.arange(BLOCK)  # every row is in the root
    space.bools[0] = True
    return space


@viewing
def scratch_of(program: Program, floats: Floats, ints: Ints, rows: Rows, bools: Bools) -> Scratch:
    """Divide the memory of a walk."""
    n = len(program.kind) + 1
    n_values = program.layout[2]
    return Scratch(
        floats[:n_values],  # values
        floats[-2],  # divisor
        floats[n_values:-2],  # gathered
        floats[-1],  # expansion
        ints[0],  # crossings
        ints[1],  # n_alive
        rows[:n],  # alive
        rows[n],  # rows
        rows[n + 1 : n + 3].reshape(-1),  # bits
        rows[n + 3],  # numbers
        bools[:n],  # member
        bools[n],  # inside
        bools[n + 1],  # doubt
    )
