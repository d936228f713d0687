"""Ex vivo: each drug well with its own controls; n counts patients; nothing unpaired in silence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import hand_made
from cytosepsis.analysis.exvivo import exvivo_frames
from cytosepsis.analysis.exvivo_tables import CODES, TABLES
from cytosepsis.analysis_plan import Analyses, DyeDilution, ExVivoPlan
from cytosepsis.protocol import Marker, Measurement, Patient, Study
from cytosepsis.statistics.paired import hodges_lehmann, signed_rank

TNF = Marker("tnf", "measurement", unit="pg/mL")


def well(
    patient: str, value: float, stimulus: str = "LPS", drug: str = "", **extra: Any
) -> Measurement:
    design = {"stimulus": stimulus, "drug": drug, "incubation_hours": "24", "plate": "1", **extra}
    if drug:
        design.setdefault("dose", "100")
        design.setdefault("dose_unit", "ng/mL")
    cells = tuple((key, None if v is None else str(v)) for key, v in design.items())
    return Measurement(patient, "tnf", value, "pg/mL", timepoint="D3-4", extra=cells)


def person(
    patient: str, base: float, fold: float, drug: str = "IFN-γ", **extra: Any
) -> list[Measurement]:
    return [
        well(patient, base / 2, "none", "none", **extra),
        well(patient, base, **extra),
        well(patient, base * fold, drug=drug, **extra),
    ]


def study(wells: list[Measurement], plan: ExVivoPlan | None = None, **fields: Any) -> Study:
    names = dict.fromkeys(w.patient_id for w in wells)
    people = tuple(Patient(n, group="healthy" if n.startswith("h") else "patient") for n in names)
    fields = {"markers": (TNF,), "patients": people, "windows": hand_made.WINDOWS, **fields}
    plan = plan or ExVivoPlan(cv=(("tnf", 0.05),))
    return Study("s", Path(), (), (), measurements=tuple(wells),
                 analyses=Analyses(exvivo=plan), **fields)  # fmt: skip


@pytest.fixture(scope="module")
def nothing() -> dict[str, pl.DataFrame]:
    """Tables of a run without files."""
    return hand_made.run(hand_made.study())


def frames(of: Study, tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    made = exvivo_frames(of, tables)
    assert list(made) == [table.name for table in TABLES]
    codes = {code for t in made.values() for name in t.columns if name.endswith("reason")
             for code in t[name].drop_nulls()}  # fmt: skip
    assert codes <= CODES.keys()
    return made


def cohort(n: int = 8, fold: float = 2.0) -> Iterator[Measurement]:
    rng = np.random.default_rng(1)
    for i in range(n):
        yield from person(f"p{i}", 100 + 10 * i, fold * float(np.exp(0.1 * rng.standard_normal())))
    for i in range(4):
        yield from person(f"h{i}", 400 + 10 * i, 1.0)


def effect(made: dict[str, pl.DataFrame], **where: Any) -> dict[str, Any]:
    rows = made["exvivo_effects"].filter(*(pl.col(k) == v for k, v in where.items())).to_dicts()
    assert len(rows) == 1, rows
    return rows[0]


def test_one_well_by_hand(nothing: dict[str, pl.DataFrame]) -> None:
    made = frames(study([*person("p1", 100, 2.0), *person("h1", 400, 1.0)]), nothing)
    row = effect(made, patient_id="p1")
    assert (row["value"], row["control"], row["unstimulated"]) == (200, 100, 50)
    assert (row["delta"], row["fold"], row["log2_fold"]) == (100, 2, 1)
    assert (row["background_subtracted"], row["control_background_subtracted"]) == (150, 50)
    assert row["healthy_control"] == 400
    # half way to the donors on the logarithmic scale
    assert row["restoration_index"] == pytest.approx(0.5)
    assert row["responder"] is True
    assert (row["dose"], row["dose_unit"], row["stimulus"], row["reason"]) == (
        100, "ng/mL", "LPS", None,
    )  # fmt: skip
    donor = effect(made, patient_id="h1")
    assert (donor["restoration_index"], donor["restoration_reason"]) == (None, "no_patients")
    assert donor["responder"] is False


def test_replicates_are_averaged_before_anything_else(nothing: dict[str, pl.DataFrame]) -> None:
    wells = [*person("p1", 100, 2.0), well("p1", 800, drug="IFN-γ", replicate="2")]
    row = effect(frames(study(wells), nothing), patient_id="p1")
    assert (row["n_replicates"], row["value"]) == (2, pytest.approx(400))  # geometric
    linear = ExVivoPlan(linear=("tnf",))
    row = effect(frames(study(wells, linear), nothing), patient_id="p1")
    assert (row["value"], row["scale"], row["fold"]) == (pytest.approx(500), "linear", None)
    assert row["delta"] == pytest.approx(400)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"plate": "2"}, "no_control"),
        ({"incubation_hours": "48"}, "no_control"),
        ({"stimulus": "PHA"}, "no_control"),
    ],
)
def test_controls_of_another_experiment_do_not_count(
    nothing: dict[str, pl.DataFrame], change: dict[str, str], reason: str
) -> None:
    drug = well("p1", 200, **{"drug": "IFN-γ", **change})
    wells = [well("p1", 50, "none"), well("p1", 100), drug]
    row = effect(frames(study(wells), nothing), patient_id="p1")
    assert (row["reason"], row["delta"], row["responder"]) == (reason, None, None)


def test_a_missing_unstimulated_well_excludes(nothing: dict[str, pl.DataFrame]) -> None:
    wells = [well("p1", 100), well("p1", 200, drug="IFN-γ")]
    made = frames(study(wells), nothing)
    assert effect(made, patient_id="p1")["reason"] == "no_unstimulated"
    assert made["exvivo_tests"]["n_excluded"].to_list() == [1]


def test_the_time_of_the_drug_makes_another_experiment(nothing: dict[str, pl.DataFrame]) -> None:
    wells = [*person("p1", 100, 2.0, drug_timing="before"),
             well("p1", 60, drug="IFN-γ", drug_timing="with")]  # fmt: skip
    made = frames(study(wells), nothing)
    assert effect(made, drug_timing="before")["fold"] == 2
    assert effect(made, drug_timing="with")["fold"] == pytest.approx(0.6)
    assert made["exvivo_tests"].height == 2


def test_a_condition_alone_does_not_say_what_was_done(nothing: dict[str, pl.DataFrame]) -> None:
    wells = [*person("p1", 100, 2.0), well("p1", 500, "", condition="LPS+GM")]
    made = frames(study(wells), nothing)
    assert effect(made, drug="IFN-γ")["unstimulated"] == 50
    unclear = made["exvivo_effects"].filter(pl.col("reason") == "design_unclear")
    assert unclear.height == 1


def test_without_a_repeatability_nobody_is_a_responder(nothing: dict[str, pl.DataFrame]) -> None:
    wells = [*person("p1", 100, 5.0), *person("h1", 400, 1.0)]
    row = effect(frames(study(wells, ExVivoPlan()), nothing), patient_id="p1")
    assert (row["responder"], row["restoration_index"], row["restoration_reason"]) == (
        None, None, "no_cv",
    )  # fmt: skip


def test_what_is_as_in_donors_has_nothing_to_restore(nothing: dict[str, pl.DataFrame]) -> None:
    wells = [*person("p1", 390, 1.5), *person("h1", 400, 1.0)]
    row = effect(frames(study(wells), nothing), patient_id="p1")
    assert (row["restoration_index"], row["restoration_reason"]) == (None, "near_healthy")
    alone = effect(frames(study(person("p1", 100, 2.0)), nothing), patient_id="p1")
    assert alone["restoration_reason"] == "no_donors"


def test_a_responder_changes_in_the_declared_direction(nothing: dict[str, pl.DataFrame]) -> None:
    down = ExVivoPlan(cv=(("tnf", 0.05),), directions=(("tnf", "down"),))
    for fold, plan, wanted in ((2.0, down, False), (0.5, down, True), (1.1, None, False)):
        row = effect(frames(study(person("p1", 100, fold), plan), nothing), patient_id="p1")
        assert row["responder"] is wanted
    # 2.77 · CV on the logarithmic scale: exp(2.77 · 0.05) = 1.1485
    for fold, wanted in ((1.147, False), (1.150, True)):
        row = effect(frames(study(person("p1", 100, fold)), nothing), patient_id="p1")
        assert row["responder"] is wanted


def test_a_planted_drug_is_found_and_a_null_drug_is_not(nothing: dict[str, pl.DataFrame]) -> None:
    wells = list(cohort())
    rng = np.random.default_rng(2)
    for i in range(8):
        base = 100 + 10 * i
        wells.append(well(f"p{i}", base * float(np.exp(0.1 * rng.standard_normal())), drug="null"))
    made = frames(study(wells), nothing)
    tests = {row["drug"]: row for row in made["exvivo_tests"].filter(group="patient").to_dicts()}
    real, null = tests["IFN-γ"], tests["null"]
    assert (real["n"], real["n_responders"], real["method"]) == (8, 8, "exact")
    assert real["p_value"] == pytest.approx(2 / 2**8)
    assert real["p_adjusted"] == pytest.approx(2 * real["p_value"])  # Holm over two drugs
    assert real["low"] < 2 < real["high"]
    assert null["p_adjusted"] > 0.05
    own = made["exvivo_effects"].filter(pl.col("drug") == "IFN-γ", pl.col("group") == "patient")
    logs = np.log(own["fold"].to_numpy())
    shift, test = hodges_lehmann(logs), signed_rank(logs)
    assert shift is not None
    assert test is not None
    assert real["estimate"] == pytest.approx(np.exp(shift.estimate))
    assert real["p_value"] == test.p_value
    against = made["exvivo_against_healthy"].filter(pl.col("stimulus") == "LPS").to_dicts()[0]
    assert (against["n_patients"], against["n_healthy"], against["method"]) == (8, 4, "exact")
    assert against["high"] < 1
    donors = made["exvivo_tests"].filter(group="healthy").to_dicts()[0]
    assert donors["reason"] == "few_pairs"


def test_n_counts_patients_not_plates(nothing: dict[str, pl.DataFrame]) -> None:
    wells = [w for i in range(6) for plate in "12" for w in person(f"p{i}", 100, 2.0, plate=plate)]
    made = frames(study(wells), nothing)
    assert made["exvivo_effects"].height == 12
    assert made["exvivo_tests"]["n"].to_list() == [6]


def test_pairs_without_any_change_have_no_test(nothing: dict[str, pl.DataFrame]) -> None:
    wells = [w for i in range(6) for w in person(f"p{i}", 100 + i, 1.0)]
    row = frames(study(wells), nothing)["exvivo_tests"].row(0, named=True)
    assert (row["reason"], row["p_value"], row["n_zeros"]) == ("all_equal", None, 6)
    no_donors = frames(study(wells), nothing)["exvivo_against_healthy"]
    assert set(no_donors["reason"]) == {"no_donors"}


def test_a_curve_needs_five_doses(nothing: dict[str, pl.DataFrame]) -> None:
    rng = np.random.default_rng(3)

    def wells(doses: tuple[float, ...]) -> list[Measurement]:
        found = []
        for i in range(8):
            found += [well(f"p{i}", 50, "none"), well(f"p{i}", 100)]
            for dose in doses:
                fold = 2 ** (2 / (1 + (10 / dose) ** 2) + 0.05 * rng.standard_normal())
                found.append(well(f"p{i}", 100 * fold, drug="IL-7", dose=f"{dose:g}"))
        return found

    row = frames(study(wells((1, 3, 10, 30, 100))), nothing)["exvivo_doses"].row(0, named=True)
    assert (row["n_doses"], row["n"]) == (6, 8)
    assert row["friedman_p"] < 1e-4
    assert row["ed50_low"] < 10 < row["ed50_high"]
    assert row["upper"] == pytest.approx(2, abs=0.2)
    few = frames(study(wells((1, 10, 100))), nothing)["exvivo_doses"].row(0, named=True)
    assert (few["ed50"], few["curve_reason"]) == (None, "fewer_than_five_doses")
    assert few["friedman_p"] is not None
    assert frames(study(wells((10,))), nothing)["exvivo_doses"].is_empty()


def test_wells_that_are_files() -> None:
    """AB/C of wells; a flagged one is used and says so, a rejected one is not."""
    design = {"incubation_hours": 20.0, "plate": "1", "stained_at": None}
    samples = [
        hand_made.sample("u", stimulus="none", drug="none", **design),
        hand_made.sample("s", stimulus="LPS", **design),
        hand_made.sample("d", stimulus="LPS", drug="IFN-γ", **design),
        hand_made.sample("r", stimulus="LPS", drug="IFN-γ", replicate="2", **design),
    ]
    of = hand_made.study(*samples, overrides=(hand_made.override("r", "reject"),), assay_cv=0.03)
    values = {"u": 4000.0, "s": 5000.0, "d": 10_000.0, "r": 90_000.0}
    outcomes = [hand_made.result(name, value, n_cells=100 if name == "d" else 4000)
                for name, value in values.items()]  # fmt: skip
    row = effect(frames(of, hand_made.run(of, *outcomes)), patient_id="p1")
    assert row["value"] == pytest.approx(10_000)
    assert row["fold"] == pytest.approx(2)
    assert (row["readout"], row["unit"], row["n_replicates"]) == ("mhladr", "AB/C", 1)
    assert row["responder"] is True
    assert row["flags"] == "flagged_values"


def test_fractions_and_intensities_of_wells() -> None:
    readouts = (
        Marker("share", "fraction", ("mhladr",), "monocytes", of="singlets"),
        Marker("cd14", "intensity", ("mhladr",), "monocytes", "cd14"),
    )
    design = {"incubation_hours": 20.0, "plate": "1"}
    samples = [
        hand_made.sample("u", stimulus="none", **design),
        hand_made.sample("d", drug="IL-7", **design),
    ]
    of = hand_made.study(*samples, markers=readouts)
    outcomes = [hand_made.result("u", 1.0, n_cells=4000), hand_made.result("d", 1.0, n_cells=8000)]
    made = frames(of, hand_made.run(of, *outcomes))
    share, cd14 = effect(made, readout="share"), effect(made, readout="cd14")
    assert (share["scale"], share["delta"], share["fold"]) == ("linear", pytest.approx(0.25), None)
    assert (cd14["value"], cd14["fold"], cd14["scale"]) == (900, 1, "log10")


def test_dye_dilution_of_gated_generations() -> None:
    plan = ExVivoPlan(
        dilutions=(DyeDilution("t", ("singlets", "monocytes")), DyeDilution("x", ("root", "gone")))
    )
    of = hand_made.study(hand_made.sample("s1"), analyses=Analyses(exvivo=plan))
    made = frames(of, hand_made.run(of, hand_made.result("s1", 5000.0, n_cells=4000)))
    rows = {(r["dilution"], r["index_name"]): r for r in made["dilution_indices"].to_dicts()}
    # 16,000 cells of generation 0, 4,000 of generation 1 from 2,000 precursors
    assert rows["t", "percent_divided"]["value"] == pytest.approx(100 / 9)
    assert rows["t", "expansion_index"]["value"] == pytest.approx(20 / 18)
    assert rows["t", "division_index"]["formula"].startswith("Σ i·p_i")
    assert rows["x", "percent_divided"]["reason"] == "population_missing"
