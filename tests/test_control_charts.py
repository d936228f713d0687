"""Control charts from result tables: what is charted, how it is judged, lots and targets."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from cytosepsis.analysis.charted import chart_points, sensitivity_frame
from cytosepsis.analysis.control_charts import control_targets, judge_charts
from cytosepsis.analysis.lot_bridges import lot_bridges
from cytosepsis.analysis.westgard import Learning
from cytosepsis.calibration import BeadLevel
from cytosepsis.cli import app
from cytosepsis.config import load_study
from cytosepsis.protocol import BeadRun, ChartSettings
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.study import run_study
from cytosepsis.tables import all_tables
from hand_made import ACQUIRED, LEVELS, beads, line, override, result, rows, sample, study
from small_study import STUDY, refused, write

DAY = timedelta(days=1)
FEW = Learning(runs=8, provisional_runs=5)


def bead_run(day, *, name=None, lot="96597", shift=0.0, gains=(1.0,) * 4, status="ok", volts=450.0):
    """A run of a day: a line of slope 1 that scatters by 0.2 %, levels that scatter by 1 %."""
    rng = np.random.default_rng(day)
    when = ACQUIRED + day * DAY
    levels = tuple(
        BeadLevel(pe, pe * gain * float(np.exp(0.01 * rng.standard_normal())), 5_000, 0.06, 1.0)
        for pe, gain in zip(LEVELS, gains, strict=True)
    )
    calibration = replace(
        line(),
        lot=lot,
        slope=1 + 0.002 * float(rng.standard_normal()),
        intercept=shift + 0.002 * float(rng.standard_normal()),
        levels=levels,
        acquired_at=when,
        voltage=volts,
        status=status,
    )
    return beads(
        name or f"B{day:02d}",
        None,
        lot=lot,
        calibration=calibration,
        acquired_at=when,
        status=status,
    )


def charts(bead_runs, samples=(), outcomes=(), learning=FEW, **fields):
    rows_of_sheet = tuple(BeadRun(b.bead_run, "b.fcs", "/b.fcs", b.lot) for b in bead_runs)
    of_study = study(*samples, bead_runs=rows_of_sheet, **fields)
    tables = all_tables(of_study, outcomes, bead_runs)
    sensitivity = sensitivity_frame(tables["calibrations"], tables["bead_levels"])
    return judge_charts(chart_points(tables, sensitivity), learning), tables


def of(frame, quantity, item=None):
    chosen = frame.filter(pl.col("quantity") == quantity)
    return rows(chosen if item is None else chosen.filter(pl.col("item") == item))


def test_a_quiet_instrument_is_in_control():
    frame, _ = charts([bead_run(day) for day in range(20)])

    assert set(frame["quantity"]) == {
        "bead_slope", "bead_intercept", "bead_level", "bead_level_cv",
        "detector_voltage", "detector_gain", "detector_q", "detector_b",
    }  # fmt: skip
    slopes = of(frame, "bead_slope")
    assert [row["verdict"] for row in slopes[:5]] == ["learning"] * 5
    assert {row["limits"] for row in slopes[5:8]} == {"provisional"}
    assert {row["limits"] for row in slopes[8:]} == {"learned"}
    assert slopes == sorted(slopes, key=lambda row: row["acquired_at"])
    assert of(frame, "bead_level", "65000 PE")[0]["unit"] == "a.u."


def test_a_shifted_run_is_rejected_and_the_others_are_as_they_were():
    quiet, _ = charts([bead_run(day) for day in range(15)])
    frame, _ = charts([*(bead_run(day) for day in range(14)), bead_run(14, shift=0.05)])

    last = of(frame, "bead_intercept")[-1]
    assert last["verdict"] == "rejected"
    assert "1-3s" in last["rules"].split(";")
    assert of(frame, "bead_intercept")[:-1] == of(quiet, "bead_intercept")[:-1]


def test_levels_that_move_apart_in_one_run_break_r_4s():
    apart = bead_run(14, gains=(0.95, 1.0, 1.0, 1.05))
    frame, _ = charts([*(bead_run(day) for day in range(14)), apart])

    assert "R-4s" in of(frame, "bead_level", "500 PE")[-1]["rules"]
    assert "R-4s" in of(frame, "bead_level", "25000 PE")[-1]["rules"]  # the whole run is wide
    # in two runs the same distance is no R-4s
    two = [bead_run(14, gains=(0.965,) * 4), bead_run(15, gains=(1.04,) * 4)]
    frame, _ = charts([*(bead_run(day) for day in range(14)), *two])
    chart = of(frame, "bead_level", "500 PE")
    assert chart[15]["z"] - chart[14]["z"] > 4
    assert "R-4s" not in chart[14]["rules"] + chart[15]["rules"]


def test_a_failed_run_is_shown_and_teaches_nothing():
    bad = bead_run(3, shift=0.5, status="failed")
    frame, _ = charts([*(bead_run(day) for day in range(3)), bad, *map(bead_run, range(4, 15))])
    without, _ = charts([bead_run(day) for day in range(15) if day != 3])

    assert of(frame, "bead_intercept")[3]["value"] > 0.4
    last, expected = of(frame, "bead_intercept")[-1], of(without, "bead_intercept")[-1]
    assert (last["mean"], last["sd"]) == (expected["mean"], expected["sd"])


def test_a_run_without_a_line_is_missing():
    failed = replace(bead_run(3, status="failed"), calibration=None, error_code="calibration")
    frame, _ = charts([*(bead_run(day) for day in range(3)), failed])

    assert of(frame, "bead_slope")[-1]["verdict"] == "missing"


def test_a_changed_voltage_is_told_once():
    runs = [bead_run(day, volts=450.0 if day < 6 else 460.0) for day in range(10)]
    frame, _ = charts(runs)

    told = {row["run"]: row["rules"] for row in of(frame, "detector_voltage") if row["rules"]}
    assert told == {"B06": "changed"}
    assert of(frame, "detector_voltage")[6]["verdict"] == "warning"


def test_another_lot_or_cytometer_is_another_chart():
    runs = [bead_run(day) for day in range(8)] + [bead_run(day, lot="X") for day in range(8, 12)]
    runs.append(replace(bead_run(12), cytometer="Navios"))
    frame, _ = charts(runs)

    assert {row["verdict"] for row in of(frame, "bead_slope")[8:]} == {"learning"}


def controls(values, **extra):
    samples, outcomes = [], []
    for day, value in enumerate(values):
        when = ACQUIRED + day * DAY
        samples.append(
            sample(
                f"c{day:02d}",
                "CB-low",
                group="control",
                drawn_at=when,
                reagent_lot="R1",
                extra=tuple(extra.items()),
            )
        )
        outcomes.append(result(f"c{day:02d}", value, acquired_at=when + timedelta(hours=1)))
    return samples, outcomes


def test_control_blood_is_charted_and_learns_its_limits():
    rng = np.random.default_rng(4)
    samples, outcomes = controls([*(20_000 + 300 * rng.standard_normal(10)), 23_000])
    frame, _ = charts([bead_run(day) for day in range(11)], samples, outcomes)

    chart = of(frame, "control_abc", "CB-low")
    assert len(chart) == 11
    assert chart[-1]["verdict"] == "rejected"
    assert {row["verdict"] for row in chart[5:10]} <= {"ok", "warning"}


def test_the_sheets_target_needs_no_learning_and_a_rejected_value_teaches_nothing():
    samples, outcomes = controls([20_100, 23_500, 19_900], target_abc="20000", target_sd="1000,0")
    frame, tables = charts(
        [bead_run(day) for day in range(3)],
        samples,
        outcomes,
        overrides=(override("c02", "reject"),),
    )

    chart = of(frame, "control_abc")
    assert [row["limits"] for row in chart] == ["given"] * 3
    assert chart[1]["verdict"] == "rejected"
    assert chart[1]["z"] == pytest.approx((chart[1]["value"] - 20_000) / 1_000)
    assert not chart[2]["usable"]
    targets = rows(control_targets(tables["abc"], tables["samples"]))
    assert [row["verdict"] for row in targets] == ["within", "outside", "within"]
    assert targets[1]["target_high"] == 22_000
    assert targets[1]["recovery"] == pytest.approx(targets[1]["abc"] / 20_000)


def test_targets_without_a_range_and_values_that_are_missing():
    samples, outcomes = controls([20_000, None], target_abc="20000")
    outcomes[1] = replace(outcomes[1], quantified=None)
    _, tables = charts([bead_run(0), bead_run(1)], samples, outcomes)
    ranged, _ = controls([20_000], target_low="21000")
    _, low = charts([bead_run(0)], ranged, outcomes[:1])

    verdicts = [row["verdict"] for row in rows(control_targets(tables["abc"], tables["samples"]))]
    assert verdicts[0] == "no_target"
    assert set(verdicts[1:]) <= {"no_value"}
    assert rows(control_targets(low["abc"], low["samples"]))[0]["verdict"] == "outside"


def bridged(bias, n=8, **settings):
    """Old and new lot on one day; the new lot's line reads so much more."""
    old = bead_run(0, name="old")
    new = replace(
        bead_run(0, name="new", lot="N2", shift=-np.log10(1 + bias)),
        acquired_at=ACQUIRED + timedelta(hours=1),
    )
    new = replace(new, calibration=replace(new.calibration, acquired_at=new.acquired_at))
    samples = [sample(f"s{i}", f"p{i}", bead_run="old") for i in range(n)]
    outcomes = [
        result(f"s{i}", 2_000.0 * (i + 1), acquired_at=ACQUIRED + timedelta(hours=2))
        for i in range(n)
    ]
    _, tables = charts([old, new], samples, outcomes)
    return lot_bridges(tables["calibrations"], tables["abc"], ChartSettings(**settings))


@pytest.mark.parametrize(
    ("bias", "verdict"),
    [(0.0, "accepted"), (0.05, "accepted"), (0.2, "rejected"), (-0.3, "rejected")],
)
def test_lots_are_bridged_by_the_samples_of_the_day(bias, verdict):
    row = rows(bridged(bias))[0]

    assert (row["old_lot"], row["new_lot"]) == ("96597", "N2")
    assert row["bias"] == pytest.approx(bias, abs=0.02)
    assert row["bias_low"] <= row["bias"] <= row["bias_high"]
    assert row["verdict"] == verdict


def test_a_bridge_of_few_samples_says_so_and_distant_runs_are_no_bridge():
    assert rows(bridged(0.0, n=3))[0]["verdict"] == "too_few"
    assert bridged(0.0, bridge_hours=0.5).is_empty()


def test_the_settings_of_a_study_are_used_and_checked(tmp_path):
    section = "\n[control_charts]\nbaseline_runs = 12\nbridge_bias = 0.05\n"
    loaded = load_study(write(tmp_path, study_toml=STUDY + section))

    assert loaded.control_charts == ChartSettings(baseline_runs=12, bridge_bias=0.05)
    wrong = refused(
        tmp_path, study_toml=STUDY + "\n[control_charts]\nbaseline_runs = 1\nrules = 2\n"
    )
    assert any("control_charts.baseline_runs: found 1; wanted 3 or more" in text for text in wrong)
    assert any("control_charts.rules: is no key that is known" in text for text in wrong)


def test_the_command_on_a_simulated_study(tmp_path):
    settings = SimulationSettings(patients=2, healthy=1, events=1500, bead_events=2500)
    simulate_study(tmp_path / "study", settings)
    run_study(load_study(tmp_path / "study"), tmp_path / "out")
    called = CliRunner().invoke(app, ["charts", str(tmp_path / "out")])

    assert called.exit_code == 0, called.output
    assert "Runs on charts:" in called.output
    charts = pl.read_parquet(tmp_path / "out" / "control_charts.parquet")
    runs = pl.read_parquet(tmp_path / "out" / "calibrations.parquet")
    gates = charts.filter(pl.col("quantity") == "gate_position")
    donors = pl.read_parquet(tmp_path / "out" / "samples.parquet").filter(
        pl.col("group") == "healthy"
    )
    assert set(gates["run"]) == set(donors["sample_id"])
    found = pl.read_parquet(tmp_path / "out" / "gates.parquet")
    cuts = found.filter(
        pl.col("type") == "threshold", pl.col("sample_id").is_in(donors["sample_id"].implode())
    )
    charted = gates.filter(pl.col("item").str.ends_with(" cut"))
    assert charted["value"].to_list() == cuts["cut"].to_list()
    slopes = charts.filter(pl.col("quantity") == "bead_slope")
    assert slopes.sort("run")["value"].to_list() == runs.sort("bead_run")["slope"].to_list()
