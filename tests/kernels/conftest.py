"""Kernels without the compiler: the same numbers, and numpy's opinions on them left aside."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from effort import COMPILED


@pytest.fixture(scope="session", autouse=True)
def _as_quiet_as_compiled_code() -> Iterator[None]:
    """Infinity and NaN take part in the arithmetic on purpose; compiled code does not warn."""
    with np.errstate(all=None if COMPILED else "ignore"):
        yield
