"""The documentation builds without a warning, and what it shows runs."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cytosepsis.cli import app
from cytosepsis.cli.reference import commands_markdown

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TUTORIAL = (DOCS / "tutorial.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: pip install '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert all((tmp_path / page / "index.html").is_file() for page in pages)


def test_the_site_asks_nothing_of_other_hosts(tmp_path: Path) -> None:
    """Links may lead anywhere; scripts, styles and fonts are the site's own."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: pip install '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=True)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=\"([^\"]+)\"", page)
    loaded += re.findall(
        r"<link[^>]+rel=\"(?:stylesheet|preload|icon)\"[^>]*href=\"([^\"]+)\"", page
    )
    assert loaded
    assert [address for address in loaded if "//" in address] == []


def test_options_are_those_of_the_code() -> None:
    written = (DOCS / "options.md").read_text(encoding="utf-8")
    assert written == commands_markdown(app), (
        "write it again: python -m cytosepsis.cli.reference > docs/options.md"
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tutorial's commands run, with the project's `sample_fcs` in it."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "sample_fcs").symlink_to(ROOT / "sample_fcs")
    return folder


def run(text: str, desk: Path, *command: str) -> str:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run(
        [*command, text],
        cwd=desk,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_tutorial_runs(desk: Path) -> None:
    said = "".join(
        run(f"set -e\n{block}", desk, "bash", "-c") for block in blocks(TUTORIAL, "bash")
    )

    assert "accepts this study" in said or "No problems found" in said
    assert (desk / "results" / "report" / "index.html").is_file()
    for name in re.findall(r"`results/([a-z]+\.csv)`", TUTORIAL):
        assert (desk / "results" / name).is_file()
    (program,) = blocks(TUTORIAL, "python")
    assert re.fullmatch(r"\d+ values below 8,000 AB/C\n", run(program, desk, sys.executable, "-c"))


def test_the_recipes_in_python_run(desk: Path) -> None:
    (program,) = blocks((DOCS / "recipes.md").read_text(encoding="utf-8"), "python")
    assert "to look at" in run(program, desk, sys.executable, "-c")
