"""A bounded part of a file's events on which gates are found, the same for any order of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytosepsis.fcs import RawEvents
from cytosepsis.gating.row_form import RowForm, walk_blocks
from cytosepsis.kernels.rows import take_rows

# Enough that 0.3 % of them, the rarest monocytes that are asked for, are some 200 cells; and so
# few that finding the gates of a file of millions costs no more memory than of this.
MOST_EVENTS = 2**16
_UNEVEN = 0.1  # of the wanted number: where rows repeat, equal ones are taken or left together


def sample_rows(raw: RawEvents, form: RowForm, most: int = MOST_EVENTS) -> NDArray[Any]:
    """Rows of the file in the form of the walk: all, or about `most` chosen by their own bytes.

    A row is taken where a digest of its bytes falls below a limit: so the choice depends neither
    on the order of the events nor on a seed. Where many rows are equal, which would make such a
    choice uneven, all are taken.
    """
    if raw.n_events > most:
        limit = np.uint64(most / raw.n_events * 2.0**64)
        rows = _chosen(raw, form, limit, int((1.0 + _UNEVEN) * most))
        if rows is not None and len(rows) >= (1.0 - _UNEVEN) * most:
            return rows
    return _all(raw, form)


def _chosen(raw: RawEvents, form: RowForm, limit: np.uint64, room: int) -> NDArray[Any] | None:
    """The rows below a limit; None where they need more room."""
    rows: NDArray[Any] | None = None
    n_rows = 0
    for block in walk_blocks(raw, form):
        if rows is None:
            rows = np.empty((room, *block.shape[1:]), dtype=block.dtype)
        n_rows = take_rows(_words(block), limit, _words(rows), n_rows)
        if n_rows > room:
            return None
    return rows if rows is None else rows[:n_rows]


def _all(raw: RawEvents, form: RowForm) -> NDArray[Any]:
    parts = [block.copy() for block in walk_blocks(raw, form)]
    if not parts:
        return np.empty((0, raw.n_parameters))
    # Not concatenate, which turns rows of another byte order than the machine's into its own: the
    # walk reads them as the file stores them.
    rows = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype=parts[0].dtype)
    return np.concatenate(parts, out=rows)


def _words(rows: NDArray[Any]) -> NDArray[Any]:
    """The rows' own bytes as words, the longest that fit."""
    whole = np.ascontiguousarray(rows)
    words = (np.uint64, np.uint32, np.uint8)
    word = next(word for word in words if whole.strides[0] % np.dtype(word).itemsize == 0)
    return whole.view(word).reshape(len(whole), -1)
