"""Populations as files: what other readers, and ours, find in them."""

import json
import warnings

import flowio
import numpy as np
import pytest
from typer.testing import CliRunner

from cytosepsis.cli import app
from cytosepsis.compensation import spillover_of
from cytosepsis.errors import FcsError
from cytosepsis.export import export_populations
from cytosepsis.fcs import read_fcs
from cytosepsis.fcs_write import spillover_keyword, write_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.plan import UNCOMPENSATED, Axis, GatingPlan, Rectangle
from fcs_bytes import Recipe, make

NAMES = ("FSC-A", "PE-A", "Time")
AXIS = (Axis("FSC-A", None, UNCOMPENSATED),)
PLAN = GatingPlan(
    (
        Rectangle("cells", "root", AXIS, (20.0,), (None,)),
        Rectangle("big", "root/cells", AXIS, (50.0,), (None,)),
        Rectangle("big?", "root/cells", AXIS, (60.0,), (None,)),
        Rectangle("none", "root", AXIS, (1e9,), (None,)),
    )
)


@pytest.fixture
def file(tmp_path):
    events = np.random.default_rng(4).normal(50, 30, (500, 3)).astype(np.float32)
    keywords = {
        "$SPILLOVER": spillover_keyword(("FSC-A", "PE-A"), [[1, 0.1], [0.2, 1]]),
        "$P2G": "4", "$P2V": "510", "$TIMESTEP": "0.01", "$CYT": "Canto", "$SRC": "Smith-John",
        "$FIL": "Smith-John.fcs", "PATIENT ID": "Smith-John", "$DATE": "03-MAR-2024",
        "$BTIM": "10:20:30",
    }  # fmt: skip
    path = tmp_path / "tube 1.fcs"
    write_fcs(path, events, pnn=NAMES, pns=("", "HLA-DR", ""), keywords=keywords)
    return path


def test_populations_are_read_back_identically(file, tmp_path):
    raw = read_fcs(file)
    found = gate(raw, PLAN)
    files = export_populations(raw, found, tmp_path / "out")
    assert [f.name for f in files.values()] == [
        "tube_1.cells.fcs", "tube_1.cells.big.fcs", "tube_1.cells.big_.fcs", "tube_1.none.fcs",
    ]  # fmt: skip
    for path, written in files.items():
        mine = read_fcs(written)
        inside = found.mask(path)
        assert mine.n_events == inside.sum() == found.n_events[path]
        np.testing.assert_array_equal(mine.stored(), raw.stored()[inside])
        np.testing.assert_array_equal(mine.linear(), raw.linear()[inside])
        assert (mine.layout.data_type, mine.version, mine.notes) == ("F", "3.1", ())
        assert (mine.pnn, mine.pns, mine.cytometer) == (raw.pnn, raw.pns, "Canto")
        assert mine.parameters[1].voltage == 510
        assert mine.acquired_at == raw.acquired_at
        assert mine.keywords["CYTOSEPSIS POPULATION"] == path
        assert b"Smith" not in written.read_bytes()
        np.testing.assert_array_equal(
            spillover_of(mine.keywords).matrix, spillover_of(raw.keywords).matrix
        )
        theirs = flowio.FlowData(written).as_array(preprocess=False)
        np.testing.assert_array_equal(theirs, raw.stored()[inside])
    np.testing.assert_array_equal(
        flowcal(files["root/cells"]), raw.stored()[found.mask("root/cells")]
    )


def flowcal(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        io = pytest.importorskip("FlowCal.io", reason="FlowCal is not installed")
        return np.asarray(io.FCSData(str(path)))


@pytest.mark.parametrize("datatype", ["F", "D", "I8", "I16", "I32"])
def test_flowcal_reads_what_is_written(tmp_path, datatype):
    events = np.random.default_rng(5).integers(0, 250, (300, 3))
    path = tmp_path / "a.fcs"
    write_fcs(path, events, pnn=NAMES, datatype=datatype)
    np.testing.assert_array_equal(flowcal(path), events)
    np.testing.assert_array_equal(read_fcs(path).stored(), events)


@pytest.mark.parametrize(
    ("recipe", "data_type"),
    [
        (Recipe(((100, 512), (30, 1023)), ("FSC-A", "B"), "I", (16, 16), ">",
                {"$P2E": "4,1", "$P2R": "1024", "$P2G": "8", "$P1G": "2"}), "F"),
        (Recipe(((100, 2**31 + 1),), ("FSC-A", "B"), "I", (32, 32)), "D"),
        (Recipe(((100, 7),), ("FSC-A", "B"), "I", (10, 24)), "F"),
        (Recipe(((100.5, 1e300),), ("FSC-A", "B"), "D", (64, 64)), "D"),
        (Recipe(((100, 30),), ("FSC-A", "B"), "A", (3, 3), data=b"100 30"), "D"),
    ],
)  # fmt: skip
def test_other_layouts_are_exported_as_floats(tmp_path, recipe, data_type):
    path = tmp_path / "a.fcs"
    path.write_bytes(make(recipe).raw)
    raw = read_fcs(path)
    found = gate(raw, PLAN)
    mine = read_fcs(export_populations(raw, found, tmp_path, stem="x")["root/cells"])
    assert mine.layout.data_type == data_type
    kind = np.float32 if data_type == "F" else np.float64
    wanted = raw.linear()[found.mask("root/cells")]
    np.testing.assert_allclose(mine.linear(), wanted, rtol=2 * np.finfo(kind).eps)


def test_the_file_itself_is_never_replaced(tmp_path):
    path = tmp_path / "a.cells.fcs"
    path.write_bytes(make(Recipe(((100.0, 7.0),), ("FSC-A", "B"))).raw)
    raw = read_fcs(path)
    with pytest.raises(FcsError, match="replace the file itself") as caught:
        export_populations(raw, gate(raw, PLAN), tmp_path, stem="a")
    assert caught.value.code == "fcs_write"


PLAN_TOML = """
[[gates]]
name = "cells"
type = "rectangle"
x = "FSC-A"
ranges = { x = { min = 20 } }
"""


def test_the_command_exports(file, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN_TOML)
    words = ["gate", str(file), "--gating", str(plan), "--export", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*words, "--format", "json"])
    assert result.exit_code == 0, result.output
    [record] = json.loads(result.stdout)
    written = read_fcs(tmp_path / "out" / "tube_1.cells.fcs")
    assert written.n_events == record["populations"][1]["n_events"]
    other = tmp_path / "other"
    other.mkdir()
    (other / file.name).write_bytes(file.read_bytes())
    refused = CliRunner().invoke(app, [*words, str(other / file.name)])
    assert refused.exit_code == 2
    assert "several files are called tube_1" in refused.stderr
