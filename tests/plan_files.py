"""Where the real files are; a test that needs one is skipped, with the reason, where it is not."""

import os
from pathlib import Path

import pytest

CORPUS = Path(
    os.environ.get("CYTOSEPSIS_CORPUS", Path(__file__).parents[1].parent / "shared" / "fcs")
)


def real_file(relative: str) -> Path:
    path = CORPUS / relative
    if not path.exists():
        pytest.skip(f"{relative} is not in the corpus ({CORPUS})")
    return path
