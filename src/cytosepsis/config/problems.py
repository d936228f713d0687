"""Where the problems of a study are gathered, so that all are reported together."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from cytosepsis.errors import Problem

# The same fault in every row of a long sheet is shown so often, then only counted.
MAX_ALIKE = 20


class Problems:
    """All problems found so far, in the order of finding."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self._alike: Counter[tuple[Literal["error", "warning"], str, str]] = Counter()

    def error(self, file: str, place: str, message: str, *, kind: str | None = None) -> None:
        """Record what refuses the study; of one `kind` in one file, the first MAX_ALIKE."""
        self._add(Problem(file, place, message, "error"), kind)

    def warning(self, file: str, place: str, message: str, *, kind: str | None = None) -> None:
        """Record what a person should know but refuses nothing; capped like `error`."""
        self._add(Problem(file, place, message, "warning"), kind)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Take over problems that another reader found."""
        for problem in problems:
            self._add(problem, None)

    @property
    def all(self) -> tuple[Problem, ...]:
        """Every problem, errors first, each once."""
        more = (
            Problem(file, kind, f"the same in {count - MAX_ALIKE} more places", severity)
            for (severity, file, kind), count in self._alike.items()
            if count > MAX_ALIKE
        )
        everything = (*self._found, *more)
        return tuple(sorted(everything, key=lambda problem: problem.severity == "warning"))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse the study."""
        return tuple(problem for problem in self.all if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that refuse nothing."""
        return tuple(problem for problem in self.all if problem.severity == "warning")

    def _add(self, problem: Problem, kind: str | None) -> None:
        if problem in self._found:
            return
        if kind is not None:
            key = (problem.severity, problem.file, kind)
            self._alike[key] += 1
            if self._alike[key] > MAX_ALIKE:
                return
        self._found[problem] = None


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Say which known name was probably meant: ` Did you mean "x"?`, or an empty text."""
    by_case = {candidate.casefold(): candidate for candidate in known}
    match = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=cutoff)
    return f' Did you mean "{by_case[match[0]]}"?' if match else ""


def listed(names: Iterable[object], limit: int = 12) -> str:
    """Join names for a message: the first `limit`, then how many more."""
    texts = [str(name) for name in names]
    more = f", … ({len(texts) - limit} more)" if len(texts) > limit else ""
    return (", ".join(texts[:limit]) + more) or "none"
