"""Where the folders of a study lie on this machine: the machine's own table, not the study's.

One share is mounted in one place here and in another there. study.toml names its folders once; a
machine on which one of them lies elsewhere says so in a file of its own, which the environment
variable CYTOSEPSIS_ROOTS names. A path is carried over by its part inside the folder, and what
then leads out of the folders, links followed, is refused here as where the study was read.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytosepsis.errors import CytosepsisError

VARIABLE = "CYTOSEPSIS_ROOTS"
_SECTION = "roots"


class RootsError(CytosepsisError):
    """A machine's table of roots that cannot be used, or a path that leads out of them."""

    default_code = "roots"


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that a study may read from; the study's own is named by its path."""

    name: str  # as study.toml writes it
    path: str  # where it lies on the machine that read the study, links followed


def machine_table() -> Mapping[str, str]:
    """The table of this machine, name or path of a folder → where it lies here; empty without one.

    Raises RootsError where the file that CYTOSEPSIS_ROOTS names is no such table.
    """
    place = os.environ.get(VARIABLE)
    if not place:
        return {}
    try:
        document = tomllib.loads(Path(place).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise RootsError(f"{VARIABLE} names {place}, which cannot be read ({error}).") from None
    table = document.get(_SECTION)
    if set(document) != {_SECTION} or not isinstance(table, dict):
        raise RootsError(f"{place}: wanted one section, [{_SECTION}], of folder = where it lies.")
    for name, folder in table.items():
        if not isinstance(folder, str) or not Path(folder).is_absolute():
            raise RootsError(f"{place}: {name!r}: found {folder!r}; wanted an absolute path.")
    return table


def folder_here(root: Root, table: Mapping[str, str]) -> Path:
    """Where a folder of a study lies on this machine, links followed."""
    return Path(table.get(root.name) or table.get(root.path) or root.path).resolve()


def missing_here(roots: Sequence[Root], table: Mapping[str, str]) -> tuple[str, ...]:
    """Folders of a study that this machine does not see, as it would reach them."""
    folders = [folder_here(root, table) for root in roots]
    return tuple(str(folder) for folder in folders if not folder.is_dir())


def path_here(path: str, roots: Sequence[Root], table: Mapping[str, str]) -> str:
    """Where a file of a study lies on this machine; it need not exist.

    RootsError where the path is in none of the study's folders, or leads out of them here.
    """
    # A root may lie inside another: the innermost is meant, which may be mounted by itself.
    holders = [root for root in roots if Path(path).is_relative_to(root.path)]
    if not holders:
        raise RootsError("the file lies in none of the study's folders.")
    root = max(holders, key=lambda holder: len(Path(holder.path).parts))
    inside = Path(path).relative_to(root.path)
    here = (folder_here(root, table) / inside).resolve()
    if not any(here.is_relative_to(folder_here(one, table)) for one in roots):
        raise RootsError("the file leads out of the study's folders on this machine.")
    return str(here)
