"""What a file says of a person reaches neither tables, journal, logs nor messages."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import polars as pl
from typer.testing import CliRunner

import cytosepsis as cs
from cytosepsis.analysis.registry import ANALYSES
from cytosepsis.cli import app
from cytosepsis.fcs_write import write_fcs
from cytosepsis.simulate import SimulationSettings, simulate_study

# Domain facts: keywords that carry persons and their samples, of the standard and of the makers.
IDENTIFYING = (
    "$SRC",
    "$SMNO",
    "$OP",
    "$FIL",
    "$EXP",
    "$COM",
    "$PROJ",
    "$INST",
    "$CELLS",
    "$LAST_MODIFIER",
    "PATIENT ID",
    "SAMPLE ID",
    "EXPERIMENT NAME",
    "TUBE NAME",
    "@SAMPLEID1",
    "GUID",
    "USERNAME",
)


def planted(path: Path, *, broken: bool = False) -> tuple[str, ...]:
    """Write the file again with a secret in every identifying keyword; the secrets."""
    raw = cs.read_fcs(path)
    secrets = {name: f"Secret{k:02d}Dupont" for k, name in enumerate(IDENTIFYING)}
    technical = ("$SPILLOVER", "$CYT", "$CYTSN", "$DATE", "$BTIM", "$ETIM", "$TIMESTEP")
    kept = {name: raw.keywords[name] for name in technical if name in raw.keywords}
    voltages = {
        key: value for key, value in raw.keywords.items() if key[:2] == "$P" and key.endswith("V")
    }
    write_fcs(
        path,
        raw.stored(),
        pnn=raw.pnn,
        pns=raw.pns,
        keywords=kept | voltages | secrets,
        ranges=[int(parameter.range) for parameter in raw.parameters],
    )
    if broken:
        path.write_bytes(path.read_bytes()[:-500])
    return tuple(secrets.values())


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, and what packed ones hold: tables as text, workbooks unzipped."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = str(path.relative_to(folder))
        found[name] = path.read_bytes()
        if path.suffix == ".parquet":
            found[f"{name} unpacked"] = pl.read_parquet(path).write_csv().encode()
        elif path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as archive:
                for part in archive.namelist():
                    found[f"{name}/{part}"] = archive.read(part)
    return found


def test_no_identifying_keyword_leaves_the_file(tmp_path, capsys):
    settings = SimulationSettings(patients=1, healthy=1, events=2000, bead_events=1500)
    simulate_study(tmp_path / "study", replace(settings, seed=3))
    study = cs.load_study(tmp_path / "study")
    secrets = planted(Path(study.samples[0].path))
    planted(Path(study.samples[1].path), broken=True)
    planted(Path(study.bead_runs[0].path))
    out = tmp_path / "results"
    results = cs.run_study(study, out=out, workers=2)
    status = dict(results.table("samples").select("sample_id", "status").iter_rows())
    assert status[study.samples[0].sample_id] in ("ok", "flagged")
    assert status[study.samples[1].sample_id] == "failed"
    # What every command makes of these results, or says of these files.
    commands = [
        ["check", str(tmp_path / "study")],
        ["inspect", *(sample.path for sample in study.samples)],
        ["trace", str(out), study.samples[0].sample_id],
        ["verify", str(out), "--fraction", "0.1", "--seed", "1"],
        ["miflowcyt", str(tmp_path / "study"), "--results", str(out)],
        ["export-excel", str(out), "--out", str(out / "book.xlsx")],
        *([name, str(out)] for name in ANALYSES),
    ]
    known = {info.name or info.callback.__name__ for info in app.registered_commands}
    if "report" in known:
        commands.append(["report", str(out), "--out", str(out / "pages")])
    said = {}
    for command in commands:
        done = CliRunner().invoke(app, command)
        # Without outcomes or candidates some analyses refuse; what they say then is searched too.
        assert done.exit_code in ((0, 1, 2) if command[0] in ANALYSES else (0, 1)), done.output
        said[command[0]] = done.output.encode()
    printed = capsys.readouterr()
    said |= {"out": printed.out.encode(), "err": printed.err.encode()} | everything(out)
    assert any(name.endswith(".sqlite") for name in said)
    assert any("sharedStrings" in name or "sheet1.xml" in name for name in said)
    for name, content in said.items():
        for secret in secrets:
            assert secret.encode() not in content, (name, secret)
            assert secret.upper().encode() not in content.upper(), (name, secret)
