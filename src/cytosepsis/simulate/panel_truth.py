"""What the analysis of a simulated tube should find: markers by their true cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cytosepsis.simulate.tubes import Tube, TubeEvents

Having = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """True cells: of some kinds, that carry or lack some markers."""

    kinds: tuple[str, ...]
    having: Having = ()

    def and_(self, *having: tuple[str, bool]) -> Cells:
        """Return those of them that carry, or lack, further markers."""
        return Cells(self.kinds, (*self.having, *having))


@dataclass(frozen=True, slots=True)
class TrueMarker:
    """A marker of a panel, by the true cells that it is of."""

    name: str
    kind: Literal["fraction", "intensity", "count"]
    cells: Cells
    of: Cells | None = None  # fraction: the denominator
    channel: str | None = None  # intensity


@dataclass(frozen=True, slots=True)
class PanelTube:
    """A tube of a panel with its markers' truths."""

    tube: Tube
    markers: tuple[TrueMarker, ...]
    labels: Mapping[str, str]  # role -> $PnS
    # kind -> cells per µL of blood; counting beads per µL of blood under their own name
    per_ul: Mapping[str, float] | None = None
    washed: bool = True
    # What another tube says of the blood: cells of this tube, and how many there are per µL.
    blood_count: tuple[Cells, float] | None = None


def true_value(marker: TrueMarker, events: TubeEvents, panel: PanelTube) -> float | None:
    """The truth of a marker in one tube: % or the median light of its own single cells.

    A count is the blood's, not the tube's: cells per µL. None of an empty denominator.
    """
    cells = events.where(marker.cells.kinds, marker.cells.having)
    match marker.kind:
        case "fraction":
            assert marker.of is not None
            whole = int(events.where(marker.of.kinds, marker.of.having).sum())
            return 100.0 * int(cells.sum()) / whole if whole else None
        case "intensity":
            assert marker.channel is not None
            values = events.of(marker.channel)[cells]
            return float(np.median(values)) if len(values) else None
        case "count":
            return _per_ul(marker.cells, panel)


def _per_ul(cells: Cells, panel: PanelTube) -> float:
    assert panel.per_ul is not None
    total = 0.0
    for name in cells.kinds:
        share = 1.0
        kind = panel.tube.kind(name)
        for role, is_so in cells.having:
            positive = kind.stains[role].positive if role in kind.stains else 0.0
            share *= positive if is_so else 1.0 - positive
        total += share * panel.per_ul[name]
    return total
