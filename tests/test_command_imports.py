"""What commands leave unimported: a compiler where no events are read, scipy where none is needed.

Commands of a group run one after the other in one fresh interpreter, so that a module which any of
them imports is found, and interpreters are few.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cytosepsis.simulate import SimulationSettings, simulate_study

ROOT = Path(__file__).parents[1]
COMPILER = ("numba", "llvmlite")
HEAVY = (*COMPILER, "flowkit", "flowio", "matplotlib", "bokeh", "pandas", "distributed")
SCRIPT = """
import json, sys
from cytosepsis import own_process
from cytosepsis.cli import app
own_process.declare()
statuses = [app(words, standalone_mode=False) or 0 for words in json.loads(sys.argv[1])]
print(json.dumps([statuses, sorted(sys.modules)]))
"""


def loaded_by(*commands: list[str]) -> set[str]:
    """Names in `sys.modules` after commands in a fresh interpreter; each must have succeeded."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    statuses, loaded = json.loads(done.stdout.splitlines()[-1])
    assert statuses == [0] * len(commands), done.stderr
    return set(loaded)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("imports") / "study"
    settings = SimulationSettings(patients=1, healthy=1, events=1500, bead_events=3000)
    simulate_study(folder, settings)
    return str(folder)


def test_commands_on_studies_and_results_import_no_compiler(study: str) -> None:
    out = str(Path(study).with_name("out"))
    with Path(study, "samples.csv").open(encoding="utf-8") as sheet:
        sample = next(csv.DictReader(sheet))["sample_id"]
    loaded = loaded_by(
        ["check", study],
        ["run", study, "--out", out, "--workers", "1"],
        ["trace", out, sample],
        *([name, out] for name in ("cohort", "trajectories", "endotypes", "candidates", "charts")),
    )
    assert loaded.isdisjoint({*HEAVY, "scipy"})
    # what tests hypotheses brings scipy, and nothing that reads events
    loaded = loaded_by(["biomarkers", out], ["exvivo", out])
    assert "scipy.special" in loaded  # it can be seen
    assert loaded.isdisjoint({*HEAVY, *COMPILER} - {"pandas"})  # pandas: by statsmodels
