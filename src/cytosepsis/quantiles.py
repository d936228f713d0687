"""Quantiles of the normal and of Student's t distribution, without scipy where a table has them.

Importing `scipy.special` takes as long as making all tables of a small study. What nearly every
study asks is a 95 % interval with the few degrees of freedom that a bead lot leaves: those are kept
here, to the bit as scipy gives them.
"""

from __future__ import annotations

_UPPER = 0.975  # of a 95 % interval
_NORMAL = 1.959963984540054
_STUDENT = (  # of 1, 2, 3, ... degrees of freedom
    12.706204736174694,
    4.302652729749462,
    3.1824463052837078,
    2.7764451051977934,
    2.5705818356363146,
    2.4469118511449786,
    2.364624251592784,
    2.306004135204166,
    2.262157162798205,
    2.228138851986274,
    2.200985160091639,
    2.1788128296672284,
)


def normal_quantile(probability: float) -> float:
    """Value below which a standard normal variable lies with a probability."""
    if probability == _UPPER:
        return _NORMAL
    from scipy.special import ndtri  # noqa: PLC0415  (slow to import)

    return float(ndtri(probability))


def student_quantile(freedom: int, probability: float) -> float:
    """Value below which Student's t lies with a probability; NaN without degrees of freedom."""
    if probability == _UPPER and 1 <= freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    from scipy.special import stdtrit  # noqa: PLC0415  (slow to import)

    return float(stdtrit(freedom, probability))
