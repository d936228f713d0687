"""Bead levels, the fitted line and antibodies bound per cell (AB/C) with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from cytosepsis.flags import Status


@dataclass(frozen=True, slots=True)
class BeadLot:
    """PE molecules per bead of each level of a lot, from the kit's flyer (≥ 3 levels)."""

    name: str
    pe_molecules: tuple[float, ...]
    expires: date | None = None


@dataclass(frozen=True, slots=True)
class BeadLimits:
    """Limits that judge a bead run. No official limits exist; a lab validates its own."""

    recovery: tuple[float, float] = (0.90, 1.10)  # of each level read back; decides before R²
    slope: tuple[float, float] = (0.90, 1.10)
    slope_fail: tuple[float, float] = (0.80, 1.20)
    r_squared: float = 0.99
    level_events: int = 200  # events
    level_events_fail: int = 50  # events
    level_cv: float = 0.20  # robust CV of a level, fraction


@dataclass(frozen=True, slots=True)
class BeadLevel:
    """One level as found in a bead file."""

    pe_molecules: float
    intensity: float  # linear, the calibration's statistic
    n_events: int
    cv: float  # robust, fraction
    recovery: float  # PE read back by the line / pe_molecules


@dataclass(frozen=True, slots=True)
class Calibration:
    """log10(intensity) = slope · log10(PE molecules) + intercept, with what judges it."""

    lot: str
    channel: str  # $PnN
    statistic: Literal["median", "geometric_mean"]
    slope: float
    intercept: float
    r_squared: float
    residual_sd: float  # log10 intensity, n_levels - 2 degrees of freedom
    levels: tuple[BeadLevel, ...]
    status: Status
    flags: tuple[str, ...] = ()
    cytometer: str | None = None
    acquired_at: datetime | None = None
    voltage: float | None = None  # $PnV
    gain: float | None = None  # $PnG
