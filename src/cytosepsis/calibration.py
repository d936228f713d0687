"""Bead levels, the fitted line and antibodies bound per cell (AB/C) with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import NDArray

from cytosepsis.bead_levels import MIN_LEVELS, Line, Match, fit_line, match_levels
from cytosepsis.bead_peaks import Peak, find_peaks
from cytosepsis.bead_scatter import scatter_columns, single_beads
from cytosepsis.errors import CalibrationError
from cytosepsis.flags import FLAGS, Status, status_of
from cytosepsis.panel import resolve

if TYPE_CHECKING:
    from cytosepsis.fcs import RawEvents

Float = NDArray[np.float64]
Statistic = Literal["median", "geometric_mean"]


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
            wrong = f"has values that are not positive: {_list(values)}; leave the blank out"
        elif len(set(values)) < len(values):
            wrong = f"lists a value twice: {_list(values)}"
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
            from scipy.special import ndtri  # noqa: PLC0415  (slow to import)

            sd = math.sqrt(math.log1p(assay_cv**2)) / math.log(10.0)
            assay = float(ndtri(0.5 + confidence / 2)) * sd
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
        from scipy.special import stdtrit  # noqa: PLC0415  (slow to import)

        x = np.log10([level.pe_molecules for level in self.levels])
        n, mean, s_xx = x.size, float(x.mean()), float(np.square(x - x.mean()).sum())
        t_sd = float(stdtrit(n - 2, 0.5 + confidence / 2)) * self.residual_sd
        at = (y - self.intercept) / self.slope - mean
        # (slope · (at - d))² = t² sd² (1/n + d²/Sxx), solved for the distance d from the mean
        lead = self.slope**2 - t_sd**2 / s_xx
        if lead <= 0:
            return math.nan, math.nan
        root = t_sd * math.sqrt(lead / n + (self.slope * at) ** 2 / s_xx)
        centre = self.slope**2 * at
        return at - (centre - root) / lead, (centre + root) / lead - at


# -------------------------------------------------------------------------------------- fitting


def fit_calibration(
    raw: RawEvents,
    lot: BeadLot,
    channel: str,
    *,
    statistic: Statistic = "median",
    limits: BeadLimits | None = None,
) -> Calibration:
    """Find the levels of a bead file and fit the line of its lot.

    Parameters
    ----------
    raw : the bead file; scatter, where it has some, tells single beads from debris and doublets
    lot : levels in any order; a blank in the file is recognised and left out
    channel : $PnN (or $PnS) of the PE detector
    statistic : of the levels, and of the cells that the line will be used for
    limits : None: the defaults of `BeadLimits`

    Raises
    ------
    CalibrationError
        No line can be fitted: `too_few_beads`, `levels_missing`, `level_not_positive`.
    ChannelError
        The file has no such channel.

    """
    column = resolve({channel: (channel,)}, raw.pnn, raw.pns)[channel]
    parameter = raw.parameters[column]
    events = raw.linear()
    scatter = scatter_columns(raw.pnn)
    calibration = calibrate_levels(
        events[:, column],
        events[:, list(scatter)] if scatter else None,
        lot,
        statistic=statistic,
        limits=limits,
        top=raw.parameters[column].top_of_scale,
    )
    acquired = raw.acquired_at
    expired = lot.expires is not None and acquired is not None and acquired.date() > lot.expires
    flags = _ordered([*calibration.flags, *(["lot_expired"] if expired else [])])
    return replace(
        calibration,
        channel=parameter.pnn,
        flags=flags,
        status="failed" if calibration.status == "failed" else status_of(flags),
        cytometer=raw.cytometer,
        acquired_at=acquired,
        voltage=parameter.voltage,
        gain=parameter.gain,
    )


def calibrate_levels(
    pe: Float,
    scatter: Float | None,
    lot: BeadLot,
    *,
    statistic: Statistic = "median",
    limits: BeadLimits | None = None,
    top: float | None = None,
) -> Calibration:
    """Fit the line of a lot to linear intensities of a bead acquisition, and judge it.

    Single beads are found by scatter first. Where that leaves levels without a peak and all events
    together do not, all events are used, with the flag `scatter_not_used`.

    Parameters
    ----------
    pe : (n_events,) linear intensities; what is not finite is left out
    scatter : (n_events, 2 or 3) FSC, SSC and FSC height, linear; None: unknown
    top : greatest linear value that the detector can give; None: the greatest of `pe`

    Raises
    ------
    CalibrationError
        `too_few_beads`, `levels_missing`, `level_not_positive`.

    """
    limits = limits or BeadLimits()
    finite = np.isfinite(pe)
    needed = len(lot.pe_molecules) * limits.level_events_fail
    if int(finite.sum()) < needed:
        raise CalibrationError(
            f"{int(finite.sum())} events; {len(lot.pe_molecules)} levels need at least {needed}. "
            "Acquire more beads (10 000 are usual)",
            code="too_few_beads",
        )
    single = finite if scatter is None else finite & single_beads(scatter)
    match, peaks = _find_levels(pe[single], lot, top)
    whole = match
    if not _complete(match, lot) and not single.all():
        whole, _ = _find_levels(pe[finite], lot, top)
    flags = []
    if whole is not match and _complete(whole, lot):
        match = whole
        flags.append("scatter_not_used")
    if match is None:
        raise _levels_missing(peaks, lot)
    return _judge(match, lot, statistic, limits, flags)


def _find_levels(
    pe: Float, lot: BeadLot, top: float | None
) -> tuple[Match | None, tuple[Peak, ...]]:
    peaks = find_peaks(pe, top=top)
    return match_levels(peaks, lot.pe_molecules), peaks


def _complete(match: Match | None, lot: BeadLot) -> bool:
    """Whether every level has a peak on a line with no rival."""
    return (
        match is not None
        and len(match.peaks) == len(lot.pe_molecules)
        and not match.ambiguous
        and match.off <= 0.1
    )


def _levels_missing(peaks: Sequence[Peak], lot: BeadLot) -> CalibrationError:
    found = [peak for peak in peaks if peak.median > 0 and not peak.is_saturated]
    where = f" (at intensities {_list([peak.median for peak in found])})" if found else ""
    top = "".join(
        f"; one saturates at {peak.median:.6g}, lower the detector's voltage"
        for peak in peaks
        if peak.is_saturated
    )
    return CalibrationError(
        f"{len(found)} of {len(lot.pe_molecules)} peaks found{where}{top}. "
        f"Check the bead file or lot {lot.name}",
        code="levels_missing",
    )


def _judge(
    match: Match, lot: BeadLot, statistic: Statistic, limits: BeadLimits, flags: list[str]
) -> Calibration:
    """The line through the matched levels, with every flag that its limits raise."""
    intensity = [getattr(peak, statistic) for peak in match.peaks]
    if not all(value > 0 for value in intensity):
        raise CalibrationError(
            f"the dimmest level (median {match.peaks[0].median:.4g}) has events that are not "
            f"positive, so it has no {statistic}. Use the median",
            code="level_not_positive",
        )
    line = fit_line(match.pe_molecules, intensity)
    levels = tuple(
        BeadLevel(
            pe_molecules=pe,
            intensity=value,
            n_events=peak.n_events,
            cv=peak.cv,
            recovery=10 ** ((math.log10(value) - line.intercept) / line.slope) / pe,
        )
        for pe, value, peak in zip(match.pe_molecules, intensity, match.peaks, strict=True)
    )
    flags = flags + _doubts_of_match(match, lot, limits) + _doubts_of_line(line, levels, limits)
    ordered = _ordered(flags)
    return Calibration(
        lot=lot.name,
        channel="",
        statistic=statistic,
        slope=line.slope,
        intercept=line.intercept,
        r_squared=line.r_squared,
        residual_sd=line.residual_sd,
        levels=levels,
        status="failed" if _cannot_stand(line, levels, limits) else status_of(ordered),
        flags=ordered,
    )


def _doubts_of_match(match: Match, lot: BeadLot, limits: BeadLimits) -> list[str]:
    """Flags about which peaks were taken, and how they lie."""
    peaks = match.peaks
    apart = [
        (bright.median - dim.median) / max(bright.robust_sd + dim.robust_sd, 1e-300)
        for dim, bright in pairwise(peaks)
    ]
    raised = {
        "levels_missing": len(peaks) < len(lot.pe_molecules),
        "levels_ambiguous": match.ambiguous,
        "peaks_unexplained": bool(match.unexplained),
        "levels_not_separated": min(apart) < limits.separation,
        "level_saturated": any(
            peak.n_saturated > limits.saturated_fraction * peak.n_events
            for peak in (*peaks, *match.saturated)
        ),
    }
    return [code for code, is_raised in raised.items() if is_raised]


def _doubts_of_line(line: Line, levels: Sequence[BeadLevel], limits: BeadLimits) -> list[str]:
    """Flags about the line and the statistics of its levels."""
    raised = {
        "level_few_events": any(level.n_events < limits.level_events for level in levels),
        "level_wide": any(level.cv > limits.level_cv for level in levels),
        "level_recovery": not all(_within(level.recovery, limits.recovery) for level in levels),
        "slope": not _within(line.slope, limits.slope),
        "r_squared": line.r_squared < limits.r_squared,
    }
    return [code for code, is_raised in raised.items() if is_raised]


def _cannot_stand(line: Line, levels: Sequence[BeadLevel], limits: BeadLimits) -> bool:
    return (
        not _within(line.slope, limits.slope_fail)
        or any(level.n_events < limits.level_events_fail for level in levels)
        or any(level.cv > limits.level_cv_fail for level in levels)
        or not all(_within(level.recovery, limits.recovery_fail) for level in levels)
    )


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _ordered(codes: Sequence[str]) -> tuple[str, ...]:
    """Each code once, in the order of the documented table."""
    return tuple(code for code in FLAGS if code in codes)


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
