"""What tells one state of a file from another: its digest, its size and times."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says of a file without opening it."""

    size: int  # bytes
    mtime_ns: int
    # Of the inode: a copier may keep size and time of what it replaces, but not this.
    changed_ns: int | None = None


def file_digest(path: str) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def stamp_of(path: str) -> Stamp | None:
    """Size and times of a file; None where it cannot be found."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns)
