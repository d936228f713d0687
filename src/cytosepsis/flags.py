"""The table of flag codes: what each says and whether it makes a result doubtful.

A `note` leaves the status `ok`; a `doubt` makes it `flagged`. Codes are part of the contract with
pipelines: they may be added to, never renamed. Imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["note", "doubt"]
Status = Literal["ok", "flagged", "failed"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One code of the documented table."""

    code: str
    severity: Severity
    meaning: str


_TABLE = (
    # --- the file and its acquisition
    Flag("no_spillover", "doubt", "Compensation was asked of the file, which carries no spillover matrix; values are uncompensated."),
    Flag("offset_note", "note", "HEADER and TEXT give different places for the events; the consistent one was used."),
    Flag("truncated_file", "doubt", "The file is shorter than it says; the whole events that are there were used, as the assay allows."),
    Flag("rate_unsteady", "doubt", "The flow rate has a gap, a clog, a burst or a change; see `quality`."),
    Flag("time_restarts", "doubt", "The clock falls back within the file, as where two acquisitions were joined."),
    Flag("time_wraps", "note", "The clock's counter was full and began again; it was counted on."),
    Flag("time_unsorted", "doubt", "Events do not stand in the order of their time: flow rate and stability could not be seen."),
    Flag("signal_unstable", "doubt", "The level of a channel leaves its usual one for a part of the acquisition; see `quality`."),
    Flag("margin_events", "doubt", "More events than the limit lie at the top of a channel's scale, or are no number; see `quality`."),
    Flag("quality_failed", "doubt", "Acquisition quality has the verdict `fail`."),
    Flag("quality_unchecked", "note", "A check of acquisition quality could not be made: few events, no clock, or one that does not move; see `quality`."),
    Flag("flagged_events_dropped", "note", "Stretches of events that quality flags left before gating, as the assay asks."),
    Flag("saturated_events", "doubt", "More of the quantified population than the limit lies in the channel's top value."),
    # --- the population
    Flag("too_few_cells", "doubt", "Fewer cells than `min_events`: the value is shown but never banded."),
    Flag("few_cells", "note", "Fewer cells than `recommended_cells`."),
    Flag("empty_population", "doubt", "A gate of the plan kept no event."),
    Flag("full_population", "doubt", "A gate of the plan kept every event of its parent: it may not have been applied."),
    Flag("gate_not_found", "doubt", "A data-driven gate could not be found in this sample and nothing stands for it; see the table `gates`."),
    Flag("gate_reference", "doubt", "A data-driven gate could not be found in this sample; the plan's reference stands for it."),
    Flag("gate_batch", "doubt", "A data-driven gate could not be found in this sample; the gate learned from the batch stands for it."),
    Flag("gate_clamped", "doubt", "A threshold was found beyond where the plan lets it lie, and was moved to the end of that range."),
    Flag("gate_given", "note", "A reviewer placed a gate of this sample."),
    # --- beads and calibration
    Flag("beads_doubtful", "doubt", "The bead run is flagged; see its row in `calibrations`."),
    Flag("beads_failed", "doubt", "The bead run gives no line; no AB/C."),
    Flag("no_beads", "doubt", "No usable bead run was found for this sample; no AB/C."),
    Flag("beads_other_cytometer", "doubt", "The bead run was acquired on another cytometer."),
    Flag("beads_other_detector", "doubt", "The bead run that is named was measured on a detector of another name."),
    Flag("beads_other_voltage", "doubt", "The detector's voltage differs between beads and sample."),
    Flag("beads_other_gain", "doubt", "The detector's gain differs between beads and sample."),
    Flag("beads_too_old", "doubt", "The bead run is further from the sample than `bead_max_age_hours`."),
    Flag("beads_settings_unknown", "note", "Voltage or cytometer stands in only one of sample and bead file, or in neither; they could not be compared."),
    Flag("beads_age_unknown", "note", "The acquisition time of sample or bead file is unknown: the bead run's age could not be checked."),
    Flag("beads_after_sample", "note", "No usable bead run precedes the sample; the first after it was used."),
    Flag("outside_bead_range", "doubt", "The population's intensity lies below the dimmest or above the brightest bead level: extrapolated."),
    Flag("non_positive_intensity", "doubt", "The population's statistic is not positive, or not defined; no AB/C."),
    # --- absolute counts
    Flag("few_beads", "doubt", "Fewer counting beads than `min_beads`: the count is uncertain by the beads alone."),
    Flag("beads_below_recommended", "note", "Fewer counting beads than `recommended_beads`."),
    Flag("bead_doublets", "doubt", "More of the counting beads than the limit stick together: mix the tube, or look at the gate."),
    Flag("counting_lot_expired", "doubt", "Acquired after the expiry date of the lot of counting beads."),
    Flag("wash_unknown", "doubt", "The sheet's `lysis` does not say whether the tube was washed; a wash makes a bead count wrong."),
    Flag("lymphosum", "doubt", "T, B and NK cells together differ from the lymphocytes by more than the limits."),
    Flag("t_sum", "doubt", "CD4 and CD8 T cells together differ from the T cells by more than the limits."),
    Flag("duplicates_differ", "doubt", "Duplicates of a count differ from their mean by more than the tolerance."),
    # --- pre-analytics and design
    Flag("late_staining", "doubt", "Stained later after the draw than the limit of its tube type."),
    Flag("staining_before_draw", "doubt", "The sheet gives a staining time before the draw: one of the two is wrong."),
    Flag("preanalytics_unknown", "note", "Tube type, draw or staining time is not given: delay to staining unknown."),
    Flag("mixed_lysis", "doubt", "The patient's samples use different lysis methods; they are not compared with each other."),
    Flag("mixed_sites", "doubt", "The patient's samples come from different sites; they are not compared with each other."),
    Flag("timepoint_mismatch", "doubt", "The label of the sample sheet contradicts the dates; the label was kept."),
    Flag("day_approximate", "note", "The day was counted from dates without times."),
    Flag("out_of_window", "note", "The draw lies in none of the study's windows."),
    Flag("before_onset", "doubt", "Drawn before shock onset; no window."),
    Flag("onset_unknown", "note", "No shock onset is given for the patient: no day can be counted."),
    Flag("draw_unknown", "note", "Neither a draw time nor a timepoint label is given: the sample belongs to no timepoint."),
    Flag("several_draws", "note", "Several draws lie in the window; the one nearest its centre was taken."),
    Flag("several_stains", "note", "Several stains of one draw were averaged (geometric mean)."),
    Flag("no_baseline", "note", "No usable value in the baseline window: no change was computed."),
    Flag("baseline_doubtful", "doubt", "The value that the change is counted from is flagged; see its own row."),
    # --- bead runs
    Flag("levels_missing", "doubt", "Fewer levels were found than the lot has."),
    Flag("levels_ambiguous", "doubt", "Another choice of peaks for the bead levels is nearly as good and gives another line."),
    Flag("peaks_unexplained", "doubt", "A peak as large as a level lies between or above the bead levels and is neither level nor doublet."),
    Flag("scatter_not_used", "doubt", "Single beads could not be told by scatter without losing a level; all events were used."),
    Flag("level_few_events", "doubt", "A bead level has fewer events than the limit."),
    Flag("level_wide", "doubt", "A bead level's CV is above the limit."),
    Flag("level_recovery", "doubt", "A level reads back outside the recovery limits."),
    Flag("slope", "doubt", "The slope of the bead line is outside its limits."),
    Flag("r_squared", "doubt", "R² of the bead line is below its limit."),
    Flag("levels_not_separated", "doubt", "Neighbouring bead levels overlap."),
    Flag("level_saturated", "doubt", "The brightest level lies at the top of the channel's range."),
    Flag("lot_expired", "doubt", "The bead run was acquired after the lot's expiry date."),
    # --- analyses of a results folder
    Flag("flagged_values", "note", "Some of the values that an analysis rests on are flagged themselves."),
    Flag("eligibility_unknown", "doubt", "The cohort's rules can be judged for nobody: every patient was analysed. Record eligibility, or set `population` to everyone."),
    Flag("perfect_separation", "doubt", "The marker tells events from others without fault: the area is 1 or 0, and its interval says nothing."),
    Flag("no_common_cutoff", "note", "Several sites or lysis methods: no data-derived cut-off is given."),
    Flag("strata_dropped", "note", "Sites or lysis methods with fewer than two patients of one class take no part in the area."),
    Flag("few_events_per_variable", "doubt", "A model has fewer events per variable than `events_per_variable`: its estimates are unstable."),
    Flag("fit_at_border", "doubt", "A mixed model found no variance between patients, or its optimiser did not settle."),
    # --- a matrix from single-stain controls
    Flag("control_few_events", "doubt", "A control has fewer usable events than the limit."),
    Flag("control_saturated", "doubt", "More of a control's events than the limit lie in a detector's top value; they were left out."),
    Flag("control_scatter_not_used", "note", "The cells that carry the dye could not be told by scatter, or too few would have been left; all events were used."),
    Flag("control_settings_differ", "doubt", "The controls were acquired on different cytometers, or with different voltages or gains."),
    Flag("detectors_without_control", "note", "The files' own matrix covers detectors for which there is no control."),
    Flag("spill_uncertain", "doubt", "The standard error of a spillover coefficient is above the limit: too few or too dim stained events."),
    Flag("spill_negative", "doubt", "A spillover coefficient is clearly negative: stained and unstained cells differ in more than the dye."),
    Flag("spill_above_one", "doubt", "A dye is brighter in another dye's detector than in its own."),
    Flag("slopes_remain", "doubt", "After compensation bright and dim events of a control still differ in another detector by more than the limit."),
    Flag("not_a_line", "doubt", "A control's own events and the unstained ones give different slopes; the coefficient is that of medians. Is the unstained control prepared like the stained ones?"),
    Flag("methods_disagree", "doubt", "The coefficient differs from that of medians by more than the limit: stained and unstained cells differ in more than the dye, or the relation is not a line."),
    Flag("ill_conditioned", "doubt", "The matrix multiplies noise by more than the limit: two dyes look alike to the detectors."),
    Flag("matrix_transposed", "doubt", "The matrix that was compared agrees with the controls only when rows and columns are exchanged."),
    Flag("matrix_rows_swapped", "doubt", "The matrix that was compared agrees with the controls only when rows are exchanged."),
    Flag("matrix_differs", "doubt", "The matrix that was compared differs from the controls by more than the limit."),
)  # fmt: skip

FLAGS: dict[str, Flag] = {flag.code: flag for flag in _TABLE}


# Notes on a file (docs/fcs-support.md) that stand among the flags of its results too.
_OF_NOTES = {"offset_note": "offset_note", "truncated": "truncated_file"}


def flags_of_notes(codes: Iterable[str]) -> tuple[str, ...]:
    """Flags that belong to the notes on a file; most notes make no number doubtful."""
    return tuple(_OF_NOTES[code] for code in codes if code in _OF_NOTES)


def status_of(codes: Iterable[str]) -> Status:
    """`flagged` where any code is a doubt, else `ok`; an unknown code is a programming error."""
    return "flagged" if any(FLAGS[code].severity == "doubt" for code in codes) else "ok"


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of some statuses; `ok` of none."""
    order: tuple[Status, ...] = ("ok", "flagged", "failed")
    return max(statuses, key=order.index, default="ok")


def join(codes: Iterable[str]) -> str:
    """The `;`-joined list of a table cell: each code once, in the order of the documented table."""
    present = set(codes)
    return ";".join(code for code in FLAGS if code in present)
