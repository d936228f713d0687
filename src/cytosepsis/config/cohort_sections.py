"""`[cohort]`, `[trajectories]` and `[endotypes]` of study.toml: what they name must be there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cytosepsis.cohort_rules import (
    IMMUNOSUPPRESSANTS,
    LOCAL_ROUTES,
    OTHER_DRUGS,
    RULES,
    STEROIDS,
    CohortRules,
    OwnRule,
)
from cytosepsis.config.problems import Problems, listed, nearest
from cytosepsis.config.sections import OwnRuleTable
from cytosepsis.config.study_file import FILE, StudyFile, key_path
from cytosepsis.protocol import Marker, Patient, Window
from cytosepsis.trajectory_rules import EndotypeRules, TrajectoryRules

# Lists that a study adds to.
_EXTENDED = {
    "immunosuppressants": IMMUNOSUPPRESSANTS,
    "other_drugs": OTHER_DRUGS,
    "local_routes": LOCAL_ROUTES,
}


def cohort_rules_of(
    file: StudyFile, patients: Sequence[Patient], problems: Problems
) -> CohortRules:
    """Read the rules of the cohort; drugs and routes of the study join the defaults."""
    given = file.given("cohort")
    for key, default in _EXTENDED.items():
        if key in given:
            given[key] = (*default, *(name.casefold() for name in given[key]))
    steroids = given.pop("steroids", None) or {}
    mine = {name.casefold(): mg for name, mg in steroids.items()}
    own = given.pop("rules", None) or {}
    columns = {column for patient in patients for column, _ in patient.values}
    rules = tuple(_own_rule(name, rule, columns, problems) for name, rule in own.items())
    names = [*(rule.name for rule in RULES), *own]
    for name in own:
        if name in {rule.name for rule in RULES}:
            problems.error(FILE, key_path(("cohort", "rules", name)), "is a rule there already.")
    _check_names(given.get("skip", ()), names, ("cohort", "skip"), "rules", problems)
    return CohortRules(
        steroids=(*(pair for pair in STEROIDS if pair[0] not in mine), *mine.items()),
        own=rules,
        **given,
    )


def trajectory_rules_of(
    file: StudyFile, markers: Sequence[Marker], problems: Problems
) -> TrajectoryRules:
    """Read how courses are described."""
    given = file.given("trajectories")
    cutoffs = given.pop("cutoffs", None) or {}
    place = ("trajectories", "cutoffs")
    _check_names(cutoffs, [marker.name for marker in markers], place, "markers", problems)
    if "improver_ratio" in given and "decliner_ratio" not in given:
        given["decliner_ratio"] = 1 / given["improver_ratio"]
    return TrajectoryRules(cutoffs=tuple(cutoffs.items()), **given)


def endotype_rules_of(
    file: StudyFile, markers: Sequence[Marker], windows: Sequence[Window], problems: Problems
) -> EndotypeRules:
    """Read how courses are grouped."""
    given = file.given("endotypes")
    named = [given["marker"]] if given.get("marker") else []
    names = [marker.name for marker in markers]
    _check_names(named, names, ("endotypes", "marker"), "markers", problems)
    wanted = given.get("timepoints") or ()
    place = ("endotypes", "timepoints")
    _check_names(wanted, [window.name for window in windows], place, "timepoints", problems)
    return EndotypeRules(**given)


def _own_rule(name: str, table: OwnRuleTable, columns: set[str], problems: Problems) -> OwnRule:
    place = ("cohort", "rules", name)
    given: dict[str, Any] = table.given()
    if (table.answer is None) == (table.below is None and table.above is None):
        text = "wanted either answer, or below, above or both."
        problems.error(FILE, key_path(place), text)
    if table.column not in columns:
        problems.error(
            FILE,
            key_path((*place, "column")),
            f"found {table.column!r}, which is no column of the clinical sheet."
            f"{nearest(table.column, columns)}",
        )
    return OwnRule(
        name=name,
        meaning=given.pop("meaning", name),
        source=given.pop("source", "the study"),
        **given,
    )


def _check_names(
    found: Iterable[str],
    known: Sequence[str],
    place: tuple[str, ...],
    what: str,
    problems: Problems,
) -> None:
    for name in found:
        if name not in known:
            problems.error(
                FILE,
                key_path(place),
                f"found {name!r}, which is none of the {what}.{nearest(name, known)} "
                f"There: {listed(known)}.",
            )
