"""Pictures of populations: every event counted once, whatever the blocks, workers and options."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from polars.testing import assert_frame_equal

import cytosepsis as cs
from cytosepsis.canvas import N_LOOKED_AT, Canvas, Scale
from cytosepsis.densities import Density, Outline, pack, unpack
from cytosepsis.gating.apply import find_gates, gate
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import (
    Axis,
    Boolean,
    Ellipse,
    Operand,
    Polygon,
    Ratio,
    Rectangle,
    make_plan,
)
from cytosepsis.pictures import SINGLE_BEADS, bead_densities, pictures_of
from cytosepsis.simulate import SimulationSettings, simulate_study
from cytosepsis.store import open_results
from cytosepsis.transform_values import apply
from cytosepsis.transforms import Biex, Log, Logicle
from cytosepsis.verify import verify_results
from events import raw_of

SAMPLE_STUDY = Path(__file__).parents[1] / "sample_fcs"
LOGICLE = Logicle(262_144.0, 0.5, 4.5)
LOG = Log(262_144.0, 3.0)
FSC, SSC = Axis("FSC-A"), Axis("SSC-A")


def shape_of(density: Density) -> tuple[int, ...]:
    axes = (density.x,) if density.y is None else (density.x, density.y)
    return tuple(axis.n_bins for axis in axes)


def counts_of(density: Density) -> NDArray[np.int64]:
    return unpack(density.counts, shape_of(density))


# ------------------------------------------------------------------------------ counts as text


@given(st.lists(st.integers(0, 10**6), min_size=12, max_size=12))
def test_counts_survive_as_text(values: list[int]) -> None:
    counts = np.array(values, dtype=np.float64).reshape(3, 4)
    text = pack(counts)
    assert unpack(text, (3, 4)).tolist() == counts.tolist()
    assert len(text.split()) <= 12


def test_text_of_counts_is_short_and_no_formula_of_a_spreadsheet() -> None:
    counts = np.zeros((128, 128))
    counts[3, 5], counts[3, 6], counts[9, 0] = 7, 1, 12
    assert pack(counts) == f"z{3 * 128 + 5} 7 1 z{6 * 128 - 7} 12"
    assert pack(np.zeros(4)) == ""
    assert unpack("", (2, 2)).tolist() == [[0, 0], [0, 0]]


def test_text_that_holds_more_than_the_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="5 counts for 4 bins"):
        unpack("z4 1", (4,))


# --------------------------------------------------------------------------------- one canvas


def test_counts_are_those_of_numpy() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.lognormal(7, 2, 5000) - 200, rng.uniform(0, 262_144, 5000)
    canvas = Canvas("root", [Scale("a", LOGICLE), Scale("b", None, reach=262_144.0)])
    canvas.add([x, y])
    density = canvas.density()
    wanted, _, _ = np.histogram2d(
        np.clip(apply(LOGICLE, x), 0, math.nextafter(1, 0)),
        y,
        bins=128,
        range=[(0, 1), (0, 262_144)],
    )
    assert counts_of(density).tolist() == wanted.tolist()
    assert density.n_events == density.n_shown == 5000
    assert density.x.scale == "logicle"
    assert dict(density.x.parameters) == {
        "top": 262_144.0,
        "width": 0.5,
        "decades": 4.5,
        "additional": 0.0,
    }


@pytest.mark.parametrize(
    ("n", "size"), [(0, 1), (1, 1), (700, 1), (700, 333), (N_LOOKED_AT + 500, 4000)]
)
def test_blocks_do_not_matter(n: int, size: int) -> None:
    """But for the first events, of which the ends of the axes come."""
    values = np.random.default_rng(n).gamma(3.0, 9000.0, (2, n))
    whole, parts = (Canvas("root", [Scale("a", None), Scale("b", LOGICLE)]) for _ in range(2))
    whole.add(list(values))
    for first in range(0, n, size):
        parts.add(list(values[:, first : first + size]))
    assert parts.density().n_shown == whole.density().n_shown == n
    if n <= N_LOOKED_AT:
        assert parts.density() == whole.density()


def test_what_lies_beyond_an_end_is_counted_at_that_end() -> None:
    canvas = Canvas("root", [Scale("a", LOGICLE)])
    canvas.add([np.array([-1e6, 100.0, 262_144.0, 1e9, math.inf, -math.inf])])
    counts = counts_of(canvas.density())
    assert (counts[0], counts[-1], counts.sum()) == (2, 3, 6)


def test_what_has_no_place_on_an_axis_is_not_shown() -> None:
    canvas = Canvas("root", [Scale("a", Log(10_000.0, 4.0)), Scale("b", None)])
    canvas.add([np.array([-5.0, 100.0, math.nan]), np.array([1.0, 2.0, 3.0])])
    density = canvas.density()
    assert (density.n_events, density.n_shown) == (3, 1)


def test_an_axis_without_a_transform_is_the_same_for_samples_of_one_panel() -> None:
    ends = set()
    for seed in range(5):
        values = np.random.default_rng(seed).gamma(3.0, 9000.0, 4000)
        canvas = Canvas("root", [Scale("a", None, reach=16_777_216.0, bounds=(40_000.0, 1e30))])
        canvas.add([values])
        x = canvas.density().x
        ends.add((x.first_edge, x.last_edge))
    assert ends == {(0.0, 131_072.0)}  # not the detector's 2^24, of which nothing is used


def test_negative_values_of_an_axis_without_a_transform_are_seen() -> None:
    canvas = Canvas("root", [Scale("a", None)])
    canvas.add([np.linspace(-900.0, 3000.0, 1000)])
    x = canvas.density().x
    assert (x.first_edge, x.last_edge) == (-1024.0, 4096.0)


def test_flowjos_scale_has_its_own_ends() -> None:
    canvas = Canvas("root", [Scale("a", Biex())])
    canvas.add([np.array([0.0, 1000.0])])
    assert canvas.density().x.last_edge == 4096.0


# ---------------------------------------------------------------------------------- of a plan


def test_every_gate_is_drawn_once_on_its_parent() -> None:
    cd14 = Axis("FL1-A", LOGICLE)
    plan = make_plan(
        [
            Polygon("cells", "root", FSC, SSC, ((0, 0), (9e4, 0), (9e4, 9e4))),
            Rectangle("other", "root", (SSC, FSC), (1.0, None), (2.0, 4.0), complement=True),
            Ellipse("round", "root", (SSC, FSC), (5.0, 6.0), ((4.0, 1.0), (1.0, 9.0)), 2.0),
            Rectangle("bright", "cells", (cd14,), (0.4,), (None,)),
            Rectangle("dim", "cells", (cd14,), (None,), (0.4,)),
            Ellipse("again", "root", (FSC, SSC), (5.0, 6.0), ((4.0, 1.0), (1.0, 9.0)), 2.0),
            Boolean("both", "root", "and", (Operand("root/cells"), Operand("root/other"))),
            Rectangle("ratio", "both", (Axis("FL1-A", ratio=Ratio("FSC-A")),), (0.1,), (None,)),
        ]
    )
    events = np.abs(np.random.default_rng(1).normal(50_000, 20_000, (3000, 3)))
    raw = raw_of(events, ("FSC-A", "SSC-A", "FL1-A"))
    shown = Measure("root/cells/bright", "FL1-A")
    pictures = pictures_of(raw, plan, channels={}, quantified=shown)
    populations = gate(raw, plan, pictures=pictures)
    densities = [picture.canvas.density() for picture in pictures]
    assert [(d.path, d.x.channel, d.y and d.y.channel) for d in densities] == [
        ("root", "FSC-A", "SSC-A"),
        ("root/cells", "FL1-A", None),
        ("root/both", "FL1-A", None),
        ("root/cells/bright", "FL1-A", None),
    ]
    assert densities[0].outlines == (
        Outline("root/cells", "polygon", (0, 0, 9e4, 0, 9e4, 9e4)),
        Outline("root/other", "rectangle", (None, 4.0, 1.0, 2.0), complement=True),
        Outline("root/round", "ellipse", (6.0, 5.0, 9.0, 1.0, 4.0, 2.0)),
        Outline("root/again", "ellipse", (5.0, 6.0, 4.0, 1.0, 9.0, 2.0)),
    )
    assert densities[1].outlines == (
        Outline("root/cells/bright", "rectangle", (0.4, None, None, None)),
        Outline("root/cells/dim", "rectangle", (None, 0.4, None, None)),
    )
    assert densities[2].x.divisor == "FSC-A"
    assert densities[3].x.scale == "logicle"  # as the plan's gates see the channel
    assert [d.n_events for d in densities] == [populations.n_events[d.path] for d in densities]
    assert all(counts_of(d).sum() == d.n_events for d in densities)


def test_pictures_change_no_count_and_no_value() -> None:
    study = cs.load_study(SAMPLE_STUDY)
    assay = study.assay("mhladr")
    raw, plan = cs.read_fcs(study.samples[0].path), cs.read_gating(assay.gating)
    measures = [Measure("root/singlets/leucocytes/monocytes", "hladr")]
    channels = dict(assay.channels)
    found = find_gates(raw, plan, channels=channels)
    plain = gate(raw, plan, channels=channels, measures=measures)
    pictures = pictures_of(raw, found.plan, channels=channels, quantified=measures[0])
    shown = gate(raw, found, channels=channels, measures=measures, pictures=pictures)
    assert shown.n_events == plain.n_events
    assert shown.values[measures[0]].tolist() == plain.values[measures[0]].tolist()
    assert set(shown.values) == set(plain.values)


def test_a_picture_shows_the_compensated_events_of_its_population() -> None:
    """From the file's matrix, masks and numpy, without the walk's accessor."""
    study = cs.load_study(SAMPLE_STUDY)
    assay = study.assay("mhladr")
    raw, plan = cs.read_fcs(study.samples[0].path), cs.read_gating(assay.gating)
    channels = dict(assay.channels)
    found = find_gates(raw, plan, channels=channels)
    pictures = pictures_of(raw, found.plan, channels=channels)
    populations = gate(raw, found, channels=channels, pictures=pictures)
    density = next(
        d for d in (p.canvas.density() for p in pictures) if d.path == "root/singlets/leucocytes"
    )
    spillover = cs.spillover_of(raw.keywords)
    assert spillover is not None
    detectors = [raw.pnn.index(name) for name in spillover.detectors]
    events = raw.linear()
    unmixed = np.linalg.solve(np.array(spillover.matrix).T, events[:, detectors].T).T
    cd14 = unmixed[:, spillover.detectors.index("PerCP-Cy5-5-A")]
    inside = populations.mask(density.path)
    wanted, _, _ = np.histogram2d(
        np.clip(apply(LOGICLE, cd14[inside]), 0, math.nextafter(1, 0)),
        np.clip(apply(LOG, events[inside, raw.pnn.index("SSC-A")]), 0, math.nextafter(1, 0)),
        bins=128,
        range=[(0, 1), (0, 1)],
    )
    assert density.x.compensated
    assert density.y is not None
    assert not density.y.compensated
    # an event may fall just beside an edge of a bin: the unmixing is rounded otherwise
    assert np.abs(counts_of(density) - wanted).sum() <= 2


# ---------------------------------------------------------------------------------- of a study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = SimulationSettings(patients=1, healthy=1, events=3000, bead_events=2000, seed=4)
    place = tmp_path_factory.mktemp("densities") / "study"
    simulate_study(place, settings)
    return place


def test_plots_are_made_by_every_number_of_workers_and_when_they_are_missing(
    folder: Path, tmp_path: Path
) -> None:
    study = cs.load_study(folder)
    plain = cs.run_study(study, tmp_path / "a", plots=False)
    assert "densities" not in plain.tables
    before = {name: plain.table(name) for name in plain.tables}
    later = cs.run_study(study, tmp_path / "a", workers=2)
    n_files = len(study.samples) + len(study.bead_runs)
    assert later.run.reasons == {"plots_missing": n_files}
    for name, table in before.items():
        assert_frame_equal(later.table(name), table)
    once = cs.run_study(study, tmp_path / "b")
    assert_frame_equal(once.table("densities"), later.table("densities"))
    assert cs.run_study(study, tmp_path / "a").run.reasons == {}
    assert verify_results(study, tmp_path / "a").differences == ()
    without = cs.run_study(study, tmp_path / "a", plots=False)
    assert without.run.reasons == {}
    assert not (tmp_path / "a" / "densities.csv").exists()


def test_the_table_says_what_is_drawn(folder: Path, tmp_path: Path) -> None:
    study = cs.load_study(folder)
    cs.run_study(study, tmp_path / "out")
    results = open_results(tmp_path / "out")
    table = results.table("densities")
    counted = results.table("populations").select("sample_id", "path", "n_events")
    samples = table.filter(pl.col("kind") == "sample")
    assert_frame_equal(
        samples.select("sample_id", "path").join(counted, on=["sample_id", "path"], how="left"),
        samples.select("sample_id", "path", "n_events"),
    )
    for row in table.iter_rows(named=True):
        shape = (row["x_bins"],) if row["y_bins"] is None else (row["x_bins"], row["y_bins"])
        assert unpack(row["counts"], shape).sum() == row["n_shown"]
    drawn = {g["path"] for row in samples["gates"] for g in json.loads(row)}
    assert drawn == set(counted["path"]) - {"root"}
    beads = table.filter(pl.col("kind") == "beads")
    assert beads["bead_run"].unique(maintain_order=True).to_list() == [
        run.bead_run for run in study.bead_runs
    ]
    text = (tmp_path / "out" / "densities.csv").read_text(encoding="utf-8")
    assert "'z" not in text


def test_beads_without_a_line_are_shown_too() -> None:
    rng = np.random.default_rng(8)
    scatter = rng.normal(50_000, 900, (2000, 2))
    raw = raw_of(np.column_stack([scatter, rng.normal(500, 20, 2000)]), ("FSC-A", "SSC-A", "PE-A"))
    seen, histogram = bead_densities(raw, 2)
    assert (seen.path, seen.x.scale, seen.n_events) == ("root", "log10", 2000)
    assert histogram.path == SINGLE_BEADS
    assert 1000 < histogram.n_events < 2000
    assert counts_of(histogram).sum() == histogram.n_events
    alone = bead_densities(raw_of(np.full((50, 1), 7.0), ("PE-A",)), 0)
    assert [density.path for density in alone] == ["root"]
