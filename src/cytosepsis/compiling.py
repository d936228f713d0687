"""Compiling the numerical kernels once, before work is handed out, by doing a little of it.

A cold compilation takes tens of seconds. Left to the first files, every worker would do it at the
same time, and it would count as reading. What is compiled lies in the user's cache afterwards.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from cytosepsis.bead_peaks import find_peaks
from cytosepsis.bead_scatter import single_beads
from cytosepsis.fcs import read_fcs
from cytosepsis.fcs_write import write_fcs
from cytosepsis.gating.apply import find_gates, gate
from cytosepsis.gating.row_form import row_form
from cytosepsis.gating.sampling import sample_rows
from cytosepsis.gating.toml_plan import parse_toml_plan
from cytosepsis.pictures import pictures_of
from cytosepsis.quality.check import check_quality
from cytosepsis.quality.trace import SHORT_EVENTS

_PLAN = {
    "transforms": {"logicle": {"type": "logicle", "T": 262144, "W": 0.5, "M": 4.5, "A": 0.0}},
    "gates": [
        {
            "name": "bright",
            "type": "rectangle",
            "x": {"channel": "FL", "transform": "logicle"},
            "ranges": {"x": {"min": 0.2, "max": 0.8}},
        },
        {"name": "single", "type": "singlet", "x": "FSC-A", "y": "SSC-A"},
        {"name": "dim", "type": "threshold", "x": "FL", "method": "valley", "keep": "below"},
        {
            "name": "cloud",
            "type": "cluster",
            "x": {"channel": "FL", "transform": "logicle"},
            "y": "SSC-A",
            "centre": [0.56, 50_000.0],  # where the middle level lies, and no other
            "drift": [0.1, 20_000.0],
        },
    ],
}


_LONG = SHORT_EVENTS + 4_000  # such files are judged by other kernels than short ones


def _long_file(path: Path) -> Path:
    """A file with a clock whose signal leaves its level for a while."""
    spread = np.random.default_rng(2).standard_normal((_LONG, 1))
    signal = (5_000 + 500 * spread) * np.repeat([1.0, 3.0, 1.0], _LONG // 3)[:, None]
    clock = np.arange(_LONG, dtype=np.float64)[:, None]
    write_fcs(path, np.hstack([signal, clock]), pnn=("FL", "Time"), keywords={"$TIMESTEP": "0.001"})
    return path


def compile_kernels(_: object = None) -> None:
    """Gate and cluster a few invented events; takes a task's argument, to be sent to a worker."""
    spread = np.random.default_rng(1).standard_normal((600, 3))
    levels = np.repeat([300.0, 3_000.0, 30_000.0], 200)
    events = np.column_stack(
        [
            50_000 + 500 * spread[:, 0],
            50_000 + 500 * spread[:, 1],
            levels * (1 + 0.05 * spread[:, 2]),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.fcs"
        write_fcs(path, events, pnn=("FSC-A", "SSC-A", "FL"))
        raw, plan = read_fcs(path), parse_toml_plan(_PLAN)
        found = find_gates(raw, plan)
        pictures = pictures_of(raw, found.plan, channels={})
        gate(raw, found, pictures=pictures)
        sample_rows(raw, row_form(raw), most=500)  # part of a file, as of a large one
        for picture in pictures:
            picture.canvas.density()
        check_quality(raw)
        check_quality(read_fcs(_long_file(Path(folder) / "long.fcs")))
    single_beads(events[:, :2])
    find_peaks(events[:, 2])
