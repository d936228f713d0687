"""`[cohort]`, `[trajectories]`, `[endotypes]` and the eligibility columns as a study writes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cytosepsis.cohort_rules import CohortRules
from cytosepsis.config import load_study
from cytosepsis.trajectory_rules import EndotypeRules, TrajectoryRules
from small_study import in_study, refused, write

CLINICAL = """\
patient_id,shock_onset,age,icu_admission,extracorporeal_date,vasopressors,cpr,episode_id
P1,2024-03-01 10:00,64,2024-03-01,2024-02-10,yes,no,E1
P2,2024-03-02 10:00,64,,,no,yes,E2
"""
SECTIONS = """
[cohort]
steroid_rule = "and"
minimum_age = 16
neutrophil_days = [-1, 2]
cancer_solid = ["active"]
immunosuppressants = ["Novelimab"]
skip = ["hiv"]
[cohort.steroids]
Budesonide = 1.5
betamethasone = 0.6
[cohort.rules.resuscitated]
kind = "exclude"
column = "cpr"
answer = true
[trajectories]
improver_ratio = 1.5
cutoffs = { mhladr = 5000 }
[endotypes]
timepoints = ["D1-2", "D3-4"]
max_groups = 4
"""


def with_sections(text: str = SECTIONS) -> str:
    return in_study('clinical = "clinical.csv"') + text


def test_sections_become_rules(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, study_toml=with_sections(), clinical_csv=CLINICAL))
    rules = study.cohort
    assert (rules.steroid_rule, rules.minimum_age, rules.neutrophil_days) == ("and", 16, (-1, 2))
    assert (rules.cancer_solid, rules.skip) == (("active",), ("hiv",))
    equals = dict(rules.steroids)
    assert (equals["budesonide"], equals["betamethasone"], equals["prednisone"]) == (1.5, 0.6, 5)
    assert "novelimab" in rules.immunosuppressants
    assert "tacrolimus" in rules.immunosuppressants
    own = rules.own[0]
    assert (own.name, own.kind, own.column, own.answer) == ("resuscitated", "exclude", "cpr", True)
    assert study.trajectories.decliner_ratio == pytest.approx(1 / 1.5)
    assert study.trajectories.cutoffs == (("mhladr", 5000),)
    assert (study.endotypes.timepoints, study.endotypes.max_groups) == (("D1-2", "D3-4"), 4)
    first = study.patients[0]
    assert first.icu_admission is not None
    assert first.extracorporeal_date is not None
    assert (first.icu_admission.day, first.extracorporeal_date.day) == (1, 10)
    assert dict(first.values)["vasopressors"] == "yes"


def test_without_sections_the_defaults_hold(tmp_path: Path) -> None:
    study = load_study(write(tmp_path))
    assert study.cohort == CohortRules()
    assert study.trajectories == TrajectoryRules()
    assert study.endotypes == EndotypeRules()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('[cohort]\nsteroid_rule = "nor"', "cohort.steroid_rule: found 'nor'; wanted 'or' or 'and'"),
        ("[cohort]\nminimum_ag = 3", 'cohort.minimum_ag: is no key that is known. Did you mean "minimum_age"?'),
        ("[cohort]\nneutrophil_days = [2, 1]", "wanted the first number not above the second"),
        ("[cohort]\nsteroid_daily_mg = 0", "cohort.steroid_daily_mg: found 0; wanted more than 0"),
        ('[cohort]\nskip = ["hvi"]', 'cohort.skip: found \'hvi\', which is none of the rules. Did you mean "hiv"?'),
        ('[cohort.rules.hiv]\nkind = "exclude"\ncolumn = "cpr"\nanswer = true', "cohort.rules.hiv: is a rule there already"),
        ('[cohort.rules.x]\nkind = "exclude"\ncolumn = "cpr"', "cohort.rules.x: wanted either answer, or below, above or both"),
        ('[cohort.rules.x]\nkind = "exclude"\ncolumn = "cpr2"\nanswer = true', "found 'cpr2', which is no column of the clinical sheet"),
        ("[trajectories]\nimprover_ratio = 0.9", "trajectories.improver_ratio: found 0.9; wanted more than 1"),
        ("[trajectories]\ncutoffs = { mhladrr = 5000 }", "trajectories.cutoffs: found 'mhladrr', which is none of the markers"),
        ('[endotypes]\nmarker = "x"', "endotypes.marker: found 'x', which is none of the markers"),
        ('[endotypes]\ntimepoints = ["D9"]', "endotypes.timepoints: found 'D9', which is none of the timepoints"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(tmp_path, section, message) -> None:
    faults = refused(tmp_path, study_toml=with_sections(section), clinical_csv=CLINICAL)
    assert any(message in fault for fault in faults), faults


def test_impossible_dates_and_duplicate_patients_are_refused(tmp_path: Path) -> None:
    twice = CLINICAL + "P1,2024-05-01 10:00,64,,,yes,no,\n"
    faults = refused(tmp_path, study_toml=with_sections(), clinical_csv=twice)
    assert "rows 2, 4: have the same patient_id 'P1'; wanted one row per patient, or" in faults[0]
    wrong = CLINICAL.replace("64,2024-03-01,", "64,2024-02-30,")
    faults = refused(tmp_path, study_toml=with_sections(), clinical_csv=wrong)
    assert "row 2, icu_admission: found '2024-02-30'" in faults[0]
    negative = CLINICAL.replace("10:00,64,2024-03-01", "10:00,-3,2024-03-01")
    faults = refused(tmp_path, study_toml=with_sections(), clinical_csv=negative)
    assert "row 2, age: found '-3'; wanted 0 or more" in faults[0]


def test_admissions_of_one_patient_stand_in_their_order(tmp_path: Path) -> None:
    again = CLINICAL + "P1,2024-01-01 10:00,63,2024-01-01,,yes,no,E0\n"
    study = load_study(write(tmp_path, study_toml=with_sections(), clinical_csv=again))
    assert [patient.patient_id for patient in study.patients] == ["P1", "P2"]
    assert study.patients[0].age == 63
    assert [patient.age for patient in study.later_episodes] == [64]
    onset = study.patients[0].shock_onset
    assert onset is not None
    assert onset.replace(tzinfo=None) - datetime(2024, 1, 1, 10) == timedelta(0)


def test_a_misspelt_eligibility_column_is_refused(tmp_path: Path) -> None:
    wrong = CLINICAL.replace("vasopressors", "Vasopressors")
    faults = refused(tmp_path, study_toml=with_sections(), clinical_csv=wrong)
    assert 'Did you mean "vasopressors"?' in faults[0]
