"""Shares of cells beyond a threshold in AB/C, carried back through a sample's bead line."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

import cytosepsis as cs
from cytosepsis.file_results import Quantified
from cytosepsis.gating.lowering import Measure
from cytosepsis.quantify.antibodies import share_below
from cytosepsis.sample import N_QUANTILES
from cytosepsis.simulate import SimulationSettings, simulate_study
from hand_made import line as calibration


def cells(values):
    quantiles = tuple(np.quantile(values, np.linspace(0, 1, N_QUANTILES)).tolist())
    median = float(np.median(values)) if len(values) else None
    return Quantified(
        "root/m", "hladr", "PE-A", "median", len(values), median, None, None, 0, quantiles=quantiles
    )


@pytest.mark.parametrize("pe_per_antibody", [1.0, 1.4])
def test_the_share_is_that_of_the_cells_in_antibodies(pe_per_antibody):
    values = np.random.default_rng(1).lognormal(9, 0.4, 20_000)
    bead_line = calibration()
    abc = bead_line.to_abc(values, pe_per_antibody)
    for threshold in np.quantile(abc, [0.02, 0.3, 0.5, 0.97]):
        share = share_below(cells(values), bead_line, float(threshold), pe_per_antibody)
        assert share == pytest.approx((abc < threshold).mean(), abs=0.0015)


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shares")
    simulate_study(folder, SimulationSettings(seed=3, patients=1, healthy=1))
    return folder


def with_thresholds(folder, lines):
    """The study with lines added to the section of what is quantified."""
    path = folder / "study.toml"
    text = re.sub(r"^(low|positive) = .*\n", "", path.read_text(), flags=re.MULTILINE)
    head, section, rest = text.partition("[assays.mhladr.abc]\n")
    path.write_text(f"{head}{section}{lines}{rest}")
    return cs.load_study(folder)


def test_a_run_counts_the_cells_beyond_the_study_s_thresholds(study_folder, tmp_path):
    study = with_thresholds(study_folder, "low = 9000\npositive = 14000\n")
    results = cs.run_study(study, tmp_path / "out")
    abc = results.table("abc").filter(pl.col("abc").is_not_null())
    assert len(abc) > 3
    assay = study.assay("mhladr")
    lines = {row["bead_run"]: row for row in results.table("calibrations").iter_rows(named=True)}
    plan = cs.read_gating(assay.gating)
    for row in abc.iter_rows(named=True):
        (sample,) = (s for s in study.samples if s.sample_id == row["sample_id"])
        (path,) = (p for p in plan.paths if p.endswith(f"/{row['population']}"))
        axis = Measure(path, "hladr")
        cells = cs.gate(
            cs.read_fcs(sample.path), plan, channels=dict(assay.channels), measures=[axis]
        ).values[axis]
        bead = lines[row["bead_run"]]
        log10 = (np.log10(np.maximum(cells, 1e-9)) - bead["intercept"]) / bead["slope"]
        antibodies = 10**log10 / assay.abc.pe_per_antibody
        assert row["fraction_low"] == pytest.approx((antibodies < 9000).mean(), abs=0.003)
        assert row["fraction_positive"] == pytest.approx((antibodies >= 14000).mean(), abs=0.003)
    assert abc["fraction_low"].max() > 0.05


def test_another_threshold_reads_no_events_and_the_first_one_does(study_folder, tmp_path):
    without = cs.run_study(with_thresholds(study_folder, ""), tmp_path / "out")
    assert without.table("abc")["fraction_low"].null_count() == len(without.table("abc"))
    first = cs.run_study(with_thresholds(study_folder, "low = 9000\n"), tmp_path / "out")
    assert (first.run.n_computed, first.run.n_reused) == (without.run.n_computed, 0)
    other = cs.run_study(with_thresholds(study_folder, "positive = 12000\n"), tmp_path / "out")
    assert (other.run.n_computed, other.run.n_reused) == (0, without.run.n_computed)
    assert other.table("abc")["fraction_positive"].null_count() < len(other.table("abc"))


def test_beyond_all_cells_it_is_nothing_or_all():
    values = np.linspace(100.0, 200.0, 50)
    assert share_below(cells(values), calibration(), 1e-3, 1.0) == 0.0
    assert share_below(cells(values), calibration(), 1e9, 1.0) == 1.0


def test_without_cells_there_is_no_share():
    none = Quantified("root/m", "hladr", "PE-A", "median", 0, None, None, None, 0)
    assert share_below(none, calibration(), 8_000.0, 1.0) is None
