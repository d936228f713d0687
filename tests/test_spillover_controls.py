"""Spillover from single-stain controls: truth is recovered, real controls, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cytosepsis.cli import app
from cytosepsis.compensation import Spillover, read_spillover_csv, unmixing, write_spillover_csv
from cytosepsis.errors import CompensationError, StudyError
from cytosepsis.fcs import read_fcs
from cytosepsis.fcs_write import write_fcs
from cytosepsis.flags import FLAGS
from cytosepsis.spillover_controls import Control, read_controls, spillover_from_controls
from cytosepsis.spillover_controls.choice import Chosen, choose
from cytosepsis.spillover_controls.comparison import compare
from cytosepsis.spillover_controls.events import around_bright, usable_events
from cytosepsis.spillover_controls.refinement import refine
from cytosepsis.spillover_controls.report import report_of

DETECTORS = ("B-A", "V-A", "Y-A")
S = np.array([[1.0, 0.9, 0.02], [0.0, 1.0, 0.3], [0.55, 0.1, 1.0]])
BACKGROUND = np.array([80.0, 150.0, 60.0])
GAIN, SD = 3.0, 20.0  # units per photoelectron; of the electronics


def light(rng: np.random.Generator, n: int, *, bright: float = 2e4, cv: float = 0.5) -> np.ndarray:
    """Intensity of a dye, 5 % of the cells without it."""
    dye = bright * np.exp(rng.normal(0.0, cv, n))
    return np.where(rng.random(n) < 0.05, 0.0, dye)


def seen(rng: np.random.Generator, dye: np.ndarray, row: np.ndarray | None) -> np.ndarray:
    """What the detectors give: own light of each cell, the dye's, photon and electronic noise."""
    cells = np.exp(rng.normal(0.0, 0.3, (dye.size, 1)))
    mean = BACKGROUND * cells + (0.0 if row is None else dye[:, None] * row)
    return rng.poisson(mean / GAIN) * GAIN + rng.normal(0.0, SD, mean.shape)


def ideal_errors(dyes: Sequence[np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """Standard errors of a regression that knows each event's dye and variance."""
    errors = np.zeros(matrix.shape)
    for i, dye in enumerate(dyes):
        for j in range(len(matrix)):
            variance = GAIN * (BACKGROUND[j] + matrix[i, j] * dye) + SD**2
            variance = variance + (0.3 * BACKGROUND[j]) ** 2
            centred = dye - np.average(dye, weights=1 / variance)
            errors[i, j] = 1 / np.sqrt(np.sum(centred**2 / variance))
    return errors


class Tubes:
    """A folder of controls with known truth."""

    def __init__(self, folder: Path, *, n: int = 2000, seed: int = 1, top: float = 262143.0):
        self.folder, self.n, self.top = folder, n, top
        self.rng = np.random.default_rng(seed)
        self.dyes: list[np.ndarray] = []

    def write(self, name: str, row: np.ndarray | None, **changes: object) -> Path:
        rng = self.rng
        dye = np.zeros(self.n) if row is None else light(rng, self.n, **changes)  # type: ignore[arg-type]
        self.dyes.append(dye)
        scatter = rng.normal((9e4, 4e4), (1e4, 5e3), (self.n, 2))
        events = np.column_stack([scatter, np.minimum(seen(rng, dye, row), self.top)])
        return self.save(name, events)

    def save(self, name: str, events: np.ndarray, **keywords: str) -> Path:
        path = self.folder / name
        write_fcs(path, events, pnn=("FSC-A", "SSC-A", *DETECTORS), keywords=keywords)
        return path

    def controls(self, *, unstained: bool = False, **changes: object) -> list[Control]:
        made = [
            Control(str(self.write(f"{name}.fcs", row, **changes)), name)
            for name, row in zip(DETECTORS, S, strict=True)
        ]
        if unstained:
            blank = str(self.write("blank.fcs", None))
            made.append(Control(blank, "", role="unstained"))
        return made


@pytest.fixture(scope="module")
def tubes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tubes, list[Control]]:
    made = Tubes(tmp_path_factory.mktemp("tubes"))
    return made, made.controls(unstained=True)


# ------------------------------------------------------------------------------------ truth


@pytest.mark.parametrize(("n", "seeds"), [(200, range(4)), (2000, range(3)), (50_000, range(1))])
def test_known_matrices_are_recovered(n: int, seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        dyes = [light(rng, n) for _ in S]
        found = refine([seen(rng, dye, row) for dye, row in zip(dyes, S, strict=True)])
        limit = np.maximum(0.002, 4 * ideal_errors(dyes, S))
        assert (np.abs(found.matrix - S) <= limit).all()
        assert found.largest_slope <= 1e-5


def test_many_events_recover_to_a_thousandth() -> None:
    rng = np.random.default_rng(7)
    controls = [seen(rng, light(rng, 40_000, bright=4e4), row) for row in S]
    assert np.abs(refine(controls).matrix - S).max() <= 1e-3


def test_the_estimate_is_unbiased_where_an_ordinary_slope_is_not() -> None:
    # A narrow bright population: the noise of the own detector pulls an ordinary slope to zero.
    off, ordinary = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        controls = [seen(rng, light(rng, 4000, bright=3000.0, cv=0.1), row) for row in S]
        off.append(refine(controls).matrix[0, 1] - S[0, 1])
        bright = controls[0][controls[0][:, 0] > 1500]
        ordinary.append(np.polyfit(bright[:, 0], bright[:, 1], 1)[0] - S[0, 1])
    assert np.mean(ordinary) < -0.03
    assert abs(np.mean(off)) < 0.004


def test_the_stated_error_is_the_scatter_of_repeats() -> None:
    found, stated = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        refined = refine([seen(rng, light(rng, 400), row) for row in S])
        found.append(refined.matrix)
        stated.append(refined.standard_errors)
    beside = ~np.eye(3, dtype=bool)
    ratio = np.std(found, axis=0)[beside] / np.mean(stated, axis=0)[beside]
    assert (ratio > 0.6).all()
    assert (ratio < 1.6).all()


def test_strays_hardly_move_it() -> None:
    rng = np.random.default_rng(3)
    controls = [seen(rng, light(rng, 5000), row) for row in S]
    clean = refine(controls).matrix
    for values in controls:
        stray = rng.random(len(values)) < 0.03
        values[stray] = 10 ** rng.uniform(2, 4.5, (int(stray.sum()), 3))
    assert np.abs(refine(controls).matrix - clean).max() < 0.005


def test_what_unstained_cells_have_in_common_is_not_taken_for_spill() -> None:
    # 90 % unstained cells, whose own light varies in all detectors together
    off = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        dyes = [np.where(rng.random(20_000) < 0.9, 0.0, light(rng, 20_000)) for _ in S]
        off.append(refine([seen(rng, d, row) for d, row in zip(dyes, S, strict=True)]).matrix - S)
    assert np.abs(np.mean(off, axis=0)).max() < 0.002


def test_order_of_events_and_scale_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    controls = [seen(rng, light(rng, 1000), row) for row in S]
    found = refine(controls).matrix
    shuffled = refine([rng.permutation(values) for values in controls]).matrix
    assert np.abs(shuffled - found).max() < 1e-6
    scaled = refine([values / 1000.0 for values in controls]).matrix
    assert np.abs(scaled - found).max() < 1e-4


def test_one_dye_gives_the_identity(tmp_path: Path) -> None:
    made = Tubes(tmp_path)
    result = spillover_from_controls([Control(str(made.write("a.fcs", S[0])), "B-A")])
    assert result.spillover.matrix == ((1.0,),)
    assert result.report.pairs == ()


# ------------------------------------------------------------------------------ whole controls


def test_a_set_of_files_gives_a_labelled_matrix_and_its_report(
    tubes: tuple[Tubes, list[Control]],
) -> None:
    made, controls = tubes
    result = spillover_from_controls(controls)
    assert result.spillover.detectors == DETECTORS
    away = np.abs(result.spillover.array() - S)
    assert (away <= np.maximum(0.002, 4 * ideal_errors(made.dyes[:3], S))).all()
    report = result.report
    assert (report.status, report.flags) == ("ok", ())
    assert report.condition_number == pytest.approx(np.linalg.cond(S), rel=0.05)
    assert {control.n_events for control in report.controls} == {made.n}
    assert all(0.8 * made.n < control.n_used < made.n for control in report.controls)
    assert len(report.pairs) == 6
    left = [abs(pair.remaining or 0.0) for pair in report.worst_pairs]
    assert left == sorted(left, reverse=True)
    assert max(left) < 0.01
    # photons of the spilt light are the spread that compensation cannot take away
    spread = {(p.fluorochrome, p.detector): p.spread for p in report.pairs}
    assert spread["B-A", "V-A"] > spread["B-A", "Y-A"]


def test_without_scatter_without_unstained_and_in_any_order_it_is_the_same_matrix(
    tubes: tuple[Tubes, list[Control]],
) -> None:
    _, controls = tubes
    result = spillover_from_controls(controls)
    turned = spillover_from_controls(controls[::-1])
    assert turned == result
    free = spillover_from_controls(controls[:3])
    assert np.abs(free.spillover.array() - result.spillover.array()).max() < 0.01
    assert all(pair.by_medians is None for pair in free.report.pairs)
    everything = spillover_from_controls(controls[:3], scatter=False)
    assert everything.report.flags == ("control_scatter_not_used",)
    assert everything.report.status == "ok"
    assert np.abs(everything.spillover.array() - S).max() < 0.01


def test_medians_are_the_simple_alternative(tubes: tuple[Tubes, list[Control]]) -> None:
    _, controls = tubes
    result = spillover_from_controls(controls, method="medians")
    assert np.abs(result.spillover.array() - S).max() < 0.02
    assert {pair.way for pair in result.report.pairs} == {"medians"}
    assert (result.report.n_rounds, result.report.largest_slope) == (0, None)
    with pytest.raises(CompensationError, match="medians need an unstained control") as caught:
        spillover_from_controls(controls[:3], method="medians")
    assert caught.value.code == "no_unstained"


def test_beads_of_one_brightness_are_held_by_the_unstained(tmp_path: Path) -> None:
    made = Tubes(tmp_path, n=600)
    controls = made.controls(unstained=True, cv=0.03)
    paths = [Path(control.file) for control in controls[:3]]
    for path, row in zip(paths, S, strict=True):  # without a single negative
        dye = 2e4 * np.exp(made.rng.normal(0.0, 0.03, made.n))
        scatter = made.rng.normal((9e4, 4e4), (1e4, 5e3), (made.n, 2))
        made.save(path.name, np.column_stack([scatter, seen(made.rng, dye, row)]))
    result = spillover_from_controls(controls)
    assert "line_through_unstained" in {pair.way for pair in result.report.pairs}
    assert np.abs(result.spillover.array() - S).max() < 0.003


def test_a_background_that_is_not_the_unstained_ones_is_flagged(tmp_path: Path) -> None:
    made = Tubes(tmp_path)
    controls = made.controls(unstained=True, bright=2000.0)
    path = Path(controls[3].file)
    scatter = made.rng.normal((9e4, 4e4), (1e4, 5e3), (made.n, 2))
    blank = seen(made.rng, np.zeros(made.n), None) - (0.0, 600.0, 0.0)
    made.save(path.name, np.column_stack([scatter, blank]))
    result = spillover_from_controls(controls)
    pair = next(p for p in result.report.pairs if p.fluorochrome == "Y-A" and p.detector == "V-A")
    assert "not_a_line" in pair.flags
    assert (pair.way, pair.coefficient) == ("medians", pair.by_medians)
    assert {"not_a_line", "slopes_remain"} <= set(result.report.flags)
    assert result.report.status == "flagged"


def test_the_dye_of_rare_cells_is_measured_on_these_cells(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    where = np.where(rng.random(4000)[:, None] < 0.9, (5e4, 9e4), (1.2e5, 4e4))
    scatter = rng.normal(where, 6e3)
    rare = where[:, 0] > 1e5
    mask = around_bright(scatter, np.where(rare, rng.normal(5e3, 500, 4000), rng.normal(0, 30)))
    assert mask is not None
    assert mask[rare].mean() > 0.8
    assert mask[~rare].mean() < 0.01
    assert around_bright(np.ones((4000, 2)), rng.normal(size=4000)) is None


@pytest.mark.parametrize("n", [20, 49])
def test_too_few_events_are_refused_all_together(tmp_path: Path, n: int) -> None:
    with pytest.raises(CompensationError, match=f"{n} usable events of {n}") as caught:
        spillover_from_controls(Tubes(tmp_path, n=n).controls())
    assert caught.value.code == "controls"
    assert caught.value.message.count("usable events") == 3


@pytest.mark.parametrize("n", [50, 199])
def test_few_events_are_flagged_and_near_the_truth(tmp_path: Path, n: int) -> None:
    made = Tubes(tmp_path, n=n)
    result = spillover_from_controls(made.controls())
    assert "control_few_events" in result.report.flags
    limit = np.maximum(0.002, 5 * ideal_errors(made.dyes, S))
    assert (np.abs(result.spillover.array() - S) <= limit).all()


def test_saturated_events_are_left_out_and_flagged(tmp_path: Path) -> None:
    made = Tubes(tmp_path, n=4000, top=60_000.0)
    controls = made.controls(bright=4e4)
    result = spillover_from_controls(controls)
    assert "control_saturated" in result.report.flags
    assert all(control.n_saturated > 100 for control in result.report.controls)
    assert np.abs(result.spillover.array() - S).max() < 0.004


def test_values_above_the_stated_range_are_not_saturated(tmp_path: Path) -> None:
    made = Tubes(tmp_path, n=500, top=1e9)
    controls = made.controls(bright=4e5)
    report = spillover_from_controls(controls).report
    assert [control.n_saturated for control in report.controls] == [0, 0, 0]


def test_whole_numbers_of_a_dim_detector_are_not_saturated(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    events = np.column_stack([rng.integers(200, 400, (500, 3)), rng.integers(0, 3, 500)])
    write_fcs(tmp_path / "a.fcs", events, pnn=("FSC-A", "SSC-A", "B-A", "V-A"), datatype="I16")
    raw = read_fcs(tmp_path / "a.fcs")
    assert usable_events(raw, (2, 3), 0).n_saturated < 20


def test_dim_controls_are_uncertain(tmp_path: Path) -> None:
    result = spillover_from_controls(Tubes(tmp_path, n=300).controls(bright=400.0))
    assert "spill_uncertain" in result.report.flags


def test_odd_coefficients_are_flagged(tmp_path: Path) -> None:
    made = Tubes(tmp_path)
    odd = [np.array([1.0, 0.97, -0.1]), S[1], S[2]]
    controls = []
    for name, row in zip(DETECTORS, odd, strict=True):
        dye = light(made.rng, made.n)
        scatter = made.rng.normal((9e4, 4e4), (1e4, 5e3), (made.n, 2))
        values = seen(made.rng, dye, np.maximum(row, 0)) + dye[:, None] * np.minimum(row, 0)
        controls.append(
            Control(str(made.save(f"{name}.fcs", np.column_stack([scatter, values]))), name)
        )
    assert "spill_negative" in spillover_from_controls(controls).report.flags


def test_dyes_that_look_alike_are_flagged_then_refused() -> None:
    rng = np.random.default_rng(2)
    rows = np.array([[1.0, 0.97], [0.97, 1.0]])

    def control(row: np.ndarray) -> np.ndarray:
        dye = light(rng, 3000)
        return dye[:, None] * row + rng.normal(100.0, 20.0, (3000, 2))

    found = refine([control(row) for row in rows])
    assert np.abs(found.matrix - rows).max() < 0.002
    same = light(rng, 3000)[:, None] * np.ones(2)
    with pytest.raises(CompensationError, match="look alike to the detectors") as caught:
        refine([same, same])
    assert caught.value.code == "controls_alike"


def test_what_does_not_settle_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from cytosepsis.spillover_controls import refinement

    monkeypatch.setattr(refinement, "MAX_ROUNDS", 2)
    rng = np.random.default_rng(2)
    with pytest.raises(CompensationError, match="did not settle: after 2 rounds") as caught:
        refine([seen(rng, light(rng, 100), row) for row in S])
    assert caught.value.code == "not_converged"


@pytest.mark.parametrize(
    ("coefficient", "error", "simple", "flags"),
    [
        (0.3, 0.001, 0.3, ()),
        (0.3, 0.001, 0.32, ("methods_disagree",)),
        (0.3, 0.02, 0.32, ("spill_uncertain",)),
        (-0.05, 0.001, None, ("spill_negative",)),
        (-0.05, 0.013, None, ("spill_uncertain",)),
        (1.01, 0.001, None, ("spill_above_one",)),
    ],
)
def test_a_coefficient_is_judged(
    coefficient: float, error: float, simple: float | None, flags: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(0)
    matrix = np.array([[1.0, coefficient], [0.0, 1.0]])
    values = [light(rng, 500)[:, None] * row + rng.normal(0, 5, (500, 2)) for row in matrix]
    chosen = Chosen(
        matrix,
        np.array([[0.0, error], [0.0, 0.0]]),
        None if simple is None else np.array([[1.0, simple], [0.0, 1.0]]),
        (("line", "line"), ("line", "line")),
        9,
        1e-6,
    )
    given = labelled(matrix, DETECTORS[:2])
    assert report_of(given, chosen, [], values, method="regression").flags == flags


def test_a_matrix_that_multiplies_noise_is_flagged() -> None:
    rng = np.random.default_rng(0)
    matrix = np.array([[1.0, 0.95], [0.95, 1.0]])
    values = [light(rng, 500)[:, None] * row + rng.normal(0, 5, (500, 2)) for row in matrix]
    lines = (("line", "line"), ("line", "line"))
    chosen = Chosen(matrix, np.zeros((2, 2)), None, lines, 9, 1e-6)
    given = labelled(matrix, DETECTORS[:2])
    report = report_of(given, chosen, [], values, method="regression")
    assert report.flags == ("ill_conditioned",)
    assert report.condition_number == pytest.approx(39.0)


def test_medians_without_stained_events_are_refused() -> None:
    rng = np.random.default_rng(0)
    blank = rng.normal(100, 10, (500, 2))
    controls = [blank + light(rng, 500)[:, None] * (1.0, 0.1), blank]
    with pytest.raises(CompensationError, match="control 2 .* has fewer than 20 events") as caught:
        choose(controls, blank, "medians")
    assert caught.value.code == "too_few_stained"


# --------------------------------------------------------------------------- wrong controls


def test_exchanged_files_are_refused_with_both_names(tubes: tuple[Tubes, list[Control]]) -> None:
    _, controls = tubes
    swapped = [
        replace(controls[0], detector="Y-A"),
        controls[1],
        replace(controls[2], detector="B-A"),
    ]
    with pytest.raises(CompensationError) as caught:
        spillover_from_controls(swapped)
    assert "B-A.fcs: given for Y-A, but brightest in B-A" in caught.value.message
    assert "Y-A.fcs: given for B-A, but brightest in Y-A" in caught.value.message


def test_an_unreadable_file_and_a_lacking_detector_are_named_together(
    tubes: tuple[Tubes, list[Control]], tmp_path: Path
) -> None:
    _, controls = tubes
    (tmp_path / "broken.fcs").write_bytes(b"nothing")
    write_fcs(tmp_path / "other.fcs", np.ones((100, 2)), pnn=("FSC-A", "R-A"))
    wrong = [
        *controls[:2],
        Control(str(tmp_path / "broken.fcs"), "Y-A"),
        Control(str(tmp_path / "other.fcs"), "Q-A"),
    ]
    with pytest.raises(CompensationError) as caught:
        spillover_from_controls(wrong)
    assert "broken.fcs: " in caught.value.message
    assert "other.fcs: has no detector Q-A. It has: FSC-A, R-A" in caught.value.message
    assert "other.fcs: does not have (once) the detectors B-A, V-A" in caught.value.message


def test_two_names_of_one_detector_are_refused(tmp_path: Path) -> None:
    made = Tubes(tmp_path)
    events = np.column_stack([np.ones((300, 2)), seen(made.rng, light(made.rng, 300), S[0])])
    for name in ("a", "b"):
        write_fcs(
            tmp_path / f"{name}.fcs",
            events,
            pnn=("FSC-A", "SSC-A", *DETECTORS),
            pns=("", "", "CD3", "", ""),
        )
    two = [Control(str(tmp_path / "a.fcs"), "B-A"), Control(str(tmp_path / "b.fcs"), "CD3")]
    with pytest.raises(CompensationError, match="detector B-A is named by 2 controls"):
        spillover_from_controls(two)


def test_other_settings_and_uncovered_detectors_are_flagged(
    tubes: tuple[Tubes, list[Control]], tmp_path: Path
) -> None:
    made, controls = tubes
    scatter = made.rng.normal((9e4, 4e4), (1e4, 5e3), (2000, 2))
    events = np.column_stack([scatter, seen(made.rng, light(made.rng, 2000), S[2])])
    path = tmp_path / "y.fcs"
    keywords = {"$P3V": "500", "$SPILLOVER": "2,FSC-A,B-A,1,0,0,1"}
    write_fcs(path, events, pnn=("FSC-A", "SSC-A", *DETECTORS), keywords=keywords)
    result = spillover_from_controls([*controls[:2], Control(str(path), "Y-A")])
    assert result.report.flags == ("control_settings_differ", "detectors_without_control")


# -------------------------------------------------------------------------------- the sheet


def sheet(folder: Path, text: str) -> Path:
    for name in ("a.fcs", "b.fcs", "c.fcs"):
        (folder / name).write_bytes(b"")
    path = folder / "controls.csv"
    path.write_text(text)
    return path


def test_a_sheet_is_read(tmp_path: Path) -> None:
    text = (
        "file;detector;fluorochrome;role;dataset\na.fcs;B-A;FITC;;\nb.fcs;Y-A;PE;single_stain;1\n"
    )
    found = read_controls(sheet(tmp_path, text + "c.fcs;;;Unstained;\n"))
    assert found == (
        Control(str(tmp_path / "a.fcs"), "B-A", "FITC"),
        Control(str(tmp_path / "b.fcs"), "Y-A", "PE", dataset=1),
        Control(str(tmp_path / "c.fcs"), "", role="unstained"),
    )


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("a,b\n1,2\n", ["column file: is missing", "column detector: is missing"]),
        ("file,detector\na.fcs,B-A\nd.fcs,Y-A\n", ["there is no file 'd.fcs'"]),
        (
            "file,detector,role,dataset\n,B-A,,\nb.fcs,,,\na.fcs,Y-A,blue,x\n",
            ["names no file", "names no detector", "role 'blue' is not", "dataset 'x' is not"],
        ),
        ("file,detector\na.fcs,B-A\nb.fcs,B-A\n", ["detector B-A: stands in 2 rows"]),
        ("file,detector\na.fcs,B-A\na.fcs,Y-A\n", ["a.fcs: stands in 2 rows"]),
        (
            "file,detector,fluorochrome\na.fcs,B-A,PE\nb.fcs,Y-A,PE\n",
            ["fluorochrome PE: stands in 2 rows"],
        ),
        (
            "file,detector,fluorochrome\na.fcs,B-A,PE\nb.fcs,Y-A,\n",
            ["some rows are named like detectors (Y-A)"],
        ),
        (
            "file,detector,role\na.fcs,,unstained\nb.fcs,,unstained\n",
            ["more than one unstained control", "names no stained control"],
        ),
    ],
)
def test_every_problem_of_a_sheet_is_listed(tmp_path: Path, text: str, messages: list[str]) -> None:
    with pytest.raises(StudyError) as caught:
        read_controls(sheet(tmp_path, text))
    for message in messages:
        assert message in str(caught.value)


def test_a_set_from_python_is_checked_like_a_sheet() -> None:
    with pytest.raises(StudyError, match="stands in 2 rows"):
        spillover_from_controls([Control("a.fcs", "B-A"), Control("b.fcs", "B-A")])


# ---------------------------------------------------------------------- a matrix from elsewhere


def labelled(matrix: np.ndarray, names: Sequence[str] = DETECTORS) -> Spillover:
    return Spillover(tuple(names), tuple(names), tuple(map(tuple, matrix.tolist())), "x.csv")


def test_a_given_matrix_is_compared() -> None:
    true = labelled(S)
    assert compare(labelled(100 * S), true).verdict == "agrees"
    order = [2, 0, 1]
    assert compare(
        labelled(S[np.ix_(order, order)], [DETECTORS[k] for k in order]), true
    ).verdict == ("agrees")
    assert compare(labelled(S.T), true).verdict == "matrix_transposed"
    rows = np.maximum(S[[1, 0, 2]], 1e-3)
    swapped = compare(labelled(rows), true)
    assert (swapped.verdict, swapped.rows) == ("matrix_rows_swapped", ("V-A", "B-A", "Y-A"))
    other = S.copy()
    other[2, 1] += 0.2
    differs = compare(labelled(other), true)
    assert (differs.verdict, differs.fluorochrome, differs.detector) == (
        "matrix_differs",
        "Y-A",
        "V-A",
    )
    assert differs.largest_difference == pytest.approx(0.2)
    with pytest.raises(CompensationError, match="cannot be compared: .* lacks Y-A"):
        compare(labelled(S[:2, :2], DETECTORS[:2]), true)


# ------------------------------------------------------------------------------- the command


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def control_sheet(tubes: tuple[Tubes, list[Control]]) -> Path:
    made, _ = tubes
    rows = "B-A.fcs,B-A,FITC,\nV-A.fcs,V-A,VioBlue,\nY-A.fcs,Y-A,PE,\nblank.fcs,,,unstained\n"
    path = made.folder / "controls.csv"
    path.write_text("file,detector,fluorochrome,role\n" + rows)
    return path


def test_the_command_writes_what_is_read_back(control_sheet: Path, tmp_path: Path) -> None:
    out = tmp_path / "matrix.csv"
    done = call("compensate", control_sheet, "--out", out, "--format", "json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    matrix = read_spillover_csv(out)
    assert matrix.fluorochromes == ("FITC", "VioBlue", "PE")
    assert [list(row) for row in matrix.matrix] == record["matrix"]
    assert (record["status"], record["flags"]) == ("ok", [])
    assert np.abs(matrix.array() @ unmixing(matrix) - np.eye(3)).max() < 1e-9
    write_spillover_csv(labelled(matrix.array().T), tmp_path / "turned.csv")
    table = call("compensate", control_sheet, "--out", out, "--compare", tmp_path / "turned.csv")
    assert table.exit_code == 0
    assert "Compared: matrix_transposed" in table.stdout
    assert "Condition number" in table.stdout


def test_the_command_refuses(control_sheet: Path, tmp_path: Path) -> None:
    assert call("compensate", control_sheet, "--out", tmp_path / "m.txt").exit_code == 2
    assert call("compensate", control_sheet, "--out", tmp_path / "no" / "m.csv").exit_code == 2
    wrong = call("compensate", sheet(tmp_path, "file\na.fcs\n"), "--out", tmp_path / "m.csv")
    assert wrong.exit_code == 2
    assert "The sheet of controls was refused: 1 problem." in wrong.stderr
    numbers = control_sheet.with_name("numbers.csv")
    text = control_sheet.read_text()
    numbers.write_text(text.replace("FITC", "488").replace("VioBlue", "405").replace("PE", "561"))
    refused = call("compensate", numbers, "--out", tmp_path / "m.csv")
    assert refused.exit_code == 2
    assert "do not survive a CSV" in refused.stderr
    assert not (tmp_path / "m.csv").exists()


# ------------------------------------------------------------------------------- real controls


def reference(path: Path) -> np.ndarray:
    lines = path.read_text().split("\n")[1:5]
    return np.array([[float(value) for value in line.split()[1:]] for line in lines])


def test_flowcore_controls(corpus: Path) -> None:
    folder = corpus / "flowCore" / "compdata"
    if not folder.is_dir():
        pytest.skip("no flowCore/compdata in the folder of real files")
    names = ("FL1-H", "FL2-H", "FL3-H", "FL4-H")
    controls = [
        Control(str(folder / "data" / f"060909.00{k}"), name)
        for k, name in zip((2, 3, 5, 4), names, strict=True)
    ]
    blank = Control(str(folder / "data" / "060909.001"), "", role="unstained")
    result = spillover_from_controls([*controls, blank])
    limit = np.array([0.01, 0.01, 0.06, 0.01])[:, None]
    found = result.spillover.array()
    assert (np.abs(found - reference(folder / "compref")) <= limit).all()
    # 7-AAD stains dead cells, whose background is not that of the unstained ones
    doubtful = {pair.fluorochrome for pair in result.report.pairs if pair.flags}
    assert doubtful == {"FL3-H"}
    wrong = labelled(reference(folder / "compref2"), names)
    assert compare(wrong, result.spillover).verdict == "matrix_rows_swapped"
    assert compare(wrong, result.spillover).rows == ("FL1-H", "FL2-H", "FL4-H", "FL3-H")


@pytest.mark.parametrize("with_blank", [True, False])
def test_tasbe_controls(corpus: Path, with_blank: bool) -> None:
    folder = corpus / "cytoflow" / "tasbe"
    if not folder.is_dir():
        pytest.skip("no cytoflow/tasbe in the folder of real files")
    files = {"FITC-A": "eyfp", "Pacific Blue-A": "ebfp", "PE-Tx-Red-YG-A": "mkate"}
    controls = [Control(str(folder / f"{file}.fcs"), name) for name, file in files.items()]
    if with_blank:
        controls.append(Control(str(folder / "blank.fcs"), "", role="unstained"))
    spillover = spillover_from_controls(controls).spillover
    for line in (folder / "spillover_expected.csv").read_text().splitlines()[1:]:
        dye, detector, coefficient, _ = line.split(",")
        row, column = spillover.detectors.index(dye), spillover.detectors.index(detector)
        assert spillover.matrix[row][column] == pytest.approx(float(coefficient), abs=0.002)


def test_every_flag_of_controls_is_in_the_table() -> None:
    from cytosepsis.spillover_controls import report

    named = {code for code in FLAGS if code.startswith(("control_", "spill_"))}
    assert named
    source = Path(report.__file__).parent
    text = "".join(path.read_text() for path in source.glob("*.py"))
    assert [code for code in named if code not in text] == []
