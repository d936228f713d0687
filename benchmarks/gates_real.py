"""Mixtures of real labelled events: monocytes thinned, and their CD14 moved down.

Events and labels are those of `gs_DC_auto` (flowWorkspaceData): one cut in CD14 parts monocytes
from all others. Where cells lie on both sides of that cut, their published labels hang on it alone,
and thinning and moving one side leaves the other as it was: `fair` mixtures leave those cells out
that are called no monocytes, but are among monocytes by every other marker.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

import cytosepsis as cs

TOP, DECADES = 4096, 4.5  # of the scale that the file was stored on
MOST_MOVED = 0.7  # decades
RAREST, COMMONEST = 0.003, 0.15  # share of monocytes
OTHER_MARKERS = ("Lineage", "CD11c", "CD123", "CD16", "HLADR", "SSC-A", "FSC-A")
SURE = (1200.0, 2100.0)  # CD14: nobody doubts what lies further down, or further up
NEIGHBOURS = 15
GRID = (np.linspace(-300, 3400, 129), np.linspace(0, 230_000, 129))
SMOOTHING = 1.0  # cells of the grid


@dataclass(frozen=True)
class Mixture:
    """Which events, with CD14 as it was moved."""

    rows: np.ndarray
    cd14: np.ndarray
    ssc: np.ndarray
    n_monocytes: int
    shift: float
    fair: bool


@dataclass(frozen=True)
class RealCells:
    """Live cells on the two axes of the gate; who is a monocyte, and of whom nobody knows."""

    cd14: np.ndarray
    ssc: np.ndarray
    hladr: np.ndarray
    monocyte: np.ndarray
    doubtful: np.ndarray

    @classmethod
    def read(cls, corpus: Path) -> RealCells:
        """Read them from the corpus."""
        stem = corpus / "flowWorkspaceData/gs_DC_auto/DC_MONO_NK_12828001_001"
        raw = cs.read_fcs(f"{stem}_scaled.fcs")
        members = np.load(f"{stem}_membership.npz", allow_pickle=True)
        labels = dict(zip(members["paths"], members["mask"], strict=True))
        live = labels["root/boundary/Monocytes/Live"]
        monocyte = labels["root/boundary/Monocytes/Live/CD14+"][live]
        values = raw.linear()[live]
        of = {name: values[:, raw.pnn.index(name)] for name in raw.pnn}
        others = np.column_stack([of[name] for name in OTHER_MARKERS])
        doubtful = ~monocyte & _like_monocytes(of["CD14"], others)
        return cls(of["CD14"], of["SSC-A"], of["HLADR"], monocyte, doubtful)

    def mixture(self, seed: int, *, fair: bool) -> Mixture:
        """Draw one: how far CD14 is moved, and how many monocytes are left."""
        rng = np.random.default_rng(seed)
        shift = -rng.uniform(0, MOST_MOVED * TOP / DECADES)
        share = np.exp(rng.uniform(*np.log([RAREST, COMMONEST])))
        rest, monocytes = np.flatnonzero(self._rest(fair)), np.flatnonzero(self.monocyte)
        n = min(int(share / (1 - share) * len(rest)), len(monocytes))
        rows = np.concatenate([rest, rng.choice(monocytes, n, replace=False)])
        moved = self.cd14[rows] + np.where(self.monocyte[rows], shift, 0)
        return Mixture(rows, moved, self.ssc[rows], n, shift, fair)

    def best_recall(self, mixture: Mixture, purity: float) -> float:
        """The highest recall, at a purity, of any gate on the two axes: both densities known."""
        found = self.monocyte
        monocytes = _density(self.cd14[found] + mixture.shift, self.ssc[found])
        monocytes *= mixture.n_monocytes / found.sum()
        rest = self._rest(mixture.fair)
        others = _density(self.cd14[rest], self.ssc[rest])
        order = np.argsort(-monocytes / (monocytes + others + 1e-12))
        kept, wrong = np.cumsum(monocytes[order]), np.cumsum(others[order])
        last = np.flatnonzero(kept >= purity * (kept + wrong))[-1]
        return float(kept[last] / kept[-1])

    def _rest(self, fair: bool) -> np.ndarray:
        return ~self.monocyte & ~(self.doubtful & fair)


def _density(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return gaussian_filter(np.histogram2d(x, y, GRID)[0], SMOOTHING).ravel()


def _like_monocytes(cd14: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cells of doubtful CD14 whose neighbours, by other markers, are mostly sure monocytes."""
    sure = (cd14 < SURE[0]) | (cd14 > SURE[1])
    scaled = others / others[cd14 > SURE[1]].std(axis=0)
    _, near = cKDTree(scaled[sure]).query(scaled[~sure], k=NEIGHBOURS)
    like = np.zeros(len(cd14), dtype=bool)
    like[~sure] = (cd14[sure] > SURE[1])[near].mean(axis=1) > 0.5
    return like
