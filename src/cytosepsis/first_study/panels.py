"""Files with the same channels and stains, and what each channel may be called in the study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cytosepsis.bead_scatter import scatter_columns
from cytosepsis.errors import ChannelError
from cytosepsis.first_study.survey import FileFacts
from cytosepsis.panel import kind_of, time_column

# A marker in what operators type: "CD14 PerCP-Cy5-5", "HLA-DR_PE", "CD14".
_MARKER = re.compile(
    r"(?<![A-Z0-9])(HLA-?_? ?DR|CD\d+[A-Z]{0,2}|CX3CR1|PD-?L?[12]|CTLA-?4|TIM-?3|LAG-?3|FOXP3"
    r"|TNF-?A?|IL-?\d+|IFN-?G|GR-?1)(?![A-Z0-9])",
    re.IGNORECASE,
)
_HEIGHT_OR_WIDTH = re.compile(r"[-_ ](?:H|W|HEIGHT|WIDTH|PEAK|TOF)$", re.IGNORECASE)
# The two-colour tube whose makers leave $PnS empty more often than not.
_USUAL_TUBE = {"PE": "hladr", "PERCPCY55": "cd14", "PERCPCY5": "cd14", "PERCP": "cd14"}


@dataclass(frozen=True, slots=True)
class ChannelRole:
    """A channel of a panel, under the name that a plan uses."""

    role: str
    names: tuple[str, ...]  # accepted $PnN, then $PnS
    guess: str  # from what; "" where the file says it


@dataclass(frozen=True, slots=True)
class Panel:
    """Files that one assay can analyse."""

    name: str
    files: tuple[FileFacts, ...]
    roles: tuple[ChannelRole, ...]

    @property
    def has_spillover(self) -> bool:
        """Whether every file brings a matrix that fits its channels."""
        return all(facts.has_spillover for facts in self.files)

    def top(self, name: str) -> float:
        """The greatest range ($PnR) of a role among the files; that of 18 bits if none is told."""
        role = self.role(name)
        assert role is not None
        tops = [f.tops[f.pnn.index(role.names[0])] for f in self.files if role.names[0] in f.pnn]
        return max(tops, default=0.0) or 262_144.0

    def role(self, name: str) -> ChannelRole | None:
        """The channel of a role, or None."""
        return next((role for role in self.roles if role.role == name), None)


def panels_of(files: Sequence[FileFacts]) -> tuple[Panel, ...]:
    """Files grouped by channels and stains, the largest group first.

    Files that name no stain at all join those with the same channels, where these agree.
    """
    groups: dict[tuple[frozenset[str], frozenset[tuple[str, str]]], list[FileFacts]] = {}
    for facts in files:
        groups.setdefault((frozenset(facts.pnn), _stains(facts)), []).append(facts)
    for key in [key for key in groups if not key[1]]:
        stained = [other for other in groups if other[0] == key[0] and other[1]]
        if len(stained) == 1:
            groups[stained[0]] += groups.pop(key)
    ordered = sorted(groups.values(), key=lambda group: (-len(group), group[0].file))
    panels, taken = [], set()
    for number, group in enumerate(ordered, 1):
        roles = roles_of(next((f for f in group if _stains(f)), group[0]))
        kept = {role.role for role in roles}
        name = "mhladr" if {"hladr", "cd14", "ssc"} <= kept else f"panel_{number}"
        name = name if name not in taken else f"{name}_{number}"
        taken.add(name)
        panels.append(Panel(name, tuple(group), roles))
    return tuple(panels)


def roles_of(facts: FileFacts) -> tuple[ChannelRole, ...]:
    """Scatter, time and stains of a file, each under one role; areas rather than heights."""
    names = facts.pnn
    found: dict[str, ChannelRole] = {}
    for role, column in zip(("fsc", "ssc", "fsc_height"), scatter_columns(names), strict=False):
        found[role] = ChannelRole(role, (names[column],), "")
    time = _time(names)
    if time is not None:
        found["time"] = ChannelRole("time", (names[time],), "")
    used = {name for role in found.values() for name in role.names}
    stains = [pns for _, pns in facts.channels]
    for pnn, pns in facts.channels:
        if kind_of(pnn) != "fluorescence" or _HEIGHT_OR_WIDTH.search(pnn):
            continue
        if pnn in used or names.count(pnn) > 1:
            continue
        role, guess = _stain_role(pnn, pns)
        role = _free(role, found)
        unique = pns and pns not in names and stains.count(pns) == 1
        accepted = (pnn, pns) if unique else (pnn,)
        found[role] = ChannelRole(role, accepted, guess)
    if {"hladr", "cd14"} <= found.keys():
        return tuple(found.values())
    return tuple(_usual_tube(found))


def _stains(facts: FileFacts) -> frozenset[tuple[str, str]]:
    return frozenset(
        (pnn, pns.strip().casefold())
        for pnn, pns in facts.channels
        if pns.strip() and pns.strip() != pnn and kind_of(pnn) == "fluorescence"
    )


def _time(names: Sequence[str]) -> int | None:
    try:
        return time_column(names)
    except ChannelError:
        return None


def _stain_role(pnn: str, pns: str) -> tuple[str, str]:
    """What a channel is called, and why where that is a guess."""
    marker = _MARKER.search(pns)
    if marker:
        return _word(marker[1].replace("-", "").replace("_", "").replace(" ", "")), ""
    if pns.strip() and pns != pnn:
        return _word(pns), ""
    return _word(re.sub(r"-A$", "", pnn)), "no stain is named in the file"


def _usual_tube(found: dict[str, ChannelRole]) -> list[ChannelRole]:
    """Two unnamed stains, PE and PerCP: taken for HLA-DR and CD14, and said so."""
    unnamed = {
        re.sub(r"[^A-Z0-9]", "", role.names[0].upper().removesuffix("-A")): role
        for role in found.values()
        if role.guess
    }
    meant = {_USUAL_TUBE[dye]: role for dye, role in unnamed.items() if dye in _USUAL_TUBE}
    if len(unnamed) != 2 or meant.keys() != {"hladr", "cd14"}:
        return list(found.values())
    renamed = {old.role: (name, old) for name, old in meant.items()}
    return [
        ChannelRole(renamed[role.role][0], role.names, "from the dye, as in the two-colour tube")
        if role.role in renamed
        else role
        for role in found.values()
    ]


def _word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_") or "channel"


def _free(role: str, taken: dict[str, ChannelRole]) -> str:
    free, number = role, 2
    while free in taken:
        free, number = f"{role}_{number}", number + 1
    return free
