"""Events without a file: `RawEvents` whose values are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from cytosepsis.fcs import RawEvents
from cytosepsis.fcs_layout import Layout, Parameter


def raw_of(
    events: Any, pnn: Sequence[str], *, keywords: Mapping[str, str] = MappingProxyType({})
) -> RawEvents:
    """Return a file's events as they would be read, float64 (n_events, n_parameters)."""
    values = np.ascontiguousarray(events, dtype=np.float64).reshape(-1, len(pnn))
    parameters = tuple(
        Parameter(name, "", 64, 262144.0, 0.0, 0.0, None, None, name.lower() == "time")
        for name in pnn
    )
    return RawEvents(
        path="none",
        version="3.1",
        keywords=MappingProxyType(dict(keywords)),
        parameters=parameters,
        n_events=len(values),
        layout=Layout("D", None, 64 * len(pnn), 0),
        decoded=values,
    )
