"""How well data-driven gates find monocytes, beside a fixed gate: docs/data-driven-gates.md.

    python benchmarks/gates.py [--samples 140] [--mixtures 40] [--corpus ../shared/fcs]

Simulated tubes are `cytosepsis.simulate.hard_blood`, each with a bead run of its day; AB/C is read
from the line of that run, and compared with the molecules on the tube's own true monocytes.
Mixtures are of real labelled events (`gates_real`), where the corpus is at hand. Prints Markdown.
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
from cytosepsis.simulate import SimulationSettings
from cytosepsis.simulate.beads import LOT, PE_MOLECULES, draw_beads
from cytosepsis.simulate.hard_blood import RESPONSE, hard_tube
from cytosepsis.simulate.instrument import Acquisition, acquire, save
from cytosepsis.simulate.sheets import FIXED_PLAN, GATING_PLAN
from gates_real import DECADES, TOP, Mixture, RealCells

CHANNELS = {
    "fsc": "FSC-A",
    "fsc_height": "FSC-H",
    "ssc": "SSC-A",
    "cd14": "PerCP-Cy5-5-A",
    "hladr": "PE-A",
}
HEADER = (
    "| gate | tubes (with 300 monocytes or more) | `ok`, recall ≥ 97 % and purity ≥ 95 % | `ok` | "
    "recall: 5 % quantile / median | purity | AB/C within 3 %, of `ok` | `ok` and further off | "
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
    bias: float  # of AB/C (in mixtures of the median HLA-DR), as a fraction

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
    beads = bead_line(seed, folder / "beads.fcs")
    found = {}
    for name, text in (("data-driven", GATING_PLAN), ("fixed", FIXED_PLAN)):
        plan = parse_toml_plan(tomllib.loads(text))
        measures = [Measure("root", "hladr")]
        gated = cs.gate(raw, plan, channels=CHANNELS, measures=measures)
        inside = gated.mask(plan.paths[-1])
        status = next((f.status for f in gated.findings if f.path == plan.paths[-1]), "ok")
        bias = np.nan
        if inside.any():
            hladr = float(np.median(gated.values[measures[0]][inside]))
            bias = float(beads.to_abc(hladr)) / tube.abc - 1
        found[name] = judged(status, inside, tube.is_monocyte, bias)
    return found


def bead_line(seed: int, path: Path) -> cs.Calibration:
    """The line of a bead run that was acquired as the tube was, with its own errors."""
    rng = np.random.default_rng([8, seed])
    particles = draw_beads(10_000, level_sd=SimulationSettings().level_sd, rng=rng)
    save(path, acquire(particles, RESPONSE, rng=rng), Acquisition(datetime(2024, 1, 8), "SIM"))
    return cs.fit_calibration(cs.read_fcs(path), cs.BeadLot(LOT, PE_MOLECULES), "PE-A")


def judged(status, inside, true, bias) -> Outcome:
    """Compare a gate with the truth."""
    both = (inside & true).sum()
    return Outcome(
        status,
        int(true.sum()),
        float(both / max(true.sum(), 1)),
        float(both / max(inside.sum(), 1)),
        bias,
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


def mixed(real: RealCells, mixture: Mixture) -> Outcome:
    """A mixture of real events under the gate."""
    cluster = find_cluster(
        mixture.cd14, mixture.ssc, centre=(2450, 75_000), drift=(600, 45_000), mass=0.995,
        components=8, min_events=50, purity=0.93, by_mixture=True,
    )  # fmt: skip
    inside = np.zeros(len(mixture.cd14), dtype=bool)
    if cluster.region is not None:
        outline = Outline(np.array(cluster.region.vertices))
        inside = outline.contains_points(np.column_stack([mixture.cd14, mixture.ssc]))
    true = real.monocyte[mixture.rows]
    bias = np.nan
    if inside.any():
        hladr = 10 ** (real.hladr[mixture.rows] * DECADES / TOP)  # back to a linear scale
        bias = float(np.median(hladr[inside]) / np.median(hladr[true]) - 1)
    return judged(cluster.status, inside, true, bias)


def report_mixtures(real: RealCells, n: int) -> None:
    """Print the rows of both kinds of mixtures, and what could be reached."""
    print("\nMixtures of real events (HLA-DR in place of AB/C):\n\n" + HEADER)
    notes = []
    for name, fair in (("published labels", False), ("without doubtful cells", True)):
        drawn = [real.mixture(seed, fair=fair) for seed in range(n)]
        found = [mixed(real, mixture) for mixture in drawn]
        print(line(name, found))
        best = [real.best_recall(m, PURITY) for m in drawn if m.n_monocytes >= ENOUGH]
        quantiles = np.quantile(best, (0.05, 0.5))
        notes.append(
            f"{name}: statuses {dict(Counter(o.status for o in found))}; with known densities "
            f"recall at {PURITY:.0%} purity is {quantiles[0]:.3f} / {quantiles[1]:.3f}, and "
            f"{RECALL:.0%} or more in {sum(b >= RECALL for b in best)} of {len(best)}"
        )
    print("\n" + "\n".join(notes))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=140)
    parser.add_argument("--first", type=int, default=20_000, help="first seed")
    parser.add_argument("--mixtures", type=int, default=40)
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
        report_mixtures(RealCells.read(asked.corpus), asked.mixtures)


if __name__ == "__main__":
    main()
