"""The documentation of tables and flags, printed from the same source that the code runs on."""

from __future__ import annotations

import polars as pl

from cytosepsis.flags import FLAGS
from cytosepsis.tables.schemas import MOMENT, TABLES, Column, Table

_TYPES = {
    pl.String: "text",
    pl.Int64: "integer",
    pl.Float64: "number",
    pl.Boolean: "true/false",
    pl.Date: "date",
    MOMENT: "date and time",
}

_TABLES_HEAD = """\
# Tables of a results folder

Every table is written as Parquet and, under the same name, as CSV. Absent values are null (empty in
CSV), never 0 and never NaN. Times stand in the study's timezone; without one, as written. Flags are
explained in [flags.md](flags.md).

A `status` is `ok`, `flagged` (a flag that is a doubt) or `failed`. In `samples` and `abc`, a row is
`failed` where its file or the bead run that it names failed; AB/C that cannot stand for another
reason is null and `flagged`, with the `reason`. In `patients` and `marker_values`, a row is
`failed` where something was acquired and no value is usable.
"""

_RULES = """\
## Rules

**Bead run of a sample.** The run that a reviewer assigns (`assign_beads`), else the one that the
sheet names, is used and flagged where it does not match. Otherwise the latest usable run before the
sample (else the first after it) of the same cytometer, detector voltage and gain within
`bead_max_age_hours`. Usable: a line for the sample's detector and statistic, not failed, not
rejected. A cytometer that only one of the two sheets names is not compared with the other's serial
from the file. Unknown settings contradict nothing: a run whose cytometer and voltage are known to
match goes first, and without one a run is taken only where those left agree on what is not known. A
run whose age cannot be told is taken only where no other is left. Where none is found, `no_beads`
stands beside the flag of whatever alone stood in the way of a run (`beads_other_voltage`, ...).

**Day and timepoint.** The day is floor(hours since shock onset / 24) + 1, counted between
instants, so a change of summer time does not matter; with dates only, the calendar difference + 1.
The sheet's label stays; without one, the study's window that holds the day. A label that is no
window of the study contradicts dates only where these lie in a window.

**Who enters `patients`.** Rows with `use` not `no`, role `sample`, group `patient` or `healthy`, no
condition, stimulus or drug. Patients need a timepoint; donors do not.

**Which acquisition stands**, for each marker by itself:

1. A value is usable where it exists and no reviewer rejected it; too few cells take its band, not
   the value.
2. Several draws in a window: the one nearest its centre, on exact times where known (the centre of
   days 1 and 2 is hour 24); equally near: the earlier; without days: the earliest.
3. In a draw, acquisitions below `min_events` do not stand beside one that has enough.
4. Several acquisitions of one stain (same draw, assay, `replicate` and `stained_at`): the latest.
5. Several stains: the geometric mean (the arithmetic one where a value is not positive), with their
   CV; of one lysis method and site only, the one that most of them have. The interval's ends are
   averaged alike: the stains share the bead line's error, so it is not narrowed by their number.

A draw is `draw_id`, else the draw time, else the label. Everything else is listed in `unused`, with
one row per marker that it could have served.

**Changes** of the primary marker count from the value of the baseline window; the baseline's own
row has none. They are null, with the flag, between lysis methods or sites, unless the study sets
`compare_across_lysis` or `compare_across_sites`; an empty cell is not another method.

**Reviews.** Decisions count in the order of their dates; `overrides` lists them all, with AB/C
before and after. The last `accept` or `reject` of a sample or bead run decides its `review`.
Rejected samples stay in the tables and leave `patients` and `marker_values`; rejected bead runs
give no AB/C. An accepted sample keeps its flags.

## Codes of `unused`

| code | meaning |
|---|---|
"""

UNUSED_CODES = {
    "use_no": "`use` is `no` in the sheet.",
    "control_role": "Its role is a control's: isotype, FMO, unstained, single stain.",
    "control_group": "Its group is `control` or `eqa`.",
    "ex_vivo": "It has a condition, stimulus or drug.",
    "no_marker": "No marker of the study is read from it.",
    "before_onset": "Drawn before shock onset.",
    "out_of_window": "Its day lies in none of the windows.",
    "onset_unknown": "No shock onset and no timepoint.",
    "draw_unknown": "No draw time and no timepoint.",
    "no_windows": "The study has no windows, and the sheet gives no timepoint.",
    "failed": "Its file failed.",
    "rejected": "A reviewer rejected it.",
    "no_beads": "No usable bead run: no AB/C.",
    "beads_failed": "Its bead run failed: no AB/C.",
    "empty_population": "The population is empty: no AB/C.",
    "non_positive_intensity": "The statistic is not positive: no AB/C.",
    "not_measured": "The marker's population or channel was not measured in it.",
    "no_value": "The statistic or fraction is not defined.",
    "count_unavailable": "Its assay says not how cells are counted.",
    "washed_tube": "Washed: counting beads are lost, no count.",
    "no_counting_lot": "The sheet names no lot of counting beads.",
    "no_blood_volume": "The sheet gives no volume of blood.",
    "no_bead_volume": "The lot is counted per µL, and the sheet gives no volume of beads.",
    "no_counting_beads": "No counting bead was found.",
    "no_blood_count": "No usable blood count belongs to the draw.",
    "unit": "A measurement in a unit that does not convert to the marker's.",
    "other_draw": "Another draw stands for the window.",
    "too_few_cells": "Another acquisition of the draw has enough cells.",
    "earlier_acquisition": "A later acquisition of the same stain stands.",
    "other_method": "Another lysis method or site than the stains that stand.",
}


def tables_markdown() -> str:
    """The text of `docs/tables.md`."""
    tables = "\n".join(table_section(table) for table in TABLES.values())
    codes = "".join(f"| `{code}` | {meaning} |\n" for code, meaning in UNUSED_CODES.items())
    return f"{_TABLES_HEAD}\n{tables}\n{_RULES}{codes}"


def table_section(table: Table) -> str:
    """What a page says of one table: its rows, their order, every column."""
    rows = "".join(_row(column) for column in table.columns)
    further = f"\n{table.further}\n" if table.further else ""
    return (
        f"## `{table.name}`\n\nA row is {table.row}. Order: {table.order}.\n\n"
        f"| column | type | unit | meaning |\n|---|---|---|---|\n{rows}{further}"
    )


def flags_markdown() -> str:
    """The text of `docs/flags.md`."""
    head = (
        "# Flags\n\n"
        "A `note` leaves the status `ok`; a `doubt` makes it `flagged`. In tables, codes are "
        "joined by `;` in the order below.\n\n"
        "| code | severity | meaning |\n|---|---|---|\n"
    )
    rows = (f"| `{flag.code}` | {flag.severity} | {flag.meaning} |\n" for flag in FLAGS.values())
    return head + "".join(rows)


def _row(column: Column) -> str:
    kind = next(text for dtype, text in _TYPES.items() if column.dtype == dtype)
    return f"| `{column.name}` | {kind} | {column.unit} | {column.meaning} |\n"
