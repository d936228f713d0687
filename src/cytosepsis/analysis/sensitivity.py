"""Detector sensitivity from bead levels: Q, B and the beads' own CV.

The variance of a level grows with its brightness: V = c0 + c1·M + c2·M², in PE molecules. Light
arrives in quanta, so c1 = 1/Q, Q being photoelectrons per PE molecule; c0 is the background
B = c0·Q, in PE molecules; c2 is the square of the beads' own CV.

Sources: Wood & Hoffman 1998, 10.1002/(SICI)1097-0320(19981001)33:2<256::AID-CYTO22>3.0.CO;2-S;
Parks et al. 2017, 10.1002/cyto.a.23052 (weights (N - 1) / (2·V²), reweighted by the fitted V).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_REWEIGHTS = 50
_SETTLED = 1e-9  # relative change of the coefficients


@dataclass(frozen=True, slots=True)
class LevelSpread:
    """One bead level: PE molecules, SD in PE molecules, events."""

    pe_molecules: float
    sd: float
    n_events: int


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Q and B of a detector, with standard errors; what is None could not be told, see `reason`."""

    q: float | None = None  # photoelectrons per PE molecule
    q_se: float | None = None
    b: float | None = None  # PE molecules
    b_se: float | None = None
    bead_cv: float | None = None  # of the beads themselves, a fraction
    n_levels: int = 0
    reason: str | None = None


def detector_sensitivity(levels: Sequence[LevelSpread]) -> Sensitivity:
    """Fit V = c0 + c1·M + c2·M² by reweighted least squares; three levels are the least.

    Standard errors come from the counting of events alone. B may be slightly negative where it is
    not told from none; a c1 within two standard errors of none gives no Q.
    """
    usable = [lv for lv in levels if lv.n_events > 1 and lv.sd > 0 and lv.pe_molecules > 0]
    n = len(usable)
    if n < 3:
        return Sensitivity(n_levels=n, reason=f"{n} usable levels; three coefficients need three")
    m = np.array([level.pe_molecules for level in usable])
    v = np.array([level.sd for level in usable]) ** 2
    events = np.array([level.n_events for level in usable], dtype=np.float64)
    scale = m.mean()  # the columns would differ by ten powers of ten otherwise
    design = np.column_stack([np.ones(n), m / scale, (m / scale) ** 2])
    fitted, coefficients = v, np.zeros(3)
    for _ in range(_REWEIGHTS):
        weight = np.sqrt((events - 1) / 2) / fitted
        found, *_ = np.linalg.lstsq(design * weight[:, None], v * weight, rcond=None)
        settled = np.allclose(found, coefficients, rtol=_SETTLED, atol=0.0)
        coefficients = found
        fitted = design @ coefficients
        if settled:
            break
        if (fitted <= 0).any():
            return Sensitivity(n_levels=n, reason="the variances do not follow a parabola")
    weight = np.sqrt((events - 1) / 2) / fitted
    covariance = np.linalg.inv((design * weight[:, None]).T @ (design * weight[:, None]))
    c0, c1, c2 = coefficients / np.array([1.0, scale, scale**2])
    var0, var1 = covariance[0, 0], covariance[1, 1] / scale**2
    if c1 <= 2 * math.sqrt(var1):
        return Sensitivity(
            n_levels=n, reason="the part of the variance that photons make is not told from none"
        )
    cov01 = covariance[0, 1] / scale
    # B = c0/c1, by the delta method
    b_variance = var0 / c1**2 + c0**2 * var1 / c1**4 - 2 * c0 * cov01 / c1**3
    return Sensitivity(
        q=float(1 / c1),
        q_se=float(math.sqrt(var1) / c1**2),
        b=float(c0 / c1),
        b_se=float(math.sqrt(max(b_variance, 0.0))),
        bead_cv=float(math.sqrt(c2)) if c2 >= 0 else None,
        n_levels=n,
        reason=None,
    )
