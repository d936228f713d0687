"""The reader's documentation is true, and each known trouble of other readers is none here."""

import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cytosepsis.errors import FcsError
from cytosepsis.fcs import read_fcs
from cytosepsis.panel import is_scatter, time_column
from fcs_bytes import Recipe, make
from fcs_support import table
from plan_files import CORPUS

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "fcs-support.md").read_text(encoding="utf-8")


def test_every_code_is_documented_and_none_besides():
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src/cytosepsis").glob("fcs*.py")
    )
    refusals = set(re.findall(r'code="(\w+)"', sources))
    notes = set(re.findall(r'(?:Note|append\(|note = )\(\s*"(\w+)",', sources))
    first, second = DOCUMENT.split("## Codes of notes")
    assert set(re.findall(r"^\| `(\w+)` \|", first, re.MULTILINE)) == refusals
    documented = second.split("## Real files")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", documented, re.MULTILINE)) == notes


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")
def test_the_table_of_real_files_is_current():
    how = "tests/fcs_support.py: table(corpus) writes it"
    assert DOCUMENT.endswith(table(CORPUS)), how


PLAIN = Recipe()


def with_keywords(recipe: Recipe = PLAIN, **keywords) -> Recipe:
    named = {key.replace("_", "$", 1): value for key, value in keywords.items()}
    return replace(recipe, keywords={**recipe.keywords, **named})


def integers(bits, rows=((1, 70), (255, 3)), order="<", **keywords) -> Recipe:
    return with_keywords(Recipe(rows, ("a", "b"), "I", bits, order), **keywords)


FLOATS = Recipe().rows
WORDS = ((1, 70), (255, 3))
FS = Recipe(((1.0, 2.0, 3.0),), ("FS INT", "SS INT", "FL1 INT"), bits=(32,) * 3)
TIMES = Recipe(((1.0, 2.0, 3.0),), ("HDR-T", "PE-A", "TIME"), bits=(32,) * 3)
TYPES = Recipe(((0.5, 7.0),), ("a", "b"), "F", (32, 64), data=struct.pack("<fd", 0.5, 7.0))
JUNK = Recipe(((0, 0),), ("a", "b"), "I", (16, 16), data=struct.pack("<HH", 0xFC01, 0x8046))
ASCII = Recipe(WORDS, ("a", "b"), "A", (4, 4), data=b"   1  70 255   3")

# What is odd: the file, and the rows that it holds or the code of its refusal.
QUIRKS = {
    "a dollar inside a value": (with_keywords(NOTE="US$100"), FLOATS),
    "a user's keyword TOT beside $TOT": (with_keywords(TOT="999"), FLOATS),
    "an empty value": (with_keywords(note=""), FLOATS),
    **{
        f"delimiter {mark!r}": (with_keywords(replace(Recipe(), delimiter=mark)), FLOATS)
        for mark in "^.+?(|\\*/!\f\t#]"
    },
    "junk in the high bits": (with_keywords(JUNK, _P1R="1024", _P2R="1024"), ((1, 70),)),
    "$PnR 0": (integers((16, 16), _P1R="0"), WORDS),
    "$PnR of an unused float": (integers((32, 32), _P1R="262144.0"), WORDS),
    "integers of 24 bits": (integers((24, 24)), WORDS),
    "integers of 64 bits": (integers((64, 64)), WORDS),
    "integers of 10 bits, packed": (integers((10, 10)), WORDS),
    "mixed widths": (integers((8, 32), order=">"), WORDS),
    "$DATATYPE A": (ASCII, WORDS),
    "$PnDATATYPE": (with_keywords(TYPES, _P2DATATYPE="D"), ((0.5, 7.0),)),
    "byte order 3,4,1,2": (with_keywords(_BYTEORD="3,4,1,2"), "byte_order"),
    "a byte order of 8": (with_keywords(_BYTEORD="1,2,3,4,5,6,7,8"), FLOATS),
    "$TOT above the data": (with_keywords(_TOT="6"), "truncated"),
    "$TOT missing": (with_keywords(_TOT=None), FLOATS),
    "$MODE missing": (with_keywords(_MODE=None), FLOATS),
    "the end one byte too far": (
        replace(Recipe(), text_data=(0, 1), header_data=(0, 1), tail=b"x"), FLOATS,
    ),
    "HEADER and TEXT begin differently": (
        replace(Recipe(), header_data=(1, 0), tail=b"x"), FLOATS,
    ),
    "$PnE on floats": (with_keywords(_P1E="4,1"), FLOATS),
    "FS INT, SS INT": (FS, ((1.0, 2.0, 3.0),)),
    "two times": (TIMES, ((1.0, 2.0, 3.0),)),
    "blank offsets in HEADER": (replace(Recipe(), header_data=None), FLOATS),
    "a $TIMESTEP that is no number": (with_keywords(_TIMESTEP="soon"), FLOATS),
    "left-over $PnN": (with_keywords(_P3N="x", _P4N="y"), FLOATS),
    "a histogram": (with_keywords(_MODE="C"), "not_list_mode"),
}  # fmt: skip


@pytest.mark.parametrize("name", QUIRKS)
def test_quirks(tmp_path, name):
    recipe, wanted = QUIRKS[name]
    path = tmp_path / "a.fcs"
    path.write_bytes(make(recipe).raw)
    if isinstance(wanted, str):
        with pytest.raises(FcsError) as caught:
            read_fcs(path)
        assert caught.value.code == wanted
        return
    raw = read_fcs(path)
    np.testing.assert_array_equal(raw.stored(), wanted)
    np.testing.assert_array_equal(raw.linear(), wanted)


def test_padding_before_a_keyword(tmp_path):
    """Partec."""
    made = make(with_keywords(_BYTEORD="1,2,3,4   ")).raw
    padded = made.replace(b"1,2,3,4   /$DATATYPE", b"1,2,3,4/   $DATATYPE")
    assert padded != made
    path = tmp_path / "a.fcs"
    path.write_bytes(padded)
    raw = read_fcs(path)
    assert raw.note_codes == ("flowkit_refused",)
    np.testing.assert_array_equal(raw.stored(), FLOATS)


def test_names_of_the_quirks():
    assert [is_scatter(name) for name in FS.pnn] == [True, True, False]
    assert time_column(TIMES.pnn) == 2
