"""What a ready panel is, and where it is read from."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from cytosepsis.errors import CytosepsisError

_PLAN, _ASSAY = ".plan.toml", ".assay.toml"


@dataclass(frozen=True, slots=True)
class ReadyPanel:
    """One ready assay; tables are as study.toml writes them."""

    name: str
    title: str
    why: str
    channels: Mapping[str, tuple[str, ...]]  # role → usual $PnS or $PnN names
    statistics: Mapping[str, tuple[str, ...]]
    counting: Mapping[str, Any]  # empty where the panel counts nothing
    markers: Mapping[str, Mapping[str, str]]
    plan: str  # the gating plan's text


def panel_names() -> tuple[str, ...]:
    """Names of all ready panels, sorted."""
    entries = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(n.removesuffix(_PLAN) for n in entries if n.endswith(_PLAN)))


def read_panel(name: str) -> ReadyPanel:
    """Read one ready panel; CytosepsisError (`panel`) where there is none of that name."""
    names = panel_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise CytosepsisError(
            f"there is no ready panel {name!r}.{hint} Panels: {', '.join(names)}.", code="panel"
        )
    assay = tomllib.loads((_folder() / f"{name}{_ASSAY}").read_text(encoding="utf-8"))
    return ReadyPanel(
        name=name,
        title=assay["title"],
        why=assay["why"],
        channels={role: tuple(names) for role, names in assay["channels"].items()},
        statistics={p: tuple(of) for p, of in assay.get("statistics", {}).items()},
        counting=assay.get("counting", {}),
        markers=assay["markers"],
        plan=(_folder() / f"{name}{_PLAN}").read_text(encoding="utf-8"),
    )


def _folder() -> Any:
    return resources.files("cytosepsis.panels") / "ready"
