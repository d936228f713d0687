"""Absolute counts in study.toml: lots of counting beads, and how an assay's cells are counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from cytosepsis.config.problems import Problems, listed, nearest
from cytosepsis.config.sections import CountingTable
from cytosepsis.config.study_file import FILE, StudyFile, key_path
from cytosepsis.counting import CountingLot
from cytosepsis.errors import CalibrationError
from cytosepsis.protocol import Assay, CountingSettings

_POPULATIONS = ("beads", "bead_doublets", "of", "lymphosum_of", "t_sum_of")
_LISTS = ("lymphosum", "t_sum")
# What has no meaning without the other.
_TOGETHER = (
    ("bead_doublets", "beads"),
    ("blood_count_share", "blood_count"),
    ("of", "blood_count"),
    ("blood_count", "of"),
    ("lymphosum", "lymphosum_of"),
    ("lymphosum_of", "lymphosum"),
    ("t_sum", "t_sum_of"),
    ("t_sum_of", "t_sum"),
)


class _Resolver(Protocol):
    @property
    def problems(self) -> Problems: ...
    def path(self, name: str, place: Iterable[object]) -> str: ...


def lots_of(file: StudyFile, problems: Problems) -> tuple[CountingLot, ...]:
    """Every lot of counting beads that could be one."""
    lots = []
    for name, table in file.counting_lots.items():
        try:
            lots.append(CountingLot(name, **table.given()))
        except CalibrationError as error:
            problems.error(FILE, key_path(("counting_lots", name)), f"{error.message}.")
    return tuple(lots)


def check_blood_counts(
    assays: Iterable[Assay], measured: Iterable[str], file: StudyFile, problems: Problems
) -> None:
    """Refuse counts on two platforms without measurements; warn of names that none has."""
    names = sorted(set(measured))
    for assay in assays:
        counting = assay.counting
        for key in ("blood_count", "blood_count_share"):
            name = getattr(counting, key, None)
            where = key_path(("assays", assay.name, "counting", key))
            if name is None or name in names:
                continue
            if file.study is None or file.study.measurements is None:
                problems.error(FILE, where, "needs [study] measurements.")
                continue
            problems.warning(
                FILE,
                where,
                f"the measurements have no value named {name!r}.{nearest(name, names)} "
                f"Names: {listed(names)}.",
            )


def counting_of(
    table: CountingTable | None, names: _Resolver, place: tuple[str, ...]
) -> CountingSettings | None:
    """Read how an assay's cells are counted; its populations become full paths."""
    if table is None:
        return None
    given: dict[str, Any] = table.given()
    if ("beads" in given) == ("blood_count" in given):
        names.problems.error(
            FILE,
            key_path(place),
            "wanted one of beads (counting beads in the tube) and blood_count (a measurement).",
        )
    for key, other in _TOGETHER:
        if key in given and other not in given:
            names.problems.error(
                FILE, key_path((*place, key)), f"has no meaning without {other}; give both."
            )
    for key in _POPULATIONS:
        if key in given:
            given[key] = names.path(given[key], (*place, key))
    for key in _LISTS:
        if key in given:
            given[key] = tuple(
                names.path(name, (*place, key, index)) for index, name in enumerate(given[key])
            )
    return CountingSettings(**given)
