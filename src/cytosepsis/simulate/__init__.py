"""Studies with known truth: septic patients and healthy controls, from cells to FCS files.

One stream of random numbers per patient, draw and bead run: adding some changes no other.
"""

from __future__ import annotations

from cytosepsis.simulate.cohort import CohortSettings, simulate_cohort
from cytosepsis.simulate.panel_catalog import PANEL_TUBES, SPOILT
from cytosepsis.simulate.panel_study import PanelSettings, simulate_panel
from cytosepsis.simulate.settings import DEMO, FAULTS, SimulationSettings
from cytosepsis.simulate.study import SimulatedStudy, simulate_study

__all__ = [
    "DEMO",
    "FAULTS",
    "PANEL_TUBES",
    "SPOILT",
    "CohortSettings",
    "PanelSettings",
    "SimulatedStudy",
    "SimulationSettings",
    "simulate_cohort",
    "simulate_panel",
    "simulate_study",
]
