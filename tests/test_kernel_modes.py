"""The compiler's switches do what `make test` relies on, through our decorator and cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

MODULE = """
import sys
import numpy as np
from cytosepsis.kernels import CACHE_FOLDER, kernel

@kernel
def put(values, place):
    values[place] = 1.0

assert CACHE_FOLDER is not None
try:
    put(np.zeros(2), int(sys.argv[1]))
except IndexError:
    sys.stdout.write("IndexError ")
sys.stdout.write(type(put).__name__)
"""


def run(folder: Path, place: int, **switches: str) -> str:
    """Put a number at a place of an array of two, in a fresh interpreter with these switches."""
    file = folder / "putting.py"
    file.write_text(MODULE, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    environment |= {
        "CYTOSEPSIS_CACHE_DIR": str(folder / "cache"),
        "PYTHONPATH": str(ROOT / "src"),
        **switches,
    }
    return subprocess.run(
        [sys.executable, file, str(place)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_bounds_are_checked_also_over_a_cache_warmed_without(tmp_path: Path) -> None:
    assert run(tmp_path, 1) == "CPUDispatcher"
    assert list((tmp_path / "cache").rglob("*put*.nbi"))
    assert run(tmp_path, 5, NUMBA_BOUNDSCHECK="1") == "IndexError CPUDispatcher"
    assert run(tmp_path, 1, NUMBA_BOUNDSCHECK="1") == "CPUDispatcher"


def test_without_the_compiler_a_kernel_is_a_plain_function(tmp_path: Path) -> None:
    assert run(tmp_path, 1, NUMBA_DISABLE_JIT="1") == "function"
    assert run(tmp_path, 5, NUMBA_DISABLE_JIT="1") == "IndexError function"


MAKING = """
import numpy as np
from numba.core.errors import TypingError
from cytosepsis.kernels import borrowing, kernel

@kernel
def room(n):
    return np.empty(2 * n)

@borrowing
def borrowed_room(n):
    return np.empty(2 * n)

print(len(room(2)))
try:
    borrowed_room(2)
except TypingError:
    print("refused")
"""


def test_a_borrowing_kernel_makes_no_array(tmp_path: Path) -> None:
    file = tmp_path / "making.py"
    file.write_text(MAKING, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    environment |= {"CYTOSEPSIS_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, file], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["4", "refused"]
