"""The declared columns of the tables on acquisition quality and on reviewers' decisions."""

from __future__ import annotations

from cytosepsis.tables.columns import Table, count, number, text, truth

_SAMPLE_ID = text("sample_id", "The sample sheet's id of the acquisition.")
_CHECK = text(
    "check", "`rate`: flow rate; `signal`: stability of a channel; `margin`: ends of its scale."
)
_CHANNEL = text("channel", "The detector ($PnN); null of the flow rate.")

QUALITY = Table(
    "quality",
    "sample × check × channel of the acquisition; failed samples have none",
    "the sample sheet's, then rate, signal and margin, channels in the study's order",
    (
        _SAMPLE_ID,
        _CHECK,
        _CHANNEL,
        text("status", "`ok`, or why the check could not be made or is to be read with care."),
        text("verdict", "`pass`, `review` or `fail`; null: the check could not be made."),
        count("n_events", "Events in the file."),
        count("n_flagged", "Events that the check flags."),
        number("fraction_flagged", "fraction", "The same of all events."),
        number(
            "size",
            "",
            "What decides: rate: the bin furthest from the usual rate, as a ratio (of an unsorted "
            "clock: fraction of events before which it falls); signal: decades from the usual "
            "level; margin: fraction of events at the top.",
        ),
        count("n_windows", "Odd stretches, rows of `quality_windows`.", "windows"),
        count("n_top", "Margin: events at or above the top of the scale."),
        count("n_floor", "Margin: events piled up in the lowest value."),
        count("n_nan", "Margin: events that are no number."),
    ),
)

QUALITY_WINDOWS = Table(
    "quality_windows",
    "one odd stretch of an acquisition",
    "that of `quality`, then from the first event",
    (
        _SAMPLE_ID,
        _CHECK,
        _CHANNEL,
        text(
            "kind",
            "`gap`, `slow` (a clog), `burst`, `rate_step`, `time_restart`, `time_wrap`; `step` (to "
            "an end of the file), `excursion`, `drift`.",
        ),
        count("first_event", "First event, from 0 in file order; of a gap the event after it."),
        count("n_events", "Events of the stretch; 0 of a gap."),
        number("start_seconds", "s", "Begin on the file's clock, counted on across restarts."),
        number("stop_seconds", "s", "End on the same clock."),
        number(
            "size",
            "",
            "Gap: seconds; rate: ratio to the usual rate; signal: decades, signed; restart: "
            "seconds that the clock fell.",
        ),
    ),
)

QUALITY_BINS = Table(
    "quality_bins",
    "sample × bin of events × channel, of files whose verdict is not `pass` (or as the assay's "
    "`bins` says)",
    "the sample sheet's, then file order, channels in the study's order",
    (
        _SAMPLE_ID,
        count("bin", "Number of the bin, from 0; bins hold about equal numbers of events.", ""),
        count("first_event", "First event, from 0 in file order."),
        count("n_events", "Events of the bin."),
        number("start_seconds", "s", "The clock at its first event, counted on across restarts."),
        number("events_per_second", "1/s", "Flow rate; null without a clock that moves."),
        text("channel", "The detector ($PnN)."),
        number("median", "a.u.", "Median of its events, linear, uncompensated."),
    ),
)

OVERRIDES = Table(
    "overrides",
    "one decision of a reviewer",
    "that of their dates, then the sheet's",
    (
        text("target", "The sample or bead run."),
        text("action", "`accept`, `reject`, `gate` or `assign_beads`."),
        text("parameters", "The action's parameters, as JSON."),
        text("who", "Who decided."),
        text("when", "When, as ISO date or date and time."),
        text("why", "Why."),
        truth("stands", "False: a later decision on the same thing stands instead."),
        text("original_bead_run", "assign_beads: the run that would have been used."),
        number("original_abc", "AB/C", "Of a sample: AB/C without what stands of its decisions."),
        number("abc", "AB/C", "Of a sample: AB/C as it is."),
    ),
)
