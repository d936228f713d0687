"""The methods against slow twins, against other libraries, and where there is no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_statistics as naive
from cytosepsis.errors import CytosepsisError
from cytosepsis.statistics.auc import area, compare_areas, midranks
from cytosepsis.statistics.combination import combine
from cytosepsis.statistics.dose_response import fit_dose_response, friedman
from cytosepsis.statistics.dye_dilution import dilution_indices
from cytosepsis.statistics.fine_gray import fine_gray_risks, fit_fine_gray
from cytosepsis.statistics.hazards import (
    cox,
    cumulative_incidence,
    curve_at,
    fine_gray,
    kaplan_meier,
    log_rank,
)
from cytosepsis.statistics.logistic import fit_logistic, is_separated, refit_logistic
from cytosepsis.statistics.mixed import fit_course
from cytosepsis.statistics.multiplicity import adjusted
from cytosepsis.statistics.paired import hodges_lehmann, signed_rank
from cytosepsis.statistics.proportions import OperatingPoint, exact, wilson
from cytosepsis.statistics.ranking import rank_markers
from cytosepsis.statistics.two_groups import rank_sum, shift_between
from cytosepsis.statistics.weighted_cox import RiskSets, fit_weighted_cox
from cytosepsis.statistics.youden import operating_point, youden_cutoff

COARSE = st.integers(0, 6).map(float)  # few values: many ties


@st.composite
def two_classes(draw: st.DrawFn, size: int = 14) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(6, size))
    events = np.array(draw(st.permutations([True] * (n // 2) + [False] * (n - n // 2))))
    return np.array(draw(st.lists(COARSE, min_size=n, max_size=n))), events


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- areas


@given(two_classes(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_areas_are_their_definition(data: tuple[np.ndarray, np.ndarray], other: object) -> None:
    values, events = data
    second = np.roll(values, 2) + values
    areas, matrix = naive.delong([list(values), list(second)], list(events))
    found = compare_areas(values, second, events)
    assert found is not None
    assert found.first.auc == pytest.approx(areas[0])
    assert found.second.auc == pytest.approx(areas[1])
    assert found.first.variance == pytest.approx(matrix[0][0], abs=1e-15)
    wanted = matrix[0][0] + matrix[1][1] - 2 * matrix[0][1]
    assert found.variance == pytest.approx(wanted, abs=2e-15)


def test_an_area_is_mann_whitneys_u_and_turns_with_the_sign() -> None:
    values, events = rng().normal(size=40).round(1), rng(2).random(40) < 0.4
    found, turned = area(values, events), area(-values, events)
    assert found is not None
    assert turned is not None
    assert found.auc == pytest.approx(
        naive.van_elteren_u(list(values), list(events)) / (found.n_events * found.n_others)
    )
    assert turned.auc == pytest.approx(1 - found.auc)
    assert turned.variance == pytest.approx(found.variance)


def test_strata_are_never_compared_with_each_other() -> None:
    """A site whose values are a hundred times as high changes nothing."""
    values, events = rng(3).normal(size=60), rng(4).random(60) < 0.5
    site = np.arange(60) % 2
    here = area(values[site == 0], events[site == 0])
    there = area(values[site == 1], events[site == 1])
    both = area(values + 100 * site, events, site)
    assert here is not None
    assert there is not None
    assert both is not None
    pairs = [a.n_events * a.n_others for a in (here, there)]
    assert both.auc == pytest.approx(np.average([here.auc, there.auc], weights=pairs))
    share = np.array(pairs) / sum(pairs)
    assert both.variance == pytest.approx(
        float(share**2 @ np.array([here.variance, there.variance]))
    )
    assert area(values, events, site).auc == pytest.approx(both.auc)  # type: ignore[union-attr]


def test_no_area_of_one_class_and_no_interval_of_a_perfect_one() -> None:
    assert area(np.arange(5.0), np.zeros(5, bool)) is None
    assert area(np.arange(5.0), np.arange(5) == 0) is None  # one event has no variance
    perfect = area(np.arange(6.0), np.arange(6) > 2)
    assert perfect is not None
    assert perfect.is_perfect
    assert perfect.p_value() is None
    alike = compare_areas(np.arange(6.0), np.arange(6.0) * 2, np.arange(6) % 2 == 0)
    assert alike is not None
    assert alike.z is None
    assert alike.p_value() is None
    dropped = area(
        np.arange(7.0), np.array([1, 0, 1, 0, 1, 1, 1], bool), np.array([0] * 4 + [1] * 3)
    )
    assert dropped is not None
    assert dropped.n_dropped == 3


def test_midranks_are_scipys() -> None:
    from scipy.stats import rankdata

    values = rng().integers(0, 9, 50).astype(float)
    assert midranks(values).tolist() == rankdata(values).tolist()


# --- cut-offs and proportions


@given(two_classes())
@settings(max_examples=60, deadline=None)
def test_youdens_cutoff_is_the_best_of_all(data: tuple[np.ndarray, np.ndarray]) -> None:
    values, events = data
    found = youden_cutoff(values, events, lower=False, rng=rng(), resamples=20)
    if len(np.unique(values)) < 2:
        assert found is None
        return
    assert found is not None
    best = naive.youden_best(list(values), list(events))
    assert found.youden == pytest.approx(best)
    point = operating_point(values, events, found.cutoff, lower=False)
    assert point == found.point
    assert point.sensitivity.value is not None
    assert point.specificity.value is not None
    assert point.sensitivity.value + point.specificity.value - 1 == pytest.approx(best)


def test_a_low_marker_gives_the_mirrored_cutoff_and_is_optimistic() -> None:
    values, events = rng(5).normal(size=80), rng(6).random(80) < 0.4
    high = youden_cutoff(values, events, lower=False, rng=rng())
    low = youden_cutoff(-values, events, lower=True, rng=rng())
    assert high is not None
    assert low is not None
    assert low.cutoff == -high.cutoff
    assert (low.low, low.high) == (-high.high, -high.low)
    assert high.optimism > 0
    assert high.corrected < high.youden
    assert high.low <= high.cutoff <= high.high


def test_a_value_on_the_cutoff_is_not_below_it() -> None:
    values, events = np.array([1.0, 2.0, 3.0]), np.array([True, False, False])
    assert operating_point(values, events, 2.0, lower=True) == OperatingPoint(1, 0, 0, 2)
    assert operating_point(values, events, 2.0, lower=False) == OperatingPoint(0, 2, 1, 0)


def test_an_operating_point_by_hand() -> None:
    point = OperatingPoint(30, 20, 10, 40)
    assert point.sensitivity.value == 0.75
    assert point.specificity.value == pytest.approx(2 / 3)
    assert point.positive_predictive_value.value == 0.6
    assert point.negative_predictive_value.value == 0.8
    assert point.positive_likelihood_ratio.value == pytest.approx(2.25)
    assert point.negative_likelihood_ratio.value == pytest.approx(0.375)
    # exp(ln 2.25 ± 1.959964 · 0.2041241), the root of 1/30 − 1/40 + 1/20 − 1/60
    assert point.positive_likelihood_ratio.low == pytest.approx(1.50811, abs=1e-4)
    assert point.positive_likelihood_ratio.high == pytest.approx(3.35687, abs=1e-4)
    assert point.net_benefit(0.2) == pytest.approx((30 - 20 / 4) / 100)
    assert point.net_benefit_of_all(0.2) == pytest.approx((40 - 60 / 4) / 100)
    nobody = OperatingPoint(0, 0, 5, 5)
    assert nobody.positive_predictive_value.value is None
    assert nobody.positive_likelihood_ratio.value is None
    assert nobody.negative_likelihood_ratio.value == 1.0
    assert OperatingPoint(0, 0, 0, 0).net_benefit(0.2) is None
    assert OperatingPoint(0, 0, 0, 0).net_benefit_of_all(0.2) is None
    none_found = OperatingPoint(0, 3, 5, 2).positive_likelihood_ratio
    assert (none_found.value, none_found.low) == (0.0, None)


@pytest.mark.parametrize("count", [0, 1, 7, 19, 20])
def test_intervals_are_statsmodels(count: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    for ours, method in ((wilson, "wilson"), (exact, "beta")):
        low, high = proportion_confint(count, 20, method=method)
        found = ours(count, 20)
        assert found.low == pytest.approx(low, abs=1e-12)
        assert found.high == pytest.approx(high, abs=1e-12)
    assert wilson(0, 0).value is None
    assert exact(0, 0).value is None


# --- paired and unpaired ranks


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=9))
@settings(max_examples=80, deadline=None)
def test_the_signed_rank_test_counts_every_sign(differences: list[float]) -> None:
    found = signed_rank(np.array(differences))
    if not any(differences):
        assert found is None
        return
    assert found is not None
    assert found.p_value == pytest.approx(naive.signed_rank_p(differences))
    shift = hodges_lehmann(np.array(differences))
    assert shift is not None
    assert shift.estimate == pytest.approx(naive.walsh_median(differences))


def test_the_signed_rank_test_is_scipys_without_ties() -> None:
    from scipy.stats import wilcoxon

    differences = rng(7).normal(0.3, 1, 25)
    found = signed_rank(differences)
    assert found is not None
    assert found.p_value == pytest.approx(wilcoxon(differences, method="exact").pvalue)


def test_twelve_patients_that_all_rise_give_the_smallest_p_there_is() -> None:
    found = signed_rank(np.arange(1.0, 13.0))
    assert found is not None
    assert found.p_value == pytest.approx(2 / 2**12)


def test_few_pairs_have_no_interval_and_many_take_the_normal_approximation() -> None:
    five = hodges_lehmann(np.arange(1.0, 6.0))
    assert five is not None
    assert (five.low, five.high, five.confidence) == (None, None, None)
    six = hodges_lehmann(np.arange(1.0, 7.0))
    assert six is not None
    assert (six.low, six.high) == (1.0, 6.0)
    assert six.confidence == pytest.approx(1 - 2 / 64)
    many = rng(8).normal(0.1, 1, 501)
    found, exactly = signed_rank(many), signed_rank(many[:500])
    assert found is not None
    assert exactly is not None
    assert (found.method, exactly.method) == ("normal", "exact")
    assert found.p_value == pytest.approx(exactly.p_value, abs=0.02)
    wide, narrow = hodges_lehmann(many), hodges_lehmann(many[:500])
    assert wide is not None
    assert narrow is not None
    assert wide.low == pytest.approx(narrow.low, abs=0.02)
    assert hodges_lehmann(np.zeros(0)) is None


def test_rank_sums_are_scipys_and_absent_where_nothing_differs() -> None:
    from scipy.stats import mannwhitneyu

    values, events = rng(9).normal(size=30), rng(10).random(30) < 0.4
    found = rank_sum(values, events)
    assert found is not None
    assert found.method == "exact"
    wanted = mannwhitneyu(values[events], values[~events], method="exact").pvalue
    assert found.p_value == pytest.approx(wanted)
    assert rank_sum(np.ones(6), np.arange(6) > 2) is None
    assert rank_sum(np.arange(6.0), np.zeros(6, bool)) is None
    large = rank_sum(rng().normal(size=400), np.arange(400) % 2 == 0)
    assert large is not None
    assert large.method == "normal"


def test_the_exact_shift_interval_is_where_the_exact_test_turns() -> None:
    first, second = rng(11).normal(0.5, 1, 9), rng(12).normal(0, 1, 8)
    shift = shift_between(first, second)
    assert shift is not None
    assert shift.low is not None
    assert shift.high is not None
    events = np.arange(17) < 9

    def p_value(moved: float) -> float:
        found = rank_sum(np.concatenate([first - moved, second]), events)
        assert found is not None
        return found.p_value

    assert p_value(shift.low - 1e-6) <= 0.05 < p_value(shift.low + 1e-6)
    assert p_value(shift.high + 1e-6) <= 0.05 < p_value(shift.high - 1e-6)
    assert shift_between(first, np.zeros(0)) is None
    assert shift_between(first[:2], second[:2]).low is None  # type: ignore[union-attr]
    many = shift_between(rng().normal(size=60), rng(2).normal(size=60))
    assert many is not None
    assert many.confidence == 0.95


# --- regression


def test_separated_classes_have_no_odds_ratio() -> None:
    x = np.arange(10.0)[:, None]
    assert is_separated(x, np.arange(10) > 4)
    assert is_separated(x, np.arange(10) >= 10)
    assert fit_logistic(x, np.arange(10) > 4) is None
    assert refit_logistic(x, np.arange(10) > 4) is None
    touching = np.array([0.0, 1, 2, 3, 3, 4, 5])[:, None]  # one value in both classes
    assert is_separated(touching, np.array([0, 0, 0, 0, 1, 1, 1], bool))
    assert not is_separated(x, np.arange(10) % 2 == 0)
    # a plane in two dimensions, where neither alone separates
    points = np.array([[0.0, 1], [1, 0], [1, 2], [2, 1]])
    assert is_separated(points, np.array([False, False, True, True]))
    collinear = np.column_stack([np.arange(8.0), 2 * np.arange(8.0)])
    assert fit_logistic(collinear, np.arange(8) % 2 == 0) is None


def test_refitting_gives_statsmodels_coefficients() -> None:
    x = rng(13).normal(size=(80, 2))
    events = rng(14).random(80) < 1 / (1 + np.exp(-x[:, 0]))
    whole, again = fit_logistic(x, events), refit_logistic(x, events)
    assert whole is not None
    assert again is not None
    assert again == pytest.approx(whole.coefficients, abs=1e-6)
    ratio, low, high = whole.odds_ratio(0)
    assert low < ratio < high
    assert whole.p_value(0) < 0.05


def test_a_combination_is_corrected_downwards() -> None:
    x = rng(15).normal(size=(80, 2))
    events = rng(16).random(80) < 1 / (1 + np.exp(-x[:, 0]))
    found = combine(x, events, rng=rng(), resamples=50)
    assert found is not None
    assert 0 < found.optimism < 0.1
    assert found.corrected_auc < found.apparent.auc
    assert 0.5 < found.calibration_slope < 1.2
    assert combine(x, x[:, 0] > 0, rng=rng(), resamples=5) is None


def test_a_course_needs_patients_with_two_values() -> None:
    days, events = np.array([1.0, 3.0, 7.0] * 6), np.repeat([True, False] * 3, 3)
    patients = np.repeat(np.arange(6), 3)
    values = rng(17).normal(size=18) + patients
    assert fit_course(values, days, events, patients) is not None
    assert fit_course(values, days, events, np.arange(18)) is None
    assert fit_course(values, days, np.zeros(18, bool), patients) is None
    assert fit_course(np.ones(18), days, events, patients) is None
    sites = np.repeat([0, 0, 0, 1, 1, 1], 3)
    moved = fit_course(values + 50 * sites, days, events, patients, sites)
    assert moved is not None
    still = fit_course(values, days, events, patients, sites)
    assert still is not None
    assert moved.effects[2].estimate == pytest.approx(still.effects[2].estimate, abs=1e-3)


# --- time to event


def competing(n: int = 40, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    time = rng(seed).permutation(np.arange(1.0, n + 1))
    return time, rng(seed + 1).integers(0, 3, n), rng(seed + 2).normal(size=n)


def test_fine_gray_stands_on_top_of_the_likelihood_as_defined() -> None:
    time, status, x = competing()
    fit = fit_fine_gray(time, status, x[:, None])
    assert fit is not None
    best = float(fit.coefficients[0])
    top = naive.fine_gray_likelihood(time, status, x, best)
    for step in (-1e-3, 1e-3):
        assert naive.fine_gray_likelihood(time, status, x, best + step) < top


def test_fine_gray_without_competing_events_is_cox() -> None:
    time, status, x = competing(60, 5)
    time = np.ceil(time / 3)  # ties
    status = np.minimum(status, 1)
    fit = fit_fine_gray(time, status, x[:, None])
    plain = cox(time, status == 1, x[:, None])
    assert fit is not None
    assert plain is not None
    assert fit.coefficients[0] == pytest.approx(plain.log_ratio, abs=1e-6)
    assert fit.covariance[0, 0] ** 0.5 == pytest.approx(plain.error, abs=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_robust_errors_are_lifelines() -> None:
    import pandas as pd
    from lifelines import CoxPHFitter

    time, status, x = competing(60, 9)
    fit = fit_fine_gray(time, np.minimum(status, 1), np.column_stack([x, x**2]))
    assert fit is not None
    frame = pd.DataFrame({"t": time, "e": np.minimum(status, 1), "x": x, "y": x**2})
    theirs = CoxPHFitter().fit(frame, "t", "e", robust=True)
    assert fit.coefficients == pytest.approx(theirs.params_.to_numpy(), rel=1e-3)
    assert np.sqrt(np.diag(fit.robust_covariance)) == pytest.approx(
        theirs.standard_errors_.to_numpy(), rel=1e-3
    )


def test_the_weight_after_a_competing_event_falls_with_censoring_only() -> None:
    time, status = np.array([1.0, 2, 3, 4, 5]), np.array([2, 0, 1, 0, 1])
    risks = fine_gray_risks(time, status)
    # at day 3 one of four has been censored since day 1, at day 5 one of two more
    assert risks.weights[0].tolist() == pytest.approx([0.75, 0, 1, 1, 1])
    assert risks.weights[1].tolist() == pytest.approx([0.375, 0, 0, 0, 1])
    apart = fine_gray_risks(time, status, np.array([0, 1, 0, 1, 1]))
    assert apart.weights[0].tolist() == [1, 0, 1, 0, 0]


@given(st.integers(1, 200))
@settings(max_examples=20, deadline=None)
def test_cumulative_incidence_is_its_definition(seed: int) -> None:
    random = rng(seed)
    time, status = random.integers(1, 9, 30).astype(float), random.integers(0, 3, 30)
    if not (status == 1).any():
        return
    days = np.array([0.5, 2.0, 5.0, 9.0])
    found = curve_at(cumulative_incidence(time, status), days, start=0.0)
    for day, share in zip(days, found.shares, strict=True):
        assert share == pytest.approx(naive.incidence(list(time), list(status), day))


def test_what_has_no_maximum_has_no_hazard_ratio() -> None:
    time = np.arange(1.0, 11.0)
    rising = np.arange(10.0)[::-1, None]  # whoever dies next always has the largest value
    assert cox(time, np.ones(10, bool), rising) is None
    assert fit_fine_gray(time, np.ones(10, np.int64), rising) is None
    assert fine_gray(time, np.ones(10, np.int64), rising) is None
    assert cox(time, np.zeros(10, bool), rising) is None
    assert cox(time, np.ones(10, bool), np.ones((10, 1))) is None
    assert fit_fine_gray(time, np.zeros(10, np.int64), rising) is None
    nobody = RiskSets(np.zeros((0, 3)), np.zeros((0, 3), bool))
    assert fit_weighted_cox(nobody, np.arange(3.0)[:, None]) is None
    assert log_rank(time, np.ones(10, bool), np.zeros(10, np.int64)) is None
    apart = log_rank(np.array([1.0, 2, 5, 6]), np.arange(4) > 1, np.array([0, 0, 1, 1]))
    assert apart is None  # one group has left before the first event
    assert len(kaplan_meier(np.zeros(0), np.zeros(0, bool)).times) == 0
    assert len(cumulative_incidence(np.zeros(0), np.zeros(0, np.int64)).times) == 0
    assert len(cumulative_incidence(time, np.zeros(10, np.int64)).times) == 0


def test_a_stratified_log_rank_test_leaves_sites_apart() -> None:
    time, status, x = competing(60, 3)
    group, site = (x > 0).astype(np.int64), np.arange(60) % 2
    one = log_rank(time, status > 0, group)
    other = log_rank(time * np.where(site == 1, 100, 1), status > 0, group, site)
    same = log_rank(time, status > 0, group, site)
    assert one is not None
    assert other == pytest.approx(same)


# --- ranking, many tests


def test_the_stronger_marker_is_first_whatever_its_sign() -> None:
    events = rng(18).random(200) < 0.3
    markers = {"noise": rng(19).normal(size=200), "low": rng(20).normal(size=200) - 1.2 * events}
    markers["gone"] = np.full(200, np.nan)
    markers["low"][:10] = np.nan
    ranks = rank_markers(markers, events, np.zeros(200, np.int64), rng=rng(), resamples=200)
    assert [rank.marker for rank in ranks] == ["low", "noise"]
    assert ranks[0].first > 0.95
    assert sum(rank.first for rank in ranks) == pytest.approx(1)
    there = np.isfinite(markers["low"])
    auc = area(markers["low"][there], events[there])
    assert auc is not None
    assert ranks[0].strength == pytest.approx(abs(auc.auc - 0.5))
    assert rank_markers(markers, np.zeros(200, bool), np.zeros(200, np.int64), rng=rng()) == ()


def test_absent_p_values_do_not_count() -> None:
    assert adjusted([0.01, None, 0.04], "bh") == pytest.approx([0.02, None, 0.04])
    assert adjusted([None], "holm") == [None]


# --- doses


def test_a_dose_curve_needs_five_doses_and_an_ed50_among_them() -> None:
    doses = np.repeat([0, 1, 10, 100.0], 3)
    assert fit_dose_response(doses, np.arange(12.0)) is None
    five = np.repeat([0, 1, 3, 10, 30.0], 3)
    assert fit_dose_response(five, np.ones(15)) is None
    rising = 100 + 900 / (1 + (5 / np.maximum(five, 1e-9)) ** 2)
    found = fit_dose_response(five, rising + rng().normal(0, 5, 15))
    assert found is not None
    assert found.slope < 0
    assert found.lower == pytest.approx(100, rel=0.1)
    assert found.ed50 == pytest.approx(5, rel=0.1)
    low, high = found.ed50_interval()
    assert low < found.ed50 < high
    assert found.at(np.array([5.0]))[0] == pytest.approx((found.lower + found.upper) / 2, rel=0.1)
    # a straight rise says nothing of where half of it is
    assert fit_dose_response(five, five + rng().normal(0, 20, 15)) is None


def test_friedman_needs_complete_rows() -> None:
    table = rng().normal(size=(8, 3))
    assert friedman(table) is not None
    assert friedman(table[:, :2]) is None
    assert friedman(np.ones((8, 3))) is None
    holed = table.copy()
    holed[1:, 0] = np.nan
    assert friedman(holed) is None


def test_dilution_of_nothing() -> None:
    assert {index.value for index in dilution_indices([0, 0])} == {None}
    still = {index.name: index.value for index in dilution_indices([10])}
    assert still["expansion_index"] == 1
    assert still["proliferation_index"] is None
    with pytest.raises(CytosepsisError, match="none negative"):
        dilution_indices([1, -1])
    with pytest.raises(CytosepsisError, match="wanted the cells"):
        dilution_indices([])
