"""Tubes that are hard to gate: dim CD14, shifted scatter, rare monocytes, B cells, doublets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.simulate.blood import MONOCYTES
from cytosepsis.simulate.instrument import Response, acquire
from cytosepsis.simulate.particles import Kind, draw_particles

HEALTHY_CD14 = 20_000.0
RESPONSE = Response(1.15, 1.0)  # of the HLA-DR detector: a bead run of the same day shares it


@dataclass(frozen=True, slots=True)
class HardTube:
    """One acquired tube and what it truly holds."""

    events: NDArray[np.float32]  # (n, 6), columns as `instrument.DETECTORS`
    is_monocyte: NDArray[np.bool_]  # single ones, CD14-low ones included
    monocyte_share: float  # of particles
    cd14: float  # of most monocytes, units
    ssc: float  # of the monocytes, of what is usual
    doublets: float  # of events
    abc: float  # median PE molecules of the monocytes that it truly holds; NaN of none


def hard_tube(seed: int, n_events: int | None = None) -> HardTube:
    """Draw a tube: everything that makes gating hard varies at once, each evenly on its own scale.

    CD14 from normal down to a fifth; monocytes from 0.3 to 15 % of particles, 4 to 25 % of them
    with less than half of the others' CD14; their side scatter from 0.85 to 1.45 of the usual, and
    everybody's by 15 % (one standard deviation); B cells to a quarter of the lymphocytes; 1 to 8 %
    doublets; HLA-DR from 1,500 to 30,000 molecules; 10,000 to 120,000 events.
    """
    rng = np.random.default_rng([7, seed])

    def on_log(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    cd14, share = on_log(HEALTHY_CD14 / 5, HEALTHY_CD14), on_log(0.003, 0.15)
    everybody, own = float(np.exp(0.15 * rng.standard_normal())), float(rng.uniform(0.85, 1.45))
    abc, low, cv = on_log(1_500, 30_000), float(rng.uniform(0.04, 0.25)), rng.uniform(0.30, 0.40)
    b_cells, activated = rng.uniform(0.02, 0.25), rng.uniform(0.02, 0.20)
    doublets, lymphocytes = float(rng.uniform(0.01, 0.08)), rng.uniform(0.05, 0.35)
    debris = rng.uniform(0.03, 0.20)
    rest = 1.0 - share - debris
    lymphocytes *= rest
    n = n_events or int(on_log(10_000, 120_000))
    ssc = 52_000 * everybody * own
    dim = float(rng.uniform(350, 650))  # of granulocytes, by their own light
    kinds = (
        Kind("lymphocytes", 55e3, 18e3 * everybody, 40, 40, cd14_cv=0.6, pe_cv=0.8),
        Kind("activated_t_cells", 60e3, 19e3 * everybody, 40, 2_500, cd14_cv=0.6, pe_cv=0.8),
        Kind("b_cells", 56e3, 18e3 * everybody, 60, 30e3, cd14_cv=0.6, pe_cv=0.5),
        Kind("monocytes", 100e3, ssc, cd14, abc, ssc_cv=0.18, pe_cv=float(cv)),
        Kind("cd14_low_monocytes", 102e3, 1.1 * ssc, 0.45 * cd14, abc, pe_cv=float(cv)),
        Kind("granulocytes", 115e3, 130e3 * everybody, dim, 90, cd14_cv=0.35, pe_cv=0.5),
        Kind("debris", 12e3, 6e3 * everybody, 30, 20, fsc_cv=0.4, ssc_cv=0.6, cd14_cv=1, pe_cv=1),
    )  # fmt: skip
    fractions = (
        lymphocytes * (1 - b_cells - activated),
        lymphocytes * activated,
        lymphocytes * b_cells,
        share * (1 - low),
        share * low,
        rest - lymphocytes,
        debris,
    )
    particles = draw_particles(kinds, [float(f) for f in fractions], n, doublets=doublets, rng=rng)
    is_monocyte = particles.of(kinds, *MONOCYTES)
    return HardTube(
        events=acquire(particles, RESPONSE, rng=rng),
        is_monocyte=is_monocyte,
        monocyte_share=share,
        cd14=cd14,
        ssc=own,
        doublets=doublets,
        abc=float(np.median(particles.pe[is_monocyte])) if is_monocyte.any() else math.nan,
    )
