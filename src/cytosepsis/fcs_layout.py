"""What TEXT says about the events: parameters, and how a row of them is stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from cytosepsis.errors import FcsError

MAX_DIGITS = 18  # more do not fit a 64-bit file offset
MAX_BITS = 1024  # beyond any width, characters of text included
MAX_INTEGER_BITS = 64
EXACT_INTEGERS = 2**53  # float64 holds every integer up to here
MAX_PARAMETERS = 10_000  # mass and spectral cytometers stay below 300

# All that `_read_parameter` looks at, after $Pn.
_OF_PARAMETER = ("N", "S", "B", "E", "R", "G", "V", "DATATYPE")

# What the walk and numpy take where it lies.
_UNIFORM = {("F", 32): "f4", ("D", 64): "f8", ("I", 8): "u1", ("I", 16): "u2", ("I", 32): "u4"}


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

    @property
    def top_of_scale(self) -> float | None:
        """The linear value at and above which a detector is saturated; None: $PnR does not say.

        $PnR is one more than the largest channel number (FCS 3.1, 3.2.20); float data of digital
        cytometers is cut at it as well.
        """
        if self.range <= 1:
            return None
        top = self.range - 1.0
        if self.decades > 0:
            return float(10 ** (self.decades * top / self.range) * self.log_offset)
        return top / self.applied_gain


@dataclass(frozen=True, slots=True)
class Field:
    """How one column lies in a row that has to be decoded."""

    kind: Literal["F", "D", "I", "A"]
    first_bit: int
    bits: int  # 0: text of free width


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of DATA lie in the file.

    With a `dtype` all items are of it and can be used where they lie; without, `fields` say how to
    decode a row, which then may begin anywhere in a byte.
    """

    data_type: str  # $DATATYPE: F, D, I or A
    dtype: np.dtype[Any] | None  # of every item, byte order included
    row_bits: int  # 0: text of free width
    first_byte: int
    masks: tuple[int, ...] = ()  # integers: the bits that $PnR leaves; () where none is cut
    fields: tuple[Field, ...] = ()
    big_endian: bool = False
    n_bytes: int = 0  # of DATA, where rows have no fixed length

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, rounded up; 0 where rows have no fixed length."""
        return -(-self.row_bits // 8)

    def bytes_of(self, n_events: int) -> int:
        """Bytes of DATA for a number of events."""
        return -(-n_events * self.row_bits // 8)


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


def check_mode(keywords: Mapping[str, str], notes: list[Note]) -> None:
    """Refuse histograms: only list mode (`L`) holds events."""
    mode = keywords.get("$MODE", "").strip().upper()
    if not mode:
        notes.append(Note("mode_missing", "$MODE is missing; a list of events (L) is supposed"))
    elif mode != "L":
        raise FcsError(
            f"$MODE is {mode[:10]!r}: a histogram, not a list of events (L)", code="not_list_mode"
        )


def parameters_of(keywords: Mapping[str, str], notes: list[Note]) -> tuple[Parameter, ...]:
    """Return all parameters, $P1N … $PnN; left-over keywords beyond $PAR are passed over."""
    count = integer_of(keywords, "$PAR")
    if not 1 <= count <= MAX_PARAMETERS:
        raise FcsError(f"$PAR is {count}; refused", code="keyword_invalid")
    parameters = tuple(_parameter(keywords, n, notes) for n in range(1, count + 1))
    if f"$P{count + 1}N" in keywords:
        notes.append(Note("keywords_left_over", f"$PnN go beyond $PAR ({count}); ignored"))
    names = [parameter.pnn for parameter in parameters]
    if len(set(names)) < len(names):
        twice = sorted(name for name, times in Counter(names).items() if times > 1)
        notes.append(Note("names_repeated", f"$PnN stand more than once: {', '.join(twice)}"))
    return parameters


def _parameter(keywords: Mapping[str, str], n: int, notes: list[Note]) -> Parameter:
    words = [("$DATATYPE", keywords.get("$DATATYPE"))]
    for what in _OF_PARAMETER:
        key = f"$P{n}{what}"
        words.append((key, keywords.get(key)))
    parameter, found = _read_parameter(n, tuple(words))
    notes += found
    return parameter


@lru_cache(maxsize=1024)
def _read_parameter(
    n: int, words: tuple[tuple[str, str | None], ...]
) -> tuple[Parameter, tuple[Note, ...]]:
    """A parameter and the notes on it; kept, as the files of a panel say the same again."""
    keywords = {key: value for key, value in words if value is not None}
    notes: list[Note] = []
    kind = type_of(keywords, n)
    bits = _bits(keywords, n)
    pnn = keywords.get(f"$P{n}N", "").strip()
    if not pnn:
        pnn = f"P{n}"  # the word by which the standard calls it
        notes.append(Note("name_missing", f"$P{n}N is missing; the parameter is called {pnn}"))
    decades, log_offset = _amplifier(keywords, n)
    if decades > 0 and kind in ("F", "D"):
        notes.append(Note("log_on_float", f"$P{n}E names a log amplifier on float data; ignored"))
        decades = 0.0
    span = number_of(keywords, f"$P{n}R") or 0.0
    if span <= 0 and kind == "I":
        notes.append(Note("range_missing", f"$P{n}R is no range; all {bits} bits are taken"))
        span = 2.0**bits
    parameter = Parameter(
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
    return parameter, tuple(notes)


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


def type_of(keywords: Mapping[str, str], n: int | None = None) -> Literal["F", "D", "I", "A"]:
    """$DATATYPE, or parameter n's own ($PnDATATYPE, FCS 3.2)."""
    key = "$DATATYPE" if n is None or not keywords.get(f"$P{n}DATATYPE") else f"$P{n}DATATYPE"
    match keywords.get(key, "").strip().upper():
        case "F" | "D" | "I" | "A" as found:
            return found
        case found:
            raise FcsError(
                f"{key} should be F, D, I or A, found {found[:10]!r}", code="keyword_invalid"
            )


def _is_big_endian(keywords: Mapping[str, str]) -> bool:
    """Byte order: any length, rising or falling; mixed orders (3,4,1,2 of the PDP-11) are none."""
    text = keywords.get("$BYTEORD", "").replace(" ", "")
    try:
        order = [int(word) for word in text.split(",")]
    except ValueError:
        order = []
    upwards = list(range(1, len(order) + 1))
    if len(order) > 1 and order == upwards:
        return False
    if len(order) > 1 and order == upwards[::-1]:
        return True
    raise FcsError(f"$BYTEORD should be 1,2,3,4 or 4,3,2,1, found {text[:40]!r}", code="byte_order")


def layouts_of(
    keywords: Mapping[str, str], parameters: tuple[Parameter, ...], notes: list[Note]
) -> tuple[Layout, ...]:
    """How the rows of DATA may lie, by $DATATYPE, $BYTEORD, $PnB and $PnR; first byte still 0.

    Integers of a width that no machine has are packed, as the standard says, or lie in the words
    around them, as some instruments write them (Beckman's `$PnB` 10 in 16-bit words): then there
    are two layouts, and the length of DATA has to decide.
    """
    kinds = [type_of(keywords, n) for n in range(1, len(parameters) + 1)]
    widths = [parameter.bits for parameter in parameters]
    text_only = set(kinds) == {"A"}
    # of single bytes and of text there is no order
    ordered = not (text_only or (set(kinds) == {"I"} and set(widths) == {8}))
    big_endian = _is_big_endian(keywords) if ordered or "$BYTEORD" not in keywords else False
    for n, (kind, bits) in enumerate(zip(kinds, widths, strict=True), start=1):
        _check_width(n, kind, bits, text_only=text_only)
    masks = _masks(parameters, kinds)
    if any(k == "I" and m > EXACT_INTEGERS for k, m in zip(kinds, masks, strict=True)):
        text = "integers may exceed 2^53; beyond it they are rounded to the nearest number"
        notes.append(Note("integers_rounded", text))
    stored = [8 * bits if kind == "A" else bits for kind, bits in zip(kinds, widths, strict=True)]
    described = _Described(type_of(keywords), tuple(kinds), tuple(widths), masks, big_endian)
    if text_only and 0 in widths:
        if any(widths):
            raise FcsError("text of free and of fixed width in one row", code="layout_unsupported")
        return (Layout("A", None, 0, 0, fields=(Field("A", 0, 0),) * len(widths)),)
    packed = _layout(described, stored)
    padded = [
        next(word for word in (8, 16, 32, 64) if word >= bits) if kind == "I" else bits
        for kind, bits in zip(kinds, stored, strict=True)
    ]
    return (packed,) if padded == stored else (packed, _layout(described, padded))


@dataclass(frozen=True, slots=True)
class _Described:
    data_type: str
    kinds: tuple[Literal["F", "D", "I", "A"], ...]
    widths: tuple[int, ...]
    masks: tuple[int, ...]
    big_endian: bool


def _check_width(n: int, kind: str, bits: int, *, text_only: bool) -> None:
    wanted = {"F": 32, "D": 64}.get(kind)
    if wanted is not None and bits != wanted:
        raise FcsError(
            f"$P{n}B is {bits}, but data of type {kind} have {wanted} bits",
            code="layout_unsupported",
        )
    if kind == "I" and not 1 <= bits <= MAX_INTEGER_BITS:
        raise FcsError(f"$P{n}B is {bits} bits; integers have 1 to 64", code="layout_unsupported")
    if kind == "A" and not text_only:
        raise FcsError("text beside numbers in one row", code="layout_unsupported")


def _layout(described: _Described, stored: list[int]) -> Layout:
    """The layout of columns that take so many bits each."""
    kinds, masks = described.kinds, described.masks
    row_bits = sum(stored)
    cut = any(
        kind == "I" and mask < 2**bits - 1
        for kind, mask, bits in zip(kinds, masks, stored, strict=True)
    )
    kept = masks if cut else ()
    order = ">" if described.big_endian else "<"
    uniform = {(kind, bits) for kind, bits in zip(kinds, stored, strict=True)}
    name = _UNIFORM.get(uniform.pop()) if len(uniform) == 1 else None
    if name is not None:
        return Layout(described.data_type, np.dtype(order + name), row_bits, 0, kept)
    fields = []
    place = 0
    for kind, bits in zip(kinds, stored, strict=True):
        fields.append(Field(kind, place, bits))
        place += bits
    return Layout(described.data_type, None, row_bits, 0, kept, tuple(fields), described.big_endian)


def _masks(
    parameters: tuple[Parameter, ...], kinds: list[Literal["F", "D", "I", "A"]]
) -> tuple[int, ...]:
    """Bits below the next power of two of $PnR (FCS 3.1, 3.2.20); all of what is no integer."""
    masks = []
    for parameter, kind in zip(parameters, kinds, strict=True):
        full = 2**parameter.bits - 1 if kind == "I" else 2**MAX_INTEGER_BITS - 1
        top = int(parameter.range)
        cut = kind == "I" and top > 0
        masks.append(min(full, 2 ** (top - 1).bit_length() - 1) if cut else full)
    return tuple(masks)


def time_step_of(keywords: Mapping[str, str], notes: list[Note]) -> float:
    """Seconds per unit of time ($TIMESTEP); 1 with a note where it is no number."""
    if "$TIMESTEP" not in keywords or not keywords["$TIMESTEP"].strip():
        return 1.0
    step = number_of(keywords, "$TIMESTEP")
    if step is None:
        notes.append(Note("timestep_invalid", "$TIMESTEP is not a number; ignored"))
        return 1.0
    return step
