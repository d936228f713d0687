"""A bounded part of a file's events on which gates are found, the same for any order of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytosepsis.fcs import RawEvents
from cytosepsis.gating.row_form import RowForm, walk_blocks
from cytosepsis.kernels.rows import row_digests

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
    if raw.n_events <= most:
        return _chosen(raw, form, None)
    limit = np.uint64(most / raw.n_events * 2.0**64)
    rows = _chosen(raw, form, limit)
    if abs(len(rows) - most) <= _UNEVEN * most:
        return rows
    return _chosen(raw, form, None)


def _chosen(raw: RawEvents, form: RowForm, limit: np.uint64 | None) -> NDArray[Any]:
    parts = []
    for block in walk_blocks(raw, form):
        if limit is None:
            parts.append(block.copy())
        else:
            parts.append(block[row_digests(_words(block)) < limit])
    if not parts:
        return np.empty((0, raw.n_parameters))
    # Not concatenate, which turns rows of another byte order than the machine's into its own: the
    # walk reads them as the file stores them.
    rows = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype=parts[0].dtype)
    return np.concatenate(parts, out=rows)


def _words(block: NDArray[Any]) -> NDArray[np.uint32]:
    """The rows' bytes as 32-bit words, one byte a word where they do not fit."""
    whole = np.ascontiguousarray(block)
    if whole.strides[0] % 4 == 0:
        return whole.view(np.uint32).reshape(len(whole), -1)
    return whole.view(np.uint8).reshape(len(whole), -1).astype(np.uint32)
