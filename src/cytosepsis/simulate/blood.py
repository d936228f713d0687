"""Lysed blood: what swims in it, and how it differs between health and septic shock.

Scatter, CD14 and HLA-DR levels of the populations are plausible values of an analyser with an
18-bit range, chosen here; only the monocytes' HLA-DR is given from outside. A cell's own light in
the PE detector counts as antibodies, as it does in the assay, which subtracts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.simulate.particles import Kind, Particles, draw_particles

MONOCYTES = ("monocytes", "cd14_low_monocytes")
DOUBLETS = 0.03  # of events, at the usual dilution and rate


@dataclass(frozen=True, slots=True)
class Blood:
    """One stained tube of lysed blood."""

    kinds: tuple[Kind, ...]
    fractions: tuple[float, ...]  # of particles

    def draw(self, n: int, rng: np.random.Generator) -> Particles:
        """Draw n events of this tube."""
        return draw_particles(self.kinds, self.fractions, n, doublets=DOUBLETS, rng=rng)

    def monocytes(self, particles: Particles) -> NDArray[np.bool_]:
        """Tell the true single monocytes, CD14-low ones included: bool (n,)."""
        return particles.of(self.kinds, *MONOCYTES)

    def counts(self, particles: Particles) -> dict[str, int]:
        """Count the events truly of each kind: single cells, doublets, clumps; they sum to all."""
        counts = {kind.name: int(particles.of(self.kinds, kind.name).sum()) for kind in self.kinds}
        counts["doublets"] = int((~particles.single & ~particles.clump).sum())
        counts["clumps"] = int(particles.clump.sum())
        return counts


def stained_blood(abc: float, *, septic: bool, rng: np.random.Generator) -> Blood:
    """Blood whose monocytes bind `abc` antibodies (median; between-cell CV 30-40 %).

    Septic monocytes carry less CD14 and scatter more, part of them half way to the granulocytes.
    HLA-DR does not depend on CD14 within a tube, so no CD14 gate by itself shifts its median.
    """
    cd14 = (9_000 if septic else 20_000) * float(np.exp(0.15 * rng.standard_normal()))
    low_share = float(rng.uniform(0.10, 0.20) if septic else rng.uniform(0.04, 0.08))
    abc_cv = float(rng.uniform(0.30, 0.40))
    ssc = 56_000 if septic else 50_000
    autofluorescent = 600 if septic else 400
    monocyte = Kind("monocytes", 100_000, ssc, cd14, abc, ssc_cv=0.18, pe_cv=abc_cv)
    low = Kind("cd14_low_monocytes", 102_000, 1.1 * ssc, 0.45 * cd14, abc, pe_cv=abc_cv)
    kinds = (
        Kind("lymphocytes", 55_000, 18_000, 40, 40, cd14_cv=0.6, pe_cv=0.8),
        Kind("activated_t_cells", 60_000, 19_000, 40, 2_500, cd14_cv=0.6, pe_cv=0.8),
        Kind("b_cells", 56_000, 18_000, 60, 30_000, cd14_cv=0.6, pe_cv=0.5),
        monocyte,
        low,
        Kind("granulocytes", 115_000, 130_000, autofluorescent, 90, cd14_cv=0.35, pe_cv=0.5),
        Kind("debris", 12_000, 6_000, 30, 20, fsc_cv=0.4, ssc_cv=0.6, cd14_cv=1.0, pe_cv=1.0),
    )
    share = _shares(septic=septic, rng=rng)
    lymphocytes, monocytes, granulocytes, debris = share
    fractions = (
        lymphocytes * 0.84,
        lymphocytes * 0.06,
        lymphocytes * 0.10,
        monocytes * (1 - low_share),
        monocytes * low_share,
        granulocytes,
        debris,
    )
    return Blood(kinds, fractions)


def _shares(*, septic: bool, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Fractions of lymphocytes, monocytes, granulocytes and debris, with their spread."""
    typical = (0.09, 0.085, 0.72, 0.105) if septic else (0.26, 0.080, 0.56, 0.100)
    spread = np.exp(np.array([0.25, 0.12, 0.05, 0.2]) * rng.standard_normal(4))
    share = np.array(typical) * spread
    share[1] = np.clip(share[1], 0.068, 0.12)
    others = share[[0, 2, 3]] * (1 - share[1]) / share[[0, 2, 3]].sum()
    return float(others[0]), float(share[1]), float(others[1]), float(others[2])
