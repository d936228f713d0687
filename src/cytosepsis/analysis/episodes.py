"""What follows a draw: who is still at risk of an outcome then, and what became of them.

The landmark is the day on which a value is known. Only patients who are alive, free of the event
and under observation then take part; an event of that very day may have come first, and is left
out. Not observed is unknown, never event-free.
"""

from __future__ import annotations

import polars as pl

from cytosepsis.analysis.clinical import clinical_frame
from cytosepsis.protocol import Outcome, Study
from cytosepsis.statistics.fine_gray import CENSORED, COMPETING, EVENT

NOT_AT_RISK, UNKNOWN = "not_at_risk", "unknown_outcome"


def outcome_days(study: Study, outcome: Outcome) -> pl.DataFrame:
    """Each patient of the clinical sheet: `event_day`, `competing_day` (the first), `until`."""
    columns = [outcome.event_day, *outcome.competing_day]
    if outcome.observed_until:
        columns.append(outcome.observed_until)
    clinical = clinical_frame(study, numbers=dict.fromkeys(columns))
    competing = [pl.col(name) for name in outcome.competing_day]
    until = pl.col(outcome.observed_until) if outcome.observed_until else pl.lit(None, pl.Float64)
    return clinical.select(
        "patient_id",
        pl.col(outcome.event_day).alias("event_day"),
        (pl.min_horizontal(competing) if competing else pl.lit(None, pl.Float64)).alias(
            "competing_day"
        ),
        until.alias("until"),
    )


def after_landmark(values: pl.DataFrame, days: pl.DataFrame, horizon: float | None) -> pl.DataFrame:
    """Say for each row what follows its `known_at_day`.

    Adds `stage` and `code` (null of who takes part; `stage` says in which respect not), `event`
    (by the horizon; null where unknown), `time` (days since the landmark) and `status` (0 censored,
    1 event, 2 competing) up to the horizon; null of who is not at risk.

    An event and a competing event of one day: the event counts. A competing event that comes first
    ends the wait.
    """
    landmark, event = pl.col("known_at_day").cast(pl.Float64), pl.col("event_day")
    competing, until = pl.col("competing_day"), pl.col("until")
    end = pl.lit(horizon, pl.Float64)
    first = pl.min_horizontal(event, competing)
    known = values.join(days.with_columns(in_sheet=True), on="patient_id", how="left")
    risk = (
        pl.when(landmark.is_null()).then(pl.lit("day_unknown"))
        .when(end <= landmark).then(pl.lit("horizon_passed"))
        .when(event < landmark).then(pl.lit("event_before"))
        .when(competing < landmark).then(pl.lit("competing_before"))
        .when(event < landmark + 1).then(pl.lit("event_that_day"))
        .when(competing < landmark + 1).then(pl.lit("competing_before"))
        .when(first.is_null() & (until <= landmark)).then(pl.lit("observation_ended"))
    )  # fmt: skip
    known = known.with_columns(risk_code=risk)
    status = (
        pl.when(event.is_not_null() & (event == first)).then(EVENT)
        .when(first.is_not_null()).then(COMPETING)
        .otherwise(CENSORED)
    )  # fmt: skip
    stop = pl.coalesce(first, until)
    cut = end.is_not_null() & (stop > end)
    known = known.with_columns(
        status=pl.when(cut).then(CENSORED).otherwise(status).cast(pl.Int64),
        stop=pl.when(cut).then(end).otherwise(stop),
        free=pl.when(end.is_not_null()).then(stop >= end),
    )
    unknown = (
        pl.when(pl.col("in_sheet").is_null()).then(pl.lit("not_in_clinical"))
        .when(pl.col("stop").is_null()).then(pl.lit("observation_unknown"))
        .when(end.is_null()).then(pl.lit("no_horizon"))
        .when((pl.col("status") == CENSORED) & ~pl.col("free")).then(pl.lit("lost_before_horizon"))
    )  # fmt: skip
    at_risk = pl.col("risk_code").is_null()
    followed = at_risk & pl.col("stop").is_not_null()
    return (
        known.with_columns(unknown_code=pl.when(at_risk).then(unknown))
        .with_columns(
            stage=pl.when(~at_risk)
            .then(pl.lit(NOT_AT_RISK))
            .when(pl.col("unknown_code").is_not_null())
            .then(pl.lit(UNKNOWN)),
            code=pl.coalesce("risk_code", "unknown_code"),
            time=pl.when(followed).then(pl.col("stop") - landmark),
            status=pl.when(followed).then(pl.col("status")),
        )
        .with_columns(event=pl.when(pl.col("stage").is_null()).then(pl.col("status") == EVENT))
        .drop(
            "risk_code", "unknown_code", "in_sheet", "stop", "free",
            "event_day", "competing_day", "until",
        )
    )  # fmt: skip
