"""The line of a lot fitted to a bead file: its levels found, the line drawn and judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cytosepsis.bead_levels import Line, Match, fit_line, match_levels
from cytosepsis.bead_peaks import Peak, find_peaks
from cytosepsis.bead_scatter import scatter_columns, single_beads
from cytosepsis.calibration import BeadLevel, BeadLimits, BeadLot, Calibration, Statistic, listed
from cytosepsis.errors import CalibrationError
from cytosepsis.flags import FLAGS, status_of
from cytosepsis.panel import resolve

if TYPE_CHECKING:
    from cytosepsis.fcs import RawEvents

Float = NDArray[np.float64]


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
    where = f" (at intensities {listed([peak.median for peak in found])})" if found else ""
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
