"""A file of random numbers in each of the layouts that FCS allows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS, COLUMNS = 100_000, 10
LAYOUTS = {
    "float 32": ("F", (32,), "1,2,3,4"),
    "float 32, big-endian": ("F", (32,), "4,3,2,1"),
    "integer 16": ("I", (16,), "1,2,3,4"),
    "integer 24": ("I", (24,), "4,3,2,1"),
    "integer 64": ("I", (64,), "1,2,3,4"),
    "integer 8/16/32 mixed": ("I", (8, 16, 32, 16, 8), "1,2,3,4"),
    "integer 10, packed": ("I", (10,), "1,2,3,4"),
    "text of 6 characters": ("A", (6,), "1,2,3,4"),
}


def written(folder: Path, name: str) -> Path:
    """A file of random bits, or of digits, in a layout."""
    kind, widths, order = LAYOUTS[name]
    bits = widths * (COLUMNS // len(widths))
    row = sum(bits) * (8 if kind == "A" else 1)
    random = np.random.default_rng(1)
    if kind == "A":
        data = random.integers(48, 58, ROWS * row // 8, dtype=np.uint8).tobytes()
    elif kind == "F":
        data = (
            random.normal(0, 1e4, ROWS * COLUMNS)
            .astype("<f4" if order[0] == "1" else ">f4")
            .tobytes()
        )
    else:
        data = random.bytes(ROWS * row // 8)
    pairs = {"$BYTEORD": order, "$DATATYPE": kind, "$MODE": "L", "$NEXTDATA": "0"}
    pairs |= {"$PAR": str(COLUMNS), "$TOT": str(ROWS)}
    for n, width in enumerate(bits, start=1):
        pairs |= {f"$P{n}N": f"c{n}", f"$P{n}B": str(width), f"$P{n}E": "0,0"}
        pairs[f"$P{n}R"] = str(2**width if kind == "I" else 262144)
    pairs |= dict.fromkeys(("$BEGINANALYSIS", "$ENDANALYSIS", "$BEGINSTEXT", "$ENDSTEXT"), "0")
    length = sum(len(f"{key}/{value}/") for key, value in pairs.items())
    begin = 58 + 1 + length + len("$BEGINDATA/00000000/$ENDDATA/00000000/")
    pairs |= {"$BEGINDATA": f"{begin:08d}", "$ENDDATA": f"{begin + len(data) - 1:08d}"}
    words = "".join(f"{key}/{value}/" for key, value in pairs.items())
    end = 58 + 1 + len(words) - 1
    header = b"FCS3.0    %8d%8d%8d%8d%8d%8d" % (58, end, end + 1, end + len(data), 0, 0)
    path = folder / "a.fcs"
    path.write_bytes(header + b"/" + words.encode() + data)
    return path
