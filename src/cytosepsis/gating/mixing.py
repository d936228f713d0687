"""Which columns of a file, with which weights, make the values of an axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cytosepsis.compensation import Spillover, match_detectors, unmixing
from cytosepsis.errors import CompensationError
from cytosepsis.gating.plan import (
    DEFAULT_COMPENSATION,
    FILE_COMPENSATION,
    UNCOMPENSATED,
    Axis,
)
from cytosepsis.gating.row_form import RowForm
from cytosepsis.panel import is_scatter

Terms = tuple[tuple[int, float], ...]  # (column, weight)

_NO_RATIO = (1.0, 0.0, 0.0, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Mix:
    """An axis as the walk computes it; what stands after the dividend's terms divides."""

    terms: Terms
    n_dividend: int
    ratio: tuple[float, ...] = _NO_RATIO  # see `kernels.program.Program`

    @property
    def is_bare(self) -> bool:
        """Whether it is a column as it is."""
        return len(self.terms) == 1 and self.terms[0][1] == 1.0


def is_never_compensated(form: RowForm, column: int) -> bool:
    """Whether a column is scatter or time, which no matrix changes."""
    parameter = form.parameters[column]
    return parameter.is_time or is_scatter(parameter.pnn)


def unmixed_names(
    asked: Iterable[tuple[str, str]],
    matrices: Mapping[str, Spillover | None],
    roles: Mapping[str, Sequence[str]],
    pnn: Sequence[str],
    pns: Sequence[str],
) -> dict[tuple[str, str], str]:
    """Of (channel, compensation), those that mean a fluorochrome of the matrix: which.

    A spectral matrix's fluorochromes go before the file's parameters, which may be called the
    same; a square one's are looked for where the file has no such $PnN.
    """
    found: dict[tuple[str, str], str] = {}
    for channel, compensation in asked:
        matrix = matrices.get(compensation)
        if matrix is None:
            continue
        for name in roles.get(channel, (channel,)):
            if name in matrix.fluorochromes and (not matrix.is_square or name not in pnn):
                found[channel, compensation] = name
                break
            if name in pnn or name in pns:
                break  # of a role's names the first that is there counts
    return found


class Compensation:
    """The mix of every axis, on files of one form."""

    def __init__(
        self,
        form: RowForm,
        matrices: Mapping[str, Spillover | None],
        columns: Mapping[str, int],
        unmixed: Mapping[tuple[str, str], str],
    ) -> None:
        self.form, self.matrices = form, matrices
        self.columns, self.unmixed = columns, unmixed
        self._unmixing: dict[str, dict[str, Terms]] = {}

    def mix(self, axis: Axis) -> Mix:
        """Columns and weights of an axis; of a ratio, those of both."""
        dividend = self._terms(axis.channel, axis.compensation)
        if axis.ratio is None:
            return Mix(dividend, len(dividend))
        ratio = axis.ratio
        divisor = self._terms(ratio.divisor, axis.compensation)
        low, high = (math.nan if b is None else b for b in (ratio.bound_min, ratio.bound_max))
        numbers = (ratio.factor, ratio.offset, ratio.divisor_offset, low, high)
        return Mix(dividend + divisor, len(dividend), numbers)

    def _terms(self, channel: str, compensation: str) -> Terms:
        fluorochrome = self.unmixed.get((channel, compensation))
        if fluorochrome is not None:
            return self._rows(compensation)[fluorochrome]
        column = self.columns[channel]
        alone = ((column, 1.0),)
        if compensation == UNCOMPENSATED or is_never_compensated(self.form, column):
            return alone
        spillover = self._spillover(compensation)
        name = self.form.parameters[column].pnn
        if spillover is None or name not in spillover.detectors:
            # A matrix that does not fit the file is refused, whichever axis asks first.
            self._rows(compensation)
            return alone
        if not spillover.is_square:
            raise CompensationError(
                f"the spectral matrix {spillover.source or compensation} unmixes "
                f"{', '.join(spillover.fluorochromes)}; its detector {name} has no compensated "
                "value. Gate on a fluorochrome, or on the detector uncompensated"
            )
        own = spillover.fluorochromes[spillover.detectors.index(name)]
        return self._rows(compensation)[own]

    def _rows(self, name: str) -> dict[str, Terms]:
        """Terms of every fluorochrome of a matrix."""
        if name not in self._unmixing:
            spillover = self._spillover(name)
            self._unmixing[name] = {} if spillover is None else self._unmix(spillover)
        return self._unmixing[name]

    def _unmix(self, spillover: Spillover) -> dict[str, Terms]:
        columns = match_detectors(spillover, [p.pnn for p in self.form.parameters])
        weights = unmixing(spillover)
        return {
            fluorochrome: tuple(
                (source, float(weights[i, j]))
                for i, source in enumerate(columns)
                if weights[i, j] != 0.0  # an absent share must not turn infinity into NaN
            )
            for j, fluorochrome in enumerate(spillover.fluorochromes)
        }

    def _spillover(self, name: str) -> Spillover | None:
        try:
            return self.matrices[name]
        except KeyError:
            brought = (DEFAULT_COMPENSATION, FILE_COMPENSATION)
            known = ", ".join(key for key in self.matrices if key not in brought) or "none"
            raise CompensationError(
                f"the plan refers to the matrix {name!r}; it brings: {known}"
            ) from None
