"""From a measured population and a bead line to AB/C: which beads, which doubts, which interval.

A pure function of results already computed, so a new bead run or limit never reads events again.
"""

from cytosepsis.quantify.antibodies import AbcResult, band_of, preanalytic_flags, quantify
from cytosepsis.quantify.beads import (
    BeadChoice,
    BeadRack,
    choose_beads,
    rack_beads,
    review_of,
)
from cytosepsis.quantify.counts import BloodCount, CountResult, count_populations, washing_of

__all__ = [
    "AbcResult",
    "BeadChoice",
    "BeadRack",
    "BloodCount",
    "CountResult",
    "band_of",
    "choose_beads",
    "count_populations",
    "preanalytic_flags",
    "quantify",
    "rack_beads",
    "review_of",
    "washing_of",
]
