"""The simple way: how far the medians of stained and unstained cells lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

POSITIVE_QUANTILE = 0.995  # of the unstained events in a detector; brighter ones are stained
MIN_POSITIVE = 20  # events
STRAY = 4.0  # robust standard deviations


def by_medians(controls: Sequence[Float], unstained: Float) -> Float:
    """Matrix of median differences, float64 (n_detectors, n_detectors), the diagonal 1.

    Of a control the events that are brighter in its own detector than 99.5 % of the unstained ones
    count. A row is NaN beside its diagonal where they are fewer than 20.

    Parameters
    ----------
    controls : for detector i the events of its control, (n_events_i, n_detectors)
    unstained : (n_events, n_detectors)
    """
    matrix = np.eye(len(controls))
    background = np.median(unstained, axis=0)
    limits = np.quantile(unstained, POSITIVE_QUANTILE, axis=0)
    for i, values in enumerate(controls):
        positive = values[values[:, i] > limits[i]]
        above = np.full(len(controls), np.nan)
        if len(positive) >= MIN_POSITIVE:
            above = np.median(positive, axis=0) - background
        matrix[i] = above / above[i]
        matrix[i, i] = 1.0
    return matrix


def background_of(unstained: Float) -> Float:
    """Mean intensity of unstained cells per detector, (n_detectors,), strays left out.

    The mean, not the median: the light of the dye is added to all of a cell's own light, so a line
    through bright events leads back to its mean.
    """
    middle = np.median(unstained, axis=0)
    width = 1.4826 * np.median(np.abs(unstained - middle), axis=0)
    near = np.abs(unstained - middle) <= STRAY * width
    return np.asarray(np.mean(unstained, axis=0, where=near), dtype=np.float64)
