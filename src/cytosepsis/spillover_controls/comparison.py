"""A matrix from elsewhere against the controls: the same, transposed, rows exchanged, or other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cytosepsis.compensation import Spillover
from cytosepsis.errors import CompensationError

Float = NDArray[np.float64]
Verdict = Literal["agrees", "matrix_transposed", "matrix_rows_swapped", "matrix_differs"]

TOLERANCE = 0.02  # of a coefficient: what two careful labs differ by
CLEARLY = 3.0  # times nearer, to say that a matrix is transposed or its rows exchanged


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a given matrix stands to the one from controls."""

    verdict: Verdict
    largest_difference: float
    fluorochrome: str  # of the largest difference
    detector: str
    rows: tuple[str, ...] = ()  # exchanged: the detector whose row stands in each place


def compare(given: Spillover, from_controls: Spillover) -> Comparison:
    """Compare a given matrix with that of the controls, detector by detector.

    Rows are divided by their diagonal first. `agrees`: no coefficient differs by more than
    `TOLERANCE`. Else, where the transposed matrix, or the one with its rows in another order, lies
    at least `CLEARLY` times nearer than the matrix as it stands, that is said.

    Raises
    ------
    CompensationError
        The given matrix is not square, or does not have the detectors of the controls.
    """
    missing = [name for name in from_controls.detectors if name not in given.detectors]
    if missing or not given.is_square:
        raise CompensationError(
            f"{given.source or 'the matrix'} cannot be compared: it is not square or lacks "
            f"{', '.join(missing) or 'rows'}; it has {', '.join(given.detectors)}",
            code="not_comparable",
        )
    places = [given.detectors.index(name) for name in from_controls.detectors]
    raw = given.array()[np.ix_(places, places)]
    true = from_controls.array()
    theirs = raw / np.diag(raw)[:, None]
    away = np.abs(theirs - true)
    i, j = (int(k) for k in np.unravel_index(int(away.argmax()), away.shape))
    rows = _best_rows(raw, true)
    verdict: Verdict = "agrees"
    if away[i, j] > TOLERANCE:
        verdict = "matrix_differs"
        columns = raw / np.diag(raw)[None, :]
        if CLEARLY * np.abs(columns.T - true).max() < away[i, j]:
            verdict = "matrix_transposed"
        elif rows != tuple(range(len(rows))) and (
            CLEARLY * np.abs(_normalised(raw[list(rows)]) - true).max() < away[i, j]
        ):
            verdict = "matrix_rows_swapped"
    return Comparison(
        verdict,
        float(away[i, j]),
        from_controls.fluorochromes[i],
        from_controls.detectors[j],
        tuple(from_controls.detectors[k] for k in rows) if verdict == "matrix_rows_swapped" else (),
    )


def _best_rows(raw: Float, true: Float) -> tuple[int, ...]:
    """Order of the given rows that brings them nearest to the true ones, by their direction."""
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  (slow to import)

    def unit(rows: Float) -> Float:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), dtype=np.float64)

    _, order = linear_sum_assignment(-(unit(true) @ unit(raw).T))
    return tuple(int(k) for k in order)


def _normalised(rows: Float) -> Float:
    diagonal = np.diag(rows)
    return np.asarray(rows / np.where(diagonal > 0, diagonal, np.nan)[:, None], dtype=np.float64)
