"""What tells one state of a file from another: its digest, its size and times."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_digest(path: str) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def file_stamp(path: str) -> tuple[int, ...] | None:
    """Size and times of a file; None where it cannot be found."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
