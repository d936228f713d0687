"""Ready panels on real files, against the populations that others published for them.

    python benchmarks/panels_real.py [--write]

The plans are the shipped ones; what is taken out or replaced, because the file does not have it, is
said in the table. Needs the folder of real files ($CYTOSEPSIS_CORPUS, default ../shared/fcs).
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytosepsis import Populations, gate, read_fcs
from cytosepsis.gating.plan import GatingPlan
from cytosepsis.gating.toml_plan import parse_toml_plan
from cytosepsis.panels import read_panel

ROOT = Path(__file__).parents[1]
CORPUS = Path(os.environ.get("CYTOSEPSIS_CORPUS", ROOT.parent / "shared" / "fcs"))
DOC = ROOT / "docs" / "panels.md"
BEGIN, END = "<!-- real files: begin -->", "<!-- real files: end -->"
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Compared:
    """One population of a ready panel beside a published one, event by event."""

    file: str
    panel: str
    population: str
    published_name: str
    found: int
    published: int
    both: int

    @property
    def jaccard(self) -> float:
        """Events in both, of those in either."""
        return self.both / (self.found + self.published - self.both)


def plan_of(
    panel: str,
    *,
    without: Collection[str] = (),
    parents: Mapping[str, str] | None = None,
    first: Sequence[dict[str, Any]] = (),
    scale: dict[str, Any] | None = None,
) -> GatingPlan:
    """A shipped plan without some gates; their children go to other parents."""
    document = tomllib.loads(read_panel(panel).plan)
    gates = [gate for gate in document["gates"] if gate["name"] not in without]
    for one in gates:
        one["parent"] = (parents or {}).get(one.get("parent", "root"), one.get("parent", "root"))
    document["gates"] = [*first, *gates]
    if scale is not None:
        document["transforms"]["logicle"] = scale
    return parse_toml_plan(document)


def spleen() -> Iterator[Compared]:
    """FlowSOM's file: a mouse's spleen, gated by hand in FlowJo, one label per event."""
    folder = CORPUS / "FlowSOM"
    lines = (folder / "gatingResult.csv").read_text(encoding="utf-8").splitlines()
    labels = np.array([line.strip().strip('"') for line in lines])
    plan = plan_of(
        "lymphocyte_subsets",
        without=(
            *("bright", "counting_beads", "several_beads", "bead_pairs", "single_beads"),
            *("cells", "lymphocytes"),
        ),
        parents={"cells": "singlets", "lymphocytes": "leucocytes"},
    )
    channels = {
        **{"fsc": "FSC-A", "fsc_height": "FSC-H", "ssc": "SSC-A", "cd45": "CD45", "cd3": "CD3"},
        **{"cd4": "CD4", "cd8": "CD8", "cd19": "CD19", "cd56": "NK1/1"},
    }
    found = gate(read_fcs(folder / "68983.fcs"), plan, channels=channels)
    published = {
        "t_cells": ("CD4 T cells", "CD8 T cells", "gd T cells", "NK T cells"),
        "cd4_t": ("CD4 T cells",),
        "cd8_t": ("CD8 T cells",),
        "b_cells": ("B cells",),
        "nk_cells": ("NK cells",),
    }
    for name, of in published.items():
        yield _compared(
            "FlowSOM/68983", "lymphocyte_subsets", name, found, ", ".join(of), np.isin(labels, of)
        )


def monocytes() -> Iterator[Compared]:
    """The CD14 / HLA-DR / CD16 file of openCyto's published hierarchy, on its display scale."""
    folder = CORPUS / "flowWorkspaceData" / "gs_DC_auto"
    stored = np.load(folder / "DC_MONO_NK_12828001_001_membership.npz")
    masks = dict(zip(stored["paths"], np.asarray(stored["mask"], dtype=bool), strict=True))
    live = "root/boundary/Monocytes/Live"
    # Up to the living cells the published gates stand: the file has no FSC-H, and no debris below.
    first = [
        {
            "name": "singlets",
            "type": "rectangle",
            "x": "FSC-A",
            "y": "Live",
            "ranges": {"x": {"min": 72443.546875, "max": 250000}, "y": {"max": 2107.2734375}},
        }
    ]
    scale = {"type": "linear", "T": 4096.0, "A": 0.0}
    channels = {"cd14": "CD14", "cd16": "CD16", "hladr": "HLADR", "cx3cr1": "CD11c"}
    raw = read_fcs(folder / "DC_MONO_NK_12828001_001_scaled.fcs")
    published = {
        ("m_mdsc", "monocytes"): "CD14+",
        ("monocyte_subsets", "cd14_high"): "CD14+",
        ("monocyte_subsets", "intermediate"): "CD14+Lineage-/CD14+CD16+",
    }
    for (panel, name), of in published.items():
        plan = plan_of(panel, without=("singlets",), first=first, scale=scale)
        found = gate(raw, plan, channels=channels, spillover="none")
        yield _compared("gs_DC_auto", panel, name, found, of, masks[f"{live}/{of}"])


def _compared(
    file: str, panel: str, name: str, found: Populations, published_name: str, published: Mask
) -> Compared:
    path = next(p for p in found.n_events if p.rpartition("/")[2] == name)
    mask = found.mask(path)
    both = int((mask & published).sum())
    return Compared(file, panel, name, published_name, int(mask.sum()), int(published.sum()), both)


def report() -> str:
    """All comparisons as Markdown."""
    rows = [
        f"| {c.file} | `{c.panel}` | `{c.population}` | {c.published_name} | {c.found:,} "
        f"| {c.published:,} | {c.both:,} | {c.jaccard:.3f} |"
        for c in (*spleen(), *monocytes())
    ]
    head = (
        "| file | panel | population | published | found | published | both | Jaccard index |\n"
        "|---|---|---|---|--:|--:|--:|--:|"
    )
    return "\n".join([head, *rows])


def main() -> None:
    """Compare, print, and write into docs/panels.md where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    text = report()
    print(text)
    if given.write:
        page = DOC.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        tail = rest.partition(END)[2]
        DOC.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
