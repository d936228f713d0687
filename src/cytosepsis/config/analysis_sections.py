"""`[analysis]`, `[candidates]` and `[exvivo]` of study.toml, checked against what the study has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cytosepsis.analysis_plan import (
    PRESETS,
    Analyses,
    AnalysisPlan,
    CandidateRule,
    Criterion,
    DyeDilution,
    ExVivoPlan,
    Question,
    preset,
)
from cytosepsis.config.problems import Problems, listed, nearest
from cytosepsis.config.sections import (
    Count,
    Days,
    Fraction,
    Positive,
    SectionTable,
    Text,
    ascending,
)
from cytosepsis.config.study_file import FILE, StudyFile, checked, key_path
from cytosepsis.protocol import Marker, Outcome, Patient, Window

Name = Text
Pair = Annotated[list[Text], Field(min_length=2, max_length=2)]
Lines = Annotated[list[float], AfterValidator(ascending), Field(min_length=1)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Variation = Annotated[float, Field(gt=0, lt=1)]
Resamples = Annotated[int, Field(ge=50, le=100_000)]


class QuestionTable(SectionTable):
    """One question: `{ marker = ..., timepoint = ..., outcome = ... }`."""

    marker: Name
    timepoint: Name
    outcome: Name


class AnalysisTable(SectionTable):
    """[analysis]."""

    primary: QuestionTable | None = None
    family: list[QuestionTable] = Field(default_factory=list)
    covariates: list[Name] | None = None
    outcomes: list[Name] | None = None
    markers: list[Name] | None = None
    timepoints: list[Name] | None = None
    population: Literal["included", "everyone"] | None = None
    flagged: Literal["keep", "drop"] | None = None
    directions: dict[str, Literal["lower", "higher"]] = Field(default_factory=dict)
    cutoffs: dict[str, Lines] = Field(default_factory=dict)
    linear: list[Name] | None = None
    logged: list[Name] | None = None
    combinations: list[Pair] = Field(default_factory=list)
    decision_threshold: Probability | None = None
    resamples: Resamples | None = None
    model_resamples: Resamples | None = None
    min_events: Annotated[int, Field(ge=2)] | None = None
    events_per_variable: Positive | None = None
    seed: Count | None = None


class CriterionTable(SectionTable):
    """`companion = { marker = ..., above = ... }`."""

    marker: Name
    below: float | None = None
    at_most: float | None = None
    above: float | None = None
    at_least: float | None = None
    unit: Text | None = None
    cv: Variation | None = None


class CandidateTable(SectionTable):
    """[candidates.*]: a preset, a preset with changes, or a rule of the study's own."""

    preset: Text | None = None
    marker: Name | None = None
    below: float | None = None
    at_most: float | None = None
    above: float | None = None
    at_least: float | None = None
    unit: Text | None = None
    cv: Variation | None = None
    days: Days | None = None
    consecutive: Annotated[int, Field(ge=1)] | None = None
    companion: CriterionTable | None = None
    drug: Text | None = None
    source: Text | None = None


class ExVivoTable(SectionTable):
    """[exvivo]."""

    readouts: list[Name] | None = None
    no_stimulus: list[Name] | None = None
    no_drug: list[Name] | None = None
    directions: dict[str, Literal["up", "down"]] = Field(default_factory=dict)
    cv: dict[str, Fraction] = Field(default_factory=dict)
    linear: list[Name] | None = None
    adjust: Literal["holm", "bh"] | None = None
    min_pairs: Annotated[int, Field(ge=2)] | None = None
    dilutions: dict[str, list[Name]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """What the sections may name."""

    markers: tuple[Marker, ...]
    outcomes: tuple[Outcome, ...]
    windows: tuple[Window, ...]
    patients: tuple[Patient, ...]
    primary_marker: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the clinical sheet, and `age`."""
        return ("age", *dict.fromkeys(name for p in self.patients for name, _ in p.values))


def read_analyses(file: StudyFile, known: Known, problems: Problems) -> Analyses:
    """Read the three sections; what is wrong in them is reported and left out."""
    names = _Names(known, problems)
    return Analyses(
        plan=_plan(file.raw["analysis"], names),
        candidates=tuple(_candidates(file.raw["candidates"], names)),
        exvivo=_exvivo(file.raw["exvivo"], names),
    )


@dataclass(frozen=True, slots=True)
class _Names:
    known: Known
    problems: Problems

    def check(
        self, name: str, wanted: Iterable[str], what: str, place: tuple[str | int, ...]
    ) -> None:
        there = tuple(wanted)
        if name not in there:
            self.problems.error(
                FILE,
                key_path(place),
                f"found {name!r}, which is no {what} of the study.{nearest(name, there)} "
                f"There: {listed(there) or 'none'}.",
            )

    def marker(self, name: str, place: tuple[str | int, ...]) -> None:
        # a change from the baseline is named by its marker: mhladr.ratio
        stem = name.partition(".")[0]
        self.check(stem, [marker.name for marker in self.known.markers], "marker", place)

    def outcome(self, name: str, place: tuple[str | int, ...]) -> None:
        self.check(name, [outcome.name for outcome in self.known.outcomes], "outcome", place)

    def timepoint(self, name: str, place: tuple[str | int, ...]) -> None:
        self.check(name, [window.name for window in self.known.windows], "timepoint", place)


def _plan(section: Mapping[str, Any], names: _Names) -> AnalysisPlan:
    table = checked(AnalysisTable, section, ("analysis",), names.problems)
    if table is None or not section:
        return AnalysisPlan()
    given = table.given()
    for key, check in (
        ("markers", names.marker),
        ("linear", names.marker),
        ("logged", names.marker),
        ("outcomes", names.outcome),
        ("timepoints", names.timepoint),
    ):
        for index, name in enumerate(given.get(key, ())):
            check(name, ("analysis", key, index))
    for index, name in enumerate(given.get("covariates", ())):
        names.check(
            name,
            names.known.columns,
            "column of the clinical sheet",
            ("analysis", "covariates", index),
        )
    for key in ("directions", "cutoffs"):
        for name in given.get(key, {}):
            names.marker(name, ("analysis", key, name))
        if key in given:
            given[key] = tuple(
                (name, tuple(value) if isinstance(value, list) else value)
                for name, value in given[key].items()
            )
    if table.primary is not None:
        given["primary"] = _question(table.primary, names, ("analysis", "primary"))
    given["family"] = tuple(
        _question(question, names, ("analysis", "family", index))
        for index, question in enumerate(table.family)
    )
    for index, pair in enumerate(table.combinations):
        for name in pair:
            names.marker(name, ("analysis", "combinations", index))
    given["combinations"] = tuple((pair[0], pair[1]) for pair in table.combinations)
    return AnalysisPlan(**given)


def _question(table: QuestionTable, names: _Names, place: tuple[str | int, ...]) -> Question:
    names.marker(table.marker, (*place, "marker"))
    names.timepoint(table.timepoint, (*place, "timepoint"))
    names.outcome(table.outcome, (*place, "outcome"))
    return Question(table.marker, table.timepoint, table.outcome)


def _candidates(section: Mapping[str, Any], names: _Names) -> Iterable[CandidateRule]:
    for name, content in section.items():
        place = ("candidates", name)
        table = checked(CandidateTable, content, place, names.problems)
        rule = None if table is None else _rule(name, table, names, place)
        if rule is None:
            continue
        names.marker(rule.criterion.marker, (*place, "marker"))
        if rule.companion is not None:
            names.marker(rule.companion.marker, (*place, "companion"))
        yield rule


def _rule(
    name: str, table: CandidateTable, names: _Names, place: tuple[str, ...]
) -> CandidateRule | None:
    base = _base(table, names, place)
    criterion = _criterion(table, base.criterion if base else None, names, place)
    given = table.given("days", "consecutive", "drug", "source")
    if table.companion is not None:
        companion = _criterion(table.companion, None, names, (*place, "companion"))
        given["companion"] = companion
    if criterion is None:
        return None
    if base is not None:
        return replace(base, name=name, criterion=criterion, **given)
    if table.preset is not None:
        return None  # reported
    if "days" not in given:
        names.problems.error(FILE, key_path((*place, "days")), "is needed and not there.")
        return None
    return CandidateRule(name, criterion, **given)


def _base(table: CandidateTable, names: _Names, place: tuple[str, ...]) -> CandidateRule | None:
    if table.preset is None:
        return None
    names.check(table.preset, PRESETS, "preset", (*place, "preset"))
    if table.preset not in PRESETS:
        return None
    of_abc = [marker.name for marker in names.known.markers if marker.kind == "abc"]
    primary = names.known.primary_marker
    return preset(table.preset, primary if primary in of_abc else next(iter(of_abc), None))


_SIDES = {"below": ("below", False), "at_most": ("below", True),
          "above": ("above", False), "at_least": ("above", True)}  # fmt: skip


def _criterion(
    table: CandidateTable | CriterionTable,
    base: Criterion | None,
    names: _Names,
    place: tuple[str, ...],
) -> Criterion | None:
    lines = table.given(*_SIDES)
    if len(lines) > 1 or (base is None and not lines):
        names.problems.error(
            FILE, key_path(place), f"wanted one of {listed(tuple(_SIDES))}; found {len(lines)}."
        )
        return None
    marker = table.marker or (base.marker if base else None)
    if marker is None:
        names.problems.error(FILE, key_path((*place, "marker")), "is needed and not there.")
        return None
    given = table.given("unit", "cv")
    for key, line in lines.items():
        side, inclusive = _SIDES[key]
        given |= {"side": side, "line": line, "inclusive": inclusive}
    if base is not None:
        return replace(base, marker=marker, **given)
    return Criterion(marker, **given)


def _exvivo(section: Mapping[str, Any], names: _Names) -> ExVivoPlan:
    table = checked(ExVivoTable, section, ("exvivo",), names.problems)
    if table is None or not section:
        return ExVivoPlan()
    given = table.given()
    for key in ("readouts", "linear"):
        for index, name in enumerate(given.get(key, ())):
            names.marker(name, ("exvivo", key, index))
    for key in ("directions", "cv"):
        for name in given.get(key, {}):
            names.marker(name, ("exvivo", key, name))
        if key in given:
            given[key] = tuple(given[key].items())
    given["dilutions"] = tuple(
        DyeDilution(name, tuple(populations)) for name, populations in table.dilutions.items()
    )
    return ExVivoPlan(**given)
