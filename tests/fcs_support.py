"""The generated table of docs/fcs-support.md: real files that FlowKit does not read, and ours."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

from flowio import FlowData
from flowio.exceptions import FCSParsingError, MultipleDataSetsError

from cytosepsis.errors import FcsError
from cytosepsis.fcs import RawEvents, read_fcs, read_keywords

ERRORS = (
    *(FCSParsingError, MultipleDataSetsError, struct.error),
    *(ValueError, KeyError, IndexError, TypeError, NotImplementedError),
)
HEADER = """| file | instrument | layout | FlowKit 1.3 (FlowIO 1.4) | read here |
|---|---|---|---|---|
"""


def fcs_files(corpus: Path) -> list[Path]:
    """Files that are FCS by their first bytes or by their name."""
    found = []
    for path in sorted(corpus.rglob("*")):
        if path.is_file():
            with path.open("rb") as handle:
                named = path.suffix.lower() in {".fcs", ".lmd"}
                if named or handle.read(3) == b"FCS":
                    found.append(path)
    return found


def flowkits_error(path: Path) -> str | None:
    """What FlowKit's reader says with its default options; None where it reads the file."""
    try:
        with path.open("rb") as handle, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            FlowData(handle).as_array()
    except ERRORS as error:
        return "struct.error" if isinstance(error, struct.error) else type(error).__name__
    return None


def row(name: str, path: Path, error: str) -> str:
    """One line of the table."""
    try:
        found = read_keywords(path)
        instrument, layout = found.keywords.get("$CYT", "").strip(), layout_of(found)
    except FcsError:
        instrument = layout = ""
    try:
        raw = read_fcs(path)
        notes = ", ".join(f"`{code}`" for code in raw.note_codes)
        result = f"{raw.n_events:,} × {raw.n_parameters}" + (f"; {notes}" if notes else "")
        raw.stored()
    except FcsError as refusal:
        result = f"refused: `{refusal.code}`"
    return f"| `{name}` | {instrument} | {layout} | {error} | {result} |\n"


def layout_of(raw: RawEvents) -> str:
    """Version, type, widths and byte order."""
    kind = {"I": "integers", "F": "floats", "D": "doubles", "A": "text"}[raw.layout.data_type]
    widths = "/".join(str(w) for w in sorted({parameter.bits for parameter in raw.parameters}))
    unit = "characters" if kind == "text" else "bit"
    order = "" if kind == "text" else f", `{raw.keywords.get('$BYTEORD', '')}`"
    return f"{raw.version}, {kind} of {widths} {unit}{order}"


def table(corpus: Path) -> str:
    """The whole table."""
    text = HEADER
    for path in fcs_files(corpus):
        error = flowkits_error(path)
        if error is not None:
            text += row(path.relative_to(corpus).as_posix(), path, error)
    return text
