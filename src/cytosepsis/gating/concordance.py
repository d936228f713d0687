"""Counts compared with those that FlowJo stored: which differ beyond what its binning explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cytosepsis.gating.plan import ROOT

# FlowJo tests polygons and ellipses on a grid of pixels, so events beside an edge may fall on the
# other side. On real workspaces counts agree within this share of the stored count.
BINNING_FRACTION = 0.003
BINNING_EVENTS = 2


@dataclass(frozen=True, slots=True)
class Concordance:
    """A population's events, counted here and stored in the workspace (None: not stored).

    The root is all events of the file: there binning explains nothing.
    """

    path: str
    n_events: int
    stored: int | None

    @property
    def allowed(self) -> float | None:
        """Events by which the counts may differ: 0.3 % of the stored one, at least 2; root: 0."""
        if self.stored is None:
            return None
        return 0 if self.path == ROOT else max(BINNING_EVENTS, BINNING_FRACTION * self.stored)

    @property
    def agrees(self) -> bool | None:
        """Whether the counts differ by no more than `allowed`; None where none is stored."""
        if self.stored is None or self.allowed is None:
            return None
        return abs(self.n_events - self.stored) <= self.allowed


def compare_counts(
    counts: Mapping[str, int], stored: Mapping[str, int | None]
) -> tuple[Concordance, ...]:
    """Compare every population that was counted, by path, in its order.

    A difference is handed down: where a parent differs, its children may only follow it.
    """
    return tuple(Concordance(path, n, stored.get(path)) for path, n in counts.items())
