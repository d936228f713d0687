"""The cohort's tables: a verdict per patient, every rule, the flow, what has to be put right."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import polars as pl

from cytosepsis.analysis.clinical import patients_of
from cytosepsis.analysis.cohort_tables import COHORT, COHORT_FLOW, COHORT_PROBLEMS, COHORT_RULES
from cytosepsis.analysis.courses import Course, course_of
from cytosepsis.analysis.eligibility import Evidence, Finding, Judged, judge
from cytosepsis.analysis.troubles import Trouble, day_troubles
from cytosepsis.analysis.visits import visits_frame
from cytosepsis.codec import encode
from cytosepsis.cohort_rules import RULES, CohortRules, OwnRule, Rule
from cytosepsis.protocol import Exposure, Measurement, Patient, Study, instant
from cytosepsis.tables.schemas import frame
from cytosepsis.tables.timepoints import Moment, place
from cytosepsis.units import conversion_factor

_NEUTROPHILS = "neutrophils"
_EX_VIVO = ("condition", "stimulus", "drug")


@dataclass(frozen=True, slots=True)
class CohortFrames:
    """The tables of the cohort."""

    cohort: pl.DataFrame
    rules: pl.DataFrame
    flow: pl.DataFrame
    problems: pl.DataFrame


def analyze_cohort(study: Study, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables of `cytosepsis cohort`, from `samples` and `marker_values`."""
    visits = visits_frame(study, tables["samples"], tables["marker_values"])
    frames = cohort_frames(study, visits)
    return {
        "cohort": frames.cohort,
        "cohort_rules": frames.rules,
        "cohort_flow": frames.flow,
        "cohort_problems": frames.problems,
        "visits": visits,
    }


def cohort_frames(study: Study, visits: pl.DataFrame) -> CohortFrames:
    """Judge every patient of a study; `visits` tells who has a value at each window."""
    people = patients_of(study)
    troubles: dict[str, list[Trouble]] = defaultdict(list)
    evidence = _gather(study, people, troubles)
    judged = {name: judge(found, study) for name, found in evidence.items()}
    for name, one in judged.items():
        troubles[name] += one.troubles
    cohort = _cohort_frame(study, evidence, judged)
    return CohortFrames(
        cohort=cohort,
        rules=_rules_frame(study, judged),
        flow=_flow_frame(study, judged, cohort, visits),
        problems=_problems_frame(people, troubles),
    )


def rules_digest(study: Study) -> str:
    """SHA-256 of every setting of the rules."""
    return hashlib.sha256(encode(study.cohort).encode()).hexdigest()


# --- what the sheets say


def _gather(
    study: Study, people: Sequence[str], troubles: dict[str, list[Trouble]]
) -> dict[str, Evidence]:
    clinical = {patient.patient_id: patient for patient in study.patients}
    for patient in study.patients:
        if patient.patient_id in set(people):
            troubles[patient.patient_id] += day_troubles(patient, study)
    for patient in study.later_episodes:
        episode = dict(patient.values).get("episode_id")
        text = "a further admission; the first counts."
        found = Trouble("clinical", "episode_id", episode, "several_rows", text)
        troubles[patient.patient_id].append(found)
    courses = _courses(study, troubles)
    for name in courses.keys() - set(people):
        text = "courses are listed of a patient who stands in no other sheet."
        troubles[name].append(Trouble("exposures", "patient_id", name, "unknown_patient", text))
    neutrophils = _neutrophils(study, clinical, troubles)
    firsts = _readmissions(study, people, clinical)
    return {
        name: Evidence(
            patient=clinical.get(name),
            courses=tuple(courses.get(name, ())),
            neutrophils=tuple(neutrophils.get(name, ())),
            readmission_of=firsts.get(name),
        )
        for name in people
    }


def _courses(study: Study, troubles: dict[str, list[Trouble]]) -> dict[str, list[Course]]:
    found: dict[str, dict[Exposure, None]] = defaultdict(dict)
    for exposure in study.exposures:
        if exposure in found[exposure.patient_id]:
            text = f"{exposure.drug}: the same row stands twice"
            double = Trouble("exposures", "drug", exposure.drug, "duplicate_course", f"{text}.")
            troubles[exposure.patient_id].append(double)
        found[exposure.patient_id].setdefault(exposure)
    courses = {
        name: [course_of(exposure, study.cohort) for exposure in rows]
        for name, rows in found.items()
    }
    for name, known in courses.items():
        troubles[name] += (trouble for course in known for trouble in course.troubles)
    return courses


def _neutrophils(
    study: Study, clinical: Mapping[str, Patient], troubles: dict[str, list[Trouble]]
) -> dict[str, list[float]]:
    """Measured neutrophils of the days that count, per mm³."""
    first, last = study.cohort.neutrophil_days
    found: dict[str, list[float]] = defaultdict(list)
    for row in study.measurements:
        if row.name != _NEUTROPHILS or any(dict(row.extra).get(name) for name in _EX_VIVO):
            continue
        day = _day(row, clinical, study)
        if day is None or not first <= day <= last or not math.isfinite(row.value):
            continue
        factor = conversion_factor(row.unit, "cells/µL")
        if factor is None or row.value < 0:
            text = f"neutrophils {row.value:g} {row.unit or ''}: not a count of cells per volume"
            bad = Trouble("measurements", "unit", row.unit, "neutrophils_unit", f"{text}.")
            troubles[row.patient_id].append(bad)
        else:
            found[row.patient_id].append(row.value * factor)
    return found


def _day(row: Measurement, clinical: Mapping[str, Patient], study: Study) -> int | None:
    moment = Moment(row.drawn_at, row.drawn_at_has_time)
    return place(moment, row.timepoint, clinical.get(row.patient_id), study).day


def _readmissions(
    study: Study, people: Sequence[str], clinical: Mapping[str, Patient]
) -> dict[str, str]:
    """Patient → the patient who was admitted first under the same `episode_id`."""
    by_episode: dict[str, list[Patient]] = defaultdict(list)
    for name in people:
        episode = dict(clinical[name].values).get("episode_id") if name in clinical else None
        if episode:
            by_episode[episode].append(clinical[name])

    def admitted(patient: Patient) -> tuple[bool, float]:
        moment = patient.icu_admission or patient.shock_onset
        return (moment is None, instant(moment, study.timezone).timestamp() if moment else 0.0)

    return {
        patient.patient_id: first.patient_id
        for rows in by_episode.values()
        for first in [min(rows, key=admitted)]
        for patient in rows
        if patient is not first
    }


# --- frames


def _cohort_frame(
    study: Study, evidence: Mapping[str, Evidence], judged: Mapping[str, Judged]
) -> pl.DataFrame:
    rows = Counter(patient.patient_id for patient in (*study.patients, *study.later_episodes))
    names, found = list(judged), list(judged.values())
    patients = [evidence[name].patient for name in names]
    digest = rules_digest(study)
    return frame(
        COHORT.columns,
        {
            "patient_id": names,
            "verdict": [one.verdict for one in found],
            "reasons": [_reasons(one) for one in found],
            "failed_rules": [";".join(_of(one, "fails")) for one in found],
            "unknown_rules": [";".join(_of(one, "unknown")) for one in found],
            "analysed": _analysed(found, study),
            "age": [patient.age if patient else None for patient in patients],
            "admission": [one.admission for one in found],
            "steroid_daily_mg": [s.daily.low if (s := one.steroids) else None for one in found],
            "steroid_daily_mg_high": [
                s.daily.high if (s := one.steroids) else None for one in found
            ],
            "steroid_cumulative_mg": [
                s.cumulative.low if (s := one.steroids) else None for one in found
            ],
            "steroid_cumulative_mg_high": [
                s.cumulative.high if (s := one.steroids) else None for one in found
            ],
            "shock_steroids": [one.shock_steroids for one in found],
            "neutrophils": [one.neutrophils for one in found],
            "episode_id": [dict(p.values).get("episode_id") if p else None for p in patients],
            "n_admissions": [rows[name] for name in names],
            "steroid_rule": [study.cohort.steroid_rule] * len(names),
            "rules_digest": [digest] * len(names),
        },
    )


def _rules_frame(study: Study, judged: Mapping[str, Judged]) -> pl.DataFrame:
    asked = _asked(study)
    rows = [(name, finding) for name, one in judged.items() for finding in one.findings]
    return frame(
        COHORT_RULES.columns,
        {
            "patient_id": [name for name, _ in rows],
            "rule": [finding.rule for _, finding in rows],
            "kind": [finding.kind for _, finding in rows],
            "outcome": [finding.outcome for _, finding in rows],
            "found": [finding.found for _, finding in rows],
            "reason": [finding.reason for _, finding in rows],
            "meaning": [asked[finding.rule].meaning for _, finding in rows],
            "source": [asked[finding.rule].source for _, finding in rows],
        },
    )


@dataclass(frozen=True, slots=True)
class _Step:
    stage: str
    meaning: str
    n: int
    n_any: int | None = None
    n_left: int | None = None
    rule: str | None = None
    timepoint: str | None = None


def _flow_frame(
    study: Study, judged: Mapping[str, Judged], cohort: pl.DataFrame, visits: pl.DataFrame
) -> pl.DataFrame:
    steps = [_Step("assessed", "patients in the sheets", len(judged), n_left=len(judged))]
    left = len(judged)
    for step in (*_attributed(judged, "fails", study), *_attributed(judged, "unknown", study)):
        left -= step.n
        steps.append(_Step(step.stage, step.meaning, step.n, step.n_any, left, step.rule))
    steps.append(_Step("included", "every rule passes", left, n_left=left))
    analysed = set(cohort.filter("analysed")["patient_id"])
    whom = f'[analysis] population = "{study.analyses.plan.population}"'
    if judged and {one.verdict for one in judged.values()} == {"unknown"}:
        whom += "; nobody can be judged"
    steps.append(_Step("analysed", f"taken by analyses: {whom}", len(analysed)))
    drawn = visits.filter(pl.col("status") == "drawn", pl.col("patient_id").is_in(list(analysed)))
    for window in study.windows:
        n = drawn.filter(pl.col("timepoint") == window.name)["patient_id"].n_unique()
        text = "of these, with a usable value"
        steps.append(_Step("at_window", text, n, timepoint=window.name))
    columns = [name for name in COHORT_FLOW.names if name != "step"]
    values = {name: [getattr(step, name) for step in steps] for name in columns}
    return frame(COHORT_FLOW.columns, {"step": list(range(1, len(steps) + 1)), **values})


def _attributed(judged: Mapping[str, Judged], outcome: str, study: Study) -> Iterator[_Step]:
    """One step per rule: who is counted there, the first rule with the outcome deciding."""
    verdict, stage = ("exclude", "excluded") if outcome == "fails" else ("unknown", "unknown")
    concerned = [_of(one, outcome) for one in judged.values() if one.verdict == verdict]
    first = Counter(rules[0] for rules in concerned)
    every = Counter(rule for rules in concerned for rule in rules)
    for name, rule in _asked(study).items():
        if every[name]:
            prefix = "not known: " if outcome == "unknown" else ""
            if outcome == "fails" and rule.kind == "include":
                prefix = "not: "
            yield _Step(stage, f"{prefix}{rule.meaning}", first[name], every[name], rule=name)


def _asked(study: Study) -> dict[str, Rule | OwnRule]:
    """Every rule by its name, with the study's settings in its words, in the order of applying."""
    settings = {field.name: getattr(study.cohort, field.name) for field in fields(CohortRules)}
    told = {rule.name: replace(rule, meaning=rule.meaning.format(**settings)) for rule in RULES}
    return {**told, **{rule.name: rule for rule in study.cohort.own}}


def _problems_frame(people: Sequence[str], troubles: Mapping[str, list[Trouble]]) -> pl.DataFrame:
    order = [*people, *sorted(troubles.keys() - set(people))]
    rows = [(name, trouble) for name in order for trouble in troubles.get(name, ())]
    names = [name for name in COHORT_PROBLEMS.names if name != "patient_id"]
    return frame(
        COHORT_PROBLEMS.columns,
        {
            "patient_id": [name for name, _ in rows],
            **{name: [getattr(trouble, name) for _, trouble in rows] for name in names},
        },
    )


def _analysed(judged: Iterable[Judged], study: Study) -> list[bool]:
    """Whom analyses take: the included; everyone where asked for, or where nobody can be judged."""
    verdicts = [one.verdict for one in judged]
    everyone = study.analyses.plan.population == "everyone" or set(verdicts) <= {"unknown"}
    return [everyone or verdict == "include" for verdict in verdicts]


def _of(one: Judged, outcome: str) -> list[str]:
    return [finding.rule for finding in one.findings if finding.outcome == outcome]


def _reasons(one: Judged) -> str:
    """Why a patient is not included: what fails, then what is not known."""
    return "; ".join(_said(one.findings, "fails")) or "; ".join(_said(one.findings, "unknown"))


def _said(findings: Iterable[Finding], outcome: str) -> Iterator[str]:
    return (f"{f.rule}: {f.reason}" for f in findings if f.outcome == outcome)
