"""Typed look-ups in a parsed TOML document that note every fault with its place, and go on."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING
from typing import Any


class TomlTable:
    """A table of the document: look-ups that note a fault and go on with a stand-in."""

    def __init__(
        self, values: Mapping[str, Any], place: str, faults: list[str], label: str = ""
    ) -> None:
        self.values = values
        self.place = place
        self.faults = faults
        self.label = label  # what a reader calls this place, e.g. the gate's name

    @classmethod
    def of(cls, value: object, place: str, faults: list[str], label: str = "") -> TomlTable:
        """Return the reader of a value that should be a table; of an empty one where it is not."""
        if isinstance(value, Mapping):
            return cls(value, place, faults, label)
        faults.append(f"{place}{label}: a table was expected, found {shown(value)}")
        return cls({}, place, faults, label)

    def fault(self, key: str, message: str) -> None:
        """Note a fault at a key of this table; at the table itself where the key is empty."""
        dot = "." if self.place and key else ""
        self.faults.append(f"{self.place}{dot}{key}{self.label}: {message}")

    def get(self, key: str, kinds: tuple[type, ...], wanted: str, default: Any) -> Any:
        """Look up a value; `default` where it is absent, MISSING there means it is needed."""
        value = self.values.get(key, default)
        if value is MISSING:
            self.fault(key, f"{wanted} is needed here")
        elif value is not default and (
            not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        ):
            self.fault(key, f"{wanted} was expected, found {shown(value)}")
            return MISSING
        return value

    def text(self, key: str, default: Any = MISSING) -> str:
        """Look up text; empty where it is faulty."""
        value = self.get(key, (str,), "text", default)
        return "" if value is MISSING else str(value)

    def number(self, key: str, default: Any = MISSING) -> float:
        """Look up a number, whole or not; NaN where it is faulty."""
        value = self.get(key, (int, float), "a number", default)
        return math.nan if value is MISSING else float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Look up true or false."""
        value = self.get(key, (bool,), "true or false", default)
        return default if value is MISSING else bool(value)

    def table(self, key: str, default: Any = MISSING) -> Mapping[str, Any]:
        """Look up a table; empty where it is faulty."""
        value = self.get(key, (Mapping,), "a table", default)
        return {} if value is MISSING else dict(value)

    def array(self, key: str, default: Any = MISSING) -> list[Any]:
        """Look up an array; empty where it is faulty."""
        value = self.get(key, (list,), "an array", default)
        return [] if value is MISSING else list(value)

    def numbers(self, key: str, default: Any = MISSING) -> tuple[float, ...]:
        """Look up an array of numbers; empty where it is faulty."""
        values = self.array(key, default)
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            self.fault(key, f"an array of numbers was expected, found {shown(values)}")
            return ()
        return tuple(float(value) for value in values)

    def rows(self, key: str) -> tuple[tuple[float, ...], ...]:
        """Look up an array of arrays of numbers."""
        rows = {f"{key}[{index}]": row for index, row in enumerate(self.array(key))}
        reader = TomlTable(rows, self.place, self.faults, self.label)
        return tuple(reader.numbers(place) for place in rows)

    def child(self, key: str, value: object = MISSING) -> TomlTable:
        """Return the reader of a table under `key`: of `value`, or of what stands there."""
        values = self.table(key) if value is MISSING else value
        return TomlTable.of(values, f"{self.place}.{key}", self.faults, self.label)

    def refuse_others(self, known: Iterable[str], what: str = "") -> None:
        """Note every key that is not known, with the nearest that is."""
        known = tuple(known)
        for key in self.values:
            if key not in known:
                self.fault(key, f"unknown key{what}; {suggestion(key, known)}")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant; all of them where none is near."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"


def shown(value: object) -> str:
    """Show a value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
