"""What the walk has to know of a file's rows, and the blocks of rows it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytosepsis.fcs import RawEvents, linearize
from cytosepsis.fcs_layout import Parameter
from cytosepsis.kernels import decode
from cytosepsis.kernels.program import BLOCK

CHUNK_BYTES = 512 * 2**10  # a read that stays in the second-level cache until it is walked

_CODES = {
    "<f4": decode.FLOAT32,
    ">f4": decode.FLOAT32_SWAPPED,
    "<f8": decode.FLOAT64,
    ">f8": decode.FLOAT64_SWAPPED,
    "|u1": decode.UINT8,
    "<u2": decode.UINT16,
    ">u2": decode.UINT16_SWAPPED,
    "<u4": decode.UINT32,
    ">u4": decode.UINT32_SWAPPED,
}


@dataclass(frozen=True, slots=True)
class RowForm:
    """Layout and scaling of a file's rows; files of one panel and instrument share it."""

    parameters: tuple[Parameter, ...]
    time_step: float
    code: int  # layout of the blocks, see `kernels.decode`
    masks: tuple[int, ...]  # per column
    is_linear: bool  # gains, time step and logarithms have been undone before the walk


def row_form(raw: RawEvents) -> RowForm:
    """Return the form of a file's rows as `walk_blocks` hands them out.

    Rows that have to be decoded, and log amplifiers (whose powers of ten must be those of
    `RawEvents.linear` to the last bit), are made linear before the walk sees them.
    """
    full = (2**32 - 1,) * raw.n_parameters
    decoded = raw.decoded is not None or raw.layout.dtype is None
    if decoded or any(p.decades > 0 for p in raw.parameters):
        return RowForm(raw.parameters, raw.time_step, decode.FLOAT64, full, is_linear=True)
    assert raw.layout.dtype is not None
    masks = raw.layout.masks or full
    code = _CODES[raw.layout.dtype.str]
    return RowForm(raw.parameters, raw.time_step, code, masks, is_linear=False)


def walk_blocks(raw: RawEvents, form: RowForm) -> Iterator[NDArray[Any]]:
    """Blocks of rows (n, n_parameters) in the form that was told; valid until the next one."""
    rows = max(BLOCK, CHUNK_BYTES // max(raw.layout.row_bytes, 1))
    if not form.is_linear:
        yield from raw.blocks(rows=rows)
        return
    for block in _stored_blocks(raw, rows):
        linearize(block, raw)
        yield block


def _stored_blocks(raw: RawEvents, rows: int) -> Iterable[NDArray[np.float64]]:
    if raw.decoded is not None:
        for first in range(0, raw.n_events, rows):
            yield raw.decoded[first : first + rows].copy()
        return
    if raw.layout.dtype is None:
        yield from raw.blocks(rows=rows)
        return
    for block in raw.blocks(rows=rows):
        if raw.layout.masks:
            yield (block & np.array(raw.layout.masks, dtype=block.dtype)).astype(np.float64)
        else:
            yield block.astype(np.float64)
