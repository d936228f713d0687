"""Which of the ways to a coefficient is taken, dye by dye and detector by detector.

`line`: a control's own events, dim and bright, lie on a line; nothing else is assumed.
`line_through_unstained`: they determine the line badly (beads of one brightness); it is led through
the background of unstained cells.
`medians`: the two lines contradict each other, so the relation is not one line from unstained to
stained; what compensation promises then is that their medians are level. Always flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import CompensationError
from cytosepsis.spillover_controls.medians import background_of, by_medians
from cytosepsis.spillover_controls.refinement import Refined, refine

Float = NDArray[np.float64]
Method = Literal["regression", "medians"]
Way = Literal["line", "line_through_unstained", "medians"]

# Our proposals: a hundredth of a bright dye is what a careful lab still sees.
SLOPE_LIMIT = 0.01  # remaining slope, standard error, difference of methods
CERTAIN = 4.0  # standard errors that a difference must exceed to count as one
WELL_KNOWN = 0.0005  # standard error of a slope up to which a control needs no other's background


@dataclass(frozen=True, slots=True)
class Chosen:
    """The matrix, and what each coefficient rests on."""

    matrix: Float  # (n_detectors, n_detectors), the diagonal 1
    standard_errors: Float  # NaN: by medians
    simple: Float | None  # by medians; None without an unstained control
    ways: tuple[tuple[Way, ...], ...]
    n_rounds: int  # 0: medians
    largest_slope: float  # at which the refinement stopped; NaN: medians


def choose(controls: Sequence[Float], unstained: Float | None, method: Method) -> Chosen:
    """Estimate every coefficient in the way its control allows.

    Parameters
    ----------
    controls : for detector i the events of its control, (n_events_i, n_detectors), linear
    unstained : (n_events, n_detectors)

    Raises
    ------
    CompensationError
        `no_unstained`, `too_few_stained` (medians), `not_converged`, `controls_alike`.
    """
    n = len(controls)
    simple = None if unstained is None else by_medians(controls, unstained)
    if method == "medians":
        return _medians_only(simple)
    if unstained is None:
        return _by_lines(refine(controls), "line", None)
    through = refine(controls, background_of(unstained))
    try:
        own = refine(controls)
    except CompensationError:
        # Without negatives a control's own events may determine no line at all.
        return _by_lines(through, "line_through_unstained", simple)
    assert simple is not None
    matrix, errors = own.matrix.copy(), own.standard_errors.copy()
    ways: list[list[Way]] = [["line"] * n for _ in range(n)]
    apart = np.abs(own.matrix - through.matrix)
    for i, j in np.argwhere(~np.eye(n, dtype=np.bool_)):
        if apart[i, j] > max(SLOPE_LIMIT, CERTAIN * errors[i, j]) and np.isfinite(simple[i, j]):
            ways[i][j], matrix[i, j], errors[i, j] = "medians", simple[i, j], np.nan
        elif errors[i, j] > WELL_KNOWN:
            ways[i][j] = "line_through_unstained"
            matrix[i, j], errors[i, j] = through.matrix[i, j], through.standard_errors[i, j]
    return Chosen(
        matrix,
        errors,
        simple,
        tuple(tuple(row) for row in ways),
        max(own.n_rounds, through.n_rounds),
        max(own.largest_slope, through.largest_slope),
    )


def _by_lines(refined: Refined, way: Way, simple: Float | None) -> Chosen:
    n = len(refined.matrix)
    return Chosen(
        refined.matrix,
        refined.standard_errors,
        simple,
        _everywhere(way, n),
        refined.n_rounds,
        refined.largest_slope,
    )


def _medians_only(simple: Float | None) -> Chosen:
    if simple is None:
        raise CompensationError(
            "medians need an unstained control, and none is named. Add its row (role unstained), "
            "or use the regression",
            code="no_unstained",
        )
    if not np.isfinite(simple).all():
        rows = [str(i + 1) for i in np.flatnonzero(~np.isfinite(simple).all(axis=1))]
        raise CompensationError(
            f"medians: control {', '.join(rows)} (in the order of the detectors) has fewer than 20 "
            "events brighter than the unstained one. Check the stain, or use the regression",
            code="too_few_stained",
        )
    n = len(simple)
    unknown = np.full((n, n), np.nan)
    return Chosen(simple, unknown, simple, _everywhere("medians", n), 0, float("nan"))


def _everywhere(way: Way, n: int) -> tuple[tuple[Way, ...], ...]:
    row = tuple(way for _ in range(n))
    return tuple(row for _ in range(n))
