"""The declared tables of control charts, control targets, bead lots and detectors."""

from __future__ import annotations

import polars as pl

from cytosepsis.tables.columns import number as _number
from cytosepsis.tables.columns import text as _text
from cytosepsis.tables.schemas import MOMENT, Column, Table

_CYTOMETER = _text("cytometer", "The sheet's cytometer, else the file's.")
_CHANNEL = _text("channel", "The detector ($PnN).")
_STATISTIC = _text("statistic", "`median` or `geometric_mean`.")
_ACQUIRED = Column("acquired_at", MOMENT, "", "Acquisition, as the file says.")

CONTROL_CHARTS = Table(
    "control_charts",
    "chart × run: one quantity of one item on one cytometer (of beads: of one lot and detector)",
    "quantity, item, cytometer, lot, channel and statistic, then acquisition",
    (
        _text("quantity", "What is charted, such as `bead_slope` or `control_abc`."),
        _text("item", "The bead level, control material or gate bound; null where there is one."),
        _CYTOMETER,
        _text("lot", "Bead lot; of control blood, the lot of the reagents."),
        _CHANNEL,
        _STATISTIC,
        _text("run", "Bead run or sample."),
        _ACQUIRED,
        _number("value", "unit", "Value of the run; null where it gave none."),
        _text("unit", "Unit of value, mean and sd."),
        Column("usable", pl.Boolean, "", "False: judged, and never learned from."),
        _number("mean", "unit", "Centre of the limits; null while they are learned."),
        _number("sd", "unit", "Standard deviation of the limits."),
        _number("z", "", "(value − mean) / sd."),
        Column("n_baseline", pl.Int64, "runs", "Runs that the limits were learned from."),
        _text("limits", "`given` by the sheet, `learned`, `provisional`; null while learning."),
        _text("rules", "Westgard's rules that the run breaks, `;`-joined; `changed` of a setting."),
        _text(
            "verdict",
            "`ok`, `warning` (1-2s alone, a changed setting), `rejected`, `learning`, `missing`.",
        ),
    ),
)

CONTROL_TARGETS = Table(
    "control_targets",
    "sample of group `control` or `eqa` that is quantified",
    "the sample sheet's",
    (
        _text("sample_id", "The sample sheet's id of the acquisition."),
        _text("patient_id", "The control material."),
        _text("group", "`control` or `eqa`."),
        _CYTOMETER,
        _ACQUIRED,
        _number("abc", "AB/C", "Antibodies bound per cell."),
        _number("abc_low", "AB/C", "Lower end of the 95 % interval."),
        _number("abc_high", "AB/C", "Upper end of the 95 % interval."),
        _number("target_abc", "AB/C", "Target of the sheet."),
        _number("target_low", "AB/C", "Lower end of the target's range; else target − 2 SD."),
        _number("target_high", "AB/C", "Upper end of the target's range; else target + 2 SD."),
        _number("recovery", "", "abc / target_abc."),
        _number("z", "", "(abc − target_abc) / target_sd."),
        _text("verdict", "`within`, `outside`, `no_target`, `no_value`."),
    ),
)

LOT_BRIDGES = Table(
    "lot_bridges",
    "pair of bead runs of two lots that can be compared",
    "acquisition of the later run, then of the earlier",
    (
        _text("old_run", "Bead run of the lot that the cytometer knew first."),
        _text("new_run", "Bead run of the other lot."),
        _text("old_lot", "The lot that the cytometer knew first."),
        _text("new_lot", "The other lot."),
        _CYTOMETER,
        _CHANNEL,
        _STATISTIC,
        Column("n_samples", pl.Int64, "samples", "Samples that either run quantified."),
        _number("bias", "fraction", "Geometric mean of AB/C(new) / AB/C(old), minus 1."),
        _number("bias_low", "fraction", "Lower end of its 95 % interval over the samples."),
        _number("bias_high", "fraction", "Upper end of its 95 % interval."),
        _number("largest", "fraction", "Of single samples, the difference farthest from none."),
        _text("verdict", "`accepted`, `rejected`, `undecided`, `too_few`."),
    ),
)

DETECTOR_SENSITIVITY = Table(
    "detector_sensitivity",
    "bead run × channel × statistic",
    "that of `calibrations`",
    (
        _text("bead_run", "The bead sheet's name of the run."),
        _CHANNEL,
        _STATISTIC,
        _CYTOMETER,
        _text("lot", "Bead lot."),
        _ACQUIRED,
        _number("q", "photoelectrons per PE", "Sensitivity; null where it cannot be told."),
        _number("q_se", "photoelectrons per PE", "Its standard error from the number of events."),
        _number("b", "PE", "Background; slightly negative where not told from none."),
        _number("b_se", "PE", "Its standard error."),
        _number("bead_cv", "fraction", "CV of the beads themselves."),
        Column("n_levels", pl.Int64, "levels", "Bead levels that it was told from."),
        _text("reason", "Why there is no number."),
    ),
)

TABLES = (CONTROL_CHARTS, CONTROL_TARGETS, LOT_BRIDGES, DETECTOR_SENSITIVITY)
