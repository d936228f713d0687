"""Plans and matrices copied without what people wrote around them; each copy is read and compared.

Comments, notes and names of files go; names of populations stay, since results are told by them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from cytosepsis.anonymize.toml_text import toml_text
from cytosepsis.compensation import Spillover, read_spillover_csv, write_spillover_csv
from cytosepsis.errors import CytosepsisError, GatingError
from cytosepsis.gating.gatingml_export import write_gatingml
from cytosepsis.gating.markup import local_name, read_markup
from cytosepsis.gating.reader import read_gating
from cytosepsis.gating.workspace_copy import reduced_workspace


def copy_plan(path: str, stem: Path, names: Sequence[tuple[str, str]]) -> Path:
    """Write a plan beside `stem`, with the original's ending; the copy's place.

    `names` are pairs of the file name of an acquisition and that of its copy: a workspace holds a
    plan for each. CytosepsisError where the copy cannot be shown to be the same plan.
    """
    target = stem.with_name(stem.name + Path(path).suffix.lower())
    if target.suffix == ".toml":
        document = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        target.write_text(toml_text(document), encoding="utf-8")
        pairs: Sequence[tuple[str | None, str | None]] = [(None, None)]
    elif local_name(read_markup(Path(path))) == "Workspace":
        target.write_bytes(reduced_workspace(path, names))
        pairs = names
    else:
        write_gatingml(read_gating(path), target)
        pairs = [(None, None)]
    for original, new in pairs:
        if _plan_of(path, original) != _plan_of(str(target), new):
            target.unlink()
            raise CytosepsisError(
                f"{Path(path).name}: its copy is not read as the same plan; it is not copied.",
                code="anonymize",
            )
    return target


def copy_matrix(path: str, stem: Path) -> Path:
    """Write a CSV matrix beside `stem`: its labels and numbers, and nothing else of the file."""
    target = stem.with_name(stem.name + ".csv")
    matrix = read_spillover_csv(path)
    write_spillover_csv(matrix, target)
    assert _numbers(read_spillover_csv(target)) == _numbers(matrix)
    return target


def _plan_of(path: str, sample: str | None) -> object:
    """What a plan does, whatever its matrices are called; where it is none, the error's code."""
    try:
        plan = read_gating(path, sample=sample)
    except GatingError as error:
        return error.code
    gates = repr(plan.gates)
    for number, (name, _) in enumerate(plan.spillovers, start=1):
        gates = gates.replace(f"compensation={name!r}", f"compensation=matrix {number}")
    return gates, [_numbers(matrix) for _, matrix in plan.spillovers]


def _numbers(matrix: Spillover) -> tuple[object, ...]:
    return matrix.detectors, matrix.fluorochromes, matrix.matrix
