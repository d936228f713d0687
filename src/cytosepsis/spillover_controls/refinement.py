"""All lines of all controls together: the matrix, refined until the residual slopes vanish.

The idea is AutoSpill's (Roca et al. 2021, 10.1038/s41467-021-23126-8): compensate the controls
with the matrix so far, measure the slopes that remain, correct the matrix by them, and repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytosepsis.compensation import MAX_CONDITION_NUMBER
from cytosepsis.errors import CompensationError
from cytosepsis.spillover_controls.lines import Line, Noise, first_line, next_line

Float = NDArray[np.float64]
Lines = dict[tuple[int, int], Line]  # (control, detector) → line

VANISHED = 1e-5  # the largest residual slope, on compensated values, at which the matrix stands
MAX_ROUNDS = 200
WEIGHING_ROUNDS = 8  # then the events' variances stand: weights that follow the lines may circle
PATIENCE = 10  # rounds without a smaller residual slope before the steps are halved


@dataclass(frozen=True, slots=True)
class Refined:
    """A matrix whose residual slopes have vanished, and how it came to be."""

    matrix: Float  # (n_detectors, n_detectors), the diagonal 1
    standard_errors: Float  # of the same shape, the diagonal 0
    largest_slope: float  # remaining, absolute, on compensated values
    n_rounds: int


def refine(controls: Sequence[Float], background: Float | None = None) -> Refined:
    """Find the matrix of single-stain controls.

    Parameters
    ----------
    controls : for detector i the events of its control, (n_events_i, n_detectors), linear
    background : (n_detectors,) intensity of unstained cells, which all lines must pass through;
        None: each line's own background is found with its slope

    Raises
    ------
    CompensationError
        `not_converged`: residual slopes above `VANISHED` after `MAX_ROUNDS`; or the matrix on the
        way cannot be inverted.
    """
    ordered = [values[np.argsort(values[:, i], kind="stable")] for i, values in enumerate(controls)]
    columns = [np.ascontiguousarray(values.T) for values in ordered]
    n = len(columns)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    anchors = {
        (i, j): None if background is None else (float(background[i]), float(background[j]))
        for i, j in pairs
    }
    lines: Lines = {
        (i, j): first_line(columns[i][i], columns[i][j], anchor=anchors[i, j]) for i, j in pairs
    }
    noise = noise_of_detectors(lines, n)
    step, least, since = 1.0, np.inf, 0
    for n_rounds in range(1, MAX_ROUNDS + 1):
        weigh = n_rounds <= WEIGHING_ROUNDS
        if weigh:
            noise = noise_of_detectors(lines, n)
        matrix = _matrix(lines, n)
        lines = {
            (i, j): next_line(
                columns[i][i],
                columns[i][j],
                lines[i, j],
                noise=noise[i],
                anchor=anchors[i, j],
                weigh=weigh,
                step=step,
            )
            for i, j in pairs
        }
        # By linearity the slopes of compensated values are the detectors' slopes, compensated.
        slopes = (_matrix(lines, n) - matrix) / step @ _inverse(matrix)
        largest = float(np.abs(slopes).max())
        if largest <= VANISHED and not weigh:
            errors = np.zeros((n, n))
            for place, line in lines.items():
                errors[place] = line.standard_error
            return Refined(_matrix(lines, n), errors, largest, n_rounds)
        least, since = (largest, 0) if largest < least else (least, since + 1)
        if since >= PATIENCE:
            step, since = step / 2, 0
    i, j = (int(k) for k in np.unravel_index(int(np.abs(slopes).argmax()), slopes.shape))
    raise CompensationError(
        f"the matrix did not settle: after {MAX_ROUNDS} rounds a residual slope of "
        f"{largest:.2g} is left (control {i + 1} in detector {j + 1}; wanted at most "
        f"{VANISHED:g}). Look at these controls: too few stained events, or several populations",
        code="not_converged",
    )


def noise_of_detectors(lines: Lines, n: int) -> list[Noise]:
    """Noise of every detector, from how the distances from all lines vary.

    About the line of control i in detector j the variance is that of j at the light that arrives
    there, and slope² times that of i: constant_j + slope² constant_i, and per light of the control
    slope · per_light_j + slope² · per_light_i. Least squares over all pairs, none negative; what
    the pairs do not tell is shared evenly.
    """
    if n < 2:
        return [Noise()] * n
    constants, growths = [], []
    for (i, j), line in lines.items():
        slope = max(line.slope, 0.0)
        row = np.zeros(n)
        row[j], row[i] = 1.0, slope**2
        constants.append((row, line.variance.constant))
        # pairs with little spill say little about light: weighed down by their slope
        row = np.zeros(n)
        row[j], row[i] = slope, slope**2
        growths.append((row, line.variance.linear))
    return [
        Noise(constant, growth)
        for constant, growth in zip(_shared(constants, n), _shared(growths, n), strict=True)
    ]


def _shared(equations: Sequence[tuple[Float, float]], n: int) -> list[float]:
    """Non-negative least squares, drawn weakly towards equal parts."""
    from scipy.optimize import nnls  # noqa: PLC0415  (slow to import)

    rows = np.array([row for row, _ in equations])
    values = np.array([value for _, value in equations])
    top = float(values.max())
    if top <= 0:
        return [0.0] * n
    total = rows.sum(axis=1)
    even = float(total @ values / max(total @ total, 1e-300))
    weak = 0.05
    design = np.concatenate([rows, weak * np.eye(n)])
    target = np.concatenate([values, np.full(n, weak * even)])
    found, _ = nnls(design, target / top)
    return [float(value) * top for value in found]


def _matrix(lines: Lines, n: int) -> Float:
    matrix = np.eye(n)
    for place, line in lines.items():
        matrix[place] = line.slope
    return matrix


def _inverse(matrix: Float) -> Float:
    condition = float(np.linalg.cond(matrix))
    if not condition <= MAX_CONDITION_NUMBER:
        raise CompensationError(
            "the controls give a matrix that cannot be inverted (condition number "
            f"{condition:.3g}): two of them look alike to the detectors. Check that each file "
            "holds its own dye",
            code="controls_alike",
        )
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
