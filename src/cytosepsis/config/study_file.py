"""study.toml: its keys, checked one section at a time so that all faults are found together."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from cytosepsis.config.problems import Problems, listed, nearest
from cytosepsis.config.toml_sections import FILE, Kind, TomlTable, checked, short

SECTIONS = (
    "study",
    "timepoints",
    "bead_lots",
    "assays",
    "markers",
    "outcomes",
    "counting_lots",
    "analysis",
    "candidates",
    "exvivo",
)
MAX_BYTES = 4 * 2**20  # a study.toml is written by hand


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def ascending(values: list[float]) -> list[float]:
    """Refuse numbers that do not ascend."""
    if any(low >= high for low, high in pairwise(values)):
        raise ValueError("wanted ascending numbers, each once")
    return values


def _not_descending(values: list[float]) -> list[float]:
    if values[0] > values[1]:
        raise ValueError("wanted the first number not above the second")
    return values


def _distinct(values: list[float]) -> list[float]:
    if len(set(values)) < len(values):
        raise ValueError("wanted every level once")
    return values


Text = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Text], BeforeValidator(_as_list), Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Around = Annotated[list[Positive], Field(min_length=2, max_length=2), AfterValidator(ascending)]
Days = Annotated[
    list[Annotated[float, Field(ge=1)]],
    Field(min_length=2, max_length=2),
    AfterValidator(_not_descending),
]
StatisticName = Literal["median", "geometric_mean"]


class StudyTable(TomlTable):
    """[study]."""

    name: Text
    samples: Text
    beads: Text | None = None
    clinical: Text | None = None
    measurements: Text | None = None
    exposures: Text | None = None
    overrides: Text | None = None
    roots: list[Text] = Field(default_factory=list)
    baseline: Text | None = None
    bead_max_age_hours: Positive | None = None
    timezone: Text | None = None
    date_format: Text | None = None
    assay_cv: Annotated[float, Field(ge=0, lt=1)] | None = None
    primary_marker: Text | None = None
    compare_across_lysis: bool | None = None
    compare_across_sites: bool | None = None


class LotTable(TomlTable):
    """[bead_lots.*]."""

    pe_molecules: Annotated[list[Positive], Field(min_length=3), AfterValidator(_distinct)]
    expires: date | None = None


class AbcTable(TomlTable):
    """[assays.*.abc]."""

    population: Text
    channel: Text
    statistic: StatisticName | None = None
    pe_per_antibody: Positive | None = None
    min_events: Count | None = None
    cutoffs: Annotated[list[Positive], AfterValidator(ascending)] | None = None


class LimitsTable(TomlTable):
    """[assays.*.limits]."""

    recommended_cells: Count | None = None
    saturated_fraction: Fraction | None = None
    staining_delay_hours: dict[str, Positive] | None = None
    voltage_tolerance: Annotated[float, Field(ge=0)] | None = None
    bead_recovery: Around | None = None
    bead_slope: Around | None = None
    bead_slope_fail: Around | None = None
    bead_r_squared: Fraction | None = None
    bead_level_events: Count | None = None
    bead_level_events_fail: Count | None = None
    bead_level_cv: Positive | None = None


class CountingLotTable(TomlTable):
    """[counting_lots.*]."""

    beads_per_tube: Positive | None = None
    beads_per_ul: Positive | None = None
    cv: Annotated[float, Field(ge=0, lt=1)] | None = None
    expires: date | None = None


class CountingTable(TomlTable):
    """[assays.*.counting]."""

    beads: Text | None = None
    bead_doublets: Text | None = None
    blood_count: Text | None = None
    blood_count_share: Text | None = None
    of: Text | None = None
    blood_count_hours: Positive | None = None
    blood_count_cv: Annotated[float, Field(ge=0, lt=1)] | None = None
    min_beads: Count | None = None
    recommended_beads: Count | None = None
    bead_doublet_fraction: Fraction | None = None
    lymphosum: Names | None = None
    lymphosum_of: Text | None = None
    lymphosum_limits: Around | None = None
    t_sum: Names | None = None
    t_sum_of: Text | None = None
    t_sum_limits: Around | None = None
    duplicate_tolerance: Fraction | None = None


class AssayTable(TomlTable):
    """[assays.*]."""

    compensation: Text
    gating: Text
    channels: dict[str, Names] = Field(default_factory=dict)
    abc: AbcTable | None = None
    limits: LimitsTable | None = None
    statistics: dict[str, Names] = Field(default_factory=dict)
    truncated: Literal["refuse", "allow"] = "refuse"
    counting: CountingTable | None = None


class MarkerTable(TomlTable):
    """[markers.*]."""

    assay: Names | None = None
    kind: Literal["abc", "intensity", "fraction", "count", "measurement"]
    population: Text | None = None
    channel: Text | None = None
    of: Text | None = None
    measurement: Text | None = None
    unit: str | None = None
    statistic: StatisticName | None = None


class OutcomeTable(TomlTable):
    """[outcomes.*]."""

    event_day: Text
    competing_day: Annotated[list[Text], BeforeValidator(_as_list)] = Field(default_factory=list)
    observed_until: Text | None = None
    horizon: Positive | None = None


class _Window(TomlTable):
    days: Days


@dataclass(frozen=True, slots=True)
class StudyFile:
    """The sections of a study.toml that could be read, and the names of all that are there."""

    study: StudyTable | None
    windows: dict[str, tuple[float, float]]
    bead_lots: dict[str, LotTable]
    counting_lots: dict[str, CountingLotTable]
    assays: dict[str, AssayTable]
    markers: dict[str, MarkerTable]
    outcomes: dict[str, OutcomeTable]
    # section -> its keys, and assay -> its roles, those that could not be read included: what is
    # declared wrongly is reported once, and not again as unknown wherever it is used
    names: dict[str, tuple[str, ...]]
    roles: dict[str, tuple[str, ...]]
    # sections as they stand, of which `analysis_sections` says what they may hold
    raw: dict[str, dict[str, Any]]


def read_study_file(path: Path, problems: Problems) -> StudyFile | None:
    """Read and check a study.toml; None where it is no TOML at all."""
    document = _document(path, problems)
    if document is None:
        return None
    for section in document:
        if section not in SECTIONS:
            problems.error(
                FILE,
                section,
                f"is no section of a study.{nearest(section, SECTIONS)} "
                f"Sections: {listed(SECTIONS)}.",
            )
    tables = {name: _table(document, name, problems) for name in SECTIONS}
    if "study" not in document:
        problems.error(FILE, "study", "this section is needed and not there.")
    if not tables["assays"]:
        problems.error(FILE, "assays", "wanted at least one assay, [assays.NAME].")
    study = tables["study"]
    return StudyFile(
        study=checked(StudyTable, study, ("study",), problems) if "study" in document else None,
        windows=_windows(tables["timepoints"], problems),
        bead_lots=_all(LotTable, "bead_lots", tables, problems),
        counting_lots=_all(CountingLotTable, "counting_lots", tables, problems),
        assays=_all(AssayTable, "assays", tables, problems),
        markers=_all(MarkerTable, "markers", tables, problems),
        outcomes=_all(OutcomeTable, "outcomes", tables, problems),
        names={name: tuple(table) for name, table in tables.items()},
        roles={name: _roles(table) for name, table in tables["assays"].items()},
        raw=tables,
    )


def _document(path: Path, problems: Problems) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > MAX_BYTES:
            problems.error(FILE, "", f"is larger than {MAX_BYTES // 2**20} MiB. Is it the file?")
            return None
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        problems.error(FILE, "", f"there is no {path.name} in {path.parent}. Name the study's "
                       "folder or its study.toml.")  # fmt: skip
        return None
    except OSError as error:
        problems.error(FILE, "", f"cannot be opened: {error.strerror or error}.")
        return None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problems.error(FILE, f"line {line}", "is not UTF-8. Save the file again as UTF-8.")
        return None
    if data.startswith(b"\xef\xbb\xbf"):
        problems.warning(FILE, "", "begins with a byte order mark, which was skipped")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).partition(" (at ")
        problems.error(FILE, place.rstrip(")"), f"is not TOML: {what}.")
        return None


def _table(document: Mapping[str, Any], section: str, problems: Problems) -> dict[str, Any]:
    value = document.get(section, {})
    if isinstance(value, dict):
        return value
    problems.error(FILE, section, f"found {short(value)}; wanted a section, [{section}].")
    return {}


def _roles(assay: Any) -> tuple[str, ...]:
    channels = assay.get("channels") if isinstance(assay, dict) else None
    return tuple(channels) if isinstance(channels, dict) else ()


def _windows(table: Mapping[str, Any], problems: Problems) -> dict[str, tuple[float, float]]:
    windows = {}
    for name, days in table.items():
        window = checked(_Window, {"days": days}, ("timepoints", name), problems, skipped=1)
        if window is not None:
            windows[name] = (window.days[0], window.days[1])
    return windows


def _all(
    kind: type[Kind], section: str, tables: Mapping[str, dict[str, Any]], problems: Problems
) -> dict[str, Kind]:
    found = {
        name: checked(kind, table, (section, name), problems)
        for name, table in tables[section].items()
    }
    return {name: table for name, table in found.items() if table is not None}
