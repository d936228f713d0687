"""The results folder: codec, journal, lock, tables; every refusal once."""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cytosepsis.codec import DecodeError, decode, encode
from cytosepsis.errors import StoreError
from cytosepsis.file_stamps import Stamp
from cytosepsis.journal import Entry, Journal, Key
from cytosepsis.store import (
    Results,
    RunRecord,
    Store,
    StudyIdentity,
    open_results,
)
from cytosepsis.table_files import csv_text, write_table

# ------------------------------------------------------------------------------------ codec


@dataclass(frozen=True, slots=True)
class Inner:
    name: str
    pair: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Outer:
    count: int
    value: float | None
    yes: bool
    word: Literal["a", "b"]
    day: date | None
    moment: datetime | None
    inner: Inner | None
    many: tuple[Inner, ...]


inners = st.builds(Inner, st.text(), st.tuples(st.floats(), st.floats()))
outers = st.builds(
    Outer,
    st.integers(),
    st.none() | st.floats(),
    st.booleans(),
    st.sampled_from(["a", "b"]),
    st.none() | st.dates(),
    # A zone is kept as its offset, in which no hour comes twice (fold).
    st.none() | st.datetimes(timezones=st.just(UTC) | st.none()).map(lambda t: t.replace(fold=0)),
    st.none() | inners,
    st.lists(inners, max_size=3).map(tuple),
)

OUTER = Outer(1, 2.5, True, "a", date(2024, 1, 2), None, None, (Inner("x", (1.0, 2.0)),))


def same(a: object, b: object) -> bool:
    return repr(a) == repr(b)  # NaN differs from itself; its text does not


@given(outers)
def test_records_survive_the_journal_to_the_bit(record: Outer) -> None:
    text = encode(record)
    assert "\n" not in text
    again = decode(Outer, text)
    assert same(again, record)
    assert encode(again) == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 1.5}, "wanted int, found 1.5"),
        ({"count": True}, "wanted int, found True"),
        ({"value": "2"}, "wanted a number, found '2'"),
        ({"word": "c"}, "wanted one of"),
        ({"day": "soon"}, "wanted an ISO date"),
        ({"many": {}}, "wanted a list"),
        ({"inner": {"name": "x", "pair": [1.0]}}, "Inner: wanted 2 items, found 1"),
        ({"inner": {"name": "x"}}, "Inner: wanted name, pair; found name"),
        ({"extra": 1}, "Outer: wanted count"),
    ],
)
def test_what_is_not_the_record_is_refused(change: dict[str, object], message: str) -> None:
    values = {**json.loads(encode(OUTER)), **change}
    with pytest.raises(DecodeError, match=re.escape(message)):
        decode(Outer, json.dumps(values))


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(DecodeError, match="not JSON"):
        decode(Outer, '{"count": 1')


def test_records_hold_no_arrays() -> None:
    with pytest.raises(TypeError, match="records hold no builtins.list"):
        encode(replace(OUTER, many=[]))  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------- journal


def entry(name: str = "s1", part: str = "p", record: str = "{}") -> Entry:
    return Entry(
        Key("sample", name, part),
        path="/data/a.fcs",
        stamp=Stamp(10, 20),
        sha256="ab",
        digest="sha256",
        code="c",
        plots=False,
        settled=True,
        record_type="SampleResult",
        record=record,
    )


def test_journal_keeps_and_replaces(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.put(entry())
        journal.put(entry(record='{"a": 1}'))
        unknown = replace(entry("s2"), stamp=None, sha256=None, settled=False)
        journal.put(unknown)
    with Journal(tmp_path / "j") as journal:
        assert journal.find(Key("sample", "s1", "p")) == entry(record='{"a": 1}')
        assert journal.find(Key("sample", "s2", "p")) == unknown
        assert journal.find(Key("sample", "s1", "other")) is None
        journal.keep_only([Key("sample", "s2", "p")])
        assert journal.find(Key("sample", "s1", "p")) is None
        assert journal.find(Key("sample", "s2", "p")) == unknown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j"]


def test_committed_outcomes_survive_a_kill(tmp_path: Path) -> None:
    script = f"""
        import os, signal
        from test_store import entry
        from cytosepsis.journal import Journal
        journal = Journal({str(tmp_path / "j")!r})
        journal.put(entry("committed"))
        journal.commit()
        journal._pause = 1e9
        journal.put(entry("pending"))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    paths = [str(Path(__file__).parent), *sys.path]
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        check=False,
    )
    assert killed.returncode == -9
    with Journal(tmp_path / "j") as journal:
        assert journal.find(Key("sample", "committed", "p")) is not None
        assert journal.find(Key("sample", "pending", "p")) is None


def test_a_journal_of_another_schema_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.set_fact("schema", "99")
    with pytest.raises(StoreError, match=r"schema 99, this version writes 3\. Use --fresh"):
        Journal(tmp_path / "j")


@pytest.mark.parametrize(
    ("schema", "lacks"), [("1", ("plots", "changed_ns")), ("2", ("changed_ns",))]
)
def test_a_journal_of_an_earlier_schema_is_brought_up_to_date(
    tmp_path: Path, schema: str, lacks: tuple[str, ...]
) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.put(entry())
    with sqlite3.connect(tmp_path / "j") as db:
        for column in lacks:
            db.execute(f"ALTER TABLE outcomes DROP COLUMN {column}")
        db.execute("UPDATE facts SET value = ? WHERE name = 'schema'", (schema,))
    db.close()
    with Journal(tmp_path / "j") as journal:
        found = journal.find(entry().key)
        assert found is not None
        assert found.record == entry().record
        journal.put(replace(entry(), stamp=Stamp(1, 2, 3)))
    with Journal(tmp_path / "j") as journal:
        assert journal.find(entry().key) == replace(entry(), stamp=Stamp(1, 2, 3))


def test_looking_into_a_journal_changes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.put(entry())
    before = (tmp_path / "j").read_bytes()
    with Journal(tmp_path / "j", writes=False) as journal:
        assert journal.find(entry().key) == entry()
        with pytest.raises(StoreError, match="readonly"):
            journal.put(entry(record="x"))
    assert (tmp_path / "j").read_bytes() == before
    with pytest.raises(StoreError, match="run the study again first"):
        Journal(tmp_path / "none", writes=False)
    assert not (tmp_path / "none").exists()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.commit()  # as the store does with its first facts
    journal._db.execute("PRAGMA max_page_count = 8")
    with pytest.raises(StoreError, match=r"full.*free space") as caught:
        journal.put(entry(record="x" * 100_000))
    assert caught.value.code == "results_write"
    journal._db.execute("PRAGMA max_page_count = 1000000")
    journal.put(entry())
    journal.close()


# ------------------------------------------------------------------------------------ store

STUDY = StudyIdentity("demo", "/nowhere/demo")


def test_a_folder_of_something_else_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("file\n")
    for fresh in (False, True):
        with pytest.raises(StoreError, match="not empty and not a results folder"):
            Store(tmp_path, STUDY, fresh=fresh)
    assert (tmp_path / "samples.csv").read_text() == "file\n"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(StoreError, match="cannot be used for results"):
        Store(tmp_path / "results", STUDY)


def test_results_of_another_study_are_refused_unless_fresh(tmp_path: Path) -> None:
    with Store(tmp_path, STUDY) as store:
        store.journal.put(entry())
        store.write_tables({"abc": pl.DataFrame({"x": [1]})})
    other = StudyIdentity("other", "/nowhere/other")
    with pytest.raises(StoreError, match=r"results of study 'demo'.*not of 'other'.*--fresh"):
        Store(tmp_path, other)
    with Store(tmp_path, other, fresh=True) as store:
        assert store.journal.find(entry().key) is None
    assert not (tmp_path / "abc.csv").exists()
    assert not (tmp_path / "abc.parquet").exists()


def test_a_study_may_move_but_not_have_a_namesake(tmp_path: Path) -> None:
    old, new, out = tmp_path / "old", tmp_path / "new", tmp_path / "out"
    old.mkdir()
    (old / "study.toml").write_text("")
    Store(out, StudyIdentity("demo", str(old))).__exit__(None, None, None)
    with pytest.raises(StoreError, match="holds results of study 'demo'"):
        Store(out, StudyIdentity("demo", str(new)))
    old.rename(new)
    Store(out, StudyIdentity("demo", str(new))).__exit__(None, None, None)


def test_fresh_replaces_a_damaged_journal(tmp_path: Path) -> None:
    with Store(tmp_path, STUDY) as store:
        store.write_tables({"abc": pl.DataFrame({"x": [1]})})
    (tmp_path / "journal.sqlite").write_bytes(b"not a database, but long enough" * 100)
    with pytest.raises(StoreError, match="cannot be read as a journal"):
        Store(tmp_path, STUDY)
    with Store(tmp_path, STUDY, fresh=True) as store:
        assert store.journal.find(entry().key) is None
    assert not (tmp_path / "abc.csv").exists()


def test_a_second_run_is_refused_and_told_who_holds(tmp_path: Path) -> None:
    with (
        Store(tmp_path, STUDY),
        pytest.raises(StoreError, match=f"another run is writing here .process {os.getpid()} on"),
    ):
        Store(tmp_path, STUDY)
    Store(tmp_path, STUDY).__exit__(None, None, None)
    assert not (tmp_path / ".lock").exists()


def test_the_lock_of_a_killed_run_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text('{"host": "gone", "process": 1, "since": "2024-01-01"}')
    os.utime(tmp_path / ".lock", (1, 1))
    with Store(tmp_path, STUDY):
        held = json.loads((tmp_path / ".lock").read_text())
    assert held["process"] == os.getpid()


def test_tables_round_trip_and_old_ones_go(tmp_path: Path) -> None:
    frame = pl.DataFrame({"name": ["a", None], "value": [0.1 + 0.2, math.nan]})
    (tmp_path / ".writing-abc.csv").write_text("half")
    with Store(tmp_path, STUDY) as store:
        assert not (tmp_path / ".writing-abc.csv").exists()
        store.write_tables({"abc": frame, "densities": frame})
        store.write_tables({"abc": frame})
        results = store.write_run(RUN)
    assert results.tables == ("abc",)
    assert_frame_equal(results.table("abc"), frame.with_columns(value=pl.Series([0.1 + 0.2, None])))
    assert (tmp_path / "abc.csv").read_text() == "name,value\na,0.30000000000000004\n,\n"
    with pytest.raises(StoreError, match="no table 'nothing'; there are: abc"):
        results.table("nothing")
    assert open_results(tmp_path) == results
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"abc.csv", "abc.parquet", "journal.sqlite", "run.json"}


RUN = RunRecord(
    study="demo",
    study_digest="",
    code_digest="",
    versions={},
    inputs={},
    limits={},
    digest="sha256",
    workers=1,
    n_samples=0,
    n_computed=0,
    n_reused=0,
    n_failed=0,
    n_unforeseen=0,
    n_events=0,
    started_at="",
    wall_seconds=0.0,
    machine={},
)


def test_half_a_line_of_a_killed_run_spoils_no_other(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.jsonl"
    with Store(tmp_path, STUDY) as store:
        store.log("info", event="one")
    log.write_bytes(log.read_bytes() + b'{"event": "ha')
    with Store(tmp_path, STUDY) as store:
        store.log("info", event="two")
        store.log("info", event="three")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert [json.loads(lines[n])["event"] for n in (0, 2, 3)] == ["one", "two", "three"]
    assert len(lines) == 4


def test_a_large_log_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytosepsis.store._LARGEST_LOG", 100)
    for n in range(8):
        with Store(tmp_path, STUDY) as store:
            store.log("info", event="an event of some length", n=n)
    logs = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in logs] == ["run.1.jsonl", "run.jsonl"]
    assert all(path.stat().st_size < 300 for path in logs)
    assert json.loads(logs[1].read_text().splitlines()[-1])["n"] == 7


def test_tables_of_two_runs_side_by_side_are_vouched_for_by_none(tmp_path: Path) -> None:
    with Store(tmp_path, STUDY) as store:
        store.write_tables({"t": pl.DataFrame({"a": [1]})})
        store.write_run(RUN)
    with Store(tmp_path, STUDY) as store:
        store.write_tables({"t": pl.DataFrame({"a": [2]})})
    with pytest.raises(StoreError, match="no finished results"):
        open_results(tmp_path)


def test_results_that_are_not_finished_are_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no finished results here"):
        open_results(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(StoreError, match="cannot be read"):
        open_results(tmp_path)
    assert Results(tmp_path, RUN).tables == ()


@pytest.mark.parametrize("text", ["=1+1", "+CMD", "-foo", "@sum", "\tx", "\rx", "-", "--1", "+-"])
def test_formulas_in_csv_are_defused(text: str) -> None:
    cell = csv_text(pl.DataFrame({"x": [text]})).splitlines(keepends=False)
    assert "".join(cell[1:]).strip('"').startswith("'")


@pytest.mark.parametrize("text", ["-1.5", "+33", "-1e-5", "-,5", "a=b", "1-2", "CD14+"])
def test_numbers_and_common_text_in_csv_stay(text: str) -> None:
    assert csv_text(pl.DataFrame({"x": [text]})).replace('"', "") == f"x\n{text}\n"


def test_parquet_keeps_text_as_it_is(tmp_path: Path) -> None:
    write_table(pl.DataFrame({"x": ["=1"], "y": [-1.0]}), tmp_path / "t.parquet")
    assert pl.read_parquet((tmp_path / "t.parquet").read_bytes())["x"].to_list() == ["=1"]


def test_a_table_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_table(pl.DataFrame({"x": [1]}), tmp_path / "missing" / "t.csv")
    with Store(tmp_path / "r", STUDY) as store:
        (tmp_path / "r" / "abc.csv").mkdir()
        with pytest.raises(StoreError, match="free space") as caught:
            store.write_tables({"abc": pl.DataFrame({"x": [1]})})
    assert caught.value.code == "results_write"
