"""`[analysis]`, `[candidates]`, `[exvivo]`: read into records, or refused with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from cytosepsis.analysis_plan import PRESETS, Analyses, CandidateRule, Criterion, Question
from cytosepsis.config import load_study
from cytosepsis.errors import StudyError
from cytosepsis.protocol import Outcome
from small_study import STUDY, write

CLINICAL = (
    "patient_id,shock_onset,age,saps2,followup_days,death_day,infection_day,cmv_day\n"
    "P1,2024-02-28 08:00,61,50,90,,6,\nP2,2024-02-29 08:00,70,61,8,8,,\n"
)
WITH_PATIENTS = STUDY.replace("[study]", '[study]\nclinical = "clinical.csv"')
FERRITIN = """
[markers.mhladr]
kind = "abc"
[markers.ferritin]
kind = "measurement"
unit = "ng/mL"
"""


def analyses(folder: Path, text: str, markers: str = "") -> Analyses:
    toml = WITH_PATIENTS + markers + text
    if markers:
        toml = toml.replace("[study]", '[study]\nmeasurements = "m.csv"\nprimary_marker = "mhladr"')
    values = "patient_id,timepoint,name,value,unit\nP1,D1-2,ferritin,1,ng/mL\n"
    write(folder, study_toml=toml, clinical_csv=CLINICAL, m_csv=values)
    return load_study(folder).analyses


def test_a_study_that_declares_nothing_has_the_defaults(tmp_path: Path) -> None:
    assert analyses(tmp_path, "") == Analyses()


def test_everything_that_is_declared_is_read(tmp_path: Path) -> None:
    found = analyses(
        tmp_path,
        """
[analysis]
primary = { marker = "mhladr", timepoint = "D3-4", outcome = "death" }
family = [{ marker = "mhladr", timepoint = "D1-2", outcome = "icu_infection" }]
covariates = ["age", "saps2"]
directions = { mhladr = "higher" }
cutoffs = { mhladr = [5000, 8000] }
seed = 7

[exvivo]
directions = { mhladr = "down" }
cv = { mhladr = 0.05 }
adjust = "bh"
dilutions.t_cells = ["gen0", "gen1"]
""",
    )
    plan = found.plan
    assert plan.primary == Question("mhladr", "D3-4", "death")
    assert plan.family == (Question("mhladr", "D1-2", "icu_infection"),)
    assert plan.covariates == ("age", "saps2")
    assert plan.direction("mhladr", is_abc=True) == "higher"
    assert plan.direction("other", is_abc=True) == "lower"
    assert plan.cutoffs == (("mhladr", (5000, 8000)),)
    assert plan.seed == 7
    assert found.exvivo.direction("mhladr") == "down"
    assert dict(found.exvivo.cv) == {"mhladr": 0.05}
    assert found.exvivo.adjust == "bh"
    assert found.exvivo.dilutions[0].populations == ("gen0", "gen1")


def test_presets_and_own_rules(tmp_path: Path) -> None:
    rules = analyses(
        tmp_path,
        """
[candidates.gmcsf]
preset = "grid"
[candidates.early]
preset = "grid"
below = 5000
days = [1, 2]
[candidates.ifn]
preset = "immunosep_ifn_gamma"
[candidates.own]
marker = "ferritin"
at_least = 500
days = [1, 4]
consecutive = 2
cv = 0.1
companion = { marker = "mhladr", at_most = 8000 }
""",
        FERRITIN,
    ).candidates
    gmcsf, early, ifn, own = rules
    assert gmcsf.criterion == Criterion("mhladr", "below", 8000, unit="AB/C")
    assert gmcsf.days == (3, 3)
    assert gmcsf.source == PRESETS["grid"].source
    assert (early.criterion.line, early.days, early.drug) == (5000, (1, 2), "GM-CSF")
    assert ifn.companion == Criterion("ferritin", "below", 4420, inclusive=True, unit="ng/mL")
    assert ifn.criterion.words == "mhladr < 5000 AB/C"
    assert own == CandidateRule(
        "own",
        Criterion("ferritin", "above", 500, inclusive=True, cv=0.1),
        (1, 4),
        2,
        Criterion("mhladr", "below", 8000, inclusive=True),
    )


def test_ready_outcomes_stand_where_the_sheet_has_their_days(tmp_path: Path) -> None:
    analyses(tmp_path, "")
    outcomes = {outcome.name: outcome for outcome in load_study(tmp_path).outcomes}
    assert set(outcomes) == {"death", "icu_infection", "cmv_reactivation"}
    # this sheet has no icu_discharge_day
    assert outcomes["icu_infection"] == Outcome(
        "icu_infection", "infection_day", ("death_day",), "followup_days", 28
    )
    analyses(tmp_path, '[outcomes.mortality]\nevent_day = "death_day"\n')
    names = [outcome.name for outcome in load_study(tmp_path).outcomes]
    assert names == ["mortality", "icu_infection", "cmv_reactivation"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('[analysis]\nmarkers = ["cd4"]', "analysis.markers[0]", "no marker of the study"),
        ('[analysis]\ncovariates = ["sofa"]', "analysis.covariates[0]", "no column"),
        ('[analysis]\noutcomes = ["deaths"]', "analysis.outcomes[0]", "Did you mean"),
        ('[analysis]\ntimepoints = ["D9"]', "analysis.timepoints[0]", "no timepoint"),
        ("[analysis]\nresamples = 3", "analysis.resamples", "wanted 50 or more"),
        ("[analysis]\nprimry = 3", "analysis.primry", "Did you mean"),
        (
            '[analysis]\nprimary = { marker = "mhladr", timepoint = "D3-4" }',
            "analysis.primary.outcome",
            "is needed",
        ),
        ('[analysis]\ncutoffs = { mhladr = [8000, 5000] }', "analysis.cutoffs.mhladr", "ascending"),
        ('[analysis]\ncombinations = [["mhladr", "x"]]', "analysis.combinations[0]", "no marker"),
        ('[candidates.a]\npreset = "gird"', "candidates.a.preset", "Did you mean"),
        ('[candidates.a]\npreset = "il7"', "candidates.a.marker", "'lymphocytes'"),
        ('[candidates.a]\npreset = "immunosep_ifn_gamma"', "candidates.a.companion", "'ferritin'"),
        ('[candidates.a]\nmarker = "mhladr"\ndays = [1, 2]', "candidates.a", "wanted one of"),
        (
            '[candidates.a]\nmarker = "mhladr"\nbelow = 1\nabove = 2\ndays = [1, 2]',
            "candidates.a",
            "found 2",
        ),
        ('[candidates.a]\nbelow = 1\ndays = [1, 2]', "candidates.a.marker", "is needed"),
        ('[candidates.a]\nmarker = "mhladr"\nbelow = 1', "candidates.a.days", "is needed"),
        ('[exvivo]\nreadouts = ["tnf"]', "exvivo.readouts[0]", "no marker"),
        ('[exvivo]\ncv = { tnf = 0.1 }', "exvivo.cv.tnf", "no marker"),
        ("[exvivo]\nadjust = \"fdr\"", "exvivo.adjust", "wanted 'holm' or 'bh'"),
    ],
)  # fmt: skip
def test_what_names_nothing_is_refused(tmp_path: Path, text: str, place: str, words: str) -> None:
    with pytest.raises(StudyError) as refused:
        analyses(tmp_path, text)
    problems = [p for p in refused.value.problems if p.place == place]
    assert len(problems) == 1, refused.value.problems
    assert words in problems[0].message
