"""Rows of a table chosen by a number that depends on the row's bytes alone, evenly spread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import kernel

Words = NDArray[np.unsignedinteger[Any]]


@kernel
def take_rows(words: Words, limit: np.uint64, out: Words, n_out: int) -> int:
    """Copy the rows whose digest is below `limit` behind the first `n_out` of `out`.

    Equal rows have equal digests, others rarely. A digest is a sum of the row's words times odd
    constants, then the finaliser of SplitMix64 (Steele et al. 2014, 10.1145/2714064.2660195), so
    that any part of the bits is evenly spread.

    Parameters
    ----------
    words : (n_rows, n_words) unsigned
    out : (room, n_words), of the same kind

    Returns
    -------
    how many rows `out` holds by now; `room` + 1 as soon as one does not fit

    """
    n_rows, n_words = words.shape
    factors = np.empty(n_words, dtype=np.uint64)
    for k in range(n_words):
        factors[k] = _mixed(np.uint64(k + 1) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
    # Unsigned numbers of rows and words: signed ones would be tested for being negative.
    room = len(out)
    for i in range(np.uint64(n_rows)):
        total = np.uint64(n_words)
        for k in range(np.uint64(n_words)):
            total += (np.uint64(words[i, k]) + np.uint64(1)) * factors[k]
        if _mixed(total) < limit:
            if n_out >= room:
                return room + 1
            for k in range(np.uint64(n_words)):
                out[np.uint64(n_out), k] = words[i, k]
            n_out += 1
    return n_out


@kernel
def _mixed(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
