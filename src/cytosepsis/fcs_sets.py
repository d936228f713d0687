"""Several data sets in one file: where they begin, and which is meant."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from cytosepsis.errors import FcsError
from cytosepsis.fcs_layout import Note, integer_of
from cytosepsis.fcs_text import Header, TextSegment, read_header, read_text

MOST_DATA_SETS = 1000  # a plate has 384 wells; a longer chain is followed no further


@dataclass(frozen=True, slots=True)
class DataSet:
    """HEADER and TEXT of one data set; offsets in them count from `offset`."""

    offset: int
    header: Header
    text: TextSegment


def data_sets(handle: BinaryIO, *, limit: int = MOST_DATA_SETS) -> tuple[DataSet, ...]:
    """Return the file's data sets, following $NEXTDATA; stops where the chain makes no sense.

    Offsets only grow, so there are no loops; segments that overlap would be read again and again,
    so no more bytes of TEXT are taken than the file has.
    """
    size = handle.seek(0, os.SEEK_END)
    found = [_data_set(handle, 0)]
    budget = size
    while len(found) < limit:
        last = found[-1]
        budget -= last.header.text[1] - last.header.text[0] + 1
        try:
            step = integer_of(last.text.keywords, "$NEXTDATA", default=0)
            if step <= 0 or last.offset + step >= size or budget <= 0:
                break
            found.append(_data_set(handle, last.offset + step))
        except FcsError:
            break  # a chain that leads nowhere ends where it still made sense
    return tuple(found)


def _data_set(handle: BinaryIO, offset: int) -> DataSet:
    header = read_header(handle, offset)
    return DataSet(offset, header, read_text(handle, header, offset))


def choose(
    handle: BinaryIO, dataset: int | None, notes: list[Note], *, listing: bool = False
) -> tuple[int, int, DataSet]:
    """Number of the data set that is meant, how many there are, and itself.

    Without a number the only one, or Beckman's finer one; `listing` takes the first where
    none was chosen. FcsError: `several_data_sets`, `data_set_missing`.
    """
    if dataset is not None:
        sets = data_sets(handle, limit=max(dataset + 1, 1))
        if not 0 <= dataset < len(sets):
            raise FcsError(
                f"data set {dataset} was asked for, the file holds {len(sets)} (from 0)",
                code="data_set_missing",
            )
        return dataset, len(sets), sets[dataset]
    first = _data_set(handle, 0)
    if integer_of(first.text.keywords, "$NEXTDATA", default=0) == 0:
        return 0, 1, first
    sets = data_sets(handle)
    if len(sets) == 1:
        notes.append(Note("next_data_missing", "$NEXTDATA leads to no other data set"))
        return 0, 1, first
    if is_beckman_pair(sets):
        text = "Beckman LMD: of its two data sets the one of high resolution (1) is read"
        notes.append(Note("high_resolution_set", text))
        return 1, 2, _described(sets[1], first.text.keywords)
    if not listing:
        raise FcsError(
            f"the file holds {len(sets)} data sets; choose one (dataset=0 …; `inspect` lists them)",
            code="several_data_sets",
        )
    notes.append(Note("several_data_sets", f"{len(sets)} data sets; the first is shown"))
    return 0, len(sets), first


def is_beckman_pair(sets: tuple[DataSet, ...]) -> bool:
    """Whether these are the two forms in which Beckman writes one acquisition (LMD).

    FCS 2.0 with 10 bits, compensated, and FCS 3.0 with 20 bits, uncompensated, of the same events.
    """
    if len(sets) != 2 or sets[0].header.version != "2.0" or sets[1].header.version == "2.0":
        return False
    first, second = (s.text.keywords for s in sets)
    same = first.get("$TOT", "").strip() == second.get("$TOT", " ").strip()
    return same and any(key.startswith("@") for key in first)  # Beckman's own keywords


def _described(second: DataSet, first: Mapping[str, str]) -> DataSet:
    """Add what only the first set says of the same acquisition: instrument, time, voltages, stains.

    Its parameters bear the detector's name and how it was amplified (`FL1 Log`).
    """
    keywords = dict(second.text.keywords)
    for key in ("$CYT", "$CYTSN", "@CYTOMETERID", "$DATE", "$BTIM", "$ETIM", "$FIL"):
        if key in first:
            keywords.setdefault(key, first[key])
    for n in range(1, integer_of(keywords, "$PAR") + 1):
        detector = keywords.get(f"$P{n}N", "").strip()
        for what in ("V", "S"):
            found = {
                first.get(f"$P{k}{what}", "").strip()
                for k in range(1, integer_of(first, "$PAR") + 1)
                if first.get(f"$P{k}N", "").split(" ")[0] == detector
                and first.get(f"$P{k}{what}", "").strip() != first.get(f"$P{k}N", "").strip()
            } - {""}
            if detector and len(found) == 1:
                keywords.setdefault(f"$P{n}{what}", found.pop())
    return DataSet(second.offset, second.header, TextSegment(keywords, second.text.notes))
