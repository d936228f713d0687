"""What a file is for: sample, beads, or a control for compensation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cytosepsis.bead_peaks import Peak, find_peaks
from cytosepsis.bead_scatter import scatter_columns, single_beads
from cytosepsis.errors import CytosepsisError
from cytosepsis.first_study.survey import FileFacts
from cytosepsis.panel import kind_of

Kind = Literal["sample", "beads", "single_stain", "unstained"]
Role = Literal["sample", "isotype", "fmo", "unstained"]

_WORD = r"(?<![a-z]){}(?![a-z])"
_BEADS = re.compile(
    _WORD.format(
        r"(?:quanti ?brite|quantum|beads?|billes|calib\w*|mesf|mef|rainbow|fluorosphere\w*)"
    ),
    re.IGNORECASE,
)
_COMPENSATION = re.compile(
    r"comp(?:ensation)?[ _-]?(?:controls?|beads?)|single[ _-]?stain|stained[ _-]control",
    re.IGNORECASE,
)
_UNSTAINED = re.compile(_WORD.format(r"unstained"), re.IGNORECASE)
_FMO = re.compile(_WORD.format(r"fmo"), re.IGNORECASE)
_ISOTYPE = re.compile(_WORD.format(r"(?:isotype|iso|isoctrl)"), re.IGNORECASE)

LOOK_AT = 20_000  # events; enough to see levels
# Beads are uniform, cells are not: so wide may a level be, and so much of the file must be levels.
_LEVEL_CV = 0.25
_LEVEL_SHARE = 0.03
_LEVELS_SHARE = 0.75
_LEVEL_STEP = 2.0  # next level at least so much brighter
_SCATTER_CV = 0.20


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a file is taken for, and from what."""

    kind: Kind
    role: Role = "sample"  # of a sample
    because: str = "nothing says otherwise"
    channel: str | None = None  # $PnN: of beads, the one with the levels; of a control, its own


def purpose_of(facts: FileFacts, *, look: bool = True) -> Purpose:
    """Judge a file by its name and keywords, then by its events."""
    for source, text in (("its name", facts.file), ("its keywords", " ".join(facts.told))):
        plain = re.sub(r"[_\-.]+", " ", text)
        if _COMPENSATION.search(plain):
            if _UNSTAINED.search(plain):
                return Purpose("unstained", because=source)
            return Purpose("single_stain", because=source, channel=_own_detector(facts, plain))
        if _BEADS.search(plain):
            levels = _levels(facts) if look else None
            return Purpose("beads", because=source, channel=levels[0] if levels else None)
        for role, words in (("fmo", _FMO), ("isotype", _ISOTYPE), ("unstained", _UNSTAINED)):
            if words.search(plain):
                return Purpose("sample", role, source)  # type: ignore[arg-type]
    levels = _levels(facts) if look else None
    if levels:
        return Purpose("beads", because=f"{levels[1]} levels of uniform beads", channel=levels[0])
    return Purpose("sample")


def _levels(facts: FileFacts) -> tuple[str, int] | None:
    """The detector with the most levels of uniform beads and how many; None where these are cells.

    At least three levels are needed: fewer make no line, and two are what cells look like.
    """
    try:
        events = facts.read(LOOK_AT).linear()
    except CytosepsisError:
        return None
    scatter = scatter_columns(facts.pnn)
    if scatter:
        single = single_beads(events[:, scatter])
        forward = events[single, scatter[0]]
        low, middle, high = np.quantile(forward, (0.1587, 0.5, 0.8413))
        if not middle > 0 or (high - low) / (2 * middle) > _SCATTER_CV:
            return None
        events = events[single]
    best: tuple[int, bool, str] | None = None
    for column, name in enumerate(facts.pnn):
        if kind_of(name) != "fluorescence" or name.upper().endswith(("-H", "-W")):
            continue
        n = _n_levels(find_peaks(events[:, column]), len(events))
        is_pe = bool(re.fullmatch(r"PE(?:-A)?|FL2.*", name, re.IGNORECASE))
        if n >= 3 and (best is None or (n, is_pe) > best[:2]):
            best = (n, is_pe, name)
    return (best[2], best[0]) if best else None


def _n_levels(peaks: tuple[Peak, ...], n_events: int) -> int:
    narrow = [p for p in peaks if p.cv < _LEVEL_CV and p.n_events >= _LEVEL_SHARE * n_events]
    if sum(peak.n_events for peak in narrow) < _LEVELS_SHARE * n_events:
        return 0
    n, last = 0, 0.0
    for peak in narrow:
        if peak.median > _LEVEL_STEP * last:
            n, last = n + 1, peak.median
    return n


def _own_detector(facts: FileFacts, text: str) -> str | None:
    """The detector that a control's name names; else the brightest one."""
    words = _squeezed(text)
    named = [
        name
        for name in facts.pnn
        if kind_of(name) == "fluorescence"
        and not name.upper().endswith(("-H", "-W"))
        and _squeezed(re.sub(r"-A$", "", name)) in words
    ]
    if named:
        return max(named, key=len)  # PE-Cy7 also holds PE
    try:
        events = facts.read(LOOK_AT).linear()
    except CytosepsisError:
        return None
    bright = {
        name: float(np.nanquantile(events[:, column], 0.95))
        for column, name in enumerate(facts.pnn)
        if kind_of(name) == "fluorescence" and not name.upper().endswith(("-H", "-W"))
    }
    return max(bright, key=bright.__getitem__) if bright else None


def _squeezed(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())
