"""Data-driven gates: their keys in TOML, what stands when they fail, and how results show it."""

from __future__ import annotations

import numpy as np
import pytest

import cytosepsis as cs
from cytosepsis.errors import GatingError
from cytosepsis.fcs_write import write_fcs
from cytosepsis.gating.apply import population_values
from cytosepsis.gating.gatingml_export import gatingml_text
from cytosepsis.gating.given import GivenGate
from cytosepsis.gating.plan import Axis, Boolean, Rectangle
from cytosepsis.gating.region import Bounds, Outline, Oval, read_region, region_text
from cytosepsis.gating.row_form import row_form
from cytosepsis.gating.sampling import sample_rows
from cytosepsis.gating.toml_plan import parse_toml_plan
from cytosepsis.population_counts import gate_flags, population_counts
from events import raw_of
from fcs_bytes import Recipe, make

CUT = {"name": "bright", "type": "threshold", "x": "A", "method": "valley"}


def plan_of(*gates):
    return parse_toml_plan({"gates": [dict(gate) for gate in gates]})


def faults_of(*gates):
    with pytest.raises(GatingError) as caught:
        plan_of(*gates)
    return caught.value.message.splitlines()


def two_peaks(n=4000, apart=6.0, seed=1):
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 1, n) + apart * (np.arange(n) % 2)
    return raw_of(np.column_stack([a, rng.normal(0, 1, n)]), ("A", "B"))


def one_peak(n=4000):
    return raw_of(np.random.default_rng(2).normal(0, 1, (n, 2)), ("A", "B"))


# ------------------------------------------------------------------------------------ TOML


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"method": "vally"}, "gates[0].method (bright): no method 'vally'; did you mean 'valley'"),
        ({"keep": "over"}, "gates[0].keep (bright): no keep 'over'"),
        ({"y": "B"}, "gates[0].y (bright): unknown key of a threshold gate"),
        ({"bandwith": 2}, "gates[0].bandwith (bright): unknown key of a threshold gate; did you"),
        ({"bandwidth": 0}, "gates[0].bandwidth (bright): must be positive, found 0"),
        ({"min_events": 2.5}, "gates[0].min_events (bright): a whole number was expected"),
        ({"min_events": 0}, "gates[0].min_events (bright): at least 1 is meant"),
        ({"on_fail": "reference"}, "gates[0].reference (bright): on_fail is 'reference', so"),
        ({"on_fail": "pass"}, "gates[0].on_fail (bright): no on_fail 'pass'"),
        ({"tolerance": 0.1}, "gates[0].tolerance (bright): means nothing to method 'valley'"),
        ({"method": "quantile"}, "gates[0].quantile (bright): method 'quantile' needs one"),
        (
            {"method": "quantile", "quantile": 99},
            "gates[0].quantile (bright): between 0 and 1 is meant, found 99",
        ),
        ({"method": "control", "quantile": 0.9}, "gates[0].control (bright): method 'control'"),
        ({"method": "same"}, "gates[0].same (bright): method 'same' needs the other"),
        ({"method": "same", "same": "x"}, "gates[0].same (bright): no population 'x' before"),
        ({"range": {"min": 2, "max": 1}}, "gates[0].range (bright): min 2 must be less than"),
        ({"max_drift": 1.0}, "gates[0].max_drift (bright): is counted from the reference"),
        ({"reference": "low"}, "gates[0].reference (bright): a number was expected"),
        ({"type": "singlet"}, "gates[0].y (bright): a channel or a table with one is needed"),
        (
            {"type": "cluster", "method": "mixture"},
            "gates[0].centre (bright): an array is needed here",
        ),
    ],
)
def test_every_fault_has_its_place(changed, fault):
    assert any(line.startswith(fault) for line in faults_of(CUT | changed)), faults_of(
        CUT | changed
    )


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"width": -1}, "gates[0].width (g): must be positive, found -1"),
        ({"reference": {"vertices": [[0, 0]]}}, "gates[0].reference (g): at least 3 different"),
        ({"reference": {"vertces": []}}, "gates[0].reference.vertces (g): unknown key"),
    ],
)
def test_faults_of_singlets(keys, fault):
    gate = {"name": "g", "type": "singlet", "x": "A", "y": "B"} | keys
    assert any(line.startswith(fault) for line in faults_of(gate)), faults_of(gate)


def test_faults_of_a_cluster():
    gate = {"name": "g", "type": "cluster", "x": "A", "y": "B", "centre": [1, 2]}
    gate |= {"drift": [0, 1], "mass": 2, "components": 1}
    found = faults_of(gate)
    assert [line.split(":")[0] for line in found] == [
        "gates[0].drift (g)",
        "gates[0].mass (g)",
        "gates[0].components (g)",
    ]


def test_a_place_has_two_numbers():
    gate = {"name": "g", "type": "cluster", "x": "A", "y": "B", "centre": [1, 2, 3]}
    assert faults_of(gate | {"drift": [1, 1]}) == [
        "gates[0].centre (g): two numbers are needed, one for each axis, found [1.0, 2.0, 3.0]"
    ]


def test_gatingml_has_no_word_for_it():
    with pytest.raises(GatingError, match="data-driven gates, for which Gating-ML has no word"):
        gatingml_text(plan_of(CUT))


# ------------------------------------------------------------------------ found, and then plain


def test_a_found_gate_is_a_plain_gate_of_this_sample():
    found = cs.gate(two_peaks(), plan_of(CUT))
    (finding,) = found.findings
    (gate,) = found.plan
    assert (finding.status, finding.standing, finding.n_parent) == ("ok", "found", 4000)
    assert finding.region == Bounds((gate.minimum[0],), (None,))
    assert gate == Rectangle("bright", "root", (Axis("A"),), gate.minimum, (None,))
    assert found.n_events["root/bright"] == pytest.approx(2000, abs=20)
    assert population_counts(found)[1].gate_status == "ok"


def test_both_sides_of_one_cut_part_the_parent():
    plan = plan_of(CUT, CUT | {"name": "dim", "method": "same", "same": "bright", "keep": "below"})
    found = cs.gate(two_peaks(), plan)
    assert found.n_events["root/bright"] + found.n_events["root/dim"] == 4000
    dim = cs.gate(two_peaks(), plan.leading_to("root/dim"))
    assert dim.n_events["root/dim"] == found.n_events["root/dim"]


def test_gates_below_see_the_events_of_their_parent():
    below = CUT | {"name": "right", "x": "B", "parent": "bright", "method": "quantile"}
    found = cs.gate(two_peaks(), plan_of(CUT, below | {"quantile": 0.75}))
    assert found.findings[1].n_parent == found.n_events["root/bright"]
    assert found.n_events["root/bright/right"] == pytest.approx(500, abs=6)


def test_what_depends_on_a_gate_must_be_given_as_found():
    raw, plan = two_peaks(), plan_of(CUT)
    with pytest.raises(GatingError, match="found in each sample"):
        next(population_values(raw, plan, "root/bright", [Axis("B")]))
    found = cs.gate(raw, plan)
    (values,) = population_values(raw, found.plan, "root/bright", [Axis("B")])
    assert values.shape == (1, found.n_events["root/bright"])


# -------------------------------------------------------------------- where it cannot be found


def test_a_gate_that_fails_keeps_nothing_and_counts_as_null():
    below = {"name": "b", "parent": "bright", "type": "rectangle", "x": "B"}
    below["ranges"] = {"x": {"min": 0.0}}
    either = {"name": "e", "type": "boolean", "operator": "not", "operands": ["bright"]}
    plan = plan_of(CUT, below, either)
    found = cs.gate(one_peak(), plan)
    rows = {row.path: row for row in population_counts(found)}
    assert found.findings[0].standing == "nothing"
    assert found.findings[0].region is None
    assert [(r.n_events, r.fraction_of_parent, r.gate_status) for r in rows.values()] == [
        (4000, 1.0, "ok"),
        (None, None, "one_peak"),
        (None, None, "no_parent"),
        (None, None, "no_parent"),
    ]
    assert isinstance(found.plan.gates[0], Boolean)
    assert not found.mask("root/bright").any()
    counts = tuple(rows.values())
    assert gate_flags(plan, found.findings, counts, "root/bright/b") == ("gate_not_found",)
    assert gate_flags(plan, found.findings, counts, None) == ("gate_not_found",)


def test_a_reference_stands_where_the_plan_says_so():
    plan = plan_of(CUT | {"on_fail": "reference", "reference": 1.5})
    found = cs.gate(one_peak(), plan)
    assert found.findings[0].status == "one_peak"
    assert found.findings[0].standing == "reference"
    assert found.plan.gates[0].minimum == (1.5,)
    counts = population_counts(found)
    assert counts[1].gate_status == "one_peak"
    assert gate_flags(plan, found.findings, counts, "root/bright") == ("gate_reference",)


def test_a_cut_that_drifts_fails():
    far = {"reference": 9.0, "max_drift": 1.0}
    assert cs.gate(two_peaks(), plan_of(CUT | far)).findings[0].status == "drifted"
    near = {"reference": 3.4, "max_drift": 1.0}
    assert cs.gate(two_peaks(), plan_of(CUT | near)).findings[0].status == "ok"


def test_a_cut_beyond_its_range_is_clamped_and_flagged():
    plan = plan_of(CUT | {"method": "tail", "range": {"max": 2.0}})
    found = cs.gate(one_peak(), plan)
    assert found.findings[0].status == "clamped"
    assert found.plan.gates[0].minimum == (2.0,)
    counts = population_counts(found)
    assert counts[1].gate_status == "clamped"
    assert gate_flags(plan, found.findings, counts, "root/bright") == ("gate_clamped",)


def test_no_valley_within_the_range():
    found = cs.gate(two_peaks(), plan_of(CUT | {"range": {"min": 7.0}}))
    assert found.findings[0].status == "no_valley"


BAD = {
    "no events": np.empty((0, 2)),
    "one event": np.ones((1, 2)),
    "300 events": np.random.default_rng(3).normal(size=(300, 2)),
    "constant": np.full((500, 2), 7.0),
    "not a number": np.full((500, 2), np.nan),
    "infinite": np.full((500, 2), np.inf),
    "90 % on one value": np.where(
        (np.arange(2000) % 10 == 0)[:, None], np.random.default_rng(4).normal(size=(2000, 2)), 0.0
    ),
    "90 % on the least": np.where(
        (np.arange(2000) % 10 == 0)[:, None],
        np.abs(np.random.default_rng(4).normal(size=(2000, 2))),
        0.0,
    ),
    "huge": np.random.default_rng(5).normal(size=(500, 2)) * 1e300,
    "tiny": np.random.default_rng(5).normal(size=(500, 2)) * 1e-300,
    "two values": np.repeat([[0.0, 1.0], [1.0, 0.0]], 300, axis=0),
}
EVERY_GATE = (
    CUT,
    CUT | {"method": "tail"},
    CUT | {"method": "quantile", "quantile": 0.99},
    {"name": "bright", "type": "singlet", "x": "A", "y": "B"},
)


@pytest.mark.parametrize("events", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("gate", EVERY_GATE, ids=["valley", "tail", "quantile", "singlet"])
def test_bad_events_give_a_status(events, gate):
    found = cs.gate(raw_of(events, ("A", "B")), plan_of(gate))
    (finding,) = found.findings
    assert (finding.region is not None) == (finding.status in ("ok", "clamped"))
    if len(events) < 100 or not np.isfinite(events).any():
        assert finding.status == "few_events"
    assert all(np.isfinite(value) for _, value in finding.numbers)


# ------------------------------------------------------------------------------ a reviewer's


def test_a_reviewer_s_gate_stands_and_is_told():
    plan = plan_of(CUT)
    found = cs.gate(two_peaks(), plan, given=[GivenGate("bright", Bounds((2.0,), (None,)))])
    assert found.findings[0].standing == "override"
    assert found.plan.gates[0].minimum == (2.0,)
    counts = population_counts(found)
    assert counts[1].gate_status == "given"
    assert gate_flags(plan, found.findings, counts, "root/bright") == ("gate_given",)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (GivenGate("brite", Bounds((2.0,), (None,))), "'brite', which names 0 gates"),
        (GivenGate("bright", Outline(((0, 0), (1, 0), (0, 1)))), "two axes, the gate has 1"),
    ],
)
def test_a_reviewer_s_gate_must_fit(given, fault):
    with pytest.raises(GatingError, match=fault):
        cs.gate(two_peaks(), plan_of(CUT), given=[given])


@pytest.mark.parametrize(
    "region",
    [
        Bounds((0.1 + 0.2,), (None,)),
        Outline(((0.1, 1e-300), (1e300, 0.0), (2.0, 3.0))),
        Oval((1.0, 2.0), ((2.0, 0.5), (0.5, 1.0)), 9.21),
    ],
)
def test_a_region_survives_as_text(region):
    n_axes = 1 if isinstance(region, Bounds) else 2
    assert read_region(region_text(region), n_axes) == region


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0.5", "one JSON object, found '0.5'"),
        ("{", "one JSON object; "),
        ('{"cut": 1}', "a region has `min` and `max`, or"),
        ('{"min": ["a"], "max": [null]}', "a region holds numbers"),
        ('{"min": [2], "max": [1]}', "min 2.0 must be less than max 1.0"),
        ('{"min": [null], "max": [null]}', "no side is bounded"),
        ('{"min": [1, 2], "max": [3, 4]}', "1 minima and maxima are needed, found 2 and 2"),
    ],
)
def test_a_region_that_is_none(text, fault):
    with pytest.raises(GatingError) as caught:
        read_region(text, 1)
    assert fault in caught.value.message


# --------------------------------------------------------------------------- on part of a file


def test_large_files_lend_a_part_that_no_order_changes():
    rng = np.random.default_rng(6)
    events = rng.normal(size=(20_000, 3))
    raw = raw_of(events, ("A", "B", "Time"))
    shuffled = raw_of(rng.permutation(events), ("A", "B", "Time"))
    one, other = (sample_rows(r, row_form(r), 5_000) for r in (raw, shuffled))
    assert len(one) == pytest.approx(5_000, abs=250)
    assert np.array_equal(one[np.lexsort(one.T)], other[np.lexsort(other.T)])
    assert abs(one.mean()) < 0.03


def test_where_rows_repeat_all_are_looked_at():
    raw = raw_of(np.repeat([[1.0], [2.0], [3.0]], 1000, axis=0), ("A",))
    assert len(sample_rows(raw, row_form(raw), 500)) == 3000


def test_a_peak_and_cuts_that_lie_a_fixed_way_from_it():
    """Generations of a dye: each division takes the same step off the logarithm."""
    rng = np.random.default_rng(7)
    sizes = (3000, 1000, 1500, 800)
    step = 0.30103
    logs = np.concatenate([rng.normal(4.0 - step * g, 0.05, n) for g, n in enumerate(sizes)])
    raw = raw_of(np.column_stack([logs, rng.normal(0, 1, len(logs))]), ("A", "B"))
    first = {**CUT, "method": "peak", "peak": "highest", "offset": -step / 2}
    plan = plan_of(
        first,
        {**CUT, "name": "one", "method": "same", "same": "bright", "offset": -step},
        {**CUT, "name": "below", "method": "same", "same": "bright", "keep": "below"},
    )
    found = cs.gate(raw, plan)
    cuts = [f.region.minimum[0] for f in found.findings[:2]]
    assert cuts[0] == pytest.approx(4.0 - step / 2, abs=0.01)
    assert cuts[1] == pytest.approx(cuts[0] - step, abs=1e-12)
    n = found.n_events
    assert n["root/bright"] == pytest.approx(3000, rel=0.01)
    assert n["root/one"] == pytest.approx(4000, rel=0.01)
    assert n["root/below"] == len(logs) - n["root/bright"]
    constant = raw_of(np.ones((500, 2)), ("A", "B"))
    assert cs.gate(constant, plan).findings[0].status == "one_peak"


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"offset": 0.1}, "gates[0].offset (bright): means nothing to method 'valley'"),
        ({"method": "peak", "tolerance": 0.1}, "gates[0].tolerance (bright): means nothing to"),
    ],
)
def test_keys_of_a_peak(changed, fault):
    assert any(line.startswith(fault) for line in faults_of({**CUT, **changed}))


@pytest.mark.parametrize(("kind", "bits"), [("F", 32), ("D", 64), ("I", 16)])
def test_gates_are_found_whatever_the_order_of_bytes(kind, bits, tmp_path):
    rng = np.random.default_rng(3)
    peaks = 5000 + 1000 * rng.standard_normal(2000) + 30_000 * (np.arange(2000) % 2)
    rows = np.column_stack([np.clip(peaks, 0, 65_000).round(), np.arange(2000)])
    found = []
    for order in "<>":
        path = tmp_path / f"{ord(order)}.fcs"
        recipe = Recipe(rows=rows.tolist(), data_type=kind, bits=(bits, bits), order=order)
        path.write_bytes(make(recipe).raw)
        plan = plan_of({**CUT, "x": "FSC-A"})
        found.append(cs.gate(cs.read_fcs(path), plan))
    (little,), (big,) = (f.findings for f in found)
    assert little == big
    assert little.status == "ok"
    assert found[0].n_events["root/bright"] == found[1].n_events["root/bright"] == 1000


# -------------------------------------------------------------------------- a control tube


def control_study(folder, shift):
    """A stained sample and its FMO tube; the FMO shows what `A` is without its dye."""
    rng = np.random.default_rng(8)
    assay = "plan.toml"
    (folder / assay).write_text(
        '[[gates]]\nname = "positive"\ntype = "threshold"\nx = "A"\nmethod = "control"\n'
        'control = "fmo"\nquantile = 0.95\n'
    )
    for name, middle in (("s", 100.0), ("fmo", 10.0 + shift)):
        write_fcs(folder / f"{name}.fcs", rng.normal(middle, 5, (2000, 2)), pnn=("A", "B"))
    (folder / "study.toml").write_text(
        '[study]\nname = "controls"\nsamples = "samples.csv"\n'
        '[assays.x]\ncompensation = "none"\ngating = "plan.toml"\n[assays.x.channels]\na = "A"\n'
    )
    (folder / "samples.csv").write_text(
        "file,sample_id,patient_id,role,control_for\ns.fcs,s,P1,sample,\nfmo.fcs,fmo,P1,fmo,s\n"
    )
    return cs.load_study(folder)


def test_a_cut_from_the_control_tube_of_the_sheet(tmp_path):
    study = control_study(tmp_path, 0.0)
    gates = cs.run_study(study, tmp_path / "out").table("gates")
    (row,) = gates.filter(sample_id="s").iter_rows(named=True)
    assert (row["gate_status"], row["standing"], row["method"]) == ("ok", "found", "control")
    assert row["cut"] == pytest.approx(10 + 1.645 * 5, abs=0.6)
    # the control tube itself has none
    (own,) = gates.filter(sample_id="fmo").iter_rows(named=True)
    assert (own["gate_status"], own["standing"]) == ("few_events", "nothing")


def test_another_control_tube_is_another_result(tmp_path):
    cs.run_study(control_study(tmp_path, 0.0), tmp_path / "out")
    results = cs.run_study(control_study(tmp_path, 20.0), tmp_path / "out")
    gates = results.table("gates").filter(sample_id="s")
    assert gates["cut"][0] == pytest.approx(30 + 1.645 * 5, abs=0.6)
