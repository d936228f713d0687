"""One patient against every rule of the cohort: passes, fails, or unknown, each with its reason.

Missing data never passes. Where two statements contradict each other, the one that speaks against
inclusion counts, and the contradiction is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

from cytosepsis import answers
from cytosepsis.analysis.courses import (
    Course,
    Span,
    SteroidsBefore,
    given_before,
    steroids_before,
)
from cytosepsis.analysis.troubles import Trouble
from cytosepsis.cohort_rules import RULES, CohortRules, Kind, OwnRule
from cytosepsis.protocol import Patient, Study

Outcome = Literal["passes", "fails", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says of one patient."""

    rule: str
    kind: Kind
    outcome: Outcome
    reason: str
    found: str | None = None  # the values that decided, as they stand


@dataclass(slots=True)
class _Told:
    """The clinical row of a patient, its cells read as what is asked for; troubles are gathered."""

    cells: Mapping[str, str | None]
    troubles: list[Trouble] = field(default_factory=list)

    def yes(self, column: str) -> bool | None:
        text = self.cells.get(column)
        if text is None:
            return None
        answer = answers.yes_or_no(text)
        if answer is None:
            self.trouble(column, "unreadable", "wanted yes or no")
        return answer

    def number(self, column: str) -> float | None:
        text = self.cells.get(column)
        if text is None:
            return None
        value = answers.number(text)
        if value is None:
            self.trouble(column, "unreadable", "wanted a number")
        elif value < 0:
            self.trouble(column, "impossible", "wanted 0 or more")
            return None
        return value

    def word(self, column: str, allowed: Sequence[str]) -> str | None:
        text = self.cells.get(column)
        if text is None:
            return None
        if text.casefold() in allowed:
            return text.casefold()
        self.trouble(column, "unreadable", f"wanted one of {', '.join(allowed)}")
        return None

    def trouble(self, column: str, code: str, message: str) -> None:
        self.troubles.append(
            Trouble("clinical", column, self.cells.get(column), code, f"{column}: {message}.")
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """A patient against all rules."""

    findings: tuple[Finding, ...]
    troubles: tuple[Trouble, ...]
    steroids: SteroidsBefore | None  # None where nothing is known of steroids
    neutrophils: float | None  # per mm³, what the rule took
    admission: date | None
    shock_steroids: bool | None  # a steroid from the day of admission on

    @property
    def verdict(self) -> Literal["include", "exclude", "unknown"]:
        """Excluded by any rule that fails; included where every rule passes."""
        outcomes = {finding.outcome for finding in self.findings}
        return (
            "exclude" if "fails" in outcomes else "unknown" if "unknown" in outcomes else "include"
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the study's sheets say of one patient."""

    patient: Patient | None  # None: not in the clinical sheet
    courses: tuple[Course, ...] = ()
    # Neutrophils measured on the days that count, per mm³; their lowest decides.
    neutrophils: tuple[float, ...] = ()
    readmission_of: str | None = None  # the patient who stands for the same episode


def judge(evidence: Evidence, study: Study) -> Judged:
    """Apply every rule that the study does not skip, in their order, then its own."""
    rules = study.cohort
    patient = evidence.patient
    told = _Told(dict(patient.values) if patient else {})
    admission = _admission(patient, study)
    asked = told.yes("steroids_before_admission")
    steroids = _steroids(evidence.courses, asked, admission, rules)
    neutrophils = min(evidence.neutrophils, default=None)
    if neutrophils is None:
        neutrophils = told.number("neutrophils")
    case = _Case(evidence, told, rules, admission, asked, steroids, neutrophils)
    findings = [case.apply(rule.name, rule.kind) for rule in RULES if rule.name not in rules.skip]
    findings += [_own(rule, told) for rule in rules.own if rule.name not in rules.skip]
    return Judged(
        findings=tuple(findings),
        troubles=tuple(dict.fromkeys(told.troubles)),
        steroids=steroids,
        neutrophils=neutrophils,
        admission=admission,
        shock_steroids=_shock_steroids(evidence.courses, admission),
    )


@dataclass(frozen=True, slots=True)
class _Case:
    evidence: Evidence
    told: _Told
    rules: CohortRules
    admission: date | None
    asked: bool | None  # whether steroids were given before admission, as the sheet answers
    steroids: SteroidsBefore | None
    neutrophils: float | None

    def apply(self, rule: str, kind: Kind) -> Finding:
        """One built-in rule."""
        match rule:
            case "adult":
                outcome, reason, found = self._adult()
            case "infection_site" | "hypotension" | "vasopressors" | "inflammatory_response":
                outcome, reason, found = self._shock(rule)
            case "hiv":
                outcome, reason, found = self._hiv()
            case "cancer":
                outcome, reason, found = self._cancer()
            case "immune_deficiency":
                outcome, reason, found = self._answer("primary_immune_deficiency")
            case "steroids":
                outcome, reason, found = self._steroids()
            case "immunosuppressants":
                outcome, reason, found = self._immunosuppressants()
            case "aplasia":
                outcome, reason, found = self._aplasia()
            case "extracorporeal_circulation":
                outcome, reason, found = self._extracorporeal()
            case "readmission":
                outcome, reason, found = self._readmission()
            case _:
                raise AssertionError(rule)
        return Finding(rule, kind, outcome, reason, found)

    def _adult(self) -> _Said:
        age = self.evidence.patient.age if self.evidence.patient else None
        if age is None:
            return "unknown", "age is not given", None
        if age > _OLDEST:
            self.told.troubles.append(
                Trouble("clinical", "age", f"{age:g}", "impossible", f"age: {age:g} years.")
            )
            return "unknown", f"an age of {age:g} years cannot be", f"{age:g}"
        least = self.rules.minimum_age
        if age < least:
            return "fails", f"{age:g} years old, below {least:g}", f"{age:g}"
        return "passes", f"{age:g} years old", f"{age:g}"

    def _shock(self, rule: str) -> _Said:
        """A criterion of shock by its own column; the diagnosis may stand for an empty one."""
        column = _SHOCK[rule]
        if rule == "infection_site":
            text = self.told.cells.get(column)
            met = None if text is None or text.casefold() in _NOT_KNOWN else (
                text.casefold() not in _NO_SITE
            )  # fmt: skip
        else:
            text = self.told.cells.get(column)
            met = self.told.yes(column)
        diagnosis = self.told.yes("septic_shock")
        if diagnosis is False:
            if met:
                self.told.trouble("septic_shock", "contradiction", f"no, where {column} is {text}")
            return "fails", "septic_shock is no", "no"
        if met is None:
            if diagnosis and self.rules.diagnosis_suffices and text is None:
                return "passes", f"{column} is empty; septic_shock is yes", "septic_shock yes"
            return "unknown", _not_told(column, text), text
        if met is False and diagnosis:
            self.told.trouble("septic_shock", "contradiction", f"yes, where {column} is {text}")
        return (
            ("passes", f"{column}: {text}", text) if met else ("fails", f"{column}: {text}", text)
        )

    def _answer(self, column: str) -> _Said:
        """An exclusion that one column answers."""
        text, present = self.told.cells.get(column), self.told.yes(column)
        if present is None:
            return "unknown", _not_told(column, text), text
        return "fails" if present else "passes", f"{column}: {text}", text

    def _hiv(self) -> _Said:
        outcome, reason, found = self._answer("hiv")
        if outcome != "fails" or self.rules.hiv_rule == "any":
            return outcome, reason, found
        cd4, least = self.told.number("hiv_cd4"), self.rules.hiv_cd4_below
        if cd4 is None:
            return "unknown", "hiv is yes and hiv_cd4 is not given", found
        side = "below" if cd4 < least else "not below"
        return (
            "fails" if cd4 < least else "passes",
            f"hiv with {cd4:g} CD4/µL, {side} {least:g}",
            f"{cd4:g}",
        )

    def _cancer(self) -> _Said:
        kind = self.told.word("cancer", ("no", "non", "none", "solid", "blood"))
        text = self.told.cells.get("cancer")
        if kind is None:
            return "unknown", _not_told("cancer", text), text
        status = self.told.word("cancer_status", ("active", "treated", "remission"))
        if kind in {"no", "non", "none"}:
            if status is not None:
                self.told.trouble("cancer", "contradiction", f"{text}, where it is {status}")
                return "fails", f"cancer is {text}, and cancer_status {status}", status
            return "passes", f"cancer: {text}", text
        counts = self.rules.cancer_solid if kind == "solid" else self.rules.cancer_blood
        years = self.rules.cancer_solid_years if kind == "solid" else self.rules.cancer_blood_years
        if status is None:
            if len(counts) == len(_CANCER) and years is None:
                return "fails", f"{kind} cancer, in any state", kind
            return "unknown", f"{kind} cancer, cancer_status is not known", kind
        if status not in counts:
            return "passes", f"{kind} cancer, {status}, which does not count", f"{kind} {status}"
        if status == "remission" and years is not None:
            since = self.told.number("cancer_remission_years")
            if since is None:
                return "unknown", f"{kind} cancer in remission, for how long is not known", status
            if since > years:
                return "passes", f"{kind} cancer, {since:g} years in remission", f"{since:g}"
        return "fails", f"{kind} cancer, {status}", f"{kind} {status}"

    def _steroids(self) -> _Said:
        rules, steroids = self.rules, self.steroids
        if steroids is None:
            if self.asked:
                return "unknown", "steroids before admission, and no course is listed", "yes"
            return "unknown", "neither an answer nor a course before admission", None
        if self.asked is False and not steroids.courses:
            return "passes", "none before admission", "no"
        above = steroids.above(rules)
        listed = [course.drug for course in steroids.courses if course.kind == "steroid"]
        if self.asked is False and listed:
            text = f"no, where {', '.join(dict.fromkeys(listed))} reaches into the look-back"
            self.told.trouble("steroids_before_admission", "contradiction", text)
            above = above or None  # not above: still not told which is true
        amounts = f"{_range(steroids.daily)} mg/day, {_range(steroids.cumulative)} mg in all"
        limits = (
            f"{rules.steroid_daily_mg:g} mg/day {rules.steroid_rule} "
            f"{rules.steroid_cumulative_mg:g} mg in {rules.steroid_look_back_days} days"
        )
        if above is None:
            why = "admission is not known" if self.admission is None else "not all is known"
            return "unknown", f"{amounts}: {why} (limits: {limits})", amounts
        side = "above" if above else "not above"
        return "fails" if above else "passes", f"{amounts}, {side} {limits}", amounts

    def _immunosuppressants(self) -> _Said:
        column = "immunosuppressive_treatment"
        outcome, reason, found = self._answer(column)
        given = given_before(
            self.evidence.courses,
            "immunosuppressant",
            self.admission,
            self.rules.immunosuppressant_look_back_days,
        )
        if given:
            if outcome == "passes":
                self.told.trouble(column, "contradiction", "no, where a course is listed")
            drugs = [c.drug for c in self.evidence.courses if c.kind == "immunosuppressant"]
            names = ", ".join(dict.fromkeys(drugs))
            return "fails", f"given before admission: {names}", names
        if given is None and outcome != "fails":
            return "unknown", "a course is listed, but not whether before admission", found
        if outcome == "unknown" and found is None and self.rules.exposures_complete:
            return "passes", "none in the exposures, which are complete", None
        return outcome, reason, found

    def _aplasia(self) -> _Said:
        least = self.rules.neutrophils_below
        stated, value = self.told.yes("aplasia"), self.neutrophils
        if value is None:
            return self._answer("aplasia") if stated is not None else (
                "unknown", "neither neutrophils nor aplasia are given", None
            )  # fmt: skip
        low = value < least
        if stated is not None and stated != low:
            word = "yes" if stated else "no"
            text = f"{word}, where neutrophils are {value:g}/mm³"
            self.told.trouble("aplasia", "contradiction", text)
        reason = f"neutrophils {value:g}/mm³"
        if low:
            return "fails", f"{reason}, below {least:g}", f"{value:g}"
        if stated:
            return "fails", f"aplasia is yes, with {reason}", "yes"
        return "passes", reason, f"{value:g}"

    def _extracorporeal(self) -> _Said:
        column = "extracorporeal_circulation"
        outcome, reason, found = self._answer(column)
        patient = self.evidence.patient
        on = patient.extracorporeal_date.date() if patient and patient.extracorporeal_date else None
        if on is None:
            return outcome, reason, found
        if self.admission is None:
            if outcome == "fails":
                return outcome, reason, found
            return "unknown", f"on {on}, and admission is not known", str(on)
        before = (self.admission - on).days
        within = 0 <= before <= self.rules.extracorporeal_days
        text = f"{before} days before admission"
        if before < 0:
            text = "after admission"
        if outcome != "unknown" and within != (outcome == "fails"):
            self.told.trouble(column, "contradiction", f"{found}, where it was {text}")
        if within or outcome == "fails":
            return "fails", f"extracorporeal circulation {text}", str(on)
        return "passes", f"extracorporeal circulation {text}", str(on)

    def _readmission(self) -> _Said:
        first = self.evidence.readmission_of
        episode = self.told.cells.get("episode_id")
        if first is None or self.rules.readmissions == "all":
            return "passes", "counts once", episode
        return "fails", f"episode {episode} is counted as {first}", episode


_Said = tuple[Outcome, str, str | None]
_OLDEST = 120.0  # years
_CANCER = ("active", "treated", "remission")
_NO_SITE = frozenset({*answers.NO, "none", "aucun"})
_NOT_KNOWN = frozenset({"unknown", "inconnu", "?", "na", "n/a"})
_SHOCK = {
    "infection_site": "infection_site",
    "hypotension": "hypotension_despite_fluids",
    "vasopressors": "vasopressors",
    "inflammatory_response": "systemic_inflammatory_response",
}


def _own(rule: OwnRule, told: _Told) -> Finding:
    """A rule of the study itself."""
    text = told.cells.get(rule.column)
    if rule.answer is not None:
        answer = told.yes(rule.column)
        holds = None if answer is None else answer == rule.answer
    else:
        value = told.number(rule.column)
        holds = None
        if value is not None:
            holds = (rule.below is None or value < rule.below) and (
                rule.above is None or value > rule.above
            )
    if holds is None:
        return Finding(rule.name, rule.kind, "unknown", _not_told(rule.column, text), text)
    good = holds == (rule.kind == "include")
    return Finding(
        rule.name, rule.kind, "passes" if good else "fails", f"{rule.column}: {text}", text
    )


def _steroids(
    courses: Sequence[Course], asked: bool | None, admission: date | None, rules: CohortRules
) -> SteroidsBefore | None:
    """What is known of steroids before admission; None where that is nothing.

    A course that begins before admission says that somebody asked, and what is listed is all. One
    that treats the shock says nothing of before.
    """
    earlier = [
        course
        for course in courses
        if course.kind in {"steroid", "unknown"}
        and not (admission and course.possible[0] and course.possible[0] >= admission)
    ]
    if not earlier and (asked or (asked is None and not rules.exposures_complete)):
        return None
    return steroids_before(courses, admission, rules)


def _shock_steroids(courses: Sequence[Course], admission: date | None) -> bool | None:
    if admission is None or not courses:
        return None
    return any(
        course.kind == "steroid" and course.certain is not None and course.certain[1] >= admission
        for course in courses
    )


def _admission(patient: Patient | None, study: Study) -> date | None:
    """The calendar day before which exposures count, in the study's timezone."""
    if patient is None:
        return None
    by_onset = study.cohort.admission == "shock_onset"
    moment = patient.shock_onset if by_onset else patient.icu_admission
    if moment is not None and moment.tzinfo is not None and study.timezone:
        moment = moment.astimezone(ZoneInfo(study.timezone))
    return moment.date() if moment else None


def _not_told(column: str, text: str | None) -> str:
    return f"{column} is not given" if text is None else f"{column}: {text!r} is not understood"


def _range(span: Span) -> str:
    """The two ends of what is known, as one number where they are one."""
    if span.low == span.high:
        return f"{span.low:.4g}"
    high = "?" if span.high == float("inf") else f"{span.high:.4g}"
    return f"{span.low:.4g} to {high}"
