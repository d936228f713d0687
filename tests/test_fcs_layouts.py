"""Layouts that are decoded row by row, and the notes and refusals that belong to them."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from cytosepsis.errors import FcsError
from cytosepsis.fcs import read_fcs
from effort import examples
from fcs_bytes import Recipe, make
from plan_files import real_file


@pytest.fixture
def read(tmp_path):
    def reader(recipe: Recipe, **options):
        path = tmp_path / "a.fcs"
        path.write_bytes(make(recipe).raw)
        return read_fcs(path, **options)

    return reader


def notes(raw):
    return [note.code for note in raw.notes]


def refusal(read, recipe):
    with pytest.raises(FcsError) as caught:
        read(recipe).stored()
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("order", ["<", ">"])
def test_integers_of_any_widths(read, order):
    @examples(60)
    @given(st.lists(st.integers(1, 64), min_size=1, max_size=6), st.integers(0, 20), st.data())
    def check(widths, count, data):
        rows = [
            tuple(data.draw(st.integers(0, 2**bits - 1)) for bits in widths) for _ in range(count)
        ]
        names = [f"c{k}" for k in range(len(widths))]
        raw = read(Recipe(rows, names, "I", widths, order))
        wanted = np.array(rows, dtype=float).reshape(-1, len(widths))
        np.testing.assert_array_equal(raw.stored(), wanted)
        assert ("integers_rounded" in notes(raw)) == any(bits > 53 for bits in widths)
        for size in (1, 3, 8, 11):
            blocks = [block.astype(float) for block in raw.blocks(rows=size)]
            np.testing.assert_array_equal(np.concatenate([*blocks, np.empty((0, len(widths)))]),
                                          wanted)  # fmt: skip

    check()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [(8, 16, 32), (24, 24, 24), (10, 10, 10), (64, 64, 64)])
def test_bits_beyond_the_range_are_cut(read, order, bits):
    random = np.random.default_rng(sum(bits))
    rows = [tuple(int(random.integers(0, 2 ** min(b, 62))) for b in bits) for _ in range(50)]
    ranges = {"$P1R": "16", "$P2R": "17", "$P3R": "100.5"}
    raw = read(Recipe(rows, tuple("abc"), "I", bits, order, ranges))
    np.testing.assert_array_equal(raw.stored(), [[a & 15, b & 31, c & 127] for a, b, c in rows])


@pytest.mark.parametrize("text", ["0", "-1", "x", "1e400", ""])
def test_a_range_that_is_none_takes_all_bits(read, text):
    """FlowIO reads zeros where $PnR is 0."""
    recipe = Recipe(((1, 70000), (255, 3)), ("a", "b"), "I", (8, 32), ">", {"$P2R": text})
    raw = read(recipe)
    np.testing.assert_array_equal(raw.stored(), recipe.rows)
    assert "range_missing" in notes(raw)
    assert raw.parameters[1].range == 2.0**32


@pytest.mark.parametrize(
    "keywords", [{"$P2R": "1e5"}, {"$P2R": "1e300"}, {"$BYTEORD": "4, 3, 2, 1"}, {"P2R": "16"}]
)
def test_what_flowkit_misreads(read, keywords):
    recipe = Recipe(((1, 70000), (255, 3)), ("a", "b"), "I", (8, 32), ">", keywords)
    np.testing.assert_array_equal(read(recipe).stored(), recipe.rows)


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4", "1,2,3,4,5,6,7,8"])
def test_a_byte_order_of_any_length(read, text):
    for bits in ((8, 32), (16, 16), (24, 24), (10, 12), (64, 64)):
        recipe = Recipe(((1, 700), (255, 3)), ("a", "b"), "I", bits, "<", {"$BYTEORD": text})
        np.testing.assert_array_equal(read(recipe).stored(), recipe.rows)


@pytest.mark.parametrize("text", ["3,4,1,2", "2,1,4,3", "1", "", "1,3,2,4"])
def test_a_mixed_byte_order_is_refused(read, text):
    for bits in ((8, 32), (16, 16), (24, 24), (10, 12)):
        recipe = Recipe(((1, 700),), ("a", "b"), "I", bits, "<", {"$BYTEORD": text})
        assert refusal(read, recipe)[0] == "byte_order"
    for bits in ((8, 8),):  # single bytes have none
        recipe = Recipe(((1, 200),), ("a", "b"), "I", bits, "<", {"$BYTEORD": text})
        assert read(recipe).stored().tolist() == [[1.0, 200.0]]


@pytest.mark.parametrize(("bits", "word"), [(10, "H"), (12, "H"), (20, "I"), (24, "I"), (5, "B")])
@pytest.mark.parametrize("order", ["<", ">"])
def test_odd_widths_in_words_are_told_by_the_length_of_data(read, bits, word, order):
    """Beckman's $PnB 10 lies in 16-bit words whose upper bits are junk."""
    rows = ((3, 1), (2**bits - 1, 0), (9, 17), (5, 30))
    junk = 1 << bits
    size = struct.calcsize(word)
    stored = b"".join(
        struct.pack(order + word, value | (junk if 8 * size > bits else 0))
        for row in rows for value in row
    )  # fmt: skip
    raw = read(Recipe(rows, ("a", "b"), "I", (bits, bits), order, data=stored))
    np.testing.assert_array_equal(raw.stored(), rows)
    assert notes(raw) == ["bits_padded"]


def test_types_of_their_own(read):
    """FCS 3.2: $PnDATATYPE."""
    for order in "<>":
        data = b"".join(
            struct.pack(order + "fdHIf", *row)
            for row in ((0.5, 1e300, 65535, 2**32 - 1, -1), (2, -3, 4, 5, np.inf))
        )
        recipe = Recipe(
            ((0,) * 5,) * 2, tuple("abcde"), "F", (32, 64, 16, 32, 32), order,
            {"$P2DATATYPE": "D", "$P3DATATYPE": "I", "$P3R": "1024", "$P4DATATYPE": "i",
             "$P4R": "1e10"},
            version="FCS3.2", data=data,
        )  # fmt: skip
        raw = read(recipe)
        wanted = [[0.5, 1e300, 1023, 2**32 - 1, -1], [2, -3, 4, 5, np.inf]]
        np.testing.assert_array_equal(raw.stored(), np.float64(wanted))
        gains = replace(recipe, keywords={**recipe.keywords, "$P3E": "2,1", "$P3R": "1024"})
        np.testing.assert_allclose(read(gains).linear()[1, 2], 10 ** (2 * 4 / 1024))
    one = replace(recipe, keywords={f"$P{n}DATATYPE": "F" for n in range(1, 6)}, bits=(32,) * 5,
                  data=bytes(40))  # fmt: skip
    assert read(one).layout.dtype is not None


# --- text


def test_text_of_fixed_width(read):
    rows = ((125, 150), (0, 99999), (-5, 0.25))
    data = b"".join(b"%4s%6s" % (str(a).encode(), str(b).encode()) for a, b in rows)
    recipe = Recipe(rows, ("a", "b"), "A", (4, 6), "<", data=data)
    np.testing.assert_array_equal(read(recipe).stored(), rows)
    np.testing.assert_array_equal(read(replace(recipe, keywords={"$BYTEORD": "0"})).stored(), rows)
    for junk in (b"nan ", b"1_00", b"    ", b"1-2-", b"\xff\xff  "):
        bad = replace(recipe, data=junk + data[4:])
        code, message = refusal(read, bad)
        assert code == "data_text"
        assert message.startswith("DATA is text")


@pytest.mark.parametrize("parting", [b" ", b"\r\n", b",", b"\t  ", b", "])
def test_text_of_free_width(read, parting):
    rows = [(k, k * k / 4) for k in range(100)]
    data = parting.join(str(v).encode() for row in rows for v in row)
    recipe = Recipe(rows, ("a", "b"), "A", (8, 8), "<", {"$P1B": "*", "$P2B": "*"}, data=data)
    raw = read(recipe)
    np.testing.assert_array_equal(raw.stored(), rows)
    for size in (1, 7, 1000):
        np.testing.assert_array_equal(np.concatenate(list(raw.blocks(rows=size))), rows)
    assert refusal(read, replace(recipe, data=data + b" 3 ")) == (
        "event_count", "$TOT is 100 events of 2 numbers, DATA holds 201 numbers",
    )  # fmt: skip
    assert refusal(read, replace(recipe, data=data[:-30]))[0] == "event_count"
    assert refusal(read, replace(recipe, data=data[:-30] + b"x"))[0] == "data_text"
    assert refusal(read, replace(recipe, data=b"1" * 5000))[0] == "data_text"


def test_free_text_over_several_pieces(read, monkeypatch):
    monkeypatch.setattr("cytosepsis.fcs_decode.TEXT_PIECE", 64)
    rows = [(k, 1000 * k, 7) for k in range(200)]
    data = b" ".join(str(v).encode() for row in rows for v in row)
    keywords = {f"$P{n}B": "*" for n in (1, 2, 3)}
    raw = read(Recipe(rows, tuple("abc"), "A", (8,) * 3, "<", keywords, data=data))
    np.testing.assert_array_equal(raw.stored(), rows)


def test_free_text_outside_the_file(read):
    recipe = Recipe(((1,),), ("a",), "A", (8,), "<", {"$P1B": "*"}, data=b"1",
                    text_data=(0, 50), header_data=(0, 50))  # fmt: skip
    assert refusal(read, recipe)[0] in ("event_count", "truncated")


# --- real files


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("ascii-4_events.fcs", [[125, 150], [175, 150], [150, 125], [150, 175]]),
        ("invalid-no_crc.fcs", [[100, 200], [100, 200], [300, 400], [300, 400]]),
    ],
)
def test_text_of_real_files(name, rows):
    assert read_fcs(real_file(f"FACEJava/fcsdata/{name}")).stored().tolist() == rows


@pytest.mark.parametrize(
    "name",
    ["fcsparser/cyflow_cube_8.fcs", "FlowIO/variable_int_example.fcs"],
)
def test_mixed_widths_of_real_files(name):
    """Where one other reader sees the file, and none contradicts it."""
    reference = json.loads(real_file("_reference/reader_visible.json").read_text())[name]
    stored = read_fcs(real_file(name)).stored()
    assert list(stored.shape) == reference["fcsparser"]["shape"]
    np.testing.assert_array_equal(stored[:2], reference["fcsparser"]["first2"])
    np.testing.assert_array_equal(stored[-1], reference["fcsparser"]["last"])
    np.testing.assert_allclose(stored.sum(axis=0), reference["fcsparser"]["sum"], rtol=1e-6)


def test_the_naive_stream_is_its_own_inverse():
    assert naive.unpacked(bytes([0b10110001]), (3, 5), 1, True) == [[0b101, 0b10001]]
    assert naive.unpacked(bytes([0b10110001]), (3, 5), 1, False) == [[0b001, 0b10110]]
