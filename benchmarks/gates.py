"""How well data-driven gates find monocytes, beside a fixed gate: docs/data-driven-gates.md.

    python benchmarks/gates.py [--samples 400] [--mixtures 60] [--corpus ../shared/fcs]

Simulated tubes are `cytosepsis.simulate.hard_blood`; mixtures are of real labelled events, where
the corpus is at hand. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Outline

import cytosepsis as cs
from cytosepsis.gating.clusters import find_cluster
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.toml_plan import parse_toml_plan
from cytosepsis.simulate.hard_blood import hard_tube
from cytosepsis.simulate.instrument import Acquisition, save
from cytosepsis.simulate.sheets import FIXED_PLAN, GATING_PLAN

CHANNELS = {
    "fsc": "FSC-A",
    "fsc_height": "FSC-H",
    "ssc": "SSC-A",
    "cd14": "PerCP-Cy5-5-A",
    "hladr": "PE-A",
}
HEADER = (
    "| gate | tubes (with 300 monocytes or more) | `ok`, recall ≥ 97 % and purity ≥ 95 % | `ok` | "
    "recall: 5 % quantile / median | purity | HLA-DR within 3 %, of `ok` | `ok` and further off | "
    "`ok` and recall or purity < 90 % |\n|---|---|---|---|---|---|---|---|---|"
)
RECALL, PURITY, BIAS, ENOUGH = 0.97, 0.95, 0.03, 300


@dataclass(frozen=True)
class Outcome:
    """What a gate made of one tube."""

    status: str
    n_true: int
    recall: float
    purity: float
    bias: float  # of the median HLA-DR, as a fraction

    @property
    def is_good(self) -> bool:
        """Whether it found what it should."""
        return self.recall >= RECALL and self.purity >= PURITY


def simulated(seed: int, folder: Path) -> dict[str, Outcome]:
    """One tube under both plans."""
    tube = hard_tube(seed)
    path = folder / "tube.fcs"
    save(path, tube.events, Acquisition(datetime(2024, 1, 8), "SIM"))
    raw = cs.read_fcs(path)
    found = {}
    for name, text in (("data-driven", GATING_PLAN), ("fixed", FIXED_PLAN)):
        plan = parse_toml_plan(tomllib.loads(text))
        measures = [Measure("root", "hladr")]
        gated = cs.gate(raw, plan, channels=CHANNELS, measures=measures)
        inside = gated.mask(plan.paths[-1])
        status = next((f.status for f in gated.findings if f.path == plan.paths[-1]), "ok")
        found[name] = judged(status, inside, tube.is_monocyte, gated.values[measures[0]])
    return found


def judged(status, inside, true, hladr) -> Outcome:
    """Compare a gate with the truth."""
    both = (inside & true).sum()
    return Outcome(
        status,
        int(true.sum()),
        float(both / max(true.sum(), 1)),
        float(both / max(inside.sum(), 1)),
        float(np.median(hladr[inside]) / np.median(hladr[true]) - 1) if inside.any() else np.nan,
    )


def line(name: str, outcomes: list[Outcome]) -> str:
    """One row of the table."""
    enough = [o for o in outcomes if o.n_true >= ENOUGH]
    ok = [o for o in outcomes if o.status == "ok"]
    good = sum(o.is_good and o.status == "ok" for o in enough) / len(enough)
    near = sum(abs(o.bias) <= BIAS for o in enough if o.status == "ok")
    n_ok = sum(o.status == "ok" for o in enough)
    wrong = sum(not abs(o.bias) <= BIAS for o in ok)
    poor = sum(o.recall < 0.9 or o.purity < 0.9 for o in ok)
    recall = np.quantile([o.recall for o in enough if o.status == "ok"], (0.05, 0.5))
    purity = np.quantile([o.purity for o in enough if o.status == "ok"], (0.05, 0.5))
    return (
        f"| {name} | {len(outcomes)} ({len(enough)}) | {good:.1%} | {n_ok / len(enough):.1%} | "
        f"{recall[0]:.3f} / {recall[1]:.3f} | {purity[0]:.3f} / {purity[1]:.3f} | "
        f"{near / max(n_ok, 1):.1%} | {wrong} / {len(ok)} | {poor} / {len(ok)} |"
    )


def mixtures(corpus: Path, n: int) -> list[Outcome]:
    """Real labelled events: monocytes thinned, their CD14 moved down by up to 0.7 decades."""
    stem = corpus / "flowWorkspaceData/gs_DC_auto/DC_MONO_NK_12828001_001"
    raw = cs.read_fcs(f"{stem}_scaled.fcs")
    members = np.load(f"{stem}_membership.npz", allow_pickle=True)
    labels = dict(zip(members["paths"], members["mask"], strict=True))
    live = labels["root/boundary/Monocytes/Live"]
    mono = labels["root/boundary/Monocytes/Live/CD14+"][live]
    values = raw.linear()[live]
    column = {name: values[:, raw.pnn.index(name)] for name in ("CD14", "SSC-A", "HLADR")}
    found = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        # 4096 units are 4.5 decades of the scale that the file was stored on
        shift, share = (
            -rng.uniform(0, 0.7 * 4096 / 4.5),
            np.exp(rng.uniform(*np.log([0.003, 0.15]))),
        )
        n_mono = min(int(share / (1 - share) * (~mono).sum()), mono.sum())
        chosen = rng.choice(np.flatnonzero(mono), n_mono, replace=False)
        rows = np.concatenate([np.flatnonzero(~mono), chosen])
        x, y = column["CD14"][rows] + np.where(mono[rows], shift, 0), column["SSC-A"][rows]
        cluster = find_cluster(
            x, y, centre=(2450, 75_000), drift=(600, 45_000), mass=0.995, components=8,
            min_events=50, purity=0.93, by_mixture=True,
        )  # fmt: skip
        inside = np.zeros(len(rows), dtype=bool)
        if cluster.region is not None:
            outline = Outline(np.array(cluster.region.vertices))
            inside = outline.contains_points(np.column_stack([x, y]))
        hladr = 10 ** (column["HLADR"][rows] * 4.5 / 4096)  # back to a linear scale
        found.append(judged(cluster.status, inside, mono[rows], hladr))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--first", type=int, default=10_000, help="first seed")
    parser.add_argument("--mixtures", type=int, default=60)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/fcs"))
    asked = parser.parse_args()
    outcomes: dict[str, list[Outcome]] = {"data-driven": [], "fixed": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.first, asked.first + asked.samples):
            for name, outcome in simulated(seed, Path(folder)).items():
                outcomes[name].append(outcome)
    print(HEADER)
    for name, found in outcomes.items():
        print(line(name, found))
    print("\nStatuses:", dict(Counter(o.status for o in outcomes["data-driven"])))
    if asked.corpus.exists():
        real = mixtures(asked.corpus, asked.mixtures)
        print("\nMixtures of real events:\n\n" + line("data-driven", real))
        print("\nStatuses:", dict(Counter(o.status for o in real)))


if __name__ == "__main__":
    main()
