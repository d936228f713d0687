"""The cytometer of simulated panels: any number of colours, from true events to an FCS file.

The physics are those of `instrument`; each dye spills into its neighbours' detectors.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytosepsis.fcs_write import spillover_keyword, write_fcs
from cytosepsis.simulate.instrument import (
    ELECTRONIC_SD,
    EVENTS_PER_SECOND,
    SCATTER_SD,
    TIME_STEP,
    TOP,
    TOP_RANGE,
    UNITS_PER_PHOTOELECTRON,
    acquisition_keywords,
)
from cytosepsis.simulate.tubes import TubeEvents

SCATTER = ("FSC-A", "FSC-H", "SSC-A")
DYES = ("FITC", "PE", "PerCP-Cy5-5", "PE-Cy7", "APC", "APC-H7", "BV421", "BV510", "BV605", "BV711")
DETECTORS = tuple(f"{dye}-A" for dye in DYES)
NEXT_SPILL, PREVIOUS_SPILL = 0.05, 0.01  # of a dye in the next and in the previous detector
SCATTER_VOLTS, FLUORESCENCE_VOLTS = 420, 520


def spillover_of(n: int) -> NDArray[np.float64]:
    """(n, n), rows are dyes: 1 in their own detector, a little in their neighbours'."""
    return np.eye(n) + NEXT_SPILL * np.eye(n, k=1) + PREVIOUS_SPILL * np.eye(n, k=-1)


def measure_tube(events: TubeEvents, rng: np.random.Generator) -> NDArray[np.float32]:
    """Measure events: (n, 4 + n_roles): scatter, the roles' detectors, time."""
    n, n_roles = events.light.shape
    scatter = events.scatter + SCATTER_SD * rng.standard_normal((n, 3))
    at_detectors = events.light @ spillover_of(n_roles)
    photoelectrons = rng.poisson(at_detectors / UNITS_PER_PHOTOELECTRON)
    light = UNITS_PER_PHOTOELECTRON * photoelectrons
    light = light + ELECTRONIC_SD * rng.standard_normal((n, n_roles))
    ticks = np.floor(np.cumsum(rng.standard_exponential(n) / EVENTS_PER_SECOND) / TIME_STEP)
    clipped = np.minimum(np.column_stack([np.maximum(scatter, 0.0), light]), TOP)
    return np.column_stack([clipped, ticks]).astype(np.float32)


def save_tube(
    path: Path,
    data: NDArray[np.float32],
    markers: tuple[str, ...],
    *,
    began_at: datetime,
    cytometer: str,
) -> None:
    """Write a tube's events; `markers` become $PnS of the fluorescence detectors, in order."""
    detectors = DETECTORS[: len(markers)]
    assert len(detectors) == len(markers), f"at most {len(DETECTORS)} colours"
    seconds = float(data[-1, -1]) * TIME_STEP if len(data) else 0.0
    keywords = acquisition_keywords(began_at, timedelta(seconds=seconds), cytometer)
    keywords["$SPILLOVER"] = spillover_keyword(detectors, spillover_of(len(detectors)).tolist())
    for number in range(1, len(SCATTER) + len(detectors) + 1):
        volts = SCATTER_VOLTS if number <= len(SCATTER) else FLUORESCENCE_VOLTS
        keywords |= {f"$P{number}V": str(volts), f"$P{number}G": "1.0"}
    n_light = len(SCATTER) + len(detectors)
    write_fcs(
        path,
        data,
        pnn=[*SCATTER, *detectors, "Time"],
        pns=[*("" for _ in SCATTER), *markers, ""],
        keywords=keywords,
        ranges=[TOP_RANGE] * n_light + [max(TOP_RANGE, int(seconds / TIME_STEP) + 2)],
    )
