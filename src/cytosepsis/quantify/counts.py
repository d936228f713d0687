"""Absolute counts of a sample's populations: cells per µL, their interval, and their doubts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from cytosepsis.counting import CellCount, CountingLot, count_with_beads, count_with_blood_count
from cytosepsis.file_results import SampleResult
from cytosepsis.population_counts import PopulationCount
from cytosepsis.protocol import CountingSettings, Sample, Study, instant

_Washing = Literal["washed", "unwashed", "unknown"]
# Parts of how laboratories write the lysis method, in letters only.
_UNWASHED = ("nowash", "notwashed", "unwashed", "sanslavage", "lnw")
_WASHED = ("wash", "lavage", "lw")


@dataclass(frozen=True, slots=True)
class BloodCount:
    """What a haematology analyser counted near a draw, or why there is nothing to take."""

    per_ul: float | None  # cells per µL, already times the share where the assay names one
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CountResult:
    """One population of one sample in cells per µL of blood, or the reason for no number."""

    path: str
    name: str
    method: Literal["beads", "blood_count"]
    n_cells: int
    n_reference: int | None  # beads, or cells of the population that the blood count counts
    value: float | None = None
    low: float | None = None
    high: float | None = None
    flags: tuple[str, ...] = ()
    reason_code: str | None = None
    reason: str | None = None


def count_populations(
    sample: Sample, result: SampleResult, study: Study, blood_count: BloodCount | None = None
) -> tuple[CountResult, ...]:
    """Count every population of a sample; nothing where its assay says not how.

    `blood_count` is needed of an assay that counts on two platforms. With beads, populations of
    the beads themselves and root are left out. A washed tube is refused, because beads are lost.
    """
    settings = study.assay(sample.assay).counting
    if settings is None:
        return ()
    # One whose gate was not found has no count; beads that were not found are no beads.
    by_path = {p.path: p for p in result.populations if p.n_events is not None}
    if settings.beads is not None:
        counted = _bead_counts(sample, result, settings, study, by_path)
    else:
        counted = _blood_counts(settings, blood_count, by_path)
    doubts = _sum_flags(settings, by_path)
    return tuple(
        replace(count, flags=(*count.flags, *doubts)) if count.value is not None else count
        for count in counted
    )


def washing_of(lysis: str | None) -> _Washing:
    """Tell a washed tube from the sheet's `lysis`, such as `lyse-wash`, `LNW` or `lyse/no wash`."""
    letters = "".join(c for c in (lysis or "").casefold() if c.isalnum())
    if any(part in letters for part in _UNWASHED):
        return "unwashed"
    return "washed" if any(part in letters for part in _WASHED) else "unknown"


# --- beads in the tube


def _bead_counts(
    sample: Sample,
    result: SampleResult,
    settings: CountingSettings,
    study: Study,
    by_path: dict[str, PopulationCount],
) -> list[CountResult]:
    assert settings.beads is not None
    beads = by_path.get(settings.beads)
    doublets = by_path.get(settings.bead_doublets or "")
    n_beads = _n_beads(beads, doublets)
    lot = study.counting_lot(sample.counting_lot) if sample.counting_lot else None
    refusal = _refusal(sample, settings, lot, n_beads)
    flags = () if refusal else tuple(_bead_flags(sample, result, settings, lot, by_path, study))
    own = (settings.beads, settings.bead_doublets or settings.beads)
    counts = []
    for population in by_path.values():
        if _is_of(population.path, own) or population.path == "root":
            continue
        bare = CountResult(
            population.path, population.name, "beads", population.n_counted, n_beads or None
        )
        if refusal or lot is None or sample.blood_volume_ul is None:
            code, text = refusal or ("", "")
            counts.append(replace(bare, reason_code=code, reason=text))
            continue
        value = count_with_beads(
            population.n_counted,
            n_beads,
            beads_in_tube=lot.beads_in_tube(sample.bead_volume_ul),
            blood_volume_ul=sample.blood_volume_ul,
            cv=lot.cv,
        )
        counts.append(_counted(bare, value, flags))
    return counts


def _n_beads(beads: PopulationCount | None, doublets: PopulationCount | None) -> int:
    """Beads behind the events: a doublet is two, of which the gate of beads may hold one."""
    if beads is None:
        return 0
    if doublets is None:
        return beads.n_counted
    counted = 1 if _is_of(doublets.path, (beads.path,)) else 2
    return beads.n_counted + counted * doublets.n_counted


def _is_of(path: str, populations: tuple[str, ...]) -> bool:
    return any(path == p or path.startswith(f"{p}/") for p in populations)


def _refusal(
    sample: Sample, settings: CountingSettings, lot: CountingLot | None, n_beads: int
) -> tuple[str, str] | None:
    """Why a tube gives no bead count, as (code, words)."""
    if washing_of(sample.lysis) == "washed":
        text = f"the tube was washed ({sample.lysis}): its beads are lost, no count. Lyse, no wash."
        return "washed_tube", text
    if lot is None:
        return "no_counting_lot", "the sample sheet names no counting_lot"
    if sample.blood_volume_ul is None:
        return "no_blood_volume", "the sample sheet gives no blood_volume_ul"
    if lot.needs_bead_volume and sample.bead_volume_ul is None:
        text = f"lot {lot.name} is counted per µL, and the sheet gives no bead_volume_ul"
        return "no_bead_volume", text
    if n_beads == 0:
        return "no_counting_beads", f"no event in {settings.beads}. Were beads added? See the gate."
    return None


def _bead_flags(
    sample: Sample,
    result: SampleResult,
    settings: CountingSettings,
    lot: CountingLot | None,
    by_path: dict[str, PopulationCount],
    study: Study,
) -> Iterator[str]:
    assert settings.beads is not None
    beads = by_path[settings.beads].n_counted
    if beads < settings.min_beads:
        yield "few_beads"
    if beads < settings.recommended_beads:
        yield "beads_below_recommended"
    doublets = by_path.get(settings.bead_doublets or "")
    if doublets and doublets.n_counted > settings.bead_doublet_fraction * max(beads, 1):
        yield "bead_doublets"
    if washing_of(sample.lysis) == "unknown":
        yield "wash_unknown"
    if lot is None or lot.expires is None or result.acquired_at is None:
        return
    if instant(result.acquired_at, study.timezone).date() > lot.expires:
        yield "counting_lot_expired"


# --- a blood count beside the tube


def _blood_counts(
    settings: CountingSettings, blood_count: BloodCount | None, by_path: dict[str, PopulationCount]
) -> list[CountResult]:
    assert settings.of is not None
    reference = by_path.get(settings.of)
    n = reference.n_counted if reference else 0
    counts = []
    for population in by_path.values():
        if not _is_of(population.path, (settings.of,)):
            continue
        bare = CountResult(
            population.path, population.name, "blood_count", population.n_counted, n or None
        )
        if blood_count is None or blood_count.per_ul is None:
            text = (blood_count.reason if blood_count else None) or "no blood count"
            counts.append(replace(bare, reason_code="no_blood_count", reason=text))
        elif n == 0:
            text = f"{settings.of} is empty: no fraction of it"
            counts.append(replace(bare, reason_code="no_value", reason=text))
        else:
            value = count_with_blood_count(
                population.n_counted,
                n,
                reference_per_ul=blood_count.per_ul,
                cv=settings.blood_count_cv,
            )
            counts.append(_counted(bare, value, ()))
    return counts


# --- both


def _counted(bare: CountResult, count: CellCount, flags: tuple[str, ...]) -> CountResult:
    return replace(bare, value=count.value, low=count.low, high=count.high, flags=flags)


def _sum_flags(settings: CountingSettings, by_path: dict[str, PopulationCount]) -> tuple[str, ...]:
    """Doubts where populations that make up another do not add up to it."""
    checks = (
        ("lymphosum", settings.lymphosum, settings.lymphosum_of, settings.lymphosum_limits),
        ("t_sum", settings.t_sum, settings.t_sum_of, settings.t_sum_limits),
    )
    found = []
    for code, parts, whole, (low, high) in checks:
        total = by_path[whole].n_counted if whole in by_path else 0
        if not parts or total == 0:
            continue
        share = sum(by_path[part].n_counted for part in parts if part in by_path) / total
        if not low <= share <= high:
            found.append(code)
    return tuple(found)
