"""Particles before they meet a laser: kinds of cells and beads, single, doubled and clumped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEIGHT_OF_AREA = 0.85  # FSC-H / FSC-A of a single particle
HEIGHT_CV = 0.025
CLUMP_FRACTION = 0.002  # aggregates of many cells: beyond the range of scatter


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of particle: median and between-particle CV (log-normal) of what it shows.

    Scatter in instrument units, `cd14` in units of its detector, `pe` in PE molecules.
    """

    name: str
    fsc: float
    ssc: float
    cd14: float
    pe: float
    fsc_cv: float = 0.12
    ssc_cv: float = 0.20
    cd14_cv: float = 0.40
    pe_cv: float = 0.35


@dataclass(frozen=True, slots=True)
class Particles:
    """Events as they truly are, in order of arrival; all arrays are (n,)."""

    kind: NDArray[np.intp]  # of a doublet: its first particle
    single: NDArray[np.bool_]
    clump: NDArray[np.bool_]
    fsc: NDArray[np.float64]
    fsc_height: NDArray[np.float64]
    ssc: NDArray[np.float64]
    cd14: NDArray[np.float64]
    pe: NDArray[np.float64]  # PE molecules; of a doublet the sum

    def __len__(self) -> int:
        return len(self.kind)

    def of(self, kinds: Sequence[Kind], *names: str) -> NDArray[np.bool_]:
        """Tell the true single particles of the named kinds: bool (n,)."""
        wanted = [i for i, kind in enumerate(kinds) if kind.name in names]
        return self.single & np.isin(self.kind, wanted)


def draw_particles(
    kinds: Sequence[Kind],
    fractions: Sequence[float],
    n: int,
    *,
    doublets: float,
    rng: np.random.Generator,
) -> Particles:
    """Draw n events of a mixture; `fractions` (of particles) are normalised.

    In a doublet (and a clump) areas and light add, and the height is that of the larger particle.
    """
    weights = np.asarray(fractions, dtype=np.float64)
    weights = weights / weights.sum()
    first = rng.choice(len(kinds), size=n, p=weights)
    second = rng.choice(len(kinds), size=n, p=weights)
    fate = rng.random(n)
    clump = fate < CLUMP_FRACTION
    double = (fate < CLUMP_FRACTION + doublets) & ~clump
    one, two = _draw(kinds, first, rng), _draw(kinds, second, rng)
    joined = np.where((double | clump)[:, None], two, 0.0)
    area = (one + joined) * np.where(clump, 12.0, 1.0)[:, None]
    height = HEIGHT_OF_AREA * np.maximum(one[:, 0], joined[:, 0])
    height *= np.exp(HEIGHT_CV * rng.standard_normal(n)) * np.where(clump, 12.0, 1.0)
    return Particles(
        kind=first,
        single=~(double | clump),
        clump=clump,
        fsc=area[:, 0],
        fsc_height=height,
        ssc=area[:, 1],
        cd14=area[:, 2],
        pe=area[:, 3],
    )


def _draw(
    kinds: Sequence[Kind], which: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(n, 4) true values of single particles: fsc, ssc, cd14, pe."""
    median = np.array([(k.fsc, k.ssc, k.cd14, k.pe) for k in kinds])
    cv = np.array([(k.fsc_cv, k.ssc_cv, k.cd14_cv, k.pe_cv) for k in kinds])
    sigma = np.sqrt(np.log1p(cv**2))  # of the logarithm
    spread: NDArray[np.float64] = sigma[which] * rng.standard_normal((len(which), 4))
    values: NDArray[np.float64] = median[which] * np.exp(spread)
    return values
