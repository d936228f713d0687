"""Templates to HTML: everything is escaped, and a page runs no script but the one it is signed for.

A page is one file. Style, script and pictures lie in it; a content security policy names the
digest of the script, so that no text of a sheet or a file can ever become a program, and no address
is asked for anything.
"""
# ruff: noqa: PLC0415 - jinja2 is an extra: imported where pages are made

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from cytosepsis.report.pictures import percent
from cytosepsis.report.site import VERSION

if TYPE_CHECKING:
    from jinja2 import Environment

NOTHING = "–"
Kind = Literal["text", "number", "status", "flags", "link"]


@dataclass(frozen=True, slots=True)
class Head:
    """One column of a table that can be sorted and filtered."""

    label: str
    kind: Kind = "text"
    choose: bool = False  # whether a list of its values filters
    title: str = ""  # what it means


@dataclass(frozen=True, slots=True)
class Grid:
    """A table that can be sorted, filtered and paged; rows are drawn by the page's script.

    A cell is text, a number or None; of `link` a pair (text, address within the report).
    """

    name: str  # of its element, unique in the page
    caption: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[object]]
    file: str = ""  # the table that has all of it
    search: str = "Search"  # what the text field looks for

    @property
    def data(self) -> str:
        """Columns and rows as JSON that cannot end the element it lies in."""
        heads = [
            {"label": h.label, "kind": h.kind, "choose": h.choose, "title": h.title}
            for h in self.heads
        ]
        text = json.dumps(
            {"heads": heads, "rows": [[_plain(cell) for cell in row] for row in self.rows]},
            ensure_ascii=False,
            separators=(",", ":"),
            allow_nan=False,
        )
        for character in "<>&\u2028\u2029":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return text


def _plain(cell: object) -> object:
    match cell:
        case datetime() | date():
            return moment(cell)
        case tuple():
            return [_plain(part) for part in cell]
        case float() if not math.isfinite(cell):
            return None
        case None | bool() | int() | float() | str():
            return cell
        case _:
            return str(cell)


def render(template: str, **context: Any) -> str:
    """One page from a template and what it shows."""
    return _environment().get_template(template).render(**context)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cytosepsis.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, css = _text("page.js"), _text("page.css")
    environment.globals |= {
        "script": script,
        "script_digest": script_digest(script),
        "css": css,
        "version": VERSION,
        "nothing": NOTHING,
    }
    environment.filters |= {
        "number": number,
        "count": count,
        "percent": lambda value: NOTHING if value is None else percent(value),
        "share": share,
        "moment": moment,
        "interval": interval,
        "known": lambda value: NOTHING if value is None or value == "" else value,
    }
    return environment


@lru_cache(maxsize=4)
def _text(name: str) -> str:
    folder = resources.files("cytosepsis.report") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def script_digest(script: str) -> str:
    """What a page's policy names a script by that may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def number(value: float | None, digits: int = 3) -> str:
    """A number of so many figures; thousands are whole and grouped."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def interval(ends: tuple[float | None, float | None]) -> str:
    """Both ends of an interval; where either is not known, nothing."""
    low, high = ends
    return NOTHING if low is None or high is None else f"{number(low)} to {number(high)}"


def count(value: int | None) -> str:
    """A whole number, grouped."""
    return NOTHING if value is None else f"{value:,}"


def share(value: float | None) -> str:
    """A fraction in per cent, one decimal; it may pass 100 %."""
    return NOTHING if value is None else f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def moment(value: datetime | date | None) -> str:
    """A date, with hour and minute where it has them."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return value.isoformat()
