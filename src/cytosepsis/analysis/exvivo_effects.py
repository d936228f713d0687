"""Each drug well with its own controls: changes, restoration, response."""

from __future__ import annotations

import math

import polars as pl

from cytosepsis.analysis.exvivo_tables import EFFECTS
from cytosepsis.analysis.wells import (
    EXPERIMENT,
    SAME_PLATE,
    averaged,
    is_logged,
    readouts_of,
)
from cytosepsis.protocol import Study

# A change beyond this times the CV is one (two measurements, 95 %): 1.96 · √2.
MINIMUM_REAL_CHANGE = 2.77


def logged_readouts(study: Study) -> list[str]:
    """Readouts whose changes are ratios."""
    plan = study.analyses.exvivo
    return [marker.name for marker in readouts_of(study) if is_logged(marker, plan)]


def cv_of(study: Study) -> dict[str, float]:
    """Repeatability of each readout that has one."""
    declared = dict(study.analyses.exvivo.cv)
    of_assay = {
        marker.name: study.assay_cv
        for marker in readouts_of(study)
        if marker.kind == "abc" and study.assay_cv
    }
    return {**of_assay, **declared}


def with_stratum(study: Study, wells: pl.DataFrame) -> pl.DataFrame:
    """Add the site and lysis method that donors must share with patients."""
    parts = [
        name
        for name, together in (
            ("site", study.compare_across_sites),
            ("lysis", study.compare_across_lysis),
        )
        if not together
    ]
    if not parts:
        return wells.with_columns(stratum=pl.lit(""))
    filled = [pl.col(name).fill_null(_only(wells[name])) for name in parts]
    joined = pl.concat_str(filled, separator=" · ")
    return wells.with_columns(stratum=joined.str.strip_chars(" ·"))


def _only(column: pl.Series) -> pl.Expr:
    found = column.drop_nulls().unique()
    return pl.lit(str(found[0]) if len(found) == 1 else "", pl.String)


def control_wells(study: Study, wells: pl.DataFrame) -> pl.DataFrame:
    """Wells without a drug, replicates averaged: the controls."""
    means = averaged(wells.filter(pl.col("drug").is_null()), logged_readouts(study))
    return with_stratum(study, means)


def effects_frame(study: Study, wells: pl.DataFrame) -> pl.DataFrame:
    """One row per experiment with a drug; excluded ones say why."""
    logged = logged_readouts(study)
    controls = control_wells(study, wells)
    drugs = wells.filter(pl.col("drug").is_not_null() | pl.col("problem").is_not_null())
    every = drugs.unique(list(EXPERIMENT), maintain_order=True, keep="first").select(
        *EXPERIMENT, "group", "unit", "site", "lysis", "problem"
    )
    read = averaged(drugs, logged).select(*EXPERIMENT, "value", "n_replicates", "flagged")
    rows = every.join(read, on=list(EXPERIMENT), how="left", nulls_equal=True)
    keys = [*SAME_PLATE, "stimulus"]
    own = controls.select(*keys, pl.col("value").alias("control"), flagged_control="flagged")
    bare = controls.filter(pl.col("stimulus").is_null())
    bare = bare.select(*SAME_PLATE, pl.col("value").alias("unstimulated"))
    rows = rows.join(own, on=keys, how="left", nulls_equal=True)
    rows = rows.join(bare, on=list(SAME_PLATE), how="left", nulls_equal=True)
    rows = _with_healthy(study, rows, controls)
    reason = (
        pl.when(pl.col("problem").is_not_null()).then(pl.col("problem"))
        .when(pl.col("value").is_null()).then(pl.lit("no_value"))
        .when(pl.col("control").is_null()).then(pl.lit("no_control"))
        .when(pl.col("unstimulated").is_null()).then(pl.lit("no_unstimulated"))
    )  # fmt: skip
    rows = rows.with_columns(reason=reason, is_log=pl.col("readout").is_in(logged))
    return _changes(study, rows).select(
        pl.col(column.name).cast(column.dtype) for column in EFFECTS.columns
    )


def _with_healthy(study: Study, rows: pl.DataFrame, controls: pl.DataFrame) -> pl.DataFrame:
    """Add the median of donors' controls with the same stimulus, incubation and stratum.

    A donor with several plates counts once.
    """
    keys = ["stratum", "incubation_hours", "readout", "stimulus"]
    donors = controls.filter(pl.col("group") == "healthy")
    each = donors.group_by("patient_id", *keys).agg(pl.col("value").median())
    medians = each.group_by(keys).agg(pl.col("value").median().alias("healthy_control"))
    placed = with_stratum(study, rows)
    return placed.join(medians, on=keys, how="left", nulls_equal=True)


def _changes(study: Study, rows: pl.DataFrame) -> pl.DataFrame:
    value, control, bare = pl.col("value"), pl.col("control"), pl.col("unstimulated")
    healthy, is_log = pl.col("healthy_control"), pl.col("is_log")
    takes_part = pl.col("reason").is_null()
    ratio = pl.when(takes_part & is_log).then(value / control)
    cv = pl.col("readout").replace_strict(cv_of(study), default=None, return_dtype=pl.Float64)
    plan = study.analyses.exvivo
    sign = pl.col("readout").replace_strict(
        {marker.name: (1.0 if plan.direction(marker.name) == "up" else -1.0)
         for marker in readouts_of(study)},
        default=1.0, return_dtype=pl.Float64,
    )  # fmt: skip
    # on the log scale a CV is the SD of the logarithm
    limit = MINIMUM_REAL_CHANGE * pl.when(is_log).then((1 + cv**2).log().sqrt()).otherwise(
        cv * control.abs()
    )
    change = pl.when(is_log).then((value / control).log()).otherwise(value - control)
    gap = pl.when(is_log).then((healthy / control).log()).otherwise(healthy - control)
    restoration = (
        pl.when(pl.col("group") == "healthy").then(pl.lit("no_patients"))
        .when(healthy.is_null()).then(pl.lit("no_donors"))
        .when(cv.is_null()).then(pl.lit("no_cv"))
        .when(gap.abs() <= limit).then(pl.lit("near_healthy"))
    )  # fmt: skip
    flagged = pl.col("flagged").fill_null(value=False) | pl.col("flagged_control").fill_null(
        value=False
    )
    return rows.with_columns(
        scale=pl.when(is_log).then(pl.lit("log10")).otherwise(pl.lit("linear")),
        delta=pl.when(takes_part).then(value - control),
        fold=ratio,
        log2_fold=ratio.log() / math.log(2),
        background_subtracted=pl.when(takes_part).then(value - bare),
        control_background_subtracted=pl.when(takes_part).then(control - bare),
        restoration_reason=pl.when(takes_part).then(restoration).otherwise(pl.col("reason")),
        responder=pl.when(takes_part & cv.is_not_null()).then(sign * change > limit),
        flags=pl.when(takes_part & flagged).then(pl.lit("flagged_values")).otherwise(pl.lit("")),
    ).with_columns(
        restoration_index=pl.when(pl.col("restoration_reason").is_null()).then(change / gap)
    )
