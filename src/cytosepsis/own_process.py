"""Whether this process runs nothing but this package: a command or a worker, not a user's program.

There it may spare itself what only others would need (see `kernels`). Worker processes inherit it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "CYTOSEPSIS_OWN_PROCESS"
MARK = {_VARIABLE: "1"}  # for the environment of a process that is started


def declare() -> None:
    """Say so of this process; before the kernels are imported."""
    os.environ.update(MARK)


def is_declared() -> bool:
    """Whether it was said."""
    return bool(os.environ.get(_VARIABLE))


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Keep what is imported meanwhile from importing modules that it can do without.

    Only in a process of our own: in a user's, others may count on what such an import brings. What
    is imported already (a measurement of coverage that is running) is left alone.
    """
    left_out = [name for name in modules if is_declared() and name not in sys.modules]
    for name in left_out:
        sys.modules[name] = None  # type: ignore[assignment]  # "cannot be imported"
    try:
        yield
    finally:
        for name in left_out:
            sys.modules.pop(name, None)
