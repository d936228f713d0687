"""Values that others print on published data, to every printed digit.

What R prints was printed by R 4.2.2 with pROC 1.18.0, survival 3.5-3, cmprsk 2.2-11, nlme 3.1-162;
where a paper, a vignette or a help page prints the same value, it is named beside it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cytosepsis.statistics.auc import area, compare_areas
from cytosepsis.statistics.dose_response import fit_dose_response, friedman
from cytosepsis.statistics.dye_dilution import dilution_indices
from cytosepsis.statistics.fine_gray import fit_fine_gray
from cytosepsis.statistics.hazards import cox, cumulative_incidence, kaplan_meier, log_rank
from cytosepsis.statistics.logistic import fit_logistic
from cytosepsis.statistics.mixed import fit_course
from cytosepsis.statistics.multiplicity import adjusted
from cytosepsis.statistics.paired import hodges_lehmann, signed_rank
from cytosepsis.statistics.proportions import exact, wilson
from cytosepsis.statistics.two_groups import rank_sum, shift_between
from cytosepsis.statistics.youden import youden_cutoff

PUBLISHED = Path(__file__).parent / "published"


def column(name: str, table: str) -> np.ndarray:
    with (PUBLISHED / f"{table}.csv").open(encoding="utf-8") as file:
        return np.array([float(row[name] or "nan") for row in csv.DictReader(file)])


def texts(name: str, table: str) -> np.ndarray:
    with (PUBLISHED / f"{table}.csv").open(encoding="utf-8") as file:
        return np.array([row[name] for row in csv.DictReader(file)])


def printed(value: float | None, text: str) -> None:
    """A value, rounded as the text that was printed."""
    assert value is not None
    digits = len(text.partition(".")[2].partition("e")[0])
    if "e" in text:
        assert f"{value:.{digits}e}" == text
    else:
        assert f"{value:.{digits}f}" == text


# --- areas under ROC curves: pROC (Robin et al. 2011, 10.1186/1471-2105-12-77), data aSAH


def poor() -> np.ndarray:
    return texts("outcome", "asah") == "Poor"


@pytest.mark.parametrize(
    ("marker", "auc", "low", "high", "variance"),
    [
        # the intervals stand on pROC's help page of ci.auc too: 0.6301-0.8326 (DeLong)
        ("s100b", "0.7313685637", "0.6301", "0.8326", "0.002668682457"),
        ("wfns", "0.8236788618", "0.7485", "0.8988", "0.001469914709"),
        ("ndka", "0.6119579946", "0.5012", "0.7227", "0.003190810549"),
    ],
)
def test_area_and_delong_interval_of_proc(
    marker: str, auc: str, low: str, high: str, variance: str
) -> None:
    found = area(column(marker, "asah"), poor())
    assert found is not None
    printed(found.auc, auc)
    printed(found.variance, variance)
    printed(found.interval()[0], low)
    printed(found.interval()[1], high)


@pytest.mark.parametrize(
    ("one", "two", "z", "p", "low", "high"),
    [
        # roc.test's help page: Z = 2.209, p-value = 0.02718 of wfns against s100b
        ("s100b", "wfns", "-2.209", "0.02718", "-0.17421442", "-0.01040618"),
        ("s100b", "ndka", "1.3908", "0.1643", "-0.04887061", "0.28769174"),
        ("wfns", "ndka", "2.7978", "0.005146", "0.06340117", "0.36004056"),
    ],
)
def test_paired_delong_of_proc(one: str, two: str, z: str, p: str, low: str, high: str) -> None:
    found = compare_areas(column(one, "asah"), column(two, "asah"), poor())
    assert found is not None
    printed(found.z, z)
    printed(found.p_value(), p)
    printed(found.interval()[0], low)
    printed(found.interval()[1], high)


def test_youden_cutoff_of_proc() -> None:
    found = youden_cutoff(
        column("s100b", "asah"), poor(), lower=False, rng=np.random.default_rng(1)
    )
    assert found is not None
    printed(found.cutoff, "0.205")
    printed(found.point.sensitivity.value, "0.6341463")
    printed(found.point.specificity.value, "0.8055556")
    printed(found.youden + 1, "1.439702")


def test_logistic_regression_of_r() -> None:
    """`glm(..., binomial)`, iterated to the end (`epsilon = 1e-14`)."""
    x = np.column_stack([column(name, "infert") for name in ("spontaneous", "induced", "age")])
    found = fit_logistic(x, column("case", "infert") == 1)
    assert found is not None
    for value, text in zip(
        found.coefficients, ("-2.40494083", "1.21445517", "0.43429247", "0.02154426"), strict=True
    ):
        printed(value, text)
    for value, text in zip(
        found.errors, ("0.9637967183", "0.2133079293", "0.2066303744", "0.0284223118"), strict=True
    ):
        printed(value, text)
    x = np.column_stack([column(name, "asah") for name in ("s100b", "ndka")])
    found = fit_logistic(x, poor())
    assert found is not None
    printed(found.coefficients[1], "5.3340622")
    printed(found.p_value(0), "2.3954e-05")


# --- survival: R's survival, data lung and mgus2


def test_cox_of_survival() -> None:
    names = ("age", "sex", "ph.ecog")
    x = np.column_stack([column(name, "lung") for name in names])
    there = np.isfinite(x).all(axis=1)
    time, died = column("time", "lung")[there], column("status", "lung")[there] == 2
    wanted = {
        "age": ("0.011067", "1.011128", "0.009267", "0.9929", "1.0297", "0.232416"),
        "sex": ("-0.552612", "0.575445", "0.167739", "0.4142", "0.7994", "0.000986"),
        "ph.ecog": ("0.463728", "1.589991", "0.113577", "1.2727", "1.9864", "4.45e-05"),
    }
    for index, name in enumerate(names):
        first = [index, *(i for i in range(3) if i != index)]
        found = cox(time, died, x[there][:, first])
        assert found is not None
        for value, text in zip(
            (found.log_ratio, found.ratio, found.error, found.low, found.high, found.p_value),
            wanted[name],
            strict=True,
        ):
            printed(value, text)


@pytest.mark.parametrize(
    ("by", "wanted"), [("sex", ("0.016215", "0.009187")), ("inst", ("0.021643", "0.009844"))]
)
def test_stratified_cox_of_survival(by: str, wanted: tuple[str, str]) -> None:
    strata = column(by, "lung")
    there = np.isfinite(strata)
    found = cox(
        column("time", "lung")[there],
        column("status", "lung")[there] == 2,
        column("age", "lung")[there, None],
        strata[there].astype(np.int64),
    )
    assert found is not None
    printed(found.log_ratio, wanted[0])
    printed(found.error, wanted[1])


def test_kaplan_meier_and_log_rank_of_survival() -> None:
    time, died = column("time", "lung"), column("status", "lung") == 2
    sex = column("sex", "lung").astype(np.int64)
    p_value = log_rank(time, died, sex)
    assert p_value is not None
    printed(p_value, "0.0013")
    rows = {
        1: ((11, "0.9783", "0.954", "1.000"), (100, "0.8261", "0.765", "0.892"),
            (365, "0.3361", "0.261", "0.433"), (700, "0.0893", "0.047", "0.170")),
        2: ((11, "0.989", "0.967", "1.000"), (100, "0.922", "0.868", "0.979"),
            (365, "0.526", "0.421", "0.658"), (700, "0.250", "0.150", "0.417")),
    }  # fmt: skip
    for group, wanted in rows.items():
        curve = kaplan_meier(time[sex == group], died[sex == group])
        for moment, share, low, high in wanted:
            place = int(np.searchsorted(curve.times, moment, side="right")) - 1
            printed(curve.shares[place], share)
            printed(curve.low[place], low)
            printed(curve.high[place], high)


def mgus() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.column_stack([column("age", "mgus2"), texts("sex", "mgus2") == "M"])
    return column("etime", "mgus2"), column("event", "mgus2").astype(np.int64), x


def test_cumulative_incidence_of_survival_and_cmprsk() -> None:
    time, status, x = mgus()
    curve = cumulative_incidence(time, status)
    place = np.searchsorted(curve.times, [60, 120, 240], side="right") - 1
    for value, text in zip(
        curve.shares[place], ("0.03410371297", "0.06372216801", "0.09981371594"), strict=True
    ):
        printed(value, text)
    men = x[:, 1] == 1
    curve = cumulative_incidence(time[men], status[men])
    place = np.searchsorted(curve.times, [60, 120, 240], side="right") - 1
    for value, text in zip(  # cmprsk's cuminc
        curve.shares[place], ("0.02934628446", "0.05531024065", "0.09565075503"), strict=True
    ):
        printed(value, text)


def test_fine_gray_of_survival() -> None:
    """`finegray`, then `coxph(weights=, cluster=)`, as in the vignette on competing risks."""
    found = fit_fine_gray(*mgus())
    assert found is not None
    printed(found.coefficients[0], "-0.017301705")
    printed(found.coefficients[1], "-0.259756791")
    printed(found.robust_covariance[0, 0] ** 0.5, "0.0057029316")
    printed(found.robust_covariance[1, 1] ** 0.5, "0.1856346948")
    printed(found.covariance[0, 0] ** 0.5, "0.007022")
    printed(found.covariance[1, 1] ** 0.5, "0.187049")


def test_fine_gray_of_cmprsk() -> None:
    """`crr` counts ties of events and censorings another way: the same data without ties."""
    time, status, x = mgus()
    time = time + np.arange(1, len(time) + 1) / 10_000
    found = fit_fine_gray(time, status, x)
    assert found is not None
    printed(found.coefficients[0], "-0.017294832")
    printed(found.coefficients[1], "-0.259772790")
    printed(found.covariance[0, 0] ** 0.5, "0.0070224354")
    printed(found.robust_covariance[0, 0] ** 0.5, "0.0057017428")  # coxph's
    # crr's own errors, 0.00573 and 0.18571, count the estimated weights: within 1 % of ours
    assert found.robust_covariance[0, 0] ** 0.5 == pytest.approx(0.005733806096, rel=0.01)
    assert found.robust_covariance[1, 1] ** 0.5 == pytest.approx(0.185708734691, rel=0.01)


def test_stratified_fine_gray_of_survival() -> None:
    time, status, x = mgus()
    time = time + np.arange(1, len(time) + 1) / 10_000
    found = fit_fine_gray(time, status, x[:, :1], x[:, 1].astype(np.int64))
    assert found is not None
    printed(found.coefficients[0], "-0.017207357")
    printed(found.robust_covariance[0, 0] ** 0.5, "0.0056717118")


def test_mixed_model_of_nlme() -> None:
    """`lme(distance ~ age * female, random = ~ 1 | subject)` with the age centred."""
    subjects, place = np.unique(texts("subject", "orthodont"), return_inverse=True)
    found = fit_course(
        column("distance", "orthodont"),
        column("age", "orthodont"),
        column("female", "orthodont") == 1,
        place.astype(np.int64),
    )
    assert found is not None
    assert (found.n_patients, found.n_values) == (len(subjects), 108)
    wanted = (("0.784375", "0.07750"), ("-2.321023", "0.7614"), ("-0.304830", "0.12142"))
    for effect, (estimate, error) in zip(found.effects, wanted, strict=True):
        printed(effect.estimate, estimate)
        printed(effect.error, error)


# --- rank tests: Hollander & Wolfe, Nonparametric Statistical Methods, as R's help pages print them

DEPRESSION = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]) - np.array(
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
)


def test_exact_wilcoxon_of_hollander_and_wolfe() -> None:
    """R's help page of wilcox.test prints V = 40, p-value = 0.01953 for the one-sided test."""
    found = signed_rank(DEPRESSION)
    assert found is not None
    assert (found.statistic, found.method) == (40, "exact")
    printed(found.p_value / 2, "0.01953")
    printed(found.p_value, "0.03906")
    shift = hodges_lehmann(DEPRESSION)
    assert shift is not None
    printed(shift.estimate, "0.46")
    printed(shift.low, "0.010")
    printed(shift.high, "0.786")
    printed(shift.confidence, "0.961")  # 96.1 %, as in the book


def test_exact_wilcoxon_with_ties_of_exact_rank_tests() -> None:
    """R's exactRankTests 0.8-35 prints V = 60, p-value = 0.01367."""
    found = signed_rank(np.array([3.0, 5, 5, -2, 7, 8, 1, 1, -1, 4, 0, 6]))
    assert found is not None
    assert (found.statistic, found.n, found.n_zeros, found.n_ties) == (60, 11, 1, 5)
    printed(found.p_value, "0.01367")


def test_exact_rank_sum_of_hollander_and_wolfe() -> None:
    """Permeability of the placenta: W = 35, p-value = 0.1272 one-sided on R's help page."""
    term = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
    weeks = np.array([1.15, 0.88, 0.90, 0.74, 1.21])
    found = rank_sum(np.concatenate([term, weeks]), np.arange(15) < 10)
    assert found is not None
    assert found.method == "exact"
    printed(found.p_value, "0.2544")
    shift = shift_between(term, weeks)
    assert shift is not None
    printed(shift.estimate, "0.305")
    printed(shift.low, "-0.15")
    printed(shift.high, "0.76")


def test_friedman_of_hollander_and_wolfe() -> None:
    """Rounding first base: chi-squared = 11.143, df = 2, p-value = 0.003805 on R's help page."""
    times = [
        *(5.40, 5.50, 5.55, 5.85, 5.70, 5.75, 5.20, 5.60, 5.50, 5.55, 5.50, 5.40, 5.90, 5.85, 5.70),
        *(5.45, 5.55, 5.60, 5.40, 5.40, 5.35, 5.45, 5.50, 5.35, 5.25, 5.15, 5.00, 5.85, 5.80, 5.70),
        *(5.25, 5.20, 5.10, 5.65, 5.55, 5.45, 5.60, 5.35, 5.45, 5.05, 5.00, 4.95, 5.50, 5.50, 5.40),
        *(5.45, 5.55, 5.50, 5.55, 5.55, 5.35, 5.45, 5.50, 5.55, 5.50, 5.45, 5.25, 5.65, 5.60, 5.40),
        *(5.70, 5.65, 5.55, 6.30, 6.30, 6.25),
    ]
    printed(friedman(np.array(times).reshape(22, 3)), "0.003805")


def test_van_elteren_of_coin() -> None:
    """`independence_test(rank / (n + 1) ~ g | s)` of R's coin 1.4-2, ranks within the strata."""
    values = np.array([3.0, 5, 6, 7, 9, 12, 1, 4, 8, 2, 10, 11])
    found = rank_sum(values, np.arange(12) % 2 == 0, np.array([1] * 7 + [2] * 5))
    assert found is not None
    assert found.method == "van Elteren"
    printed(found.p_value, "0.6480768681")


def test_rank_sum_with_ties_of_r() -> None:
    found = rank_sum(column("s100b", "asah"), poor())
    assert found is not None
    assert found.method == "normal"
    printed(found.p_value, "4.509202576e-05")


# --- many tests: Benjamini & Hochberg 1995, 10.1111/j.2517-6161.1995.tb02031.x, their example


def test_adjusted_p_values_of_the_paper_and_of_p_adjust() -> None:
    given = [
        *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
        *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.000),
    ]
    bh, holm = adjusted(given, "bh"), adjusted(given, "holm")
    assert sum(p is not None and p <= 0.05 for p in bh) == 4  # as the paper finds
    wanted = (
        *("0.00150000", "0.00300000", "0.00950000", "0.03562500", "0.06030000", "0.06385714"),
        *("0.06385714", "0.06450000", "0.07650000", "0.48600000", "0.58118182", "0.71487500"),
        *("0.75323077", "0.81321429", "1.00000000"),
    )
    for value, text in zip(bh, wanted, strict=True):
        printed(value, text)
    wanted_holm = (
        *("0.0015", "0.0056", "0.0247", "0.1140", "0.2211", "0.2780", "0.2780", "0.2780"),
        *("0.3213", *("1.0000",) * 6),
    )
    for value, text in zip(holm, wanted_holm, strict=True):
        printed(value, text)


# --- dose and response


def test_four_parameter_curve_of_drc() -> None:
    """`drm(rootl ~ conc, ryegrass, LL.4())`: Ritz et al. 2015, 10.1371/journal.pone.0146021."""
    doses = np.repeat([0, 0.94, 1.88, 3.75, 7.5, 15, 30], [6, 3, 3, 3, 3, 3, 3])
    roots = [
        *(7.58, 8, 8.328571429, 7.25, 7.375, 7.9625, 8.355555556, 6.914285714, 7.75, 6.871428571),
        *(6.45, 5.922222222, 1.925, 2.885714286, 4.233333333, 1.1875, 0.857142857, 1.057142857),
        *(0.6875, 0.525, 0.825, 0.25, 0.22, 0.44),
    ]
    found = fit_dose_response(doses, np.array(roots))
    assert found is not None
    # its optimiser stops where the sixth digit no longer matters: 2.98222 and 3.05795 are printed
    assert found.slope == pytest.approx(2.98222, abs=1e-5)
    assert found.ed50 == pytest.approx(3.05795, abs=1e-5)
    printed(found.lower, "0.48141")
    printed(found.upper, "7.79296")
    printed(found.residual_sd, "0.51963")  # printed as 0.5196256 with 20 degrees of freedom


def test_four_parameter_curve_of_nls() -> None:
    """`nls(density ~ SSfpl(log(conc), A, B, xmid, scal), DNase, Run == 1)` of R's help pages."""
    doses = np.repeat(0.04882812 * np.array([1, 4, 8, 16, 32, 64, 128, 256]), 2)
    density = [
        *(0.017, 0.018, 0.121, 0.124, 0.206, 0.215, 0.377, 0.374, 0.614, 0.609, 1.019, 1.001),
        *(1.334, 1.364, 1.730, 1.710),
    ]
    found = fit_dose_response(doses, np.array(density))
    assert found is not None
    printed(found.lower, "-0.007897")
    printed(found.upper, "2.377239")
    printed(np.log(found.ed50), "1.507403")
    printed(-1 / found.slope, "1.062579")
    printed(found.lower_error, "0.017200")
    printed(found.upper_error, "0.109516")
    printed(found.ed50_error / found.ed50, "0.102080")
    printed(found.residual_sd, "0.01981")


# --- proportions


def test_intervals_of_a_proportion_of_r() -> None:
    """`prop.test(15, 148, correct = FALSE)` and `binom.test(15, 148)`."""
    printed(wilson(15, 148).low, "0.0623864")
    printed(wilson(15, 148).high, "0.1604872")
    printed(exact(15, 148).low, "0.05784401")
    printed(exact(15, 148).high, "0.16165049")


def test_dye_dilution_by_hand() -> None:
    """Cells 1000, 400, 800, 1600 come from 1000, 200, 200, 200 precursors."""
    found = {index.name: index for index in dilution_indices([1000, 400, 800, 1600])}
    assert found["percent_divided"].value == pytest.approx(37.5)
    assert found["division_index"].value == pytest.approx(0.75)
    assert found["proliferation_index"].value == pytest.approx(2.0)
    assert found["expansion_index"].value == pytest.approx(2.375)
    assert found["replication_index"].value == pytest.approx(4.6667, abs=1e-4)
    assert all("Σ" in index.formula for index in found.values())
