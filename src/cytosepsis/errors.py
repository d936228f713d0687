"""The one tree of exceptions, all under `CytosepsisError`; imports nothing of ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self


class CytosepsisError(Exception):
    """Base of every error this package raises on purpose.

    `code` is a stable word for tables and scripts; `file` and `step` are attached on the way up
    (`with_context`), so the place that detects a fault need not know whose file it was.
    """

    default_code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        file: str | None = None,
        step: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.file = file
        self.step = step

    def with_context(self, *, file: str | None = None, step: str | None = None) -> Self:
        """Fill in what is not yet known of the place; what is known already stays."""
        self.file = self.file or file
        self.step = self.step or step
        return self

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.file else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders; the default pickling would lose the keyword-only fields.
        return (_rebuild, (type(self), self.message, self.code, self.file, self.step))


def _rebuild(
    kind: type[CytosepsisError], message: str, code: str, file: str | None, step: str | None
) -> CytosepsisError:
    return kind(message, code=code, file=file, step=step)


class FcsError(CytosepsisError):
    """A file that is not readable as FCS, or whose parts contradict each other."""

    default_code = "fcs_unreadable"


class ChannelError(CytosepsisError):
    """A role or name that the file's parameters do not carry, or carry more than once."""

    default_code = "channel_missing"


class CompensationError(CytosepsisError):
    """A spillover matrix that cannot be read, matched or inverted."""

    default_code = "compensation"


class GatingError(CytosepsisError):
    """A gating plan that cannot be read or applied."""

    default_code = "gating_plan"


class CalibrationError(CytosepsisError):
    """A bead file or lot from which no line can be fitted."""

    default_code = "calibration"


class StoreError(CytosepsisError):
    """A results folder that cannot be written, or belongs to another run."""

    default_code = "results_folder"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a study: where, what was found, what was wanted, what to do."""

    file: str
    place: str  # row, key or column; "" where the file itself is meant
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = f"{self.file}: {self.place}" if self.place else self.file
        return f"{where}: {self.message}"


class StudyError(CytosepsisError):
    """A study that cannot be understood; carries every problem found, not only the first."""

    default_code = "study"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(str(problem) for problem in self.problems)
        super().__init__(lines)

    def __reduce__(self) -> tuple[object, ...]:
        return (StudyError, (self.problems,))
