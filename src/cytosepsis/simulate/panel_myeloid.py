"""Simulated tubes of the neutrophil and monocyte panels."""

from __future__ import annotations

import numpy as np

from cytosepsis.simulate.panel_lymphocytes import around, blood, share, with_debris
from cytosepsis.simulate.panel_truth import Cells, PanelTube, TrueMarker
from cytosepsis.simulate.tubes import CellKind, Stain, Tube

GRANULOCYTES, MONOCYTES = Cells(("granulocytes",)), Cells(("monocytes",))


def _with(kinds: tuple[CellKind, ...], name: str, **stains: Stain) -> tuple[CellKind, ...]:
    return tuple(kind.having(**stains) if kind.name == name else kind for kind in kinds)


def neutrophil_cd64(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """CD45 and CD64: absent from resting neutrophils, high on monocytes and in sepsis."""
    kinds = blood(rng, septic=septic, cd45=True)
    level = around(rng, 6_000 if septic else 900, 0.3)
    kinds = _with(kinds, "granulocytes", cd64=Stain(level, 0.35))
    kinds = _with(kinds, "monocytes", cd64=Stain(around(rng, 14_000, 0.1), 0.3))
    return PanelTube(
        Tube(with_debris(kinds), ("cd45", "cd64")),
        (TrueMarker("neutrophil_cd64", "intensity", GRANULOCYTES, channel="cd64"),),
        {"cd45": "CD45", "cd64": "CD64"},
    )


def immature_neutrophils(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """CD45, CD16, CD10: neutrophils that left the marrow early have lost both."""
    kinds = blood(rng, septic=septic, cd45=True)
    immature = share(rng, 0.15, 0.55) if septic else share(rng, 0.01, 0.04)
    mature = next(kind for kind in kinds if kind.name == "granulocytes")
    cd16, cd10 = around(rng, 32_000, 0.1), around(rng, 7_000, 0.12)
    young = CellKind(
        "immature",
        mature.share * immature,
        fsc=118_000,
        ssc=122_000,
        stains={
            "cd45": mature.stains["cd45"],
            "cd16": Stain(around(rng, 3_200, 0.1), 0.4),
            "cd10": Stain(around(rng, 450, 0.1), 0.4),
        },
        autofluorescence=350,
    )
    old = CellKind(
        "mature",
        mature.share * (1 - immature),
        fsc=115_000,
        ssc=130_000,
        stains={
            "cd45": mature.stains["cd45"],
            "cd16": Stain(cd16, 0.3),
            "cd10": Stain(cd10, 0.35),
        },
        autofluorescence=350,
    )
    eosinophils = CellKind(
        "eosinophils",
        mature.share * 0.02,
        fsc=110_000,
        ssc=190_000,
        stains={"cd45": Stain(2.8 * mature.stains["cd45"].level, 0.22)},
        autofluorescence=900,
    )
    others = tuple(k for k in kinds if k.name != "granulocytes")
    others = _with(others, "nk", cd16=Stain(12_000, 0.5))
    neutrophils = Cells(("immature", "mature"))
    return PanelTube(
        Tube(with_debris((old, young, eosinophils, *others)), ("cd45", "cd16", "cd10")),
        (
            TrueMarker("immature_percent", "fraction", Cells(("immature",)), of=neutrophils),
            TrueMarker("neutrophil_cd16", "intensity", neutrophils, channel="cd16"),
            TrueMarker("neutrophil_cd10", "intensity", neutrophils, channel="cd10"),
        ),
        {"cd45": "CD45", "cd16": "CD16", "cd10": "CD10"},
    )


def monocyte_subsets(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """HLA-DR, CD14, CD16 and CX3CR1: classical, intermediate and non-classical monocytes.

    CX3CR1 rises from classical to non-classical and is lost after septic shock.
    """
    kinds = blood(rng, septic=septic, cd45=False)
    monocytes = next(kind for kind in kinds if kind.name == "monocytes")
    cd14 = monocytes.stains["cd14"].level
    intermediate, rare = share(rng, 0.06, 0.14), share(rng, 0.04, 0.10)
    cx3cr1 = around(rng, 1_400 if septic else 2_800, 0.15)
    cd16 = around(rng, 9_000, 0.12)
    hladr = around(rng, 6_000 if septic else 16_000, 0.15)

    def of(name: str, part: float, cd14: float, cd16: float | None, fold: float) -> CellKind:
        stains = {
            "cd14": Stain(cd14, 0.35),
            "cx3cr1": Stain(cx3cr1 * fold, 0.35),
            "hladr": Stain(hladr, 0.4),
        }
        if cd16 is not None:
            stains["cd16"] = Stain(cd16, 0.35)
        return CellKind(
            name,
            monocytes.share * part,
            fsc=98_000,
            ssc=50_000,
            stains=stains,
            autofluorescence=220,
        )

    subsets = (
        of("classical", 1 - intermediate - rare, cd14, None, 1.0),
        of("intermediate", intermediate, 0.9 * cd14, 0.7 * cd16, 2.0),
        of("non_classical", rare, 0.07 * cd14, 1.5 * cd16, 4.0),
    )
    others = tuple(k for k in kinds if k.name != "monocytes")
    others = _with(others, "nk", cd16=Stain(12_000, 0.4), cx3cr1=Stain(3_000, 0.4))
    others = _with(others, "b", hladr=Stain(30_000, 0.4))
    others = _with(others, "granulocytes", cd16=Stain(40_000, 0.3), cd14=Stain(500, 0.4))
    names = ("classical", "intermediate", "non_classical")
    every = Cells(names)
    cd14_positive = Cells(names[:2])
    return PanelTube(
        Tube(with_debris((*subsets, *others)), ("hladr", "cd14", "cd16", "cx3cr1")),
        (
            *(
                TrueMarker(f"{name}_percent", "fraction", Cells((name,)), of=every)
                for name in names
            ),
            TrueMarker("monocyte_cx3cr1", "intensity", cd14_positive, channel="cx3cr1"),
        ),
        {"hladr": "HLA-DR", "cd14": "CD14", "cd16": "CD16", "cx3cr1": "CX3CR1"},
    )


def m_mdsc(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """CD14 and HLA-DR: monocytic myeloid-derived suppressor cells, CD14+ HLA-DR low."""
    kinds = blood(rng, septic=septic, cd45=False)
    low = share(rng, 0.15, 0.45) if septic else share(rng, 0.01, 0.04)
    level = around(rng, 9_000 if septic else 22_000, 0.15)
    kinds = _with(kinds, "monocytes", hladr=Stain(level, 0.35, positive=1 - low, background=420))
    kinds = _with(kinds, "b", hladr=Stain(30_000, 0.4))
    return PanelTube(
        Tube(with_debris(kinds), ("cd14", "hladr")),
        (TrueMarker("m_mdsc_percent", "fraction", MONOCYTES.and_(("hladr", False)), of=MONOCYTES),),
        {"cd14": "CD14", "hladr": "HLA-DR"},
    )
