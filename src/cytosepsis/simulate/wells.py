"""Ex vivo wells of a study, as FCS files: blood incubated with drugs of known effect.

Whole blood is incubated overnight, then stained and acquired the next day, after that day's beads.
In septic patients IFN-γ raises the monocytes' HLA-DR, a placebo does not; donors are near their
best, and nothing raises theirs much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from cytosepsis.simulate.patients import Draw
from cytosepsis.simulate.settings import SimulationSettings, generator

STIMULUS = "LPS"
STIMULATED = 1.15  # fold of HLA-DR by the stimulus alone
DRUGS = {"IFN-γ": 1.8, "placebo": 1.0}  # fold of HLA-DR on top of the stimulus, in patients
IN_DONORS = 1.1  # fold of the drug that works, in donors
DOSE = 100.0  # ng/mL
INCUBATION_HOURS = 20.0
BETWEEN_PATIENTS_SD = 0.08  # of ln fold: patients respond differently
WINDOW = "D3-4"  # the draw that wells are made of
COLUMNS = ("stimulus", "drug", "dose", "dose_unit", "incubation_hours", "plate")


@dataclass(frozen=True, slots=True)
class Well:
    """One well: the blood in it, as if drawn when it is stained, and its row's further columns."""

    draw: Draw  # its `abc` is the true level after the incubation
    blood: Draw  # the draw that it was made of
    columns: dict[str, object]


def wells_of(settings: SimulationSettings, draws: Sequence[Draw]) -> list[Well]:
    """Wells of the first `ex_vivo` patients who have the draw, and of every donor."""
    patients = [draw for draw in draws if draw.group == "patient" and draw.timepoint == WINDOW]
    patients = [draw for draw in patients if draw.fault is None][: settings.ex_vivo]
    donors = [draw for draw in draws if draw.group == "healthy"] if patients else []
    return [well for draw in (*patients, *donors) for well in _wells(settings, draw)]


def _wells(settings: SimulationSettings, blood: Draw) -> Iterator[Well]:
    designs: list[tuple[str | None, str | None, float]] = [(None, None, 1.0)]
    designs.append((STIMULUS, None, STIMULATED))
    for name, fold in DRUGS.items():
        effect = fold if blood.group == "patient" or fold == 1.0 else IN_DONORS
        designs.append((STIMULUS, name, STIMULATED * effect))
    for number, (stimulus, drug, fold) in enumerate(designs, start=1):
        sample_id = f"{blood.sample_id}_W{number}"
        rng = generator(settings.seed, "well", sample_id)
        own = float(np.exp(BETWEEN_PATIENTS_SD * rng.standard_normal())) if drug else 1.0
        draw = replace(
            blood,
            sample_id=sample_id,
            drawn_at=blood.drawn_at + timedelta(hours=24),
            abc=blood.abc * fold * own,
        )
        yield Well(
            draw,
            blood,
            {
                "stimulus": stimulus or "none",
                "drug": drug or "none",
                "dose": DOSE if drug else None,
                "dose_unit": "ng/mL" if drug else None,
                "incubation_hours": INCUBATION_HOURS,
                "plate": "1",
            },
        )
