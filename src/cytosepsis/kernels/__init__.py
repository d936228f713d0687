"""Compiled kernels: pure functions on arrays and numbers, serial, exact arithmetic, GIL released.

The one place that names numba and its flags. Where compiled code is kept: `kernel_cache`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cytosepsis import own_process
from cytosepsis.kernel_cache import CACHE_FOLDER

# Numba would import coverage where that is installed (0.1 seconds), and scipy for matrix products,
# which no kernel has (0.3 seconds).
with own_process.without("coverage", "scipy.linalg"):
    import numba
    import numba.np.arraymath

F = TypeVar("F", bound=Callable[..., Any])

_config: Any = numba.config  # its settings are made at run time; type checkers do not see them

# fastmath would make NaN tests wrong; parallel kernels abort when called from two threads.
FLAGS: dict[str, Any] = {
    "nogil": True,
    "fastmath": False,
    "error_model": "numpy",
    "parallel": False,
}
# Numba counts references to every array that a kernel slices or hands on, by locked instructions:
# a third of the walk's time. Without its run time it does not, and refuses a kernel that makes one.
_BORROWING: dict[str, Any] = {"_nrt": False}


def kernel(function: F) -> F:
    """Compile a kernel on first use with the flags of this package, cached where possible."""
    return _compiled(function, FLAGS)


def borrowing(function: F) -> F:
    """Compile a kernel that makes no array: it works in those it is given, and counts no owners."""
    return _compiled(function, FLAGS | _BORROWING)


def viewing(function: F) -> F:
    """Compile a kernel that returns views of the arrays it is given, in the place of its call."""
    return _compiled(function, FLAGS | _BORROWING | {"inline": "always"})


def _compiled(function: F, flags: dict[str, Any]) -> F:
    if CACHE_FOLDER is None:
        compiled: F = numba.njit(**flags)(function)
        return compiled
    # numba picks the folder when it decorates; restored at once, so that nobody else's is moved.
    before = _config.CACHE_DIR
    _config.CACHE_DIR = str(CACHE_FOLDER)
    try:
        cached: F = numba.njit(cache=True, **flags)(function)
        return cached
    finally:
        _config.CACHE_DIR = before
