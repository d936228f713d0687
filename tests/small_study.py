"""A small study written to a folder, for the tests of reading studies."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from cytosepsis.config import load_study
from cytosepsis.errors import StudyError

STUDY = """
[study]
name = "demo"
samples = "samples.csv"
beads = "beads.csv"
timezone = "Europe/Paris"
baseline = "D1-2"

[timepoints]
"D3-4" = [3, 4]
"D1-2" = [1, 2]

[bead_lots.96597]
pe_molecules = [638, 6930, 31008, 67601]
expires = 2027-01-31

[assays.mhladr]
compensation = "file"
gating = "assays/plan.toml"
[assays.mhladr.channels]
fsc = "FSC-A"
cd14 = ["FITC-A", "CD14"]
hladr = "PE-A"
[assays.mhladr.abc]
population = "monocytes"
channel = "hladr"
cutoffs = [5000, 8000, 15000]
"""

PLAN = """
[[gates]]
name = "cells"
type = "rectangle"
x = "fsc"
ranges = { x = { min = 1000 } }

[[gates]]
name = "monocytes"
parent = "cells"
type = "rectangle"
x = "cd14"
ranges = { x = { min = 100 } }
"""

SAMPLES = "file,patient_id,drawn_at\nfcs/a.fcs,P1,2024-03-01 10:00\nfcs/b.fcs,P2,2024-03-02\n"
BEADS = "bead_run,file,lot\nB1,fcs/beads.fcs,96597\n"
MATRIX = ",FITC-A,PE-A\nFITC-A,1,0.1\nPE-A,0,1\n"


def write(folder: Path, **files: str | bytes) -> Path:
    """Write a good study, some of its files replaced: `samples_csv="..."`; paths are relative."""
    content: dict[str, str | bytes] = {
        "study.toml": STUDY,
        "assays/plan.toml": PLAN,
        "samples.csv": SAMPLES,
        "beads.csv": BEADS,
    }
    content |= {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def refused(folder: Path, **files: str | bytes) -> list[str]:
    with pytest.raises(StudyError) as caught:
        load_study(write(folder, **files))
    assert all(problem.severity == "error" for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def toml(*changes: tuple[str, str]) -> str:
    text = STUDY
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def in_study(*lines: str) -> str:
    return toml(("[study]\n", "[study]\n" + "\n".join(lines) + "\n"))


def fcs(*names: str, **keywords: str) -> bytes:
    """A smallest FCS 3.1 file: one event of 32-bit floats, parameters of these $PnN."""
    pairs = {
        "$BEGINANALYSIS": "0",
        "$ENDANALYSIS": "0",
        "$BEGINSTEXT": "0",
        "$ENDSTEXT": "0",
        "$NEXTDATA": "0",
        "$BYTEORD": "1,2,3,4",
        "$DATATYPE": "F",
        "$MODE": "L",
        "$TOT": "1",
        "$PAR": str(len(names)),
        **{f"${name}": value for name, value in keywords.items()},
    }
    for n, name in enumerate(names, start=1):
        pairs |= {f"$P{n}N": name, f"$P{n}B": "32", f"$P{n}R": "262144", f"$P{n}E": "0,0"}
    first = 1024
    last = first + 4 * len(names) - 1
    pairs |= {"$BEGINDATA": str(first), "$ENDDATA": str(last)}
    text = ("/" + "".join(f"{key}/{value}/" for key, value in pairs.items())).encode()
    header = b"FCS3.1    " + b"".join(
        b"%8d" % offset for offset in (58, 57 + len(text), first, last, 0, 0)
    )
    return (header + text).ljust(first) + struct.pack(f"<{len(names)}f", *range(len(names)))
