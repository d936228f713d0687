"""Simulated tubes of the functional panels: signalling, cytokines, apoptosis, uptake, division."""

from __future__ import annotations

import numpy as np

from cytosepsis.simulate.panel_lymphocytes import (
    CD4,
    CD8,
    T_CELLS,
    around,
    blood,
    enriched,
    share,
    with_debris,
)
from cytosepsis.simulate.panel_truth import Cells, PanelTube, TrueMarker
from cytosepsis.simulate.tubes import CellKind, Stain, Tube

GRANULOCYTES, MONOCYTES = Cells(("granulocytes",)), Cells(("monocytes",))
GENERATIONS = 5  # the last one that is simulated
_LABELS = {"cd3": "CD3", "cd4": "CD4", "cd8": "CD8", "cd14": "CD14"}


def _mononuclear(rng: np.random.Generator, *, septic: bool) -> tuple[CellKind, ...]:
    kinds = blood(rng, septic=septic, cd45=False)
    return enriched(kinds, *T_CELLS, "b", "nk", "monocytes", granulocytes=0.15)


def _t_tube(kinds: tuple[CellKind, ...], *roles: str, **stains: Stain) -> Tube:
    """T cells that all have the same further stains."""
    stained = tuple(k.having(**stains) if k.name in T_CELLS else k for k in kinds)
    return Tube(with_debris(stained), roles)


def pstat5(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """Phosphorylated STAT5 in CD4 T cells some minutes after IL-7: all but a few respond."""
    responding = share(rng, 0.55, 0.80) if septic else share(rng, 0.75, 0.92)
    stain = Stain(around(rng, 1_200, 0.12), 0.40, positive=responding, background=160)
    tube = _t_tube(_mononuclear(rng, septic=septic), "cd3", "cd4", "pstat5", pstat5=stain)
    return PanelTube(
        tube,
        (
            TrueMarker("cd4_pstat5_percent", "fraction", CD4.and_(("pstat5", True)), of=CD4),
            TrueMarker("cd4_pstat5", "intensity", CD4, channel="pstat5"),
        ),
        {**_LABELS, "pstat5": "pSTAT5"},
    )


def monocyte_cytokines(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """TNF and IL-10 in monocytes of blood with LPS; TNF is lost after septic shock."""
    tnf = Stain(
        around(rng, 4_500, 0.12),
        0.45,
        share(rng, 0.25, 0.55) if septic else share(rng, 0.75, 0.92),
        background=320,
    )
    il10 = Stain(around(rng, 2_400, 0.12), 0.45, share(rng, 0.06, 0.20), background=300)
    kinds = blood(rng, septic=septic, cd45=False)
    kinds = tuple(k.having(tnf=tnf, il10=il10) if k.name == "monocytes" else k for k in kinds)
    return PanelTube(
        Tube(with_debris(kinds), ("cd14", "tnf", "il10")),
        (
            TrueMarker(
                "monocyte_tnf_percent", "fraction", MONOCYTES.and_(("tnf", True)), of=MONOCYTES
            ),
            TrueMarker("monocyte_tnf", "intensity", MONOCYTES, channel="tnf"),
            TrueMarker(
                "monocyte_il10_percent", "fraction", MONOCYTES.and_(("il10", True)), of=MONOCYTES
            ),
        ),
        {**_LABELS, "tnf": "TNF", "il10": "IL-10"},
    )


def t_cytokines(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """IFN-γ and IL-2 in stimulated CD4 and CD8 T cells; less of both in anergy."""
    less = 0.5 if septic else 1.0
    ifng = Stain(around(rng, 7_000, 0.12), 0.5, less * share(rng, 0.15, 0.30), background=160)
    il2 = Stain(around(rng, 5_000, 0.12), 0.5, less * share(rng, 0.20, 0.40), background=160)
    tube = _t_tube(
        _mononuclear(rng, septic=septic), "cd3", "cd4", "cd8", "ifng", "il2", ifng=ifng, il2=il2
    )
    return PanelTube(
        tube,
        tuple(
            TrueMarker(f"{name}_{role}_percent", "fraction", cells.and_((role, True)), of=cells)
            for name, cells in (("cd4", CD4), ("cd8", CD8))
            for role in ("ifng", "il2")
        ),
        {**_LABELS, "ifng": "IFN-g", "il2": "IL-2"},
    )


def apoptosis_annexin(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """Annexin V and a viability dye on T cells: alive, early apoptotic, late apoptotic or dead."""
    early = share(rng, 0.10, 0.22) if septic else share(rng, 0.03, 0.08)
    late = share(rng, 0.06, 0.14) if septic else share(rng, 0.02, 0.05)
    annexin, dye = Stain(around(rng, 9_000, 0.1), 0.4), Stain(around(rng, 20_000, 0.1), 0.4)
    kinds: list[CellKind] = []
    for kind in _mononuclear(rng, septic=septic):
        if kind.name not in T_CELLS:
            kinds.append(kind)
            continue
        named = (("alive", 1 - early - late), ("early", early), ("late", late))
        for name, part in named:
            stains = dict(kind.stains)
            if name != "alive":
                stains["annexin"] = annexin
            if name == "late":
                stains["viability"] = dye
            kinds.append(CellKind(f"{kind.name}_{name}", kind.share * part, stains=stains))
    every = Cells(tuple(f"{t}_{s}" for t in T_CELLS for s in ("alive", "early", "late")))

    def state(name: str) -> Cells:
        return Cells(tuple(f"{t}_{name}" for t in T_CELLS))

    return PanelTube(
        Tube(with_debris(tuple(kinds)), ("cd3", "annexin", "viability")),
        (
            TrueMarker("t_alive_percent", "fraction", state("alive"), of=every),
            TrueMarker("t_apoptotic_percent", "fraction", state("early"), of=every),
            TrueMarker("t_dead_percent", "fraction", state("late"), of=every),
        ),
        {**_LABELS, "annexin": "Annexin V", "viability": "Viability"},
    )


def apoptosis_caspase(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """Active caspase-3 and Bcl-2 in T cells; those that die have lost Bcl-2."""
    dying = share(rng, 0.08, 0.20) if septic else share(rng, 0.02, 0.05)
    caspase = Stain(around(rng, 1_800, 0.12), 0.4, positive=dying, background=200)
    bcl2 = Stain(around(rng, 2_600 if septic else 4_200, 0.12), 0.35)
    tube = _t_tube(
        _mononuclear(rng, septic=septic), "cd3", "caspase3", "bcl2", caspase3=caspase, bcl2=bcl2
    )
    every = Cells(T_CELLS)
    return PanelTube(
        tube,
        (
            TrueMarker("t_caspase3_percent", "fraction", every.and_(("caspase3", True)), of=every),
            TrueMarker("t_bcl2", "intensity", every, channel="bcl2"),
        ),
        {**_LABELS, "caspase3": "Active caspase-3", "bcl2": "Bcl-2"},
    )


def _neutrophil_function(
    rng: np.random.Generator, role: str, stain: Stain, label: str, *, septic: bool
) -> PanelTube:
    kinds = blood(rng, septic=septic, cd45=False)
    kinds = tuple(
        k.having(**{role: stain}) if k.name in ("granulocytes", "monocytes") else k for k in kinds
    )
    return PanelTube(
        Tube(with_debris(kinds), ("cd14", role)),
        (
            TrueMarker(
                f"neutrophil_{role}_percent",
                "fraction",
                GRANULOCYTES.and_((role, True)),
                of=GRANULOCYTES,
            ),
            TrueMarker(f"neutrophil_{role}", "intensity", GRANULOCYTES, channel=role),
        ),
        {**_LABELS, role: label},
    )


def phagocytosis(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """Labelled bacteria in neutrophils: most have taken some up."""
    part = share(rng, 0.55, 0.80) if septic else share(rng, 0.85, 0.96)
    stain = Stain(around(rng, 9_000, 0.15), 0.55, positive=part, background=350)
    return _neutrophil_function(rng, "bacteria", stain, "Bacteria", septic=septic)


def oxidative_burst(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """Rhodamine from dihydrorhodamine in stimulated neutrophils."""
    part = share(rng, 0.60, 0.85) if septic else share(rng, 0.90, 0.98)
    stain = Stain(around(rng, 12_000, 0.15), 0.50, positive=part, background=400)
    return _neutrophil_function(rng, "rhodamine", stain, "Rhodamine 123", septic=septic)


def proliferation_edu(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """EdU taken up by dividing CD4 and CD8 T cells of a stimulated culture."""
    less = 0.5 if septic else 1.0
    edu = Stain(around(rng, 11_000, 0.12), 0.45, less * share(rng, 0.35, 0.60), background=170)
    tube = _t_tube(_mononuclear(rng, septic=septic), "cd3", "cd4", "cd8", "edu", edu=edu)
    return PanelTube(
        tube,
        tuple(
            TrueMarker(f"{name}_edu_percent", "fraction", cells.and_(("edu", True)), of=cells)
            for name, cells in (("cd4", CD4), ("cd8", CD8))
        ),
        {**_LABELS, "edu": "EdU"},
    )


def proliferation_dye(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """A dye that every division halves, in CD4 T cells: generations 0 to 5."""
    undivided = share(rng, 0.45, 0.70) if septic else share(rng, 0.15, 0.35)
    later = np.array([1.0, 1.3, 1.2, 0.8, 0.4]) * np.exp(0.15 * rng.standard_normal(GENERATIONS))
    parts = np.concatenate([[undivided], (1 - undivided) * later / later.sum()])
    bright = around(rng, 60_000, 0.08)
    kinds: list[CellKind] = []
    for kind in _mononuclear(rng, septic=septic):
        if kind.name != "cd4_t":
            kinds.append(kind.having(dye=Stain(bright, 0.16)))
            continue
        for generation, part in enumerate(parts):
            stains = {**kind.stains, "dye": Stain(bright / 2**generation, 0.16)}
            kinds.append(CellKind(f"generation_{generation}", kind.share * part, stains=stains))
    names = tuple(f"generation_{g}" for g in range(GENERATIONS + 1))
    every = Cells(names)
    return PanelTube(
        Tube(with_debris(tuple(kinds)), ("cd3", "cd4", "dye")),
        tuple(
            TrueMarker(f"cd4_{name}_percent", "fraction", Cells((name,)), of=every)
            for name in names
        ),
        {**_LABELS, "dye": "Division dye"},
    )
