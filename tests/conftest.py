"""What every test may ask for: the folder of real files, and how hypothesis searches."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# Repeatable, and patient: the first call of a kernel compiles it.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

# Compiled kernels are silent about overflow and NaN; as plain Python they meet numpy's scalars,
# which warn, and a warning is an error here.
if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    np.seterr(all="ignore")


@pytest.fixture(scope="session")
def plain_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a small study with faults; its study lies beside it."""
    from report_study import plain_study

    return plain_study(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def hostile_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a study whose ids and names try to be programs."""
    from report_study import hostile_study

    return hostile_study(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real FCS files: $CYTOSEPSIS_CORPUS, by default ../shared/fcs."""
    folder = Path(os.environ.get("CYTOSEPSIS_CORPUS", ROOT.parent / "shared" / "fcs"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real files at {folder} (CYTOSEPSIS_CORPUS names another)")
    return folder
