"""Groups of patients with alike courses, found without outcomes; how many, and how stable they are.

Groups are those of this study's data. They are no published endotypes, and no classifier of them.
"""
# ruff: noqa: PLC0415 - scikit-learn is slow to import: where it is used

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cytosepsis.analysis.endotype_tables import (
    ENDOTYPE_CODES,
    ENDOTYPE_NUMBERS,
    ENDOTYPE_PROFILES,
    ENDOTYPES,
)
from cytosepsis.analysis.mixtures import Matrix, Mixture, bic, fit_mixture
from cytosepsis.protocol import Study
from cytosepsis.tables.markers import primary_of
from cytosepsis.tables.schemas import frame
from cytosepsis.trajectory_rules import EndotypeRules

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Number:
    """One number of groups that was tried."""

    n_groups: int
    fit: Mixture
    labels: Labels
    bic: float
    smallest: int  # patients in the smallest group
    # Mean adjusted Rand index over resamples, and its 5th percentile; None where not asked.
    stability: float | None = None
    stability_low: float | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """All numbers that were tried, and which one was chosen."""

    numbers: tuple[Number, ...]
    chosen: Number

    def status(self, rules: EndotypeRules) -> str:
        """`one_group`, `stable` or `unstable`."""
        if self.chosen.n_groups == 1:
            return "one_group"
        return "stable" if (self.chosen.stability or 0.0) >= rules.min_stability else "unstable"


def group_courses(values: Matrix, rules: EndotypeRules) -> Grouping:
    """Cluster courses on log10, (n_patients, n_windows), NaN where a visit has no value.

    For each number of groups a mixture of Gaussians with one covariance is fitted; the number with
    the lowest BIC is chosen among those whose smallest group has `min_group` patients. Groups are
    numbered from the one that ends highest. Stability, of the chosen number and its neighbours: the
    same on resampled patients, all patients then put into the groups found there, compared by the
    adjusted Rand index.
    """
    most = min(rules.max_groups, len(values) // rules.min_group)
    tried = [_number(values, k, rules) for k in range(1, most + 1)]
    eligible = [n for n in tried if n.n_groups == 1 or n.smallest >= rules.min_group]
    best = min(eligible, key=lambda number: number.bic).n_groups
    numbers = tuple(
        _with_stability(number, values, rules)
        if number.n_groups > 1 and abs(number.n_groups - best) <= 1
        else number
        for number in tried
    )
    return Grouping(numbers, numbers[best - 1])


def analyze_endotypes(study: Study, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables of `cytosepsis endotypes`, from `marker_values` and `cohort`."""
    rules = study.endotypes
    marker = _marker(study)
    windows = list(rules.timepoints or (window.name for window in study.windows))
    wide = _wide(tables["marker_values"], tables["cohort"], marker, windows)
    matrix = np.empty((wide.height, 0))
    if windows:
        matrix = wide.select(windows).to_numpy().astype(np.float64)
    counted = np.sum(~np.isnan(matrix), axis=1)
    analysed = wide["analysed"].to_numpy().astype(bool)
    enough = analysed & (counted >= max(rules.min_values, 1))
    used = matrix[enough]
    seen = np.asarray(~np.isnan(used).all(axis=0)) if len(used) else np.zeros(len(windows), bool)
    grouping = None
    if len(used) >= 2 * rules.min_group:
        grouping = group_courses(used[:, seen], rules)
    codes = np.where(analysed, np.where(enough, "", "too_few_values"), "not_analysed")
    if grouping is None:
        codes = np.where(codes == "", "too_few_patients", codes)
    names = [name for name, kept in zip(windows, seen, strict=True) if kept]
    return {
        "endotypes": _endotypes(wide, marker, enough, codes, grouping, used[:, seen], counted),
        "endotype_profiles": _profiles(marker, names, grouping, used[:, seen]),
        "endotype_numbers": _numbers(marker, grouping, rules),
    }


def _number(values: Matrix, k: int, rules: EndotypeRules) -> Number:
    fit = _ordered(fit_mixture(values, _starts(values, k, rules.seed, several=True)))
    labels = np.asarray(fit.probabilities(values).argmax(axis=1), dtype=np.int64)
    sizes = np.bincount(labels, minlength=k)
    return Number(
        n_groups=k,
        fit=fit,
        labels=labels,
        bic=bic(fit, len(values)),
        smallest=int(sizes.min()),
    )


def _with_stability(number: Number, values: Matrix, rules: EndotypeRules) -> Number:
    scores = _stability(values, number.n_groups, number.labels, rules)
    if not scores.size:
        return number
    low = float(np.quantile(scores, 0.05))
    return replace(number, stability=float(scores.mean()), stability_low=low)


def _starts(values: Matrix, k: int, seed: int, *, several: bool) -> list[Labels]:
    """First guesses by k-means: of the levels, and of the shapes without each patient's level."""
    if k == 1:
        return [np.zeros(len(values), dtype=np.int64)]
    from sklearn.cluster import KMeans

    filled = np.where(np.isnan(values), np.nanmean(values, axis=0), values)
    level = np.nanmean(values, axis=1, keepdims=True)
    shapes = values - level
    shapes = np.where(np.isnan(shapes), np.nanmean(shapes, axis=0), shapes)
    means = KMeans(n_clusters=k, n_init=5 if several else 1, random_state=seed)
    guesses = [
        np.asarray(means.fit_predict(view), dtype=np.int64)
        for view in (filled, shapes)
        if len(np.unique(view, axis=0)) >= k
    ]
    return guesses or [np.arange(len(values), dtype=np.int64) % k]


def _stability(values: Matrix, k: int, labels: Labels, rules: EndotypeRules) -> Matrix:
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng([rules.seed, k])
    scores = []
    for _ in range(rules.resamples):
        some = values[rng.integers(0, len(values), len(values))]
        if np.isnan(some).all(axis=0).any():
            continue  # no value at all of one window: nothing can be said of it
        fit = fit_mixture(some, _starts(some, k, rules.seed, several=False))
        again = fit.probabilities(values).argmax(axis=1)
        scores.append(float(adjusted_rand_score(labels, again)))
    return np.asarray(scores)


def _ordered(fit: Mixture) -> Mixture:
    """Groups from the one that ends highest."""
    order = np.argsort(-fit.means[:, -1], kind="stable")
    return Mixture(fit.weights[order], fit.means[order], fit.covariance, fit.log_likelihood)


def _marker(study: Study) -> str | None:
    primary = primary_of(study)
    return study.endotypes.marker or (primary.name if primary else None)


def _wide(
    marker_values: pl.DataFrame, cohort: pl.DataFrame, marker: str | None, windows: Sequence[str]
) -> pl.DataFrame:
    """One row per patient of the cohort: log10 of the marker at each window, null without one."""
    positive = pl.when(pl.col("value") > 0).then(pl.col("value").log10())
    long = marker_values.filter(
        pl.col("marker") == pl.lit(marker), pl.col("timepoint").is_in(list(windows))
    ).with_columns(log10=positive)
    known = long.filter(pl.col("log10").is_not_null())
    last = known.group_by("patient_id").agg(pl.col("known_at_day").max())
    wide = cohort.select("patient_id", "analysed").join(last, on="patient_id", how="left")
    for window in windows:
        at = known.filter(pl.col("timepoint") == window).select(
            "patient_id", pl.col("log10").alias(window)
        )
        wide = wide.join(at, on="patient_id", how="left", maintain_order="left")
    return wide.with_columns(pl.col(list(windows)).cast(pl.Float64)) if windows else wide


def _endotypes(
    wide: pl.DataFrame,
    marker: str | None,
    enough: NDArray[np.bool_],
    codes: NDArray[np.str_],
    grouping: Grouping | None,
    used: Matrix,
    counted: NDArray[np.int64],
) -> pl.DataFrame:
    n = wide.height
    names: list[str | None] = [None] * n
    chances: list[float | None] = [None] * n
    if grouping is not None:
        chosen = grouping.chosen
        chance = chosen.fit.probabilities(used)
        for place, row, label in zip(np.flatnonzero(enough), chance, chosen.labels, strict=True):
            names[place] = f"E{label + 1}"
            chances[place] = float(row[label])
    found = [str(code) or None for code in codes]
    return frame(
        ENDOTYPES.columns,
        {
            "patient_id": wide["patient_id"].to_list(),
            "marker": [marker] * n,
            "endotype": names,
            "probability": chances,
            "n_values": [int(value) for value in counted],
            "known_at_day": [
                day if name else None
                for day, name in zip(wide["known_at_day"].to_list(), names, strict=True)
            ],
            "code": found,
            "reason": [ENDOTYPE_CODES[code] if code else None for code in found],
        },
    )


def _profiles(
    marker: str | None, windows: Sequence[str], grouping: Grouping | None, used: Matrix
) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    if grouping is not None:
        chosen = grouping.chosen
        spread = np.sqrt(np.diag(chosen.fit.covariance))
        for group, means in enumerate(chosen.fit.means):
            mine = used[chosen.labels == group]
            for index, window in enumerate(windows):
                centre, sd = float(means[index]), float(spread[index])
                rows.append(
                    {
                        "marker": marker,
                        "endotype": f"E{group + 1}",
                        "timepoint": window,
                        "n_patients": len(mine),
                        "n_values": int(np.sum(~np.isnan(mine[:, index]))),
                        "geometric_mean": 10.0**centre,
                        "low": 10.0 ** (centre - 1.96 * sd),
                        "high": 10.0 ** (centre + 1.96 * sd),
                    }
                )
    return frame(
        ENDOTYPE_PROFILES.columns,
        {name: [row[name] for row in rows] for name in ENDOTYPE_PROFILES.names},
    )


def _numbers(marker: str | None, grouping: Grouping | None, rules: EndotypeRules) -> pl.DataFrame:
    numbers = grouping.numbers if grouping else ()
    chosen = grouping.chosen if grouping else None
    return frame(
        ENDOTYPE_NUMBERS.columns,
        {
            "marker": [marker] * len(numbers),
            "n_groups": [number.n_groups for number in numbers],
            "n_patients": [len(number.labels) for number in numbers],
            "log_likelihood": [number.fit.log_likelihood for number in numbers],
            "n_parameters": [number.fit.n_parameters for number in numbers],
            "bic": [number.bic for number in numbers],
            "smallest_group": [number.smallest for number in numbers],
            "stability": [number.stability for number in numbers],
            "stability_low": [number.stability_low for number in numbers],
            "chosen": [number is chosen for number in numbers],
            "status": [
                grouping.status(rules) if grouping and number is chosen else None
                for number in numbers
            ],
            "reason": [_why(number, grouping, rules) for number in numbers if grouping],
        },
    )


def _why(number: Number, grouping: Grouping, rules: EndotypeRules) -> str:
    if number is grouping.chosen:
        return "lowest BIC of those whose groups are large enough"
    if number.n_groups > 1 and number.smallest < rules.min_group:
        return f"a group of {number.smallest}, fewer than {rules.min_group} patients"
    return f"BIC higher by {number.bic - grouping.chosen.bic:.1f}"
