"""What HEADER and TEXT say about the events: parameters, layout, and where DATA lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cytosepsis.errors import FcsError
from cytosepsis.fcs_text import Header, TextSegment

MAX_DIGITS = 18  # more do not fit a 64-bit file offset
MAX_BITS = 1024  # beyond any width; a mask of $PnB bits is worked out
MAX_PARAMETERS = 10_000  # mass and spectral cytometers stay below 300


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd about a file that did not stop it from being read."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One measured quantity: what `$PnN` … `$PnV` say about column n - 1."""

    pnn: str
    pns: str
    bits: int
    range: float  # $PnR
    decades: float  # $PnE, 0 on a linear amplifier and for float data
    log_offset: float  # $PnE's second number: the value at channel 0
    gain: float | None  # $PnG
    voltage: float | None  # $PnV
    is_time: bool

    @property
    def applied_gain(self) -> float:
        """The gain that values are divided by: $PnG belongs to linear amplifiers only."""
        if self.gain is None or self.gain == 0 or self.decades > 0 or self.is_time:
            return 1.0
        return self.gain


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of DATA lie in the file; `dtype` None where only FlowKit can decode them."""

    data_type: str  # $DATATYPE: F, D, I or A
    dtype: np.dtype[Any] | None  # of every item, byte order included
    row_bytes: int
    first_byte: int
    masks: tuple[int, ...] = ()  # integers: the bits that $PnR leaves; () where none is cut


def integer_of(keywords: Mapping[str, str], key: str, *, default: int | None = None) -> int:
    """Value of a keyword as a whole number ≥ 0; without default a missing one is an error."""
    text = keywords.get(key, "").strip()
    if not text:
        if default is None:
            raise FcsError(f"keyword {key} is missing", code="keyword_missing")
        return default
    try:
        value = int(text[:MAX_DIGITS])
    except ValueError:
        value = None
    if value is None or len(text) > MAX_DIGITS:
        raise FcsError(
            f"keyword {key} should be a whole number, found {text[:40]!r}", code="keyword_invalid"
        ) from None
    if value < 0:
        raise FcsError(f"keyword {key} is negative: {value}", code="keyword_invalid")
    return value


def number_of(keywords: Mapping[str, str], key: str) -> float | None:
    """Value of a keyword as a finite number; None where it is absent or no number."""
    text = keywords.get(key)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def check_mode(keywords: Mapping[str, str]) -> None:
    """Refuse histograms: only list mode (`L`) holds events."""
    mode = keywords.get("$MODE", "L").strip().upper()
    if mode != "L":
        raise FcsError(
            f"$MODE is {mode[:10]!r}: a histogram, not a list of events (L)", code="not_list_mode"
        )


def parameters_of(keywords: Mapping[str, str], notes: list[Note]) -> tuple[Parameter, ...]:
    """Return all parameters, $P1N … $PnN; left-over keywords beyond $PAR are passed over."""
    count = integer_of(keywords, "$PAR")
    if not 1 <= count <= MAX_PARAMETERS:
        raise FcsError(f"$PAR is {count}; refused", code="keyword_invalid")
    is_float = _data_type(keywords) in ("F", "D")
    parameters = []
    for n in range(1, count + 1):
        if f"$P{n}N" not in keywords:
            raise FcsError(f"$PAR is {count}, but $P{n}N is missing", code="keyword_missing")
        decades, log_offset = _amplifier(keywords, n)
        if decades > 0 and is_float:
            notes.append(Note("log_on_float", f"$P{n}E names a log amplifier on float data"))
            decades = 0.0
        bits = _bits(keywords, n)
        span = number_of(keywords, f"$P{n}R") or 0.0
        if span <= 0 and not is_float and bits > 0:
            notes.append(Note("range_missing", f"$P{n}R is no range; all {bits} bits are taken"))
            span = 2.0**bits
        pnn = keywords[f"$P{n}N"].strip()
        parameters.append(
            Parameter(
                pnn=pnn,
                pns=keywords.get(f"$P{n}S", "").strip(),
                bits=bits,
                range=span,
                decades=decades,
                log_offset=log_offset,
                gain=number_of(keywords, f"$P{n}G"),
                voltage=number_of(keywords, f"$P{n}V"),
                is_time=pnn.lower() == "time",
            )
        )
    names = [parameter.pnn for parameter in parameters]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        notes.append(Note("names_repeated", f"$PnN stand more than once: {', '.join(twice)}"))
    return tuple(parameters)


def _amplifier(keywords: Mapping[str, str], n: int) -> tuple[float, float]:
    text = keywords.get(f"$P{n}E", "0,0")
    try:
        decades, offset = (float(word) for word in text.split(","))
        if not (math.isfinite(decades) and math.isfinite(offset)):
            raise ValueError
    except ValueError:
        raise FcsError(
            f"$P{n}E should be two numbers, found {text[:40]!r}", code="keyword_invalid"
        ) from None
    if decades > 0 and offset == 0:
        offset = 1.0  # FCS 3.1, 3.2.20: an invalid 0 is read as 1
    return decades, offset


def _bits(keywords: Mapping[str, str], n: int) -> int:
    text = keywords.get(f"$P{n}B", "").strip()
    if text == "*":  # ASCII of free width
        return 0
    bits = integer_of(keywords, f"$P{n}B")
    if bits > MAX_BITS:
        raise FcsError(f"$P{n}B is {bits} bits; refused", code="keyword_invalid")
    return bits


def _data_type(keywords: Mapping[str, str]) -> str:
    data_type = keywords.get("$DATATYPE", "").strip().upper()
    if data_type not in ("F", "D", "I", "A"):
        raise FcsError(
            f"$DATATYPE should be F, D, I or A, found {data_type[:10]!r}", code="keyword_invalid"
        )
    return data_type


def _byte_order(keywords: Mapping[str, str]) -> str:
    text = keywords.get("$BYTEORD", "").replace(" ", "")
    try:
        order = [int(word) for word in text.split(",")]
    except ValueError:
        order = []
    upwards = list(range(1, len(order) + 1))
    if len(order) > 1 and order == upwards:
        return "<"
    if len(order) > 1 and order == upwards[::-1]:
        return ">"
    raise FcsError(f"$BYTEORD should be 1,2,3,4 or 4,3,2,1, found {text[:40]!r}", code="byte_order")


def layout_of(keywords: Mapping[str, str], parameters: tuple[Parameter, ...]) -> Layout:
    """How the rows of DATA lie, from $DATATYPE, $BYTEORD, $PnB and $PnR; first byte still 0."""
    data_type = _data_type(keywords)
    if any(f"$P{n}DATATYPE" in keywords for n in range(1, len(parameters) + 1)):
        raise FcsError(
            "parameters of different types ($PnDATATYPE, FCS 3.2) are not read yet",
            code="layout_unsupported",
        )
    if data_type == "A":
        return Layout(data_type, None, 0, 0)
    order = _byte_order(keywords)
    widths = {parameter.bits for parameter in parameters}
    if data_type in ("F", "D"):
        wanted = 32 if data_type == "F" else 64
        if widths != {wanted}:
            raise FcsError(
                f"$DATATYPE {data_type} wants $PnB {wanted}, found {sorted(widths)}",
                code="layout_unsupported",
            )
        return Layout(data_type, np.dtype(f"{order}f{wanted // 8}"), _row_bytes(parameters), 0)
    dtype = None
    if len(widths) == 1 and widths <= {8, 16, 32}:
        dtype = np.dtype(f"{order}u{widths.pop() // 8}")
    return Layout(data_type, dtype, _row_bytes(parameters), 0, _masks(parameters))


def _row_bytes(parameters: tuple[Parameter, ...]) -> int:
    bits = sum(parameter.bits for parameter in parameters)
    return bits // 8 if bits % 8 == 0 else 0


def _masks(parameters: tuple[Parameter, ...]) -> tuple[int, ...]:
    """Bits below the next power of two of $PnR (FCS 3.1, 3.2.20)."""
    masks = []
    for parameter in parameters:
        full = 2**parameter.bits - 1
        top = int(parameter.range)
        masks.append(min(full, 2 ** (top - 1).bit_length() - 1) if top > 0 else full)
    cut = any(mask < 2**p.bits - 1 for mask, p in zip(masks, parameters, strict=True))
    return tuple(masks) if cut else ()


def time_step_of(keywords: Mapping[str, str], notes: list[Note]) -> float:
    """Seconds per unit of time ($TIMESTEP); 1 with a note where it is no number."""
    if "$TIMESTEP" not in keywords or not keywords["$TIMESTEP"].strip():
        return 1.0
    step = number_of(keywords, "$TIMESTEP")
    if step is None:
        notes.append(Note("timestep_invalid", "$TIMESTEP is not a number; ignored"))
        return 1.0
    return step


# ------------------------------------------------------------------------- where DATA lies


def first_byte_of(
    header: Header, text: TextSegment, n_bytes: int, size: int, notes: list[Note]
) -> int:
    """First byte of DATA: of the places given, one whose length is $TOT rows and outside TEXT."""
    places = _data_places(header, text.keywords)
    exact = [place for place in places if place[1] - place[0] + 1 == n_bytes]
    near = [place for place in places if place[1] - place[0] + 1 == n_bytes + 1]
    usable = [p for p in exact + near if not _overlap(p, header.text)]
    if n_bytes == 0 and all(last - first <= 0 for first, last in places):
        return 0
    if not usable:
        _raise_for_length(places, n_bytes, size)
    after_text = [p for p in usable if p[0] == header.text[1] + 1]
    first, last = (after_text or usable)[0]
    if first + n_bytes > size:
        raise FcsError(
            f"DATA should reach byte {first + n_bytes:,}, the file has {size:,}: "
            "it is cut short; copy or export it again",
            code="truncated",
        )
    if last - first + 1 == n_bytes + 1:
        notes.append(Note("data_end_off_by_one", "the end of DATA is given one byte too far"))
    if len({place[0] for place in places}) > 1:
        notes.append(
            Note(
                "offset_note",
                "HEADER and TEXT give different places for DATA; "
                "the one that holds $TOT events was read",
            )
        )
    return first


def _data_places(header: Header, keywords: Mapping[str, str]) -> list[tuple[int, int]]:
    places: list[tuple[int, int]] = []
    if header.version != "2.0" and "$BEGINDATA" in keywords:
        begin, end = integer_of(keywords, "$BEGINDATA"), integer_of(keywords, "$ENDDATA", default=0)
        places.append((begin, end))
    if header.data is not None and header.data[0] > 0 and header.data not in places:
        places.append(header.data)
    return [place for place in places if place[0] > 0]


def _overlap(place: tuple[int, int], other: tuple[int, int]) -> bool:
    return place[0] <= other[1] and other[0] <= place[1]


def _raise_for_length(places: list[tuple[int, int]], n_bytes: int, size: int) -> None:
    if not places:
        raise FcsError("neither HEADER nor TEXT says where DATA lies", code="data_offsets")
    found = " or ".join(f"{last - first + 1:,}" for first, last in places)
    if any(first + n_bytes > size for first, _ in places):
        raise FcsError(
            f"$TOT and $PnB want {n_bytes:,} bytes of DATA, the file ends before ({size:,} bytes)",
            code="truncated",
        )
    raise FcsError(
        f"$TOT and $PnB want {n_bytes:,} bytes of DATA, the offsets give {found}: "
        "another number of events than the file says",
        code="event_count",
    )
