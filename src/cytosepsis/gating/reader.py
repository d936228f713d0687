"""One door to gating plans: the file's ending says which format it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cytosepsis.errors import GatingError
from cytosepsis.gating.flowjo import read_flowjo
from cytosepsis.gating.gatingml import read_gatingml
from cytosepsis.gating.markup import local_name, read_markup
from cytosepsis.gating.plan import GatingPlan
from cytosepsis.gating.toml_plan import read_toml_plan


def read_gating(path: str | Path, *, sample: str | Sequence[str] | None = None) -> GatingPlan:
    """Read a gating plan: `.toml`, `.xml` (Gating-ML 2.0) or `.wsp` (FlowJo 10), in any case.

    `sample` chooses the sample of a FlowJo workspace (its name, `$FIL`, file name or
    `KEYWORD=VALUE`; or several names of one acquisition) and means nothing to the other formats.
    A `.xml` that holds a FlowJo workspace is read as one.

    Raises
    ------
    GatingError
        The file cannot be read, is not of its format, or holds what cannot be applied; the message
        names every fault that was found.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".toml":
            return read_toml_plan(path)
        case ".xml" | ".wsp":
            return _read_xml(path, sample)
        case ending:
            raise GatingError(
                f"a gating plan ends in .toml, .xml (Gating-ML 2.0) or .wsp (FlowJo 10), not in "
                f"{ending!r}",
                file=str(path),
                step="gating",
            )


def _read_xml(path: Path, sample: str | Sequence[str] | None) -> GatingPlan:
    root = read_markup(path)
    if local_name(root) == "Workspace":
        return read_flowjo(path, sample=sample, root=root)
    return read_gatingml(path, root=root)
