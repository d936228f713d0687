"""How courses of markers are described and grouped: every setting, with its source."""

from __future__ import annotations

from dataclasses import dataclass

# Below this the repeatability of one measurement, times sqrt(2) * 1.96, hides a change.
REAL_CHANGE_FACTOR = 2.77


@dataclass(frozen=True, slots=True)
class TrajectoryRules:
    """Settings of `[trajectories]`."""

    # A later value / the first: at or above, an improver; at or below the other, a decliner. 1.2:
    # ratio of D3-4 to D1-2 in Cheron 2010; the other is its inverse.
    improver_ratio: float = 1.2
    decliner_ratio: float = 1 / 1.2
    until_day: float | None = None  # later values are not used; None: all
    # Marker → cut-off whose days below are counted. AB/C: GRID's 8,000, where none is given.
    cutoffs: tuple[tuple[str, float], ...] = ()
    abc_cutoff: float = 8000.0


@dataclass(frozen=True, slots=True)
class EndotypeRules:
    """Settings of `[endotypes]`."""

    marker: str | None = None  # None: the primary one
    timepoints: tuple[str, ...] = ()  # none: all windows
    min_values: int = 2  # windows with a value that a patient needs
    max_groups: int = 6  # published numbers are 3 and 4
    min_group: int = 5  # patients; a number of groups with a smaller one is not chosen
    resamples: int = 50  # of the patients, for the stability
    min_stability: float = 0.8  # mean adjusted Rand index; below: said to be unstable
    seed: int = 1
