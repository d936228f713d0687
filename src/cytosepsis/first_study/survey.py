"""What lies in a folder of FCS files: channels, instrument, date, hints on what a file is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cytosepsis.compensation import spillover_of
from cytosepsis.errors import CytosepsisError, FcsError
from cytosepsis.fcs import RawEvents, read_fcs
from cytosepsis.fcs_sets import data_sets

ENDINGS = (".fcs", ".lmd")
# Keywords in which operators write what a tube is. They may identify a person: they are matched,
# never written anywhere.
_TOLD_IN = ("TUBE NAME", "$SMNO", "SAMPLE ID", "$FIL", "$COM", "$CELLS", "EXPERIMENT NAME")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One readable FCS file."""

    file: str  # relative to the folder, with /
    path: Path
    n_events: int
    channels: tuple[tuple[str, str], ...]  # ($PnN, $PnS) in the file's order
    tops: tuple[float, ...]  # $PnR of every parameter; 0: unknown
    cytometer: str | None
    acquired_at: datetime | None
    has_spillover: bool  # a matrix of its own that can be used
    dataset: int | None = None  # of a file with several data sets
    told: tuple[str, ...] = ()  # what keywords say of the tube; never written

    @property
    def pnn(self) -> tuple[str, ...]:
        """`$PnN` of every parameter."""
        return tuple(pnn for pnn, _ in self.channels)

    @property
    def stem(self) -> str:
        """The file's name without folder and ending."""
        return self.file.rpartition("/")[2].rpartition(".")[0]

    def read(self, n_events: int) -> RawEvents:
        """The file's first events, so that a look costs the same whatever its length."""
        raw = read_fcs(self.path, dataset=self.dataset)
        return replace(raw, n_events=min(raw.n_events, n_events))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that cannot be part of a study, and why."""

    file: str
    reason: str


def survey(
    folder: Path, progress: Callable[[str], None] | None = None
) -> tuple[tuple[FileFacts, ...], tuple[LeftOut, ...]]:
    """Look into every FCS file below a folder, in order of its name; TEXT alone is read."""
    found: list[FileFacts] = []
    left: list[LeftOut] = []
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if progress is not None:
            progress(name)
        if not path.resolve().is_relative_to(folder.resolve()):
            left.append(LeftOut(name, "a link that leads out of the folder"))
            continue
        if not name.isprintable():  # a sheet cannot hold it
            shown = "".join(c if c.isprintable() else "�" for c in name)
            left.append(LeftOut(shown, "line breaks or control characters in the name; rename it"))
            continue
        try:
            found.append(_facts(name, path))
        except CytosepsisError as error:
            left.append(LeftOut(name, f"{error.code}: {error.message}"))
    return tuple(found), tuple(left)


def _files(folder: Path) -> Iterator[Path]:
    paths = (p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
    yield from sorted(paths, key=lambda p: [_natural(part) for part in p.parts])


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """D2 before D10, whatever the case."""
    return [
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part.casefold())
        for part in re.split(r"(\d+)", text)
    ]


def _facts(name: str, path: Path) -> FileFacts:
    dataset = None
    try:
        raw = read_fcs(path)
    except FcsError as error:
        if error.code != "several_data_sets":
            raise
        dataset = _largest_set(path)
        raw = read_fcs(path, dataset=dataset)
    if raw.n_events == 0:
        raise FcsError("the file holds no events", code="no_events")
    keywords = raw.keywords
    return FileFacts(
        file=name,
        path=path,
        n_events=raw.n_events,
        channels=tuple(zip(raw.pnn, raw.pns, strict=True)),
        tops=tuple(float(parameter.range or 0) for parameter in raw.parameters),
        cytometer=raw.cytometer,
        acquired_at=raw.acquired_at,
        has_spillover=_has_spillover(raw),
        dataset=dataset,
        told=tuple(keywords[key] for key in _TOLD_IN if key in keywords),
    )


def _has_spillover(raw: RawEvents) -> bool:
    try:
        own = spillover_of(raw.keywords)
    except CytosepsisError:
        return False
    return own is not None and set(own.detectors) <= set(raw.pnn)


def _largest_set(path: Path) -> int:
    """The data set with the most events; of several, the first."""
    with path.open("rb") as handle:
        n_sets = len(data_sets(handle))
    counts = []
    for number in range(n_sets):
        try:
            counts.append(read_fcs(path, dataset=number).n_events)
        except FcsError:
            counts.append(-1)
    return counts.index(max(counts))
