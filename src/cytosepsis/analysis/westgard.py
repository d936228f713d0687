"""Westgard's rules over a series of control values, judged in the order in which they were run.

A series is one quantity of one material on one instrument. Limits are learned once, from the first
runs, or given; a later run never changes what an earlier one was told.

Sources: Westgard, Barry, Hunt & Groth 1981, 10.1093/clinchem/27.3.493 (the rules); R-4s is judged
within a run only, as the authors meant it: between runs a wide range is a systematic error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Rule = Literal["1-2s", "1-3s", "2-2s", "R-4s", "4-1s", "10x"]
WARNINGS: tuple[Rule, ...] = ("1-2s",)
RULES: tuple[Rule, ...] = ("1-2s", "1-3s", "2-2s", "R-4s", "4-1s", "10x")  # order of reporting


@dataclass(frozen=True, slots=True)
class ChartLimits:
    """Centre and standard deviation that a value is judged by, in the unit of the series."""

    mean: float
    sd: float
    n_runs: int | None = None  # runs they were learned from; None: given by the lab
    provisional: bool = False  # from fewer runs than asked for


@dataclass(frozen=True, slots=True)
class Learning:
    """From how many runs limits are learned. CLSI C24 asks for 20; fewer give provisional ones."""

    runs: int = 20
    provisional_runs: int = 10

    def limits(self, before: Sequence[float]) -> ChartLimits | None:
        """Limits from the runs before the one that is judged; None while learning.

        A series that does not vary has no standard deviation to judge by, so no limits.
        """
        for wanted in (self.runs, self.provisional_runs):
            if len(before) >= wanted:
                learned = np.asarray(before[:wanted])
                sd = float(learned.std(ddof=1))
                if not sd > 1e-9 * max(1.0, abs(float(learned.mean()))):
                    return None
                return ChartLimits(float(learned.mean()), sd, wanted, wanted < self.runs)
        return None


def scores(
    values: Sequence[float],
    learning: Learning,
    *,
    usable: Sequence[bool] | None = None,
    given: Sequence[ChartLimits | None] = (),
) -> tuple[tuple[float | None, ChartLimits | None], ...]:
    """Standard score and limits of every value of a series, in order of the runs.

    Parameters
    ----------
    values : of the series; NaN where a run gave none
    learning : used where the lab gives no limits
    usable : whether a run may be learned from; default: all that have a value
    given : the lab's own centre and SD for each run, which go before learned ones; default: none

    Returns
    -------
    One (z, limits) a value; z is None without limits or without a value.

    """
    judged = []
    before: list[float] = []
    n = len(values)
    for value, may_teach, own in zip(
        values, usable or [True] * n, given or [None] * n, strict=True
    ):
        limits = own or learning.limits(before)
        known = math.isfinite(value)
        judged.append(((value - limits.mean) / limits.sd if limits and known else None, limits))
        if known and may_teach:
            before.append(value)
    return tuple(judged)


def broken_rules(z: Sequence[float | None]) -> tuple[tuple[Rule, ...], ...]:
    """Rules that each run of one series breaks, in the order of `RULES`; R-4s needs `wide_runs`.

    A run without a score neither breaks a rule nor interrupts a sequence. A value on a limit is
    within it. 10x asks only for the side of the mean.
    """
    answers: list[tuple[Rule, ...]] = []
    seen: list[float] = []
    for score in z:
        if score is None:
            answers.append(())
            continue
        seen.append(score)
        rules: list[Rule] = []
        if abs(score) > 2:
            rules.append("1-2s")
        if abs(score) > 3:
            rules.append("1-3s")
        sequences: tuple[tuple[Rule, int, float], ...] = (
            ("2-2s", 2, 2.0),
            ("4-1s", 4, 1.0),
            ("10x", 10, 0.0),
        )
        rules.extend(rule for rule, n, limit in sequences if _all_beyond(seen, n, limit))
        answers.append(tuple(rules))
    return tuple(answers)


def wide_runs(scores_of_run: Mapping[str, Sequence[float | None]]) -> frozenset[str]:
    """Runs that break R-4s: two controls of one run lie more than four SD apart.

    Parameters
    ----------
    scores_of_run : run → standard scores of the controls that were measured in it

    """
    wide = set()
    for run, found in scores_of_run.items():
        known = [score for score in found if score is not None]
        if len(known) > 1 and max(known) - min(known) > 4:
            wide.add(run)
    return frozenset(wide)


def _all_beyond(seen: Sequence[float], n: int, limit: float) -> bool:
    """Whether the last n scores lie beyond a limit, all on the same side."""
    last = seen[-n:]
    if len(last) < n:
        return False
    return min(last) > limit or max(last) < -limit
