"""Which tube is simulated for which ready panel, and how a tube can be spoilt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from cytosepsis.errors import CytosepsisError
from cytosepsis.simulate.panel_functional import (
    apoptosis_annexin,
    apoptosis_caspase,
    monocyte_cytokines,
    oxidative_burst,
    phagocytosis,
    proliferation_dye,
    proliferation_edu,
    pstat5,
    t_cytokines,
)
from cytosepsis.simulate.panel_lymphocytes import (
    checkpoints,
    lymphocyte_subsets,
    pd1_pdl1,
    t_cd127,
    treg,
)
from cytosepsis.simulate.panel_myeloid import (
    immature_neutrophils,
    m_mdsc,
    monocyte_subsets,
    neutrophil_cd64,
)
from cytosepsis.simulate.panel_truth import PanelTube
from cytosepsis.simulate.tubes import CellKind, Tube


class Maker(Protocol):
    """Makes one person's tube of a panel."""

    def __call__(self, rng: np.random.Generator, *, septic: bool) -> PanelTube:
        """Draw the person's levels and shares."""
        ...


PANEL_TUBES: Mapping[str, Maker] = {
    "apoptosis_annexin": apoptosis_annexin,
    "apoptosis_caspase": apoptosis_caspase,
    "checkpoints": checkpoints,
    "immature_neutrophils": immature_neutrophils,
    "lymphocyte_subsets": lymphocyte_subsets,
    "m_mdsc": m_mdsc,
    "monocyte_cytokines": monocyte_cytokines,
    "monocyte_subsets": monocyte_subsets,
    "neutrophil_cd64": neutrophil_cd64,
    "oxidative_burst": oxidative_burst,
    "pd1_pdl1": pd1_pdl1,
    "phagocytosis": phagocytosis,
    "proliferation_dye": proliferation_dye,
    "proliferation_edu": proliferation_edu,
    "pstat5": pstat5,
    "t_cd127": t_cd127,
    "t_cytokines": t_cytokines,
    "treg": treg,
}

# Counting needs events: a lymphopenic patient's NK cells are one event in 150.
EVENTS: Mapping[str, int] = {"lymphocyte_subsets": 200_000}
USUAL_EVENTS = 60_000

# Each spoils one tube; what it must lead to is a status, a flag or no value, never a wrong number
# that looks well.
SPOILT: Mapping[str, str] = {
    "few_events": "an acquisition stopped after 150 events",
    "antibody_missing": "the antibody of the last marker was left out",
    "lineage_missing": "the antibody that finds the cells was left out",
    "no_beads": "counting beads were not added",
    "washed": "the tube with counting beads was washed",
}


def make_tube(panel: str, rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """Make one person's tube; CytosepsisError (`simulation`) on a panel that is not simulated."""
    if panel not in PANEL_TUBES:
        raise CytosepsisError(
            f"there is no simulated panel {panel!r}. Panels: {', '.join(PANEL_TUBES)}.",
            code="simulation",
        )
    return PANEL_TUBES[panel](rng, septic=septic)


def spoilt(tube: PanelTube, fault: str | None) -> PanelTube:
    """Return the tube as a fault leaves it; the truth of its markers is that of the good one."""
    match fault:
        case "antibody_missing":
            stained = {role for kind in tube.tube.kinds for role in kind.stains}
            return _without(tube, [role for role in tube.tube.roles if role in stained][-1])
        case "lineage_missing":
            return _without(tube, tube.tube.roles[0])
        case "no_beads":
            kinds = tuple(k for k in tube.tube.kinds if "bead" not in k.name)
            return replace(tube, tube=replace(tube.tube, kinds=kinds))
        case "washed":
            kinds = tuple(
                replace(k, share=0.3 * k.share) if "bead" in k.name else k for k in tube.tube.kinds
            )
            return replace(tube, tube=replace(tube.tube, kinds=kinds), washed=True)
        case _:
            return tube


def _without(tube: PanelTube, role: str) -> PanelTube:
    def bare(kind: CellKind) -> CellKind:
        stains = {name: stain for name, stain in kind.stains.items() if name != role}
        return replace(kind, stains=stains)

    kinds = tuple(bare(kind) for kind in tube.tube.kinds)
    return replace(tube, tube=Tube(kinds, tube.tube.roles, tube.tube.doublets))
