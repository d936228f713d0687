"""Labelled spillover matrices: from a file's keyword, from CSV; checked, and inverted once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spillover:
    """S[fluorochrome, detector]: how much of each fluorochrome's light each detector sees.

    `detectors` label the columns ($PnN), `fluorochromes` the rows; `matrix` is row-major.
    """

    detectors: tuple[str, ...]
    fluorochromes: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    source: str = ""
