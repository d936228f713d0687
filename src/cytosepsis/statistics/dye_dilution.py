"""Indices of proliferation from cells per generation of a dye dilution.

N_i cells are in generation i, from p_i = N_i / 2^i precursors. Programs give different formulas the
same name (`proliferation index` of R's flowFit is the expansion index here), so each index carries
its formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cytosepsis.errors import CytosepsisError

FORMULAS = {
    "percent_divided": "100 · Σ_{i≥1} p_i / Σ_{i≥0} p_i",
    "division_index": "Σ i·p_i / Σ_{i≥0} p_i",
    "proliferation_index": "Σ_{i≥1} i·p_i / Σ_{i≥1} p_i",
    "expansion_index": "Σ N_i / Σ_{i≥0} p_i",
    "replication_index": "Σ_{i≥1} N_i / Σ_{i≥1} p_i",
}


@dataclass(frozen=True, slots=True)
class DilutionIndex:
    """One index with the formula it was computed by, p_i = N_i / 2^i."""

    name: str
    formula: str
    value: float | None  # None where its denominator is 0


def dilution_indices(counts: Sequence[float]) -> tuple[DilutionIndex, ...]:
    """Every index of `FORMULAS` from the cells in generations 0, 1, 2 and so on.

    Raises CytosepsisError (`dye_dilution`) on no generation or a negative count.
    """
    if not counts or min(counts) < 0:
        raise CytosepsisError(
            "Dye dilution: wanted the cells of generations 0, 1, 2, …, none negative; "
            f"found {list(counts)}.",
            code="dye_dilution",
        )
    precursors = [count / 2**i for i, count in enumerate(counts)]
    everything, divided = sum(precursors), sum(precursors[1:])
    divisions = sum(i * precursor for i, precursor in enumerate(precursors))
    values = {
        "percent_divided": _share(100.0 * divided, everything),
        "division_index": _share(divisions, everything),
        "proliferation_index": _share(divisions, divided),
        "expansion_index": _share(sum(counts), everything),
        "replication_index": _share(sum(counts[1:]), divided),
    }
    return tuple(DilutionIndex(name, FORMULAS[name], value) for name, value in values.items())


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
