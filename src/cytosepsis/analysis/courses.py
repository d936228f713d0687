"""Courses of drugs before admission: corticosteroids in prednisolone-equivalents, and others.

What a sheet leaves open has two ends: `low` is what is certain, `high` what cannot be ruled out.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from cytosepsis.analysis.troubles import Trouble
from cytosepsis.cohort_rules import CohortRules
from cytosepsis.protocol import Exposure

Drug = Literal["steroid", "immunosuppressant", "other", "unknown"]

_MILLIGRAMS = {"mg": 1.0, "g": 1000.0, "µg": 0.001, "μg": 0.001, "ug": 0.001, "mcg": 0.001}
_DAY_WORDS = ("/day", "/d", "/j", "/jour", "/24h", "perday", "daily")
_TOTAL_WORDS = ("total", "cumulative", "cumulated")
_ONE_DAY = timedelta(days=1)
# Beyond this a course without a known admission is not laid out day by day.
_LONGEST = 3660  # days


@dataclass(frozen=True, slots=True)
class Course:
    """One row of the exposure sheet, as far as it is understood. Days are inclusive."""

    drug: str
    kind: Drug
    certain: tuple[date, date] | None  # days on which it was certainly given
    possible: tuple[date | None, date | None]  # days on which it may have been given
    daily_mg: float | None  # prednisolone-equivalent of a steroid; None: not known
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """The least and the most that a sheet allows; equal where everything is known."""

    low: float = 0.0
    high: float = 0.0

    def above(self, limit: float) -> bool | None:
        """Whether it lies above a limit: None where the sheet leaves that open.

        A part in 10⁹ is forgiven: 6 mg of a drug of 0.75 mg to 5 are 40 mg, not a digit more.
        """
        limit *= 1 + 1e-9
        return True if self.low > limit else None if self.high > limit else False


@dataclass(frozen=True, slots=True)
class SteroidsBefore:
    """Corticosteroids before admission, in mg of prednisolone."""

    daily: Span = field(default_factory=Span)  # mg/day, of the day with most
    cumulative: Span = field(default_factory=Span)  # mg, over the look-back
    courses: tuple[Course, ...] = ()  # that reach into the look-back, or may

    def above(self, rules: CohortRules) -> bool | None:
        """Whether the steroid rule excludes: None where the sheet leaves that open."""
        limits = (
            self.daily.above(rules.steroid_daily_mg),
            self.cumulative.above(rules.steroid_cumulative_mg),
        )
        if rules.steroid_rule == "or":
            return True if True in limits else None if None in limits else False
        return False if False in limits else None if None in limits else True


def drug_kind(name: str, rules: CohortRules) -> tuple[Drug, str, float | None]:
    """What a drug is, its known name, and the mg that equal 5 mg of prednisolone.

    The first word decides (salts and brands after it do not), without accents, in any case.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    words = re.findall(r"[a-z0-9-]+", plain.casefold())
    word = words[0] if words else ""
    equals = dict(rules.steroids).get(word)
    if equals is not None:
        return "steroid", word, equals
    if word in rules.immunosuppressants:
        return "immunosuppressant", word, None
    return ("other" if word in rules.other_drugs else "unknown"), word, None


def course_of(exposure: Exposure, rules: CohortRules) -> Course:
    """A row of the exposure sheet, understood as far as it can be."""
    kind, _, equals = drug_kind(exposure.drug, rules)
    route = (dict(exposure.extra).get("route") or "").strip().casefold()
    start = exposure.start.date() if exposure.start else None
    stop = exposure.stop.date() if exposure.stop else None
    # Where one end is missing, the day of the other is all that is certain.
    first, last = start or stop, stop or start
    troubles: list[Trouble] = []
    daily: float | None = None
    if kind == "steroid" and route in rules.local_routes:
        kind = "other"
    elif kind == "steroid":
        days = (stop - start).days + 1 if start and stop else None
        daily, found = _daily_dose(exposure, days)
        troubles += found
        daily = None if daily is None or equals is None else daily * 5.0 / equals
    elif kind == "unknown":
        text = (
            "is in none of the lists of drugs, so it may be a steroid. Name it under "
            "[cohort] steroids, immunosuppressants or other_drugs, or correct it"
        )
        troubles.append(Trouble("exposures", "drug", exposure.drug, "unknown_drug", text))
    if kind in {"steroid", "immunosuppressant"} and not (start and stop):
        column = "start" if start is None else "stop"
        text = f"is empty: of {exposure.drug} only what is dated is certain"
        troubles.append(Trouble("exposures", column, None, "course_undated", text))
    certain = (first, last) if first and last else None
    return Course(exposure.drug, kind, certain, (start, stop), daily, tuple(troubles))


def steroids_before(
    courses: Iterable[Course], admission: date | None, rules: CohortRules
) -> SteroidsBefore:
    """The largest daily and the cumulative dose of the days before admission.

    The look-back ends the day before admission: what is given on that day treats the shock.
    Several drugs of one day add up. Without an admission nothing is certain, and whatever the
    sheet holds is possible.
    """
    relevant = [course for course in courses if course.kind in {"steroid", "unknown"}]
    relevant = [c for c in relevant if _may_touch(c, admission, rules.steroid_look_back_days)]
    low: dict[date, float] = defaultdict(float)
    high: dict[date, float] = defaultdict(float)
    unlimited = False
    for course in relevant:
        days = _window(admission, rules.steroid_look_back_days)
        if admission is not None and course.daily_mg is not None and course.certain is not None:
            for day in _days(_overlap(course.certain, days)):
                low[day] += course.daily_mg
        span = _overlap(course.possible, days)
        if course.daily_mg is None or span is None or (span[1] - span[0]).days > _LONGEST:
            unlimited = True
            continue
        for day in _days(span):
            high[day] += course.daily_mg
    if unlimited:
        most = total = math.inf
    else:
        most, total = max(high.values(), default=0.0), math.fsum(high.values())
    return SteroidsBefore(
        daily=Span(max(low.values(), default=0.0), most),
        cumulative=Span(math.fsum(low.values()), total),
        courses=tuple(relevant),
    )


def given_before(
    courses: Iterable[Course], kind: Drug, admission: date | None, look_back_days: int
) -> bool | None:
    """Whether a drug of a kind was given in the look-back; None where it may have been."""
    answer: bool | None = False
    for course in courses:
        if course.kind != kind or not _may_touch(course, admission, look_back_days):
            continue
        window = _window(admission, look_back_days)
        if admission is not None and course.certain and _overlap(course.certain, window):
            return True
        answer = None
    return answer


_Ends = tuple[date | None, date | None]


def _window(admission: date | None, look_back_days: int) -> _Ends:
    """First and last day of the look-back; open where admission is not known."""
    if admission is None:
        return None, None
    return admission - look_back_days * _ONE_DAY, admission - _ONE_DAY


def _overlap(span: _Ends, window: _Ends) -> tuple[date, date] | None:
    """Days that two spans share; None of none, and where an end stays open."""
    firsts = [day for day in (span[0], window[0]) if day is not None]
    lasts = [day for day in (span[1], window[1]) if day is not None]
    if not firsts or not lasts or max(firsts) > min(lasts):
        return None
    return max(firsts), min(lasts)


def _may_touch(course: Course, admission: date | None, look_back_days: int) -> bool:
    """Whether a course may have been given in the look-back."""
    first, last = _window(admission, look_back_days)
    begin, end = course.possible
    after = last is not None and begin is not None and begin > last
    before = first is not None and end is not None and end < first
    return not after and not before


def _days(span: tuple[date, date] | None) -> Iterator[date]:
    if span is None:
        return
    first, last = span
    for offset in range((last - first).days + 1):
        yield first + offset * _ONE_DAY


def _daily_dose(exposure: Exposure, days: int | None) -> tuple[float | None, list[Trouble]]:
    """Milligrams of the drug per day, and what keeps them from being known."""
    if exposure.dose is None:
        return None, [Trouble("exposures", "dose", None, "no_dose", f"of {exposure.drug} is empty")]
    unit = re.sub(r"\s+", "", (exposure.unit or "").casefold())
    for mass, factor in _MILLIGRAMS.items():
        if unit in {mass + word for word in _DAY_WORDS}:
            return exposure.dose * factor, []
        # On a single day the dose of the day and that of the course are one.
        of_course = unit in {mass + word for word in _TOTAL_WORDS} or (unit == mass and days == 1)
        if of_course and days is not None:
            return exposure.dose * factor / days, []
    wanted = "mg/day, g/day, µg/day, or mg total of a course with both dates"
    if unit in _MILLIGRAMS:
        text = f"may be per day or of the whole course; wanted {wanted}"
    else:
        text = f"is no unit that is understood; wanted {wanted}"
    return None, [Trouble("exposures", "unit", exposure.unit, "unknown_unit", text)]
