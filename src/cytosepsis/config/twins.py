"""Near-twins: names that a person would take for the same and a computer would not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Cyrillic and Greek letters that look like Latin ones (Unicode's confusables, the plain cases);
# compatibility forms (full-width, ligatures) are folded by NFKC.
_LOOK_ALIKES = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456\u0455\u0458"
    "\u03b1\u03b2\u03b5\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7",
    "abekmhopctyxisjabehikmnoptyx",
)
_INVISIBLE = re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff]+")
_DASHES = re.compile(r"[\u2010-\u2015\u2212]")


def near_twins(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Group different names that differ only in case, spaces, zeros ahead, or look-alikes."""
    groups: dict[str, dict[str, None]] = {}
    for name in names:
        groups.setdefault(_skeleton(name), {}).setdefault(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _skeleton(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold().translate(_LOOK_ALIKES)
    folded = _DASHES.sub("-", _INVISIBLE.sub("", folded))
    return re.sub(r"(?<!\d)0+(?=\d)", "", folded)
