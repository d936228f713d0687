"""Small studies, run, for the tests of reports: a plain one with faults, and a hostile one."""

from __future__ import annotations

import csv
from pathlib import Path

import cytosepsis as cs
from cytosepsis.fcs_write import write_fcs
from cytosepsis.simulate import SimulationSettings, simulate_study

SCRIPT = "<script>alert('owned')</script>"
HOSTILE_IDS = (
    SCRIPT,
    "=cmd|'/C calc'!A0",
    "javascript:alert(1)",
    "../../outside",
    'a/b"><img src=x onerror=alert(2)>',
    "日本語 $\\frac{1}{2}$",
    "</script><script>alert(3)</script>",
)
_CHANNEL = "<svg onload=alert(4)>"
_GATE = "<img src=x onerror=alert(5)>$x_1$"


def plain_study(folder: Path) -> Path:
    """Results of two patients and a donor; one file is missing, a bead file is none, and some
    samples have no beads.
    """
    study = folder / "study"
    settings = SimulationSettings(patients=2, healthy=1, events=3000, bead_events=2000, seed=4)
    simulate_study(study, settings)
    samples = sorted((study / "fcs").glob("P*.fcs"))
    samples[-1].unlink()
    kept = _keep_bead_runs(study, 3)
    (study / kept[-1]).write_bytes(b"not an FCS file")
    cs.run_study(cs.load_study(study), folder / "results")
    return folder / "results"


def hostile_study(folder: Path) -> Path:
    """Results of a study whose ids, channels, gates, keywords and notes try to be programs."""
    study = folder / "study"
    simulate_study(
        study, SimulationSettings(patients=4, healthy=1, events=2000, bead_events=2000, seed=5)
    )
    _rename_samples(study)
    _keep_bead_runs(study, 1)
    text = (study / "study.toml").read_text(encoding="utf-8")
    text = text.replace("cd14 =", f'"{_CHANNEL}" =').replace('"monocytes"', f"'{_GATE}'")
    text = text.replace('name = "simulated"', f'name = "{SCRIPT}"')
    text = text.replace('"PerCP-Cy5-5-A"', f'"{_CHANNEL}", "PerCP-Cy5-5-A"')
    (study / "study.toml").write_text(text, encoding="utf-8")
    for plan in (study / "assays").glob("*.toml"):
        gates = plan.read_text(encoding="utf-8")
        gates = gates.replace('"cd14"', f'"{_CHANNEL}"').replace('"monocytes"', f"'{_GATE}'")
        plan.write_text(gates, encoding="utf-8")
    for path in (study / "fcs").glob("P*.fcs"):
        raw = cs.read_fcs(path)
        kept = {k: v for k, v in raw.keywords.items() if k in ("$SPILLOVER", "$CYT", "$DATE")}
        keywords = {**kept, "$CYT": SCRIPT, "$PROJ": SCRIPT, "$CYTSN": "=1+1"}
        keywords = {
            key: value.replace("PerCP-Cy5-5-A", _CHANNEL) if key == "$SPILLOVER" else value
            for key, value in keywords.items()
        }
        names = [_CHANNEL if name == "PerCP-Cy5-5-A" else name for name in raw.pnn]
        write_fcs(path, raw.linear(), pnn=names, keywords=keywords)
    cs.run_study(cs.load_study(study), folder / "results")
    return folder / "results"


def _keep_bead_runs(study: Path, n: int) -> list[str]:
    """Leave the first bead runs in the sheet; return their files. Later samples have no beads."""
    lines = (study / "beads.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (study / "beads.csv").write_text("".join(lines[: n + 1]), encoding="utf-8")
    return [row["file"] for row in csv.DictReader(lines[: n + 1])]


def _rename_samples(study: Path) -> None:
    """Give the patients of the sheet hostile ids; more patients than that stay as they are."""
    with (study / "samples.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = rows[: len(HOSTILE_IDS)]
    for row, name in zip(rows, HOSTILE_IDS, strict=True):
        row |= {
            "patient_id": name,
            "sample_id": f"s {name}",
            "group": "patient",
            "site": SCRIPT,
            "timepoint": "D1-2",
            "drawn_at": "",
            "stained_at": "",
            "cytometer": "",
        }
    with (study / "samples.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
