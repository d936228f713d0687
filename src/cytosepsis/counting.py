"""Cells per microlitre: from counting beads in the tube, or from a blood count beside it.

Single platform: cells / beads × beads in the tube / blood in the tube. Dual platform: the blood
count's cells × the fraction of them that cytometry finds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

from cytosepsis.errors import CalibrationError
from cytosepsis.measure import Z_975

PER_UL = "cells/µL"
_ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class CountingLot:
    """How many counting beads a lot brings, from its flyer: per tube, or per µL of suspension.

    `cv` is the relative standard uncertainty of that number, where the lot or the pipette states
    one. CalibrationError (`counting_lot`) where the values cannot be a lot's.
    """

    name: str
    beads_per_tube: float | None = None  # one pellet in every tube (BD Trucount)
    beads_per_ul: float | None = None  # a suspension that is pipetted (Beckman Coulter Flow-Count)
    cv: float | None = None  # fraction
    expires: date | None = None

    def __post_init__(self) -> None:
        values = [v for v in (self.beads_per_tube, self.beads_per_ul) if v is not None]
        if len(values) != 1:
            wrong = "needs one of beads_per_tube and beads_per_ul"
        elif not (math.isfinite(values[0]) and values[0] > 0):
            wrong = f"has {values[0]:g} beads; a positive number is needed"
        elif self.cv is not None and not 0 <= self.cv < 1:
            wrong = f"has cv {self.cv:g}; a fraction from 0 to below 1 is needed"
        else:
            return
        raise CalibrationError(
            f"counting lot {self.name} {wrong}. See the lot's flyer", code="counting_lot"
        )

    @property
    def needs_bead_volume(self) -> bool:
        """Whether the beads are pipetted, so that their volume decides."""
        return self.beads_per_ul is not None

    def beads_in_tube(self, bead_volume_ul: float | None = None) -> float:
        """Beads that went into one tube; the volume of suspension is needed of a lot per µL."""
        if self.beads_per_tube is not None:
            return self.beads_per_tube
        assert self.beads_per_ul is not None
        assert bead_volume_ul is not None, "a lot per µL needs the volume of its suspension"
        return self.beads_per_ul * bead_volume_ul


@dataclass(frozen=True, slots=True)
class CellCount:
    """Cells per µL of blood with a 95 % interval."""

    value: float
    low: float
    high: float


def count_with_beads(
    n_cells: int,
    n_beads: int,
    *,
    beads_in_tube: float,
    blood_volume_ul: float,
    cv: float | None = None,
) -> CellCount:
    """Cells per µL of blood, single platform.

    The interval is that of the ratio of two Poisson counts, exact (given their sum the cells are
    binomial: Clopper and Pearson, 10.1093/biomet/26.4.404), widened by the lot's `cv` on the
    logarithmic scale. No cell gives 0, with an upper limit; without beads there is no number.
    """
    assert n_cells >= 0
    assert n_beads > 0, "no beads, no count"
    assert blood_volume_ul > 0
    per_ratio = beads_in_tube / blood_volume_ul
    low, high = _ratio_interval(n_cells, n_beads)
    return _widened(
        n_cells / n_beads * per_ratio, low * per_ratio, high * per_ratio, 0.0 if cv is None else cv
    )


def count_with_blood_count(
    n_cells: int, n_reference: int, *, reference_per_ul: float, cv: float | None = None
) -> CellCount:
    """Cells per µL of blood, dual platform: a part of the cells that a haematology analyser counts.

    `n_cells` of the `n_reference` events are those of interest; the analyser finds
    `reference_per_ul` of the reference cells, with the relative standard uncertainty `cv`. The
    interval is the binomial one of the fraction, exact, widened by `cv`.
    """
    assert 0 <= n_cells <= n_reference
    assert n_reference > 0, "no reference cells, no fraction"
    assert reference_per_ul >= 0
    low, high = _fraction_interval(n_cells, n_reference)
    return _widened(
        n_cells / n_reference * reference_per_ul,
        low * reference_per_ul,
        high * reference_per_ul,
        0.0 if cv is None else cv,
    )


def _fraction_interval(k: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of k of n."""
    from scipy.special import betaincinv  # noqa: PLC0415  (a tenth of a second)

    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, _ALPHA / 2))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - _ALPHA / 2))
    return low, high


def _ratio_interval(cells: int, beads: int) -> tuple[float, float]:
    """95 % interval of the ratio of two Poisson means; infinite above where no bead was seen."""
    low, high = _fraction_interval(cells, cells + beads)
    return low / (1 - low), (high / (1 - high) if high < 1 else math.inf)


def _widened(value: float, low: float, high: float, cv: float) -> CellCount:
    """Add a relative uncertainty to an interval, in quadrature, on the logarithmic scale."""
    sd = math.sqrt(math.log1p(cv**2))
    if sd == 0.0:
        return CellCount(value, low, high)
    reach = Z_975 * sd
    if value == 0.0:
        return CellCount(value, low, high * math.exp(reach))
    down = math.hypot(math.log(value / low), reach)
    up = math.hypot(math.log(high / value), reach)
    return CellCount(value, value * math.exp(-down), value * math.exp(up))
