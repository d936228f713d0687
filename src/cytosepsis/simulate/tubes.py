"""Stained tubes of any panel: kinds of cells with what each marker shows on them, and beads.

Light is in units of its detector. A cell carries a marker or does not, by chance: that is the truth
that a gate has to find again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cytosepsis.simulate.particles import CLUMP_FRACTION, HEIGHT_CV, HEIGHT_OF_AREA

BACKGROUND = 90.0  # units: what an unstained lymphocyte shows in any detector
BEADS, BEAD_PAIRS = "counting_beads", "bead_pairs"
BEAD_LIGHT = 190_000.0  # units, in every detector: counting beads outshine every cell


@dataclass(frozen=True, slots=True)
class Stain:
    """What a marker shows on one kind of cell: medians and between-cell CVs (log-normal)."""

    level: float  # of the cells that carry it
    cv: float = 0.35
    positive: float = 1.0  # share of cells that carry it
    background: float = BACKGROUND  # of those that do not
    background_cv: float = 0.40


@dataclass(frozen=True, slots=True)
class CellKind:
    """One kind of particle: its share of particles, its scatter, and its stains by role."""

    name: str
    share: float
    fsc: float = 60_000.0
    ssc: float = 20_000.0
    stains: Mapping[str, Stain] = field(default_factory=dict)
    autofluorescence: float = BACKGROUND  # in the detectors of markers that it lacks
    fsc_cv: float = 0.12
    ssc_cv: float = 0.20
    autofluorescence_cv: float = 0.40

    def having(self, **stains: Stain) -> CellKind:
        """Return the same cell with further or other stains."""
        return replace(self, stains={**self.stains, **stains})


@dataclass(frozen=True, slots=True)
class Tube:
    """One stained tube: what is in it, and the roles that its detectors measure, in order."""

    kinds: tuple[CellKind, ...]
    roles: tuple[str, ...]
    doublets: float = 0.02  # of events: coincidences

    def kind(self, name: str) -> CellKind:
        """Return the kind of a name."""
        return next(kind for kind in self.kinds if kind.name == name)


@dataclass(frozen=True, slots=True)
class TubeEvents:
    """Events as they truly are, in order of arrival; arrays are (n,) or (n, n_roles)."""

    tube: Tube
    kind: NDArray[np.intp]  # of a doublet: its first particle
    single: NDArray[np.bool_]
    scatter: NDArray[np.float64]  # (n, 3): FSC area, FSC height, SSC area
    light: NDArray[np.float64]
    carries: NDArray[np.bool_]  # whether the (first) cell carries each marker

    def __len__(self) -> int:
        return len(self.kind)

    def where(
        self, kinds: Collection[str], having: Sequence[tuple[str, bool]] = ()
    ) -> NDArray[np.bool_]:
        """Tell the single cells of some kinds that carry, or lack, some markers: bool (n,)."""
        wanted = [i for i, kind in enumerate(self.tube.kinds) if kind.name in kinds]
        assert len(wanted) == len(set(kinds)), f"no such kinds: {kinds}"
        found: NDArray[np.bool_] = self.single & np.isin(self.kind, wanted)
        for role, is_so in having:
            found = found & (self.carries[:, self.tube.roles.index(role)] == is_so)
        return found

    def of(self, role: str) -> NDArray[np.float64]:
        """Return the true light of a marker, free of noise: (n,)."""
        return self.light[:, self.tube.roles.index(role)]


def draw_tube(tube: Tube, n: int, rng: np.random.Generator) -> TubeEvents:
    """Draw n events of a tube; shares are normalised.

    In a doublet (and a clump) areas and light add, and the height is that of the larger particle.
    """
    weights = np.array([kind.share for kind in tube.kinds])
    weights = weights / weights.sum()
    first = rng.choice(len(tube.kinds), size=n, p=weights)
    second = rng.choice(len(tube.kinds), size=n, p=weights)
    fate = rng.random(n)
    clump = fate < CLUMP_FRACTION
    joined = fate < CLUMP_FRACTION + tube.doublets
    size = np.where(clump, 12.0, 1.0)
    one, carries = _cells(tube, first, rng)
    two, _ = _cells(tube, second, rng)
    two *= joined[:, None]
    total = (one + two) * size[:, None]
    height = HEIGHT_OF_AREA * np.maximum(one[:, 0], two[:, 0]) * size
    height *= np.exp(HEIGHT_CV * rng.standard_normal(n))
    return TubeEvents(
        tube=tube,
        kind=first,
        single=~joined,
        scatter=np.column_stack([total[:, 0], height, total[:, 1]]),
        light=total[:, 2:],
        carries=carries,
    )


def _cells(
    tube: Tube, which: NDArray[np.intp], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n, 2 + n_roles) scatter and light of single particles; (n, n_roles) what they carry."""
    n, n_roles = len(which), len(tube.roles)
    table = np.array([[_row(kind, role) for role in tube.roles] for kind in tube.kinds])
    of_cell = table[which]  # (n, n_roles, 5)
    carries = rng.random((n, n_roles)) < of_cell[:, :, 2]
    median = np.where(carries, of_cell[:, :, 0], of_cell[:, :, 3])
    cv = np.where(carries, of_cell[:, :, 1], of_cell[:, :, 4])
    size = np.array([(k.fsc, k.ssc) for k in tube.kinds])[which]
    size_cv = np.array([(k.fsc_cv, k.ssc_cv) for k in tube.kinds])[which]
    medians = np.hstack([size, median])
    sigma = np.sqrt(np.log1p(np.hstack([size_cv, cv]) ** 2))
    values: NDArray[np.float64] = medians * np.exp(sigma * rng.standard_normal((n, 2 + n_roles)))
    return values, carries


def _row(kind: CellKind, role: str) -> tuple[float, float, float, float, float]:
    stain = kind.stains.get(role)
    if stain is None:
        dim, cv = kind.autofluorescence, kind.autofluorescence_cv
        return dim, cv, 0.0, dim, cv
    return stain.level, stain.cv, stain.positive, stain.background, stain.background_cv


def counting_beads(share: float, *, stuck: float = 0.03) -> tuple[CellKind, CellKind]:
    """Counting beads in a tube, a part of them stuck in pairs: `share` counts beads, not events.

    They are bright and narrow in every detector, and scatter between debris and lymphocytes.
    """
    one = CellKind(
        BEADS,
        share * (1 - stuck),
        fsc=36_000,
        ssc=90_000,
        autofluorescence=0.5 * BEAD_LIGHT,
        fsc_cv=0.06,
        ssc_cv=0.08,
        autofluorescence_cv=0.05,
    )
    two = replace(
        one,
        name=BEAD_PAIRS,
        share=share * stuck / 2,
        fsc=66_000,
        ssc=170_000,
        autofluorescence=BEAD_LIGHT,
        autofluorescence_cv=0.05 / np.sqrt(2),
    )
    return one, two


def debris(share: float) -> CellKind:
    """Fragments that lysis leaves, small and dark."""
    return CellKind("debris", share, fsc=12_000, ssc=6_000, autofluorescence=40)
