"""Which visits took place: every patient × window with what was drawn in it, or why nothing was."""

from __future__ import annotations

import polars as pl

from cytosepsis.analysis.clinical import DEATH, DISCHARGE, FOLLOWUP, clinical_frame, patients_of
from cytosepsis.analysis.visit_tables import VISIT_CODES, VISITS
from cytosepsis.protocol import Study

# What ends a patient's visits: column of the clinical sheet → code and words.
_ENDS = {
    DEATH: ("died", "died on day"),
    DISCHARGE: ("discharged", "left intensive care on day"),
    FOLLOWUP: ("observation_ended", "was observed until day"),
}
_EX_VIVO = ("condition", "stimulus", "drug")
_OUTSIDE = ("before_onset", "out_of_window", "onset_unknown", "draw_unknown")
_TIME_FLAGS = ("timepoint_mismatch", "day_approximate", *_OUTSIDE)
_SATURDAY = 6  # Monday is 1
_DAY = 86_400_000_000  # µs
_VISIT = ["patient_id", "timepoint"]


def visits_frame(study: Study, samples: pl.DataFrame, marker_values: pl.DataFrame) -> pl.DataFrame:
    """The `visits` table, from the run's tables `samples` and `marker_values`."""
    acquired = _acquired(samples)
    measured = _measured(marker_values)
    people = pl.DataFrame({"patient_id": patients_of(study)}, schema={"patient_id": pl.String})
    people = people.with_row_index("rank")
    inside = acquired.filter(pl.col("timepoint").is_not_null())
    visited = pl.concat([inside.select(_VISIT), measured.select(_VISIT)]).unique(
        maintain_order=True
    )
    windows = _windows(study)
    others = visited.join(windows, on="timepoint", how="anti").drop_nulls()
    labels = [*windows["timepoint"], *others["timepoint"].unique(maintain_order=True)]
    visits = pl.concat([people.join(windows, how="cross").drop("rank"), others], how="diagonal")
    visits = visits.join(_summed(inside, _VISIT), on=_VISIT, how="left").join(
        measured, on=_VISIT, how="left"
    )
    outside = acquired.filter(pl.col("timepoint").is_null()).with_columns(code=_outside_code())
    strayed = _summed(outside, ["patient_id", "code"]).with_columns(
        status=pl.lit("outside"), reason=_meaning()
    )
    rows = pl.concat([_explained(visits, study), strayed], how="diagonal")
    ranks = {label: rank for rank, label in enumerate(labels)}
    place = pl.col("timepoint").replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64)
    return (
        rows.join(people, on="patient_id")
        .with_columns(
            pl.col("n_samples", "n_values").fill_null(0),
            pl.col("sample_ids", "flags").fill_null(""),
            days=pl.col("days").fill_null(pl.col("value_days")).fill_null(""),
        )
        .sort("rank", place, "code", maintain_order=True)
        .select(pl.col(column.name).cast(column.dtype) for column in VISITS.columns)
    )


def _acquired(samples: pl.DataFrame) -> pl.DataFrame:
    """Acquisitions that could stand for a visit: used, of patients, no controls, not ex vivo."""
    return samples.filter(
        pl.col("use"),
        pl.col("role") == "sample",
        pl.col("group") == "patient",
        pl.all_horizontal(pl.col(*_EX_VIVO).is_null()),
    ).select("sample_id", "patient_id", "timepoint", "day", pl.col("flags").str.split(";"))


def _measured(marker_values: pl.DataFrame) -> pl.DataFrame:
    """Visit → how many markers have a usable value, and the days of these."""
    return (
        marker_values.filter(pl.col("value").is_not_null())
        .group_by(_VISIT, maintain_order=True)
        .agg(
            pl.col("marker").n_unique().cast(pl.Int64).alias("n_values"),
            _joined(pl.col("day").drop_nulls().unique().sort()).alias("value_days"),
        )
    )


def _summed(acquired: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """One row per visit, or per patient and code, of what was acquired for it."""
    found = pl.col("flags").list.explode(keep_nulls=False, empty_as_null=False)
    said = pl.lit(pl.Series(_TIME_FLAGS)).filter(pl.lit(pl.Series(_TIME_FLAGS)).is_in(found))
    return acquired.group_by(by, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n_samples"),
        _joined(pl.col("day").drop_nulls().unique().sort()).alias("days"),
        _joined(pl.col("sample_id")).alias("sample_ids"),
        said.implode().list.join(";").alias("flags"),
    )


def _windows(study: Study) -> pl.DataFrame:
    return pl.DataFrame(
        [(w.name, w.first_day, w.last_day) for w in study.windows],
        schema={"timepoint": pl.String, "first_day": pl.Float64, "last_day": pl.Float64},
        orient="row",
    )


def _outside_code() -> pl.Expr:
    """Why an acquisition belongs to no visit, from its flags."""
    code = pl.lit("no_windows")
    for flag in reversed(_OUTSIDE):
        code = pl.when(pl.col("flags").list.contains(flag)).then(pl.lit(flag)).otherwise(code)
    return code


def _explained(visits: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Status, code and reason of every visit."""
    known = visits.join(_ends(study), on="patient_id", how="left").with_columns(
        weekend=_weekend_only()
    )
    usable = pl.col("n_values").fill_null(0) > 0
    acquired = pl.col("n_samples").fill_null(0) > 0
    end = pl.col("end_day")
    of_end = pl.format("{} {}", "end_words", end.cast(pl.String).str.strip_suffix(".0"))
    code = (
        pl.when(usable).then(None)
        .when(acquired).then(pl.lit("no_value"))
        .when(end <= pl.col("last_day")).then(pl.col("end_code"))
        .when("weekend").then(pl.lit("weekend"))
        .otherwise(pl.lit("not_drawn"))
    )  # fmt: skip
    status = (
        pl.when(usable).then(pl.lit("drawn"))
        .when(acquired).then(pl.lit("unusable"))
        .when(end < pl.col("first_day")).then(pl.lit("not_expected"))
        .otherwise(pl.lit("missing"))
    )  # fmt: skip
    said = pl.when(pl.col("code") == pl.col("end_code")).then(of_end).otherwise(_meaning())
    return known.with_columns(code=code, status=status).with_columns(reason=said)


def _ends(study: Study) -> pl.DataFrame:
    """Patient → what ends the visits, its day, and the calendar date of shock onset.

    The first end decides; of one day, in the order above.
    """
    clinical = clinical_frame(study, numbers=_ENDS)
    order = {column: rank for rank, column in enumerate(_ENDS)}
    ends = (
        clinical.unpivot(list(_ENDS), index="patient_id", variable_name="column", value_name="day")
        .drop_nulls("day")
        .sort("day", pl.col("column").replace_strict(order, return_dtype=pl.Int64))
        .group_by("patient_id", maintain_order=True)
        .first()
        .select(
            "patient_id",
            end_day="day",
            end_code=_of_end(0),
            end_words=_of_end(1),
        )
    )
    local = pl.col("shock_onset").dt.convert_time_zone(study.timezone or "UTC")
    return clinical.select("patient_id", onset=local.dt.replace_time_zone(None)).join(
        ends, on="patient_id", how="left"
    )


def _of_end(index: int) -> pl.Expr:
    words = {column: said[index] for column, said in _ENDS.items()}
    return pl.col("column").replace_strict(words, return_dtype=pl.String)


def _weekend_only() -> pl.Expr:
    """Whether at every noon of a window, local time, it was Saturday or Sunday.

    Onset without an hour stands at midnight, which makes these the calendar days of the window.
    """
    half = pl.duration(hours=12)
    tick = pl.duration(microseconds=1)  # the window's end is no part of it
    begin, end = (
        pl.col("onset") + pl.duration(microseconds=(days * _DAY).cast(pl.Int64))
        for days in (pl.col("first_day") - 1, pl.col("last_day"))
    )
    first, last = (begin + half - tick).dt.date(), (end - half - tick).dt.date()
    noons = pl.date_ranges(first, last)
    return noons.list.eval(pl.element().dt.weekday() >= _SATURDAY).list.all().fill_null(value=False)


def _meaning() -> pl.Expr:
    return pl.col("code").replace_strict(VISIT_CODES, default=None, return_dtype=pl.String)


def _joined(values: pl.Expr) -> pl.Expr:
    return values.cast(pl.String).str.join(";")
