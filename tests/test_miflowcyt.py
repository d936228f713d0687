"""The MIFlowCyt record: what study, files and results say, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cytosepsis.cli import app
from cytosepsis.config import load_study
from cytosepsis.errors import StudyError
from cytosepsis.fcs_write import write_fcs
from cytosepsis.miflowcyt import Item, miflowcyt_markdown, miflowcyt_record
from cytosepsis.study import run_study
from small_study import STUDY, write

WRITTEN = """
[experiment]
purpose = "Immunosuppression | <b>after</b> shock"
light_sources = "488 nm, 20 mW"

[reagents.quantibrite]
measures = "expression of HLA-DR"
analyte = "HLA-DR"
detector = "antibody"
reporter = "PE"
clone = "L243"
manufacturer = "BD"
lot = "1234"
channel = "hladr"
"""


def numbered(record: tuple[Item, ...]) -> dict[str, Item]:
    return {item.number: item for item in record}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    samples = "file,patient_id,drawn_at,lysis\nfcs/a.fcs,P1,2024-03-01,lw\nfcs/b.fcs,P2,,lw\n"
    write(tmp_path / "study", study_toml=STUDY + WRITTEN, samples_csv=samples)
    (tmp_path / "study" / "fcs").mkdir()
    for name, volts, dates in (("a", "450", "01-MAR-2024"), ("b", "460", "05-MAR-2024")):
        keywords = {
            "$CYT": "Canto",
            "$SRC": "Dupont Marie",
            "$DATE": dates,
            "$BTIM": "10:00:00",
            "$SPILLOVER": "2,FITC-A,PE-A,1,0.1,0,1",
            "$P3F": "585/42",
            "$P3V": volts,
            "$P3T": "PMT",
        }
        events = [[2000.0, 500.0, 300.0], [3000.0, 50.0, 200.0]]
        path = tmp_path / "study" / "fcs" / f"{name}.fcs"
        write_fcs(path, events, pnn=("FSC-A", "FITC-A", "PE-A"), keywords=keywords)
    return tmp_path


def test_what_the_study_and_its_files_say(folder: Path) -> None:
    study = load_study(folder / "study")
    record = miflowcyt_record(study)
    items = numbered(record)
    assert list(items)[:2] == ["1.1", "1.2"]
    assert list(items)[-1] == "4.4.3"
    assert items["1.1"].text == "Immunosuppression | <b>after</b> shock"
    assert items["1.6"].text == "Acquired from 2024-03-01 to 2024-03-05."
    assert items["2.4"].rows[0]["clone"] == "L243"
    assert items["2.4"].rows[0]["catalogue"] == "missing"
    assert items["3.2"].rows == ({"cytometer": "Canto", "files": "2"},)
    (detector,) = items["3.3.5"].rows
    assert (detector["detector"], detector["type"]) == ("PE-A", "PMT")
    assert detector["voltage"] == "450 (1×), 460 (1×)"
    assert [row["filter"] for row in items["3.3.4"].rows] == ["585/42"]
    (matrix,) = items["4.2"].rows
    assert matrix["detectors"] == "FITC-A, PE-A"
    assert matrix["source"] == "$SPILLOVER of 2 files"
    assert [row["population"] for row in items["4.4.1"].rows] == [
        "root/cells",
        "root/cells/monocytes",
    ]
    assert items["4.4.1"].rows[1]["place"] == "minimum (100); maximum (open)"
    # A bead file of the sheet is not there: counted, and nothing else is lost.
    assert "unreadable" in items["4.1"].text
    missing = {item.number for item in record if item.is_missing}
    assert {"1.2", "1.4", "1.5", "2.1", "3.1", "4.4.2"} <= missing
    assert not missing & {"1.1", "3.3.2", "4.2", "4.3"}


def test_results_add_quality_and_statistics(folder: Path) -> None:
    study = load_study(folder / "study")
    run_study(study, folder / "out", plots=False)
    items = numbered(miflowcyt_record(study, folder / "out"))
    assert "Of 2 samples: 2 flagged." in items["1.8"].text
    assert "Of 1 bead runs: 1 failed." in items["1.8"].text
    rows = {row["population"]: row for row in items["4.4.2"].rows}
    assert rows["root/cells/monocytes"]["samples"] == "2"
    assert rows["root/cells/monocytes"]["fraction of parent, quartiles"] == "0.5 0.5 0.5"


def test_the_page_holds_no_person_and_no_markup(folder: Path) -> None:
    study = load_study(folder / "study")
    page = miflowcyt_markdown(study, miflowcyt_record(study))
    assert page.startswith("# MIFlowCyt record of demo\n")
    assert "- 1.5 Primary contact: [experiment] contact" in page
    assert "Dupont" not in page
    assert "<b>" not in page
    assert "450 (1×), 460 (1×)" in page


def test_unknown_keys_are_refused(tmp_path: Path) -> None:
    write(tmp_path, study_toml=STUDY + '\n[reagents.x]\nclon = "L243"\n[experiment]\naim = "x"\n')
    with pytest.raises(StudyError) as caught:
        load_study(tmp_path)
    places = [problem.place for problem in caught.value.problems]
    assert places == ["reagents.x.clon", "experiment.aim"]


def test_command(folder: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["miflowcyt", str(folder / "study"), "--format", "json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["standard"] == "MIFlowCyt 1.0"
    assert {item["number"] for item in document["items"] if item["missing"]} >= {"1.4"}
    assert "## 4.2 Compensation" in run(app, ["miflowcyt", str(folder / "study")]).stdout
