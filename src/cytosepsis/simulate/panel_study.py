"""A study of one ready panel with known truth: FCS files, sheets, the panel's plan, truth.csv."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from cytosepsis.errors import CytosepsisError
from cytosepsis.panels import ReadyPanel, read_panel, write_panel
from cytosepsis.simulate.analyser import measure_tube, save_tube
from cytosepsis.simulate.panel_catalog import (
    EVENTS,
    SPOILT,
    USUAL_EVENTS,
    make_tube,
    spoilt,
)
from cytosepsis.simulate.panel_lymphocytes import BEADS_PER_TUBE, BLOOD_UL
from cytosepsis.simulate.panel_truth import Cells, PanelTube, true_value
from cytosepsis.simulate.settings import generator
from cytosepsis.simulate.sheets import csv_text, write_text
from cytosepsis.simulate.tubes import BEAD_PAIRS, BEADS, TubeEvents, draw_tube

CYTOMETER, LOT = "SIM0002", "SIM-TC"
FEW_EVENTS = 150
_ONSET = datetime(2024, 1, 8, 6, 0)
_DAYS = (("D1-2", 1.0), ("D6-8", 6.0))  # timepoint, days from onset to the draw

_STUDY = """\
# A simulated study of one panel: truth.csv holds what the analysis should find.
[study]
name = "{name}"
samples = "samples.csv"
clinical = "clinical.csv"
{measurements}timezone = "Europe/Paris"

[timepoints]
"D1-2" = [1, 2]
"D6-8" = [6, 8]
{lots}
"""
_LOTS = """
[counting_lots.{lot}]
beads_per_tube = {beads:g}
"""
SAMPLE_COLUMNS = (
    *("file", "sample_id", "patient_id", "assay", "group", "timepoint", "drawn_at", "stained_at"),
    *("tube", "lysis", "cytometer", "counting_lot", "blood_volume_ul"),
)
TRUTH_COLUMNS = (
    *("sample_id", "patient_id", "timepoint", "fault", "marker", "kind", "value", "blood_value"),
)


@dataclass(frozen=True, slots=True)
class PanelSettings:
    """Everything a simulated panel study depends on; equal settings give equal bytes."""

    panel: str
    seed: int = 1
    patients: int = 4  # with septic shock, two draws each
    healthy: int = 2  # one draw each
    events: int | None = None  # per file; None: what the panel's rarest cells need
    faults: tuple[str, ...] = ()  # of `SPOILT`; each adds one patient with one draw

    def __post_init__(self) -> None:
        unknown = [fault for fault in self.faults if fault not in SPOILT]
        if unknown:
            raise CytosepsisError(
                f"Unknown faults: {', '.join(unknown)}. Known are: {', '.join(SPOILT)}.",
                code="simulation",
            )

    @property
    def events_per_file(self) -> int:
        """Events of each file that is not spoilt by having few."""
        return self.events or EVENTS.get(self.panel, USUAL_EVENTS)


@dataclass(frozen=True, slots=True)
class _Draw:
    sample_id: str
    patient_id: str
    group: Literal["patient", "healthy"]
    timepoint: str | None
    at: datetime
    fault: str | None = None


def simulate_panel(folder: Path | str, settings: PanelSettings) -> Path:
    """Write a study of one panel into a new or empty folder, and return the folder.

    `truth.csv` has one row per sample × marker: `value` is what an analysis without an error would
    find in this tube (% or the median light of its own true cells; cells per µL by its own cells
    and beads); `blood_value`, of counts, is the blood's, which the tube is a random part of.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CytosepsisError(
            f"{folder} is not an empty folder. Name a new one, or empty it.", code="simulation"
        )
    panel = read_panel(settings.panel)
    (folder / "fcs").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    truths: list[dict[str, object]] = []
    measured: list[dict[str, object]] = []
    draws = _draws(settings)
    for draw in draws:
        row, truth, blood_count = _write_sample(folder, settings, panel, draw)
        rows.append(row)
        truths += truth
        measured += blood_count
    counts = bool(panel.counting)
    text = _STUDY.format(
        name=settings.panel,
        measurements='measurements = "measurements.csv"\n' if measured else "",
        lots=_LOTS.format(lot=LOT, beads=BEADS_PER_TUBE) if counts and not measured else "",
    )
    write_text(folder / "study.toml", text)
    write_panel(settings.panel, folder)
    write_text(folder / "samples.csv", csv_text(rows, SAMPLE_COLUMNS))
    write_text(folder / "truth.csv", csv_text(truths, TRUTH_COLUMNS))
    patients = dict.fromkeys(d.patient_id for d in draws if d.group == "patient")
    clinical = [{"patient_id": p, "shock_onset": _ONSET.isoformat()} for p in patients]
    write_text(folder / "clinical.csv", csv_text(clinical, ("patient_id", "shock_onset")))
    if measured:
        columns = ("patient_id", "drawn_at", "timepoint", "name", "value", "unit")
        write_text(folder / "measurements.csv", csv_text(measured, columns))
    return folder


def _draws(settings: PanelSettings) -> list[_Draw]:
    draws = [
        _Draw(f"P{i + 1:02d}-{point}", f"P{i + 1:02d}", "patient", point, _ONSET + timedelta(days))
        for i in range(settings.patients)
        for point, days in _DAYS
    ]
    draws += [
        _Draw(f"F-{fault}", f"F-{fault}", "patient", "D1-2", _ONSET + timedelta(1.0), fault)
        for fault in settings.faults
    ]
    draws += [
        _Draw(f"H{i + 1:02d}", f"H{i + 1:02d}", "healthy", None, _ONSET + timedelta(1.0))
        for i in range(settings.healthy)
    ]
    return draws


def _write_sample(
    folder: Path, settings: PanelSettings, panel: ReadyPanel, draw: _Draw
) -> tuple[dict[str, object], list[dict[str, object]], list[dict[str, object]]]:
    """Draw, measure and save one tube; its rows of sample sheet, truth and measurements."""
    rng = generator(settings.seed, "panel", settings.panel, draw.sample_id)
    good = make_tube(settings.panel, rng, septic=draw.group == "patient")
    tube = spoilt(good, draw.fault)
    n = FEW_EVENTS if draw.fault == "few_events" else settings.events_per_file
    events = draw_tube(tube.tube, n, rng)
    path = folder / "fcs" / f"{draw.sample_id}.fcs"
    save_tube(
        path,
        measure_tube(events, rng),
        tuple(tube.labels[role] for role in tube.tube.roles),
        began_at=draw.at + timedelta(hours=3),
        cytometer=CYTOMETER,
    )
    row: dict[str, object] = {
        "file": f"fcs/{path.name}",
        "sample_id": draw.sample_id,
        "patient_id": draw.patient_id,
        "assay": settings.panel,
        "group": draw.group,
        "timepoint": draw.timepoint,
        "drawn_at": draw.at.isoformat(timespec="minutes"),
        "stained_at": (draw.at + timedelta(hours=1)).isoformat(timespec="minutes"),
        "tube": "EDTA",
        "lysis": "lyse-wash" if tube.washed else "lyse-no-wash",
        "cytometer": CYTOMETER,
        "counting_lot": LOT if panel.counting.get("beads") else None,
        "blood_volume_ul": BLOOD_UL if panel.counting.get("beads") else None,
    }
    truths: list[dict[str, object]] = []
    for marker in good.markers:
        value = true_value(marker, events, good)
        of_blood = None
        if marker.kind == "count":
            value, of_blood = _tube_count(marker.cells, events, tube), value
        truths.append(
            {
                "sample_id": draw.sample_id,
                "patient_id": draw.patient_id,
                "timepoint": draw.timepoint,
                "fault": draw.fault,
                "marker": marker.name,
                "kind": marker.kind,
                "value": None if value is None else f"{value:.6g}",
                "blood_value": None if of_blood is None else f"{of_blood:.6g}",
            }
        )
    return row, truths, _blood_count(panel, good, draw)


def _tube_count(cells: Cells, events: TubeEvents, tube: PanelTube) -> float | None:
    """Cells per µL as the tube's own single cells say, with its beads or the blood count."""
    found = int(events.where(cells.kinds, cells.having).sum())
    if tube.blood_count is not None:
        reference, per_ul = tube.blood_count
        whole = int(events.where(reference.kinds, reference.having).sum())
        return found / whole * per_ul if whole else None
    if BEADS not in {kind.name for kind in tube.tube.kinds}:
        return None
    beads = int(events.where((BEADS,)).sum()) + 2 * int(events.where((BEAD_PAIRS,)).sum())
    return found / beads * BEADS_PER_TUBE / BLOOD_UL if beads else None


def _blood_count(panel: ReadyPanel, tube: PanelTube, draw: _Draw) -> list[dict[str, object]]:
    """The value of another tube that a panel on two platforms needs: CD4 T cells per µL."""
    name = panel.counting.get("blood_count")
    if name is None or tube.blood_count is None:
        return []
    return [
        {
            "patient_id": draw.patient_id,
            "drawn_at": draw.at.isoformat(timespec="minutes"),
            "timepoint": draw.timepoint,
            "name": name,
            "value": f"{tube.blood_count[1]:.6g}",
            "unit": "cells/µL",
        }
    ]
