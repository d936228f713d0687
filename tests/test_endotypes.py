"""Endotypes: found where courses are apart, said to be unstable or one group where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from cytosepsis.analysis.endotype_tables import ENDOTYPE_CODES, TABLES
from cytosepsis.analysis.endotypes import analyze_endotypes, group_courses
from cytosepsis.analysis.mixtures import bic, fit_mixture
from cytosepsis.trajectory_rules import EndotypeRules
from hand_made import study

# Median AB/C of the courses of Leijte 2020 as `simulate` draws them, on days 1.5, 3.5 and 7.
COURSES = np.log10([[6200, 8200, 13_500], [5000, 4600, 5200], [8000, 5600, 3800]])
QUICK = EndotypeRules(resamples=8, max_groups=4)


def simulated(
    seed: int, n: int = 90, *, means: Any = COURSES, missing: float = 0.15, noise: float = 0.036
) -> tuple[np.ndarray, np.ndarray]:
    """Courses on log10 with each patient's own level (SD 0.13), and each one's true group.

    The noise of 0.036 on log10 is `simulate`'s: 8 % between draws, 3 % of the assay. Of those
    lost, at least two values stay.
    """
    rng = np.random.default_rng(seed)
    groups = np.arange(n) % len(means)
    values = np.asarray(means)[groups] + 0.13 * rng.standard_normal((n, 1))
    values = values + noise * rng.standard_normal(values.shape)
    lost = rng.random(n) < 3 * missing
    values[lost, rng.integers(0, 3, n)[lost]] = np.nan
    return values, groups


@pytest.mark.parametrize("seed", range(4))
def test_groups_that_are_apart_are_found_and_stable(seed: int) -> None:
    values, truth = simulated(seed)
    grouping = group_courses(values, QUICK)
    assert grouping.chosen.n_groups == 3
    assert adjusted_rand_score(truth, grouping.chosen.labels) >= 0.8
    assert grouping.status(QUICK) == "stable"
    # E1 ends highest: the recoverers.
    assert np.bincount(truth[grouping.chosen.labels == 0]).argmax() == 0


@pytest.mark.parametrize("seed", range(2))
def test_one_cloud_is_not_cut_into_stable_groups(seed: int) -> None:
    values, _ = simulated(seed, means=COURSES[1:2])
    grouping = group_courses(values, QUICK)
    assert grouping.status(QUICK) in {"one_group", "unstable"}
    assert all(n.stability < 0.8 for n in grouping.numbers if n.stability is not None)
    assert grouping.numbers[1].stability is not None or grouping.chosen.n_groups > 3


def test_courses_that_overlap_are_said_to_be_unstable_or_one() -> None:
    close = COURSES.mean(axis=0) + 0.15 * (COURSES - COURSES.mean(axis=0))
    for seed in range(2):
        values, _ = simulated(seed, means=close, noise=0.08)
        assert group_courses(values, QUICK).status(QUICK) != "stable"


def test_a_group_of_few_is_not_chosen() -> None:
    values, _ = simulated(1, n=62, missing=0)
    values[60:] += 3.0
    chosen = group_courses(values, QUICK).chosen
    assert chosen.smallest >= QUICK.min_group


def test_equal_seeds_give_equal_groups_and_rows_may_come_in_any_order() -> None:
    values, _ = simulated(3, n=45)
    first, again = group_courses(values, QUICK), group_courses(values, QUICK)
    assert np.array_equal(first.chosen.labels, again.chosen.labels)
    assert [n.stability for n in first.numbers] == [n.stability for n in again.numbers]
    order = np.random.default_rng(0).permutation(len(values))
    shuffled = group_courses(values[order], QUICK)
    assert adjusted_rand_score(first.chosen.labels[order], shuffled.chosen.labels) > 0.95


def test_without_missing_values_the_mixture_is_scikit_learns() -> None:
    values, truth = simulated(2, missing=0)
    ours = fit_mixture(values, [truth.astype(np.int64)])
    theirs = GaussianMixture(
        3, covariance_type="tied", means_init=ours.means, tol=1e-8, max_iter=500, reg_covar=1e-4
    ).fit(values)
    assert ours.log_likelihood == pytest.approx(theirs.score(values) * len(values), abs=0.05)
    assert bic(ours, len(values)) == pytest.approx(theirs.bic(values), abs=0.1)
    assert np.allclose(np.sort(ours.means[:, 2]), np.sort(theirs.means_[:, 2]), atol=2e-3)
    assert np.allclose(ours.probabilities(values).sum(axis=1), 1)


def test_missing_values_cost_no_bias() -> None:
    """Means of a complete sample are found again when whole visits are taken away at random."""
    whole, truth = simulated(4, n=600, missing=0)
    holes = whole.copy()
    rng = np.random.default_rng(1)
    holes[rng.random(600) < 0.4, 2] = np.nan
    complete = fit_mixture(whole, [truth.astype(np.int64)])
    partial = fit_mixture(holes, [truth.astype(np.int64)])
    assert np.allclose(complete.means, partial.means, atol=0.02)


# --- from tables


def tables(values: np.ndarray, analysed: list[bool] | None = None) -> dict[str, pl.DataFrame]:
    names = [f"p{number:03d}" for number in range(len(values))]
    windows = ("D1-2", "D3-4", "D6-8")
    long = [
        (name, window, day, "mhladr", float(10**value), day)
        for name, row in zip(names, values, strict=True)
        for window, day, value in zip(windows, (2, 4, 7), row, strict=True)
        if not np.isnan(value)
    ]
    columns = ["patient_id", "timepoint", "day", "marker", "value", "known_at_day"]
    cohort = pl.DataFrame(
        {"patient_id": names, "analysed": analysed or [True] * len(names)},
        schema={"patient_id": pl.String, "analysed": pl.Boolean},
    )
    kinds = (pl.String, pl.String, pl.Int64, pl.String, pl.Float64, pl.Int64)
    schema = dict(zip(columns, kinds, strict=True))
    return {"marker_values": pl.DataFrame(long, schema=schema, orient="row"), "cohort": cohort}


def test_tables_say_group_probability_day_and_why_not() -> None:
    values, truth = simulated(0)
    values[0, 1:] = np.nan
    analysed = [True] * 89 + [False]
    made = analyze_endotypes(study(endotypes=QUICK), tables(values, analysed))
    for table in TABLES:
        assert dict(made[table.name].schema) == {c.name: c.dtype for c in table.columns}
    found = made["endotypes"]
    assert set(found["code"].drop_nulls()) <= ENDOTYPE_CODES.keys()
    assert found.row(0, named=True)["code"] == "too_few_values"
    assert found.row(89, named=True)["code"] == "not_analysed"
    inside = found.filter(pl.col("endotype").is_not_null())
    assert inside.height == 88
    assert (inside["probability"] > 1 / 3).all()
    late = ~np.isnan(values[1:89, 2])
    assert inside["known_at_day"].to_list() == [7 if seen else 4 for seen in late]
    assert adjusted_rand_score(truth[1:89], inside["endotype"].to_list()) >= 0.8
    profiles = made["endotype_profiles"]
    assert profiles.height == 9
    assert int(profiles.filter(pl.col("timepoint") == "D1-2")["n_patients"].sum()) == 88
    first = profiles.filter(pl.col("endotype") == "E1")["geometric_mean"].to_list()
    assert first == pytest.approx([6200, 8200, 13_500], rel=0.15)
    numbers = made["endotype_numbers"]
    assert numbers["chosen"].to_list().count(True) == 1
    assert numbers.filter("chosen")["status"].to_list() == ["stable"]


def test_too_few_patients_have_no_groups() -> None:
    values, _ = simulated(0, n=9)
    made = analyze_endotypes(study(endotypes=QUICK), tables(values))
    assert set(made["endotypes"]["code"]) == {"too_few_patients"}
    assert made["endotype_numbers"].height == 0
    empty = analyze_endotypes(study(endotypes=QUICK), tables(values[:0]))
    assert all(frame.height == 0 for frame in empty.values())
    no_windows = analyze_endotypes(
        study(endotypes=QUICK, windows=(), baseline=None), tables(values)
    )
    assert set(no_windows["endotypes"]["code"]) == {"too_few_values"}


def test_a_window_without_any_value_is_left_out() -> None:
    values, truth = simulated(0, missing=0)
    values[:, 1] = np.nan
    made = analyze_endotypes(study(endotypes=QUICK), tables(values))
    assert made["endotype_profiles"]["timepoint"].unique().sort().to_list() == ["D1-2", "D6-8"]
    assert adjusted_rand_score(truth, made["endotypes"]["endotype"].to_list()) >= 0.8
