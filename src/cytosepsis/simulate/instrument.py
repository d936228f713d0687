"""The cytometer: from true particles to the numbers in an FCS file.

Light becomes photoelectrons (Poisson), spills into the neighbour's detector, gets electronic noise
(Gaussian, so that dim events may be negative), and is clipped at the top of an 18-bit range.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytosepsis.fcs_write import spillover_keyword, write_fcs
from cytosepsis.simulate.particles import Particles

DETECTORS = ("FSC-A", "FSC-H", "SSC-A", "PerCP-Cy5-5-A", "PE-A", "Time")
MARKERS = ("", "", "", "CD14", "HLA-DR", "")
VOLTAGES = (420.0, 420.0, 480.0, 560.0, 510.0)  # $PnV, time has none
TOP_RANGE = 262_144  # $PnR, 18 bits
TOP = TOP_RANGE - 1.0  # the largest value
FLUORESCENT = ("PerCP-Cy5-5-A", "PE-A")
# Rows: PerCP-Cy5.5, PE; columns: their detectors. PE shines far into PerCP, hardly the reverse.
SPILLOVER = ((1.0, 0.012), (0.14, 1.0))

PIVOT = 10_000.0  # PE molecules at which `Response.gain` is defined
UNITS_PER_PHOTOELECTRON = 3.0
ELECTRONIC_SD = 20.0  # units, fluorescence detectors
SCATTER_SD = 250.0  # units
TIME_STEP = 0.01  # s
EVENTS_PER_SECOND = 1_500.0
# Of a photomultiplier: gain grows as about the 7th power of the voltage.
VOLTAGE_POWER = 7.0

_MONTHS = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)


@dataclass(frozen=True, slots=True)
class Response:
    """PE intensity = gain · PIVOT · (molecules / PIVOT) ^ slope, on one day of one cytometer."""

    gain: float
    slope: float

    @property
    def intercept(self) -> float:
        """Of log10(intensity) = slope · log10(molecules) + intercept."""
        return float(np.log10(self.gain) + (1 - self.slope) * np.log10(PIVOT))

    def intensity(self, molecules: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return linear units of the PE detector, free of noise: (n,) from (n,)."""
        return self.gain * PIVOT * (molecules / PIVOT) ** self.slope

    def at_voltage(self, voltage: float) -> Response:
        """Return the same detector at another voltage."""
        factor = (voltage / VOLTAGES[DETECTORS.index("PE-A")]) ** VOLTAGE_POWER
        return Response(self.gain * factor, self.slope)


def response_of_day(rng: np.random.Generator) -> Response:
    """Drift from day to day: gain by some per cent, slope within 1.00 ± 0.02."""
    gain = 1.15 * np.exp(0.03 * rng.standard_normal())
    slope = np.clip(1 + 0.008 * rng.standard_normal(), 0.98, 1.02)
    return Response(float(gain), float(slope))


@dataclass(frozen=True, slots=True)
class Clog:
    """A disturbance in the middle of an acquisition: a gap, and the light that is left after it."""

    seconds: float = 4.0
    light: float = 0.5  # factor on every detector


def acquire(
    particles: Particles,
    response: Response,
    *,
    rng: np.random.Generator,
    clog: Clog | None = None,
) -> NDArray[np.float32]:
    """Measure particles: (n_events, 6), columns as `DETECTORS`."""
    n = len(particles)
    after = np.arange(n) >= n // 2
    light = np.where(after, clog.light, 1.0) if clog else np.ones(n)
    scatter = np.column_stack([particles.fsc, particles.fsc_height, particles.ssc])
    scatter = scatter * light[:, None] + SCATTER_SD * rng.standard_normal((n, 3))
    dyes = np.column_stack([particles.cd14, response.intensity(particles.pe)])
    at_detectors = (dyes * light[:, None]) @ np.array(SPILLOVER)
    photoelectrons = rng.poisson(at_detectors / UNITS_PER_PHOTOELECTRON)
    noise = ELECTRONIC_SD * rng.standard_normal((n, 2))
    fluorescence = UNITS_PER_PHOTOELECTRON * photoelectrons + noise
    gaps = rng.standard_exponential(n) / EVENTS_PER_SECOND
    if clog:
        gaps[n // 2] += clog.seconds
    ticks = np.floor(np.cumsum(gaps) / TIME_STEP)
    clipped = np.minimum(np.column_stack([np.maximum(scatter, 0.0), fluorescence]), TOP)
    return np.column_stack([clipped, ticks]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What the instrument writes beside the events."""

    began_at: datetime
    cytometer: str  # serial number
    voltage: float = VOLTAGES[DETECTORS.index("PE-A")]  # of the PE detector


def save(
    path: Path,
    events: NDArray[np.float32],
    acquisition: Acquisition,
    *,
    without: str | None = None,
) -> None:
    """Write events as the instrument would; `without` leaves one detector out of the file."""
    kept = [i for i, name in enumerate(DETECTORS) if name != without]
    names = [DETECTORS[i] for i in kept]
    seconds = float(events[-1, -1]) * TIME_STEP if len(events) else 0.0
    keywords = acquisition_keywords(
        acquisition.began_at, timedelta(seconds=seconds), acquisition.cytometer
    )
    if without not in FLUORESCENT:
        keywords["$SPILLOVER"] = spillover_keyword(FLUORESCENT, SPILLOVER)
    for number, name in enumerate(names, start=1):
        if name != "Time":
            volts = acquisition.voltage if name == "PE-A" else VOLTAGES[DETECTORS.index(name)]
            keywords |= {f"$P{number}V": f"{volts:g}", f"$P{number}G": "1.0"}
    tops = [TOP_RANGE] * (len(kept) - 1) + [max(TOP_RANGE, int(seconds / TIME_STEP) + 2)]
    write_fcs(
        path,
        events[:, kept],
        pnn=names,
        pns=[MARKERS[i] for i in kept],
        keywords=keywords,
        ranges=tops,
    )


def acquisition_keywords(began_at: datetime, duration: timedelta, cytometer: str) -> dict[str, str]:
    """Return what any acquisition says of itself: cytometer, date, clock and time step."""
    return {
        "$CYT": "Simulated analyser",
        "$CYTSN": cytometer,
        "$DATE": _date(began_at),
        "$BTIM": _clock(began_at),
        "$ETIM": _clock(began_at + duration),
        "$TIMESTEP": str(TIME_STEP),
    }


def _date(moment: datetime) -> str:
    # Not strftime, whose month names follow the machine's language.
    return f"{moment.day:02d}-{_MONTHS[moment.month - 1]}-{moment.year}"


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}.{moment.microsecond // 10_000:02d}"
