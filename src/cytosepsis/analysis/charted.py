"""What control charts show: values that ought to stay the same, gathered from result tables."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cytosepsis.analysis.sensitivity import LevelSpread, detector_sensitivity

BEAD_KEYS = ("bead_run", "channel", "statistic")
# What makes one chart. `item` is the bead level, the control material, or the gate's parameter.
SERIES = ("quantity", "item", "cytometer", "lot", "channel", "statistic")
POINT = {
    **dict.fromkeys(SERIES, pl.String),
    "run": pl.String,  # bead run or sample
    "together": pl.String,  # controls with the same text were measured in one run (R-4s)
    "value": pl.Float64,
    "unit": pl.String,
    "usable": pl.Boolean,  # false: shown and judged, never learned from
    "given_mean": pl.Float64,  # the lab's own limits, which need no learning
    "given_sd": pl.Float64,
}
TARGETS = ("target_abc", "target_low", "target_high", "target_sd")


def chart_points(tables: Mapping[str, pl.DataFrame], sensitivity: pl.DataFrame) -> pl.DataFrame:
    """Every value that is charted: the columns of `POINT`, and acquired_at.

    Parameters
    ----------
    tables
        The results' `calibrations`, `bead_levels`, `abc`, `samples` and `gates`.
    sensitivity
        As `sensitivity_frame` makes it.

    """
    lines = bead_lines(tables["calibrations"])
    frames = [
        _of_lines(lines, sensitivity),
        _of_levels(lines, tables["bead_levels"]),
        _of_controls(tables["abc"], tables["samples"]),
        _of_gates(tables["gates"], tables["samples"]),
    ]
    return pl.concat(frames)


def bead_lines(calibrations: pl.DataFrame) -> pl.DataFrame:
    """One row a bead run, channel and statistic: the line is the same whatever limits judge it."""
    worst = pl.col("status").replace_strict({"ok": 0, "flagged": 1, "failed": 2})
    return calibrations.sort(worst, descending=True, maintain_order=True).unique(
        list(BEAD_KEYS), keep="first", maintain_order=True
    )


def sensitivity_frame(calibrations: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """Q and B of the detector in each bead run; where the levels do not tell, the reason."""
    lines = bead_lines(calibrations).select(*BEAD_KEYS, "cytometer", "lot", "acquired_at", "slope")
    keyed = dict(levels.group_by(list(BEAD_KEYS), maintain_order=True))
    found = []
    for line in lines.iter_rows(named=True):
        of_run = keyed.get(tuple(line[key] for key in BEAD_KEYS), levels.clear())
        spreads = [
            # along a line of slope s, a relative spread of intensity is s times that of PE
            LevelSpread(pe, cv * pe / line["slope"], n)
            for pe, cv, n in of_run.select("pe_molecules", "cv", "n_events").iter_rows()
            if cv is not None and line["slope"]
        ]
        found.append(detector_sensitivity(spreads))
    names = ("q", "q_se", "b", "b_se", "bead_cv")
    return lines.drop("slope").with_columns(
        *(pl.Series(name, [getattr(f, name) for f in found], pl.Float64) for name in names),
        pl.Series("n_levels", [f.n_levels for f in found], pl.Int64),
        pl.Series("reason", [f.reason for f in found], pl.String),
    )


def _of_lines(lines: pl.DataFrame, sensitivity: pl.DataFrame) -> pl.DataFrame:
    joined = lines.join(
        sensitivity.select(*BEAD_KEYS, "q", "b"), on=list(BEAD_KEYS), how="left", nulls_equal=True
    )
    quantities = (
        ("bead_slope", "slope", ""),
        ("bead_intercept", "intercept", "log10 a.u."),
        ("detector_voltage", "voltage", "V"),
        ("detector_gain", "gain", ""),
        ("detector_q", "q", "photoelectrons per PE"),
        ("detector_b", "b", "PE"),
    )
    # Every quantity is a chart of its own kind: nothing of them is measured twice in a run.
    return pl.concat(
        _points(
            joined,
            quantity=pl.lit(quantity),
            value=pl.col(column),
            unit=pl.lit(unit),
            run=pl.col("bead_run"),
            usable=pl.col("status") != "failed",
        )
        for quantity, column, unit in quantities
    )


def _of_levels(lines: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    about = lines.select(*BEAD_KEYS, "cytometer", "lot", "acquired_at", "status")
    joined = levels.join(about, on=list(BEAD_KEYS), how="inner", nulls_equal=True)
    # Named by what the lot declares: with a level missing, numbers would name another one.
    item = pl.format("{} PE", pl.col("pe_molecules").round(0).cast(pl.Int64))
    return pl.concat(
        _points(
            joined,
            quantity=pl.lit(quantity),
            item=item,
            value=pl.col(column),
            unit=pl.lit(unit),
            run=pl.col("bead_run"),
            together=pl.format("{}/{}/{}", *BEAD_KEYS) if quantity == "bead_level" else None,
            usable=pl.col("status") != "failed",
        )
        for quantity, column, unit in (
            ("bead_level", "intensity", "a.u."),
            ("bead_level_cv", "cv", "fraction"),
        )
    )


def _of_controls(abc: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    about = samples.select(
        "sample_id", "cytometer", "reagent_lot", "acquired_at", "use", *targets_of(samples)
    )
    joined = abc.filter(pl.col("group") == "control").join(about, on="sample_id", how="left")
    return _points(
        joined,
        quantity=pl.lit("control_abc"),
        item=pl.col("patient_id"),
        lot=pl.col("reagent_lot"),
        value=pl.col("abc"),
        unit=pl.lit("AB/C"),
        run=pl.col("sample_id"),
        # Several control materials of one bead run and day were measured together.
        together=pl.format("{}/{}", "bead_run", pl.col("acquired_at").dt.date()),
        usable=pl.col("use") & (pl.col("review") != "rejected").fill_null(True),
        given_mean=pl.when(pl.col("target_sd") > 0).then(pl.col("target_abc")),
        given_sd=pl.when(pl.col("target_sd") > 0).then(pl.col("target_sd")),
    )


def _of_gates(gates: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Where data-driven gates were found: cuts, centres and slopes, each a chart of its path.

    Of donors and control blood only: in patients the cells move, in these the instrument.
    """
    steady = samples.filter(pl.col("group").is_in(["healthy", "control"]), pl.col("use"))
    about = steady.select("sample_id", "cytometer", "acquired_at", "assay")
    found = gates.filter(pl.col("standing") == "found").join(about, on="sample_id", how="inner")
    numbers = pl.col("numbers")
    return pl.concat(
        _points(
            found.filter(pl.col("type") == kind),
            quantity=pl.lit("gate_position"),
            item=pl.format(f"{{}} {{}} {name}", "assay", "path"),
            channel=pl.col("channels"),
            value=numbers.str.json_path_match(f"$.{name}").cast(pl.Float64, strict=False),
            unit=pl.lit("axis"),
            run=pl.col("sample_id"),
            usable=pl.col("gate_status") == "ok",
        )
        for kind, name in (
            ("threshold", "cut"),
            ("cluster", "centre_x"),
            ("cluster", "centre_y"),
            ("singlet", "slope"),
        )
    )


def targets_of(samples: pl.DataFrame) -> list[pl.Expr]:
    """The targets of the sample sheet's further columns, as numbers; null where there is none."""
    return [
        (
            pl.col(name).str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
            if name in samples.columns
            else pl.lit(None, pl.Float64).alias(name)
        )
        for name in TARGETS
    ]


def _points(frame: pl.DataFrame, **columns: pl.Expr | None) -> pl.DataFrame:
    """The columns of a point, from those of a frame that bear their names, or as they are given."""
    missing = pl.lit(None)
    chosen = []
    for name, dtype in POINT.items():
        source = columns.get(name)
        if source is None:
            source = pl.col(name) if name in frame.columns and name not in columns else missing
        chosen.append(source.cast(dtype).alias(name))
    return frame.select(*chosen, "acquired_at")
