"""Bead lots, their fitted line and antibodies bound per cell (AB/C) with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import CalibrationError
from cytosepsis.flags import Status
from cytosepsis.quantiles import normal_quantile, student_quantile

Float = NDArray[np.float64]
Statistic = Literal["median", "geometric_mean"]

MIN_LEVELS = 3  # of a lot: a line through two points always fits


@dataclass(frozen=True, slots=True)
class BeadLot:
    """PE molecules per bead of each level of a lot, from the kit's flyer (≥ 3 levels, any order).

    A blank has no assigned value and is not listed. CalibrationError (`bead_lot`) where the values
    cannot be a lot's.
    """

    name: str
    pe_molecules: tuple[float, ...]
    expires: date | None = None

    def __post_init__(self) -> None:
        values = self.pe_molecules
        if len(values) < MIN_LEVELS:
            wrong = f"has {len(values)} levels; a line needs at least {MIN_LEVELS}"
        elif not all(math.isfinite(value) and value > 0 for value in values):
            wrong = f"has values that are not positive: {listed(values)}; leave the blank out"
        elif len(set(values)) < len(values):
            wrong = f"lists a value twice: {listed(values)}"
        else:
            return
        raise CalibrationError(
            f"bead lot {self.name} {wrong}. See the kit's flyer", code="bead_lot"
        )


@dataclass(frozen=True, slots=True)
class BeadLimits:
    """Limits that judge a bead run. No official limits exist; a lab validates its own.

    Beyond a limit the run is flagged, beyond its `_fail` twin it fails.
    """

    recovery: tuple[float, float] = (0.90, 1.10)  # of each level read back; decides before R²
    recovery_fail: tuple[float, float] = (0.75, 1.33)
    slope: tuple[float, float] = (0.90, 1.10)
    slope_fail: tuple[float, float] = (0.80, 1.20)
    r_squared: float = 0.99
    level_events: int = 200  # events
    level_events_fail: int = 50  # events
    level_cv: float = 0.20  # robust CV of a level, fraction
    level_cv_fail: float = 0.50  # wider than any bead: these are cells
    separation: float = 2.0  # distance of neighbouring levels / sum of their robust SDs
    saturated_fraction: float = 0.01  # of a level's events in the channel's top value


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
    """log10(intensity) = slope · log10(PE molecules) + intercept, with what judges it.

    Status `failed`: there is a line, but it cannot stand (beyond a `_fail` limit); nothing may be
    read with it. Where there is no line at all, `fit_calibration` raises instead.
    """

    lot: str
    channel: str  # $PnN
    statistic: Statistic
    slope: float
    intercept: float
    r_squared: float
    residual_sd: float  # log10 intensity, n_levels - 2 degrees of freedom
    levels: tuple[BeadLevel, ...]  # dimmest first; the line is fitted through all of them
    status: Status
    flags: tuple[str, ...] = ()
    cytometer: str | None = None
    acquired_at: datetime | None = None
    voltage: float | None = None  # $PnV
    gain: float | None = None  # $PnG

    @overload
    def to_abc(self, intensity: float, pe_per_antibody: float = ...) -> float: ...
    @overload
    def to_abc(self, intensity: Float, pe_per_antibody: float = ...) -> Float: ...

    def to_abc(self, intensity: float | Float, pe_per_antibody: float = 1.0) -> float | Float:
        """Antibodies bound per cell of a linear intensity: a population's statistic, not events.

        The shape of the input. NaN where an intensity is not positive. Divided by PE per antibody.
        """
        values = np.asarray(intensity, dtype=np.float64)
        positive = np.where(values > 0, values, np.nan)
        abc = 10 ** ((np.log10(positive) - self.intercept) / self.slope) / pe_per_antibody
        return float(abc) if abc.ndim == 0 else abc

    def interval(
        self,
        intensity: float,
        low: float,
        high: float,
        *,
        pe_per_antibody: float = 1.0,
        assay_cv: float | None = None,
        confidence: float = 0.95,
    ) -> tuple[float, float, float]:
        """AB/C with the interval that carries the line, the cells and the assay.

        Three errors are combined side by side in quadrature on the logarithmic scale, so that the
        sides may differ (MOVER: Zou & Donner 2008, 10.1002/sim.3095):

        - the line's: inverse prediction by Fieller's theorem with Student's t of n_levels - 2
          degrees of freedom (two of four levels: t = 4.30). The variance of the line at the cells'
          intensity, not that of a new bead: the scatter of a new observation is the cells' own,
          and is counted once, by [low, high] and `assay_cv`.
        - the cells': [low, high] carried through the line.
        - the whole assay's repeatability, a log-normal CV of AB/C.

        Parameters
        ----------
        intensity : statistic of the cells, linear; that of `statistic`
        low, high : interval of that statistic from the cells alone, at the same confidence
        assay_cv : fraction; None: not counted

        Returns
        -------
        (abc, abc_low, abc_high). NaN where the intensity is not positive or not defined, where low
        or high are not defined, and for the ends where the levels do not determine a slope; the
        lower end is 0 where `low` is not positive.

        """
        assert 0 < confidence < 1
        abc = self.to_abc(float(intensity), pe_per_antibody)
        if not (math.isfinite(abc) and low <= intensity <= high):
            return abc, math.nan, math.nan
        y = math.log10(intensity)
        below, above = self._line_error(y, confidence)
        cells_below = (y - math.log10(low)) / self.slope if low > 0 else math.inf
        cells_above = (math.log10(high) - y) / self.slope
        assay = 0.0
        if assay_cv:
            sd = math.sqrt(math.log1p(assay_cv**2)) / math.log(10.0)
            assay = normal_quantile(0.5 + confidence / 2) * sd
        return (
            abc,
            abc * 10 ** -math.hypot(below, cells_below, assay),
            abc * 10 ** math.hypot(above, cells_above, assay),
        )

    def _line_error(self, y: float, confidence: float) -> tuple[float, float]:
        """Decades of PE by which the line may err at a log10 intensity, below and above.

        Fieller 1954, 10.1111/j.2517-6161.1954.tb00159.x: all x whose line is not significantly
        elsewhere than y.
        """
        x = np.log10([level.pe_molecules for level in self.levels])
        n, mean, s_xx = x.size, float(x.mean()), float(np.square(x - x.mean()).sum())
        t_sd = student_quantile(n - 2, 0.5 + confidence / 2) * self.residual_sd
        at = (y - self.intercept) / self.slope - mean
        # (slope · (at - d))² = t² sd² (1/n + d²/Sxx), solved for the distance d from the mean
        lead = self.slope**2 - t_sd**2 / s_xx
        if lead <= 0:
            return math.nan, math.nan
        root = t_sd * math.sqrt(lead / n + (self.slope * at) ** 2 / s_xx)
        centre = self.slope**2 * at
        return at - (centre - root) / lead, (centre + root) / lead - at


def listed(values: Sequence[float]) -> str:
    """Intensities or PE molecules as a message names them."""
    return ", ".join(f"{value:.6g}" for value in values)
