"""What `write_fcs` writes is read back identically by FlowIO and FlowKit, to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flowio
import flowkit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytosepsis import fcs_write
from cytosepsis.errors import FcsError
from cytosepsis.fcs import read_fcs
from cytosepsis.fcs_write import spillover_keyword, write_fcs

EVENTS = np.array([[1.5, -2.25, 0.0], [1e6, 3.0, 7.0], [0.1, 262143.0, 8.0]], dtype=np.float32)
NAMES = ("FSC-A", "PE-A", "Time")


def stored(path: Path, **options: Any) -> np.ndarray:
    return flowio.FlowData(path, **options).as_array(preprocess=False)


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("datatype", ["F", "D"])
def test_floats_come_back_bit_for_bit(tmp_path, datatype, byteorder):
    path = tmp_path / "a.fcs"
    write_fcs(path, EVENTS, pnn=NAMES, datatype=datatype, byteorder=byteorder)
    assert np.array_equal(stored(path), EVENTS.astype(np.float64))


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize(("datatype", "bits"), [("I8", 8), ("I16", 16), ("I32", 32)])
def test_integers_up_to_the_top_come_back(tmp_path, datatype, bits, byteorder):
    path = tmp_path / "a.fcs"
    events = np.array([[0, 1], [2**bits - 1, 2 ** (bits - 1)]])
    write_fcs(path, events, pnn=("a", "b"), datatype=datatype, byteorder=byteorder)
    assert np.array_equal(stored(path), events)


def test_flowkit_sees_names_gain_voltage_time_step_and_spillover(tmp_path):
    path = tmp_path / "a.fcs"
    matrix = [[1.0, 0.12345678901234567], [0.02, 1.0]]
    names = ("FSC-A", "PerCP-Cy5-5-A", "PE-A", "Time")
    events = np.arange(20, dtype=np.float32).reshape(5, 4)
    write_fcs(
        path,
        events,
        pnn=names,
        pns=("", "CD14", "HLA-DR", ""),
        ranges=(262144, 262144, 262144, 1000),
        keywords={
            "$SPILLOVER": spillover_keyword(names[1:3], matrix),
            "$P3V": "510",
            "$P3G": "2.0",
            "$TIMESTEP": "0.01",
        },
    )
    sample = flowkit.Sample(path)
    assert sample.pnn_labels == list(names)
    assert sample.pns_labels == ["", "CD14", "HLA-DR", ""]
    assert sample.get_metadata()["p3v"] == "510"
    expected = events.astype(np.float64)
    expected[:, 2] /= 2.0
    expected[:, 3] *= 0.01
    assert np.allclose(sample.get_events("raw"), expected, rtol=1e-15, atol=0)
    assert [channel["pnr"] for channel in sample.channels.to_dict("records")][-1] == 1000
    parts = sample.get_metadata()["spillover"].split(",")
    assert parts[:3] == ["2", *names[1:3]]
    assert [float(part) for part in parts[3:]] == [1.0, matrix[0][1], 0.02, 1.0]


word = st.text(
    st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="$"), min_size=1
)


@settings(max_examples=40, deadline=None)
@given(
    events=st.integers(0, 40).flatmap(
        lambda n: st.lists(
            st.tuples(*[st.floats(width=32, allow_nan=False)] * 3), min_size=n, max_size=n
        )
    ),
    values=st.lists(word, max_size=4),
    marker=word,
    datatype=st.sampled_from(["F", "D"]),
    byteorder=st.sampled_from(["little", "big"]),
)
def test_any_events_and_any_values_come_back(
    tmp_path_factory, events, values, marker, datatype, byteorder
):
    path = tmp_path_factory.getbasetemp() / "any.fcs"
    table = np.array(events, dtype=np.float64).reshape(-1, 3)
    keywords = {f"note {i}": value for i, value in enumerate(values)}
    write_fcs(
        path,
        table,
        pnn=NAMES,
        pns=("", marker, ""),
        keywords=keywords,
        datatype=datatype,
        byteorder=byteorder,
    )
    data = flowio.FlowData(path)
    assert np.array_equal(data.as_array(preprocess=False), table)
    assert data.pns_labels[1] == marker
    assert {key: data.text[key] for key in keywords} == keywords
    assert data.event_count == len(table)


def test_delimiters_inside_words_are_doubled(tmp_path):
    path = tmp_path / "a.fcs"
    keywords = {"a|b": "c|d", "plain": "e"}
    write_fcs(path, EVENTS, pnn=NAMES, keywords=keywords, delimiter="|")
    assert b"|a||b|c||d|plain|e|" in path.read_bytes()


def test_a_delimiter_that_occurs_nowhere_is_chosen(tmp_path):
    path = tmp_path / "a.fcs"
    write_fcs(path, EVENTS, pnn=NAMES, keywords={"path": "a/b|c"})
    data = flowio.FlowData(path)
    assert data.text["path"] == "a/b|c"
    assert path.read_bytes()[58:59] == b"\\"


def test_when_every_delimiter_occurs_the_first_is_doubled(tmp_path):
    path = tmp_path / "a.fcs"
    value = "x" + "".join(fcs_write.DELIMITERS) + "y"
    write_fcs(path, EVENTS, pnn=NAMES, keywords={"all": value})
    assert flowio.FlowData(path).text["all"] == value


def test_header_agrees_with_text_and_data_fill_the_file(tmp_path):
    path = tmp_path / "a.fcs"
    write_fcs(path, EVENTS, pnn=NAMES)
    raw = path.read_bytes()
    begin, end = int(raw[26:34]), int(raw[34:42])
    text = flowio.FlowData(path).text
    assert (begin, end) == (int(text["begindata"]), int(text["enddata"]))
    assert raw[:10] == b"FCS3.1    "
    assert raw[begin : end + 1] == EVENTS.astype("<f4").tobytes()
    assert len(raw) == end + 1
    assert raw[int(raw[18:26])] == raw[int(raw[10:18])]  # TEXT ends with its delimiter


@pytest.mark.parametrize("n_bytes", [0, 1, 9_999, 99_998_000, 99_999_999, 1 << 40])
def test_offsets_beyond_eight_digits_stand_in_text_only(n_bytes):
    head = fcs_write.head_of({"$TOT": "1"}, n_bytes)
    words = head[58:].decode().split("/")[1:-1]
    text = dict(zip(words[::2], words[1::2], strict=True))
    assert int(text["$BEGINDATA"]) == len(head)
    assert int(text["$ENDDATA"]) == len(head) + n_bytes - 1
    fits = len(head) + n_bytes - 1 <= 99_999_999
    in_header = (int(head[26:34]), int(head[34:42]))
    assert in_header == ((len(head), len(head) + n_bytes - 1) if fits else (0, 0))


def test_blocks_join_without_a_seam(tmp_path, monkeypatch):
    events = np.random.default_rng(1).normal(size=(1000, 3))
    write_fcs(tmp_path / "one.fcs", events, pnn=NAMES)
    monkeypatch.setattr(fcs_write, "BLOCK_BYTES", 100)
    write_fcs(tmp_path / "many.fcs", events, pnn=NAMES)
    assert (tmp_path / "one.fcs").read_bytes() == (tmp_path / "many.fcs").read_bytes()


def test_a_file_without_events_is_readable(tmp_path):
    path = tmp_path / "a.fcs"
    write_fcs(path, np.empty((0, 3)), pnn=NAMES)
    data = flowio.FlowData(path)
    assert data.event_count == 0
    assert data.as_array().shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keywords": {"$TOT": "5"}}, r"\$TOT is computed from the events"),
        ({"keywords": {"$p1n": "x"}}, r"\$p1n is computed from the events"),
        ({"keywords": {"note": ""}}, "note has an empty value"),
        ({"keywords": {"": "x"}}, "is not printable ASCII"),
        ({"keywords": {"naïve": "x"}}, "is not printable ASCII"),
        ({"keywords": {"a": "/x"}, "delimiter": "/"}, "starts with TEXT's delimiter '/'"),
        ({"keywords": {"a": "x" * 100_000_000}}, "TEXT must end within 99,999,999"),
        ({"pnn": ("PE-A", "PE-A", "b")}, r"\$PnN must be unique and free of commas; found 'PE-A'"),
        ({"pnn": ("a,b", "c", "d")}, "found 'a,b'"),
        ({"datatype": "I16"}, "Channel FSC-A holds 1.5, which is not a whole number from 0 to"),
    ],
)
def test_what_fcs_cannot_say_is_refused_and_leaves_no_file(tmp_path, options, message):
    path = tmp_path / "a.fcs"
    with pytest.raises(FcsError, match=message) as caught:
        write_fcs(path, EVENTS, **{"pnn": NAMES, **options})
    assert caught.value.code == "fcs_write"
    assert list(tmp_path.iterdir()) == []


def test_an_integer_at_its_range_is_refused(tmp_path):
    with pytest.raises(FcsError, match=r"Channel b holds 1024, .* from 0 to 1023"):
        write_fcs(
            tmp_path / "a.fcs", np.array([[1, 1024]]), pnn=("a", "b"), ranges=1024, datatype="I16"
        )


def test_a_number_beyond_float32_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.fcs"
    write_fcs(path, EVENTS, pnn=NAMES)
    before = path.read_bytes()
    with pytest.raises(FcsError, match="Channel PE-A holds a number beyond 32-bit floats"):
        write_fcs(path, np.array([[np.inf, 1e300, 0.0]]), pnn=NAMES)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.fcs"]


@settings(max_examples=30, deadline=None)
@given(
    value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    mark=st.sampled_from("/|\f"),
)
def test_our_reader_gets_every_value_back(tmp_path_factory, value, mark):
    path = tmp_path_factory.getbasetemp() / "ours.fcs"
    delimiter = None if value.startswith(mark) else mark
    write_fcs(path, EVENTS, pnn=NAMES, keywords={"NOTE": value}, delimiter=delimiter)
    raw = read_fcs(path)
    assert raw.keywords["NOTE"] == value
    assert np.array_equal(raw.stored(), EVENTS)


WORDS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12
).filter(lambda word: word == word.strip())
PNN = WORDS.filter(lambda word: "," not in word and not any("/|\\!#".count(c) for c in word[:1]))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_what_is_written_is_what_our_reader_reads(tmp_path_factory, data):
    """Types, byte orders, names in any script with delimiters inside, sizes."""
    datatype = data.draw(st.sampled_from(("F", "D", "I8", "I16", "I32")))
    names = data.draw(st.lists(PNN, min_size=1, max_size=6, unique=True))
    stains = [data.draw(st.one_of(st.just(""), WORDS)) for _ in names]
    n = data.draw(st.sampled_from((0, 1, 2, 7, 1000, 100_000 // len(names))))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kind = {"F": "f4", "D": "f8", "I8": "u1", "I16": "u2", "I32": "u4"}[datatype]
    raw = random.bytes(n * len(names) * np.dtype(kind).itemsize)
    events = np.frombuffer(raw, dtype=kind).reshape(n, len(names))
    delimiter = data.draw(st.sampled_from((None, "/", "|", "\f")))
    if delimiter and any(word.startswith(delimiter) for word in (*names, *stains)):
        delimiter = None
    path = tmp_path_factory.mktemp("written", numbered=True) / "a.fcs"
    try:
        write_fcs(path, events, pnn=names, pns=stains, datatype=datatype, delimiter=delimiter,
                  byteorder=data.draw(st.sampled_from(("little", "big"))))  # fmt: skip
    except FcsError as error:
        assert "starts with TEXT's delimiter" in error.message  # noqa: PT017
        return
    found = read_fcs(path)
    assert found.pnn == tuple(names)
    assert found.pns == tuple(stains)
    assert set(found.note_codes) <= {"flowkit_refused"}
    with np.errstate(invalid="ignore"):  # signalling NaN, widened
        np.testing.assert_array_equal(found.stored(), events.astype(np.float64))
