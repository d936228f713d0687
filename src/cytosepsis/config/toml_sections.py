"""One table of a study.toml: what it may hold, and its faults in words of the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from cytosepsis.config.problems import Problems, listed, nearest

FILE = "study.toml"


class TomlTable(BaseModel):
    """A table of a study.toml; an unknown key is a fault."""

    # No default stands here: what study.toml leaves out takes the default of the frozen record.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    def given(self, *names: str) -> dict[str, Any]:
        """Collect the keys that study.toml sets (of some names, or all), lists as tuples."""
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self
            if name in self.model_fields_set and (not names or name in names)
        }


Kind = TypeVar("Kind", bound=TomlTable)


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


def checked(
    kind: type[Kind],
    table: Any,
    place: tuple[str | int, ...],
    problems: Problems,
    *,
    skipped: int = 0,
) -> Kind | None:
    """Check one table; its faulty keys are reported and the rest is read without them.

    None where what is left lacks something that is needed.
    """
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    for fault in faults:
        where = fault["loc"][skipped:]
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


def _message(kind: type[TomlTable], fault: Any) -> str:
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
    return f"found {short(fault['input'])}; {wanted}.{hint}"


def _keys_at(kind: type[TomlTable], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """List the known keys of the table that a fault lies in."""
    for key in location:
        known = kind.model_fields.get(str(key))
        inner = None if known is None else _table_in(known.annotation)
        kind = inner or kind
    return tuple(kind.model_fields)


def _table_in(annotation: Any) -> type[TomlTable] | None:
    """Find the table that a key holds, itself or in a list or under names."""
    if isinstance(annotation, type) and issubclass(annotation, TomlTable):
        return annotation
    return next((t for t in map(_table_in, get_args(annotation)) if t is not None), None)


def short(value: object) -> str:
    """Write a value that was found, cut where it is long."""
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "…"
