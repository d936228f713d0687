"""Frozen transform types with the parameters of Gating-ML 2.0 (biex and FlowJo's log: FlowJo's).

A transform maps linear, compensated intensities to the axis on which a gate was drawn. The numbers
are computed in `kernels.transforms`; this module names, checks and lowers them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import GatingError


@dataclass(frozen=True, slots=True)
class Linear:
    """(x + A) / (T + A): maps [-A, T] to [0, 1]. Gating-ML 2.0, 6.1."""

    top: float
    additional: float = 0.0
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """log10(x / T) / M + 1; NaN below zero. Gating-ML 2.0, 6.2."""

    top: float
    decades: float
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Asinh:
    """(asinh(x · sinh(M ln 10) / T) + A ln 10) / ((M + A) ln 10). Gating-ML 2.0, 6.3."""

    top: float
    decades: float
    additional: float = 0.0
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Logicle:
    """Root y of a·e^(by) - c·e^(-dy) - f = x. Moore & Parks 2012, 10.1002/cyto.a.22030."""

    top: float
    width: float
    decades: float
    additional: float = 0.0
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Hyperlog:
    """Root y of a·e^(by) + cy - f = x. Bagwell 2005, 10.1002/cyto.a.20114; Gating-ML 2.0, 6.5."""

    top: float
    width: float
    decades: float
    additional: float = 0.0
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class Biex:
    """FlowJo's biexponential: linear interpolation in a table of `length` + 1 rows.

    Values beyond the table take its first or last row. Parameters carry FlowJo's meaning and
    defaults: `negative` extra decades, `width` basis (negative), `positive` decades, `max_range`.
    The scale runs from 0 to `length`.
    """

    negative: float = 0.0
    width: float = -10.0
    positive: float = 4.418540
    max_range: float = 262144.000029
    length: int = 4096
    bound_min: float | None = None
    bound_max: float | None = None


@dataclass(frozen=True, slots=True)
class OffsetLog:
    """FlowJo 10's logarithm: log10(max(x, offset) / offset) / decades."""

    offset: float
    decades: float
    bound_min: float | None = None
    bound_max: float | None = None


Transform = Linear | Log | Asinh | Logicle | Hyperlog | Biex | OffsetLog
