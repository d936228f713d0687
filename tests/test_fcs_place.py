"""Where DATA lies, files that are cut short, several data sets, hostile files."""

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from cytosepsis.errors import FcsError
from cytosepsis.fcs import read_fcs, read_keywords
from cytosepsis.fcs_sets import data_sets
from fcs_bytes import Recipe, make

ROWS = np.array(Recipe().rows)


@pytest.fixture
def write(tmp_path):
    def writer(made) -> str:
        path = tmp_path / "a.fcs"
        path.write_bytes(make(made).raw if isinstance(made, Recipe) else made)
        return str(path)

    return writer


def with_keywords(**keywords) -> Recipe:
    return Recipe(keywords={key.replace("_", "$", 1): value for key, value in keywords.items()})


def notes(raw):
    return [note.code for note in raw.notes]


def code_of(path, **options):
    with pytest.raises(FcsError) as caught:
        read_fcs(path, **options).stored()
    return caught.value.code


# --- what is missing is derived


def test_events_are_counted_where_their_number_is_missing(write):
    for absent in (None, "", "  "):
        raw = read_fcs(write(with_keywords(_TOT=absent)))
        assert "events_counted" in notes(raw)
        np.testing.assert_array_equal(raw.stored(), ROWS)
    header_only = with_keywords(_TOT=None, _BEGINDATA=None, _ENDDATA=None)
    assert read_fcs(write(header_only)).n_events == 5


def test_a_missing_mode_is_list_mode(write):
    raw = read_fcs(write(with_keywords(_MODE=None)))
    assert "mode_missing" in notes(raw)


def test_a_missing_name_is_its_number(write):
    raw = read_fcs(write(with_keywords(_P2N=None)))
    assert raw.pnn == ("FSC-A", "P2")
    assert "name_missing" in notes(raw)


def test_old_files_without_offsets_in_the_header_have_them_in_text(write):
    raw = read_fcs(write(replace(Recipe(), version="FCS2.0", header_data=None)))
    np.testing.assert_array_equal(raw.stored(), ROWS)


def test_offsets_beyond_eight_digits(write):
    """HEADER has no room for them: zeros there, and TEXT's count."""
    made = make(Recipe())
    raw = bytearray(made.raw)
    raw[26:42] = b"%8d%8d" % (0, 0)
    np.testing.assert_array_equal(read_fcs(write(bytes(raw))).stored(), ROWS)
    far = with_keywords(_BEGINDATA="100000000", _ENDDATA="100000039")
    path = write(replace(far, header_data=None))
    with open(path, "r+b") as handle:  # noqa: PTH123  (a hole, not a hundred million zeros)
        handle.seek(100_000_000)
        handle.write(np.array(ROWS, dtype="<f4").tobytes())
    np.testing.assert_array_equal(read_fcs(path).stored(), ROWS)


# --- lengths that nearly fit


@pytest.mark.parametrize(
    ("surplus", "note"),
    [(1, "data_end_off_by_one"), (-1, "data_end_off_by_one"), (7, "data_padded")],
)
def test_an_end_that_nearly_fits(write, surplus, note):
    recipe = replace(Recipe(), text_data=(0, surplus), header_data=(0, surplus), tail=bytes(20))
    raw = read_fcs(write(recipe))
    assert notes(raw) == [note]
    np.testing.assert_array_equal(raw.stored(), ROWS)


@pytest.mark.parametrize(
    "recipe",
    [
        replace(Recipe(), text_data=(0, 8), header_data=(0, 8), tail=bytes(20)),  # a row more
        replace(Recipe(), text_data=(0, -2), header_data=(0, -2)),
        # a begin that is moved, of which nothing says that it is right
        replace(
            Recipe(), text_data=(1, 0), header_data=None, after_text=b"        ", tail=bytes(9)
        ),
        replace(Recipe(), version="FCS2.0", header_data=(3, 8), after_text=bytes(8), tail=bytes(9)),
    ],
)
def test_an_end_that_does_not_fit(write, recipe):
    assert code_of(write(recipe)) == "event_count"


def test_of_single_bytes_a_surplus_is_an_event(write):
    one = Recipe(((1,), (2,)), ("a",), "I", (8,), "<", text_data=(0, -1), header_data=(0, -1))
    assert code_of(write(one)) == "event_count"


# --- cut short


@pytest.mark.parametrize("missing", [1, 8, 9, 39, 40])
def test_of_a_file_that_is_cut_short_the_whole_events(write, missing):
    path = write(make(Recipe()).raw[:-missing])
    assert code_of(path) == "truncated"
    raw = read_fcs(path, truncated="allow")
    left = 5 - -(-missing // 8)
    assert raw.n_events == left
    assert notes(raw)[0] == "truncated"
    assert f"{left} of 5 events" in raw.notes[0].message
    np.testing.assert_array_equal(raw.stored(), ROWS[:left])


def test_more_events_said_than_there_are(write):
    path = write(with_keywords(_TOT="6"))
    assert code_of(path) == "truncated"
    raw = read_fcs(path, truncated="allow")
    assert notes(raw) == ["truncated"]
    np.testing.assert_array_equal(raw.stored(), ROWS)
    # one that the file has room for, and the offsets do not
    path = write(replace(with_keywords(_TOT="6"), tail=bytes(20)))
    assert code_of(path) == "event_count"
    np.testing.assert_array_equal(read_fcs(path, truncated="allow").stored(), ROWS)
    # fewer than there are is no file cut short
    assert code_of(write(with_keywords(_TOT="4")), truncated="allow") == "event_count"


def test_a_cut_in_text_is_refused_all_the_same(write):
    assert code_of(write(make().raw[:200]), truncated="allow") == "truncated"


def test_packed_rows_that_are_cut_short(write):
    rows = [(k, 1000 - k, 5) for k in range(20)]
    made = make(Recipe(rows, tuple("abc"), "I", (10, 10, 10), ">"))
    raw = read_fcs(write(made.raw[:-10]), truncated="allow")
    assert 0 < raw.n_events == (75 - 10) * 8 // 30
    np.testing.assert_array_equal(raw.stored(), rows[: raw.n_events])


def test_a_policy_that_is_none(write):
    with pytest.raises(AssertionError, match="refuse or allow"):
        read_fcs(write(Recipe()), truncated="perhaps")


# --- several data sets


def lmd(**first) -> bytes:
    """Two forms of the same events, as Beckman writes them."""
    coarse = Recipe(
        ((100, 2), (200, 3)), ("FS Lin", "FL1 Log"), "I", (16, 16), "<",
        {"$P1V": "99", "$P2V": "350", "$P1S": "FS Lin", "$P2S": "CD14-PE", "$CYT": "Navios",
         "$DATE": "24-Jun-03", "$BTIM": "15:59:18", "@BUILD": "1", "$NEXTDATA": "@@@@@@", **first},
        version="FCS2.0",
    )  # fmt: skip
    fine = Recipe(((102400, 2050), (204800, 3080)), ("FS", "FL1"), "I", (32, 32), "<",
                  version="FCS3.0")  # fmt: skip
    head = make(coarse).raw
    return head.replace(b"@@@@@@", b"%06d" % len(head)) + make(fine).raw


def test_of_beckmans_two_forms_the_finer_one(write):
    path = write(lmd())
    raw = read_fcs(path)
    assert (raw.dataset, raw.n_data_sets, notes(raw)) == (1, 2, ["high_resolution_set"])
    assert raw.stored().tolist() == [[102400, 2050], [204800, 3080]]
    assert raw.cytometer == "Navios"
    assert raw.acquired_at is not None
    assert raw.pns == ("", "CD14-PE")
    assert [p.voltage for p in raw.parameters] == [99, 350]
    assert read_keywords(path).pnn == ("FS", "FL1")
    assert read_fcs(path, dataset=0).pnn == ("FS Lin", "FL1 Log")


@pytest.mark.parametrize("first", [{"@BUILD": None}, {"$TOT": "3"}])
def test_two_sets_that_are_not_beckmans_have_to_be_chosen(write, first):
    path = write(lmd(**first))
    assert code_of(path) == "several_data_sets"
    assert notes(read_keywords(path))[0] == "several_data_sets"


# --- hostile files


def test_segments_that_overlap_are_not_read_again_and_again(write):
    """A thousand data sets whose TEXT is one and the same megabyte."""
    text = b"/$PAR/1/$NEXTDATA/58/" + b"A/b/" * 240_000
    links = [
        b"FCS3.1    %8d%8d" % (100_000 - 58 * k, 100_000 - 58 * k + len(text) - 1) + b" " * 32
        for k in range(900)
    ]
    raw = b"".join(links).ljust(100_000, b" ") + text
    start = time.monotonic()
    with open(write(raw), "rb") as handle:  # noqa: PTH123
        assert 1 < len(data_sets(handle)) < 5
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"FCS3.1    %8d%8d" % (58, 40_000_000) + b" " * 32 + b"/" * 40_000_000, "text_too_large"),
        (b"FCS3.1    %8d%8d" % (58, 8_000_000) + b" " * 32 + b"/a" * 4_000_000, "text_too_large"),
        (b"FCS3.1    %8d%8d" % (58, 99_999_999) + b" " * 32 + b"/a" * 100, "text_too_large"),
        (make(with_keywords(_TOT=str(10**12))).raw, "truncated"),
        (make(with_keywords(_PAR=str(10**9))).raw, "keyword_invalid"),
        (make(with_keywords(_PAR="9999")).raw, "keyword_missing"),
    ],
    ids=["delimiters", "words", "long", "events", "parameters", "some parameters"],
)
def test_hostile_files_cost_little(write, raw, code):
    path = write(raw)
    tracemalloc.start()
    start = time.monotonic()
    assert code_of(path) == code
    assert time.monotonic() - start < 10
    assert tracemalloc.get_traced_memory()[1] < 4 * len(raw) + 2**20
    tracemalloc.stop()
