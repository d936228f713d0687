"""A ready panel put into a study: its plan under `assays/`, its sections into study.toml."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cytosepsis.errors import CytosepsisError
from cytosepsis.panels.ready_panel import ReadyPanel, read_panel
from cytosepsis.panels.sections import abc_marker, assay_sections

FILE = "study.toml"


def write_panel(
    name: str,
    study: Path | str,
    *,
    channels: Mapping[str, str] | None = None,
    top: float | None = None,
) -> ReadyPanel:
    """Write a ready panel into a study that exists; nothing that is there is changed.

    Parameters
    ----------
    name
        Of the panel (`panel_names`).
    study
        The study's folder, or its study.toml: the sections are added at its end.
    channels
        Role → the $PnN or $PnS of the lab's files; other roles keep the usual names.
    top
        Where the detectors' scale ends (T of the logicle scale); default 262144, 18 bits.

    Returns
    -------
    ReadyPanel
        What was written.

    CytosepsisError (`panel`), and nothing is written, where the study has such an assay, a marker
    of the same name, or a plan in that place.

    """
    panel = read_panel(name)
    toml = Path(study) / FILE if Path(study).is_dir() else Path(study)
    text, document = _study(toml)
    plan = toml.parent / "assays" / f"{name}.toml"
    taken = list(_taken(panel, document))
    if plan.exists():
        taken.append(f"{plan} exists")
    if taken:
        raise CytosepsisError(
            f"panel {name} was not written: {'; '.join(taken)}. Nothing was changed.", code="panel"
        )
    # Without [markers] every assay's AB/C is one by itself; a first marker would end that.
    kept = [] if document.get("markers") else _implied_markers(document)
    parts = [text.rstrip("\n") + "\n", *kept, assay_sections(panel, channels)]
    whole = "\n".join(parts)
    tomllib.loads(whole)  # what is written can be read
    plan.parent.mkdir(exist_ok=True)
    plan.write_text(_plan(panel, top), encoding="utf-8", newline="\n")
    beside = toml.with_name(f".{toml.name}.writing")
    beside.write_text(whole, encoding="utf-8", newline="\n")
    os.replace(beside, toml)  # noqa: PTH105 - atomic on one file system, also on Windows
    return panel


def _study(toml: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = toml.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as error:
        raise CytosepsisError(
            f"{toml} cannot be read: {error.strerror}. Name a study's folder.", code="panel"
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CytosepsisError(f"{toml} is not TOML: {error}.", code="panel") from None


def _taken(panel: ReadyPanel, document: Mapping[str, Any]) -> Iterator[str]:
    if panel.name in document.get("assays", {}):
        yield f"the study has an assay {panel.name}"
    for marker in panel.markers:
        if marker in document.get("markers", {}):
            yield f"the study has a marker {marker}"


def _implied_markers(document: Mapping[str, Any]) -> list[str]:
    assays = document.get("assays", {})
    return [abc_marker(n) for n, a in assays.items() if isinstance(a, dict) and "abc" in a]


def _plan(panel: ReadyPanel, top: float | None) -> str:
    if top is None:
        return panel.plan
    return re.sub(r"^T = 262144$", f"T = {top:g}", panel.plan, flags=re.MULTILINE)
