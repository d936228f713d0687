"""Which acquisitions stand for a patient at a timepoint, and the value they give."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cytosepsis.flags import Status, status_of
from cytosepsis.protocol import Sample, Study, instant
from cytosepsis.quantify import band_of
from cytosepsis.tables.markers import Candidate
from cytosepsis.tables.readings import incomparable, method_of
from cytosepsis.tables.timepoints import Moment, Placement, days_between, distance_to_centre


@dataclass(frozen=True, slots=True)
class Unused:
    """A candidate that does not stand, and why."""

    candidate: Candidate
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The value of one marker that stands for a patient at a timepoint, or the reason for none."""

    chosen: tuple[Candidate, ...]  # in the sheet's order; more than one: averaged stains
    placement: Placement
    drawn: Moment
    value: float | None
    low: float | None
    high: float | None
    unit: str | None
    band: str | None
    stain_cv: float | None
    flags: tuple[str, ...]
    reason: str | None
    unused: tuple[Unused, ...]

    @property
    def status(self) -> Status:
        """`failed` without a value."""
        return "failed" if self.value is None else status_of(self.flags)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The acquisitions behind the value."""
        return tuple(candidate.sample for candidate in self.chosen if candidate.sample)

    @property
    def sample_id(self) -> str | None:
        """Ids of the acquisitions behind the value, `;`-joined."""
        return ";".join(sample.sample_id for sample in self.samples) or None


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a value from the baseline's."""

    delta: float | None = None
    ratio: float | None = None
    log10_slope_per_day: float | None = None
    flags: tuple[str, ...] = ()


def stand(candidates: Sequence[Candidate], study: Study) -> Standing:
    """The value that stands for one patient, timepoint and marker.

    Of several draws, the one nearest the window's centre (equally near: the earlier). In it, where
    one acquisition has `min_events` cells, none that has fewer; of several acquisitions of one
    stain, the latest; several stains are averaged (`_average`), those of one method only. All of
    this among acquisitions with a value that no reviewer rejected.
    """
    assert candidates
    unused = [
        Unused(candidate, candidate.code, candidate.reason or "")
        for candidate in candidates
        if candidate.code is not None
    ]
    usable = [candidate for candidate in candidates if candidate.code is None]
    draws = _by_nearness(usable or candidates, study)
    if not usable:
        return _nothing(draws[0][0], unused)
    flags: tuple[str, ...] = ("several_draws",) if len(draws) > 1 else ()
    for draw in draws[1:]:
        text = "another draw lies nearer the centre of the window, or as near and earlier"
        unused += [Unused(candidate, "other_draw", text) for candidate in draw]
    stains = _latest(_enough(draws[0], unused), unused)
    stains, mixed = _of_one_method(stains, study, unused)
    chosen = tuple(sorted(stains, key=lambda candidate: candidate.order[1]))
    flags += mixed
    if len(chosen) > 1:
        flags += ("several_stains",)
    return _average(chosen, flags, unused, study)


def change_from(standing: Standing, baseline: Standing, study: Study) -> Change:
    """The change of AB/C from a baseline value to another; both have values.

    Null, with the flag, between lysis methods or sites that the study does not compare. The slope
    is per day between the two draws; null where a date is missing or the draws are of one day.
    """
    assert standing.value is not None
    assert baseline.value is not None
    apart = incomparable((*standing.samples, *baseline.samples), study)
    if apart:
        return Change(flags=apart)
    days = days_between(baseline.drawn, standing.drawn, study.timezone)
    if days is None and standing.placement.day is not None and baseline.placement.day is not None:
        days = float(standing.placement.day - baseline.placement.day)
    ratio = standing.value / baseline.value
    return Change(
        delta=standing.value - baseline.value,
        ratio=ratio,
        log10_slope_per_day=math.log10(ratio) / days if days else None,
        flags=("baseline_doubtful",) if baseline.status == "flagged" else (),
    )


def _by_nearness(candidates: Iterable[Candidate], study: Study) -> list[list[Candidate]]:
    """Candidates by draw, the draw nearest the window's centre first."""
    windows = {window.name: window for window in study.windows}
    draws: dict[object, list[Candidate]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda candidate: candidate.order[1]):
        draws[candidate.draw].append(candidate)

    def nearness(draw: Sequence[Candidate]) -> tuple[float, float, int]:
        first = draw[0]
        # Rounded: equally near must stay equal after the arithmetic of hours.
        distance = round(distance_to_centre(first.placement, windows), 9)
        drawn = _seconds(first.drawn.at, study.timezone)
        return distance, drawn, first.order[1]

    return sorted(draws.values(), key=nearness)


def _seconds(moment: datetime | None, timezone: str | None) -> float:
    return instant(moment, timezone).timestamp() if moment else math.inf


def _enough(candidates: Sequence[Candidate], unused: list[Unused]) -> list[Candidate]:
    enough = [candidate for candidate in candidates if candidate.enough_cells]
    if not enough:
        return list(candidates)
    text = "fewer cells than `min_events`, where another acquisition of the draw has enough"
    unused += [
        Unused(candidate, "too_few_cells", text)
        for candidate in candidates
        if not candidate.enough_cells
    ]
    return enough


def _latest(candidates: Sequence[Candidate], unused: list[Unused]) -> list[Candidate]:
    stains: dict[object, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        stains[candidate.stain].append(candidate)
    latest = []
    for acquisitions in stains.values():
        *earlier, last = sorted(acquisitions, key=lambda candidate: candidate.order)
        latest.append(last)
        text = "a later usable one of the same stain stands"
        unused += [Unused(candidate, "earlier_acquisition", text) for candidate in earlier]
    return latest


def _of_one_method(
    stains: list[Candidate], study: Study, unused: list[Unused]
) -> tuple[list[Candidate], tuple[str, ...]]:
    """The stains of the method that most of them have (equally many: the first in the sheet)."""
    mixed = incomparable([stain.sample for stain in stains if stain.sample], study)
    if not mixed:
        return stains, ()
    methods: dict[object, list[Candidate]] = defaultdict(list)
    for stain in sorted(stains, key=lambda candidate: candidate.order[1]):
        assert stain.sample is not None
        methods[method_of(stain.sample)].append(stain)
    most = max(methods.values(), key=len)
    text = "another lysis method or site than the stains that stand"
    unused += [Unused(stain, "other_method", text) for stain in stains if stain not in most]
    return most, mixed


def _average(
    chosen: tuple[Candidate, ...], flags: tuple[str, ...], unused: Iterable[Unused], study: Study
) -> Standing:
    """The geometric mean of stains; the arithmetic one where a value is not positive.

    The limits are averaged like the values: the stains share the error of the bead line, so the
    interval is not narrowed by their number.
    """
    values = [candidate.value for candidate in chosen if candidate.value is not None]
    first = chosen[0]
    value = _mean(values)
    if _differ(values, value, first.duplicate_tolerance):
        flags += ("duplicates_differ",)
    band = first.band
    if len(chosen) > 1 and band is not None and first.sample is not None:
        settings = study.assay(first.sample.assay).abc
        band = band_of(value, settings.cutoffs) if settings else None
    return Standing(
        chosen=chosen,
        placement=first.placement,
        drawn=first.drawn,
        value=value,
        low=_mean_of_all([candidate.low for candidate in chosen]),
        high=_mean_of_all([candidate.high for candidate in chosen]),
        unit=first.unit,
        band=band,
        stain_cv=_cv(values),
        flags=tuple(dict.fromkeys((*(f for c in chosen for f in c.flags), *flags))),
        reason=None,
        unused=tuple(unused),
    )


def _nothing(nearest: Candidate, unused: Iterable[Unused]) -> Standing:
    """No value, with the reasons of all candidates."""
    unused = tuple(unused)
    reasons = "; ".join(
        f"{item.candidate.sample.sample_id}: {item.reason}"
        if item.candidate.sample
        else item.reason
        for item in sorted(unused, key=lambda item: item.candidate.order[1])
    )
    return Standing(
        chosen=(),
        placement=nearest.placement,
        drawn=nearest.drawn,
        value=None,
        low=None,
        high=None,
        unit=nearest.unit,
        band=None,
        stain_cv=None,
        flags=tuple(dict.fromkeys(flag for item in unused for flag in item.candidate.flags)),
        reason=reasons,
        unused=unused,
    )


def _mean(values: Sequence[float]) -> float:
    if len(values) == 1:
        return values[0]  # exactly the value of the other tables
    if all(value > 0 for value in values):
        return math.exp(math.fsum(math.log(value) for value in values) / len(values))
    return math.fsum(values) / len(values)


def _differ(values: Sequence[float], mean: float, tolerance: float | None) -> bool:
    """Whether a duplicate lies further from the mean than the tolerance, a fraction of it."""
    if tolerance is None:
        return False
    # Rounded: exactly at the tolerance is inside, after the arithmetic too.
    return any(round(abs(value - mean) - tolerance * mean, 9) > 0 for value in values)


def _mean_of_all(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return _mean(present) if present and len(present) == len(values) else None


def _cv(values: Sequence[float]) -> float | None:
    """Standard deviation (n - 1) / mean; None of one value or where the mean is not positive."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2 or mean <= 0:
        return None
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance) / mean


def by_window(timepoints: Iterable[str | None], study: Study) -> Mapping[str | None, int]:
    """Rank of each timepoint: the study's windows, then labels as they appear, then none."""
    labels = [label for label in timepoints if label is not None]
    names = dict.fromkeys((*(window.name for window in study.windows), *labels))
    ranks: dict[str | None, int] = {name: rank for rank, name in enumerate(names)}
    ranks[None] = len(ranks)
    return ranks
