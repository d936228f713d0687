"""What the benchmarks measure on, made once per session in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from inputs import FILE_CHANNELS, plan_toml, write_blood, write_study


@pytest.fixture(scope="session")
def plan_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mHLA-DR plan as a TOML file."""
    path = tmp_path_factory.mktemp("plan") / "mhladr.toml"
    path.write_text(plan_toml(), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def blood_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of 300,000 events and 14 channels, 32-bit floats."""
    path = tmp_path_factory.mktemp("blood") / "blood.fcs"
    return write_blood(path, seed=1, n_events=300_000, channels=FILE_CHANNELS)


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 6 files of 100,000 events and 7 channels."""
    folder = tmp_path_factory.mktemp("studies") / "study"
    return write_study(folder, n_files=6, n_events=100_000)
