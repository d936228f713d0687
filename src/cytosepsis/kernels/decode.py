"""Stored numbers of a block of rows to linear float64 columns, whatever their layout.

The block is given as views of one buffer, so that one compiled kernel serves every layout. Bytes
are swapped in registers; an integer's bits become a float by storing them in a scratch row that
is also seen as floats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytosepsis.kernels import borrowing, viewing

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
# Unsigned: numba would otherwise test every index for being negative.
Rows = NDArray[np.uint32]


class Views(NamedTuple):
    """One buffer of stored rows as every kind of number, and scratch that turns bits to floats.

    The first five are views of the same bytes (whole items only); `bits32` is scratch of two
    words a row, and `float32`, `float64` are views of it.
    """

    f32: NDArray[np.float32]
    f64: NDArray[np.float64]
    u8: NDArray[np.uint8]
    u16: NDArray[np.uint16]
    u32: NDArray[np.uint32]
    bits32: NDArray[np.uint32]
    float32: NDArray[np.float32]
    float64: NDArray[np.float64]
    rows: NDArray[np.uint32]  # scratch: row numbers


@viewing
def seen_as_numbers(data: Bytes, bits: Rows, numbers: Rows) -> Views:
    """Stored rows as every kind of number; bits, two words a row, and numbers are scratch."""
    n = len(data)
    return Views(
        data[: n // 4 * 4].view(np.float32),
        data[: n // 8 * 8].view(np.float64),
        data,
        data[: n // 2 * 2].view(np.uint16),
        data[: n // 4 * 4].view(np.uint32),
        bits,
        bits.view(np.float32),
        bits.view(np.float64),
        numbers,
    )


FLOAT32 = 0
FLOAT32_SWAPPED = 1
FLOAT64 = 2
FLOAT64_SWAPPED = 3
UINT8 = 4
UINT16 = 5
UINT16_SWAPPED = 6
UINT32 = 7
UINT32_SWAPPED = 8


@borrowing
def swap16(value: int) -> int:
    """Reverse the bytes of a 16-bit number (given and returned as a wider integer)."""
    return ((value & 0xFF) << 8) | (value >> 8)


@borrowing
def swap32(value: int) -> int:
    """Reverse the bytes of a 32-bit number held in an int64."""
    return (
        ((value & 0xFF) << 24)
        | ((value & 0xFF00) << 8)
        | ((value >> 8) & 0xFF00)
        | ((value >> 24) & 0xFF)
    )


@borrowing
def decode_rows(  # noqa: PLR0912  (a case for each layout)
    views: Views,
    code: int,
    column: np.uint64,
    stride: np.uint64,
    rows: Rows,
    mask: int,
    out: Floats,
) -> None:
    """Decode one column of the given rows, out[row] = number as float64; rows is (n,)."""
    if code == FLOAT32:
        for row in rows:
            out[row] = views.f32[column + row * stride]
    elif code == FLOAT32_SWAPPED:
        for row in rows:
            views.bits32[row] = swap32(views.u32[column + row * stride])
        for row in rows:
            out[row] = views.float32[row]
    elif code == FLOAT64:
        for row in rows:
            out[row] = views.f64[column + row * stride]
    elif code == FLOAT64_SWAPPED:
        for row in rows:
            place = 2 * (column + row * stride)
            views.bits32[2 * row] = swap32(views.u32[place + 1])
            views.bits32[2 * row + 1] = swap32(views.u32[place])
        for row in rows:
            out[row] = views.float64[row]
    elif code == UINT8:
        for row in rows:
            out[row] = np.int64(views.u8[column + row * stride]) & mask
    elif code == UINT16:
        for row in rows:
            out[row] = np.int64(views.u16[column + row * stride]) & mask
    elif code == UINT16_SWAPPED:
        for row in rows:
            out[row] = np.int64(swap16(views.u16[column + row * stride])) & mask
    elif code == UINT32:
        for row in rows:
            out[row] = views.u32[column + row * stride] & mask
    else:
        for row in rows:
            out[row] = swap32(views.u32[column + row * stride]) & mask


@borrowing
def decode_all(
    views: Views,
    code: int,
    column: np.uint64,
    stride: np.uint64,
    n_rows: int,
    mask: int,
    out: Floats,
) -> None:
    """Decode one column of the first n_rows rows, out[row] = number as float64."""
    place = column
    if code == FLOAT32:
        for row in range(n_rows):
            out[row] = views.f32[place]
            place += stride
    elif code == FLOAT32_SWAPPED:
        for row in range(n_rows):
            views.bits32[row] = swap32(views.u32[place])
            place += stride
        for row in range(n_rows):
            out[row] = views.float32[row]
    elif code == FLOAT64:
        for row in range(n_rows):
            out[row] = views.f64[place]
            place += stride
    elif code == UINT16:
        for row in range(n_rows):
            out[row] = np.int64(views.u16[place]) & mask
            place += stride
    else:
        for row in range(n_rows):
            views.rows[row] = row
        decode_rows(views, code, column, stride, views.rows[:n_rows], mask, out)


@borrowing
def unpack_bits(
    raw: NDArray[np.uint8],
    row_bits: int,
    first_bit: int,
    bits: int,
    mask: np.uint64,
    big_endian: bool,
    out: Floats,
) -> None:
    """Decode one column of integers of 1 to 64 bits that may begin anywhere in a byte.

    The bytes are one stream of bits, rows without a gap: of a little-endian file the lowest bit of
    a byte comes first and a number's lowest bits come first; of a big-endian one the highest.
    out is (n_rows,).
    """
    for row in range(len(out)):
        bit = row * row_bits + first_bit
        value = np.uint64(0)
        taken = 0
        while taken < bits:
            inside = bit & 7
            take = min(8 - inside, bits - taken)
            shift = 8 - inside - take if big_endian else inside
            chunk = (np.uint64(raw[bit >> 3]) >> np.uint64(shift)) & np.uint64((1 << take) - 1)
            if big_endian:
                value = (value << np.uint64(take)) | chunk
            else:
                value = value | (chunk << np.uint64(taken))
            bit += take
            taken += take
        out[row] = float(value & mask)
