"""The README's example runs and prints what the README says it prints; its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The one fenced block of a language."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(text)


def test_the_example_prints_what_it_says(tmp_path: Path) -> None:
    example = block("python").replace('out="results"', f"out={str(tmp_path / 'results')!r}")
    assert str(tmp_path) in example
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == block("text")


def test_links_lead_to_files_of_the_project() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_every_command_stands_in_the_readme() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cytosepsis", "--help"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "TERM": "dumb", "COLUMNS": "100"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    offered = set(re.findall(r"^ {2}([a-z][a-z-]*) {2,}\S", done.stdout, re.MULTILINE))
    described = set(re.findall(r"^\| `cytosepsis ([a-z-]+)", README, re.MULTILINE))
    assert "run" in offered
    assert offered == described
