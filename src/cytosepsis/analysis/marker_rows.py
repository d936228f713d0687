"""What stands for each patient, timepoint and marker, with its stratum; or why nothing does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from cytosepsis.analysis.clinical import patients_of
from cytosepsis.protocol import Marker, Study

# Changes of the primary marker from the baseline window, as `patients` has them.
CHANGES = ("ratio", "log10_slope_per_day")
_LOGGED_KINDS = {"abc", "intensity", "count"}


@dataclass(frozen=True, slots=True)
class AnalysedMarker:
    """A marker, or the change of one, as it is analysed."""

    name: str
    unit: str
    is_abc: bool
    logged: bool  # whether its log10 enters models
    lower: bool  # whether low values go with the event, as declared
    cutoffs: tuple[float, ...]


def analysed_markers(study: Study, values: pl.DataFrame) -> tuple[AnalysedMarker, ...]:
    """The markers that the study declares to analyse, in its order, changes after them."""
    plan = study.analyses.plan
    units = dict(values.select("marker", "unit").drop_nulls().unique("marker").iter_rows())
    found = []
    for marker in declared_markers(study):
        is_abc = marker.kind == "abc"
        logged = (marker.kind in _LOGGED_KINDS or marker.name in plan.logged) and (
            marker.name not in plan.linear
        )
        found.append(
            AnalysedMarker(
                marker.name,
                units.get(marker.name) or marker.unit or "",
                is_abc,
                logged,
                plan.direction(marker.name, is_abc=is_abc) == "lower",
                dict(plan.cutoffs).get(marker.name, _cutoffs(study, marker) if is_abc else ()),
            )
        )
    if study.baseline is not None and study.primary_marker is not None:
        for change in CHANGES:
            name = f"{study.primary_marker}.{change}"
            lower = plan.direction(name, is_abc=True) == "lower"
            unit = {"ratio": "", "log10_slope_per_day": "1/day"}[change]
            cutoffs = dict(plan.cutoffs).get(name, ())
            found.append(AnalysedMarker(name, unit, False, change == "ratio", lower, cutoffs))
    wanted = plan.markers
    return tuple(m for m in found if not wanted or m.name in wanted)


def declared_markers(study: Study) -> tuple[Marker, ...]:
    """The study's markers."""
    from cytosepsis.tables.markers import markers_of  # noqa: PLC0415 - one name, two homes

    return markers_of(study)


def _cutoffs(study: Study, marker: Marker) -> tuple[float, ...]:
    lines = [a.abc.cutoffs for a in study.assays if a.name in marker.assay and a.abc]
    return tuple(dict.fromkeys(line for cutoffs in lines for line in cutoffs))


def marker_rows(study: Study, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per patient of the cohort × window × marker, drawn or not.

    Columns: `patient_id`, `timepoint`, `marker`, `value`, `unit`, `known_at_day`, `flagged`,
    `stratum`, `missing` (why there is no value to analyse, as a code; null where there is one).
    """
    plan = study.analyses.plan
    values = _with_strata(study, _all_values(study, tables), tables["samples"])
    windows = pl.DataFrame(
        {"timepoint": [w.name for w in study.windows]}, schema={"timepoint": pl.String}
    )
    markers = values.select("marker").unique(maintain_order=True)
    everybody = (
        _people(study, tables)
        .join(windows, how="cross")
        .join(markers, how="cross")
        .join(values, on=["patient_id", "timepoint", "marker"], how="left")
        .join(_visit_codes(tables), on=["patient_id", "timepoint"], how="left")
    )
    dropped = pl.col("flagged") & (plan.flagged == "drop")
    missing = (
        pl.when(pl.col("membership").is_not_null()).then(pl.col("membership"))
        .when(pl.col("row").is_null()).then(pl.col("visit").fill_null("not_drawn"))
        .when(pl.col("value").is_null()).then(pl.lit("no_value"))
        .when(dropped).then(pl.lit("flagged"))
    )  # fmt: skip
    return everybody.with_columns(missing=missing, stratum=pl.col("stratum").fill_null("")).drop(
        "row", "membership"
    )


def _all_values(study: Study, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Values of markers, and changes of the primary one, of patients in a window."""
    kept = ["patient_id", "timepoint", "marker", "value", "unit", "known_at_day", "status"]
    values = tables["marker_values"].filter(pl.col("group") == "patient")
    values = values.select(*kept, "sample_id")
    patients = tables["patients"].filter(pl.col("group") == "patient")
    changes = [
        patients.filter(pl.col("timepoint") != study.baseline).select(
            "patient_id",
            "timepoint",
            pl.lit(f"{study.primary_marker}.{change}").alias("marker"),
            pl.col(change).alias("value"),
            pl.lit(None, pl.String).alias("unit"),
            pl.col("day").alias("known_at_day"),
            "status",
            "sample_id",
        )
        for change in CHANGES
        if study.baseline is not None and study.primary_marker is not None
    ]
    return (
        pl.concat([values, *changes])
        .with_columns(flagged=pl.col("status") == "flagged", row=pl.lit(value=True))
        .drop("status")
    )


def _with_strata(study: Study, values: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Add the site and lysis method of each value, where the study keeps them apart.

    An empty cell is not another method: it joins the one that the study has, if it has one only.
    """
    parts = []
    if not study.compare_across_sites:
        parts.append("site")
    if not study.compare_across_lysis:
        parts.append("lysis")
    where = samples.select(
        "sample_id",
        *(pl.col(name).fill_null(pl.lit(_only(samples[name]), pl.String)) for name in parts),
    )
    first = pl.col("sample_id").str.split(";").list.first()
    joined = values.with_columns(sample_id=first).join(where, on="sample_id", how="left")
    stratum = (
        pl.concat_str([pl.col(name).fill_null("") for name in parts], separator=" · ")
        if (parts)
        else pl.lit("")
    )
    return joined.with_columns(stratum=stratum.str.strip_chars(" ·")).drop("sample_id", *parts)


def _only(column: pl.Series) -> str | None:
    found = column.drop_nulls().unique()
    return str(found[0]) if len(found) == 1 else None


def is_judged(study: Study, tables: Mapping[str, pl.DataFrame]) -> bool:
    """Whether the cohort's rules decide who is analysed.

    Not where the study asks for everyone, nor where they can be judged for nobody: a study that
    does not record eligibility is analysed whole, and every row is flagged.
    """
    if study.analyses.plan.population == "everyone" or "cohort" not in tables:
        return False
    return bool(tables["cohort"]["verdict"].is_in(["include", "exclude"]).any())


def is_unrecorded(study: Study, tables: Mapping[str, pl.DataFrame]) -> bool:
    """Whether the cohort's rules should decide, and can be judged for nobody."""
    wanted = study.analyses.plan.population == "included" and "cohort" in tables
    return wanted and not is_judged(study, tables)


def _people(study: Study, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Every patient, with why the cohort's rules leave one out."""
    people = pl.DataFrame({"patient_id": patients_of(study)}, schema={"patient_id": pl.String})
    if not is_judged(study, tables):
        return people.with_columns(pl.lit(None, pl.String).alias("membership"))
    verdicts = tables["cohort"].select("patient_id", "verdict")
    codes = {"exclude": "not_in_cohort", "unknown": "cohort_unknown"}
    membership = (
        pl.col("verdict")
        .fill_null("unknown")
        .replace_strict(codes, default=None, return_dtype=pl.String)
    )
    joined = people.join(verdicts, on="patient_id", how="left")
    return joined.with_columns(membership=membership).drop("verdict")


# Why there was no draw: code of `visits` → ours.
_NOT_DRAWN = {
    "died": "died_before_draw",
    "discharged": "discharged_before_draw",
    "observation_ended": "unobserved_before_draw",
    "weekend": "weekend",
}


def _visit_codes(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Why a visit did not take place, where `visits` says so."""
    if "visits" not in tables:
        schema = {"patient_id": pl.String, "timepoint": pl.String, "visit": pl.String}
        return pl.DataFrame(schema=schema)
    visits = tables["visits"].filter(pl.col("timepoint").is_not_null())
    code = pl.col("code").replace_strict(_NOT_DRAWN, default=None, return_dtype=pl.String)
    return visits.select("patient_id", "timepoint", code.alias("visit"))
