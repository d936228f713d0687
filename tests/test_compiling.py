"""Kernels are compiled once, by one process, and the person is told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cytosepsis import kernel_cache
from cytosepsis.cli.progress import PlainLines
from cytosepsis.compiling import compile_kernels
from cytosepsis.config import load_study
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.study import Progress, run_study

compiled_only = pytest.mark.skipif(
    kernel_cache.is_compiled("nothing"), reason="the compiler is off"
)


@compiled_only
def test_compiling_leaves_everything_in_the_cache() -> None:
    compile_kernels()
    if not kernel_cache.is_cached():
        pytest.skip(f"no cache: {kernel_cache.CACHE_NOTE}")
    assert kernel_cache.is_compiled()
    assert kernel_cache.CACHE_FOLDER is not None
    before = {path for path in kernel_cache.CACHE_FOLDER.rglob("*.nbc") if "walk." in path.name}
    assert before


@compiled_only
def test_a_compilation_that_was_interrupted_is_not_taken_for_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_cache, "CACHE_FOLDER", tmp_path)
    (tmp_path / "walk.walk_block-1.py311.nbi").touch()
    (tmp_path / "density.shortest_interval-1.py311.nbi").touch()
    (tmp_path / "levels.running_medians-1.py311.nbi").touch()
    assert not kernel_cache.is_compiled(kernel_cache.WALK)
    (tmp_path / "walk.walk-1.py311.nbi").touch()
    (tmp_path / "mixture.t_mixture-1.py311.nbi").touch()
    assert kernel_cache.is_compiled()


def test_another_installation_of_the_same_sources_is_not_compiled(tmp_path: Path) -> None:
    here = Path(kernel_cache.__file__).parent / "kernels"
    there = tmp_path / "kernels"
    shutil.copytree(here, there)
    before = kernel_cache.digest_of(there)
    assert before != kernel_cache.digest_of(here)
    assert before == kernel_cache.digest_of(there)
    (there / "walk.py").write_text("# changed")
    assert kernel_cache.digest_of(there) != before


def test_without_the_compiler_nothing_has_to_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_cache, "CACHE_FOLDER", None)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert kernel_cache.is_compiled()
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    assert not kernel_cache.is_compiled()


@pytest.mark.parametrize("isolate", [False, True])
def test_a_cold_run_compiles_once_before_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolate: bool
) -> None:
    """The compiler is played by a file that is written."""
    monkeypatch.setattr("cytosepsis.study._COMPILER", "test_compiling:note")
    monkeypatch.setattr(kernel_cache, "is_compiled", lambda *_: False)
    monkeypatch.setattr(kernel_cache, "is_cached", lambda: True)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    simulate_study(
        tmp_path / "study", SimulationSettings(patients=1, healthy=0, events=300, bead_events=300)
    )
    seen: list[Progress] = []
    loaded = load_study(tmp_path / "study")
    run_study(loaded, tmp_path / "out", workers=2 if isolate else 1, progress=seen.append)
    assert (tmp_path / "noted").read_text() == "x"
    compiling_at = [number for number, p in enumerate(seen) if p.compiling]
    assert compiling_at
    assert all(seen[number].n_done == 0 for number in compiling_at)
    assert not seen[-1].compiling
    run_study(loaded, tmp_path / "out", workers=2 if isolate else 1)
    assert (tmp_path / "noted").read_text() == "x"


def note(_: object = None) -> None:
    with Path(os.environ["NOTED"]).open("a") as file:
        file.write("x")


def test_the_person_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(3, 0, 0, 0, 0, 10, 0, 0.0, compiling=True)
    PlainLines()(progress)
    assert "compiling the numerical kernels, once on this machine" in capsys.readouterr().err
