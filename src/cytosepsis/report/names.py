"""Names of pages: safe on every file system and in every address, whatever an id looks like."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}")
# Windows keeps these for devices, with any ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)
_LONGEST = 40


def page_names(ids: Iterable[str]) -> dict[str, str]:
    """A file name without ending for each id, unlike all others where case does not count.

    An id of letters, digits, `-` and `_` keeps its name; of others what is left of it is followed
    by a digest, as it is where two ids differ by case only.
    """
    unique = list(dict.fromkeys(ids))
    folded: dict[str, int] = {}
    for each in unique:
        folded[each.lower()] = folded.get(each.lower(), 0) + 1
    return {
        each: each if _is_plain(each) and folded[each.lower()] == 1 else _with_digest(each)
        for each in unique
    }


def _is_plain(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and _DEVICES.match(name) is None


def _with_digest(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:_LONGEST]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{words or 'id'}--{digest}"
