"""Four-level PE beads of an invented lot, with debris, doublets and unequal level sizes."""

from __future__ import annotations

import numpy as np

from cytosepsis.simulate.particles import Kind, Particles, draw_particles

LOT = "SIM-01"  # no real lot: real values stand on the kit's flyer
PE_MOLECULES = (512.0, 5_430.0, 24_100.0, 62_300.0)
BEAD_CV = 0.05  # between beads of one level
DOUBLETS = 0.05


def draw_beads(
    n: int, *, level_sd: float, without_level: int | None = None, rng: np.random.Generator
) -> Particles:
    """Draw n events of a bead tube; `kind` is the level's index, debris comes last.

    `level_sd` is the run-to-run error of one level, as a standard deviation of the logarithm;
    `without_level` leaves one level out.
    """
    error = np.exp(level_sd * rng.standard_normal(len(PE_MOLECULES)))
    kinds = [
        Kind(f"level {i + 1}", 42_000, 60_000, 20, pe * float(factor), 0.05, 0.08, 0.5, BEAD_CV)
        for i, (pe, factor) in enumerate(zip(PE_MOLECULES, error, strict=True))
    ]
    kinds.append(Kind("debris", 9_000, 8_000, 20, 25, 0.5, 0.6, 1.0, 1.0))
    # Levels are never filled equally; the dimmest is usually the largest.
    weights = np.array([0.32, 0.26, 0.23, 0.19]) * np.exp(0.12 * rng.standard_normal(4))
    if without_level is not None:
        weights[without_level] = 0.0
    debris = rng.uniform(0.05, 0.10)
    fractions = [*(weights / weights.sum() * (1 - debris)), debris]
    return draw_particles(kinds, fractions, n, doublets=DOUBLETS, rng=rng)
