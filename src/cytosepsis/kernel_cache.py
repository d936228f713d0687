"""Where compiled kernels lie, and whether they do: asked also where no compiler is imported.

They are cached in the user's own cache folder (compiled code is loaded as pickles, so a shared
temporary folder would be an open door), under a digest of every file of `kernels`, the compiler's
switches, the versions and the place of the sources: numba alone does not notice a changed callee,
nor bounds checks switched on over a warm cache, and it compiles anew for another installation of
the same sources, which is not to be taken for compiled. Where nothing can be written the kernels
compile uncached, with a note in `CACHE_NOTE`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path

MESSAGE = "compiling the numerical kernels, once on this machine (about half a minute)"

# The kernel that each kind of work compiles last.
WALK = "walk.walk"
DENSITY = "density.shortest_interval"
MIXTURE = "mixture.t_mixture"
LEVELS = "levels.running_medians"
STUDY = (WALK, DENSITY, LEVELS, MIXTURE)  # what a whole study needs

_COMPILERS = ("numba", "llvmlite", "numpy")


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


def digest_of(kernels: Path) -> str:
    """What compiled code depends on: sources, flags and their place, versions, the switches."""
    digest = hashlib.sha256(os.fsencode(kernels))
    for source in sorted(kernels.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    switches = {key: value for key, value in os.environ.items() if key.startswith("NUMBA_")}
    versions = (*map(metadata.version, _COMPILERS), platform.python_version())
    digest.update(repr((sorted(switches.items()), versions)).encode())
    return digest.hexdigest()[:24]


def _writable_folder() -> tuple[Path | None, str | None]:
    """The cache folder if it can be written, else None and why not."""
    try:
        kernels = Path(__file__).absolute().parent / "kernels"
        folder = _cache_home() / "kernels" / digest_of(kernels)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder is known
        return None, f"compiled kernels are not cached: {error}"
    return folder, None


CACHE_FOLDER, CACHE_NOTE = _writable_folder()


def is_cached() -> bool:
    """Whether what one process compiles is there for the next."""
    return CACHE_FOLDER is not None


def is_compiled(*entries: str) -> bool:
    """Whether the cache holds compiled kernels, each named `module.function`.

    By default those that are compiled last of all that a study needs: what they call lies in the
    cache before them, so a compilation that was interrupted is not taken for a finished one.
    """
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}:
        return True
    if CACHE_FOLDER is None:
        return False
    return all(any(CACHE_FOLDER.rglob(f"{entry}-*.nbi")) for entry in entries or STUDY)
