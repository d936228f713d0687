"""Rows that cannot be used where they lie, decoded block by block to float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import FcsError
from cytosepsis.fcs_layout import Field, Layout

TEXT_PIECE = 1 << 20  # bytes of free text that are taken apart at once
LONGEST_NUMBER = 400  # characters; a float64 in full has some 330
_NATIVE = {("F", 32): "f4", ("D", 64): "f8"} | {("I", n): f"u{n // 8}" for n in (8, 16, 32, 64)}
_NUMBER = frozenset(b"0123456789+-.eE \t\r\n,\0")


def decode_rows(raw: NDArray[np.uint8], layout: Layout, out: NDArray[np.float64]) -> None:
    """Decode rows of fixed length, masks applied; `raw` begins at a row, out is (n, columns)."""
    values = np.empty(len(out))
    for column, field in enumerate(layout.fields):
        mask = layout.masks[column] if layout.masks else 2**64 - 1
        native = _native_view(raw, field, layout, len(out))
        if field.kind == "A":
            out[:, column] = _text_numbers(raw, field, layout, len(out))
        elif native is None:
            # Here, not above: whoever reads keywords alone needs no compiler.
            from cytosepsis.kernels.decode import unpack_bits  # noqa: PLC0415

            unpack_bits(
                raw,
                layout.row_bits,
                field.first_bit,
                field.bits,
                np.uint64(mask),
                layout.big_endian,
                values,
            )
            out[:, column] = values
        elif field.kind == "I" and layout.masks:
            out[:, column] = native & native.dtype.type(mask & (2**field.bits - 1))
        else:
            out[:, column] = native


def _native_view(
    raw: NDArray[np.uint8], field: Field, layout: Layout, n_rows: int
) -> NDArray[Any] | None:
    """See a column of a machine's width that begins at whole bytes where it lies; else None."""
    name = _NATIVE.get((field.kind, field.bits))
    if name is None or layout.row_bits % 8 or field.first_bit % 8:
        return None
    kind = np.dtype((">" if layout.big_endian else "<") + name)
    return _column(raw, field, layout, n_rows, kind)


def _column(
    raw: NDArray[np.uint8], field: Field, layout: Layout, n_rows: int, kind: np.dtype[Any]
) -> NDArray[Any]:
    if n_rows == 0:
        return np.empty(0, dtype=kind)
    strides = (layout.row_bits // 8,)
    return np.ndarray((n_rows,), kind, raw.data, field.first_bit // 8, strides)


def _text_numbers(
    raw: NDArray[np.uint8], field: Field, layout: Layout, n_rows: int
) -> NDArray[np.float64]:
    """Text of fixed width to numbers."""
    kind = np.dtype(f"S{field.bits // 8}")
    return _numbers(_column(raw, field, layout, n_rows, kind))


def _numbers(words: NDArray[Any]) -> NDArray[np.float64]:
    if not _NUMBER.issuperset(words.tobytes()):
        raise FcsError("DATA is text that holds other things than numbers", code="data_text")
    try:
        return words.astype(np.float64)
    except ValueError as error:
        raise FcsError(f"DATA is text, and not of numbers: {error}", code="data_text") from None


def free_text_rows(
    handle: BinaryIO, layout: Layout, n_events: int, rows: int
) -> Iterator[NDArray[np.float64]]:
    """Blocks of rows of numbers in text of free width (`$PnB` `*`).

    Numbers are parted by blanks, tabs, commas, ends of lines, or several of them (FCS 3.1, 3.2.20).
    FcsError (`event_count`) where there are fewer or more than $TOT rows of them.
    """
    columns = len(layout.fields)
    waiting = np.empty(0)
    given = 0
    for numbers in _free_numbers(handle, layout):
        waiting = np.concatenate((waiting, numbers))
        whole = len(waiting) // columns
        for first in range(0, whole, rows):
            last = min(first + rows, whole)
            given += last - first
            yield waiting[first * columns : last * columns].reshape(-1, columns)
        waiting = waiting[whole * columns :]
        if given > n_events:
            break
    if given != n_events or len(waiting):
        more = "at least " if given > n_events else ""
        raise FcsError(
            f"$TOT is {n_events:,} events of {columns} numbers, DATA holds {more}"
            f"{given * columns + len(waiting):,} numbers",
            code="event_count",
        )


def _free_numbers(handle: BinaryIO, layout: Layout) -> Iterator[NDArray[np.float64]]:
    handle.seek(layout.first_byte)
    left = layout.n_bytes
    rest = b""
    while left > 0 or rest:
        piece = handle.read(min(TEXT_PIECE, left)) if left > 0 else b""
        left = left - len(piece) if piece else 0
        text = (rest + piece).translate(_PARTED)
        rest = b""
        if left > 0:
            end = text.rfind(b" ") + 1
            text, rest = text[:end], text[end:]
        words = text.split()
        if max(map(len, words), default=len(rest)) > LONGEST_NUMBER or len(rest) > LONGEST_NUMBER:
            raise FcsError("DATA is text, and not of numbers", code="data_text")
        yield _numbers(np.array(words, dtype=bytes)) if words else np.empty(0)


_PARTED = bytes.maketrans(b",\t\r\n\0", b"     ")
