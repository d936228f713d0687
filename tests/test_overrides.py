"""A reviewer's hand, from the sheet to the tables: what is decided is applied, what was stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import cytosepsis as cs
from quality_files import NAMES, clean
from small_study import write

STUDY = """
[study]
name = "reviewed"
samples = "samples.csv"
overrides = "overrides.csv"
[assays.mhladr]
compensation = "none"
gating = "plan.toml"
[assays.mhladr.channels]
cd14 = "CD14-A"
hladr = "HLADR-A"
[assays.mhladr.abc]
population = "monocytes"
channel = "hladr"
"""
PLAN = """
[[gates]]
name = "monocytes"
type = "rectangle"
x = "cd14"
ranges = { x = { min = 2500 } }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study of two samples without a reviewer's word yet."""
    write(
        tmp_path,
        study_toml=STUDY,
        plan_toml=PLAN,
        samples_csv="file,patient_id,timepoint\na.fcs,P1,D1\nb.fcs,P2,D1\n",
        overrides_csv="target,action,who,when,why\n",
    )
    for seed, name in enumerate("ab"):
        run = clean(seed, 3_000)
        rows = np.column_stack([run.values, run.seconds])
        cs.write_fcs(tmp_path / f"{name}.fcs", rows, pnn=NAMES)
    return tmp_path


def tables(folder: Path, decisions: str) -> dict[str, pl.DataFrame]:
    """Run the study under some decisions, into one results folder."""
    head = "target,action,who,when,why,gate,region\n"
    (folder / "overrides.csv").write_text(head + decisions)
    results = cs.run_study(cs.load_study(folder), out=folder / "results")
    return {name: results.table(name) for name in ("samples", "populations", "gates", "overrides")}


GIVEN = 'a,gate,AB,2024-03-02,dim CD14,monocytes,"{""min"": [6000], ""max"": [null]}"\n'


def test_a_given_gate_is_applied_to_its_sample_and_can_be_taken_back(folder: Path) -> None:
    before = tables(folder, "")
    given = tables(folder, GIVEN)
    counts = {
        row["sample_id"]: (row["n_events"], row["gate_status"])
        for row in given["populations"].filter(population="monocytes").iter_rows(named=True)
    }
    values = clean(0, 3_000).values[:, NAMES.index("CD14-A")]
    assert counts["a"] == (int((values.astype(np.float32) >= 6_000).sum()), "given")
    assert counts["b"][1] == "ok"
    (gate,) = given["gates"].iter_rows(named=True)
    assert (gate["sample_id"], gate["standing"]) == ("a", "override")
    assert given["samples"]["review"].to_list() == ["pending", "pending"]
    assert given["overrides"]["stands"].to_list() == [True]
    again = tables(folder, "")
    assert again["populations"].equals(before["populations"])


def test_the_value_by_the_plan_stays_beside_the_reviewers(tmp_path: Path, folder: Path) -> None:
    tables(folder, GIVEN)
    study = cs.load_study(folder)
    from cytosepsis.performer import perform
    from cytosepsis.tasks import Order, works_of

    given, free = (
        perform(Order(work.task, digest=False)) for work in works_of(study) if work.kind == "sample"
    )
    assert isinstance(given, cs.SampleResult)
    assert isinstance(free, cs.SampleResult)
    assert given.quantified is not None
    assert given.quantified_by_plan is not None
    assert given.quantified.n_cells < given.quantified_by_plan.n_cells
    assert free.quantified_by_plan is None


def test_a_rejected_sample_stays_in_the_tables(folder: Path) -> None:
    told = tables(folder, "a,reject,AB,2024-03-02,clotted,,\nb,accept,AB,2024-03-02,fine,,\n")
    assert told["samples"]["review"].to_list() == ["rejected", "accepted"]
    assert told["populations"].filter(sample_id="a").height == 2
    later = tables(
        folder, "a,reject,AB,2024-03-02,clotted,,\na,accept,CD,2024-03-03,seen again,,\n"
    )
    assert later["samples"]["review"].to_list() == ["accepted", "pending"]
    assert later["overrides"]["stands"].to_list() == [False, True]
