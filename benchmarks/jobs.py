"""The job as each side does it: file in, counts, median and antibodies per cell out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cytosepsis as cs
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import GatingPlan
from inputs import INTERCEPT, QUANTIFIED, ROLES, SLOPE


@dataclass(frozen=True, slots=True)
class Answer:
    """What a job must give: events per population path, median of the quantified one, AB/C."""

    n_events: dict[str, int]
    median: float
    abc: float


def to_abc(median: float) -> float:
    """Antibodies per cell on the benchmark's bead line, one PE per antibody."""
    return float(10 ** ((math.log10(median) - INTERCEPT) / SLOPE))


def ours(path: Path, plan: GatingPlan) -> Answer:
    """One file through cytosepsis."""
    measure = Measure(QUANTIFIED, "hladr")
    populations = cs.gate(cs.read_fcs(path), plan, channels=ROLES, measures=[measure])
    median = float(np.median(populations.values[measure]))
    return Answer(dict(populations.n_events), median, to_abc(median))


def touch(paths: Sequence[Path]) -> int:
    """Read every byte into memory and add it up: the floor that no reader can go below."""
    total = 0
    for path in paths:
        words = np.fromfile(path, dtype=np.uint64)
        total ^= int(words.sum())
    return total


def same(one: Answer, other: Answer) -> bool:
    """Equal counts, and medians equal to rounding."""
    return one.n_events == other.n_events and math.isclose(
        one.median, other.median, rel_tol=1e-9, abs_tol=0.0
    )
