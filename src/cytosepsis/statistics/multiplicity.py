"""p values adjusted for their number, by statsmodels; absent ones stay absent and do not count."""
# ruff: noqa: PLC0415 - statsmodels takes a second: imported where it is used

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Method = Literal["bh", "holm"]
_NAMES = {"bh": "fdr_bh", "holm": "holm"}


def adjusted(p_values: Sequence[float | None], method: Method) -> list[float | None]:
    """Benjamini-Hochberg's (1995) or Holm's (1979) adjusted p, in the order given."""
    there = [p for p in p_values if p is not None]
    if not there:
        return [None] * len(p_values)
    from statsmodels.stats.multitest import multipletests

    values = iter(multipletests(there, method=_NAMES[method])[1])
    return [None if p is None else float(next(values)) for p in p_values]
