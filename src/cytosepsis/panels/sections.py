"""The sections of study.toml that declare a ready panel's assay and markers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cytosepsis.errors import CytosepsisError
from cytosepsis.panels.ready_panel import ReadyPanel


def assay_sections(panel: ReadyPanel, channels: Mapping[str, str] | None = None) -> str:
    """Write the sections; `channels` maps roles to the lab's own $PnN or $PnS names.

    Roles that are not given keep the names under which laboratories usually label them.
    CytosepsisError (`panel`) on a role that the panel does not have.
    """
    given = channels or {}
    unknown = [role for role in given if role not in panel.channels]
    if unknown:
        raise CytosepsisError(
            f"panel {panel.name} has no role {', '.join(unknown)}; "
            f"it has: {', '.join(panel.channels)}.",
            code="panel",
        )
    roles = {role: [given[role]] if role in given else of for role, of in panel.channels.items()}
    assay: dict[str, Any] = {"compensation": "file", "gating": f"assays/{panel.name}.toml"}
    tables: list[tuple[str, Mapping[str, Any]]] = [
        (f"assays.{panel.name}", assay),
        (f"assays.{panel.name}.channels", roles),
    ]
    if panel.statistics:
        tables.append((f"assays.{panel.name}.statistics", panel.statistics))
    if panel.counting:
        tables.append((f"assays.{panel.name}.counting", panel.counting))
    tables += [
        (f"markers.{name}", {"kind": of["kind"], "assay": [panel.name], **of})
        for name, of in panel.markers.items()
    ]
    head = f"# {panel.title}. {panel.why}\n"
    return head + "\n".join(_table(name, values) for name, values in tables)


def abc_marker(assay: str) -> str:
    """Declare an assay's AB/C as a marker: implied only while a study declares no markers."""
    name = assay if re.fullmatch(r"[A-Za-z0-9_-]+", assay) else json.dumps(assay)
    return _table(f"markers.{name}", {"kind": "abc", "assay": [assay]})


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = "".join(f"{key} = {_value(value)}\n" for key, value in values.items())
    return f"[{name}]\n{lines}"


def _value(value: Any) -> str:
    """Write a TOML value; a basic string of TOML takes the escapes of JSON."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence):
        return f"[{', '.join(_value(item) for item in value)}]"
    return json.dumps(value)
