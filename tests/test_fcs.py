import contextlib
import json
import math
import struct
import time
import warnings
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from flowio.exceptions import MultipleDataSetsError
from hypothesis import given
from hypothesis import strategies as st

import naive
from cytosepsis.errors import FcsError
from cytosepsis.fcs import RawEvents, read_fcs, read_keywords
from cytosepsis.fcs_text import tokenize
from cytosepsis.fcs_time import acquisition_time
from effort import examples
from fcs_bytes import Made, Recipe, data_of, joined, make
from plan_files import CORPUS, real_file

ROWS = Recipe().rows


@pytest.fixture
def write(tmp_path):
    def writer(made) -> str:
        raw = make(made).raw if isinstance(made, Recipe) else made
        path = tmp_path / "a.fcs"
        path.write_bytes(raw.raw if isinstance(raw, Made) else raw)
        return str(path)

    return writer


def with_keywords(**keywords) -> Recipe:
    return Recipe(keywords={key.replace("_", "$", 1): value for key, value in keywords.items()})


def notes(raw: RawEvents) -> list[str]:
    return [note.code for note in raw.notes]


def refused(path, **options) -> FcsError:
    with pytest.raises(FcsError) as caught:
        read_fcs(path, **options)
    assert caught.value.file == str(path)
    assert caught.value.step == "read"
    assert str(path) in str(caught.value)
    return caught.value


# --- what a plain file says


def test_a_plain_file(write):
    recipe = replace(
        Recipe(),
        keywords={
            "$P2S": "HLA-DR",
            "$P2V": "520",
            "$P2G": "2.0",
            "$CYT": "Canto",
            "$CYTSN": "V1",
            "$DATE": "03-MAR-2024",
            "$BTIM": "10:20:30.50",
            "note": "US$100",
        },
    )
    raw = read_fcs(write(recipe))
    assert raw.version == "3.1"
    assert raw.pnn == ("FSC-A", "PE-A")
    assert raw.pns == ("", "HLA-DR")
    assert (raw.n_events, raw.n_parameters) == (5, 2)
    assert raw.notes == ()
    assert raw.keywords["NOTE"] == "US$100"
    assert raw.keywords["$TOT"] == "5"
    assert raw.cytometer == "Canto V1"
    assert raw.acquired_at == datetime(2024, 3, 3, 10, 20, 30, 500_000)
    assert (raw.parameters[1].voltage, raw.parameters[1].gain) == (520.0, 2.0)
    np.testing.assert_array_equal(raw.stored(), ROWS)
    np.testing.assert_array_equal(raw.linear(), np.array(ROWS) / [1.0, 2.0])
    with pytest.raises(TypeError):
        raw.keywords["$TOT"] = "6"  # type: ignore[index]


def test_metadata_without_events(write):
    path = write(make(replace(Recipe(), keywords={"$TOT": "50"})).raw[:-10])
    assert refused(path).code == "truncated"
    raw = read_keywords(path)
    assert raw.n_events == 50
    assert raw.pnn == ("FSC-A", "PE-A")


def test_no_events(write):
    for recipe in (
        replace(Recipe(), rows=()),
        replace(Recipe(), rows=(), keywords={"$BEGINDATA": "0", "$ENDDATA": "0"}, header_data=None),
    ):
        raw = read_fcs(write(recipe))
        assert raw.stored().shape == (0, 2)
        assert raw.linear().shape == (0, 2)
        assert list(raw.blocks()) == []


# --- decoding

LAYOUTS = [
    ("F", 32, "<"), ("F", 32, ">"), ("D", 64, "<"), ("D", 64, ">"),
    ("I", 8, "<"), ("I", 16, "<"), ("I", 16, ">"), ("I", 32, "<"), ("I", 32, ">"),
]  # fmt: skip


@pytest.mark.parametrize(("data_type", "bits", "order"), LAYOUTS)
def test_every_layout(write, data_type, bits, order):
    @examples(25)
    @given(st.binary(min_size=0, max_size=240), st.integers(1, 4))
    def check(junk, n):
        size = bits // 8
        data = junk[: len(junk) // (size * n) * size * n]
        names = tuple(f"c{k}" for k in range(n))
        count = len(data) // (size * n)
        recipe = Recipe(((0,) * n,) * count, names, data_type, (bits,) * n, order, data=data)
        raw = read_fcs(write(recipe))
        letter = {"F": "f", "D": "d"}.get(data_type) or {8: "B", 16: "H", 32: "I"}[bits]
        wanted = np.array(naive.decoded(data, letter, order, n)).reshape(-1, n)
        np.testing.assert_array_equal(raw.stored(), wanted)
        np.testing.assert_array_equal(raw.linear(), wanted)

    with np.errstate(invalid="ignore"):  # a signalling NaN of four bytes, widened
        check()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_bits_beyond_the_range_are_junk(write, order, bits):
    """Instruments leave flags there (FCS 3.1, 3.2.20: the next power of two of $PnR)."""
    ranges = ("10", "16", "17", str(2**bits), "1000000000000")
    masks = (15, 15, 31, 2**bits - 1, 2**bits - 1)
    letter = {8: "B", 16: "H", 32: "I"}[bits]
    random = np.random.default_rng(bits)
    data = random.bytes(7 * 5 * bits // 8)
    recipe = Recipe(
        ((0,) * 5,) * 7, tuple("abcde"), "I", (bits,) * 5, order,
        {f"$P{k + 1}R": text for k, text in enumerate(ranges)}, data=data,
    )  # fmt: skip
    raw = read_fcs(write(recipe))
    np.testing.assert_array_equal(raw.stored(), naive.decoded(data, letter, order, 5, masks))


@pytest.mark.parametrize(("data_type", "bits", "order"), LAYOUTS)
def test_blocks_of_any_size_hold_the_same_events(write, data_type, bits, order):
    rows = tuple((k % 200, (7 * k) % 250, (k * k) % 256) for k in range(100))
    raw = read_fcs(write(Recipe(rows, ("a", "b", "c"), data_type, (bits,) * 3, order)))
    for size in (1, 7, 99, 100, 101, 10_000, None):
        blocks = [block.copy() for block in raw.blocks(rows=size)]
        assert all(len(block) <= (size or 100) for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks).astype(float), rows)
    np.testing.assert_array_equal(raw.stored(), rows)


def test_ranges_that_are_no_whole_numbers_or_zero(write):
    recipe = Recipe(
        ((70000, 5), (262144, 6)), ("a", "b"), "I", (32, 32), "<",
        {"$P1R": "262144.0", "$P2R": "0"},
    )  # fmt: skip
    raw = read_fcs(write(recipe))
    np.testing.assert_array_equal(raw.stored(), [[70000, 5], [0, 6]])
    assert notes(raw) == ["range_missing", "flowkit_refused"] or notes(raw) == ["range_missing"]
    assert raw.parameters[1].range == 2.0**32


def test_amplifiers_and_gains(write):
    """Log amplifiers are undone; a gain belongs to linear amplifiers only; time has a step."""
    rows = ((0, 100, 100, 50), (512, 200, 200, 60), (1023, 0, 300, 70))
    recipe = Recipe(
        rows, ("a", "b", "c", "Time"), "I", (16,) * 4, "<",
        {
            "$P1E": "4,0", "$P1R": "1024", "$P1G": "8",
            "$P2E": "0,0", "$P2G": "4",
            "$P3E": "3,0.5", "$P3R": "1000",
            "$P4G": "100", "$TIMESTEP": "0.01",
        },
    )  # fmt: skip
    raw = read_fcs(write(recipe))
    np.testing.assert_array_equal(raw.stored(), rows)
    wanted = np.column_stack(
        [
            [10 ** (4 * v / 1024) for v in (0, 512, 1023)],
            [25.0, 50.0, 0.0],
            [0.5 * 10 ** (3 * v / 1000) for v in (100, 200, 300)],
            [0.5, 0.6, 0.7],
        ]
    )
    np.testing.assert_allclose(raw.linear(), wanted, rtol=1e-15)


def test_a_gain_of_zero_or_none_is_no_gain(write):
    for gain in ("0", "0.0", "none", "nan", "inf", ""):
        raw = read_fcs(write(with_keywords(_P2G=gain)))
        np.testing.assert_array_equal(raw.linear(), ROWS)


def test_a_log_amplifier_of_unknown_range_takes_all_bits(write):
    recipe = Recipe(((32768,),), ("a",), "I", (16,), "<", {"$P1E": "4,1", "$P1R": "0"})
    assert read_fcs(write(recipe)).linear().tolist() == [[100.0]]


# --- each code of refusal


def test_missing_and_unreadable(tmp_path):
    assert refused(tmp_path / "none.fcs").code == "missing"
    assert refused(tmp_path).code == "unreadable"


@pytest.mark.parametrize(
    ("recipe", "code", "message"),
    [
        (with_keywords(_TOT="6"), "truncated", "want 48 bytes of DATA, the file ends before"),
        (with_keywords(_TOT="4"), "event_count", "want 32 bytes of DATA, the offsets give 40"),
        (with_keywords(_TOT="0"), "event_count", "want 0 bytes of DATA, the offsets give 40"),
        (
            replace(with_keywords(_TOT=None), text_data=(0, 1), header_data=(0, 1), tail=b"x"),
            "keyword_missing",
            r"\$TOT is missing, and DATA of 41 bytes",
        ),
        (
            replace(with_keywords(_TOT=None), text_data=(0, 8), header_data=(0, 8)),
            "truncated",
            "DATA should reach byte",
        ),
        (
            replace(
                Recipe(),
                header_data=None,
                keywords={"$TOT": None, "$BEGINDATA": None, "$ENDDATA": None},
            ),
            "keyword_missing",
            "no place of DATA",
        ),
        (with_keywords(_TOT="-5"), "keyword_invalid", r"\$TOT is negative"),
        (with_keywords(_TOT="five"), "keyword_invalid", "whole number, found 'five'"),
        (with_keywords(_TOT="1" * 5000), "keyword_invalid", "whole number, found '111"),
        (with_keywords(_TOT=str(10**12)), "truncated", "want 8,000,000,000,000 bytes"),
        (with_keywords(_PAR=None), "text_unreadable", r"TEXT holds no \$PAR"),
        (with_keywords(_PAR="0"), "keyword_invalid", r"\$PAR is 0"),
        (with_keywords(_PAR=str(10**9)), "keyword_invalid", r"\$PAR is 1000000000"),
        (with_keywords(_PAR="3"), "keyword_missing", r"\$P3B is missing"),
        (with_keywords(_P2B=None), "keyword_missing", r"\$P2B is missing"),
        (with_keywords(_P2B=str(10**12)), "keyword_invalid", r"\$P2B is 1000000000000 bits"),
        (with_keywords(_P1E="x"), "keyword_invalid", r"\$P1E should be two numbers, found 'x'"),
        (with_keywords(_P1E="inf,1"), "keyword_invalid", r"\$P1E should be two numbers"),
        (with_keywords(_MODE="C"), "not_list_mode", "histogram"),
        (with_keywords(_MODE="u"), "not_list_mode", "'U'"),
        (with_keywords(_BYTEORD="3,4,1,2"), "byte_order", "found '3,4,1,2'"),
        (with_keywords(_BYTEORD="1,1,1,1"), "byte_order", "1,2,3,4 or 4,3,2,1"),
        (with_keywords(_BYTEORD=None), "byte_order", "found ''"),
        (with_keywords(_DATATYPE="X"), "keyword_invalid", "F, D, I or A, found 'X'"),
        (with_keywords(_P1B="16"), "layout_unsupported", r"\$P1B is 16, but data of type F have"),
        (with_keywords(_P2DATATYPE="D"), "layout_unsupported", r"\$P2B is 32, but data of type D"),
        (with_keywords(_P2DATATYPE="X"), "keyword_invalid", r"\$P2DATATYPE should be F, D, I or A"),
        (with_keywords(_P2DATATYPE="A"), "layout_unsupported", "text beside numbers"),
        (with_keywords(_DATATYPE="I", _P1B="65"), "layout_unsupported", r"\$P1B is 65 bits"),
        (with_keywords(_DATATYPE="I", _P1B="0"), "layout_unsupported", r"\$P1B is 0 bits"),
        (with_keywords(_DATATYPE="I", _P1B="*"), "layout_unsupported", r"\$P1B is 0 bits"),
        (with_keywords(_DATATYPE="A", _P1B="*"), "layout_unsupported", "free and of fixed width"),
        (with_keywords(_NEXTDATA="x"), "keyword_invalid", r"\$NEXTDATA should be a whole"),
        (replace(Recipe(), header_data=(0, 8), text_data=(0, 8)), "event_count", "give 48"),
        (
            replace(
                Recipe(),
                header_data=None,
                keywords={"$BEGINDATA": None, "$ENDDATA": None},
            ),
            "data_offsets",
            "neither HEADER nor TEXT says",
        ),
    ],
)
def test_contradictions_are_refused(write, recipe, code, message):
    error = refused(write(recipe))
    assert error.code == code
    with pytest.raises(FcsError, match=message):
        raise error


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "empty"),
        (b"F", "not_fcs"),
        (b"PK\x03\x04 a zip archive, say", "not_fcs"),
        (bytes(1000), "not_fcs"),
        (b"FCS3.1", "truncated"),
        (b"FCS3.1    " + b" " * 60, "header_offsets"),
        (b"FCS3.1    " + b"      58      57" + b" " * 60, "header_offsets"),
        (b"FCS3.1    " + b"     -58      99" + b" " * 60, "header_offsets"),
        (b"FCS3.1    " + b"      58    9999" + b" " * 60, "truncated"),
        (b"FCS3.1    " + b"    9999   99999" + b" " * 60, "truncated"),
        (b"FCS3.1    " + b"      5899999999" + b" " * 60, "text_too_large"),
        (b"FCS3.1    " + b"      58      99" + b" " * 90, "text_unreadable"),
        (b"FCS3.1    " + b"      58      99" + b"\0" * 60, "header_offsets"),
    ],
)
def test_what_is_no_fcs_file(write, raw, code):
    if code == "header_offsets" and raw.endswith(b"\0"):
        raw = raw.replace(b"      58      99", b"\0" * 16)
    assert refused(write(raw)).code == code


def test_data_that_became_shorter_or_vanished(write, tmp_path):
    recipe = replace(Recipe(), rows=ROWS * 2000)
    path = write(recipe)
    raw = read_fcs(path)
    (tmp_path / "a.fcs").write_bytes(make(recipe).raw[:-1])
    with pytest.raises(FcsError, match="became shorter") as caught:
        raw.stored()
    assert caught.value.code == "truncated"
    (tmp_path / "a.fcs").unlink()
    with pytest.raises(FcsError, match="cannot be read any more") as caught:
        raw.linear()
    assert caught.value.code == "unreadable"


# --- offsets that disagree


def test_the_end_one_byte_too_far_is_taken_with_a_note(write):
    recipe = replace(Recipe(), text_data=(0, 1), header_data=(0, 1), tail=b"x")
    raw = read_fcs(write(recipe))
    assert notes(raw) == ["data_end_off_by_one"]
    np.testing.assert_array_equal(raw.stored(), ROWS)


@pytest.mark.parametrize(
    ("header", "text"),
    [((0, 0), (-1, 0)), ((1, 0), (0, 0)), ((0, 0), (-9, 4)), ((7, 7), (0, 0))],
)
def test_of_two_places_the_one_that_holds_the_events(write, header, text):
    recipe = replace(Recipe(), header_data=header, text_data=text, tail=bytes(20))
    raw = read_fcs(write(recipe))
    assert "offset_note" in notes(raw)
    np.testing.assert_array_equal(raw.stored(), ROWS)


def test_of_two_fitting_places_the_one_after_text(write):
    recipe = replace(Recipe(), header_data=(3, 3), tail=bytes(20))
    raw = read_fcs(write(recipe))
    np.testing.assert_array_equal(raw.stored(), ROWS)
    raw = read_fcs(write(replace(Recipe(), text_data=(3, 3), tail=bytes(20))))
    np.testing.assert_array_equal(raw.stored(), ROWS)


def test_a_place_inside_text_holds_no_events(write):
    made = make()
    back = made.data[0] - made.text[0]
    raw = read_fcs(write(replace(Recipe(), header_data=(-back, -back))))
    np.testing.assert_array_equal(raw.stored(), ROWS)


def test_blank_offsets_in_the_header_and_none_in_text(write):
    raw = read_fcs(write(replace(Recipe(), header_data=None)))
    np.testing.assert_array_equal(raw.stored(), ROWS)
    only_header = replace(Recipe(), keywords={"$BEGINDATA": None, "$ENDDATA": None})
    np.testing.assert_array_equal(read_fcs(write(only_header)).stored(), ROWS)
    old = replace(Recipe(), version="FCS2.0", text_data=(500, 900))
    np.testing.assert_array_equal(read_fcs(write(old)).stored(), ROWS)  # 2.0: HEADER alone counts


def test_data_before_text(write):
    """DATA may stand anywhere; it is found where HEADER and TEXT say."""
    made = make()
    text = made.raw[made.text[0] : made.text[1] + 1]
    data = made.raw[made.data[0] :]
    begin, end = 58, 58 + len(data) - 1
    text = text.replace(b"%08d" % made.data[0], b"%08d" % begin)
    text = text.replace(b"%08d" % made.data[1], b"%08d" % end)
    header = b"FCS3.1    %8d%8d%8d%8d%8d%8d" % (end + 1, end + len(text), begin, end, 0, 0)
    assert len(header) == 58
    np.testing.assert_array_equal(read_fcs(write(header + data + text)).stored(), ROWS)


# --- several data sets


def two_sets(second_offset=None) -> bytes:
    first = make(with_keywords(_NEXTDATA="@@@@@"))
    second = make(replace(Recipe(), rows=((10.0, 20.0),)))
    size = len(first.raw) if second_offset is None else second_offset
    return first.raw.replace(b"@@@@@", b"%05d" % size) + second.raw


def test_data_sets_are_chosen(write):
    path = write(two_sets())
    error = refused(path)
    assert error.code == "several_data_sets"
    assert "holds 2 data sets" in error.message
    np.testing.assert_array_equal(read_fcs(path, dataset=0).stored(), ROWS)
    np.testing.assert_array_equal(read_fcs(path, dataset=1).stored(), [[10.0, 20.0]])
    for absent in (2, 10**6, -1):
        assert refused(path, dataset=absent).code == "data_set_missing"
    assert read_keywords(path).n_events == 5  # listings look at the first


@pytest.mark.parametrize("offset", [1, 99_999, 7])
def test_a_next_data_set_that_is_not_there(write, offset):
    raw = read_fcs(write(two_sets(offset)))
    assert notes(raw) == ["next_data_missing"]
    np.testing.assert_array_equal(raw.stored(), ROWS)


def test_a_long_chain_of_data_sets_ends(write):
    """Each data set points at the next; a thousand are followed, not more."""
    link = make(with_keywords(_NEXTDATA="@@@@@")).raw
    chain = link.replace(b"@@@@@", b"%05d" % len(link)) * 1500
    start = time.monotonic()
    assert "holds 1000 data sets" in refused(write(chain)).message
    assert time.monotonic() - start < 20


# --- TEXT


@pytest.mark.parametrize("delimiter", [*"/|\\*!^.+?()[]{}#:~\f\t\x1e\n"])
def test_delimiters(write, delimiter):
    recipe = replace(
        Recipe(), delimiter=delimiter, pnn=("FSC", "PE"),
        keywords={"$P1E": "0,0", "NOTE": f"x{delimiter}y", "$CYT": f"z{delimiter}"},
    )  # fmt: skip
    raw = read_fcs(write(recipe))
    assert raw.keywords["NOTE"] == f"x{delimiter}y"
    assert raw.keywords["$CYT"] == f"z{delimiter}"
    np.testing.assert_array_equal(raw.stored(), ROWS)


def test_empty_values_shift_nothing(write):
    recipe = replace(
        Recipe(),
        keywords={"note": "", "$P1S": "", "$P2S": "HLA/DR", "also": "", "$CYT": "/x", "last": ""},
    )
    raw = read_fcs(write(recipe))
    assert "text_empty_values" in notes(raw)
    assert raw.pns == ("", "HLA/DR")
    assert raw.keywords["$CYT"] == "/x"
    assert raw.keywords["NOTE"] == raw.keywords["ALSO"] == raw.keywords["LAST"] == ""
    np.testing.assert_array_equal(raw.stored(), ROWS)


WORD = st.text(st.characters(codec="latin-1", categories=("L", "N", "P", "S")), max_size=8)
KEY = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ$%_0123456789 -", min_size=1, max_size=8).map(
    lambda key: key.strip() or "K"
)


@examples(300)
@given(st.dictionaries(KEY, WORD, max_size=8), st.sampled_from("/|\\!^\f\t"))
def test_every_text_is_read_back(pairs, delimiter):
    """Whatever the values: empty, of delimiters alone, with delimiters at their ends."""
    pairs = {"$PAR": "2"} | {
        key: value for key, value in pairs.items() if delimiter not in key and key != "$PAR"
    }
    written = joined([(k, v.replace(delimiter, delimiter * 2)) for k, v in pairs.items()],
                     delimiter, escape=False)  # fmt: skip
    assert tokenize(written.encode("utf-8")).keywords == pairs


def test_padding_encoding_case_and_repetition():
    text = tokenize(b"/ \r\n$par/2/  \0$datatype/F/$CYT/caf\xe9/$cyt/other/note/a\0\0/\0\0  \n")
    assert text.keywords == {"$PAR": "2", "$DATATYPE": "F", "$CYT": "café", "NOTE": "a"}
    assert [code for code, _ in text.notes] == ["text_encoding", "keywords_repeated"]
    assert tokenize("/$PAR/2/$CYT/café µ/".encode()).keywords["$CYT"] == "café µ"
    assert tokenize(b"/$PAR/2/$TOT/5").keywords == {"$PAR": "2", "$TOT": "5"}  # no last delimiter


@pytest.mark.parametrize("raw", [b"", b"/", b"//", b"/$PAR", b"  ", b"\0\0\0", b"/A/b/"])
def test_text_without_parameters(raw):
    with pytest.raises(FcsError, match=r"TEXT holds no \$PAR") as caught:
        tokenize(raw)
    assert caught.value.code == "text_unreadable"


def test_supplemental_text(write):
    more = b"/$SPILLOVER/2,a,b,1,0,0,1/$P1N/other/"
    made = make(with_keywords(_BEGINSTEXT="@@@@@", _ENDSTEXT="%%%%%"))
    place = (len(made.raw), len(made.raw) + len(more) - 1)
    raw = made.raw.replace(b"@@@@@", b"%05d" % place[0]).replace(b"%%%%%", b"%05d" % place[1])
    found = read_fcs(write(raw + more))
    assert found.keywords["$SPILLOVER"] == "2,a,b,1,0,0,1"
    assert found.pnn == ("FSC-A", "PE-A")  # the primary segment counts
    assert notes(read_fcs(write(raw))) == ["supplement_unreadable"]  # outside the file
    assert notes(read_fcs(write(raw + b"P" + more[1:]))) == ["supplement_unreadable"]


def test_oddities_that_are_noted_or_passed_over(write):
    def read(**keywords):
        return read_fcs(write(with_keywords(**keywords)))

    assert notes(read(_TIMESTEP="soon")) == ["timestep_invalid"]
    assert notes(read(_TIMESTEP="nan")) == ["timestep_invalid"]
    assert notes(read(_TIMESTEP=" ")) == []
    assert notes(read(_P1E="4,1")) == ["log_on_float"]
    np.testing.assert_array_equal(read(_P1E="4,1").linear(), ROWS)
    assert notes(read(_P2N="FSC-A")) == ["names_repeated"]
    left_over = read(_P3N="left over", _P4N="too")
    assert left_over.pnn == ("FSC-A", "PE-A")
    assert "flowkit_refused" in notes(left_over) or notes(left_over) == []
    user = read(**{"TOT": "999", "PAR": "7", "_BYTEORD": "1, 2, 3, 4"})
    np.testing.assert_array_equal(user.stored(), ROWS)
    long_order = read(_BYTEORD="1,2,3,4,5,6,7,8")
    np.testing.assert_array_equal(long_order.stored(), ROWS)
    np.testing.assert_array_equal(read(_MODE=None).stored(), ROWS)
    np.testing.assert_array_equal(read(_MODE="l").stored(), ROWS)


# --- times


@pytest.mark.parametrize(
    ("keywords", "wanted"),
    [
        ({"$DATE": "03-MAR-2024", "$BTIM": "01:02:03"}, datetime(2024, 3, 3, 1, 2, 3)),
        ({"$DATE": "3-Mar-24", "$BTIM": "1:02:03:30"}, datetime(2024, 3, 3, 1, 2, 3, 500_000)),
        ({"$DATE": "2024-03-03", "$BTIM": "01:02:03.25"}, datetime(2024, 3, 3, 1, 2, 3, 250_000)),
        ({"$DATE": "2024/03/03", "$BTIM": " 01:02:03 "}, datetime(2024, 3, 3, 1, 2, 3)),
        ({"$DATE": "20240303", "$BTIM": "01:02:03"}, datetime(2024, 3, 3, 1, 2, 3)),
        ({"$BEGINDATETIME": "2024-03-03T01:02:03"}, datetime(2024, 3, 3, 1, 2, 3)),
        ({"$BEGINDATETIME": "yesterday", "$DATE": "20240303", "$BTIM": "01:02:03"}, None),
        ({"$DATE": "03-MAR-2024"}, None),
        ({"$BTIM": "01:02:03"}, None),
        ({"$DATE": "03/04/2024", "$BTIM": "01:02:03"}, None),
        ({"$DATE": "03-MAR-2024", "$BTIM": "24:00:00"}, None),
        ({"$DATE": "03-MAR-2024", "$BTIM": "10:61:00"}, None),
        ({"$DATE": "31-DEC-9999", "$BTIM": "99:99:99:99"}, None),
        ({"$DATE": "03-MAR-2024", "$BTIM": "01:02:03:" + "9" * 5000}, None),
        ({}, None),
    ],
)
def test_when_a_file_was_acquired(keywords, wanted):
    assert acquisition_time(keywords) == wanted


def test_cytometer():
    def named(**keywords):
        raw = RawEvents("", "3.1", keywords, (), 0, None)  # type: ignore[arg-type]
        return raw.cytometer

    assert named() is None
    assert named(**{"$CYT": " Canto ", "$CYTSN": "7"}) == "Canto 7"
    assert named(CYTNUM="V7") == "V7"


# --- damage


def outcome(path):
    """What a reader makes of a file: a typed refusal, or events with what describes them."""
    try:
        raw = read_fcs(path)
        if raw.n_events > 10**6:
            return "many"
        return raw.pnn, raw.n_events, dict(raw.keywords), raw.stored().tobytes(), raw.parameters
    except FcsError as error:
        return error.code if error.code != FcsError.default_code else "no code"


def test_cut_anywhere_is_refused(write):
    whole = make(replace(Recipe(), keywords={"$P1S": "x/y", "note": ""})).raw
    path = write(whole)
    sound = outcome(path)
    assert not isinstance(sound, str)
    for length in [*range(0, 120), *range(120, len(whole), 3)]:
        found = outcome(write(whole[:length]))
        assert isinstance(found, str), length
        assert found in ("empty", "not_fcs", "truncated", "header_offsets", "text_unreadable")


@pytest.mark.parametrize("flip", [0x01, 0x10, 0x80])
def test_one_changed_byte_is_refused_or_seen_or_harmless(write, flip):
    """Never another exception and never a hang; other events only where the keywords differ."""
    made = make(replace(Recipe(), keywords={"$P1S": "x/y", "$P2G": "2", "$TIMESTEP": "0.1"}))
    sound = outcome(write(made.raw))
    for place in range(made.text[1] + 1):
        damaged = bytearray(made.raw)
        damaged[place] ^= flip
        found = outcome(write(bytes(damaged)))
        if not isinstance(found, str) and found != sound:
            assert found[2] != sound[2] or place < 58
            if place < 58:  # the version, or a HEADER offset that TEXT corrects
                assert found[3] == sound[3] or found[1] != sound[1]


@examples(150)
@given(st.data())
def test_several_changed_bytes_raise_nothing_but_ours(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damage", numbered=True)
    made = make(replace(Recipe(), keywords={"$P1S": "x/y", "$SPILLOVER": "1,PE-A,1"}))
    damaged = bytearray(made.raw)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, made.text[1]))
        damaged[place] = data.draw(st.sampled_from(b"0123456789/$,FIDA \0\xff-."))
    path = folder / "a.fcs"
    path.write_bytes(damaged)
    outcome(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(FcsError):
            read_keywords(path)


@examples(150)
@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_ours(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("garbage", numbered=True) / "a.fcs"
    path.write_bytes(b"FCS3.0    " + junk)
    outcome(path)


# --- real files

# Refused with a code.
UNREADABLE = {
    "FACEJava/fcsdata/int-multiple_datasets.fcs": "several_data_sets",
    "fcsparser/corrupted.fcs": "not_fcs",
}
# Text; 24-bit integers; several data sets; a $TIMESTEP that is no number; a keyword behind blanks.
FLOWKIT_REFUSES = {
    "FACEJava/fcsdata/ascii-4_events.fcs": "bad char",
    "FACEJava/fcsdata/invalid-no_crc.fcs": "bad char",
    "FlowCal/Data003.fcs": "reshape",
    "FlowCal/sample001.fcs": "reshape",
    "FlowCal/sample006.fcs": "reshape",
    "FlowCal/sample015.fcs": "reshape",
    "FlowIO/coulter.lmd": "multiple data sets",
    "cytoflow/instruments/Beckman Coulter - Cytomics FC500.LMD": "multiple data sets",
    "FlowIO/data_start_offset_discrepancy_example.fcs": "Timestep",
    "FlowIO/data_stop_offset_discrepancy_example.fcs": "Timestep",
    "FlowIO/variable_int_example.fcs": "Timestep",
    "cytoflow/instruments/Partec - CyFlow v2.9.fcs": "datatype",
}
FLOWKITS_ERRORS = (ValueError, KeyError, struct.error, MultipleDataSetsError)
# Where FlowKit's raw events are not ours, and why we are right.
FLOWKIT_DIFFERS = {
    "FACEJava/fcsdata/double-5_events.fcs": "offsets",  # reads 7 rows of 5: TEXT's wrong place
    "cytoflow/instruments/Beckman Coulter - Cyan.fcs": "offsets",
    "cytoflow/itn/itn_02.fcs": "log_on_float",  # FCS 3.1, 3.2.20: $PnE of floats is 0,0
    "cytoflow/itn/itn_03.fcs": "log_on_float",
}


def corpus_files():
    found = sorted(p for p in CORPUS.rglob("*") if p.suffix.lower() in (".fcs", ".lmd"))
    names = [path.relative_to(CORPUS).as_posix() for path in found]
    return names or [pytest.param("none", marks=pytest.mark.skip(f"no corpus at {CORPUS}"))]


def flowkit_raw(path):
    from flowio import FlowData
    from flowkit import Sample

    with path.open("rb") as handle, warnings.catch_warnings():
        # FlowKit says where it guesses; what it reads is compared here. It is handed the open file,
        # for it leaves its own open where it refuses one.
        warnings.simplefilter("ignore", UserWarning)
        data = FlowData(handle, ignore_offset_error=True, ignore_offset_discrepancy=True)
        return Sample(data).get_events("raw")


@pytest.mark.parametrize("name", corpus_files())
def test_linear_events_are_flowkits_bit_for_bit(name):
    path = real_file(name)
    if name in UNREADABLE:
        assert refused(path).code == UNREADABLE[name]
        return
    raw = read_fcs(path)
    if name in FLOWKIT_REFUSES:
        with pytest.raises(FLOWKITS_ERRORS, match=FLOWKIT_REFUSES[name]):
            flowkit_raw(path)
        return
    theirs, ours = flowkit_raw(path), raw.linear()
    if name not in FLOWKIT_DIFFERS:
        np.testing.assert_array_equal(ours, theirs, strict=True)
    elif FLOWKIT_DIFFERS[name] == "offsets":
        assert "offset_note" in notes(raw)
        assert ours.shape != theirs.shape or (ours != theirs).any()
    else:
        assert "log_on_float" in notes(raw)
        same = (ours == theirs).all(axis=0)
        assert not same.all()
        stored = raw.stored()
        for k in np.flatnonzero(~same):
            assert raw.keywords[f"$P{k + 1}E"] != "0,0"
            np.testing.assert_array_equal(ours[:, k], stored[:, k])


def agreed_files():
    """Every file, whatever its ending, that two other readers see alike."""
    path = CORPUS / "_reference/reader_visible.json"
    if not path.is_file():
        return [pytest.param("none", marks=pytest.mark.skip(f"no corpus at {CORPUS}"))]
    seen = json.loads(path.read_text())
    return sorted(name for name, entry in seen.items() if entry.get("agree") is True)


@pytest.mark.parametrize("name", agreed_files())
def test_stored_events_are_what_two_other_readers_see(name):
    raw = read_fcs(real_file(name), dataset=0)  # the other readers take the first data set
    stored = raw.stored()
    reference = json.loads(real_file("_reference/reader_visible.json").read_text())[name]["FlowCal"]
    assert list(stored.shape) == reference["shape"]
    np.testing.assert_array_equal(stored[:2], np.array(reference["first2"]))
    np.testing.assert_array_equal(stored[-1], np.array(reference["last"]))
    np.testing.assert_allclose(stored.sum(axis=0), reference["sum"], rtol=1e-6, equal_nan=True)


def test_data_sets_of_real_files():
    path = real_file("FACEJava/fcsdata/int-multiple_datasets.fcs")
    assert refused(path).code == "several_data_sets"
    first = read_fcs(path, dataset=0)
    assert first.pnn == ("P1", "P2")
    assert notes(first) == ["name_missing", "name_missing"]
    assert first.stored().tolist() == [[k, k] for k in (1, 2, 3, 4)]
    second = read_fcs(path, dataset=1)
    assert (second.pnn, second.dataset) == (("FSC", "SSC"), 1)
    # its description says (5,5) (6,6) …, its bytes are 5 to 12
    assert second.stored().tolist() == [[5, 6], [7, 8], [9, 10], [11, 12]]
    assert refused(path, dataset=2).code == "data_set_missing"


@pytest.mark.parametrize(
    "name", ["FlowIO/coulter.lmd", "cytoflow/instruments/Beckman Coulter - Cytomics FC500.LMD"]
)
def test_both_sets_of_beckmans_files_hold_the_same_events(name):
    """Scatter of 10 bits (said to be packed, and lying in words) is that of 20 bits, cut."""
    path = real_file(name)
    coarse, fine = read_fcs(path, dataset=0), read_fcs(path)
    assert (fine.dataset, fine.version) == (1, "3.0")
    assert notes(fine) == ["high_resolution_set"]
    assert notes(read_fcs(path, dataset=1)) == []
    assert fine.cytometer == "Cytomics FC 500"
    assert fine.acquired_at == coarse.acquired_at is not None
    for linear, detector in (("FS Lin", "FS"), ("SS Lin", "SS")):
        k, n = coarse.pnn.index(linear), fine.pnn.index(detector)
        assert fine.parameters[n].voltage == coarse.parameters[k].voltage is not None
        cut = np.floor(fine.stored()[:, n] / 1024)
        np.testing.assert_array_equal(coarse.stored()[:, k], cut)
    assert ("bits_padded" in notes(coarse)) == ("FC500" in name)
    assert read_keywords(path).pnn == fine.pnn


def test_numbers_are_read_as_written(write):
    values = (math.nan, math.inf, -math.inf, -0.0, 1e-45, 3.4e38)
    recipe = Recipe(tuple((v,) for v in values), ("a",), "F", (32,), ">")
    assert data_of(recipe)[:4] in (struct.pack(">f", math.nan), b"\x7f\xc0\0\0")
    np.testing.assert_array_equal(read_fcs(write(recipe)).stored()[:, 0], np.float32(values))
