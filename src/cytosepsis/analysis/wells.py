"""Ex vivo wells: what was added, what was read, and what their replicates say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from cytosepsis.analysis.marker_rows import declared_markers
from cytosepsis.analysis_plan import ExVivoPlan
from cytosepsis.protocol import Marker, Measurement, Study
from cytosepsis.tables.timepoints import Moment, place

# What makes an experiment; a drug before the stimulus is another than a drug with it.
SAME_DRAW = ("patient_id", "timepoint", "draw")
SAME_PLATE = (*SAME_DRAW, "incubation_hours", "plate", "readout")
DRUG = ("drug", "dose", "dose_unit", "drug_timing")
EXPERIMENT = (*SAME_PLATE, "stimulus", *DRUG)

_DESIGN = ("condition", "stimulus", "drug", "dose", "dose_unit", "drug_timing", "incubation_hours",
           "plate", "replicate")  # fmt: skip
_SCHEMA: dict[str, type[pl.DataType]] = {
    "patient_id": pl.String, "group": pl.String, "timepoint": pl.String, "draw": pl.String,
    "condition": pl.String, "stimulus": pl.String, "drug": pl.String, "dose": pl.Float64,
    "dose_unit": pl.String, "drug_timing": pl.String, "incubation_hours": pl.Float64,
    "plate": pl.String, "replicate": pl.String, "site": pl.String, "lysis": pl.String,
    "readout": pl.String, "value": pl.Float64, "unit": pl.String, "flagged": pl.Boolean,
}  # fmt: skip
LOGGED_KINDS = {"abc", "intensity", "count", "measurement"}


def is_logged(marker: Marker, plan: ExVivoPlan) -> bool:
    """Whether a readout changes by ratios: all do but fractions, and what is declared linear."""
    return marker.kind in LOGGED_KINDS and marker.name not in plan.linear


def readouts_of(study: Study) -> tuple[Marker, ...]:
    """The markers that are read in wells."""
    wanted = study.analyses.exvivo.readouts
    return tuple(m for m in declared_markers(study) if not wanted or m.name in wanted)


def wells_of(study: Study, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per well × readout with a value, or none where it could not be read.

    Empty cells and the study's words for nothing are null in `stimulus` and `drug`; a well whose
    condition alone says what was done has the `problem` `design_unclear`.
    """
    plan = study.analyses.exvivo
    readouts = readouts_of(study)
    parts = [_of_files(tables, marker) for marker in readouts]
    parts.append(_of_measurements(study, [m for m in readouts if m.kind == "measurement"]))
    wells = pl.concat(parts)
    bare = wells.with_columns(
        stimulus=_without(pl.col("stimulus"), plan.no_stimulus),
        drug=_without(pl.col("drug"), plan.no_drug),
        told=_without(pl.col("condition"), (*plan.no_stimulus, *plan.no_drug)),
    )
    nothing = pl.col("stimulus").is_null() & pl.col("drug").is_null()
    none = pl.lit(None)
    return bare.with_columns(
        problem=pl.when(nothing & pl.col("told").is_not_null()).then(pl.lit("design_unclear")),
        **{
            name: pl.when(pl.col("drug").is_null()).then(none).otherwise(pl.col(name))
            for name in ("dose", "dose_unit", "drug_timing")
        },
    ).drop("told")


def averaged(wells: pl.DataFrame, logged: Iterable[str]) -> pl.DataFrame:
    """One row per experiment: replicates averaged, geometrically where a readout is logged.

    A replicate without a value leaves; `n_replicates` counts those that are left.
    """
    is_log = pl.col("readout").is_in(list(logged))
    there = wells.filter(pl.col("value").is_not_null(), pl.col("problem").is_null())
    there = there.filter(~is_log | (pl.col("value") > 0))
    geometric = pl.col("value").log().mean().exp()
    return there.group_by(*EXPERIMENT, maintain_order=True).agg(
        pl.col("group").first(),
        pl.col("unit").first(),
        pl.col("site").first(),
        pl.col("lysis").first(),
        pl.when(pl.len() == 1)
        .then(pl.col("value").first())
        .when(is_log.first())
        .then(geometric)
        .otherwise(pl.col("value").mean())
        .alias("value"),
        pl.len().cast(pl.Int64).alias("n_replicates"),
        pl.col("flagged").any().alias("flagged"),
    )


def _without(column: pl.Expr, words: Iterable[str]) -> pl.Expr:
    """Null where a cell says that nothing was added."""
    return pl.when(~column.str.to_lowercase().is_in([w.lower() for w in words])).then(column)


def _of_files(tables: Mapping[str, pl.DataFrame], marker: Marker) -> pl.DataFrame:
    """Wells that were acquired as FCS files."""
    any_design = pl.any_horizontal(pl.col("condition", "stimulus", "drug").is_not_null())
    samples = tables["samples"].filter(
        pl.col("use"),
        pl.col("role") == "sample",
        pl.col("group").is_in(["patient", "healthy"]),
        (pl.col("review") != "rejected") | pl.col("review").is_null(),
        any_design,
    )
    if marker.assay:
        samples = samples.filter(pl.col("assay").is_in(list(marker.assay)))
    values = _values(tables, marker)
    if values is None:
        return pl.DataFrame(schema=_SCHEMA)
    drawn = pl.coalesce(pl.col("draw_id"), pl.col("drawn_at").cast(pl.String), "timepoint")
    rows = samples.join(values, on="sample_id", how="left").with_columns(
        draw=drawn.fill_null(""),
        readout=pl.lit(marker.name),
        unit=pl.lit(marker.unit or {"abc": "AB/C"}.get(marker.kind, "")),
        flagged=pl.col("status") == "flagged",
    )
    return rows.select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())


def _values(tables: Mapping[str, pl.DataFrame], marker: Marker) -> pl.DataFrame | None:
    """`sample_id` and `value` of a marker; None of one that no file gives."""
    wanted = marker.population or ""
    named = (pl.col("path") == wanted) | (pl.col("population") == wanted)
    match marker.kind:
        case "abc":
            return tables["abc"].select("sample_id", pl.col("abc").alias("value"))
        case "intensity":
            rows = tables["intensities"].filter(named, pl.col("channel") == marker.channel)
            return rows.select("sample_id", pl.col(marker.statistic).alias("value"))
        case "fraction":
            of = marker.of or ""
            whole = (pl.col("path") == of) | (pl.col("population") == of)
            part = tables["populations"].filter(named).select("sample_id", "n_events")
            total = tables["populations"].filter(whole)
            total = total.select("sample_id", pl.col("n_events").alias("of"))
            both = part.join(total, on="sample_id").filter(pl.col("of") > 0)
            return both.select("sample_id", (pl.col("n_events") / pl.col("of")).alias("value"))
        case _:
            return None


def _of_measurements(study: Study, markers: Iterable[Marker]) -> pl.DataFrame:
    """Wells that were measured elsewhere: supernatants, values of another laboratory."""
    names = {marker.measurement or marker.name: marker.name for marker in markers}
    groups = {p.patient_id: p.group for p in study.patients if p.group}
    rows = [
        _measured(study, m, names[m.name], groups.get(m.patient_id, "patient"))
        for m in study.measurements
        if m.name in names and any(dict(m.extra).get(key) for key in _DESIGN[:3])
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _measured(study: Study, m: Measurement, readout: str, group: str) -> dict[str, object]:
    given = dict(m.extra)
    patient = next((p for p in study.patients if p.patient_id == m.patient_id), None)
    at = place(
        Moment(m.drawn_at, m.drawn_at_has_time),
        m.timepoint,
        patient,
        study,
        of_patient=group == "patient",
    )
    texts = {name: given.get(name) or None for name in _DESIGN if name not in _NUMBERS}
    numbers = {name: _number(given.get(name)) for name in _NUMBERS}
    return {
        "patient_id": m.patient_id,
        "group": group,
        "timepoint": at.timepoint if group == "patient" else None,
        "draw": str(m.drawn_at) if m.drawn_at else (m.timepoint or ""),
        **texts,
        **numbers,
        "site": given.get("site") or None,
        "lysis": None,
        "readout": readout,
        "value": m.value,
        "unit": m.unit,
        "flagged": False,
    }


_NUMBERS = ("dose", "incubation_hours")


def _number(text: str | None) -> float | None:
    """A number of a cell that was carried as text; None where it is none."""
    try:
        return None if not text else float(text.replace(",", "."))
    except ValueError:
        return None
