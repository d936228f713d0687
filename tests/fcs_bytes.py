"""FCS files byte by byte: right ones, and wrong ones on purpose."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

TEXT_BEGIN = 58
LETTERS = {("F", 32): "f", ("D", 64): "d", ("I", 8): "B", ("I", 16): "H", ("I", 32): "I"}
LETTERS[("I", 64)] = "Q"


@dataclass(frozen=True)
class Made:
    """An FCS file with the places of its parts: first and last byte of TEXT and DATA."""

    raw: bytes
    text: tuple[int, int]
    data: tuple[int, int]


@dataclass(frozen=True)
class Recipe:
    """What to write; everything that can be wrong can be set wrong.

    `keywords` are added last and may replace or (with None) remove computed ones. `text_data` and
    `header_data` replace the offsets of DATA as (first, last), relative to the true ones.
    """

    rows: Sequence[Sequence[float]] = ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (-7.0, 8.5), (9.0, 1e6))
    pnn: Sequence[str] = ("FSC-A", "PE-A")
    data_type: str = "F"
    bits: Sequence[int] = (32, 32)
    order: str = "<"
    keywords: Mapping[str, str | None] = field(default_factory=dict)
    delimiter: str = "/"
    version: str = "FCS3.1"
    text_data: tuple[int, int] = (0, 0)
    header_data: tuple[int, int] | None = (0, 0)  # None: blanks
    data: bytes | None = None  # instead of the rows'
    escape: bool = True
    after_text: bytes = b""  # between TEXT and DATA
    tail: bytes = b""  # after DATA


def data_of(recipe: Recipe) -> bytes:
    """Rows as stored bytes; integers of other widths as one stream of bits, without gaps."""
    if recipe.data is not None:
        return recipe.data
    if recipe.data_type == "I" and not set(recipe.bits) <= {8, 16, 32, 64}:
        return packed(recipe.rows, recipe.bits, recipe.order)
    letters = [LETTERS[recipe.data_type, width] for width in recipe.bits]
    form = recipe.order + "".join(letters)
    whole = recipe.data_type == "I"
    return b"".join(
        struct.pack(form, *(int(v) if whole else v for v in row)) for row in recipe.rows
    )


def packed(rows: Sequence[Sequence[float]], bits: Sequence[int], order: str) -> bytes:
    """Integers of any width, bit after bit: the lowest first ("<"), or the highest first."""
    digits = []
    for row in rows:
        for value, width in zip(row, bits, strict=True):
            word = f"{int(value):0{width}b}"
            digits.append(word if order == ">" else word[::-1])
    stream = "".join(digits)
    stream += "0" * (-len(stream) % 8)
    places = range(0, len(stream), 8)
    step = 1 if order == ">" else -1
    return bytes(int(stream[k : k + 8][::step], 2) for k in places)


def make(recipe: Recipe = Recipe()) -> Made:
    """Write a recipe."""
    data = data_of(recipe)
    width = -(-max(recipe.bits, default=32) // 8)
    upwards = [str(k + 1) for k in range(max(width, 2))]
    keywords: dict[str, str | None] = {
        "$BEGINANALYSIS": "0",
        "$ENDANALYSIS": "0",
        "$BEGINSTEXT": "0",
        "$ENDSTEXT": "0",
        "$BEGINDATA": "@BEGIN@",
        "$ENDDATA": "@END@",
        "$BYTEORD": ",".join(upwards if recipe.order == "<" else upwards[::-1]),
        "$DATATYPE": recipe.data_type,
        "$MODE": "L",
        "$NEXTDATA": "0",
        "$PAR": str(len(recipe.pnn)),
        "$TOT": str(len(recipe.rows)),
    }
    for n, (name, bits) in enumerate(zip(recipe.pnn, recipe.bits, strict=True), start=1):
        keywords |= {f"$P{n}N": name, f"$P{n}B": str(bits), f"$P{n}E": "0,0"}
        keywords[f"$P{n}R"] = str(2**bits if recipe.data_type == "I" else 262144)
    keywords |= recipe.keywords
    pairs = [(key, value) for key, value in keywords.items() if value is not None]
    text = joined(pairs, recipe.delimiter, escape=recipe.escape)
    length = len(text.replace("@BEGIN@", "0" * 8).replace("@END@", "0" * 8).encode("latin-1"))
    begin = TEXT_BEGIN + length + len(recipe.after_text)
    end = begin + len(data) - 1
    text = text.replace("@BEGIN@", f"{begin + recipe.text_data[0]:08d}")
    text = text.replace("@END@", f"{end + recipe.text_data[1]:08d}")
    stored = text.encode("latin-1")
    header = recipe.version.encode() + b"    "
    header += b"%8d%8d" % (TEXT_BEGIN, TEXT_BEGIN + len(stored) - 1)
    if recipe.header_data is None:
        header += b" " * 16
    else:
        header += b"%8d%8d" % (begin + recipe.header_data[0], end + recipe.header_data[1])
    header += b"%8d%8d" % (0, 0)
    raw = header + stored + recipe.after_text + data + recipe.tail
    return Made(raw, (TEXT_BEGIN, TEXT_BEGIN + len(stored) - 1), (begin, end))


def joined(pairs: Iterable[tuple[str, str]], delimiter: str, *, escape: bool = True) -> str:
    """TEXT of some pairs; a delimiter inside a value is doubled."""
    words = [word for pair in pairs for word in pair]
    if escape:
        words = [word.replace(delimiter, delimiter * 2) for word in words]
    return delimiter + delimiter.join(words) + delimiter
