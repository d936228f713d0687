"""Where DATA lies and how many events it holds: HEADER, TEXT and the file against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cytosepsis.errors import FcsError
from cytosepsis.fcs_layout import Layout, Note, integer_of
from cytosepsis.fcs_text import Header

Truncated = Literal["refuse", "allow"]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Extent:
    """The layout that fits, with its first byte, and the number of events."""

    layout: Layout
    n_events: int


@dataclass(frozen=True, slots=True)
class _Stated:
    """What the file says of DATA; offsets count from where the data set begins."""

    header: Header
    places: tuple[Place, ...]
    size: int  # bytes from the data set's begin to the file's end

    begins: tuple[int, ...]  # as HEADER and TEXT state them

    def is_sure_to_begin_at(self, place: int) -> bool:
        """Whether DATA begins right after TEXT, or HEADER and TEXT give the same begin."""
        if set(self.begins) != {place}:
            return False
        return place == self.header.text[1] + 1 or len(self.begins) > 1

    def outside_text(self, place: Place) -> bool:
        text = self.header.text
        return place[0] > text[1] or text[0] > place[1]

    def first_of(self, places: Sequence[Place]) -> Place | None:
        """Of several places the one right after TEXT, else TEXT's, else HEADER's."""
        outside = [place for place in places if self.outside_text(place)]
        after = [place for place in outside if place[0] == self.header.text[1] + 1]
        return next(iter(after or outside), None)


def locate(
    header: Header,
    keywords: Mapping[str, str],
    layouts: Sequence[Layout],
    *,
    size: int,
    notes: list[Note],
    truncated: Truncated = "refuse",
) -> Extent:
    """Find DATA: of the places given, one that holds $TOT rows and lies outside TEXT.

    Parameters
    ----------
    layouts
        Ways in which rows may lie; the first that fits is taken.
    size
        Bytes from the begin of the data set to the end of the file.
    notes
        What had to be decided is added here.
    truncated
        "allow": of a file that ends early the whole rows that are there, with a note.

    Raises
    ------
    FcsError
        `data_offsets`, `event_count`, `truncated`, `keyword_missing`.

    """
    stated = _Stated(header, _places(header, keywords), size, _begins(header, keywords))
    if layouts[0].row_bits == 0:
        return _free_text(stated, keywords, layouts[0])
    if not keywords.get("$TOT", "").strip():
        return _counted(stated, layouts, notes)
    n_events = integer_of(keywords, "$TOT")
    if n_events == 0 and all(last <= first for first, last in stated.places):
        return Extent(layouts[0], 0)
    for layout in layouts:
        found = _fitting(stated, layout, n_events)
        if found is None:
            continue
        whole = layout.bytes_of(n_events)
        if found[0] + whole > size:
            if truncated == "allow":
                return _cut_short(stated, found, layout, n_events, notes)
            raise FcsError(
                f"DATA should reach byte {found[0] + whole:,}, the file has {size:,}: "
                "it is cut short; copy or export it again",
                code="truncated",
            )
        _note_choice(stated, found, whole, notes)
        if layout is not layouts[0]:
            notes.append(
                Note("bits_padded", "$PnB of odd width lie in words of 8, 16, 32 or 64 bits")
            )
        return Extent(replace(layout, first_byte=found[0]), n_events)
    if truncated == "allow":
        found = stated.first_of(stated.places)
        longest = max((last - first + 1 for first, last in stated.places), default=0)
        if found is not None and longest < layouts[0].bytes_of(n_events):
            return _cut_short(stated, found, layouts[0], n_events, notes)
    raise _length_error(stated, layouts[0].bytes_of(n_events))


def _places(header: Header, keywords: Mapping[str, str]) -> tuple[Place, ...]:
    """Places given for DATA, TEXT's first; FCS 2.0 has HEADER's, TEXT's only where that is none."""
    places: list[Place] = []
    in_header = header.data if header.data is not None and header.data[0] > 0 else None
    if (header.version != "2.0" or in_header is None) and "$BEGINDATA" in keywords:
        begin, end = integer_of(keywords, "$BEGINDATA"), integer_of(keywords, "$ENDDATA", default=0)
        places.append((begin, end))
    if in_header is not None and in_header not in places:
        places.append(in_header)
    return tuple(place for place in places if place[0] > 0)


def _begins(header: Header, keywords: Mapping[str, str]) -> tuple[int, ...]:
    begins = [header.data[0]] if header.data is not None else []
    if "$BEGINDATA" in keywords:
        begins.append(integer_of(keywords, "$BEGINDATA", default=0))
    return tuple(begin for begin in begins if begin > 0)


def _fitting(stated: _Stated, layout: Layout, n_events: int) -> Place | None:
    """Return the place whose length is that of the events, or of so little more that it is plain.

    One byte too far is a common slip (the end taken as the place after the last byte). Less than a
    row too much or one byte too little is believed only where the begin is beyond doubt.
    """
    wanted = layout.bytes_of(n_events)
    exact = [p for p in stated.places if p[1] - p[0] + 1 == wanted]
    one_more = [p for p in stated.places if p[1] - p[0] == wanted]
    found = stated.first_of([*exact, *one_more])
    if found is not None or layout.row_bytes < 3:
        return found
    close = [p for p in stated.places if -1 <= p[1] - p[0] + 1 - wanted < layout.row_bytes]
    return stated.first_of([place for place in close if stated.is_sure_to_begin_at(place[0])])


def _note_choice(stated: _Stated, found: Place, n_bytes: int, notes: list[Note]) -> None:
    surplus = found[1] - found[0] + 1 - n_bytes
    if abs(surplus) == 1:
        side = "too far" if surplus > 0 else "too early"
        notes.append(Note("data_end_off_by_one", f"the end of DATA is given one byte {side}"))
    elif surplus:
        notes.append(
            Note("data_padded", f"DATA is given {surplus} bytes longer than its events; ignored")
        )
    if any(p[0] != found[0] or abs(p[1] - found[1]) > 1 for p in stated.places):
        notes.append(
            Note(
                "offset_note",
                "HEADER and TEXT give different places for DATA; "
                "the one that holds $TOT events was read",
            )
        )


def _cut_short(
    stated: _Stated, found: Place, layout: Layout, n_events: int, notes: list[Note]
) -> Extent:
    there = max(0, min(found[1] + 1, stated.size) - found[0])
    rows = min(n_events, there * 8 // layout.row_bits)
    notes.append(
        Note("truncated", f"the file is cut short: {rows:,} of {n_events:,} events are there")
    )
    return Extent(replace(layout, first_byte=found[0]), rows)


def _counted(stated: _Stated, layouts: Sequence[Layout], notes: list[Note]) -> Extent:
    """Count events by the length of DATA, where $TOT is missing (FCS 2.0 allows it)."""
    found = stated.first_of(stated.places)
    if found is None:
        raise FcsError("$TOT is missing, and no place of DATA is given", code="keyword_missing")
    n_bytes = found[1] - found[0] + 1
    layout = layouts[0]
    rows = n_bytes * 8 // layout.row_bits
    if len(layouts) > 1 or len(stated.places) > 1 or layout.bytes_of(rows) != n_bytes:
        raise FcsError(
            f"keyword $TOT is missing, and DATA of {n_bytes:,} bytes does not tell it",
            code="keyword_missing",
        )
    if found[1] >= stated.size:
        raise FcsError(
            f"DATA should reach byte {found[1]:,}, the file has {stated.size:,}", code="truncated"
        )
    notes.append(Note("events_counted", "$TOT is missing; events were counted by the bytes"))
    return Extent(replace(layout, first_byte=found[0]), rows)


def _free_text(stated: _Stated, keywords: Mapping[str, str], layout: Layout) -> Extent:
    """Text of free width has no length to check; its numbers are counted when it is read."""
    n_events = integer_of(keywords, "$TOT")
    found = stated.first_of([p for p in stated.places if p[1] < stated.size])
    if found is None:
        raise _length_error(stated, 2 * n_events)
    n_bytes = found[1] - found[0] + 1
    return Extent(replace(layout, first_byte=found[0], n_bytes=n_bytes), n_events)


def _length_error(stated: _Stated, n_bytes: int) -> FcsError:
    if not stated.places:
        return FcsError("neither HEADER nor TEXT says where DATA lies", code="data_offsets")
    found = " or ".join(f"{last - first + 1:,}" for first, last in stated.places)
    if any(first + n_bytes > stated.size for first, _ in stated.places):
        return FcsError(
            f"$TOT and $PnB want {n_bytes:,} bytes of DATA, "
            f"the file ends before ({stated.size:,} bytes)",
            code="truncated",
        )
    return FcsError(
        f"$TOT and $PnB want {n_bytes:,} bytes of DATA, the offsets give {found}: "
        "another number of events than the file says",
        code="event_count",
    )
