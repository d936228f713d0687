"""What a file says of a person reaches neither tables, journal, logs nor messages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cytosepsis as cs
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


def test_no_identifying_keyword_leaves_the_file(tmp_path, capsys):
    settings = SimulationSettings(patients=1, healthy=1, events=2000, bead_events=1500)
    simulate_study(tmp_path / "study", replace(settings, seed=3))
    study = cs.load_study(tmp_path / "study")
    secrets = planted(Path(study.samples[0].path))
    planted(Path(study.samples[1].path), broken=True)
    planted(Path(study.bead_runs[0].path))
    results = cs.run_study(study, out=tmp_path / "results", workers=2)
    status = dict(results.table("samples").select("sample_id", "status").iter_rows())
    assert status[study.samples[0].sample_id] in ("ok", "flagged")
    assert status[study.samples[1].sample_id] == "failed"
    printed = capsys.readouterr()
    said = {"out": printed.out.encode(), "err": printed.err.encode()}
    for path in sorted((tmp_path / "results").rglob("*")):
        if path.is_file():
            said[path.name] = path.read_bytes()
    assert any(name.endswith(".sqlite") for name in said)
    for name, content in said.items():
        for secret in secrets:
            assert secret.encode() not in content, (name, secret)
            assert secret.upper().encode() not in content.upper(), (name, secret)
