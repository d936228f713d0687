"""Files and studies to measure on: lysed blood under the mHLA-DR plan, drawn anew for every run.

The plan's numbers stand here once. Ours reads them as a TOML plan, FlowKit gets them as its own
gates (`peers.py`), so both do the same job on the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytosepsis.fcs_write import Datatype, spillover_keyword, write_fcs

SCATTER = ("FSC-A", "FSC-H", "SSC-A")
STUDY_DYES = ("FITC-A", "PE-A", "PerCP-Cy5-5-A", "APC-A")
STUDY_CHANNELS = (*SCATTER, *STUDY_DYES)  # 7
FILE_DYES = (*STUDY_DYES, "PE-Cy7-A", "APC-Cy7-A", "BV421-A")  # 7
FILE_CHANNELS = (*SCATTER, "FSC-W", "SSC-H", "SSC-W", *FILE_DYES, "Time")  # 14

ROLES = {
    "fsc": "FSC-A",
    "fsc_height": "FSC-H",
    "ssc": "SSC-A",
    "cd14": "PerCP-Cy5-5-A",
    "hladr": "PE-A",
}
LOGICLE = {"T": 262144.0, "W": 0.5, "M": 4.5, "A": 0.0}
SINGLETS = ((10_000, 5_000), (262_143, 200_000), (262_143, 262_143), (10_000, 40_000))
LEUKOCYTES = {"fsc": (40_000.0, 260_000.0), "ssc": (4_000.0, 240_000.0)}
MONOCYTES = ((0.55, 25_000), (0.95, 25_000), (0.95, 110_000), (0.55, 110_000))
HLADR_FLOOR = 0.6  # on the logicle scale, some 4,000: a few per cent of the monocytes fail
QUANTIFIED = "root/singlets/leukocytes/monocytes/hladr_stained"

PE_MOLECULES = (638, 6930, 31008, 67601)
SLOPE, INTERCEPT = 0.97, 0.15  # of the simulated bead line, log10-log10


@dataclass(frozen=True, slots=True)
class Blood:
    """A kind of particle: its share, and ln-means of scatter, CD14 and HLA-DR."""

    share: float
    fsc: float
    ssc: float
    cd14: float
    hladr: float


KINDS = (
    Blood(0.30, 70_000, 12_000, 150, 300),  # lymphocytes
    Blood(0.07, 110_000, 50_000, 20_000, 9_000),  # monocytes
    Blood(0.52, 120_000, 130_000, 600, 250),  # granulocytes
    Blood(0.11, 8_000, 5_000, 60, 60),  # debris: fails the first gate
)


def spillover(n_dyes: int) -> NDArray[np.float64]:
    """A plausible matrix: neighbours see 12 %, the others 1 % of each dye."""
    distance = np.abs(np.subtract.outer(np.arange(n_dyes), np.arange(n_dyes)))
    return np.where(distance == 0, 1.0, np.where(distance == 1, 0.12, 0.01))


def blood_events(
    rng: np.random.Generator, n_events: int, channels: tuple[str, ...]
) -> NDArray[np.float64]:
    """Events of lysed blood, spilled over; (n_events, n_channels) in the channels' order."""
    kind = rng.choice(len(KINDS), size=n_events, p=[k.share for k in KINDS])

    def drawn(attribute: str, spread: float) -> NDArray[np.float64]:
        centres = np.array([getattr(k, attribute) for k in KINDS])
        return np.asarray(centres[kind] * rng.lognormal(0.0, spread, n_events))

    dyes = tuple(name for name in channels if name in FILE_DYES)
    light = np.stack([rng.lognormal(5.0, 1.0, n_events) for _ in dyes], axis=1)
    light[:, dyes.index(ROLES["cd14"])] = drawn("cd14", 0.35)
    light[:, dyes.index(ROLES["hladr"])] = drawn("hladr", 0.45)
    seen = light @ spillover(len(dyes)) + rng.normal(0.0, 40.0, light.shape)

    events = np.empty((n_events, len(channels)))
    fsc, ssc = drawn("fsc", 0.12), drawn("ssc", 0.18)
    scatter = {"FSC-A": fsc, "FSC-H": fsc * rng.normal(0.85, 0.03, n_events), "SSC-A": ssc}
    scatter |= {"SSC-H": 0.8 * ssc, "FSC-W": fsc / 2, "SSC-W": ssc / 2}
    scatter["Time"] = np.sort(rng.uniform(0.0, 60_000.0, n_events))
    for column, name in enumerate(channels):
        events[:, column] = seen[:, dyes.index(name)] if name in dyes else scatter[name]
    return events


def write_blood(
    path: Path,
    *,
    seed: int,
    n_events: int,
    channels: tuple[str, ...],
    datatype: Datatype = "F",
    big_endian: bool = False,
) -> Path:
    """One file of blood with its matrix in $SPILLOVER."""
    dyes = [name for name in channels if name in FILE_DYES]
    write_fcs(
        path,
        blood_events(np.random.default_rng(seed), n_events, channels),
        pnn=channels,
        keywords={"$SPILLOVER": spillover_keyword(dyes, spillover(len(dyes)))} | _acquired(10),
        datatype=datatype,
        byteorder="big" if big_endian else "little",
    )
    return path


def write_beads(path: Path, *, seed: int, n_events: int = 10_000) -> Path:
    """One file of four-level beads on the line of `SLOPE` and `INTERCEPT`."""
    rng = np.random.default_rng(seed)
    level = rng.integers(0, len(PE_MOLECULES), n_events)
    centres = 10 ** (SLOPE * np.log10(PE_MOLECULES) + INTERCEPT)
    events = rng.lognormal(4.0, 0.5, (n_events, len(STUDY_CHANNELS)))
    events[:, 0] = rng.normal(60_000, 2_000, n_events)
    events[:, 1] = events[:, 0] * rng.normal(0.85, 0.01, n_events)
    events[:, 2] = rng.normal(30_000, 1_500, n_events)
    events[:, STUDY_CHANNELS.index("PE-A")] = centres[level] * rng.normal(1.0, 0.05, n_events)
    write_fcs(path, events, pnn=STUDY_CHANNELS, keywords=_acquired(8))
    return path


def _acquired(hour: int) -> dict[str, str]:
    return {"$CYT": "bench", "$CYTSN": "1", "$DATE": "08-JAN-2024", "$BTIM": f"{hour:02d}:00:00"}


def plan_toml() -> str:
    """The plan in the project's own format."""
    (x, (x_low, x_high)), (y, (y_low, y_high)) = LEUKOCYTES.items()
    return f"""
[transforms.logicle]
type = "logicle"
{chr(10).join(f"{name} = {value}" for name, value in LOGICLE.items())}

[[gates]]
name = "singlets"
type = "polygon"
x = "fsc"
y = "fsc_height"
vertices = {_nested(SINGLETS)}

[[gates]]
name = "leukocytes"
parent = "singlets"
type = "rectangle"
x = "{x}"
y = "{y}"
ranges = {{ x = {{ min = {x_low}, max = {x_high} }}, y = {{ min = {y_low}, max = {y_high} }} }}

[[gates]]
name = "monocytes"
parent = "leukocytes"
type = "polygon"
x = {{ channel = "cd14", transform = "logicle" }}
y = "ssc"
vertices = {_nested(MONOCYTES)}

[[gates]]
name = "hladr_stained"
parent = "monocytes"
type = "rectangle"
x = {{ channel = "hladr", transform = "logicle" }}
ranges = {{ x = {{ min = {HLADR_FLOOR} }} }}
"""


def _nested(vertices: tuple[tuple[float, float], ...]) -> list[list[float]]:
    return [[float(x), float(y)] for x, y in vertices]


def write_study(folder: Path, *, n_files: int, n_events: int) -> Path:
    """A study: half of the files big-endian, a quarter of those 64-bit floats, one bead run."""
    (folder / "fcs").mkdir(parents=True)
    (folder / "assays").mkdir()
    (folder / "assays" / "mhladr.toml").write_text(plan_toml(), encoding="utf-8")
    write_beads(folder / "fcs" / "beads.fcs", seed=0)
    rows = ["file,patient_id,bead_run"]
    for number in range(n_files):
        big = number % 2 == 1
        datatype: Datatype = "D" if number % 8 == 7 else "F"
        write_blood(
            folder / "fcs" / f"s{number:03d}.fcs",
            seed=number + 1,
            n_events=n_events,
            channels=STUDY_CHANNELS,
            datatype=datatype,
            big_endian=big,
        )
        rows.append(f"fcs/s{number:03d}.fcs,P{number:03d},B1")
    (folder / "samples.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "beads.csv").write_text(
        "bead_run,file,lot\nB1,fcs/beads.fcs,bench\n", encoding="utf-8"
    )
    channels = "\n".join(f'{role} = "{name}"' for role, name in ROLES.items())
    (folder / "study.toml").write_text(
        f"""
[study]
name = "bench"
samples = "samples.csv"
beads = "beads.csv"
timezone = "UTC"

[bead_lots.bench]
pe_molecules = {list(PE_MOLECULES)}

[assays.mhladr]
compensation = "file"
gating = "assays/mhladr.toml"

[assays.mhladr.channels]
{channels}

[assays.mhladr.abc]
population = "{QUANTIFIED}"
channel = "hladr"
""",
        encoding="utf-8",
    )
    return folder


def sample_files(study: Path) -> list[Path]:
    """The sample files of a study made by `write_study`, in order."""
    return sorted((study / "fcs").glob("s*.fcs"))
