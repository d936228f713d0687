"""Roles and names: which parameter of a file is meant. The one checked look-up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cytosepsis.errors import ChannelError

# $PnN beginnings of scatter parameters by the common makers (BD, Beckman, Partec, Miltenyi).
_SCATTER = ("FSC", "SSC", "FS ", "SS ", "FS-", "SS-", "FS_", "SS_", "BSC", "FALS", "RALS")
_SCATTER_WHOLE = ("FS", "SS", "SSC", "FSC")


def is_scatter(pnn: str) -> bool:
    """Whether a $PnN names a scatter parameter."""
    name = pnn.upper()
    return name.startswith(_SCATTER) or name in _SCATTER_WHOLE


def is_time(pnn: str) -> bool:
    """Whether a $PnN names a time parameter."""
    return pnn.upper() in ("TIME", "HDR-T", "TIME_LSW", "TIME_MSW")


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
