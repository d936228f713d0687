"""Whether this process runs nothing but this package: a command or a worker, not a user's program.

There it may spare itself what only others would need (see `kernels`). Worker processes inherit it.
"""

from __future__ import annotations

import os

_VARIABLE = "CYTOSEPSIS_OWN_PROCESS"
MARK = {_VARIABLE: "1"}  # for the environment of a process that is started


def declare() -> None:
    """Say so of this process; before the kernels are imported."""
    os.environ.update(MARK)


def is_declared() -> bool:
    """Whether it was said."""
    return bool(os.environ.get(_VARIABLE))
