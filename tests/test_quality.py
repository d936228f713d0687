"""Acquisition quality: what is injected is found where it is, clean files are left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import cytosepsis as cs
from cytosepsis.cli import app
from cytosepsis.codec import decode, encode
from cytosepsis.file_results import SampleResult
from cytosepsis.protocol import AbcSettings, Assay, Sample
from cytosepsis.quality.report import CheckResult, QualityReport
from cytosepsis.quality.stretches import noise_of
from cytosepsis.tables import all_tables
from events import raw_of
from hand_made import beads, study
from quality_files import INJECTIONS, NAMES, Acquisition, clean
from small_study import STUDY, refused, write

SEEDS = range(4)


def of(report: QualityReport, check: str, channel: str | None = None) -> CheckResult:
    """Return the result of one check, of a channel where it has one."""
    return next(c for c in report.checks if c.check == check and channel in (None, c.channel))


@pytest.mark.parametrize("n", [500, 1_000, 5_000, 20_000])
def test_a_clean_file_loses_nothing(n: int) -> None:
    for seed in SEEDS:
        report = cs.check_quality(clean(seed, n).raw())
        assert report.verdict == "pass"
        assert report.flags == ()
        assert report.mask().mean() < 0.01
        assert report.bins == ()


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_disturbance_is_found_in_its_place(name: str) -> None:
    for seed in SEEDS:
        disturbed = INJECTIONS[name](clean(100 + seed, 20_000), np.random.default_rng(seed))
        report = cs.check_quality(disturbed.acquisition.raw())
        assert report.verdict in ("review", "fail")
        checks = [of(report, "rate")] if name in ("pause", "clog", "burst") else report.checks
        if disturbed.channel is not None:
            checks = [of(report, "signal", NAMES[disturbed.channel])]
        windows = [window for check in checks for window in check.windows]
        bin_events = 100
        if name == "pause":
            assert any(
                window.kind == "gap"
                and window.start_seconds == pytest.approx(disturbed.start_seconds, abs=0.1)
                and window.stop_seconds == pytest.approx(disturbed.stop_seconds, abs=0.1)
                for window in windows
            )
        elif name == "step":  # either side may be the usual one
            borders = [w.first_event for w in windows] + [
                w.first_event + w.n_events for w in windows
            ]
            assert min(abs(border - disturbed.first_event) for border in borders) <= 2 * bin_events
        elif name == "drift":
            assert {window.kind for window in windows} & {"drift", "step"}
        else:
            assert any(
                abs(w.first_event - disturbed.first_event) <= 2 * bin_events
                and abs(w.first_event + w.n_events - disturbed.stop_event) <= 2 * bin_events
                for w in windows
            )


@pytest.mark.parametrize("n", [500, 1_000])
@pytest.mark.parametrize("name", INJECTIONS)
def test_a_disturbance_of_a_short_file_is_found(name: str, n: int) -> None:
    from quality import scored, simulated

    score = scored(name, simulated(n, 12))
    assert score.found >= (0.95 if n == 1_000 else 0.75)


def test_a_short_stretch_of_a_clean_file_loses_nothing() -> None:
    whole = clean(11, 20_000).raw()
    flagged = [
        cs.check_quality(whole.keep([(first, first + n)])).mask().mean()
        for n in (500, 1_000, 2_000)
        for first in range(0, 20_000 - n, 1_000)
    ]
    assert np.mean(flagged) < 0.001


@pytest.mark.parametrize("event", [1, 999, 1_000, 1_001])
def test_a_gap_is_placed_wherever_it_lies_in_a_bin(event: int) -> None:
    run = clean(1, 2_000)
    seconds = run.seconds.copy()
    seconds[event:] += 3.0
    (window,) = of(cs.check_quality(replace(run, seconds=seconds).raw()), "rate").windows
    assert (window.kind, window.first_event) == ("gap", event)
    assert window.start_seconds == pytest.approx(seconds[event - 1], abs=0.05)
    assert window.stop_seconds == pytest.approx(seconds[event], abs=0.05)


def test_what_is_left_of_a_disturbed_file_passes() -> None:
    disturbed = INJECTIONS["back_flush"](clean(7, 20_000), np.random.default_rng(7))
    raw = disturbed.acquisition.raw()
    report = cs.check_quality(raw)
    again = cs.check_quality(raw.keep(report.kept()))
    assert again.n_events == 20_000 - report.mask().sum()
    assert not again.mask().any()


def test_noise_is_that_of_the_steps_between_neighbours() -> None:
    levels = np.random.default_rng(1).standard_normal((3, 5, 30)).cumsum(axis=-1)
    steps = np.abs(np.diff(levels, axis=-1))
    middle, high = np.quantile(steps, [0.5, 0.85], axis=-1)
    wanted = np.maximum(middle / 0.6745, high / 1.4395) / np.sqrt(2.0)
    assert noise_of(levels) == pytest.approx(wanted)
    assert noise_of(levels[:, :, :1]).tolist() == np.zeros((3, 5)).tolist()


# --- real files


def test_real_files_that_look_undisturbed_lose_less_than_a_hundredth(corpus: Path) -> None:
    from quality import CLEAN_FILES

    for name in CLEAN_FILES:
        report = cs.check_quality(cs.read_fcs(corpus / name))
        assert report.mask().mean() < 0.01, name
        assert report.verdict == "pass", name


def test_short_stretches_of_real_files_lose_less_than_a_hundredth(corpus: Path) -> None:
    from quality import CLEAN_FILES, stretches

    for n in (500, 1_000, 2_000):
        parts = [part for name in CLEAN_FILES for part in stretches(corpus / name, n, most=8)]
        assert np.mean([cs.check_quality(part).mask().mean() for part in parts]) < 0.01


def test_what_peacoqc_removes_of_its_example_is_found(corpus: Path) -> None:
    report = cs.check_quality(cs.read_fcs(corpus / "PeacoQC" / "111.fcs"))
    removed = np.loadtxt(corpus / "PeacoQC" / "111_kept.csv") == 0
    mask = report.mask()
    assert (mask & removed).sum() / (mask | removed).sum() >= 0.5
    again = cs.check_quality(cs.read_fcs(corpus / "PeacoQC" / "111_QC.fcs"))
    assert not again.mask().any()


# --- bad input: a status, never a crash


def timed(seconds: np.ndarray | None, n: int = 2_000, seed: int = 1) -> QualityReport:
    """Check a clean file whose clock is replaced; None: that has none."""
    values = clean(seed, n).values
    if seconds is None:
        return cs.check_quality(raw_of(values, NAMES[:-1]))
    return cs.check_quality(Acquisition(values, seconds).raw())


def test_no_time_channel() -> None:
    report = timed(None)
    assert of(report, "rate").status == "no_time"
    assert of(report, "rate").verdict is None
    assert report.flags == ("quality_unchecked",)
    assert report.verdict == "pass"


def test_several_times_none_of_which_is_called_so() -> None:
    run = clean(1, 1_000)
    raw = raw_of(
        np.column_stack([run.values, run.seconds, run.seconds]),
        (*NAMES[:-1], "TIME_LSW", "TIME_MSW"),
    )
    assert of(cs.check_quality(raw), "rate").status == "no_time"


def test_constant_time() -> None:
    assert of(timed(np.full(2_000, 3.0)), "rate").status == "time_constant"


def test_unsorted_time() -> None:
    report = timed(np.random.default_rng(1).uniform(0.0, 60.0, 2_000))
    assert of(report, "rate").status == "time_unsorted"
    assert of(report, "rate").verdict == "review"
    assert report.flags == ("time_unsorted",)


def test_a_clock_of_whole_seconds_is_too_coarse_for_a_short_file() -> None:
    report = timed(np.floor(np.linspace(0.0, 9.9, 2_000)))
    assert of(report, "rate").status == "time_coarse"
    assert of(report, "rate").windows == ()


def test_a_clock_that_restarts_is_counted_on() -> None:
    half = np.linspace(0.5, 20.0, 1_000)
    report = timed(np.concatenate([half, half]))
    (window,) = of(report, "rate").windows
    assert (window.kind, window.first_event) == ("time_restart", 1_000)
    assert window.size == pytest.approx(19.5)
    assert report.flags == ("rate_unsteady", "time_restarts")


def test_a_full_counter_wraps_and_is_no_doubt() -> None:
    run = clean(1, 3_000)
    seconds = (262_000.0 + np.linspace(0.0, 300.0, 3_000)) % 262_144.0
    report = cs.check_quality(replace(run, seconds=seconds).raw())
    (window,) = of(report, "rate").windows
    assert window.kind == "time_wrap"
    assert report.flags == ("time_wraps",)
    assert report.verdict == "pass"


def test_not_a_number_in_time_and_signal() -> None:
    run = clean(1, 2_000)
    values, seconds = run.values.copy(), run.seconds.copy()
    values[::50, 3] = np.nan
    seconds[5::40] = np.nan
    report = cs.check_quality(Acquisition(values, seconds).raw())
    assert of(report, "rate").verdict == "pass"
    assert of(report, "signal", "HLADR-A").status == "not_a_number"
    assert of(report, "margin", "HLADR-A").n_nan == 40
    assert report.verdict == "review"


@pytest.mark.parametrize("n", [0, 1, 2, 19, 20, 300, 499])
def test_few_events(n: int) -> None:
    report = cs.check_quality(clean(1, 500).raw().keep([(0, n)]))
    assert {c.status for c in report.checks if c.check != "margin"} == {"few_events"}
    assert not report.mask().any()
    assert "quality_unchecked" in report.flags


def test_one_channel_and_no_channel() -> None:
    values = clean(1, 1_000).values[:, :1]
    assert cs.check_quality(raw_of(values, ("FSC-A",))).verdict == "pass"
    only_time = cs.check_quality(raw_of(clean(1, 1_000).seconds, ("Time",)))
    assert [c.check for c in only_time.checks] == ["rate"]


@pytest.mark.parametrize("part", [1.0, 0.9])
def test_many_events_on_one_value(part: float) -> None:
    run = clean(1, 5_000)
    values = run.values.copy()
    values[np.random.default_rng(1).random(5_000) < part, 2] = 0.0
    report = cs.check_quality(replace(run, values=values).raw())
    signal = of(report, "signal", "CD14-A")
    assert signal.status == ("constant" if part == 1.0 else "ok")
    assert signal.n_flagged == 0


def test_a_column_that_counts_events_is_not_judged() -> None:
    values = np.column_stack([clean(1, 2_000).values[:, 0], np.arange(2_000.0)])
    report = cs.check_quality(raw_of(values, ("FSC-A", "Event")))
    assert of(report, "signal", "Event").status == "counter"
    assert report.verdict == "pass"


# --- margins


@pytest.mark.parametrize(("part", "verdict"), [(0.01, "pass"), (0.1, "review"), (0.5, "fail")])
def test_saturated_events_are_counted_and_kept(part: float, verdict: str) -> None:
    run = clean(1, 5_000)
    values = run.values.copy()
    n_top = int(part * 5_000)
    values[np.random.default_rng(2).permutation(5_000)[:n_top], 3] = 262_143.0
    report = cs.check_quality(replace(run, values=values).raw())
    margin = of(report, "margin", "HLADR-A")
    assert (margin.n_top, margin.verdict) == (n_top, verdict)
    assert not report.mask().any()
    assert ("margin_events" in report.flags) == (verdict != "pass")
    assert ("quality_failed" in report.flags) == (verdict == "fail")


def test_a_scale_that_values_pass_is_no_limit() -> None:
    run = clean(1, 2_000)
    values = run.values.copy()
    values[:300, 3] = np.linspace(3e5, 1e6, 300)
    report = cs.check_quality(replace(run, values=values).raw())
    assert of(report, "margin", "HLADR-A").n_top == 0


def test_a_pile_below_the_end_of_the_scale_is_seen() -> None:
    run = clean(1, 5_000)
    values = np.clip(run.values, -20.0, 200_000.0)
    report = cs.check_quality(replace(run, values=values).raw())
    margin = of(report, "margin", "CD3-A")
    assert margin.n_floor == int((values[:, 4] == -20.0).sum()) > 0
    settings = cs.QualitySettings(floor_fraction=0.0)
    judged = cs.check_quality(replace(run, values=values).raw(), settings=settings)
    assert of(judged, "margin", "CD3-A").verdict == "review"


# --- the report and its settings


def test_channels_are_chosen_by_name_and_missing_ones_told() -> None:
    raw = clean(1, 1_000).raw()
    assert cs.check_quality(raw, channels=["HLADR-A"]).channels == ("HLADR-A",)
    with pytest.raises(cs.ChannelError, match="no channel CD99"):
        cs.check_quality(raw, channels=["HLADR-A", "CD99"])


def test_heights_beside_their_area_are_left_out() -> None:
    values = clean(1, 1_000).values[:, :3]
    report = cs.check_quality(raw_of(values, ("FSC-A", "FSC-H", "SSC-H")))
    assert report.channels == ("FSC-A", "SSC-H")


def test_checks_can_be_left_out() -> None:
    settings = cs.QualitySettings(checks=("margin",))
    report = cs.check_quality(clean(1, 1_000).raw(), settings=settings)
    assert {check.check for check in report.checks} == {"margin"}


def test_the_report_is_a_record_that_can_be_stored() -> None:
    disturbed = INJECTIONS["back_flush"](clean(3, 5_000), np.random.default_rng(3))
    report = cs.check_quality(disturbed.acquisition.raw())
    assert decode(QualityReport, encode(report)) == report
    assert len(report.bins) == 200
    assert sum(one.n_events for one in report.bins) == 5_000
    kept = np.zeros(5_000, dtype=bool)
    for first, stop in report.kept():
        kept[first:stop] = True
    assert np.array_equal(kept, ~report.mask())


def test_the_same_in_other_units_is_judged_the_same() -> None:
    disturbed = INJECTIONS["step"](clean(4, 5_000), np.random.default_rng(4)).acquisition
    one = cs.check_quality(disturbed.raw(), settings=cs.QualitySettings(checks=("signal",)))
    scaled = replace(disturbed, values=disturbed.values * 2.0**-7)
    other = cs.check_quality(scaled.raw(), settings=cs.QualitySettings(checks=("signal",)))
    assert one.checks == other.checks


# --- in a study


def measured(folder: Path, acquisition: Acquisition, **settings: Any) -> SampleResult:
    """Measure one file whose monocytes are bounded on CD14 and quantified on HLA-DR."""
    rows = np.column_stack([acquisition.values, acquisition.seconds])
    cs.write_fcs(folder / "a.fcs", rows, pnn=NAMES, keywords={"$TIMESTEP": "1"})
    (folder / "plan.toml").write_text(
        'gates = [{ name = "monocytes", type = "rectangle", x = "cd14", '
        "ranges = { x = { min = 2500 } } }]"
    )
    assay = Assay(
        name="mhladr",
        compensation="none",
        gating=str(folder / "plan.toml"),
        channels=(("cd14", ("CD14-A",)), ("hladr", ("HLADR-A",)), ("time", ("Time",))),
        abc=AbcSettings("root/monocytes", "hladr"),
        quality=cs.QualitySettings(**settings),
    )
    row = Sample("s1", "a.fcs", str(folder / "a.fcs"), "p1", "mhladr")
    outcome = cs.analyze_sample(row, assay)
    assert isinstance(outcome, SampleResult), outcome
    return outcome


def stepped(decades: float = 0.3) -> Acquisition:
    """HLA-DR falls by so many decades for the last third of the file."""
    run = clean(5, 12_000)
    values = run.values.copy()
    values[8_000:, 3] *= 10.0**-decades
    return replace(run, values=values)


def test_flagged_events_are_kept_and_told_or_dropped_as_the_study_says(tmp_path: Path) -> None:
    kept = measured(tmp_path, stepped())
    assert kept.quality is not None
    assert kept.quality.channels == ("CD14-A", "HLADR-A")  # those of the assay, not the time
    assert "signal_unstable" in kept.flags
    (flagged,) = kept.quality.flagged()
    assert flagged == (7_980, 12_000)  # bins of 60 events
    dropped = measured(tmp_path, stepped(), events="drop")
    assert "flagged_events_dropped" in dropped.flags
    assert (kept.n_events, dropped.n_events) == (12_000, 12_000)
    assert kept.populations[0].n_events == 12_000
    assert dropped.populations[0].n_events == 7_980
    assert kept.quantified is not None
    assert dropped.quantified is not None
    assert kept.quantified == dropped.quantified_otherwise
    assert dropped.quantified == kept.quantified_otherwise
    undisturbed = measured(tmp_path, clean(5, 12_000)).quantified
    assert undisturbed is not None
    assert undisturbed.intensity is not None
    assert dropped.quantified.intensity == pytest.approx(undisturbed.intensity, rel=0.05)
    assert kept.quantified.intensity < 0.85 * undisturbed.intensity


def test_a_clean_file_is_measured_once(tmp_path: Path) -> None:
    result = measured(tmp_path, clean(5, 5_000), events="drop")
    assert result.quantified_otherwise is None
    assert result.populations[0].n_events == 5_000
    assert not any("quality" in flag or "events" in flag for flag in result.flags)


def test_an_assay_may_ask_for_no_check(tmp_path: Path) -> None:
    assert measured(tmp_path, stepped(), checks=()).quality is None


def test_tables_give_both_values_and_where_the_doubt_lies(tmp_path: Path) -> None:
    result = measured(tmp_path, stepped())
    assert result.quantified is not None
    row = Sample("s1", "a.fcs", "a.fcs", "p1", "mhladr", bead_run="B1")
    assay = Assay("mhladr", "none", "", (), abc=AbcSettings("root/monocytes", "hladr"))
    runs = beads(channel=result.quantified.detector)
    tables = all_tables(study(row, assays=(assay,)), [result], [runs])
    (abc,) = tables["abc"].iter_rows(named=True)
    assert abc["abc_all_events"] == abc["abc"]
    assert abc["abc_good_events"] > 1.1 * abc["abc"]
    assert tables["samples"]["quality"].to_list() == ["fail"]
    assert tables["quality"]["check"].to_list() == ["rate", *["signal"] * 2, *["margin"] * 2]
    (window,) = tables["quality_windows"].iter_rows(named=True)
    assert (window["channel"], window["kind"]) == ("HLADR-A", "step")
    assert (window["first_event"], window["n_events"]) == (7_980, 4_020)
    bins = tables["quality_bins"].filter(channel="HLADR-A")
    assert bins["n_events"].sum() == 12_000
    assert bins["median"][-1] < 0.7 * bins["median"][0]


def test_a_study_sets_checks_and_limits(tmp_path: Path) -> None:
    section = '[assays.mhladr.quality]\nevents = "drop"\nchecks = ["rate"]\nsignal_shift = 0.2\n'
    folder = write(tmp_path, study_toml=STUDY + section)
    loaded = cs.load_study(folder)
    assert loaded.assays[0].quality == cs.QualitySettings(
        checks=("rate",), events="drop", signal_shift=0.2
    )
    run = cs.run_study(loaded, out=tmp_path / "results").run
    assert run.limits["mhladr"]["quality"]["events"] == "drop"


def test_faults_of_the_settings(tmp_path: Path) -> None:
    section = '[assays.mhladr.quality]\nevents = "cut"\nrate_ratio = 1\ngap = 3\n'
    found = "\n".join(refused(tmp_path, study_toml=STUDY + section))
    assert "assays.mhladr.quality.events: found 'cut'; wanted 'keep' or 'drop'" in found
    assert "assays.mhladr.quality.rate_ratio: found 1" in found
    assert "assays.mhladr.quality.gap: is no key that is known" in found


# --- the command


def test_the_command_says_where_and_when(tmp_path: Path) -> None:
    disturbed = INJECTIONS["back_flush"](clean(2, 20_000), np.random.default_rng(2))
    run = disturbed.acquisition
    path = tmp_path / "a.fcs"
    cs.write_fcs(path, np.column_stack([run.values, run.seconds]), pnn=NAMES)
    (tmp_path / "b.fcs").write_bytes(b"no FCS")
    shown = CliRunner().invoke(app, ["quality", str(path)])
    assert shown.exit_code == 0
    assert "20,000 events · review" in shown.stdout
    assert "excursion: -0." in shown.stdout
    told = CliRunner().invoke(
        app, ["quality", str(path), str(tmp_path / "b.fcs"), "--format", "json"]
    )
    assert told.exit_code == 1
    good, bad = json.loads(told.stdout)
    assert good["verdict"] == "review"
    (first, stop), *_ = next(c["flagged"] for c in good["checks"] if c["flagged"])
    assert abs(first - disturbed.first_event) <= 200
    assert abs(stop - disturbed.stop_event) <= 200
    assert bad["error"]["code"]


def test_the_command_tells_what_was_not_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.fcs"
    values = clean(2, 600).values
    values[:300, 3] = 262_143.0
    cs.write_fcs(path, values, pnn=NAMES[:-1])
    shown = CliRunner().invoke(app, ["quality", str(path)])
    assert "no time" in shown.stdout
    assert "HLADR-A" in shown.stdout


# --- events left out of a file


def test_a_part_of_a_file_is_read_as_if_the_rest_were_not_there(tmp_path: Path) -> None:
    events = np.random.default_rng(1).uniform(0.0, 1e4, (70_000, 8)).astype(np.float32)
    cs.write_fcs(tmp_path / "a.fcs", events, pnn=[f"FL{k}-A" for k in range(8)])
    raw = cs.read_fcs(tmp_path / "a.fcs")
    for stretches in ([(0, 10), (40_000, 60_001), (69_999, 70_000)], [(5, 6)], []):
        rows = np.concatenate([np.arange(*s) for s in stretches] or [np.empty(0)]).astype(int)
        part = raw.keep(stretches)
        assert part.n_events == len(rows)
        assert np.array_equal(part.linear(), events[rows])
        assert np.array_equal(raw_of(events, raw.pnn).keep(stretches).linear(), events[rows])
        counted = cs.gate(part, _plan())
        assert counted.n_events["root/bright"] == int((events[rows, 0] >= 5_000).sum())
        assert counted.mask("root/bright").tolist() == (events[rows, 0] >= 5_000).tolist()


def _plan() -> cs.GatingPlan:
    from cytosepsis.gating.toml_plan import parse_toml_plan

    gate = {"name": "bright", "type": "rectangle", "x": "FL0-A", "ranges": {"x": {"min": 5000}}}
    return parse_toml_plan({"gates": [gate]})


@pytest.mark.parametrize(
    "stretches", [[(5, 3)], [(0, 11)], [(4, 6), (5, 8)]], ids=["backward", "beyond", "overlap"]
)
def test_stretches_that_are_none_are_a_mistake(stretches: list[tuple[int, int]]) -> None:
    with pytest.raises(AssertionError, match="stretches out of order"):
        raw_of(np.zeros((10, 1)), ("FSC-A",)).keep(stretches)
