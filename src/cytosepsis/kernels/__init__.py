"""Compiled kernels: pure functions on arrays and numbers, serial, exact arithmetic, GIL released.

The one place that names numba and its flags. Kernels are cached in the user's own cache folder
(compiled code is loaded as pickles, so a shared temporary folder would be an open door), under a
digest of every file of this package, the flags and the versions: numba alone does not notice a
changed callee, nor bounds checks switched on over a warm cache. Where nothing can be written the
kernels compile uncached, with a note in `CACHE_NOTE`.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import numba
import numpy as np

from cytosepsis import own_process

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


def _cache_home() -> Path:
    """The user's own cache folder, by the custom of the platform."""
    chosen = os.environ.get("CYTOSEPSIS_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "cytosepsis" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "cytosepsis"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cytosepsis"


def _digest() -> str:
    """What the compiled code depends on: sources, flags, versions, and switches of the compiler."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    switches = {key: value for key, value in os.environ.items() if key.startswith("NUMBA_")}
    versions = (numba.__version__, llvmlite.__version__, np.__version__, platform.python_version())
    digest.update(repr((sorted(FLAGS.items()), sorted(switches.items()), versions)).encode())
    return digest.hexdigest()[:24]


def _writable_folder() -> tuple[Path | None, str | None]:
    """The cache folder if it can be written, else None and why not."""
    try:
        folder = _cache_home() / "kernels" / _digest()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder is known
        return None, f"compiled kernels are not cached: {error}"
    return folder, None


CACHE_FOLDER, CACHE_NOTE = _writable_folder()

# The kernel that each kind of work compiles last.
WALK = "walk.walk"
DENSITY = "density.shortest_interval"
MIXTURE = "mixture.t_mixture"
LEVELS = "levels.running_medians"
STUDY = (WALK, DENSITY, LEVELS, MIXTURE)  # what a whole study needs


def kernel(function: F) -> F:
    """Compile a kernel on first use with the flags of this package, cached where possible."""
    return _compiled(function, FLAGS)


def borrowing(function: F) -> F:
    """Compile a kernel that makes no array: it works in those it is given, and counts no owners."""
    return _compiled(function, FLAGS | _BORROWING)


def inlined(function: F) -> F:
    """Compile a kernel in the place of its call, otherwise like a `borrowing` one.

    For one that returns views of the arrays it is given, which nothing that counts no owners can
    hand on; and for one that is given a whole plan, whose arrays a call would copy.
    """
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


def _leave_blas_out() -> None:
    """Keep numba from importing scipy for its matrix products, which no kernel has: 0.3 seconds.

    Only in a process of our own: in a user's, their compiled code may multiply matrices.
    """
    if "scipy.linalg" in sys.modules or "numba.np.arraymath" in sys.modules:
        return
    sys.modules["scipy.linalg"] = None  # type: ignore[assignment]  # "cannot be imported"
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules["scipy.linalg"]


if own_process.is_declared():
    _leave_blas_out()


def is_compiled(*entries: str) -> bool:
    """Whether the cache holds compiled kernels, each named `module.function`.

    By default those that are compiled last of all that a study needs: what they call lies in the
    cache before them, so a compilation that was interrupted is not taken for a finished one.
    """
    if _config.DISABLE_JIT:
        return True
    if CACHE_FOLDER is None:
        return False
    return all(any(CACHE_FOLDER.rglob(f"{entry}-*.nbi")) for entry in entries or STUDY)
