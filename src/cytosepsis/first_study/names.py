"""Who and when, read out of file names by a pattern that is shown and can be changed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cytosepsis.errors import CytosepsisError

# A day of the study: D1, D3-4, J6-8 (French), T0, V2; alone between separators.
_MOMENT = r"(?P<timepoint>[DJTV]\d{1,3}(?:-[DJ]?\d{1,3})?|M\d{1,2}|baseline)"
_END = r"(?=[ _\-./]|$)"
PATTERNS = (
    rf"(?:^|/)(?P<patient>[^/ _]+)[ _\-.]+{_MOMENT}{_END}",  # P001_D1-2
    rf"(?:^|/)(?P<patient>[^/ _]+?)[ _](?:[^/]*[ _\-.])?{_MOMENT}{_END}",  # P001_mHLA_D1-2
    rf"(?:^|/)(?P<patient>[^/]+)/(?:.*[ _\-./])?{_MOMENT}{_END}",  # P001/D1-2/tube
)
WHOLE_NAME = r"(?:^|/)(?P<patient>[^/]+)$"
_DAYS = re.compile(r"[DJ](\d+)(?:-[DJ]?(\d+))?$", re.IGNORECASE)
_HEALTHY = re.compile(r"(?:h|hd|hc|hv|healthy|donor|normal)[ _-]?\d+", re.IGNORECASE)
_CONTROL = re.compile(r"(?:qc|control|ctrl|cb|cdchex|immunotrol|streck)[ _-]?\w*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """What a file's name says of the sample."""

    patient_id: str
    timepoint: str | None
    group: str
    guesses: tuple[str, ...]  # columns that are guessed, and from what


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern of the user; CytosepsisError where it is none, or names no patient."""
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise CytosepsisError(
            f"--pattern {pattern!r} is no regular expression: {error}", code="pattern"
        ) from error
    if "patient" not in compiled.groupindex:
        raise CytosepsisError(
            f"--pattern {pattern!r} has no group (?P<patient>...). Optional: (?P<timepoint>...).",
            code="pattern",
        )
    return compiled


def guess_pattern(names: Sequence[str]) -> str:
    """The pattern that reads a patient and a timepoint out of the most names, else whole names.

    It must fit at least a third of them: healthy donors come once and bear no timepoint.
    """
    fits = {
        pattern: sum(bool(re.search(pattern, name, re.IGNORECASE)) for name in names)
        for pattern in PATTERNS
    }
    best = max(PATTERNS, key=fits.__getitem__)
    return best if names and 3 * fits[best] >= len(names) else WHOLE_NAME


def read_name(name: str, pattern: re.Pattern[str]) -> Named:
    """Patient, timepoint and group of a file, from its path without the ending."""
    found = pattern.search(name)
    groups = found.groupdict() if found else {}
    last = name.rpartition("/")[2]
    patient = (groups.get("patient") or last).strip()
    timepoint = groups.get("timepoint")
    guesses = [f"patient_id from {'the pattern' if found else 'the whole name'}"]
    if timepoint:
        guesses.append("timepoint from the pattern")
    group = "patient"
    if _HEALTHY.fullmatch(patient):
        group = "healthy"
    elif _CONTROL.fullmatch(patient):
        group = "control"
    guesses.append("group from patient_id" if group != "patient" else "group by default")
    return Named(patient, timepoint, group, tuple(guesses))


def windows(labels: Sequence[str]) -> tuple[dict[str, tuple[int, int]], tuple[str, ...]]:
    """Days that labels name (D3-4: 3 to 4), and labels that name none or overlap with others."""
    days: dict[str, tuple[int, int]] = {}
    unclear: list[str] = []
    for label, _ in sorted(Counter(labels).items()):
        found = _DAYS.match(label)
        first = int(found[1]) if found else 0
        last = int(found[2] or found[1]) if found else 0
        if found and 1 <= first <= last:
            days[label] = (first, last)
        else:
            unclear.append(label)
    overlapping = {
        label
        for label, (first, last) in days.items()
        for other, (start, stop) in days.items()
        if label != other and first <= stop and start <= last
    }
    kept = {label: span for label, span in days.items() if label not in overlapping}
    ordered = dict(sorted(kept.items(), key=lambda item: item[1]))
    return ordered, tuple(sorted({*unclear, *overlapping}))
