"""AB/C of a sample from its cells and its bead line: value, interval, band, doubts."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from cytosepsis.calibration import Calibration
from cytosepsis.file_results import Quantified, SampleResult
from cytosepsis.flags import Status, status_of
from cytosepsis.protocol import Limits, Sample, Study, hours_between
from cytosepsis.quantify.beads import BeadRack, choose_beads

NOT_FOUND = "gate_not_found"


@dataclass(frozen=True, slots=True)
class AbcResult:
    """Antibodies bound per cell of one sample, with its 95 % interval, or the reason for none."""

    population: str  # full path
    channel: str  # the role of the study
    n_cells: int | None  # None where a gate was not found
    intensity: float | None
    abc: float | None
    abc_low: float | None  # None where the interval is not defined, also beside a value
    abc_high: float | None
    band: str | None  # e.g. "<5000", "5000-8000", ">=15000"; None: not banded
    bead_run: str | None  # also one that was named and could not be used
    status: Status  # failed: the bead run failed; flagged: also where no number can stand
    flags: tuple[str, ...]  # every doubt about this number, those of sample and beads included
    reason_code: str | None = None  # the code of `flags` that rules the number out
    reason: str | None = None  # why there is no number, in a sentence
    # how much AB/C moves, as a fraction of it, where the gate is widened or narrowed, the more of
    # the two; None where that was not looked at
    gate_sensitivity: float | None = None
    # of the cells, below and from the thresholds that the study states in AB/C; None without one
    fraction_low: float | None = None
    fraction_positive: float | None = None


def quantify(
    sample: Sample, result: SampleResult, rack: BeadRack, study: Study
) -> AbcResult | None:
    """AB/C of a sample with its interval, band and doubts; None where its assay quantifies nothing.

    No number stands without a usable bead run, for an empty population, or where the population's
    statistic is not positive: `abc` is then None and `reason` says why. Too few cells leave the
    value and take the band.
    """
    cells = result.quantified
    if cells is None:
        return None
    assay = study.assay(sample.assay)
    assert assay.abc is not None, f"assay {assay.name} quantifies nothing"
    pe_per_antibody = assay.abc.pe_per_antibody
    choice = choose_beads(sample, result, rack, study)
    found = NOT_FOUND not in result.flags
    flags = [*result.flags, *choice.flags]
    if found:
        flags += _cell_flags(cells, assay.limits, assay.abc.min_events)
    flags += preanalytic_flags(sample, assay.limits, study.timezone)
    reasons = _cell_reasons(cells) if found else [_no_gate(result)]
    if choice.reason:
        reasons.append(("beads_failed" if choice.run else "no_beads", choice.reason))
    abc, low, high = None, None, None
    if not reasons and choice.calibration:
        flags += _range_flags(cells, choice.calibration)
        abc, low, high = _interval(
            choice.calibration, cells, assay.abc.pe_per_antibody, study.assay_cv
        )

    def below(threshold: float | None) -> float | None:
        if threshold is None or abc is None or choice.calibration is None:
            return None
        return share_below(cells, choice.calibration, threshold, pe_per_antibody)

    moved = None
    if abc is not None and choice.calibration:
        moved = _sensitivity(choice.calibration, cells, assay.abc.pe_per_antibody, abc)
    banded = abc is not None and cells.n_cells >= assay.abc.min_events
    return AbcResult(
        population=cells.population,
        channel=cells.channel,
        n_cells=cells.n_cells if found else None,
        intensity=cells.intensity,
        abc=abc,
        abc_low=low,
        abc_high=high,
        band=band_of(abc, assay.abc.cutoffs) if banded and abc is not None else None,
        bead_run=choice.run.bead_run if choice.run else choice.named,
        status="failed" if "beads_failed" in flags else status_of(flags),
        flags=tuple(dict.fromkeys(flags)),
        reason_code=reasons[0][0] if reasons else None,
        reason="; ".join(text for _, text in reasons) or None,
        gate_sensitivity=moved,
        fraction_low=below(assay.abc.low),
        fraction_positive=None if (share := below(assay.abc.positive)) is None else 1.0 - share,
    )


def share_below(
    cells: Quantified, calibration: Calibration, threshold: float, pe_per_antibody: float
) -> float | None:
    """Share of the cells that bind fewer antibodies than a threshold; None without cells.

    The threshold is carried back through the bead line to an intensity, and the share read between
    the cells' quantiles; it belongs to the upper side.
    """
    if not cells.quantiles or calibration.slope <= 0:
        return None
    log10 = math.log10(threshold * pe_per_antibody) * calibration.slope + calibration.intercept
    intensity = 10.0**log10
    ordered = cells.quantiles
    at = bisect.bisect_left(ordered, intensity)
    if at in (0, len(ordered)):
        return float(at > 0)
    step = ordered[at] - ordered[at - 1]
    within = (intensity - ordered[at - 1]) / step if step > 0 else 0.0
    return (at - 1 + within) / (len(ordered) - 1)


def band_of(abc: float, cutoffs: Sequence[float]) -> str | None:
    """The band that holds a value, lower ≤ value < upper: `<5000`, `5000-8000`, `>=15000`.

    None without cut-offs. Their order does not matter.
    """
    if not cutoffs:
        return None
    edges = sorted(cutoffs)
    n_below = sum(edge <= abc for edge in edges)
    if n_below == 0:
        return f"<{_number(edges[0])}"
    if n_below == len(edges):
        return f">={_number(edges[-1])}"
    return f"{_number(edges[n_below - 1])}-{_number(edges[n_below])}"


def preanalytic_flags(sample: Sample, limits: Limits, timezone: str | None) -> tuple[str, ...]:
    """Flags of the delay from draw to staining against the limit of the tube type.

    A tube matches the limit whose name it contains, whatever its case and punctuation
    (`K2-EDTA` → edta, `Cyto-Chex BCT` → cytochex). Exactly at the limit is in time.
    """
    if sample.drawn_at is None or sample.stained_at is None or not sample.drawn_at_has_time:
        return ("preanalytics_unknown",)
    delay = hours_between(sample.drawn_at, sample.stained_at, timezone)
    if delay < 0:
        return ("staining_before_draw",)
    tube = _letters(sample.tube or "")
    limit = next(
        (hours for name, hours in limits.staining_delay_hours if _letters(name) in tube), None
    )
    if limit is None:
        return ("preanalytics_unknown",)
    return ("late_staining",) if delay > limit else ()


# --- the cells


def _no_gate(result: SampleResult) -> tuple[str, str]:
    lost = [f"{g.path} ({g.status})" for g in result.gates if g.standing == "nothing"]
    text = f"not found in this sample: {', '.join(lost)}. Look at its plot, or place the gate."
    return NOT_FOUND, text


def _cell_reasons(cells: Quantified) -> list[tuple[str, str]]:
    """Why the population itself allows no number: (flag code, sentence)."""
    name = cells.population
    if cells.n_cells == 0:
        return [("empty_population", f"population {name} is empty. Look at its gates.")]
    if cells.intensity is None or not cells.intensity > 0 or math.isinf(cells.intensity):
        found = "not defined" if cells.intensity is None else f"{cells.intensity:g}"
        text = (
            f"the {cells.statistic} of {cells.detector} in {name} is {found}; a positive one is "
            f"needed. Look at compensation and detector."
        )
        return [("non_positive_intensity", text)]
    return []


def _cell_flags(cells: Quantified, limits: Limits, min_events: int) -> list[str]:
    n = cells.n_cells
    found = {
        "too_few_cells": n < min_events,
        "few_cells": n < limits.recommended_cells,
        "empty_population": n == 0,
        "saturated_events": n > 0 and cells.n_saturated / n > limits.saturated_fraction,
        "non_positive_intensity": bool(_cell_reasons(cells)),
    }
    return [code for code, is_so in found.items() if is_so]


def _range_flags(cells: Quantified, calibration: Calibration) -> list[str]:
    levels = [level.intensity for level in calibration.levels]
    assert cells.intensity is not None
    inside = min(levels) <= cells.intensity <= max(levels)
    return [] if inside else ["outside_bead_range"]


def _interval(
    calibration: Calibration, cells: Quantified, pe_per_antibody: float, assay_cv: float | None
) -> tuple[float | None, float | None, float | None]:
    """(AB/C, low, high); no interval where the cells' statistic has none, or the line no slope."""
    intensity, low, high = cells.intensity, cells.low, cells.high
    assert intensity is not None
    if low is None or high is None:
        return calibration.to_abc(intensity, pe_per_antibody), None, None
    abc, abc_low, abc_high = calibration.interval(
        intensity, low, high, pe_per_antibody=pe_per_antibody, assay_cv=assay_cv
    )
    return abc, _finite(abc_low), _finite(abc_high)


def _sensitivity(
    calibration: Calibration, cells: Quantified, pe_per_antibody: float, abc: float
) -> float | None:
    others = [value for value in (cells.wider, cells.narrower) if value is not None and value > 0]
    moved = [abs(calibration.to_abc(value, pe_per_antibody) / abc - 1.0) for value in others]
    return max(moved, default=None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
