"""The sheet of controls: which file is stained with what, and which detector is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cytosepsis.errors import Problem, StudyError
from cytosepsis.sheets import Row, Sheet, read_sheet

COLUMNS = ("file", "detector", "fluorochrome", "role", "dataset")
_ROLES: dict[str, Literal["single_stain", "unstained"]] = {
    "": "single_stain",
    "single_stain": "single_stain",
    "single stain": "single_stain",
    "stained": "single_stain",
    "unstained": "unstained",
    "negative": "unstained",
    "universal negative": "unstained",
    "universal_negative": "unstained",
}


@dataclass(frozen=True, slots=True)
class Control:
    """One acquisition of cells or beads with one dye, or with none."""

    file: str
    detector: str  # $PnN (or $PnS) of the dye's own detector; "" of unstained cells
    fluorochrome: str = ""  # "": named like the detector
    role: Literal["single_stain", "unstained"] = "single_stain"
    dataset: int | None = None


def read_controls(path: str | Path) -> tuple[Control, ...]:
    """Read a sheet of controls (.csv .tsv .xlsx .parquet); files are relative to its folder.

    Columns: `file`, `detector` ($PnN, else $PnS; where the sheet has no such column,
    `fluorochrome` must name it), optional `fluorochrome`, `role` (`single_stain`, the default, or
    `unstained`) and `dataset` (of files with several data sets, from 0).

    Raises
    ------
    StudyError
        With every problem of the sheet.
    """
    path = Path(path)
    sheet = read_sheet(path, known=COLUMNS)
    problems = list(_column_problems(sheet))
    controls = []
    if not problems:
        for row in sheet.rows:
            control = _control(sheet.name, row, path.parent, problems)
            if control is not None:
                controls.append(control)
        problems += set_problems(sheet.name, controls)
    if problems:
        raise StudyError(problems)
    return tuple(controls)


def set_problems(name: str, controls: Sequence[Control]) -> list[Problem]:
    """What is wrong with some controls as a set: doubles, more than one unstained, too few."""
    stained = [control for control in controls if control.role == "single_stain"]
    problems = []
    for axis, values in (
        ("detector", [control.detector for control in stained]),
        ("fluorochrome", [c.fluorochrome for c in stained if c.fluorochrome]),
        ("file", [f"{c.file} ({c.dataset})" if c.dataset else c.file for c in controls]),
    ):
        for value in sorted({value for value in values if values.count(value) > 1}):
            problems.append(
                Problem(
                    name,
                    f"{axis} {value}",
                    f"stands in {values.count(value)} rows. A matrix needs one control per dye: "
                    "keep the best one.",
                )
            )
    if len(controls) - len(stained) > 1:
        files = ", ".join(c.file for c in controls if c.role == "unstained")
        problems.append(
            Problem(
                name,
                "role",
                f"more than one unstained control: {files}. Keep the one that is "
                "prepared like the stained ones.",
            )
        )
    if not stained:
        problems.append(Problem(name, "", "names no stained control; wanted one row per dye."))
    known = {control.detector for control in stained}
    labels = {control.fluorochrome or control.detector for control in stained}
    if labels & known and labels != known:
        problems.append(
            Problem(
                name,
                "fluorochrome",
                f"some rows are named like detectors ({', '.join(sorted(labels & known))}), others "
                "not. Name the fluorochrome in every row or in none.",
            )
        )
    return problems


def _column_problems(sheet: Sheet) -> list[Problem]:
    problems = []
    if "file" not in sheet.columns:
        problems.append(_problem(sheet, "file", "is missing"))
    if not {"detector", "fluorochrome"} & set(sheet.columns):
        problems.append(_problem(sheet, "detector", "is missing"))
    return problems


def _problem(sheet: Sheet, column: str, what: str) -> Problem:
    return Problem(
        sheet.name,
        f"column {column}",
        f"{what}; found {', '.join(sheet.columns)}. Wanted: file, detector and, where they apply, "
        "fluorochrome, role, dataset.",
    )


def _control(name: str, row: Row, folder: Path, problems: list[Problem]) -> Control | None:
    cells = {column: (row.cells.get(column) or "").strip() for column in COLUMNS}
    found: list[str] = []
    role = _ROLES.get(cells["role"].casefold())
    if role is None:
        found.append(f"role {cells['role']!r} is not known; wanted single_stain or unstained.")
    if not cells["file"]:
        found.append("names no file.")
    elif not (folder / cells["file"]).is_file():
        found.append(
            f"there is no file {cells['file']!r} beside the sheet. The control is missing."
        )
    if cells["dataset"] and not cells["dataset"].isdecimal():
        found.append(f"dataset {cells['dataset']!r} is not a number from 0.")
    detector = cells["detector"] or ("" if "detector" in row.cells else cells["fluorochrome"])
    if role == "single_stain" and not detector:
        found.append("names no detector. Give the $PnN of the dye's own detector.")
    problems += [Problem(name, f"row {row.number}", message) for message in found]
    if found or role is None:
        return None
    return Control(
        file=str(folder / cells["file"]),
        detector=detector if role == "single_stain" else "",
        fluorochrome=cells["fluorochrome"] if role == "single_stain" else "",
        role=role,
        dataset=int(cells["dataset"]) if cells["dataset"] else None,
    )
