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
REQUIRED = frozenset(("$PAR", "$TOT", "$BYTEORD", "$DATATYPE", "$MODE"))
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
    if text is None or text[1] <= text[0]:
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
    return tokenize(handle.read(length))


def tokenize(raw: bytes) -> TextSegment:
    """Split a TEXT segment into keywords and values.

    A doubled delimiter is an escaped one (FCS 3.1, 3.2.6); writers that leave values empty break
    that rule, so where the escaped reading misses required keywords that the other reading has,
    the other counts, with a note.
    """
    notes: list[tuple[str, str]] = []
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
        notes.append(("text_encoding", "TEXT is not UTF-8; read as Latin-1"))
    if len(text) < 2:
        raise FcsError("TEXT is empty", code="text_unreadable")
    delimiter, body = text[0], text[1:].rstrip("\0 \r\n\t")
    if body.endswith(delimiter):
        body = body[: -len(delimiter)]
    parts = body.split(delimiter)
    keywords, repeated = _pairs(_joined(parts, delimiter))
    if not keywords.keys() >= REQUIRED and "" in parts:
        plain, plain_repeated = _pairs(parts)
        if len(plain.keys() & REQUIRED) > len(keywords.keys() & REQUIRED):
            keywords, repeated = plain, plain_repeated
            notes.append(("text_empty_values", "TEXT has empty values, which FCS does not allow"))
    if "$PAR" not in keywords:
        raise FcsError(
            f"TEXT holds no $PAR (delimiter {delimiter!r}, {len(parts)} words)",
            code="text_unreadable",
        )
    if repeated:
        notes.append(("keywords_repeated", f"{repeated} keywords stand twice; the first counts"))
    return TextSegment(keywords, tuple(notes))


def _joined(parts: list[str], delimiter: str) -> list[str]:
    """Undo the escaping: an empty part is a doubled delimiter, which belongs to the value."""
    tokens: list[str] = []
    glue = False
    for number, part in enumerate(parts):
        if part == "" and number > 0 and not glue:
            tokens[-1] += delimiter
            glue = True
        elif glue:
            tokens[-1] += part
            glue = False
        else:
            tokens.append(part)
    return tokens


def _pairs(tokens: list[str]) -> tuple[dict[str, str], int]:
    keywords: dict[str, str] = {}
    repeated = 0
    for key, value in zip(tokens[::2], tokens[1::2], strict=False):
        name = key.strip("\0 \r\n\t").upper()
        if name in keywords:
            repeated += 1
        else:
            keywords[name] = value.strip("\0")
    return keywords, repeated
