"""Figures of analyses, each drawn from the rows of one table."""

from __future__ import annotations

from collections.abc import Callable

from cytosepsis.report.site import Shown
from cytosepsis.report.source import Source

_FIGURES: dict[str, Callable[[Source], list[Shown]]] = {}


def figures_of(source: Source, table: str) -> list[Shown]:
    """The figures of a table; most have none."""
    draw = _FIGURES.get(table)
    return draw(source) if draw is not None and source.rows(table) else []
