"""The package from outside: what importing it loads, and its wheel away from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import cytosepsis

ROOT = Path(__file__).parents[1]
HEAVY = ("flowkit", "flowio", "bokeh", "pandas", "matplotlib", "scipy.stats", "distributed")


def run(*command: str | Path, cwd: Path, pythonpath: str | None = None) -> str:
    """Output of a command that must succeed, in an environment without this checkout's paths."""
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}
    if pythonpath is not None:
        environment["PYTHONPATH"] = pythonpath
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def loaded_by(statement: str, tmp_path: Path) -> set[str]:
    """Names in `sys.modules` after a statement in a fresh interpreter."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    found = run(sys.executable, "-c", code, cwd=tmp_path, pythonpath=str(ROOT / "src"))
    return set(json.loads(found))


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_by("import cytosepsis", tmp_path)
    assert "cytosepsis" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_look_at_loaded_modules_can_fail(tmp_path: Path) -> None:
    assert "flowio" in loaded_by("import cytosepsis\nimport flowio", tmp_path)


def test_public_names_exist_and_are_documented() -> None:
    names = getattr(cytosepsis, "__all__", [])
    assert len(set(names)) == len(names)
    for name in names:
        value = getattr(cytosepsis, name)
        if callable(value):
            assert value.__doc__, name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as users get it, built with the backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert "cytosepsis/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"cytosepsis", metadata.partition("/")[0]}
    assert not [name for name in names if name.endswith((".fcs", ".pyc"))]
    assert f"Version: {cytosepsis.__version__}" in text
    assert "Requires-Python: >=3.11" in text
    sources = {f.relative_to(ROOT / "src").as_posix() for f in (ROOT / "src").rglob("*.py")}
    assert sources == {name for name in names if name.endswith(".py")}


def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    python = empty_environment(tmp_path / "environment")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "install", "-qq", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    where = run(python, "-c", "import cytosepsis; print(cytosepsis.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)
    command = python.with_name(f"cytosepsis{sysconfig.get_config_var('EXE')}")
    assert cytosepsis.__version__ in run(command, "--version", cwd=tmp_path)
    assert "run" in run(command, "--help", cwd=tmp_path)


def empty_environment(folder: Path) -> Path:
    """The Python of a new environment that sees this one's libraries but not this checkout.

    A folder named in a `.pth` file is put on the path without obeying the `.pth` files in it, so
    the editable install of the checkout does not come along.
    """
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    variables = {"base": str(folder), "platbase": str(folder)}
    scheme = "nt" if os.name == "nt" else "venv"
    site_packages = Path(sysconfig.get_path("purelib", scheme, variables))
    libraries = sysconfig.get_path("purelib")
    (site_packages / "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
    executable = f"python{sysconfig.get_config_var('EXE')}"
    return Path(sysconfig.get_path("scripts", scheme, variables)) / executable


def test_a_process_of_our_own_gates_without_what_only_others_need(tmp_path: Path) -> None:
    """Numba would import scipy's linear algebra, and coverage, which measures nothing there.

    In a user's process both must be left alone. The same look shows that what compiles the kernels
    ahead calls each kernel whose presence tells that nothing is left to be compiled.
    """
    called = """
from importlib import import_module
from cytosepsis import compiling, kernel_cache
compiling.compile_kernels()
for entry in kernel_cache.STUDY:
    module, _, name = entry.partition(".")
    kernel = getattr(import_module(f"cytosepsis.kernels.{module}"), name)
    assert kernel_cache.is_compiled("nothing") or kernel.signatures, entry
"""
    own = f"from cytosepsis import own_process\nown_process.declare()\n{called}"
    left_out = {"scipy.linalg", "coverage"}
    seen = loaded_by("import coverage, scipy.linalg\nimport cytosepsis.kernels", tmp_path)
    assert left_out <= seen
    alone = loaded_by("", tmp_path)  # nothing, unless these tests are being measured
    assert loaded_by(own, tmp_path).isdisjoint(left_out - alone)
    # what is imported already stays
    kept = f"import coverage, scipy.linalg\nbefore = coverage, scipy.linalg\n{own}"
    again = "import coverage as c, scipy.linalg\nassert before == (c, scipy.linalg)"
    assert left_out <= loaded_by(f"{kept}\n{again}", tmp_path)
