"""The questions of a study, each with the patients who can answer it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cytosepsis.analysis.clinical import clinical_frame
from cytosepsis.analysis.episodes import UNKNOWN, after_landmark, outcome_days
from cytosepsis.analysis.marker_rows import (
    AnalysedMarker,
    analysed_markers,
    is_unrecorded,
    marker_rows,
)
from cytosepsis.analysis_plan import AnalysisPlan, Question
from cytosepsis.protocol import Outcome, Study

Numbers = NDArray[np.float64]
ROLES = ("primary", "family", "exploratory")


@dataclass(frozen=True, slots=True)
class Cell:
    """One marker × timepoint × outcome: patients with a value, at risk, with a known outcome."""

    question: Question
    role: str
    marker: AnalysedMarker
    outcome: Outcome
    rows: pl.DataFrame  # every patient of the study, with `missing`, `stage`, `code`
    unrecorded: bool = False  # eligibility should decide, and is known of nobody

    @property
    def known(self) -> pl.DataFrame:
        """Who has a value, is at risk and whose outcome by the horizon is known."""
        return self.rows.filter(pl.col("missing").is_null(), pl.col("stage").is_null())

    @property
    def followed(self) -> pl.DataFrame:
        """Who has a value, is at risk and is followed for some time, lost ones included."""
        return self.rows.filter(pl.col("missing").is_null(), pl.col("time") > 0)

    def model_scale(self, values: Numbers) -> Numbers | None:
        """Values as models take them; None where a logarithm does not exist."""
        if not self.marker.logged:
            return values
        return np.log10(values) if (values > 0).all() else None

    def rng(self, plan: AnalysisPlan, what: str) -> np.random.Generator:
        """Make random numbers of this question alone: other questions do not shift them."""
        words = (self.question.marker, self.question.timepoint, self.question.outcome, what)
        return random_of(plan, *words)


def random_of(plan: AnalysisPlan, *words: str) -> np.random.Generator:
    """Make a stream of random numbers named by words, under the study's seed."""
    digest = hashlib.sha256("\n".join(words).encode()).digest()
    return np.random.default_rng([plan.seed, *np.frombuffer(digest[:16], dtype="<u4").tolist()])


def cells_of(study: Study, tables: Mapping[str, pl.DataFrame]) -> tuple[Cell, ...]:
    """Every question of the study, in the order of outcomes, windows, markers."""
    return tuple(_cells(study, tables))


def _cells(study: Study, tables: Mapping[str, pl.DataFrame]) -> Iterator[Cell]:
    plan = study.analyses.plan
    values = marker_rows(study, tables)
    markers = analysed_markers(study, tables["marker_values"])
    parts = values.partition_by(["timepoint", "marker"], as_dict=True)
    covariates = covariates_of(study)
    unrecorded = is_unrecorded(study, tables)
    for outcome in study.outcomes:
        if plan.outcomes and outcome.name not in plan.outcomes:
            continue
        days = outcome_days(study, outcome)
        for window in study.windows:
            if plan.timepoints and window.name not in plan.timepoints:
                continue
            for marker in markers:
                rows = parts.get((window.name, marker.name))
                if rows is None or (rows["known_at_day"].is_null() & rows["value"].is_null()).all():
                    continue
                question = Question(marker.name, window.name, outcome.name)
                whole = after_landmark(rows, days, outcome.horizon)
                whole = whole.join(covariates, on="patient_id", how="left")
                yield Cell(question, role_of(question, plan), marker, outcome, whole, unrecorded)


def covariates_of(study: Study) -> pl.DataFrame:
    """The declared covariates of each patient, as `covariate_0`, `covariate_1`, and so on."""
    names = study.analyses.plan.covariates
    others = [name for name in names if name != "age"]
    clinical = clinical_frame(study, numbers=others)
    return clinical.select(
        "patient_id", *(pl.col(name).alias(f"covariate_{i}") for i, name in enumerate(names))
    )


def role_of(question: Question, plan: AnalysisPlan) -> str:
    """Whether a question was fixed beforehand."""
    if question == plan.primary:
        return "primary"
    return "family" if question in plan.family else "exploratory"


def strata_of(rows: pl.DataFrame) -> NDArray[np.int64]:
    """A number per stratum, from 0 in the order of their names."""
    _, numbers = np.unique(rows["stratum"].to_numpy(), return_inverse=True)
    return numbers.astype(np.int64)


def excluded(cell: Cell) -> list[tuple[str, str, str]]:
    """Stage, code and patient of everybody who takes no part."""
    stage = (
        pl.when(pl.col("missing").is_not_null()).then(pl.lit("missing")).otherwise(pl.col("stage"))
    )
    code = pl.coalesce("missing", "code")
    left = cell.rows.select(stage.alias("stage"), code.alias("code"), "patient_id")
    return list(left.drop_nulls("stage").iter_rows())


def n_of(cell: Cell, stage: str) -> int:
    """How many with a value take no part for one reason."""
    rows = cell.rows.filter(pl.col("missing").is_null(), pl.col("stage") == stage)
    return rows.height


__all__ = [
    "ROLES",
    "UNKNOWN",
    "Cell",
    "cells_of",
    "covariates_of",
    "excluded",
    "n_of",
    "random_of",
    "role_of",
    "strata_of",
]
