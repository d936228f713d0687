"""Markers of a study: what each is made of, which assays feed it, which one is primary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cytosepsis.config.assays import Names, ReadAssay
from cytosepsis.config.problems import Problems, listed, nearest
from cytosepsis.config.sections import MarkerTable
from cytosepsis.config.study_file import FILE, StudyFile, key_path
from cytosepsis.counting import PER_UL
from cytosepsis.protocol import AbcSettings, Marker
from cytosepsis.units import conversion_factor

# What each kind of marker is made of; anything else in its table is a mistake.
_MARKER_KEYS = {
    "abc": ("population", "channel"),
    "intensity": ("population", "channel", "statistic"),
    "fraction": ("population", "of"),
    "count": ("population",),
    "measurement": ("measurement",),
}
_MARKER_NEEDS = {
    "abc": (),  # the assay's own
    "intensity": ("population", "channel"),
    "fraction": ("population", "of"),
    "count": ("population",),
    "measurement": (),  # the marker's own name
}


def markers_of(
    file: StudyFile, assays: dict[str, ReadAssay], problems: Problems
) -> tuple[tuple[Marker, ...], str | None]:
    """Build the study's markers, and say which is primary (None where no AB/C is quantified)."""
    if file.markers:
        markers = tuple(_marker(n, t, file, assays, problems) for n, t in file.markers.items())
    else:
        markers = tuple(
            _own_marker(name, read.assay.abc)
            for name, read in assays.items()
            if read.assay.abc is not None
        )
    return markers, _primary(file, markers, problems)


def _own_marker(name: str, abc: AbcSettings) -> Marker:
    return Marker(
        name,
        "abc",
        (name,),
        population=abc.population,
        channel=abc.channel,
        unit="AB/C",
        statistic=abc.statistic,
    )


def _marker(
    name: str,
    table: MarkerTable,
    file: StudyFile,
    assays: dict[str, ReadAssay],
    problems: Problems,
) -> Marker:
    place = ("markers", name)
    given = table.given("kind", "population", "channel", "of", "measurement", "unit", "statistic")
    _check_keys(table.kind, given, place, problems)
    if table.kind == "measurement":
        return Marker(name, **{"measurement": name, **given})
    names = _assays_of_marker(table, place, file, problems)
    feeding = [assays[assay] for assay in names if assay in assays]
    if table.kind == "abc":
        given = {"unit": "AB/C", **_abc_of_marker(given, feeding, place, problems)}
    else:
        for read in feeding:
            if "channel" in given:
                Names(read, problems).check_channel(given["channel"], (*place, "channel"))
        if table.kind == "count" and conversion_factor(PER_UL, given.get("unit", PER_UL)) is None:
            problems.error(
                FILE,
                key_path((*place, "unit")),
                f"found {given['unit']!r}; wanted a unit of cells per volume, such as "
                f"{PER_UL} or G/L.",
            )
        for key in ("population", "of"):
            if key in given:
                given[key] = _path_in_all(given[key], feeding, (*place, key), problems)
    return Marker(name, assay=names, **given)


def _check_keys(
    kind: str, given: Mapping[str, Any], place: tuple[str, ...], problems: Problems
) -> None:
    for key in ("population", "channel", "of", "measurement", "statistic"):
        if key in given and key not in _MARKER_KEYS[kind]:
            problems.error(
                FILE,
                key_path((*place, key)),
                f"has no meaning for a marker of kind "
                f'"{kind}", which takes {listed(_MARKER_KEYS[kind])}.',
            )
    for key in _MARKER_NEEDS[kind]:
        if key not in given:
            problems.error(
                FILE,
                key_path((*place, key)),
                f'is needed for a marker of kind "{kind}" and not there.',
            )


def _assays_of_marker(
    table: MarkerTable, place: tuple[str, ...], file: StudyFile, problems: Problems
) -> tuple[str, ...]:
    known = file.names["assays"]
    where = key_path((*place, "assay"))
    if table.assay is None:
        if len(known) > 1:
            problems.error(FILE, where, f"is needed: the study has the assays {listed(known)}.")
        return known
    for assay in table.assay:
        if assay not in known:
            problems.error(
                FILE,
                where,
                f"found {assay!r}, which is no assay of the study."
                f"{nearest(assay, known)} Assays: {listed(known)}.",
            )
    return tuple(table.assay)


def _abc_of_marker(
    given: dict[str, str], feeding: list[ReadAssay], place: tuple[str, ...], problems: Problems
) -> dict[str, str]:
    """Complete an AB/C marker by what its assays quantify; it can name nothing else."""
    complete = dict(given)
    for read in feeding:
        name, abc = read.assay.name, read.assay.abc
        if abc is None:
            problems.error(
                FILE,
                key_path((*place, "assay")),
                f"assay {name} has no section [assays.{name}.abc], so it gives no AB/C.",
            )
            continue
        resolver = Names(read, problems)
        if "population" in given:
            path = resolver.path(given["population"], (*place, "population"))
            complete["population"] = path
            if read.plan is not None and path in read.plan.paths and path != abc.population:
                problems.error(
                    FILE,
                    key_path((*place, "population")),
                    f"found {path!r}, but assay {name} quantifies {abc.population!r}.",
                )
        if given.get("channel", abc.channel) != abc.channel:
            problems.error(
                FILE,
                key_path((*place, "channel")),
                f"found {given['channel']!r}, but assay {name} quantifies {abc.channel!r}.",
            )
        complete.setdefault("population", abc.population)
        complete.setdefault("channel", abc.channel)
        complete.setdefault("statistic", abc.statistic)
    return complete


def _path_in_all(
    name: str, feeding: list[ReadAssay], place: tuple[str, ...], problems: Problems
) -> str:
    """Give the full path of a population where all feeding assays agree on it, else the name."""
    paths = {Names(read, problems).path(name, place) for read in feeding}
    return paths.pop() if len(paths) == 1 else name


def _primary(file: StudyFile, markers: tuple[Marker, ...], problems: Problems) -> str | None:
    names = [marker.name for marker in markers]
    quantified = [marker.name for marker in markers if marker.kind == "abc"]
    chosen = file.study.primary_marker if file.study else None
    where = "study.primary_marker"
    if chosen is None:
        if len(quantified) > 1:
            problems.error(
                FILE,
                where,
                f"is needed where several markers are quantified: {listed(quantified)}.",
            )
        return quantified[0] if len(quantified) == 1 else None
    declared = file.names["markers"] or names
    if chosen not in declared:
        problems.error(
            FILE,
            where,
            f"found {chosen!r}, which is no marker."
            f"{nearest(chosen, declared)} Markers: {listed(declared)}.",
        )
    elif chosen in names and chosen not in quantified:
        problems.warning(
            FILE,
            where,
            f'"{chosen}" is not of kind "abc": the AB/C columns of `patients` stay empty.',
        )
    return chosen
