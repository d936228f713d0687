"""HEADER and TEXT of an FCS data set: bounded reading, tolerant tokenizing, nothing decoded yet.

FlowIO deletes every `$` from TEXT and shifts pairs after an empty value (both change what keywords
say), so keywords are taken from here; FlowKit's parser still has to accept the file.
Standard: FCS 3.1, 10.1002/cyto.a.20825, sections 3.1 and 3.2.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

from cytosepsis.errors import FcsError

HEADER_BYTES = 58
PADDING = "\0 \r\n\t"  # what writers leave after TEXT and before keywords
MAX_TEXT_WORDS = 10**6  # keywords and values; mass cytometers have some thousand
MAX_TEXT_BYTES = 64 * 2**20  # index-sorted files reach a few MB; beyond, it is not TEXT


@dataclass(frozen=True, slots=True)
class Header:
    """Version and segment offsets as the HEADER states them; None where blank or not a number."""

    version: str
    text: tuple[int, int]
    data: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class TextSegment:
    """Keywords in upper case, `$` kept; and what was odd about them, as (code, sentence)."""

    keywords: dict[str, str]
    notes: tuple[tuple[str, str], ...]


def read_header(handle: BinaryIO, offset: int = 0) -> Header:
    """Read the HEADER of the data set that starts at `offset`; FcsError where it is none."""
    handle.seek(offset)
    raw = handle.read(HEADER_BYTES)
    if len(raw) == 0:
        raise FcsError("the file is empty; an FCS file begins with FCS2.0, FCS3.0 …", code="empty")
    if raw[:3] != b"FCS":
        raise FcsError(
            f"this is no FCS file: it begins with {raw[:6]!r}, not with FCS2.0, FCS3.0 …",
            code="not_fcs",
        )
    if len(raw) < HEADER_BYTES:
        raise FcsError(f"the file ends inside its HEADER ({len(raw)} bytes)", code="truncated")
    text = _offsets(raw[10:18], raw[18:26])
    if text is None or text[0] < 1 or text[1] <= text[0]:
        raise FcsError(
            f"the HEADER gives no usable place for TEXT: {raw[10:26]!r}", code="header_offsets"
        )
    return Header(raw[3:6].decode("ascii", "replace"), text, _offsets(raw[26:34], raw[34:42]))


def _offsets(first: bytes, last: bytes) -> tuple[int, int] | None:
    try:
        return int(first), int(last)
    except ValueError:
        return None


def read_text(handle: BinaryIO, header: Header, offset: int = 0) -> TextSegment:
    """Read and tokenize the primary TEXT segment, bounded by the file and by MAX_TEXT_BYTES."""
    begin, end = header.text
    length = end - begin + 1
    size = handle.seek(0, os.SEEK_END)
    if length > MAX_TEXT_BYTES:
        raise FcsError(f"TEXT claims {length:,} bytes; refused", code="text_too_large")
    if offset + begin >= size:
        raise FcsError(
            f"TEXT should begin at byte {begin:,}, the file has {size:,}", code="truncated"
        )
    if offset + end >= size:
        raise FcsError(f"TEXT should end at byte {end:,}, the file has {size:,}", code="truncated")
    handle.seek(offset + begin)
    raw = handle.read(length)
    return _supplemented(tokenize(raw), raw[:1], handle, header, offset)


def _supplemented(
    primary: TextSegment, delimiter: bytes, handle: BinaryIO, header: Header, offset: int
) -> TextSegment:
    """Add the keywords of a supplemental TEXT segment ($BEGINSTEXT; FCS 3.1, 3.2.6).

    It has the delimiter of the primary one; instruments put other things there too (archives).
    """
    keywords = primary.keywords
    place = _offsets(
        keywords.get("$BEGINSTEXT", "").encode(), keywords.get("$ENDSTEXT", "").encode()
    )
    if place is None or place[0] <= 0 or place == header.text or place[1] <= place[0]:
        return primary
    handle.seek(offset + place[0])
    raw = handle.read(min(place[1] - place[0], MAX_TEXT_BYTES) + 1)
    if len(raw) != place[1] - place[0] + 1 or raw[:1] != delimiter:
        note = ("supplement_unreadable", "$BEGINSTEXT and $ENDSTEXT enclose no TEXT; ignored")
        return TextSegment(keywords, (*primary.notes, note))
    more = _split(raw)
    return TextSegment({**more.keywords, **keywords}, (*primary.notes, *more.notes))


def tokenize(raw: bytes) -> TextSegment:
    """Split a primary TEXT segment into keywords and values; FcsError where it has no $PAR."""
    segment = _split(raw)
    if "$PAR" not in segment.keywords:
        raise FcsError(
            f"TEXT holds no $PAR (it begins with {raw[:12]!r}; {len(segment.keywords)} keywords)",
            code="text_unreadable",
        )
    return segment


def _split(raw: bytes) -> TextSegment:
    notes: list[tuple[str, str]] = []
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
        notes.append(("text_encoding", "TEXT is not UTF-8; read as Latin-1"))
    if len(text) < 2:
        return TextSegment({}, tuple(notes))
    delimiter = text[0]
    body = text[1:].rstrip(PADDING.replace(delimiter, ""))
    if body.endswith(delimiter):
        body = body[: -len(delimiter)]
    if body.count(delimiter) > MAX_TEXT_WORDS:
        raise FcsError(
            f"TEXT has more than {MAX_TEXT_WORDS:,} keywords and values; refused",
            code="text_too_large",
        )
    parts = body.split(delimiter)
    keywords: dict[str, str] = {}
    repeated = empty = 0
    place = 0
    while place + 1 < len(parts):
        name = parts[place].strip(PADDING).upper()
        value, place = _value(parts, place + 1, delimiter)
        empty += value == ""
        if name in keywords:
            repeated += 1
        else:
            keywords[name] = value.strip("\0")
    if empty:
        notes.append(("text_empty_values", "TEXT has empty values, which FCS does not allow"))
    if repeated:
        notes.append(("keywords_repeated", f"{repeated} keywords stand twice; the first counts"))
    return TextSegment(keywords, tuple(notes))


def _value(parts: list[str], place: int, delimiter: str) -> tuple[str, int]:
    """Read the value that begins at parts[place], and where the next keyword begins.

    A doubled delimiter is an escaped one (FCS 3.1, 3.2.6), so an empty part joins its neighbours.
    Writers that leave values empty break that rule; but a keyword is never empty and never holds
    the delimiter, so one empty part where a value should begin is an empty value, two are a value
    that begins with the delimiter. Both customs can stand in one file.
    """
    following = parts[place + 1 : place + 2]
    if parts[place] == "" and following != [""]:
        return "", place + 1
    value = parts[place]
    place += 1
    while place < len(parts) and parts[place] == "":
        value += delimiter + "".join(parts[place + 1 : place + 2])
        place += 2
    return value, place
