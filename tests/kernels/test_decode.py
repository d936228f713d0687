import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from cytosepsis.fcs import read_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import UNCOMPENSATED, Axis, GatingPlan, Rectangle
from cytosepsis.kernels import decode, walk
from effort import COMPILED, examples
from fcs_bytes import Recipe, make

# code of the walk, $DATATYPE, struct letter, bits, byte order
LAYOUTS = [
    (decode.FLOAT32, "F", "f", 32, "<"),
    (decode.FLOAT32_SWAPPED, "F", "f", 32, ">"),
    (decode.FLOAT64, "D", "d", 64, "<"),
    (decode.FLOAT64_SWAPPED, "D", "d", 64, ">"),
    (decode.UINT8, "I", "B", 8, "<"),
    (decode.UINT16, "I", "H", 16, "<"),
    (decode.UINT16_SWAPPED, "I", "H", 16, ">"),
    (decode.UINT32, "I", "I", 32, "<"),
    (decode.UINT32_SWAPPED, "I", "I", 32, ">"),
]
FULL = 2**32 - 1


def views_of(data: bytes) -> decode.Views:
    padded = np.frombuffer(data + bytes(-len(data) % 8), dtype=np.uint8).copy()
    bits = np.empty(2 * walk.BLOCK, dtype=np.uint32)
    return decode.Views(
        padded.view(np.float32),
        padded.view(np.float64),
        padded,
        padded.view(np.uint16),
        padded.view(np.uint32),
        bits,
        bits.view(np.float32),
        bits.view(np.float64),
        np.empty(walk.BLOCK, dtype=np.uint32),
    )


@pytest.mark.parametrize(("code", "data_type", "letter", "bits", "order"), LAYOUTS)
def test_columns_of_a_block(code, data_type, letter, bits, order):
    """All rows, and some: what was not asked for is not touched."""

    @examples(60)
    @given(st.binary(min_size=8, max_size=400), st.integers(1, 3), st.data())
    def check(data, n, draw):
        size = bits // 8
        count = len(data) // (size * n)
        data = data[: count * size * n]
        mask = draw.draw(st.sampled_from((1, 255, 1023, FULL))) if data_type == "I" else FULL
        wide = np.int64(mask)  # as the walk has it
        masks = (mask,) * n if data_type == "I" else ()
        wanted = np.array(naive.decoded(data, letter, order, n, masks)).reshape(-1, n)
        views, stride = views_of(data), np.uint64(n)
        some = sorted(draw.draw(st.sets(st.integers(0, count - 1)))) if count else []
        rows = np.array(some, dtype=np.uint32)
        for column in range(n):
            out = np.full(walk.BLOCK, -1.0)
            decode.decode_all(views, code, np.uint64(column), stride, count, wide, out)
            np.testing.assert_array_equal(out[:count], wanted[:, column])
            assert (out[count:] == -1.0).all()
            out = np.full(walk.BLOCK, -1.0)
            decode.decode_rows(views, code, np.uint64(column), stride, rows, wide, out)
            np.testing.assert_array_equal(out[rows], wanted[rows, column])
            assert (np.delete(out, rows) == -1.0).all()

    with np.errstate(invalid="ignore"):  # a signalling NaN of four bytes, widened
        check()


@pytest.mark.parametrize("value", [0, 1, 0x12, 0x1234, 0xFF00, 0xFFFF, 0x12345678, FULL])
def test_bytes_are_reversed(value):
    assert decode.swap32(value) == int.from_bytes(value.to_bytes(4, "little"), "big")
    if value <= 0xFFFF:
        assert decode.swap16(value) == int.from_bytes(value.to_bytes(2, "little"), "big")


@pytest.mark.parametrize(("code", "data_type", "letter", "bits", "order"), LAYOUTS)
@pytest.mark.parametrize("share", [0.9, 0.1])
def test_the_walk_sees_every_event_of_a_file(tmp_path, code, data_type, letter, bits, order, share):
    """Over several blocks and reads, with gains, masks and a time step, dense and sparse."""
    n, count = 4, 5 * walk.BLOCK + 3 if COMPILED else walk.BLOCK + 3
    random = np.random.default_rng(code)
    top = 200 if bits == 8 else 1000
    rows = random.integers(0, top, (count, n))
    names = ("A", "B", "C", "Time")
    keywords = {"$P2G": "4", "$TIMESTEP": "0.01"}
    masks = (FULL,) * n
    if data_type == "I":
        keywords["$P3R"] = "64"
        masks = (FULL, FULL, 63, FULL)
    recipe = Recipe(rows.tolist(), names, data_type, (bits,) * n, order, keywords)
    made = make(recipe)
    path = tmp_path / "a.fcs"
    path.write_bytes(made.raw)
    raw = read_fcs(path)
    data = made.raw[made.data[0] : made.data[1] + 1]
    stored = np.array(naive.decoded(data, letter, order, n, masks if data_type == "I" else ()))
    limit = float(np.quantile(stored[:, 0], 1 - share))
    plan = GatingPlan(
        (Rectangle("g", "root", (Axis("A", None, UNCOMPENSATED),), (limit,), (None,)),)
    )
    measures = [Measure(path, name) for path in ("root", "root/g") for name in names]
    found = gate(raw, plan, measures=measures)
    inside = stored[:, 0] >= limit
    assert found.n_events["root/g"] == inside.sum()
    np.testing.assert_array_equal(found.mask("root/g"), inside)
    linear = stored / [1.0, 4.0, 1.0, 1.0] * [1.0, 1.0, 1.0, 0.01]
    for k, name in enumerate(names):
        np.testing.assert_array_equal(found.values[Measure("root", name)], linear[:, k])
        np.testing.assert_array_equal(found.values[Measure("root/g", name)], linear[inside, k])
    np.testing.assert_array_equal(raw.linear(), linear)


@pytest.mark.parametrize("decades", ["4,1", "3,0.1"])
def test_the_walk_sees_log_amplifiers_as_linear_does(tmp_path, decades):
    count = walk.BLOCK + 10
    rows = [(k % 1024, (k * 7) % 1024) for k in range(count)]
    recipe = Recipe(
        rows, ("A", "B"), "I", (16, 16), ">",
        {"$P1E": decades, "$P1R": "1024", "$P2R": "512", "$P2G": "2"},
    )  # fmt: skip
    path = tmp_path / "a.fcs"
    path.write_bytes(make(recipe).raw)
    raw = read_fcs(path)
    measures = [Measure("root", "A"), Measure("root", "B")]
    found = gate(raw, GatingPlan(()), measures=measures)
    for k, measure in enumerate(measures):
        np.testing.assert_array_equal(found.values[measure], raw.linear()[:, k])
    assert raw.linear()[:, 1].max() == 511 / 2


@pytest.mark.parametrize(("bits", "order"), [((8, 32), "<"), ((10, 10), ">"), ((24, 24), ">")])
def test_the_walk_sees_rows_that_have_to_be_decoded(tmp_path, bits, order):
    rows = [(k % 256, 3 * k) for k in range(walk.BLOCK * 2)]
    rows = [(a, b % 1000) for a, b in rows]
    recipe = Recipe(rows, ("A", "B"), "I", bits, order, {"$P1G": "2"})
    path = tmp_path / "a.fcs"
    path.write_bytes(make(recipe).raw)
    raw = read_fcs(path)
    assert raw.layout.dtype is None
    measures = [Measure("root", "A"), Measure("root", "B")]
    found = gate(raw, GatingPlan(()), measures=measures)
    np.testing.assert_array_equal(found.values[measures[0]], np.array(rows)[:, 0] / 2)
    np.testing.assert_array_equal(found.values[measures[1]], np.array(rows)[:, 1])


@pytest.mark.parametrize("big_endian", [False, True])
def test_bits_are_unpacked(big_endian):
    @examples(100)
    @given(st.lists(st.integers(1, 64), min_size=1, max_size=4), st.binary(max_size=80))
    def check(widths, data):
        row_bits = sum(widths)
        count = len(data) * 8 // row_bits
        raw = np.frombuffer(data, dtype=np.uint8)
        wanted = naive.unpacked(data, widths, count, big_endian)
        first = 0
        for column, bits in enumerate(widths):
            for mask in (2**64 - 1, 5):
                out = np.full(count, -1.0)
                decode.unpack_bits(raw, row_bits, first, bits, np.uint64(mask), big_endian, out)
                assert out.tolist() == [float(row[column] & mask) for row in wanted]
            first += bits

    check()
