"""The declared columns of every table: name, type, unit and meaning, in the order they are written.

The documentation is printed from here, and every frame is built to it: absent values are null,
never NaN.
"""

from __future__ import annotations

import polars as pl

from cytosepsis.tables.columns import MOMENT, Column, Table, frame
from cytosepsis.tables.columns import count as _count
from cytosepsis.tables.columns import moment as _moment
from cytosepsis.tables.columns import number as _number
from cytosepsis.tables.columns import text as _text
from cytosepsis.tables.columns import truth as _truth
from cytosepsis.tables.quality_schemas import OVERRIDES, QUALITY, QUALITY_BINS, QUALITY_WINDOWS

_SAMPLE_ID = Column("sample_id", pl.String, "", "The sample sheet's id of the acquisition.")
_PATIENT_ID = Column("patient_id", pl.String, "", "The patient or donor.")
_TIMEPOINT = Column(
    "timepoint", pl.String, "", "The sheet's label, else the study's window that holds the day."
)
_DAY = Column(
    "day",
    pl.Int64,
    "days",
    "Day of the draw: floor(hours since shock onset / 24) + 1; 0 and below: before onset.",
)
_STATUS = Column("status", pl.String, "", "`ok`, `flagged` or `failed`.")
_FLAGS = Column("flags", pl.String, "", "Flag codes, `;`-joined; empty where there are none.")
_REVIEW = Column(
    "review", pl.String, "", "A reviewer's last word: `pending`, `accepted` or `rejected`."
)
_PATH = Column("path", pl.String, "", "Full path of the population, from `root`.")
_POPULATION = Column("population", pl.String, "", "Name of the population.")
_CHANNEL = Column("channel", pl.String, "", "Role of the channel in the study.")
_STATISTIC = Column("statistic", pl.String, "", "`median` or `geometric_mean`.")
_BEAD_RUN = Column("bead_run", pl.String, "", "The bead sheet's name of the run.")
_BAND = Column("band", pl.String, "", "Cut-off band of the AB/C, lower ≤ value < upper.")


def _axis(name: str) -> tuple[Column, ...]:
    """The columns of one axis of a picture."""
    return (
        _text(f"{name}_channel", "Role of the channel, or its name in the file."),
        _text(f"{name}_detector", "The detector ($PnN); null of an unmixed fluorochrome."),
        _text(f"{name}_divisor", "Of a ratio: the channel that divides."),
        _truth(f"{name}_compensated", "Whether the values are compensated."),
        _text(
            f"{name}_scale",
            "`linear`, `log10`, or the transform: `logicle`, `biex`, `asinh`, `hyperlog`, `log`, "
            "`offsetlog`; `linear` with parameters is the one of Gating-ML.",
        ),
        _text(f"{name}_parameters", "The transform's parameters, as JSON."),
        _number(f"{name}_first_edge", "", "Where the first bin begins, on the scale."),
        _number(f"{name}_last_edge", "", "Where the last bin ends, on the scale."),
        _count(f"{name}_bins", "How many equal bins there are.", "bins"),
    )


# Columns that come from the sample sheet as they stand; those of the contract's first block
# (`sample_id, file, patient_id, timepoint, assay`) stand before them.
SHEET = (
    _text("group", "`patient`, `healthy`, `control` or `eqa`."),
    _moment("drawn_at", "Blood draw; midnight where only the date is known."),
    _truth("drawn_at_has_time", "Whether the draw's hour is known; null without a draw time."),
    _text("draw_id", "The sheet's name of the draw that the tube belongs to."),
    _truth("use", "False: kept here, out of `patients` and of analyses."),
    _text("use_reason", "Why not used."),
    _text("role", "`sample`, or a control: `isotype`, `fmo`, `unstained` or `single_stain`."),
    _text("control_for", "The sample or run that a control serves."),
    _text("bead_run", "The bead run that the sheet names; the one that was used stands in `abc`."),
    _text("condition", "Ex vivo condition."),
    _text("stimulus", "Ex vivo stimulus."),
    _text("drug", "Ex vivo drug."),
    _number("dose", "dose_unit", "Dose of the drug."),
    _text("dose_unit", "Unit of the dose."),
    _text("drug_timing", "When the drug was given."),
    _number("incubation_hours", "h", "Duration of the incubation."),
    _text("plate", "Plate of the ex vivo design."),
    _text("replicate", "Replicate: another stain of the same draw."),
    _text("tube", "Tube type, e.g. EDTA."),
    _text("lysis", "Lysis method: lyse-wash or lyse-no-wash."),
    _moment("stained_at", "Staining."),
    _text("site", "Site."),
    _text("cytometer", "The sheet's cytometer, else the file's."),
    _text("operator", "Operator."),
    _text("protocol_version", "Version of the protocol."),
    _text("reagent_lot", "Lot of the reagents."),
    _text("counting_lot", "Lot of the counting beads."),
    _number("blood_volume_ul", "µL", "Volume of blood."),
    _number("bead_volume_ul", "µL", "Volume of counting beads."),
    _count("dataset", "The data set that the sheet names, of files with several."),
)

SAMPLES = Table(
    "samples",
    "one row of the sample sheet, failed ones included",
    "the sample sheet's",
    (
        _SAMPLE_ID,
        _text("file", "FCS file as the sheet writes it."),
        _text("sha256", "SHA-256 of the file's content; null with `--digest stat`."),
        _PATIENT_ID,
        _TIMEPOINT,
        _text("assay", "Assay of the study that the file was analysed by."),
        _count("n_events", "Events in the file."),
        Column("status", pl.String, "", "The worst of sample, bead run and AB/C."),
        _FLAGS,
        _text("error_code", "Why the row failed; null of a row that did not."),
        _text("error", "The same in a sentence, with what to do."),
        _text("error_step", "The step that failed: read, panel, compensation, gating, measure."),
        _DAY,
        _REVIEW,
        _moment("acquired_at", "Acquisition, as the file says."),
        _number("voltage", "V", "Voltage of the quantified detector ($PnV)."),
        _number("gain", "", "Gain of the quantified detector ($PnG)."),
        _text("file_notes", "What was odd about the file, as `;`-joined codes of `fcs-support`."),
        _text(
            "quality", "Verdict on the acquisition: `pass`, `review` or `fail`; null: unchecked."
        ),
        *SHEET,
    ),
    "The sheet's further columns follow as text; one that bears a name of this table is prefixed "
    "with `sheet_`.",
)

POPULATIONS = Table(
    "populations",
    "sample × population, root included",
    "the sample sheet's, then the gating plan's",
    (
        _SAMPLE_ID,
        _PATIENT_ID,
        _TIMEPOINT,
        _PATH,
        _POPULATION,
        _count("n_events", "Events in the population; null where its gate was not found."),
        _number("fraction_of_parent", "fraction", "Of the parent's events; null of an empty one."),
        _number("fraction_of_root", "fraction", "Of all events; null of an empty file."),
        _text(
            "gate_status",
            "`ok`, `empty`, `full`, `given` (by a reviewer), `no_parent` (a gate that this one "
            "needs was not found), or how a data-driven gate was found: see `gates`.",
        ),
    ),
)

GATES = Table(
    "gates",
    "sample × gate that is data-driven or was placed by a reviewer",
    "the sample sheet's, then the gating plan's",
    (
        _SAMPLE_ID,
        _PATH,
        _POPULATION,
        _text("type", "`singlet`, `threshold`, `cluster`, `density`, or `given` by a reviewer."),
        _text("method", "How a threshold or a cluster was looked for."),
        _text("gate_status", "`ok`, or why not: see the page on gating plans."),
        _text(
            "standing", "`found`, `reference`, `batch`, `override` (a reviewer's), or `nothing`."
        ),
        _text("channels", "Roles of the gate's axes, `;`-joined."),
        _count("n_parent", "Events of the parent on which it was looked for."),
        _number("cut", "axis", "Of a threshold: where it cuts, on the axis's own scale."),
        _text("region", "The gate that stands, as JSON, on the scales of its axes."),
        _text("numbers", "What was found, as JSON: peaks, depth of the valley, slopes, shares."),
        _text("batch_digest", "SHA-256 of the batch reference that the gate was judged by."),
    ),
)

INTENSITIES = Table(
    "intensities",
    "sample × population × channel, on the linear compensated scale",
    "the sample sheet's, then the order of measuring",
    (
        _SAMPLE_ID,
        _PATH,
        _POPULATION,
        _CHANNEL,
        _count("n_events", "Events that the statistics are of."),
        _number("median", "a.u.", "Median."),
        _number("geometric_mean", "a.u.", "Geometric mean; null where a value is not positive."),
        _number("mean", "a.u.", "Arithmetic mean."),
        _number("sd", "a.u.", "Standard deviation (n - 1)."),
        _number("robust_cv", "fraction", "(P84.13 - P15.87) / (2 · median)."),
    ),
)

CALIBRATIONS = Table(
    "calibrations",
    "bead run × channel × statistic (× limits, where assays differ in them), failed ones included",
    "the bead sheet's, then channel, statistic and assays",
    (
        _BEAD_RUN,
        Column("channel", pl.String, "", "The detector ($PnN)."),
        _text("lot", "Bead lot."),
        _text("cytometer", "The sheet's cytometer, else the file's."),
        _moment("acquired_at", "Acquisition, as the file says."),
        _number("slope", "", "Of log10(intensity) = slope · log10(PE molecules) + intercept."),
        _number("intercept", "log10 a.u.", "Of the same line."),
        _number("r_squared", "", "Of the same line."),
        _STATISTIC,
        _STATUS,
        _FLAGS,
        _number("residual_sd", "log10 a.u.", "Scatter of the levels about the line, n - 2."),
        _count("n_levels", "Bead levels found.", "levels"),
        _number("voltage", "V", "Voltage of the detector ($PnV)."),
        _number("gain", "", "Gain of the detector ($PnG)."),
        _REVIEW,
        _text("error_code", "Why the run failed."),
        _text("error", "The same in a sentence, with what to do."),
        _text("file", "FCS file as the sheet writes it."),
        _text("sha256", "SHA-256 of the file's content; null with `--digest stat`."),
        _text("site", "Site."),
        _text("assays", "Assays whose limits judged it, joined by `;`."),
    ),
    "The bead sheet's further columns follow as text; one that bears a name of this table is "
    "prefixed with `sheet_`.",
)

BEAD_LEVELS = Table(
    "bead_levels",
    "bead run × channel × statistic × level",
    "that of `calibrations`, then from the dimmest level",
    (
        _BEAD_RUN,
        Column("channel", pl.String, "", "The detector ($PnN)."),
        _STATISTIC,
        _count("level", "From 1, the dimmest level found.", "levels"),
        _number("pe_molecules", "PE per bead", "As the lot declares."),
        _number("intensity", "a.u.", "As measured, linear."),
        _count("n_events", "Events of the level."),
        _number("cv", "fraction", "Robust CV."),
        _number("recovery", "fraction", "PE read back by the line / PE declared."),
    ),
)

ABC = Table(
    "abc",
    "one quantified sample, without a value too",
    "the sample sheet's",
    (
        _SAMPLE_ID,
        _PATIENT_ID,
        _TIMEPOINT,
        _text("condition", "Ex vivo condition."),
        _text("assay", "Assay of the study."),
        _POPULATION,
        _CHANNEL,
        _count("n_cells", "Events of the population.", "cells"),
        _number("intensity", "a.u.", "The statistic of the population, linear, compensated."),
        _number("abc", "AB/C", "Antibodies bound per cell; null where no number can stand."),
        _number("abc_low", "AB/C", "Lower end of the 95 % interval."),
        _number("abc_high", "AB/C", "Upper end of the 95 % interval."),
        _BAND,
        _text("bead_run", "The bead run that was used, or named and not usable."),
        Column("status", pl.String, "", "`ok`, `flagged`, or `failed`: the bead run failed."),
        _FLAGS,
        _text("reason", "Why there is no number."),
        _REVIEW,
        _text("group", "`patient`, `healthy`, `control` or `eqa`."),
        _DAY,
        _PATH,
        _text("detector", "The detector ($PnN)."),
        _STATISTIC,
        _count("n_saturated", "Cells in the detector's top value.", "cells"),
        _number(
            "abc_gate_sensitivity", "fraction", "How far AB/C moves with a found border by 15 %."
        ),
        _number("gate_purity", "fraction", "Share of a found cluster's events that are its own."),
        _number("fraction_low", "fraction", "Cells below `abc.low`: M-MDSC of CD14+ monocytes."),
        _number("fraction_positive", "fraction", "Cells from `abc.positive` on: HLA-DR+."),
        _number("gate_overlap", "fraction", "Share that belongs to the nearest neighbour."),
        _number("abc_all_events", "AB/C", "Had no event been left out for quality."),
        _number("abc_good_events", "AB/C", "Had all stretches that quality flags been left out."),
    ),
)

PATIENTS = Table(
    "patients",
    "patient × timepoint",
    "patients as they first appear in the sample sheet, then the study's windows, then other "
    "labels as they appear",
    (
        _PATIENT_ID,
        _TIMEPOINT,
        _DAY,
        _text("sample_id", "The acquisition of the value; `;`-joined where stains were averaged."),
        _number("abc", "AB/C", "The primary marker."),
        _number("abc_low", "AB/C", "Lower end of the 95 % interval."),
        _number("abc_high", "AB/C", "Upper end of the 95 % interval."),
        _number("delta_abc", "AB/C", "Value minus the baseline window's."),
        _number("ratio", "", "Value / the baseline window's."),
        _number(
            "log10_slope_per_day",
            "1/day",
            "Difference of log10 / days between the two draws; exact where both hours are known.",
        ),
        _BAND,
        Column("status", pl.String, "", "`ok`, `flagged`, or `failed`: no usable value."),
        _FLAGS,
        _text("group", "`patient` or `healthy`."),
        _text("baseline_sample_id", "The acquisition that the change is counted from."),
        _count("n_stains", "Stains that were averaged.", "stains"),
        _number("stain_cv", "fraction", "CV of the stains (n - 1); null of one."),
        _text("lysis", "Lysis method of the value."),
        _text("site", "Site of the value."),
    ),
    "One column per marker of the study besides the primary one, under the marker's name, in the "
    "marker's unit; a name of this table is prefixed with `marker_`.",
)

MARKER_VALUES = Table(
    "marker_values",
    "patient × timepoint × marker",
    "that of `patients`, then the study's markers",
    (
        _PATIENT_ID,
        _TIMEPOINT,
        _DAY,
        _text("marker", "Marker of the study."),
        _number("value", "unit", "Value; null where none is usable."),
        _number("low", "unit", "Lower end of the 95 % interval, where one is defined."),
        _number("high", "unit", "Upper end of the 95 % interval, where one is defined."),
        _text("unit", "Unit of value, low and high."),
        _text("sample_id", "The acquisition of the value; `;`-joined where stains were averaged."),
        Column("known_at_day", pl.Int64, "days", "Day of the last draw that contributes."),
        _STATUS,
        _FLAGS,
        _text("reason", "Why there is no value."),
        _text("group", "`patient` or `healthy`."),
        _count("n_stains", "Stains that were averaged.", "stains"),
        _number("stain_cv", "fraction", "CV of the stains (n - 1); null of one."),
    ),
)

COUNTS = Table(
    "counts",
    "sample × population, of assays that count cells per volume of blood",
    "the sample sheet's, then the gating plan's",
    (
        _SAMPLE_ID,
        _PATIENT_ID,
        _TIMEPOINT,
        _PATH,
        _POPULATION,
        _text("method", "`beads`: counting beads in the tube; `blood_count`: two platforms."),
        _count("n_cells", "Events of the population.", "cells"),
        _count("n_reference", "Counting beads, or cells of the blood count's population."),
        _number("cells_per_ul", "cells/µL", "Cells per volume of blood; null: see `reason`."),
        _number("low", "cells/µL", "Lower end of the 95 % interval."),
        _number("high", "cells/µL", "Upper end of the 95 % interval."),
        _text("counting_lot", "Lot of the counting beads."),
        _number("blood_volume_ul", "µL", "Volume of blood."),
        _STATUS,
        _FLAGS,
        _text("reason_code", "Why there is no count, as a code of `unused`."),
        _text("reason", "The same in words."),
    ),
)

UNUSED = Table(
    "unused",
    "one acquisition or measurement that stands for no patient × timepoint of a marker",
    "the sample sheet's, then the study's markers; then measurements in their sheet's order",
    (
        _text("sample_id", "The acquisition; null for a row of the measurements' sheet."),
        _PATIENT_ID,
        _TIMEPOINT,
        _text("marker", "The marker; null where the row serves none."),
        _text("code", "Why not, as a code."),
        _text("reason", "Why not, in words."),
    ),
)

DENSITIES = Table(
    "densities",
    "sample or bead run × plot: a population's events, binned on one or two axes",
    "samples in the sheet's order, then bead runs; the plots of each in the plan's order",
    (
        Column("kind", pl.String, "", "`sample` or `beads`."),
        _text("sample_id", "The sample sheet's id; null of a bead run."),
        _text("bead_run", "The bead sheet's name; null of a sample."),
        Column("plot", pl.Int64, "", "Number of the picture, from 1 within its file."),
        _PATH,
        _count("n_events", "Events in the population."),
        _count("n_shown", "Events that have a place on every axis: the sum of the counts."),
        *_axis("x"),
        *_axis("y"),
        _text(
            "counts",
            "Counts in order, y running fastest; a run of n zeros stands as `zn`, zeros at the end "
            "are left out. What lies beyond an end is counted in the bin at that end.",
        ),
        _text("gates", "Gates drawn on the picture, as JSON, in its coordinates."),
    ),
    "Bins are equal between the two edges, on the axis's own scale. The axes y are null of a "
    "histogram.",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        SAMPLES,
        POPULATIONS,
        GATES,
        INTENSITIES,
        CALIBRATIONS,
        BEAD_LEVELS,
        ABC,
        PATIENTS,
        MARKER_VALUES,
        COUNTS,
        UNUSED,
        OVERRIDES,
        QUALITY,
        QUALITY_WINDOWS,
        QUALITY_BINS,
        DENSITIES,
    )
}

__all__ = [
    "ABC",
    "BEAD_LEVELS",
    "CALIBRATIONS",
    "COUNTS",
    "DENSITIES",
    "INTENSITIES",
    "MARKER_VALUES",
    "MOMENT",
    "OVERRIDES",
    "PATIENTS",
    "POPULATIONS",
    "QUALITY",
    "QUALITY_BINS",
    "QUALITY_WINDOWS",
    "SAMPLES",
    "SHEET",
    "TABLES",
    "UNUSED",
    "Column",
    "Table",
    "frame",
]
