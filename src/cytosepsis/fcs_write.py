"""Writing FCS 3.1 files: one data set, list mode, offsets that agree, bytes that repeat.

Follows Spidlen et al. 2010, 10.1002/cyto.a.20825. The bytes are a function of the arguments: no
clock, host or user name is added.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cytosepsis.errors import FcsError

Datatype = Literal["F", "D", "I8", "I16", "I32"]

HEADER_LENGTH = 58  # bytes; TEXT starts right after it
LARGEST_HEADER_OFFSET = 99_999_999  # eight digits; beyond, HEADER carries zeros (FCS 3.1, 3.1)
BLOCK_BYTES = 1 << 22  # events are converted and written in blocks of about this size

# Tried in this order; the first that occurs in no keyword or value needs no escaping at all, which
# every reader gets right. All are printable or customary, and readers are known to take them.
DELIMITERS = ("/", "|", "\\", "!", "#", "\f", "\t", "\x1e")


@dataclass(frozen=True, slots=True)
class _Storage:
    code: str  # $DATATYPE
    bits: int  # $PnB
    dtype: str  # numpy, without byte order
    default_range: int  # $PnR


_STORAGE: dict[Datatype, _Storage] = {
    "F": _Storage("F", 32, "f4", 262_144),  # 18 bits: the digital range of most analysers
    "D": _Storage("D", 64, "f8", 262_144),
    "I8": _Storage("I", 8, "u1", 1 << 8),
    "I16": _Storage("I", 16, "u2", 1 << 16),
    "I32": _Storage("I", 32, "u4", 1 << 32),
}

# What the writer alone can know; a caller's own value could only contradict the file.
_COMPUTED = frozenset(
    {"$BEGINANALYSIS", "$BEGINDATA", "$BEGINSTEXT", "$BYTEORD", "$DATATYPE", "$ENDANALYSIS"}
    | {"$ENDDATA", "$ENDSTEXT", "$MODE", "$NEXTDATA", "$PAR", "$TOT"}
)


def write_fcs(
    path: Path | str,
    events: ArrayLike,
    *,
    pnn: Sequence[str],
    pns: Sequence[str] | None = None,
    keywords: Mapping[str, str] | None = None,
    ranges: Sequence[int] | int | None = None,
    datatype: Datatype = "F",
    byteorder: Literal["little", "big"] = "little",
    delimiter: str | None = None,
) -> None:
    """Write events as one FCS 3.1 file, under a temporary name that is renamed when complete.

    Parameters
    ----------
    path
        The file; an existing one is replaced. Its folder must exist.
    events
        (n_events, n_parameters), the numbers to store. NaN and infinity are stored as they are by
        F and D. No events is a file without events, not an error.
    pnn, pns
        $PnN and, where not empty, $PnS; one per column. $PnN must be unique and free of commas.
    keywords
        Further keywords with their `$`, e.g. `$CYT`, `$P5V`, `$SPILLOVER`; `$PnE` (else `0,0`) and
        `$PnG` among them. Those that the writer computes are refused.
    ranges
        $PnR, one for all columns or one per column; default 262144 for F and D, all bits for
        integers. F and D may exceed it; an integer must lie below it.
    datatype
        F (32-bit float), D (64-bit float), or unsigned integers of 8, 16 or 32 bits.
    delimiter
        Of TEXT, one ASCII character; occurrences in keywords and values are doubled. Default: the
        first of `DELIMITERS` that occurs nowhere.

    Raises
    ------
    FcsError
        Where the standard has no way to say what was given: an empty value, a keyword that is not
        printable ASCII, two equal names, a number that the data type cannot hold.
    """
    table = np.asarray(events)
    storage = _STORAGE[datatype]
    assert table.ndim == 2, f"events must be (n_events, n_parameters), not {table.shape}"
    assert table.shape[1] == len(pnn), f"{len(pnn)} names for {table.shape[1]} columns"
    tops = _ranges(ranges, len(pnn), storage)
    if storage.code == "I":
        _check_integers(table, tops, pnn)

    text = _text_keywords(pnn, pns, tops, keywords or {}, storage)
    text["$BYTEORD"] = "1,2,3,4" if byteorder == "little" else "4,3,2,1"
    text["$TOT"] = str(table.shape[0])
    head = head_of(text, table.size * storage.bits // 8, delimiter=delimiter)
    dtype = np.dtype(storage.dtype).newbyteorder("<" if byteorder == "little" else ">")

    final = Path(path)
    partial = final.with_name(f"{final.name}.part")
    try:
        with partial.open("wb") as file:
            file.write(head)
            _write_data(file, table, dtype, pnn)
        os.replace(partial, final)  # noqa: PTH105 - atomic on one file system, also on Windows
    finally:
        partial.unlink(missing_ok=True)


def spillover_keyword(detectors: Sequence[str], matrix: ArrayLike) -> str:
    """Value of $SPILLOVER: `n,name1,…,namen,s11,s12,…`, row by row.

    Numbers are written with all the digits that give the same double again. `matrix` is
    (n_fluorochromes, n_detectors) and square; row i is the fluorochrome that belongs to detector i.
    """
    numbers = np.asarray(matrix, dtype=np.float64)
    n = len(detectors)
    assert numbers.shape == (n, n), f"{n} detectors for a matrix of {numbers.shape}"
    return ",".join([str(n), *detectors, *(repr(float(value)) for value in numbers.ravel())])


def _ranges(ranges: Sequence[int] | int | None, n: int, storage: _Storage) -> tuple[int, ...]:
    if ranges is None:
        return (storage.default_range,) * n
    tops = (ranges,) * n if isinstance(ranges, int) else tuple(ranges)
    assert len(tops) == n, f"{len(tops)} ranges for {n} columns"
    return tops


def _check_integers(table: NDArray[Any], tops: Sequence[int], pnn: Sequence[str]) -> None:
    for column, top, name in zip(table.T, tops, pnn, strict=True):
        fits = (column >= 0) & (column < top) & (column == np.floor(column))
        if not fits.all():
            worst = column[~fits][0]
            raise FcsError(
                f"Channel {name} holds {worst}, which is not a whole number from 0 to {top - 1}. "
                "Write floats, or scale and round the events first.",
                code="fcs_write",
            )


def _text_keywords(
    pnn: Sequence[str],
    pns: Sequence[str] | None,
    tops: Sequence[int],
    keywords: Mapping[str, str],
    storage: _Storage,
) -> dict[str, str]:
    """All keywords in the order they are written; offsets still to come."""
    _check_names(pnn)
    text = dict.fromkeys(("$BEGINANALYSIS", "$ENDANALYSIS", "$BEGINSTEXT", "$ENDSTEXT"), "0")
    text |= {"$NEXTDATA": "0", "$MODE": "L", "$DATATYPE": storage.code, "$PAR": str(len(pnn))}
    for i, (name, top) in enumerate(zip(pnn, tops, strict=True), start=1):
        text |= {f"$P{i}N": name, f"$P{i}B": str(storage.bits), f"$P{i}R": str(top)}
        text[f"$P{i}E"] = "0,0"
        if pns is not None and pns[i - 1]:
            text[f"$P{i}S"] = pns[i - 1]
    computed = _COMPUTED | {key for key in text if key[-1] in "NBRS" and key.startswith("$P")}
    for key, value in keywords.items():
        if key.upper() in computed:
            raise FcsError(
                f"Keyword {key} is computed from the events and names; leave it out.",
                code="fcs_write",
            )
        text[key.upper() if key.startswith("$") else key] = value
    for key, value in text.items():
        _check_pair(key, value)
    return text


def _check_names(pnn: Sequence[str]) -> None:
    twins = sorted({name for name in pnn if list(pnn).count(name) > 1})
    commas = [name for name in pnn if "," in name]
    if twins or commas:
        raise FcsError(
            f"$PnN must be unique and free of commas; found {', '.join(map(repr, twins + commas))}."
            " Rename the channels.",
            code="fcs_write",
        )


def _check_pair(key: str, value: str) -> None:
    if not key or not all(" " <= character <= "~" for character in key):
        raise FcsError(
            f"Keyword {key!r} is not printable ASCII, as FCS 3.1 asks. Rename it.", code="fcs_write"
        )
    if not value:
        raise FcsError(
            f"Keyword {key} has an empty value, which FCS 3.1 does not know. Leave it out.",
            code="fcs_write",
        )


def head_of(
    text: dict[str, str], n_data_bytes: int, *, delimiter: str | None = None, version: str = "3.1"
) -> bytes:
    """HEADER and TEXT before so many bytes of DATA; `text` without $BEGINDATA and $ENDDATA.

    The offsets stand in TEXT and change its length: repeat until they agree.
    """
    mark = _delimiter(text, delimiter)
    body = _encode(text, mark)
    data_begin = HEADER_LENGTH + len(body)
    while True:
        # An empty DATA segment ends one byte before it begins, so that its length comes out as 0.
        data_end = data_begin + n_data_bytes - 1
        offsets = {"$BEGINDATA": str(data_begin), "$ENDDATA": str(data_end)}
        head = mark.encode() + _encode(offsets, mark) + body
        if HEADER_LENGTH + len(head) == data_begin:
            break
        data_begin = HEADER_LENGTH + len(head)
    text_end = data_begin - 1
    if text_end > LARGEST_HEADER_OFFSET:
        raise FcsError(
            f"The keywords fill {len(head)} bytes; TEXT must end within 99,999,999.",
            code="fcs_write",
        )
    in_header = (data_begin, data_end) if data_end <= LARGEST_HEADER_OFFSET else (0, 0)
    header = f"FCS{version}    " + "".join(
        f"{offset:8d}" for offset in (HEADER_LENGTH, text_end, *in_header, 0, 0)
    )
    return header.encode("ascii") + head


def _delimiter(text: Mapping[str, str], wanted: str | None) -> str:
    parts = [*text.keys(), *text.values()]
    if wanted is None:
        for candidate in DELIMITERS:
            if not any(candidate in part for part in parts):
                return candidate
        wanted = DELIMITERS[0]
    assert len(wanted) == 1, f"not one character: {wanted!r}"
    assert "\x01" <= wanted <= "~", f"not an ASCII delimiter: {wanted!r}"
    # Doubled at the start it could not be told from the end of the word before (FCS 3.1, 3.2.2).
    leading = next((part for part in parts if part.startswith(wanted)), None)
    if leading is not None:
        raise FcsError(
            f"{leading!r} starts with TEXT's delimiter {wanted!r}. Choose another delimiter.",
            code="fcs_write",
        )
    return wanted


def _encode(text: Mapping[str, str], mark: str) -> bytes:
    words = (word.replace(mark, mark * 2) for pair in text.items() for word in pair)
    return "".join(f"{word}{mark}" for word in words).encode()


def _write_data(
    file: BinaryIO, table: NDArray[Any], dtype: np.dtype[Any], pnn: Sequence[str]
) -> None:
    rows = max(1, BLOCK_BYTES // max(1, table.shape[1] * dtype.itemsize))
    for start in range(0, table.shape[0], rows):
        block = table[start : start + rows]
        try:
            with np.errstate(over="raise"):
                stored = np.ascontiguousarray(block, dtype=dtype)
        except FloatingPointError:
            beyond = np.isfinite(block) & (np.abs(block) > np.finfo(dtype).max)
            name = pnn[int(np.flatnonzero(beyond.any(axis=0))[0])]
            raise FcsError(
                f"Channel {name} holds a number beyond 32-bit floats. Write it as D.",
                code="fcs_write",
            ) from None
        file.write(stored.data if stored.size else b"")
