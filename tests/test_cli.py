"""The command line: outputs, JSON, exit statuses, signals; what a user does wrong is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

import cytosepsis
from cytosepsis.cli import app
from cytosepsis.cli.progress import PlainLines, duration, events_per_second, seconds_left
from cytosepsis.cli.terminal import safe
from cytosepsis.fcs_write import write_fcs
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.simulate.sheets import FIXED_PLAN
from cytosepsis.study import Progress

SETTINGS = SimulationSettings(patients=1, healthy=1, events=2000, bead_events=2000)
FAULTS = SimulationSettings(
    patients=1, healthy=1, events=2000, bead_events=2000, faults=("truncated", "missing")
)
ROLES = ("fsc=FSC-A", "fsc_height=FSC-H", "ssc=SSC-A", "cd14=CD14", "hladr=HLA-DR")
CHANNELS = [word for role in ROLES for word in ("--channel", role)]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "study"
    simulate_study(folder, SETTINGS)
    return folder


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "faulty"
    simulate_study(folder, FAULTS)
    return folder


@pytest.fixture(scope="session")
def sample(study: Path) -> Path:
    return next((study / "fcs").glob("P001*.fcs"))


@pytest.fixture(scope="session")
def beads(study: Path) -> Path:
    return next((study / "fcs").glob("B*.fcs"))


@pytest.fixture(scope="session")
def lot(study: Path) -> str:
    text = (study / "study.toml").read_text()
    return text.split("pe_molecules = [")[1].split("]")[0].replace(" ", "")


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def document(result: Result) -> Any:
    return json.loads(result.stdout)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "cytosepsis", *map(str, words)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


# ------------------------------------------------------------------------------------- run


def test_run_fills_the_folder_and_says_so(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        command("run", study, "--out", out, "--workers", 1),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("simulated: 3 samples in ")
    assert "0 failed" in done.stdout
    assert str(out) in done.stdout
    assert "Traceback" not in done.stderr
    assert pl.read_csv(out / "abc.csv")["abc"].null_count() == 0
    again = call("run", study, "--out", out, "--workers", 1)
    assert again.exit_code == 0
    assert "3 unchanged since an earlier run" in again.stdout


def test_failed_files_are_rows_and_the_others_are_the_same(
    study: Path, faulty: Path, tmp_path: Path
) -> None:
    call("run", study, "--out", tmp_path / "a", "--workers", 1)
    result = call("run", faulty, "--out", tmp_path / "b", "--workers", 1)
    assert result.exit_code == 1
    assert "2 failed" in result.stdout
    assert "F_truncated: fcs/F_truncated.fcs: " in result.stdout
    assert "F_truncated failed: truncated" in result.stderr
    assert "Traceback" not in result.output
    samples = pl.read_csv(tmp_path / "b" / "samples.csv")
    bad = samples.filter(pl.col("status") == "failed")
    codes = dict(zip(bad["sample_id"], bad["error_code"], strict=True))
    assert codes == {"F_truncated": "truncated", "F_missing": "missing"}
    for table in ("populations", "intensities", "abc"):
        good = (tmp_path / "a" / f"{table}.csv").read_text().splitlines()
        lines = (tmp_path / "b" / f"{table}.csv").read_text().splitlines()
        assert [line for line in lines if not line.startswith("F_")] == good


def test_a_study_that_cannot_be_understood_computes_nothing(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("[study]\nname = 1\nnonsense = true\n")
    result = call("run", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "The study was refused" in result.stderr
    assert "nonsense" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--digest", "md5"], "'md5' is not one of"),
        (["--workers", "0"], "workers"),
        (["--unknown"], "No such option"),
    ],
)
def test_wrong_options_are_refused(
    study: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    result = call("run", study, "--out", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_results_never_overwrite_a_study(study: Path) -> None:
    before = (study / "samples.csv").read_bytes()
    result = call("run", study, "--out", study)
    assert result.exit_code == 2
    assert "not a results folder" in result.stderr
    assert (study / "samples.csv").read_bytes() == before


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_cleanly_and_the_next_run_continues(
    study: Path, tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    out = tmp_path / "out"
    running = subprocess.Popen(
        command("run", study, "--out", out, "--workers", 1),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The log is begun when the folder is locked and the workers are about to start.
    while not (out / "logs" / "run.jsonl").exists():
        assert running.poll() is None
        time.sleep(0.005)
    running.send_signal(sent)
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == status, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    assert "the same command continues" in stderr
    assert not (out / "run.json").exists()
    assert not list(out.glob(".*"))
    assert call("run", study, "--out", out, "--workers", 1).exit_code == 0


# ----------------------------------------------------------------------------------- check


def test_check_lists_what_run_would_refuse(study: Path, faulty: Path, tmp_path: Path) -> None:
    good = call("check", study)
    assert (good.exit_code, good.stdout) == (0, "No problems found.\n")
    files = call("check", faulty, "--format", "json")
    assert files.exit_code == 1
    [problem] = document(files)
    assert problem["file"] == "fcs/F_missing.fcs"
    assert problem["severity"] == "warning"
    assert "accepts this study" in call("check", faulty).stdout
    broken = call("check", tmp_path)
    assert broken.exit_code == 2
    assert "study.toml" in broken.output


# --------------------------------------------------------------------------------- inspect


def test_inspect_says_what_is_in_a_file(sample: Path) -> None:
    [record] = document(call("inspect", sample, "--format", "json"))
    assert record["n_events"] == 2000
    assert record["n_data_sets"] == 1
    assert record["spillover"] == ["PerCP-Cy5-5-A", "PE-A"]
    [pe] = [channel for channel in record["channels"] if channel["pnn"] == "PE-A"]
    assert pe["pns"] == "HLA-DR"
    assert pe["voltage"] > 0
    table = call("inspect", sample).stdout
    assert "2,000 events" in table
    assert "HLA-DR" in table


def test_inspect_goes_through_folders_and_past_bad_files(faulty: Path, tmp_path: Path) -> None:
    (tmp_path / "no.fcs").write_text("no FCS file")
    result = call("inspect", faulty, tmp_path / "no.fcs", "--format", "json")
    assert result.exit_code == 1
    records = {Path(record["file"]).name: record for record in document(result)}
    assert records["no.fcs"]["error"]["code"] == "not_fcs"
    assert records["F_truncated.fcs"]["error"]["code"] == "truncated"
    assert records["F_truncated.fcs"]["channels"]
    assert sum("error" in record for record in records.values()) == 2
    assert "not_fcs" in call("inspect", tmp_path / "no.fcs").stdout
    (tmp_path / "nothing").mkdir()
    empty = call("inspect", tmp_path / "nothing")
    assert empty.exit_code == 2
    assert "no .fcs or .lmd file" in empty.stderr


def test_inspect_shows_no_identifying_keyword(tmp_path: Path) -> None:
    person = "Smith-John-1950"
    keywords = dict.fromkeys(("$FIL", "$SRC", "$SMNO", "$CELLS", "$OP", "PATIENT ID"), person)
    write_fcs(tmp_path / "x.fcs", [[1.0]], pnn=["PE-A"], keywords=keywords)
    assert person.encode() in (tmp_path / "x.fcs").read_bytes()
    for form in ("json", "table"):
        result = call("inspect", tmp_path / "x.fcs", "--format", form)
        assert result.exit_code == 0
        assert person not in result.output


# ------------------------------------------------------------------------------------ gate


def gate(study: Path, *words: object) -> Result:
    plan = study / "assays" / "mhladr.toml"
    return call("gate", *words, "--gating", plan, *CHANNELS)


def test_gate_counts_as_the_api_does(study: Path, sample: Path) -> None:
    [record] = document(gate(study, sample, "--format", "json"))
    plan = cytosepsis.read_gating(study / "assays" / "mhladr.toml")
    roles = dict(role.split("=") for role in ROLES)
    counts = cytosepsis.gate(cytosepsis.read_fcs(sample), plan, channels=roles).n_events
    assert record["file"] == str(sample)
    assert {row["path"]: row["n_events"] for row in record["populations"]} == dict(counts)
    root = record["populations"][0]
    assert (root["path"], root["fraction_of_root"], root["n_events"]) == ("root", 1.0, 2000)
    child = record["populations"][1]
    assert child["name"] == child["path"].rsplit("/", 1)[-1]
    assert child["fraction_of_parent"] == pytest.approx(child["n_events"] / 2000)
    assert child["gate_status"] == "ok"


def test_gate_writes_tables(study: Path, sample: Path, tmp_path: Path) -> None:
    result = gate(study, sample, "--format", "csv", "--out", tmp_path / "t.csv")
    assert result.exit_code == 0
    assert (tmp_path / "t.csv").read_text() == result.stdout
    assert pl.read_csv(tmp_path / "t.csv")["n_events"][0] == 2000
    gate(study, sample, "--out", tmp_path / "t.parquet")
    assert pl.read_parquet(tmp_path / "t.parquet")["path"][0] == "root"
    assert "root/singlets" in gate(study, sample).stdout


def test_gate_goes_past_bad_files(study: Path, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "no.fcs").write_text("no FCS file")
    result = gate(study, tmp_path / "no.fcs", sample, "--format", "json")
    assert result.exit_code == 1
    bad, good = document(result)
    assert bad.keys() == {"file", "error"}
    assert bad["error"]["code"] == "not_fcs"
    assert good["n_events"] == 2000
    table = gate(study, tmp_path / "no.fcs", "--format", "csv")
    assert pl.read_csv(table.stdout.encode())["error_code"].to_list() == ["not_fcs"]
    assert "[not_fcs]" in gate(study, tmp_path / "no.fcs").stderr


def test_gate_compensates_as_it_is_told(study: Path, sample: Path, tmp_path: Path) -> None:
    def monocytes(*words: object) -> int:
        [record] = document(gate(study, sample, *words, "--format", "json"))
        return int(record["populations"][-1]["n_events"])

    matrix = tmp_path / "matrix.csv"
    matrix.write_text(",PerCP-Cy5-5-A,PE-A\nPerCP-Cy5-5-A,1,0\nPE-A,0,1\n")
    assert monocytes("--compensation", "file") == monocytes()
    assert monocytes("--compensation", matrix) == monocytes("--compensation", "none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--channel", "cd14"], "ROLE=NAME is meant"),
        (["--channel", "cd14=A"], "role 'cd14' is given twice"),
        (["--compensation", "no.csv"], "no.csv"),
        (["--out", "t.doc"], ".csv or .parquet is meant"),
        (["--format", "xml"], "xml"),
    ],
)
def test_gate_refuses(study: Path, sample: Path, words: list[str], message: str) -> None:
    result = gate(study, sample, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.fixture
def workspace(sample: Path, tmp_path: Path) -> Path:
    """A FlowJo workspace of the sample: `all` with the stored count that is put in for COUNT."""
    path = tmp_path / "w.wsp"
    path.write_text(
        '<Workspace version="20.0" flowJoVersion="10.8.1"'
        ' xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"'
        ' xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations"'
        ' xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes">'
        f'<Groups/><SampleList><Sample><DataSet uri="{sample.name}" sampleID="1"/>'
        f'<Transformations/><Keywords/><SampleNode name="{sample.name}" sampleID="1" count="2000">'
        '<Subpopulations><Population name="all" owningGroup="" count="COUNT"><Gate>'
        '<gating:RectangleGate eventsInside="1"><gating:dimension gating:min="-1e9">'
        '<data-type:fcs-dimension data-type:name="FSC-A"/></gating:dimension>'
        "</gating:RectangleGate></Gate></Population></Subpopulations></SampleNode></Sample>"
        "</SampleList></Workspace>"
    )
    return path


@pytest.mark.parametrize(
    ("count", "stored", "agrees", "status"),
    [("1995", 1995, True, 0), ("1994", 1994, False, 1), ("-1", None, None, 0)],
)
def test_concordance(
    sample: Path, workspace: Path, count: str, stored: int | None, agrees: bool | None, status: int
) -> None:
    workspace.write_text(workspace.read_text().replace("COUNT", count))
    words = ("gate", sample, "--gating", workspace, "--concordance")
    result = call(*words, "--format", "json")
    assert result.exit_code == status, result.stderr
    (record,) = document(result)
    root, every = record["populations"]
    assert (root["stored_n_events"], root["agrees"]) == (2000, True)
    assert every["n_events"] == 2000
    assert (every["stored_n_events"], every["agrees"]) == (stored, agrees)
    table = call(*words, "--format", "csv").stdout.splitlines()
    assert table[0].endswith(",stored_n_events,agrees")
    assert table[2].endswith({True: ",1995,true", False: ",1994,false", None: ",,"}[agrees])
    assert "stored" in call(*words).stdout


def test_concordance_notices_another_file(sample: Path, workspace: Path) -> None:
    text = workspace.read_text().replace("COUNT", "2000").replace('count="2000">', 'count="2001">')
    workspace.write_text(text)
    words = ("gate", sample, "--gating", workspace, "--concordance", "--format", "json")
    result = call(*words)
    assert result.exit_code == 1
    assert [row["agrees"] for row in document(result)[0]["populations"]] == [False, True]


def test_concordance_needs_stored_counts(study: Path, sample: Path) -> None:
    result = gate(study, sample, "--concordance")
    assert result.exit_code == 2
    assert "stores no counts" in result.stderr


def test_gating_writes_gating_ml_that_counts_the_same(
    study: Path, sample: Path, tmp_path: Path
) -> None:
    out = tmp_path / "plan.xml"
    plan = tmp_path / "fixed.toml"
    plan.write_text(FIXED_PLAN)
    names = {"fsc": "FSC-A", "fsc_height": "FSC-H", "ssc": "SSC-A"}
    raw = cytosepsis.read_fcs(sample)
    names |= {"cd14": raw.pnn[raw.pns.index("CD14")], "hladr": raw.pnn[raw.pns.index("HLA-DR")]}
    used = cytosepsis.read_gating(plan).channels
    channels = [w for k, v in names.items() if k in used for w in ("--channel", f"{k}={v}")]
    result = call("gating", plan, "--out", out, *channels)
    assert result.exit_code == 0, result.stderr
    counted = call("gate", sample, "--gating", out, "--format", "json")
    wanted = call("gate", sample, "--gating", plan, "--format", "json", *channels)
    assert document(counted)[0]["populations"] == document(wanted)[0]["populations"]
    (found,) = (study / "assays").glob("*.toml")
    refused = call("gating", found, "--out", tmp_path / "found.xml")
    assert "data-driven gates, for which Gating-ML has no word" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "x.toml"), "--out x.toml: .xml is meant."),
        (("--out", "x.xml", "--channel", "cd15=A"), "--channel: the plan has no cd15; it has"),
        (("--out", "x.xml", "--compensation", "no.csv"), "the matrix cannot be read"),
    ],
)
def test_gating_refuses(study: Path, words: tuple[str, ...], message: str) -> None:
    (plan,) = (study / "assays").glob("*.toml")
    result = call("gating", plan, *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_gate_refuses_a_broken_plan(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("[[gates]]\nname = 1\n")
    for plan in ("plan.toml", "no.toml", "no.wsp"):
        result = call("gate", sample, "--gating", tmp_path / plan)
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: ")


# ------------------------------------------------------------------------------- calibrate


def test_calibrate_reports_the_line(beads: Path, lot: str) -> None:
    result = call("calibrate", beads, "--lot", lot, "--channel", "PE-A", "--format", "json")
    record = document(result)
    levels = cytosepsis.BeadLot("x", tuple(float(v) for v in lot.split(",")))
    line = cytosepsis.fit_calibration(cytosepsis.read_fcs(beads), levels, "PE-A")
    assert (record["slope"], record["intercept"]) == (line.slope, line.intercept)
    assert record["r_squared"] == line.r_squared
    assert (record["status"], record["flags"]) == (line.status, list(line.flags))
    assert [level["pe_molecules"] for level in record["levels"]] == list(levels.pe_molecules)
    wanted = {"pe_molecules", "intensity", "n_events", "cv", "recovery"}
    assert record["levels"][0].keys() == wanted
    assert result.exit_code == 0
    text = call("calibrate", beads, "--lot", lot, "--channel", "PE-A").stdout
    assert "log10(intensity) = " in text


def test_calibrate_says_why_there_is_no_line(beads: Path, lot: str, tmp_path: Path) -> None:
    result = call("calibrate", beads, "--lot", lot, "--channel", "APC-A", "--format", "json")
    record = document(result)
    assert result.exit_code == 1
    assert (record["status"], record["slope"]) == ("failed", None)
    assert record["error"]["code"] == "channel_missing"
    missing = call("calibrate", tmp_path / "no.fcs", "--lot", lot, "--channel", "PE-A")
    assert missing.exit_code == 1
    assert "[missing]" in missing.stderr


@pytest.mark.parametrize("lot", ["1,2", "1,2,x", "1,1,2", "1,2,-3", "1,2,nan", ""])
def test_calibrate_refuses_what_is_no_lot(beads: Path, lot: str) -> None:
    result = call("calibrate", beads, "--lot", lot, "--channel", "PE-A")
    assert result.exit_code == 2
    assert "--lot" in result.stderr


# --------------------------------------------------------------------- the program as a whole


def test_simulate_refuses_a_full_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    result = call("simulate", tmp_path)
    assert result.exit_code == 2
    assert "not an empty folder" in result.stderr
    unknown = call("simulate", tmp_path / "new", "--fault", "gremlins")
    assert unknown.exit_code == 2
    assert "gremlins" in unknown.stderr


def test_simulate_writes_a_study_that_is_accepted(tmp_path: Path) -> None:
    words = ("--patients", 0, "--healthy", 1, "--events", 500, "--bead-events", 500)
    assert call("simulate", tmp_path / "s", *words).exit_code == 0
    assert (tmp_path / "s" / "truth.csv").exists()
    assert call("check", tmp_path / "s").exit_code == 0


def test_help_lists_commands_with_whole_sentences_and_without_rich() -> None:
    code = "import sys; from cytosepsis.cli import app; app(['--help'], standalone_mode=False); "
    code += "sys.exit(int('rich' in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "..." not in done.stdout.partition("Commands:")[2]
    assert "Find every problem that can be seen without reading events," in done.stdout


def test_version_and_help() -> None:
    assert call("--version").stdout == f"cytosepsis {cytosepsis.__version__}\n"
    for words in ([], ["run"], ["check"], ["inspect"], ["gate"], ["calibrate"], ["simulate"]):
        result = call(*words, "--help")
        assert result.exit_code == 0
        assert "Usage" in result.stdout
    assert call("cohort").exit_code == 2


def test_help_and_import_stay_light() -> None:
    heavy = ("numpy", "numba", "polars", "flowkit", "flowio", "scipy", "pandas")
    script = (
        "import sys, cytosepsis; assert 'cytosepsis.fcs' not in sys.modules; "
        f"import cytosepsis.cli; print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_public_names_are_all_there() -> None:
    for name in cytosepsis.__all__:
        assert getattr(cytosepsis, name) is not None
    assert set(cytosepsis._HOME_OF) | {"__version__"} == set(cytosepsis.__all__)
    assert set(cytosepsis.__all__) <= set(dir(cytosepsis))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cytosepsis.nothing  # noqa: B018


def status_of_main() -> object:
    """Exit status of the command line in this process, whose handlers of signals come back."""
    from cytosepsis import cli

    before = {sent: signal.getsignal(sent) for sent in (signal.SIGINT, signal.SIGTERM)}
    # as in a terminal: what a shell starts in the background ignores it, and so do our tests then
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as caught:
            cli.main()
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)
    return caught.value.code


def test_a_fault_of_ours_is_exit_status_3(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("cytosepsis.study.run_study", broken)
    monkeypatch.setattr(sys, "argv", ["cytosepsis", "run", str(study), "--out", str(tmp_path)])
    assert status_of_main() == 3


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_between_command_line_and_command_has_its_status(
    monkeypatch: pytest.MonkeyPatch, sent: signal.Signals, status: int
) -> None:
    from cytosepsis.cli import study_commands

    def interrupted(**_: object) -> None:
        os.kill(os.getpid(), sent)

    # called after Typer has read the line and before the command can catch anything
    monkeypatch.setattr(study_commands, "command", interrupted)
    monkeypatch.setattr(sys, "argv", ["cytosepsis", "run", "nothing", "--out", "nowhere"])
    assert status_of_main() == status


def test_an_unforeseen_error_costs_one_file(
    study: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("cytosepsis.gating.apply.gate", broken)
    result = gate(study, sample, "--format", "json")
    assert result.exit_code == 3
    assert document(result)[0]["error"]["code"] == "unforeseen"


# -------------------------------------------------------------------------------- progress


def test_progress_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(10, 4, 0, 1, 2_000_000, 100, 25, 2.0, failed="truncated: x", name="s1")
    assert seconds_left(progress) == 6.0
    with PlainLines(seconds=0.0) as lines:
        lines(progress)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "s1 failed: truncated: x",
        "4 of 10 files, 1.0 M events/s, 1 failed, 6.0 s left",
    ]
    assert seconds_left(Progress(10, 0, 0, 0, 0, 100, 0, 2.0)) is None


def test_words_for_numbers() -> None:
    assert [duration(s) for s in (1.23, 12.3, 75.0, 7260.0)] == [
        "1.2 s",
        "12 s",
        "1 min 15 s",
        "2 h 01 min",
    ]
    assert events_per_second(500, 0.0) == "0 events/s"


def test_text_from_files_cannot_steer_the_terminal() -> None:
    assert safe("a\x1b[31mb\x07\nc") == "a�[31mb�\nc"
