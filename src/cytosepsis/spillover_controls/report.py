"""What judges a matrix from controls: remaining slopes, spread, conditioning, a second method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cytosepsis.compensation import Spillover, unmixing
from cytosepsis.flags import FLAGS, Status, status_of
from cytosepsis.spillover_controls.choice import CERTAIN, SLOPE_LIMIT, Chosen, Method, Way
from cytosepsis.spillover_controls.events import is_bright
from cytosepsis.spillover_controls.lines import noise_growth

Float = NDArray[np.float64]

# Our proposals.
FEW_EVENTS = 200  # usable events of a control
SATURATED_FRACTION = 0.01  # of a control's events
CONDITION_LIMIT = 30.0  # noise may be multiplied by so much


@dataclass(frozen=True, slots=True)
class ControlReport:
    """One control: what of it was used."""

    file: str
    fluorochrome: str
    detector: str  # $PnN
    n_events: int
    n_saturated: int
    n_used: int
    scatter: bool  # whether it was reduced to the scatter of its bright events
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PairReport:
    """One coefficient beside the diagonal; None where not defined."""

    fluorochrome: str
    detector: str
    coefficient: float
    way: Way
    standard_error: float | None  # None: by medians
    by_medians: float | None  # the same by the simple method; None without an unstained control
    remaining: float | None  # bright against dim events after compensation; should be 0
    remaining_error: float | None  # its standard error
    spread: float  # SD that the dye adds after compensation, per √intensity
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpilloverReport:
    """How a matrix came from controls, and whether it can stand."""

    method: Method
    controls: tuple[ControlReport, ...]
    pairs: tuple[PairReport, ...]
    condition_number: float
    n_rounds: int  # of refinement; 0: medians
    largest_slope: float | None  # where the refinement stopped
    status: Status
    flags: tuple[str, ...]

    @property
    def worst_pairs(self) -> tuple[PairReport, ...]:
        """All pairs, those with the largest remaining slope first."""
        return tuple(sorted(self.pairs, key=lambda pair: -abs(pair.remaining or 0.0)))


@dataclass(frozen=True, slots=True)
class FromControls:
    """A matrix and its report."""

    spillover: Spillover
    report: SpilloverReport


def report_of(
    spillover: Spillover,
    chosen: Chosen,
    controls: Sequence[ControlReport],
    values: Sequence[Float],
    *,
    method: Method,
    everywhere: Sequence[str] = (),
) -> SpilloverReport:
    """Judge a matrix on the events that it came from.

    Parameters
    ----------
    values : for detector i the events of its control, (n_events_i, n_detectors)
    everywhere : flags that concern the controls as a set

    Raises
    ------
    CompensationError
        The matrix cannot be inverted.
    """
    weights = unmixing(spillover)
    pairs = [
        pair
        for i, events in enumerate(values)
        for pair in _pairs(spillover, chosen, i, events, weights=weights, method=method)
    ]
    judged = [replace(control, flags=_control_flags(control)) for control in controls]
    condition = spillover.condition_number
    flags = [*everywhere, *(["ill_conditioned"] if condition > CONDITION_LIMIT else [])]
    flags += [code for control in judged for code in control.flags]
    flags += [code for pair in pairs for code in pair.flags]
    ordered = tuple(code for code in FLAGS if code in flags)
    return SpilloverReport(
        method=method,
        controls=tuple(judged),
        pairs=tuple(pairs),
        condition_number=condition,
        n_rounds=chosen.n_rounds,
        largest_slope=_defined(chosen.largest_slope),
        status=status_of(ordered),
        flags=ordered,
    )


def _pairs(
    spillover: Spillover, chosen: Chosen, own: int, values: Float, *, weights: Float, method: Method
) -> list[PairReport]:
    """One dye in every other detector."""
    simple = chosen.simple
    ordered = values[np.argsort(values[:, own], kind="stable")]
    compensated = ordered @ weights
    bright = is_bright(ordered[:, own])
    reports = []
    for other, detector in enumerate(spillover.detectors):
        if other == own:
            continue
        remaining, error = _remaining(compensated[:, own], compensated[:, other], bright)
        pair = PairReport(
            fluorochrome=spillover.fluorochromes[own],
            detector=detector,
            coefficient=spillover.matrix[own][other],
            way=chosen.ways[own][other],
            standard_error=_defined(float(chosen.standard_errors[own, other])),
            by_medians=None if simple is None else _defined(float(simple[own, other])),
            remaining=_defined(remaining),
            remaining_error=_defined(error),
            spread=math.sqrt(noise_growth(compensated[:, own], compensated[:, other])),
        )
        reports.append(replace(pair, flags=_pair_flags(pair, method)))
    return reports


def _remaining(own: Float, other: Float, bright: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope that is left between dim and bright events, by medians, and its standard error.

    NaN where either group has fewer than ten events, or the bright ones are not brighter.
    """
    if min(bright.sum(), (~bright).sum()) < 10:
        return math.nan, math.nan
    apart = float(np.median(own[bright]) - np.median(own[~bright]))
    if apart <= 0:
        return math.nan, math.nan
    slope = float(np.median(other[bright]) - np.median(other[~bright])) / apart
    # A median's variance is about π/2 that of the mean.
    variance = sum(_robust_sd(part) ** 2 / part.size for part in (other[bright], other[~bright]))
    return slope, math.sqrt(math.pi / 2 * variance) / apart


def _robust_sd(values: Float) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _control_flags(control: ControlReport) -> tuple[str, ...]:
    raised = {
        "control_few_events": control.n_used < FEW_EVENTS,
        "control_saturated": control.n_saturated > SATURATED_FRACTION * control.n_events,
        "control_scatter_not_used": not control.scatter,
    }
    return tuple(code for code, is_raised in raised.items() if is_raised)


def _pair_flags(pair: PairReport, method: Method) -> tuple[str, ...]:
    error = pair.standard_error or 0.0
    apart = 0.0 if pair.by_medians is None else abs(pair.by_medians - pair.coefficient)
    left = abs(pair.remaining or 0.0)
    sure = CERTAIN * (pair.remaining_error or 0.0)
    raised = {
        "spill_uncertain": error > SLOPE_LIMIT,
        "spill_negative": pair.coefficient < -max(SLOPE_LIMIT, CERTAIN * error),
        "spill_above_one": pair.coefficient > 1.0,
        "slopes_remain": left > max(SLOPE_LIMIT, sure),
        "not_a_line": method == "regression" and pair.way == "medians",
        "methods_disagree": apart > max(SLOPE_LIMIT, CERTAIN * error),
    }
    return tuple(code for code, is_raised in raised.items() if is_raised)


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None
