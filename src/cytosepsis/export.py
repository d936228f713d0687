"""Gated populations as FCS files of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import FcsError
from cytosepsis.fcs import RawEvents
from cytosepsis.fcs_layout import number_of
from cytosepsis.fcs_write import Datatype, write_fcs
from cytosepsis.gating.apply import Populations

EXACT_IN_FLOAT32 = 2**24  # float32 holds every integer up to here

# What is carried over: the instrument and its settings, never a keyword that may name a person.
_CARRIED = (
    *("$CYT", "$CYTSN", "$DATE", "$BTIM", "$ETIM", "$BEGINDATETIME", "$ENDDATETIME"),
    *("$SPILLOVER", "$SPILL", "SPILL"),
)
_CARRIED_OF_PARAMETERS = ("V", "L", "F", "O", "D")


def export_populations(
    raw: RawEvents, populations: Populations, folder: Path | str, *, stem: str | None = None
) -> dict[str, Path]:
    """Write every population but root as `STEM.POPULATION.fcs`; the file of each path.

    FCS 3.1, values uncompensated, with the spillover matrix, gains and time step beside them, so
    that a reader finds the linear values of the whole file again. Log amplifiers are undone. 32-bit
    floats; doubles where the file holds doubles or integers above 2^24.

    Parameters
    ----------
    folder
        Made where it does not exist; files of the same name are replaced.
    stem
        Begin of the names; default: the FCS file's own name.

    Raises
    ------
    FcsError
        `fcs_write` where the file's own names cannot be written (two equal $PnN).

    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [path for path in populations.paths if path != "root"]
    files = _file_names(folder, stem or Path(raw.path).stem, paths)
    source = Path(raw.path).resolve()
    if any(file.resolve() == source for file in files):
        raise FcsError("the export would replace the file itself", code="fcs_write")
    events = _values(raw)
    for path, file in zip(paths, files, strict=True):
        write_fcs(
            file,
            events[populations.mask(path)],
            pnn=raw.pnn,
            pns=raw.pns,
            keywords=_keywords(raw) | {"CYTOSEPSIS POPULATION": path},
            ranges=_ranges(raw),
            datatype=_datatype(raw),
        )
    return dict(zip(paths, files, strict=True))


def safe_name(text: str) -> str:
    """Text without anything that a file system takes for more than a letter."""
    return re.sub(r"[^\w.+-]", "_", text)


def _file_names(folder: Path, stem: str, paths: Sequence[str]) -> list[Path]:
    """Name of each population's file; each once."""
    taken: set[str] = set()
    files = []
    for path in paths:
        name = safe_name(f"{stem}.{path.removeprefix('root/').replace('/', '.')}")
        name = name[:180]  # file systems end at 255 bytes
        found, number = name, 2
        while found.casefold() in taken:
            found, number = f"{name}_{number}", number + 1
        taken.add(found.casefold())
        files.append(folder / f"{found}.fcs")
    return files


def _values(raw: RawEvents) -> NDArray[np.float64]:
    """Numbers as stored, log amplifiers undone."""
    events = raw.stored()
    for column, parameter in enumerate(raw.parameters):
        if parameter.decades > 0:
            exponent = parameter.decades * events[:, column] / parameter.range
            events[:, column] = 10**exponent * parameter.log_offset
    return events


def _ranges(raw: RawEvents) -> list[int]:
    tops = [
        10**parameter.decades * parameter.log_offset if parameter.decades > 0 else parameter.range
        for parameter in raw.parameters
    ]
    return [max(1, math.ceil(top)) for top in tops]


def _datatype(raw: RawEvents) -> Datatype:
    """The smaller of the two types of floats that holds what the file holds."""
    kinds = {str(field.kind) for field in raw.layout.fields} or {raw.layout.data_type}
    if not kinds <= {"F", "I"}:
        return "D"
    masks = raw.layout.masks or tuple(2**parameter.bits - 1 for parameter in raw.parameters)
    return "D" if "I" in kinds and max(masks) >= EXACT_IN_FLOAT32 else "F"


def _keywords(raw: RawEvents) -> dict[str, str]:
    """What a reader needs besides the numbers."""
    wanted = [*_CARRIED]
    for n, parameter in enumerate(raw.parameters, start=1):
        wanted += [f"$P{n}{letter}" for letter in _CARRIED_OF_PARAMETERS]
        if parameter.applied_gain != 1.0:
            wanted.append(f"$P{n}G")
    if number_of(raw.keywords, "$TIMESTEP") is not None:
        wanted.append("$TIMESTEP")
    found = {key: raw.keywords.get(key, "").strip() for key in wanted}
    return {key: value for key, value in found.items() if value}
