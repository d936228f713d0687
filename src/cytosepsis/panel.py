"""Roles and names: which parameter of a file is meant. The one checked look-up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from cytosepsis.errors import ChannelError

Kind = Literal["scatter", "fluorescence", "time", "other"]

# What makers call scatter in $PnN. BD, Cytek, Miltenyi, Attune, Accuri: FSC-A, SSC-B-H, BSC-A;
# Guava: FSC-HLin; Beckman: FS INT, SS Lin, FS-A, VSSC-A; Partec, Stratedigm: FSC, SSC; Cytek xP:
# FSCA; Sony: BSC; Apogee: SALS, MALS, LALS; EPICS: FALS, RALS; BD's imaging sorters: LightLoss.
_SCATTER = re.compile(
    r"(?:[VBRYG]|UV|YG|VIOLET |BLUE |RED |YELLOW )?-?(?:FSC|SSC|BSC)"
    r"(?:[^A-Z]|[AHW]?$|[AHW][^A-Z]|PMT|PAR)"
    r"|(?:FS|SS)(?:[ _-].*)?$"
    r"|(?:FALS|RALS|SALS|MALS|LALS)(?:[^A-Z]|$)"
    r"|LIGHTLOSS|FORWARD SC|SIDE SC"
)
# Time, also in two halves (CyAn, Bio-Rad S3: least and most significant word), HDR-T of MACSQuant.
_TIME = re.compile(r"TIME$|HDR-T$|TIME[ _-]?(?:LSW|MSW|[12HL])$|(?:COMPUTED|ELAPSED)[ _-]TIME$")
# What is neither: event numbers, volumes, pulse widths, and what CyTOF says of an event.
_OTHER = re.compile(
    r"HDR-(?:CE|SE|V)$|(?:EVENT|CELL)[ _-]?(?:LENGTH|COUNT|#|NUMBER|ID)$|(?:PULSE )?WIDTH$"
    r"|(?:CENTER|OFFSET|RESIDUAL|BEADDIST|BEAD_?DIST|ORIGINAL_ID|INDEX|DOUBLET|FILENUM|CLASSIFIER)$"
)


@lru_cache(maxsize=1024)
def kind_of(pnn: str) -> Kind:
    """What a parameter measures, as far as its $PnN tells; a study's roles decide in doubt.

    Whatever is not known as scatter, time or bookkeeping is taken for fluorescence (or, of a mass
    cytometer, for a mass).
    """
    name = pnn.strip().upper()
    if _TIME.match(name):
        return "time"
    if _SCATTER.match(name):
        return "scatter"
    return "other" if _OTHER.match(name) else "fluorescence"


def is_scatter(pnn: str) -> bool:
    """Whether a $PnN names a scatter parameter."""
    return kind_of(pnn) == "scatter"


def is_time(pnn: str) -> bool:
    """Whether a $PnN names a time parameter."""
    return kind_of(pnn) == "time"


def time_column(pnn: Sequence[str]) -> int | None:
    """Column of the time; None where there is none.

    Of several the one that is called `Time` counts (MACSQuant writes HDR-T too). ChannelError
    (`channel_ambiguous`) where that does not decide: halves of a time (TIME_LSW, TIME_MSW) are no
    time.
    """
    times = [index for index, name in enumerate(pnn) if is_time(name)]
    plain = [index for index in times if pnn[index].strip().upper() == "TIME"]
    found = plain or times
    if len(found) > 1:
        raise ChannelError(
            f"the file has several times: {', '.join(pnn[index] for index in found)}; "
            "name the one that is meant",
            code="channel_ambiguous",
        )
    return found[0] if found else None


def find(accepted: Sequence[str], pnn: Sequence[str], pns: Sequence[str]) -> int | None:
    """Index of the first accepted name that a file carries: as $PnN, then as $PnS; None if none.

    ChannelError (`channel_ambiguous`) where a name stands more than once.
    """
    for name in accepted:
        for names in (pnn, pns):
            places = [index for index, found in enumerate(names) if found == name]
            if len(places) > 1:
                raise ChannelError(
                    f"the name {name!r} stands {len(places)} times in the file; "
                    "use names that are unique ($PnN)",
                    code="channel_ambiguous",
                )
            if places:
                return places[0]
    return None


def resolve(
    roles: Mapping[str, Sequence[str]],
    pnn: Sequence[str],
    pns: Sequence[str],
    *,
    wanted: Iterable[str] | None = None,
) -> dict[str, int]:
    """Column of each wanted role (default: of all roles), looked up once, before the arithmetic.

    A wanted name that is no role is taken as $PnN, then $PnS. ChannelError names all that is
    missing and all that is there.
    """
    found: dict[str, int] = {}
    missing: list[str] = []
    for role in roles if wanted is None else wanted:
        accepted = roles.get(role, (role,))
        index = find(accepted, pnn, pns)
        if index is None:
            missing.append(
                role if tuple(accepted) == (role,) else f"{role} ({' or '.join(accepted)})"
            )
        else:
            found[role] = index
    if missing:
        there = ", ".join(
            f"{name} [{marker}]" if marker and marker != name else name
            for name, marker in zip(pnn, pns, strict=True)
        )
        raise ChannelError(f"the file has no channel for {'; '.join(missing)}. It has: {there}")
    return found
