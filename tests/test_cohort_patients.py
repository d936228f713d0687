"""Every rule of the cohort on patients written by hand: verdict and deciding rules, both steroid rules.

Each patient is one who meets everything (`MEETS_ALL`, admitted on 1 March 2024, so that the look-back
of 90 days begins on 2 December 2023) but for what the table says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.analysis.cohort import cohort_frames
from cytosepsis.analysis.troubles import TROUBLE_CODES
from cytosepsis.analysis_plan import Analyses, AnalysisPlan
from cytosepsis.cohort_rules import RULES, CohortRules, OwnRule
from cytosepsis.protocol import Exposure, Measurement, Patient, Study
from hand_made import rows, study

MEETS_ALL = {
    "age": "64",
    "icu_admission": "2024-03-01",
    "infection_site": "lung",
    "hypotension_despite_fluids": "yes",
    "vasopressors": "yes",
    "systemic_inflammatory_response": "yes",
    "hiv": "no",
    "cancer": "no",
    "primary_immune_deficiency": "no",
    "steroids_before_admission": "no",
    "immunosuppressive_treatment": "no",
    "neutrophils": "9800",
    "extracorporeal_circulation": "no",
}
# Answered with the courses that are listed.
ASKED = "steroids_before_admission=yes"

# who | cells that differ (an empty one: not given) | courses: drug dose unit start stop (? : not given)
# | verdict under "or" | rules that decide | verdict and rules under "and", where they differ
TABLE = """
meets everything                     |                                              |                                                | include |
# --- age
17 years old                         | age=17                                       |                                                | exclude | adult
17.9 years old                       | age=17.9                                     |                                                | exclude | adult
18 on the day                        | age=18                                       |                                                | include |
no age                               | age=                                         |                                                | unknown | adult
an age that cannot be                | age=640                                      |                                                | unknown | adult
# --- septic shock
no site of infection                 | infection_site=none                          |                                                | exclude | infection_site
site not written                     | infection_site=                              |                                                | unknown | infection_site
site not known                       | infection_site=unknown                       |                                                | unknown | infection_site
fluids were enough                   | hypotension_despite_fluids=no                |                                                | exclude | hypotension
fluids not written                   | hypotension_despite_fluids=                  |                                                | unknown | hypotension
no vasopressors                      | vasopressors=non                             |                                                | exclude | vasopressors
vasopressors not written             | vasopressors=                                |                                                | unknown | vasopressors
vasopressors: perhaps                | vasopressors=perhaps                         |                                                | unknown | vasopressors
no inflammatory response             | systemic_inflammatory_response=no            |                                                | exclude | inflammatory_response
response not written                 | systemic_inflammatory_response=              |                                                | unknown | inflammatory_response
the diagnosis is denied              | septic_shock=no                              |                                                | exclude | infection_site hypotension vasopressors inflammatory_response
diagnosis alone is not enough        | septic_shock=yes vasopressors=               |                                                | unknown | vasopressors
diagnosis against a criterion        | septic_shock=yes vasopressors=no             |                                                | exclude | vasopressors
# --- disease
HIV                                  | hiv=yes                                      |                                                | exclude | hiv
HIV not asked                        | hiv=                                         |                                                | unknown | hiv
HIV with many CD4                    | hiv=oui hiv_cd4=640                          |                                                | exclude | hiv
primary immune deficiency            | primary_immune_deficiency=yes                |                                                | exclude | immune_deficiency
deficiency not asked                 | primary_immune_deficiency=                   |                                                | unknown | immune_deficiency
solid tumour                         | cancer=solid cancer_status=active            |                                                | exclude | cancer
solid tumour, treated                | cancer=solid cancer_status=treated           |                                                | exclude | cancer
solid tumour long in remission       | cancer=solid cancer_status=remission cancer_remission_years=20 |                              | exclude | cancer
solid tumour, state not known        | cancer=solid                                 |                                                | exclude | cancer
leukaemia                            | cancer=blood cancer_status=treated           |                                                | exclude | cancer
leukaemia, 5 years in remission      | cancer=blood cancer_status=remission cancer_remission_years=5  |                              | exclude | cancer
leukaemia, 6 years in remission      | cancer=blood cancer_status=remission cancer_remission_years=6  |                              | include |
leukaemia, remission without a date  | cancer=blood cancer_status=remission         |                                                | unknown | cancer
leukaemia, state not known           | cancer=blood                                 |                                                | unknown | cancer
no cancer, which is active           | cancer=no cancer_status=active               |                                                | exclude | cancer
a cancer of another name             | cancer=melanoma                              |                                                | unknown | cancer
cancer not asked                     | cancer=                                      |                                                | unknown | cancer
# --- corticosteroids
20 mg for a month                    | {asked}                                      | prednisone 20 mg/day 2024-01-31 2024-02-29     | exclude | steroids | include
30 mg for a month                    | {asked}                                      | prednisone 30 mg/day 2024-01-31 2024-02-29     | exclude | steroids | exclude steroids
exactly 10 mg a day                  | {asked}                                      | prednisolone 10 mg/day 2024-02-01 2024-02-29   | include |
10 mg a day for 71 days              | {asked}                                      | prednisolone 10 mg/day 2023-12-21 2024-02-29   | exclude | steroids | include
10 mg a day for 70 days              | {asked}                                      | prednisolone 10 mg/day 2023-12-22 2024-02-29   | include |
for years, 90 days count             | {asked}                                      | prednisolone 7.5 mg/day 2015-01-01 2024-02-29  | include |
COVID: dexamethasone 6 mg            | {asked}                                      | dexamethasone 6 mg/day 2024-02-01 2024-02-10   | exclude | steroids | include
hydrocortisone 40 mg is 10           | {asked}                                      | hydrocortisone 40 mg/day 2024-02-01 2024-02-29 | include |
hydrocortisone 41 mg is more         | {asked}                                      | hydrocortisone 41 mg/day 2024-02-01 2024-02-29 | exclude | steroids | include
two drugs of one day                 | {asked}                                      | prednisone 6 mg/day 2024-02-01 2024-02-29; cortisone 25 mg/day 2024-02-29 2024-03-02 | exclude | steroids | include
two drugs, one after the other       | {asked}                                      | prednisone 6 mg/day 2024-02-01 2024-02-10; cortisone 25 mg/day 2024-02-11 2024-02-29 | include |
stopped before the look-back         | {asked}                                      | prednisone 60 mg/day 2023-06-01 2023-12-01     | include |
its last day is in the look-back     | {asked}                                      | prednisone 60 mg/day 2023-06-01 2023-12-02     | exclude | steroids | include
for the shock itself                 |                                              | hydrocortisone 200 mg/day 2024-03-01 2024-03-14| include |
for the shock, before not asked      | steroids_before_admission=                   | hydrocortisone 200 mg/day 2024-03-01 2024-03-14| unknown | steroids
begun on the eve                     | {asked}                                      | hydrocortisone 200 mg/day 2024-02-29 2024-03-14| exclude | steroids | include
pulses, in grams                     | {asked}                                      | methylprednisolone 1 g/day 2024-02-10 2024-02-12 | exclude | steroids | exclude steroids
a course by its total                | {asked}                                      | prednisone 300 mg total 2024-01-01 2024-02-29  | include |
mg on one day only                   | {asked}                                      | triamcinolone 80 mg 2024-02-01 2024-02-01      | exclude | steroids | include
mg of many days: per day or in all?  | {asked}                                      | prednisone 20 mg 2024-02-01 2024-02-29         | unknown | steroids | unknown steroids
in a unit of nobody                  | {asked}                                      | prednisone 2 tablets 2024-02-01 2024-02-29     | unknown | steroids | unknown steroids
without a dose                       | {asked}                                      | prednisone ? mg/day 2024-02-01 2024-02-29      | unknown | steroids | unknown steroids
without a start, still given         | {asked}                                      | prednisone 20 mg/day ? 2024-02-29              | exclude | steroids | unknown steroids
without a start, a small dose        | {asked}                                      | prednisone 5 mg/day ? 2024-02-29               | include |
without a stop                       | {asked}                                      | prednisone 10 mg/day 2023-12-10 ?              | unknown | steroids | include
without dates                        | {asked}                                      | prednisone 20 mg/day ? ?                       | unknown | steroids | unknown steroids
answered yes, nothing listed         | {asked}                                      |                                                | unknown | steroids
nothing answered, nothing listed     | steroids_before_admission=                   |                                                | unknown | steroids
nothing answered, a course listed    | steroids_before_admission=                   | prednisone 5 mg/day 2024-02-01 2024-02-29      | include |
answered no, 40 mg listed            |                                              | prednisone 40 mg/day 2024-01-01 2024-02-29     | exclude | steroids | exclude steroids
answered no, 5 mg listed             |                                              | prednisone 5 mg/day 2024-02-01 2024-02-29      | unknown | steroids | unknown steroids
inhaled                              |                                              | betamethasone[inhaled] 20 mg/day 2024-01-01 2024-02-29 | include |
a name nobody knows                  | {asked}                                      | prednsone 5 mg/day 2024-02-01 2024-02-29       | unknown | steroids | unknown steroids
with accents and a salt              | {asked}                                      | Dexaméthasone_phosphate 6 mg/j 2024-02-01 2024-02-10 | exclude | steroids | include
fludrocortisone is no glucocorticoid | steroids_before_admission=no                 | fludrocortisone 0.1 mg/day 2024-01-01 2024-02-29 | include |
admission not known                  | icu_admission= {asked}                       | prednisone 20 mg/day 2024-02-01 2024-02-10     | unknown | steroids | include
admission not known, small dose      | icu_admission= {asked}                       | prednisone 5 mg/day 2024-02-01 2024-02-10      | include |
# --- other treatment
immunosuppressive treatment          | immunosuppressive_treatment=yes              |                                                | exclude | immunosuppressants
treatment not asked                  | immunosuppressive_treatment=                 |                                                | unknown | immunosuppressants
tacrolimus is listed                 | immunosuppressive_treatment=                 | tacrolimus 4 mg/day 2020-01-01 2024-03-10      | exclude | immunosuppressants
tacrolimus, answered no              |                                              | tacrolimus 4 mg/day 2020-01-01 2024-03-10      | exclude | immunosuppressants
methotrexate years ago               |                                              | methotrexate 10 mg 2018-01-01 2019-01-01       | include |
tocilizumab for the shock            |                                              | tocilizumab 600 mg 2024-03-02 2024-03-02       | include |
rituximab without a date             | immunosuppressive_treatment=                 | rituximab 1 g ? ?                              | unknown | immunosuppressants
# --- aplasia
neutrophils 499                      | neutrophils=499                              |                                                | exclude | aplasia
neutrophils 500                      | neutrophils=500                              |                                                | include |
neutrophils not measured             | neutrophils=                                 |                                                | unknown | aplasia
neutrophils not measured, aplasia no | neutrophils= aplasia=no                      |                                                | include |
aplasia is stated                    | neutrophils= aplasia=yes                     |                                                | exclude | aplasia
aplasia with many neutrophils        | aplasia=yes                                  |                                                | exclude | aplasia
no aplasia with few neutrophils      | neutrophils=100 aplasia=no                   |                                                | exclude | aplasia
neutrophils below zero               | neutrophils=-3                               |                                                | unknown | aplasia
# --- extracorporeal circulation
extracorporeal circulation           | extracorporeal_circulation=yes               |                                                | exclude | extracorporeal_circulation
circulation not asked                | extracorporeal_circulation=                  |                                                | unknown | extracorporeal_circulation
30 days before                       | extracorporeal_circulation= extracorporeal_date=2024-01-31 |                                  | exclude | extracorporeal_circulation
31 days before                       | extracorporeal_circulation= extracorporeal_date=2024-01-30 |                                  | include |
after admission                      | extracorporeal_circulation= extracorporeal_date=2024-03-03 |                                  | include |
dated, admission not known           | extracorporeal_circulation= extracorporeal_date=2024-02-20 icu_admission= |                   | unknown | extracorporeal_circulation
answered no, 10 days before          | extracorporeal_date=2024-02-20               |                                                | exclude | extracorporeal_circulation
# --- several at once
young, with HIV, few neutrophils     | age=15 hiv=yes neutrophils=100               |                                                | exclude | adult hiv aplasia
excluded whatever is not known       | age= cancer= hiv=yes                         |                                                | exclude | hiv
two things not known                 | age= cancer=                                 |                                                | unknown | adult cancer
nothing is known                     | *                                            |                                                | unknown | adult infection_site hypotension vasopressors inflammatory_response hiv cancer immune_deficiency steroids immunosuppressants aplasia extracorporeal_circulation
"""


@dataclass(frozen=True)
class Written:
    name: str
    cells: dict[str, str]
    courses: tuple[Exposure, ...]
    verdict: str
    rules: list[str]
    under_and: tuple[str, list[str]]


def day(text: str) -> datetime | None:
    return None if text == "?" else datetime.fromisoformat(text).replace(tzinfo=UTC)


def course(text: str, patient_id: str) -> Exposure:
    parts = text.split()
    unit = " ".join(parts[2:-2])
    drug, _, route = parts[0].rstrip("]").partition("[")
    return Exposure(
        patient_id,
        drug.replace("_", " "),
        None if parts[1] == "?" else float(parts[1]),
        unit,
        day(parts[-2]),
        day(parts[-1]),
        (("route", route or None),),
    )


def written() -> list[Written]:
    found = []
    for line in TABLE.replace("{asked}", ASKED).splitlines():
        if not line or line.startswith("#"):
            continue
        name, cells, courses, verdict, *rest = (cell.strip() for cell in line.split("|"))
        changed = {} if cells == "*" else dict(cell.split("=") for cell in cells.split())
        rules = rest[0].split() if rest else []
        other, *under_and = rest[1].split() if len(rest) > 1 else (verdict, *rules)
        found.append(
            Written(
                name=name,
                cells={} if cells == "*" else MEETS_ALL | changed,
                courses=tuple(course(c.strip(), name) for c in courses.split(";") if c.strip()),
                verdict=verdict,
                rules=rules,
                under_and=(other, under_and),
            )
        )
    return found


PATIENTS = written()
_APART = {"age", "icu_admission", "extracorporeal_date"}


def patient(name: str, cells: dict[str, str]) -> Patient:
    age = cells.get("age")
    return Patient(
        name,
        shock_onset=day("2024-03-01"),
        age=float(age) if age else None,
        icu_admission=day(cells["icu_admission"]) if cells.get("icu_admission") else None,
        extracorporeal_date=(
            day(cells["extracorporeal_date"]) if cells.get("extracorporeal_date") else None
        ),
        values=tuple((c, text or None) for c, text in cells.items() if c not in _APART),
    )


def of(*people: Written, **rules: Any) -> Study:
    return study(
        patients=tuple(patient(one.name, one.cells) for one in people),
        exposures=tuple(c for one in people for c in one.courses),
        cohort=CohortRules(**rules),
    )


def frames(of_study: Study, visits: pl.DataFrame | None = None):
    if visits is None:
        visits = pl.DataFrame(
            schema={"patient_id": pl.String, "timepoint": pl.String, "status": pl.String}
        )
    made = cohort_frames(of_study, visits)
    assert set(made.problems["code"]) <= TROUBLE_CODES.keys()
    return made


def one(
    cells: str = "", *courses: str, measured: tuple[Measurement, ...] = (), **rules: Any
) -> dict[str, Any]:
    """The row of one patient who meets everything but these cells."""
    changed = dict(cell.split("=") for cell in cells.split())
    made = Written(
        "p", MEETS_ALL | changed, tuple(course(c, "p") for c in courses), "", [], ("", [])
    )
    return rows(frames(replace(of(made, **rules), measurements=measured)).cohort)[0]


def test_there_are_enough_and_every_rule_decides_somewhere() -> None:
    assert len(PATIENTS) >= 60
    assert len({one.name for one in PATIENTS}) == len(PATIENTS)
    decided = {(one.verdict, rule) for one in PATIENTS for rule in one.rules}
    for rule in RULES:
        if rule.name != "readmission":
            assert {("exclude", rule.name), ("unknown", rule.name)} <= decided, rule.name


@pytest.mark.parametrize("steroid_rule", ["or", "and"])
def test_verdict_and_deciding_rules(steroid_rule: str) -> None:
    made = frames(of(*PATIENTS, steroid_rule=steroid_rule))
    found, expected = {}, {}
    for person, row in zip(PATIENTS, rows(made.cohort), strict=True):
        assert row["patient_id"] == person.name
        verdict, rules = (person.verdict, person.rules)
        if steroid_rule == "and":
            verdict, rules = person.under_and
        column = "failed_rules" if row["verdict"] == "exclude" else "unknown_rules"
        found[person.name] = (row["verdict"], [r for r in row[column].split(";") if r])
        expected[person.name] = (verdict, rules)
        named = re.findall(r"(?:^|; )(\w+):", row["reasons"])
        assert set(rules) <= set(named), row["reasons"]
        assert (row["reasons"] == "") == (verdict == "include")
    assert found == expected
    assert made.cohort["steroid_rule"].unique().to_list() == [steroid_rule]


def test_the_order_of_rows_and_other_patients_changes_nothing() -> None:
    whole = frames(of(*PATIENTS)).cohort
    for step in (1, 7):
        some = frames(of(*PATIENTS[::-step])).cohort
        assert some.sort("patient_id").equals(
            whole.filter(pl.col("patient_id").is_in(some["patient_id"].to_list())).sort(
                "patient_id"
            )
        )


# --- the settings of the rules


@pytest.mark.parametrize(
    ("cells", "courses", "rules", "before", "after"),
    [
        ("hiv=yes hiv_cd4=640", (), {"hiv_rule": "cd4"}, "exclude", "include"),
        ("hiv=yes hiv_cd4=199", (), {"hiv_rule": "cd4"}, "exclude", "exclude"),
        ("hiv=yes", (), {"hiv_rule": "cd4"}, "exclude", "unknown"),
        ("hiv=yes hiv_cd4=640", (), {"hiv_rule": "cd4", "hiv_cd4_below": 700.0}, "exclude", "exclude"),
        ("cancer=solid cancer_status=remission", (), {"cancer_solid": ("active", "treated")}, "exclude", "include"),
        ("cancer=solid", (), {"cancer_solid": ("treated",)}, "exclude", "unknown"),
        ("cancer=solid cancer_status=remission cancer_remission_years=9", (), {"cancer_solid_years": 5.0}, "exclude", "include"),
        ("cancer=blood cancer_status=remission cancer_remission_years=9", (), {"cancer_blood_years": None}, "include", "exclude"),
        ("septic_shock=yes vasopressors=", (), {"diagnosis_suffices": True}, "unknown", "include"),
        ("septic_shock=yes vasopressors=maybe", (), {"diagnosis_suffices": True}, "unknown", "unknown"),
        ("septic_shock= vasopressors=", (), {"diagnosis_suffices": True}, "unknown", "unknown"),
        ("icu_admission= steroids_before_admission=yes", ("prednisone 20 mg/day 2024-02-01 2024-02-10",), {"admission": "shock_onset"}, "unknown", "exclude"),
        ("steroids_before_admission=yes", ("prednisone 60 mg/day 2024-01-01 2024-01-25",), {"steroid_look_back_days": 30}, "exclude", "include"),
        ("steroids_before_admission=yes", ("prednisone 15 mg/day 2024-02-01 2024-02-10",), {"steroid_daily_mg": 15.0}, "exclude", "include"),
        ("steroids_before_admission=yes", ("prednisone 10 mg/day 2024-02-01 2024-02-10",), {"steroid_cumulative_mg": 99.0}, "include", "exclude"),
        ("steroids_before_admission=yes", ("budesonide 3 mg/day 2024-02-01 2024-02-10",), {"steroids": (("budesonide", 5.0),)}, "unknown", "include"),
        ("", ("vitamin 3 mg/day 2024-02-01 2024-02-10",), {"other_drugs": ("vitamin",)}, "unknown", "include"),
        ("immunosuppressive_treatment=", ("novel 3 mg/day 2024-02-01 2024-02-10",), {"immunosuppressants": ("novel",)}, "unknown", "exclude"),
        ("immunosuppressive_treatment= steroids_before_admission=", (), {"exposures_complete": True}, "unknown", "include"),
        ("neutrophils=700", (), {"neutrophils_below": 1000.0}, "include", "exclude"),
        ("extracorporeal_date=2024-02-10 extracorporeal_circulation=", (), {"extracorporeal_days": 7}, "exclude", "include"),
        ("age=16", (), {"minimum_age": 15.0}, "exclude", "include"),
        ("hiv=yes", (), {"skip": ("hiv",)}, "exclude", "include"),
    ],
)  # fmt: skip
def test_every_setting_decides(cells, courses, rules, before, after) -> None:
    assert one(cells, *courses)["verdict"] == before
    assert one(cells, *courses, **rules)["verdict"] == after


def test_a_study_adds_rules_of_its_own() -> None:
    cpr = OwnRule("cpr", "exclude", "cpr", "resuscitated in this episode", "GRID", answer=True)
    severe = OwnRule("severe", "include", "sofa", "SOFA above 8", "ours", above=8.0)
    mild = OwnRule("mild", "exclude", "lactate", "no lactate", "ours", below=2.0, above=0.5)
    for cells, expected in [
        ("cpr=no sofa=9 lactate=3", ("include", "", "")),
        ("cpr=yes sofa=8 lactate=1,9", ("exclude", "cpr;severe;mild", "")),
        ("cpr= sofa=9 lactate=2", ("unknown", "", "cpr")),
        ("cpr=no sofa=? lactate=0.5", ("unknown", "", "severe")),
    ]:
        row = one(cells, own=(cpr, severe, mild))
        assert (row["verdict"], row["failed_rules"], row["unknown_rules"]) == expected


def neutrophils(value: float, unit: str | None, hour: float, **extra: str) -> Measurement:
    at = datetime(2024, 3, 1, tzinfo=UTC) + timedelta(hours=hour)
    return Measurement("p", "neutrophils", value, unit, at, extra=tuple(extra.items()))


@pytest.mark.parametrize(
    ("measured", "rules", "verdict", "taken"),
    [
        ((neutrophils(0.3, "G/L", 5),), {}, "exclude", 300.0),
        ((neutrophils(300, "/mm3", -20),), {}, "exclude", 300.0),  # the day before onset is day 0
        ((neutrophils(0.3, "G/L", -25),), {}, "include", 9800.0),
        ((neutrophils(0.3, "G/L", 25),), {}, "include", 9800.0),
        ((neutrophils(0.3, "G/L", 25),), {"neutrophil_days": (0.0, 2.0)}, "exclude", 300.0),
        ((neutrophils(7, "G/L", 1), neutrophils(0.4, "10^9/L", 5)), {}, "exclude", 400.0),
        ((neutrophils(7, "G/L", 1),), {}, "include", 7000.0),
        ((neutrophils(0.3, "mmol/L", 5),), {}, "include", 9800.0),
        ((neutrophils(0.3, None, 5),), {}, "include", 9800.0),
        ((neutrophils(0.3, "G/L", 5, stimulus="LPS"),), {}, "include", 9800.0),
    ],
)
def test_measured_neutrophils_of_the_days_that_count_decide(
    measured, rules, verdict, taken
) -> None:
    row = one(measured=measured, **rules)
    assert (row["verdict"], row["neutrophils"]) == (verdict, taken)


def test_the_digest_is_that_of_the_settings() -> None:
    assert one()["rules_digest"] == one("age=17")["rules_digest"]
    assert one()["rules_digest"] != one(minimum_age=19.0)["rules_digest"]
    assert one()["rules_digest"] != one(skip=("hiv",))["rules_digest"]


@pytest.mark.parametrize(
    ("population", "taken"), [("everyone", [True] * 3), ("included", [True, False, False])]
)
def test_whom_analyses_take_is_said(population, taken) -> None:
    names = ("meets everything", "17 years old", "no age")
    people = [one for name in names for one in PATIENTS if one.name == name]
    made = frames(replace(of(*people), analyses=Analyses(AnalysisPlan(population=population))))
    assert made.cohort["analysed"].to_list() == taken
    nobody = frames(of(*(one for one in PATIENTS if one.name == "no age")))
    assert nobody.cohort["analysed"].to_list() == [True]
    assert "nobody can be judged" in nobody.flow["meaning"].str.join(" ")[0]
    step = rows(made.flow.filter(pl.col("stage") == "analysed"))[0]
    assert (step["n"], population in step["meaning"]) == (sum(taken), True)


# --- steroids in numbers (domain of the field: equivalents and worked sums)


@pytest.mark.parametrize(
    ("drug", "mg", "equivalent"),
    [
        ("prednisone", 5, 5),
        ("prednisolone", 5, 5),
        ("hydrocortisone", 20, 5),
        ("cortisone", 25, 5),
        ("methylprednisolone", 4, 5),
        ("triamcinolone", 4, 5),
        ("dexamethasone", 0.75, 5),
        ("betamethasone", 0.75, 5),
        ("deflazacort", 6, 5),
        ("hydrocortisone", 200, 50),
        ("dexamethasone", 6, 40),
        ("fludrocortisone", 0.1, None),
    ],
)
def test_equivalents(drug, mg, equivalent) -> None:
    row = one("steroids_before_admission=yes", f"{drug} {mg} mg/day 2024-02-20 2024-02-29")
    if equivalent is None:
        assert row["steroid_daily_mg"] is None
        return
    assert row["steroid_daily_mg"] == pytest.approx(equivalent, rel=1e-12)
    assert row["steroid_cumulative_mg"] == pytest.approx(10 * equivalent, rel=1e-12)


def test_shock_hydrocortisone_reaches_700_mg_in_14_days_and_is_a_covariate() -> None:
    before = one("steroids_before_admission=yes", "hydrocortisone 200 mg/day 2024-02-16 2024-02-29")
    assert before["steroid_cumulative_mg"] == pytest.approx(700)
    shock = one("", "hydrocortisone 200 mg/day 2024-03-01 2024-03-14")
    assert (shock["verdict"], shock["steroid_daily_mg"], shock["shock_steroids"]) == (
        "include",
        0,
        True,
    )
    assert before["shock_steroids"] is False
    assert one()["shock_steroids"] is None


def test_what_is_open_has_two_ends() -> None:
    row = one("steroids_before_admission=yes", "prednisone 10 mg/day 2024-02-01 ?")
    columns = (
        "steroid_daily_mg",
        "steroid_daily_mg_high",
        "steroid_cumulative_mg",
        "steroid_cumulative_mg_high",
    )
    assert [row[name] for name in columns] == [10, 10, 10, 290]
    row = one("steroids_before_admission=yes", "prednisone ? mg/day 2024-02-01 2024-02-02")
    assert [row[name] for name in columns] == [0, None, 0, None]


# --- what has to be put right


def problems(*people: Written, **fields: Any) -> list[tuple[object, ...]]:
    made = frames(replace(of(*people), **fields))
    return made.problems.select("patient_id", "sheet", "column", "found", "code").rows()


def person(cells: str = "", *courses: str) -> Written:
    changed = dict(cell.split("=") for cell in cells.split())
    return Written(
        "p", MEETS_ALL | changed, tuple(course(c, "p") for c in courses), "", [], ("", [])
    )


@pytest.mark.parametrize(
    ("cells", "courses", "expected"),
    [
        ("", (), []),
        ("hiv=perhaps", (), [("clinical", "hiv", "perhaps", "unreadable")]),
        ("cancer=melanoma", (), [("clinical", "cancer", "melanoma", "unreadable")]),
        ("neutrophils=many", (), [("clinical", "neutrophils", "many", "unreadable")]),
        ("neutrophils=-3", (), [("clinical", "neutrophils", "-3", "impossible")]),
        ("age=640", (), [("clinical", "age", "640", "impossible")]),
        ("septic_shock=no", (), [("clinical", "septic_shock", "no", "contradiction")] * 4),
        ("septic_shock=yes vasopressors=no", (), [("clinical", "septic_shock", "yes", "contradiction")]),
        ("cancer=no cancer_status=active", (), [("clinical", "cancer", "no", "contradiction")]),
        ("aplasia=yes", (), [("clinical", "aplasia", "yes", "contradiction")]),
        ("extracorporeal_date=2024-02-20", (), [("clinical", "extracorporeal_circulation", "no", "contradiction")]),
        ("", ("prednisone 5 mg/day 2024-02-01 2024-02-29",), [("clinical", "steroids_before_admission", "no", "contradiction")]),
        ("", ("tacrolimus 5 mg/day 2024-02-01 2024-02-29",), [("clinical", "immunosuppressive_treatment", "no", "contradiction")]),
        ("death_day=0", (), [("clinical", "death_day", "0", "before_onset")]),
        ("death_day=9 icu_discharge_day=12", (), [("clinical", "icu_discharge_day", "12", "order")]),
        ("death_day=9 followup_days=28", (), []),
        ("infection_day=30 followup_days=28", (), [("clinical", "infection_day", "30", "order")]),
        ("icu_admission=2023-12-01", (), [("clinical", "icu_admission", "2023-12-01 00:00:00+00:00", "far_from_onset")]),
        (ASKED, ("prednsone 5 mg/day 2024-02-01 2024-02-29",), [("exposures", "drug", "prednsone", "unknown_drug")]),
        (ASKED, ("prednisone 2 puffs 2024-02-01 2024-02-29",), [("exposures", "unit", "puffs", "unknown_unit")]),
        (ASKED, ("prednisone ? mg/day 2024-02-01 2024-02-29",), [("exposures", "dose", None, "no_dose")]),
        (ASKED, ("prednisone 5 mg/day ? 2024-02-29",), [("exposures", "start", None, "course_undated")]),
        (ASKED, ("prednisone 5 mg/day 2024-02-29 ?",), [("exposures", "stop", None, "course_undated")]),
        (ASKED, ("prednisone 5 mg/day 2024-02-01 2024-02-29",) * 2, [("exposures", "drug", "prednisone", "duplicate_course")]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(cells, courses, expected) -> None:
    assert problems(person(cells, *courses)) == [("p", *row) for row in expected]


def test_a_course_that_stands_twice_counts_once() -> None:
    twice = one(ASKED, *["prednisone 8 mg/day 2024-02-01 2024-02-29"] * 2)
    assert (twice["verdict"], twice["steroid_daily_mg"]) == ("include", 8)


def test_courses_and_measurements_that_cannot_be_used() -> None:
    stranger = replace(course("prednisone 5 mg/day 2024-02-01 2024-02-29", "x"), patient_id="x")
    assert problems(person(), exposures=(stranger,)) == [
        ("x", "exposures", "patient_id", "x", "unknown_patient")
    ]
    bad = neutrophils(3, "mmol/L", 5)
    assert problems(person(), measurements=(bad,)) == [
        ("p", "measurements", "unit", "mmol/L", "neutrophils_unit")
    ]


# --- readmissions


def admitted(name: str, on: str, episode: str | None) -> Patient:
    cells = MEETS_ALL | {"icu_admission": on} | ({"episode_id": episode} if episode else {})
    return patient(name, cells)


def test_patients_of_one_episode_count_once_by_the_first_admission() -> None:
    people = (
        admitted("b", "2024-03-09", "E1"),
        admitted("a", "2024-03-01", "E1"),
        admitted("c", "2024-03-01", "E2"),
        admitted("d", "2024-03-01", None),
    )
    made = frames(study(patients=people))
    assert made.cohort.select("patient_id", "verdict", "failed_rules").rows() == [
        ("b", "exclude", "readmission"),
        ("a", "include", ""),
        ("c", "include", ""),
        ("d", "include", ""),
    ]
    assert "episode E1 is counted as a" in made.cohort["reasons"][0]
    every = frames(study(patients=people, cohort=CohortRules(readmissions="all")))
    assert every.cohort["verdict"].to_list() == ["include"] * 4


def test_later_admissions_of_one_patient_are_told() -> None:
    first, later = admitted("a", "2024-03-01", "E1"), admitted("a", "2024-05-01", "E2")
    made = frames(study(patients=(first,), later_episodes=(later,)))
    row = rows(made.cohort)[0]
    assert (row["verdict"], row["n_admissions"], row["episode_id"]) == ("include", 2, "E1")
    assert made.problems["code"].to_list() == ["several_rows"]


# --- the flow


def check_flow(of_study: Study) -> pl.DataFrame:
    made = frames(of_study)
    flow = made.flow
    n = {
        stage: int(flow.filter(pl.col("stage") == stage)["n"].sum())
        for stage in flow["stage"].unique()
    }
    counts = dict(made.cohort.group_by("verdict").len().iter_rows())
    assert n["assessed"] == made.cohort.height
    assert n.get("excluded", 0) == counts.get("exclude", 0)
    assert n.get("unknown", 0) == counts.get("unknown", 0)
    assert n["included"] == counts.get("include", 0)
    assert n["assessed"] == n.get("excluded", 0) + n.get("unknown", 0) + n["included"]
    left = None
    for row in rows(flow.filter(pl.col("n_left").is_not_null())):
        if row["stage"] in {"excluded", "unknown"}:
            assert left is not None
            assert row["n_left"] == left - row["n"]
            assert row["n_any"] >= row["n"]
        left = row["n_left"]
    assert left == n["included"]
    assert flow["step"].to_list() == list(range(1, flow.height + 1))
    return flow


def test_the_flow_adds_up() -> None:
    for steroid_rule in ("or", "and"):
        check_flow(of(*PATIENTS, steroid_rule=steroid_rule))
    assert check_flow(of())["n"].to_list()[:2] == [0, 0]


def test_each_patient_is_counted_at_the_first_rule_and_seen_at_every() -> None:
    named = {one.name: one for one in PATIENTS}
    flow = check_flow(of(named["young, with HIV, few neutrophils"], named["HIV"], named["no age"]))
    assert flow.select("stage", "rule", "n", "n_any", "n_left").rows()[:6] == [
        ("assessed", None, 3, None, 3),
        ("excluded", "adult", 1, 1, 2),
        ("excluded", "hiv", 1, 2, 1),
        ("excluded", "aplasia", 0, 1, 1),
        ("unknown", "adult", 1, 1, 0),
        ("included", None, 0, None, 0),
    ]


def test_the_flow_ends_with_values_at_each_window() -> None:
    visits = pl.DataFrame(
        {
            "patient_id": ["meets everything"] * 2 + ["17 years old"],
            "timepoint": ["D1-2", "D3-4", "D1-2"],
            "status": ["drawn", "missing", "drawn"],
        }
    )
    people = [one for one in PATIENTS if one.name in set(visits["patient_id"])]
    flow = frames(of(*people), visits).flow
    last = flow.filter(pl.col("stage") == "at_window")
    assert last.select("timepoint", "n").rows() == [("D1-2", 1), ("D3-4", 0), ("D6-8", 0)]


CELLS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(["yes", "no", "", "perhaps", "3", "-1", "solid", "blood", "active"])
        for name in (
            *MEETS_ALL,
            "septic_shock",
            "cancer_status",
            "aplasia",
            "episode_id",
            "hiv_cd4",
        )
        if name not in _APART
    },
)
COURSES = st.lists(
    st.builds(
        Exposure,
        st.just("x"),
        st.sampled_from(
            ["prednisone", "dexamethasone", "tacrolimus", "prednsone", "fludrocortisone"]
        ),
        st.none() | st.floats(0, 1000),
        st.sampled_from([None, "mg", "mg/day", "g/day", "mg total", "drops"]),
        st.none()
        | st.datetimes(datetime(2023, 6, 1), datetime(2024, 4, 1), timezones=st.just(UTC)),
        st.none()
        | st.datetimes(datetime(2024, 4, 1), datetime(2024, 5, 1), timezones=st.just(UTC)),
    ),
    max_size=3,
)
AGES = st.sampled_from(["", "17", "18", "64", "999"])


@given(
    st.lists(st.tuples(CELLS, COURSES, AGES, st.booleans()), max_size=8),
    st.sampled_from(["or", "and"]),
)
def test_the_flow_adds_up_whatever_the_sheets_hold(people, steroid_rule) -> None:
    cases = []
    for number, (cells, courses, age, known) in enumerate(people):
        name = f"p{number}"
        whole = (MEETS_ALL if known else {}) | cells | {"age": age}
        mine = tuple(replace(c, patient_id=name) for c in courses)
        cases.append(Written(name, whole, mine, "", [], ("", [])))
    made = of(*cases, steroid_rule=steroid_rule)
    check_flow(made)
    for row in rows(frames(made).cohort):
        # Missing data is never `include`.
        if row["verdict"] == "include":
            assert row["age"] >= 18
            assert not row["unknown_rules"]
        elif row["verdict"] == "unknown":
            assert row["unknown_rules"]


@given(COURSES, st.floats(0, 100), st.integers(1, 200))
def test_more_steroids_never_include(courses, mg, days) -> None:
    """Another course in the look-back moves no one towards inclusion, under either rule."""
    order = {"include": 0, "unknown": 1, "exclude": 2}
    more = Exposure("p", "prednisone", mg, "mg/day", day("2023-12-05"), day("2024-02-20"))
    mine = tuple(replace(c, patient_id="p") for c in courses)
    for rule in ("or", "and"):
        rules = {"steroid_rule": rule, "steroid_look_back_days": days, "exposures_complete": True}
        cells = MEETS_ALL | {"steroids_before_admission": "yes"}
        few, many = (
            rows(frames(of(Written("p", cells, c, "", [], ("", [])), **rules)).cohort)[0]
            for c in (mine, (*mine, more))
        )
        earlier = "before admission" in few["reasons"]  # answered yes with nothing listed
        assert earlier or order[many["verdict"]] >= order[few["verdict"]]


@given(COURSES)
def test_and_excludes_no_one_whom_or_does_not(courses) -> None:
    mine = tuple(replace(c, patient_id="p") for c in courses)
    either, both = (
        rows(frames(of(Written("p", MEETS_ALL, mine, "", [], ("", [])), steroid_rule=r)).cohort)[0]
        for r in ("or", "and")
    )
    assert both["verdict"] != "exclude" or either["verdict"] == "exclude"
