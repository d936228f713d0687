"""How the statistical methods do on simulated cohorts: errors, coverage, planted effects.

`python benchmarks/cohorts.py` prints the tables of docs/statistics.md; `--cohorts N` sets how
many cohorts (default 1000). The tests run the same functions on fewer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cytosepsis.simulate.cohort import CohortSettings, draw_patients
from cytosepsis.statistics.auc import area, compare_areas
from cytosepsis.statistics.fine_gray import COMPETING, EVENT
from cytosepsis.statistics.hazards import cox, fine_gray, log_rank
from cytosepsis.statistics.logistic import fit_logistic
from cytosepsis.statistics.multiplicity import adjusted
from cytosepsis.statistics.paired import hodges_lehmann, signed_rank
from cytosepsis.statistics.ranking import rank_markers
from cytosepsis.statistics.two_groups import rank_sum
from cytosepsis.statistics.youden import youden_cutoff

N, SHARE = 220, 0.25  # patients, and the share of them with the event: 55 on average
TRUE_AUC, TRUE_LOG_HAZARD = 0.70, 0.40
SHIFT = 0.7416  # √2 · Φ⁻¹(0.70): two normal distributions of one SD
TRUE_CUTOFF = SHIFT / 2  # where their densities cross, which is Youden's


@dataclass(frozen=True)
class Rate:
    """A share of cohorts, with the Monte Carlo error of that share."""

    name: str
    count: int
    cohorts: int

    @property
    def share(self) -> float:
        """Share of cohorts."""
        return self.count / self.cohorts

    @property
    def error(self) -> float:
        """Standard error of the share."""
        return (self.share * (1 - self.share) / self.cohorts) ** 0.5


def _classes(rng: np.random.Generator, n: int = N) -> np.ndarray:
    """Whether each patient has the event; always 50 at least."""
    events = rng.random(n) < SHARE
    events[: max(0, 50 - events.sum())] = True
    return events


def _survival(rng: np.random.Generator, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times and events up to day 28 under a proportional hazard."""
    time = rng.exponential(70.0, len(x)) * np.exp(-x)
    return np.ceil(np.minimum(time, 28.0)), time <= 28.0


def _competing(rng: np.random.Generator, raises: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times and causes up to day 28; `raises` is the log hazard ratio of the competing event."""
    first, second = rng.exponential(60.0, len(raises)), rng.exponential(40.0, len(raises))
    second = second * np.exp(-raises)
    time = np.minimum(np.minimum(first, second), 28.0)
    status = np.where(time == 28.0, 0, np.where(first < second, EVENT, COMPETING))
    return time, status


def null_tests() -> dict[str, Callable[[np.random.Generator], float | None]]:
    """Every test on cohorts in which nothing is there, as functions that give a p."""

    def mann_whitney(rng: np.random.Generator) -> float | None:
        found = rank_sum(rng.standard_normal(N), _classes(rng))
        return found and found.p_value

    def van_elteren(rng: np.random.Generator) -> float | None:
        site = rng.integers(0, 3, N)
        found = rank_sum(rng.standard_normal(N) + 5 * site, _classes(rng), site)
        return found and found.p_value

    def delong(rng: np.random.Generator) -> float | None:
        found = area(rng.standard_normal(N), _classes(rng))
        return found and found.p_value()

    def paired_delong(rng: np.random.Generator) -> float | None:
        events, shared = _classes(rng), rng.standard_normal(N)
        one, two = (0.6 * shared + 0.8 * rng.standard_normal(N) + 0.7 * events for _ in "ab")
        found = compare_areas(one, two, events)
        return found and found.p_value()

    def logistic(rng: np.random.Generator) -> float | None:
        found = fit_logistic(rng.standard_normal((N, 2)), _classes(rng))
        return found and found.p_value(0)

    def cox_wald(rng: np.random.Generator) -> float | None:
        time, events = _survival(rng, np.zeros(N))
        found = cox(time, events, rng.standard_normal((N, 1)))
        return found and found.p_value

    def fine_gray_wald(rng: np.random.Generator) -> float | None:
        time, status = _competing(rng, np.zeros(N))
        found = fine_gray(time, status, rng.standard_normal((N, 1)))
        return found and found.p_value

    def log_rank_test(rng: np.random.Generator) -> float | None:
        time, events = _survival(rng, np.zeros(N))
        return log_rank(time, events, rng.integers(0, 2, N))

    def exact_signed_rank(rng: np.random.Generator) -> float | None:
        found = signed_rank(rng.standard_normal(12).round(1))
        return found and found.p_value

    def exact_rank_sum(rng: np.random.Generator) -> float | None:
        found = rank_sum(rng.standard_normal(20), np.arange(20) < 8)
        return found and found.p_value

    return {
        "Mann-Whitney, normal": mann_whitney,
        "van Elteren, 3 sites": van_elteren,
        "DeLong against 0.5": delong,
        "paired DeLong": paired_delong,
        "logistic, Wald": logistic,
        "Cox, Wald": cox_wald,
        "Fine-Gray, robust Wald": fine_gray_wald,
        "log-rank": log_rank_test,
        "Wilcoxon, exact, 12 pairs with ties": exact_signed_rank,
        "Mann-Whitney, exact, 8 and 12": exact_rank_sum,
    }


def rejections(name: str, cohorts: int, seed: int = 1) -> Rate:
    """How often a test of nothing rejects at 5 %."""
    test = null_tests()[name]
    rngs = (np.random.default_rng([seed, i]) for i in range(cohorts))
    count = sum((p := test(rng)) is not None and p < 0.05 for rng in rngs)
    return Rate(name, count, cohorts)


def intervals() -> dict[str, Callable[[np.random.Generator], bool]]:
    """Every interval on cohorts whose truth is known, as functions that say if it is held."""

    def delong(rng: np.random.Generator) -> bool:
        events = _classes(rng)
        found = area(rng.standard_normal(N) + SHIFT * events, events)
        assert found is not None
        low, high = found.interval()
        return low <= TRUE_AUC <= high

    def walsh(n: int) -> Callable[[np.random.Generator], bool]:
        def covers(rng: np.random.Generator) -> bool:
            found = hodges_lehmann(rng.laplace(0.3, 1.0, n))
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            return found.low <= 0.3 <= found.high

        return covers

    def log_hazard(rng: np.random.Generator) -> bool:
        x = rng.standard_normal(N)
        time, events = _survival(rng, TRUE_LOG_HAZARD * x)
        found = cox(time, events, x[:, None])
        assert found is not None
        return found.low <= np.exp(TRUE_LOG_HAZARD) <= found.high

    def youden(rng: np.random.Generator) -> bool:
        events = _classes(rng)
        values = rng.standard_normal(N) + SHIFT * events
        found = youden_cutoff(values, events, lower=False, rng=rng, resamples=500)
        assert found is not None
        return found.low <= TRUE_CUTOFF <= found.high

    return {
        "DeLong, AUC 0.70": delong,
        "Hodges-Lehmann, 16 pairs": walsh(16),
        "Hodges-Lehmann, 40 pairs": walsh(40),
        "Cox, log hazard ratio 0.40": log_hazard,
        "Youden cut-off, bootstrap": youden,
    }


def coverage(name: str, cohorts: int, seed: int = 2) -> Rate:
    """How often an interval holds the truth."""
    covers = intervals()[name]
    rngs = (np.random.default_rng([seed, i]) for i in range(cohorts))
    return Rate(name, sum(covers(rng) for rng in rngs), cohorts)


def planted_marker_first(cohorts: int, seed: int = 3) -> Rate:
    """How often the marker whose AUC lies 0.10 above the rest is ranked first, of 300 patients."""
    count = 0
    for i in range(cohorts):
        people = draw_patients(CohortSettings(seed=seed * 10_000 + i, patients=300))
        events = np.isfinite(people.infection_day)
        markers = {str(k): column for k, column in enumerate(people.markers.T)}
        ranks = rank_markers(
            markers,
            events,
            np.zeros(len(events), np.int64),
            rng=np.random.default_rng(i),
            resamples=50,
        )
        count += ranks[0].marker == "0"
    return Rate("planted marker first", count, cohorts)


def drugs_found(cohorts: int, seed: int = 4) -> tuple[Rate, Rate]:
    """How often a drug of 1.8-fold, and one of no effect, are found in 16 patients (Holm)."""
    found = [0, 0]
    for i in range(cohorts):
        rng = np.random.default_rng([seed, i])
        p_values = []
        for fold in (1.8, 1.0):
            test = signed_rank(np.log(fold) + 0.12 * rng.standard_normal(16))
            p_values.append(None if test is None else test.p_value)
        for k, p in enumerate(adjusted(p_values, "holm")):
            found[k] += p is not None and p < 0.05
    return Rate("responder drug found", found[0], cohorts), Rate(
        "null drug found", found[1], cohorts
    )


def competing_ratios(cohorts: int, seed: int = 5) -> tuple[float, float]:
    """Mean hazard ratios, cause-specific and Fine-Gray, of a marker that only raises death.

    The marker leaves the event's own hazard alone (ratio 1), but takes patients away before it.
    """
    ratios = []
    for i in range(cohorts):
        rng = np.random.default_rng([seed, i])
        x = rng.standard_normal(300)
        time, status = _competing(rng, 0.8 * x)
        own = cox(time, status == EVENT, x[:, None])
        sub = fine_gray(time, status, x[:, None])
        if own is not None and sub is not None:
            ratios.append((own.log_ratio, sub.log_ratio))
    means = np.exp(np.mean(ratios, axis=0))
    return float(means[0]), float(means[1])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cohorts", type=int, default=1000)
    n = parser.parse_args().cohorts
    print(f"Rejections at 5 % where nothing is there, {n} cohorts:\n")
    print("| test | rejects | Monte Carlo error |\n|---|--:|--:|")
    for name in null_tests():
        rate = rejections(name, n)
        print(f"| {name} | {100 * rate.share:.1f} % | {100 * rate.error:.1f} % |", flush=True)
    print(f"\nCoverage of 95 % intervals, {n} cohorts:\n")
    print("| interval | covers | Monte Carlo error |\n|---|--:|--:|")
    for name in intervals():
        rate = coverage(name, n)
        print(f"| {name} | {100 * rate.share:.1f} % | {100 * rate.error:.1f} % |", flush=True)
    print()
    found = (planted_marker_first(200), *drugs_found(200))
    print("| planted | cohorts | found |\n|---|--:|--:|")
    for rate in found:
        print(f"| {rate.name} | {rate.cohorts} | {100 * rate.share:.1f} % |", flush=True)
    own, sub = competing_ratios(200)
    print(f"\nCause-specific hazard ratio {own:.3f}, Fine-Gray {sub:.3f}.")


if __name__ == "__main__":
    main()
