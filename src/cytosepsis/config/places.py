"""Paths of a study: inside its folder or its roots, links followed, or refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytosepsis.roots import Root


class OutsideError(ValueError):
    """A path that leads out of the study folder and its roots, or is none."""


@dataclass(frozen=True, slots=True)
class Places:
    """The folders that a study may read from, resolved; the study folder is the first."""

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path, roots: Sequence[Path] = ()) -> Places:
        """Resolve the folders once."""
        return cls((folder.resolve(), *(root.resolve() for root in roots)))

    def roots(self, names: Sequence[str]) -> tuple[Root, ...]:
        """The folders beside the study's own, by the names that study.toml gives them."""
        pairs = zip(names, self.folders[1:], strict=False)  # fewer where one was not found
        return tuple(Root(name, str(folder)) for name, folder in pairs)

    def resolve(self, text: str) -> Path:
        """Where a path of the study leads: the first folder that has it, else the study folder.

        The path need not exist. OutsideError where every reading of it, links followed, leads out
        of the folders.
        """
        inside: list[Path] = []
        for written in _spellings(text):
            for folder in self.folders:
                try:
                    path = (folder / written).resolve()
                    if any(path.is_relative_to(allowed) for allowed in self.folders):
                        inside.append(path)
                        if path.exists():
                            return path
                except (OSError, RuntimeError, ValueError) as error:  # loops, NUL, overlong names
                    raise OutsideError(f"found {text!r}, which is no path ({error})") from None
        if not inside:
            raise OutsideError(
                f"found {text!r}, which leads out of the study folder; wanted a path inside it or "
                "inside a folder of [study] roots. Move the file, or add its folder to roots."
            )
        return inside[0]


def digest_of(files: Iterable[tuple[str, Path]]) -> str:
    """SHA-256 (hex) over the names and bytes of files; order and repeats do not matter.

    Names are as written in the study, so that a study keeps its digest where it is moved.
    """
    digest = hashlib.sha256()
    for name, path in sorted(set(files)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{len(name.encode())} {name} {content}\n".encode())
    return digest.hexdigest()


def _spellings(text: str) -> tuple[str, ...]:
    """Give a path as written, and as Windows would have meant it."""
    return (text, text.replace("\\", "/")) if "\\" in text and os.sep == "/" else (text,)
