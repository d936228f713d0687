"""A number for each row of a table that depends on the row's bytes alone, evenly spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import kernel

Words = NDArray[np.uint32]
Digests = NDArray[np.uint64]


@kernel
def row_digests(words: Words) -> Digests:
    """Digest each row of (n_rows, n_words): equal rows have equal ones, others rarely.

    A sum of the words times odd constants, then the finaliser of SplitMix64 (Steele et al. 2014,
    10.1145/2714064.2660195), so that any part of the bits is evenly spread.
    """
    n_rows, n_words = words.shape
    factors = np.empty(n_words, dtype=np.uint64)
    for k in range(n_words):
        factors[k] = _mixed(np.uint64(k + 1) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
    digests = np.empty(n_rows, dtype=np.uint64)
    for i in range(n_rows):
        total = np.uint64(n_words)
        for k in range(n_words):
            total += (np.uint64(words[i, k]) + np.uint64(1)) * factors[k]
        digests[i] = _mixed(total)
    return digests


@kernel
def _mixed(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
