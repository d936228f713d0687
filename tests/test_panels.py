"""Ready panels: whole, written into a study, and near the truth of simulated tubes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import cytosepsis as cs
from cytosepsis.cli import app
from cytosepsis.errors import CytosepsisError
from cytosepsis.gating.toml_plan import parse_toml_plan
from cytosepsis.panels import assay_sections, panel_names, read_panel, write_panel
from cytosepsis.simulate import PANEL_TUBES, PanelSettings, simulate_panel
from panels import measure, tolerance
from small_study import STUDY, write

PAGE = (Path(__file__).parents[1] / "docs" / "panels.md").read_text(encoding="utf-8")
# Some thousand cells of the rarest population; CD8 checkpoints and beads need more events.
EVENTS = {"lymphocyte_subsets": 80_000, "checkpoints": 100_000}


# ------------------------------------------------------------------------------ as data


@pytest.mark.parametrize("name", panel_names())
def test_a_panel_is_whole(name: str) -> None:
    panel = read_panel(name)
    plan = parse_toml_plan(tomllib.loads(panel.plan))
    names = [path.rpartition("/")[2] for path in plan.paths]
    assert len(set(names)) == len(names), "a marker names a population by its name"
    assert set(plan.channels) <= set(panel.channels), "the plan's roles are declared"
    used = {channel for of in panel.statistics.values() for channel in of}
    assert set(panel.channels) == {*plan.channels, *used}, "no role is asked for in vain"
    populations = [m["population"] for m in panel.markers.values()]
    populations += [m["of"] for m in panel.markers.values() if "of" in m] + [*panel.statistics]
    assert set(populations) <= set(names)
    for marker in panel.markers.values():
        if marker["kind"] == "intensity":
            assert marker["channel"] in panel.statistics[marker["population"]]
        assert (marker["kind"] == "count") <= bool(panel.counting)
    assert f"`{name}`" in PAGE
    shown = {m for m in panel.markers if f"`{m}`" in PAGE}
    assert shown, "the page says which marker answers which question"


def test_every_panel_is_simulated_with_a_truth_for_every_marker() -> None:
    assert tuple(sorted(PANEL_TUBES)) == panel_names()


# --------------------------------------------------------------------------- into a study


def test_a_panel_is_added_to_a_study_whose_own_marker_stays(tmp_path: Path) -> None:
    sheet = "file,patient_id,assay\nfcs/a.fcs,P1,mhladr\nfcs/b.fcs,P1,treg\n"
    write(tmp_path, samples_csv=sheet)
    write_panel("treg", tmp_path, channels={"cd4": "APC-A"}, top=1_048_576)
    text = (tmp_path / "study.toml").read_text(encoding="utf-8")
    assert text.startswith(STUDY.rstrip("\n")), "what was there is as it was"
    (tmp_path / "study.toml").write_text(
        text.replace('samples = "samples.csv"', 'samples = "samples.csv"\nmeasurements = "m.csv"')
    )
    (tmp_path / "m.csv").write_text("patient_id,name,value,unit,timepoint\nP1,cd4_count,1,/µL,D\n")
    study = cs.load_study(tmp_path)
    assert [marker.name for marker in study.markers] == ["mhladr", "treg_percent", "treg_count"]
    assert study.primary_marker == "mhladr"
    treg = study.assay("treg")
    assert dict(treg.channels)["cd4"] == ("APC-A",)
    assert dict(treg.channels)["cd3"] == ("CD3",)
    assert treg.counting is not None
    assert treg.counting.blood_count == "cd4_count"
    plan = (tmp_path / "assays" / "treg.toml").read_text(encoding="utf-8")
    assert "T = 1.04858e+06" in plan
    assert "T = 1000.0" in plan, "the scale of a ratio has no detector"


def test_what_is_there_is_never_changed(tmp_path: Path) -> None:
    write(tmp_path)
    write_panel("treg", tmp_path)
    before = (tmp_path / "study.toml").read_bytes()
    with pytest.raises(CytosepsisError) as raised:
        write_panel("treg", tmp_path)
    for part in ("has an assay treg", "has a marker treg_percent", "treg.toml exists"):
        assert part in str(raised.value)
    assert (tmp_path / "study.toml").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize(
    ("name", "words"), [("tregs", "Did you mean 'treg'?"), ("x", "Panels: apoptosis_annexin")]
)
def test_an_unknown_panel(name: str, words: str) -> None:
    with pytest.raises(CytosepsisError, match="there is no ready panel") as raised:
        read_panel(name)
    assert words in str(raised.value)


def test_an_unknown_role_and_no_study(tmp_path: Path) -> None:
    with pytest.raises(CytosepsisError, match="has no role cd20; it has: fsc"):
        assay_sections(read_panel("treg"), {"cd20": "PE-A"})
    with pytest.raises(CytosepsisError, match="cannot be read"):
        write_panel("treg", tmp_path)
    (tmp_path / "study.toml").write_text("[study\n")
    with pytest.raises(CytosepsisError, match="is not TOML"):
        write_panel("treg", tmp_path)
    assert not (tmp_path / "assays").exists()


def test_the_commands(tmp_path: Path) -> None:
    run = CliRunner().invoke
    listed = run(app, ["panel", "list"])
    assert listed.exit_code == 0
    assert "treg" in listed.stdout
    assert '"markers"' in run(app, ["panel", "list", "--format", "json"]).stdout
    shown = run(app, ["panel", "show", "treg", "--channel", "cd4=APC-A"]).stdout
    assert 'cd4 = ["APC-A"]' in shown
    assert "[[gates]]" in shown
    write(tmp_path)
    assert run(app, ["panel", "write", "treg", str(tmp_path)]).exit_code == 0
    again = run(app, ["panel", "write", "treg", str(tmp_path)])
    assert again.exit_code == 2
    assert "Nothing was changed" in again.output
    made = tmp_path / "made"
    simulated = ["simulate", str(made), "--panel", "m_mdsc", "--patients", "1", "--healthy", "0"]
    assert run(app, [*simulated, "--events", "2000"]).exit_code == 0
    assert (made / "truth.csv").exists()
    assert run(app, ["simulate", str(tmp_path / "n"), "--panel", "mdsc"]).exit_code == 2


# ------------------------------------------------------------------------ against the truth


@pytest.mark.parametrize("name", panel_names())
def test_a_panel_is_near_the_truth(name: str, tmp_path: Path) -> None:
    found = measure(name, 3, tmp_path, people=(0, 1), events=EVENTS.get(name, 40_000)).table
    assert len(found) == len(read_panel(name).markers)
    for row in found.iter_rows(named=True):
        assert row["value"] is not None, row
        assert abs(row["error"]) <= tolerance(row["kind"]), row
        assert row["status"] == "ok", row


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("treg", "antibody_missing"),
        ("proliferation_dye", "antibody_missing"),
        ("pd1_pdl1", "few_events"),
        ("monocyte_cytokines", "lineage_missing"),
        ("lymphocyte_subsets", "no_beads"),
        ("lymphocyte_subsets", "washed"),
    ],
)
def test_a_spoilt_tube_gives_no_number_that_looks_well(
    name: str, fault: str, tmp_path: Path
) -> None:
    found = measure(name, 1, tmp_path, [fault], events=30_000).table
    assert len(found) == len(read_panel(name).markers)
    for row in found.iter_rows(named=True):
        if row["value"] is not None and row["status"] == "ok":
            assert abs(row["error"]) <= tolerance(row["kind"]), row
    assert (found["status"] != "ok").any()


def test_equal_settings_give_equal_studies(tmp_path: Path) -> None:
    settings = PanelSettings("treg", seed=4, patients=1, healthy=1, events=500)
    one, two = (simulate_panel(tmp_path / name, settings) for name in ("one", "two"))
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert len(files) == 9
    assert all((one / f).read_bytes() == (two / f).read_bytes() for f in files)
    more = simulate_panel(tmp_path / "more", PanelSettings("treg", 4, 2, 1, 500))
    same = Path("fcs") / "P01-D1-2.fcs"
    assert (more / same).read_bytes() == (one / same).read_bytes(), "people do not shift others"
    truth = pl.read_csv(one / "truth.csv")
    assert set(truth["marker"]) == {"treg_percent", "treg_count"}
    counts = truth.filter(pl.col("kind") == "count")
    assert counts["blood_value"].null_count() == 0
    assert truth.filter(pl.col("kind") == "fraction")["blood_value"].null_count() == 3
    assert (
        PanelSettings("treg").events_per_file < PanelSettings("lymphocyte_subsets").events_per_file
    )
    with pytest.raises(CytosepsisError, match="not an empty folder"):
        simulate_panel(one, settings)
    with pytest.raises(CytosepsisError, match="Unknown faults: dropped"):
        PanelSettings("treg", faults=("dropped",))
