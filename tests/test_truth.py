"""Simulated studies, from files to AB/C: how near to the truth, and how honest the interval."""

from __future__ import annotations

import polars as pl
import pytest

import cytosepsis as cs
from cytosepsis.simulate import SimulationSettings, simulate_study

SEEDS = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> pl.DataFrame:
    """Every quantified sample of several simulated studies, beside its truth."""
    parts = []
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"study-{seed}")
        simulate_study(folder / "study", SimulationSettings(seed=seed, patients=8, healthy=4))
        study = cs.load_study(folder / "study")
        abc = cs.run_study(study, out=folder / "results", workers=1).table("abc")
        truth = pl.read_csv(folder / "study/truth.csv", schema_overrides={"patient_id": pl.String})
        truth = truth.select("sample_id", "patient_abc", "sample_abc", "n_true_monocytes")
        parts.append(abc.join(truth, on="sample_id").with_columns(seed=pl.lit(seed)))
    return pl.concat(parts)


def test_every_sample_has_its_value(measured):
    assert measured["abc"].null_count() == 0
    assert set(measured["status"]) == {"ok"}
    assert len(measured) > 20 * len(SEEDS)


def test_abc_is_near_the_sample_s_own(measured):
    off = measured["abc"] / measured["sample_abc"] - 1
    assert off.abs().max() < 0.02
    assert abs(off.median()) < 0.01


def test_the_gate_finds_the_monocytes(measured):
    found = measured["n_cells"] / measured["n_true_monocytes"]
    assert found.min() > 0.95
    assert found.max() < 1.05


def test_the_interval_covers_as_often_as_it_says(measured):
    low, high = measured["abc_low"], measured["abc_high"]
    patient = (low <= measured["patient_abc"]) & (measured["patient_abc"] <= high)
    own = (low <= measured["sample_abc"]) & (measured["sample_abc"] <= high)
    assert 0.90 <= patient.mean() <= 0.99
    assert own.mean() >= 0.90


def test_the_interval_is_narrow_enough_to_be_of_use(measured):
    half_width = (measured["abc_high"] - measured["abc_low"]) / 2 / measured["abc"]
    assert half_width.median() <= 0.10
