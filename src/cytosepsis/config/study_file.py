"""study.toml: its keys, checked one section at a time so that all faults are found together."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from cytosepsis.config.problems import Problems, listed, nearest
from cytosepsis.config.sections import (
    SINGLE,
    AssayTable,
    CountingLotTable,
    LotTable,
    MarkerTable,
    OutcomeTable,
    ReagentTable,
    SectionTable,
    StudyTable,
    WindowTable,
)

FILE = "study.toml"
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
    "reagents",
    *SINGLE,
)

MAX_BYTES = 4 * 2**20  # a study.toml is written by hand


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
    reagents: dict[str, ReagentTable]
    single: dict[str, SectionTable]  # sections that are one table, those that are there
    # section -> its keys, and assay -> its roles, those that could not be read included: what is
    # declared wrongly is reported once, and not again as unknown wherever it is used
    names: dict[str, tuple[str, ...]]
    roles: dict[str, tuple[str, ...]]
    # sections as they stand; `analysis_sections` says what three of them may hold
    raw: dict[str, dict[str, Any]]

    def given(self, section: str) -> dict[str, Any]:
        """Collect the keys that a section of one table sets; none where it is not there."""
        return self.single[section].given() if section in self.single else {}


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
        reagents=_all(ReagentTable, "reagents", tables, problems),
        single=_single(tables, problems),
        names={name: tuple(table) for name, table in tables.items()},
        roles={name: _roles(table) for name, table in tables["assays"].items()},
        raw=tables,
    )


def key_path(keys: Iterable[object]) -> str:
    """Write a place in study.toml as TOML would: `assays.mhladr.abc.cutoffs[1]`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
            continue
        name = str(key)
        bare = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
        text += f".{bare}" if text else bare
    return text


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
    problems.error(FILE, section, f"found {_short(value)}; wanted a section, [{section}].")
    return {}


def _roles(assay: Any) -> tuple[str, ...]:
    channels = assay.get("channels") if isinstance(assay, dict) else None
    return tuple(channels) if isinstance(channels, dict) else ()


def _windows(table: Mapping[str, Any], problems: Problems) -> dict[str, tuple[float, float]]:
    windows = {}
    for name, days in table.items():
        window = checked(WindowTable, {"days": days}, ("timepoints", name), problems)
        if window is not None:
            windows[name] = (window.days[0], window.days[1])
    return windows


def _single(tables: Mapping[str, dict[str, Any]], problems: Problems) -> dict[str, SectionTable]:
    found = {
        name: checked(kind, tables[name], (name,), problems)
        for name, kind in SINGLE.items()
        if tables[name]
    }
    return {name: table for name, table in found.items() if table is not None}


_Kind = TypeVar("_Kind", bound=SectionTable)


def _all(
    kind: type[_Kind], section: str, tables: Mapping[str, dict[str, Any]], problems: Problems
) -> dict[str, _Kind]:
    found = {
        name: checked(kind, table, (section, name), problems)
        for name, table in tables[section].items()
    }
    return {name: table for name, table in found.items() if table is not None}


def checked(
    kind: type[_Kind], table: Any, place: tuple[str, ...], problems: Problems
) -> _Kind | None:
    """Check one table; its faulty keys are reported and the rest is read without them.

    None where what is left lacks something that is needed.
    """
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    for fault in faults:
        where = fault["loc"] if kind is not WindowTable else fault["loc"][1:]
        problems.error(FILE, key_path((*place, *where)), _message(kind, fault))
    if not isinstance(table, dict):
        return None
    for fault in faults:
        table = _without(table, fault["loc"])
    try:
        return kind.model_validate(table)
    except ValidationError:
        return None


def _without(table: dict[str, Any], location: tuple[int | str, ...]) -> dict[str, Any]:
    """Copy a table without the innermost key that a fault names."""
    key, *rest = location
    if key not in table:
        return table
    inner = table[str(key)]
    kept = {name: value for name, value in table.items() if name != key}
    if isinstance(inner, dict) and rest and rest[0] in inner:
        kept[str(key)] = _without(inner, tuple(rest))
    return kept


_WANTED = {
    "string_type": "wanted a text in quotes",
    "float_type": "wanted a number",
    "int_type": "wanted a whole number",
    "int_from_float": "wanted a whole number",
    "bool_type": "wanted true or false",
    "list_type": "wanted a list, [..]",
    "dict_type": "wanted a table of keys and values",
    "model_type": "wanted a table of keys and values",
    "date_type": "wanted a date without quotes, such as 2027-01-31",
    "finite_number": "wanted a finite number",
    "string_too_short": "wanted a text that is not empty",
    "greater_than": "wanted more than {gt:g}",
    "greater_than_equal": "wanted {ge:g} or more",
    "less_than": "wanted less than {lt:g}",
    "less_than_equal": "wanted {le:g} or less",
    "literal_error": "wanted {expected}",
    "too_short": "wanted {min_length} or more values",
    "too_long": "wanted at most {max_length} values",
    "value_error": "{error}",
}


def _message(kind: type[SectionTable], fault: Any) -> str:
    """Say what was found and wanted, in words of the file rather than of the library."""
    if fault["type"] == "missing":
        return "is needed and not there."
    if fault["type"] == "extra_forbidden":
        known = _keys_at(kind, fault["loc"][:-1])
        name = str(fault["loc"][-1])
        return f"is no key that is known.{nearest(name, known)} Keys here: {listed(known, 20)}."
    wanted = _WANTED.get(fault["type"], fault["msg"]).format(**fault.get("ctx", {}))
    hint = ""
    if fault["type"] == "literal_error" and isinstance(fault["input"], str):
        hint = nearest(fault["input"], re.findall(r"'([^']*)'", wanted))
    return f"found {_short(fault['input'])}; {wanted}.{hint}"


def _keys_at(kind: type[SectionTable], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """List the known keys of the table that a fault lies in."""
    for key in location:
        known = kind.model_fields.get(str(key))
        kind = (None if known is None else _table_in(known.annotation)) or kind
    return tuple(kind.model_fields)


def _table_in(annotation: Any) -> type[SectionTable] | None:
    """Find the table that a key holds, itself or in a list or under names."""
    if isinstance(annotation, type) and issubclass(annotation, SectionTable):
        return annotation
    return next((t for t in map(_table_in, get_args(annotation)) if t is not None), None)


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "…"
