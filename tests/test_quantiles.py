"""Quantiles that are kept are scipy's, to the bit."""

from __future__ import annotations

import math

import pytest
from scipy.special import ndtri, stdtrit

from cytosepsis.quantiles import normal_quantile, student_quantile


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_quantiles_are_those_of_scipy(confidence: float) -> None:
    upper = 0.5 + confidence / 2
    assert normal_quantile(upper) == ndtri(upper)
    for freedom in range(1, 20):
        assert student_quantile(freedom, upper) == stdtrit(freedom, upper)
    assert math.isnan(student_quantile(0, upper))
