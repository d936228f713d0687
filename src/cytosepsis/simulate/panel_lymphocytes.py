"""Simulated tubes of the lymphocyte panels: subsets with counting beads, Treg, checkpoints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cytosepsis.simulate.panel_truth import Cells, PanelTube, TrueMarker
from cytosepsis.simulate.tubes import CellKind, Stain, Tube, counting_beads, debris

BEADS_PER_TUBE = 52_000.0
BLOOD_UL = 50.0
T_CELLS = ("cd4_t", "cd8_t")
CD4, CD8 = Cells(("cd4_t",)), Cells(("cd8_t",))


def around(rng: np.random.Generator, median: float, cv: float = 0.2) -> float:
    """Draw a person's level about a median (log-normal)."""
    return float(median * np.exp(cv * rng.standard_normal()))


def share(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a person's share."""
    return float(rng.uniform(low, high))


def blood(rng: np.random.Generator, *, septic: bool, cd45: bool) -> tuple[CellKind, ...]:
    """Lysed blood with CD3, CD4 and CD8 on what carries them; shares are cells per µL.

    Septic shock: few lymphocytes, many granulocytes. Medians D3-4 after septic shock: 362 CD4 per
    µL (10.1186/s13054-020-02857-y); the rest is plausible and chosen here.
    """
    few = 0.45 if septic else 1.0
    cd3 = Stain(around(rng, 14_000, 0.15), 0.25)
    kinds = (
        CellKind(
            "cd4_t",
            around(rng, 800 * few),
            stains={"cd3": cd3, "cd4": Stain(around(rng, 16_000, 0.15), 0.22)},
        ),
        CellKind(
            "cd8_t",
            around(rng, 420 * few),
            stains={"cd3": cd3, "cd8": Stain(around(rng, 20_000, 0.15), 0.30)},
        ),
        CellKind(
            "b", around(rng, 210 * few), stains={"cd19": Stain(around(rng, 9_000, 0.15), 0.35)}
        ),
        CellKind(
            "nk",
            around(rng, 190 * few),
            stains={"cd56": Stain(around(rng, 7_000, 0.15), 0.45)},
        ),
        CellKind(
            "monocytes",
            around(rng, 600 if septic else 450),
            fsc=100_000,
            ssc=52_000,
            stains={
                "cd4": Stain(1_500, 0.35),
                "cd14": Stain(around(rng, 9_000 if septic else 18_000, 0.15), 0.40),
            },
            autofluorescence=220,
        ),
        CellKind(
            "granulocytes",
            around(rng, 9_000 if septic else 3_800),
            fsc=115_000,
            ssc=130_000,
            stains={"cd56": Stain(3_500, 0.5)},  # CD16 of the mixture CD16+CD56
            autofluorescence=350,
        ),
    )
    if not cd45:
        return kinds
    levels = {"monocytes": 24_000.0, "granulocytes": 9_000.0}
    return tuple(
        kind.having(cd45=Stain(around(rng, levels.get(kind.name, 40_000.0), 0.08), 0.22))
        for kind in kinds
    )


def lymphocyte_subsets(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """CD45, CD3, CD4, CD8, CD19, CD16+56 and counting beads, lysed and not washed."""
    kinds = blood(rng, septic=septic, cd45=True)
    per_ul = {kind.name: kind.share for kind in kinds}
    beads = counting_beads(BEADS_PER_TUBE / BLOOD_UL)
    rest = debris(0.35 * sum(per_ul.values()))
    tube = Tube(
        (*kinds, *beads, rest),
        ("cd45", "cd3", "cd4", "cd8", "cd19", "cd56", "beads"),  # the last has no dye
        doublets=0.01,
    )
    lymphocytes = Cells((*T_CELLS, "b", "nk"))
    named = {
        "lymphocyte_count": lymphocytes,
        "cd3_count": Cells(T_CELLS),
        "cd4_count": CD4,
        "cd8_count": CD8,
        "b_count": Cells(("b",)),
        "nk_count": Cells(("nk",)),
    }
    markers = [TrueMarker(name, "count", cells) for name, cells in named.items()]
    markers.append(TrueMarker("cd4_percent", "fraction", CD4, of=lymphocytes))
    return PanelTube(
        tube,
        tuple(markers),
        {
            "cd45": "CD45",
            "cd3": "CD3",
            "cd4": "CD4",
            "cd8": "CD8",
            "cd19": "CD19",
            "cd56": "CD16+56",
            "beads": "Beads",
        },
        per_ul=per_ul,
        washed=False,
    )


def with_debris(kinds: tuple[CellKind, ...]) -> tuple[CellKind, ...]:
    """Add what lysis leaves: a tenth of the particles."""
    total = sum(kind.share for kind in kinds)
    return (*kinds, debris(0.1 * total))


def enriched(kinds: tuple[CellKind, ...], *names: str, granulocytes: float) -> tuple[CellKind, ...]:
    """The named kinds alone, with some granulocytes left over: mononuclear cells, or a live gate.

    `granulocytes` counts them in shares of the named kinds.
    """
    kept = [kind for kind in kinds if kind.name in names]
    total = sum(kind.share for kind in kept)
    others = [replace(k, share=granulocytes * total) for k in kinds if k.name == "granulocytes"]
    return (*kept, *others)


def treg(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """CD3, CD4, CD25, CD127 on whole blood."""
    kinds = blood(rng, septic=septic, cd45=False)
    is_treg = share(rng, 0.08, 0.14) if septic else share(rng, 0.04, 0.08)
    per_ul = {kind.name: kind.share for kind in kinds}
    cd127 = Stain(around(rng, 3_500, 0.12), 0.40)
    cd4 = next(kind for kind in kinds if kind.name == "cd4_t")
    conventional = CellKind(
        "cd4_conventional",
        cd4.share * (1 - is_treg),
        stains={**cd4.stains, "cd127": cd127, "cd25": Stain(420, 0.6, background=200)},
    )
    regulatory = CellKind(
        "treg",
        cd4.share * is_treg,
        stains={
            **cd4.stains,
            "cd127": Stain(around(rng, 450, 0.1), 0.45),
            "cd25": Stain(around(rng, 5_500, 0.1), 0.38),
        },
    )
    others = [
        kind.having(cd127=cd127) if kind.name == "cd8_t" else kind
        for kind in kinds
        if kind.name != "cd4_t"
    ]
    per_ul |= {kind.name: kind.share for kind in (conventional, regulatory)}
    tube = Tube(with_debris((conventional, regulatory, *others)), ("cd3", "cd4", "cd25", "cd127"))
    of = Cells(("cd4_conventional", "treg"))
    return PanelTube(
        tube,
        (
            TrueMarker("treg_percent", "fraction", Cells(("treg",)), of=of),
            TrueMarker("treg_count", "count", Cells(("treg",))),
        ),
        {"cd3": "CD3", "cd4": "CD4", "cd25": "CD25", "cd127": "CD127"},
        per_ul=per_ul,
        blood_count=(of, per_ul["cd4_t"]),
    )


def _t_markers(
    rng: np.random.Generator,
    *,
    septic: bool,
    stains: dict[str, tuple[Stain, Stain]],
    cd8: bool = True,
) -> Tube:
    """T cells with further stains, given for CD4 and CD8 T cells, in lysed blood."""
    kinds = blood(rng, septic=septic, cd45=False)
    found = []
    for kind in kinds:
        if kind.name in T_CELLS:
            which = T_CELLS.index(kind.name)
            kind = kind.having(**{role: pair[which] for role, pair in stains.items()})  # noqa: PLW2901
        found.append(kind)
    roles = ("cd3", "cd4", *(("cd8",) if cd8 else ()), *stains)
    return Tube(with_debris(tuple(found)), roles)


def t_cd127(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """CD127 (IL-7 receptor) on CD4 and CD8 T cells; unchanged by septic shock."""
    level = around(rng, 3_600, 0.15)
    on_cd4 = Stain(level, 0.4, positive=share(rng, 0.86, 0.95), background=180)
    on_cd8 = Stain(level, 0.4, positive=share(rng, 0.60, 0.85), background=180)
    tube = _t_markers(rng, septic=septic, stains={"cd127": (on_cd4, on_cd8)})
    return PanelTube(
        tube,
        (
            TrueMarker("cd4_cd127", "intensity", CD4, channel="cd127"),
            TrueMarker("cd8_cd127", "intensity", CD8, channel="cd127"),
            TrueMarker("cd4_cd127_percent", "fraction", CD4.and_(("cd127", True)), of=CD4),
            TrueMarker("cd8_cd127_percent", "fraction", CD8.and_(("cd127", True)), of=CD8),
        ),
        {"cd3": "CD3", "cd4": "CD4", "cd8": "CD8", "cd127": "CD127"},
    )


def checkpoints(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """CTLA-4, TIM-3 and LAG-3 on CD4 and CD8 T cells; more of each after septic shock."""
    more = 2.0 if septic else 1.0
    stains = {}
    for role in ("ctla4", "tim3", "lag3"):
        level = around(rng, 1_100, 0.15)
        stains[role] = (
            Stain(level, 0.4, positive=more * share(rng, 0.05, 0.12), background=150),
            Stain(level, 0.4, positive=more * share(rng, 0.06, 0.15), background=150),
        )
    tube = _t_markers(rng, septic=septic, stains=stains)
    markers = tuple(
        TrueMarker(f"{name}_{role}_percent", "fraction", cells.and_((role, True)), of=cells)
        for name, cells in (("cd4", CD4), ("cd8", CD8))
        for role in stains
    )
    labels = {"cd3": "CD3", "cd4": "CD4", "cd8": "CD8"}
    return PanelTube(tube, markers, {**labels, "ctla4": "CTLA-4", "tim3": "TIM-3", "lag3": "LAG-3"})


def pd1_pdl1(rng: np.random.Generator, *, septic: bool) -> PanelTube:
    """PD-1 and PD-L1 on CD4 T cells, PD-L1 on monocytes; all up after septic shock."""
    more = 1.8 if septic else 1.0
    pd1 = Stain(around(rng, 1_300, 0.15), 0.4, more * share(rng, 0.10, 0.20), background=150)
    on_t = Stain(around(rng, 1_100, 0.15), 0.4, more * share(rng, 0.05, 0.12), background=140)
    on_monocytes = Stain(
        around(rng, 2_200, 0.15), 0.4, min(0.95, more * share(rng, 0.2, 0.45)), background=260
    )
    tube = _t_markers(
        rng, septic=septic, stains={"pd1": (pd1, pd1), "pdl1": (on_t, on_t)}, cd8=False
    )
    kinds = tuple(
        kind.having(pdl1=on_monocytes) if kind.name == "monocytes" else kind for kind in tube.kinds
    )
    monocytes = Cells(("monocytes",))
    return PanelTube(
        Tube(kinds, ("cd3", "cd4", "cd14", "pd1", "pdl1")),
        (
            TrueMarker("cd4_pd1_percent", "fraction", CD4.and_(("pd1", True)), of=CD4),
            TrueMarker("cd4_pdl1_percent", "fraction", CD4.and_(("pdl1", True)), of=CD4),
            TrueMarker(
                "monocyte_pdl1_percent", "fraction", monocytes.and_(("pdl1", True)), of=monocytes
            ),
            TrueMarker("monocyte_pdl1", "intensity", monocytes, channel="pdl1"),
        ),
        {"cd3": "CD3", "cd4": "CD4", "cd14": "CD14", "pd1": "PD-1", "pdl1": "PD-L1"},
    )
