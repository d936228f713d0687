"""Simulated cohorts, a small version of `benchmarks/cohorts.py`, whose figures are in the docs.

Limits are four Monte Carlo errors wide: these fail when a method is wrong, not when it is unlucky.
"""

from __future__ import annotations

import pytest

import cohorts as bench

COHORTS = {"logistic, Wald": 60, "Cox, Wald": 80, "log-rank": 80, "Fine-Gray, robust Wald": 80}


@pytest.mark.parametrize("name", list(bench.null_tests()))
def test_tests_of_nothing_reject_five_percent(name: str) -> None:
    rate = bench.rejections(name, COHORTS.get(name, 200))
    assert abs(rate.share - 0.05) <= 4 * (0.05 * 0.95 / rate.cohorts) ** 0.5
    if "exact" in name:
        assert rate.share <= 0.05 + 2 * (0.05 * 0.95 / rate.cohorts) ** 0.5


@pytest.mark.parametrize("name", [name for name in bench.intervals() if "Youden" not in name])
def test_intervals_hold_the_truth(name: str) -> None:
    rate = bench.coverage(name, 80 if "Cox" in name else 200)
    assert rate.share >= 0.95 - 4 * (0.05 * 0.95 / rate.cohorts) ** 0.5


def test_a_planted_marker_is_first_and_a_planted_drug_is_found() -> None:
    assert bench.planted_marker_first(12).share >= 0.9
    found, null = bench.drugs_found(25)
    assert found.share == 1.0
    assert null.share <= 0.15


def test_fine_gray_and_cause_specific_differ_where_they_must() -> None:
    own, sub = bench.competing_ratios(10)
    assert 0.9 < own < 1.1
    assert sub < 0.85
