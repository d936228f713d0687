"""What the checks of one file's acquisition found: frozen records, and masks made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cytosepsis.quality.settings import Check, Verdict

# Why a check could not be made, or was made with reserve; see docs/quality.md.
CheckStatus = Literal[
    "ok",
    "few_events",
    "no_time",
    "time_constant",
    "time_coarse",
    "time_unsorted",
    "constant",
    "counter",
    "not_a_number",
]
Kind = Literal[
    "gap",
    "slow",
    "burst",
    "rate_step",
    "time_restart",
    "time_wrap",
    "step",
    "excursion",
    "drift",
]


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of the acquisition in which something is odd."""

    kind: Kind
    first_event: int  # from 0, in file order
    n_events: int  # 0 of a gap
    start_seconds: float | None  # on the file's clock, counted on across restarts; None: no clock
    stop_seconds: float | None
    size: float  # gap: seconds; rate: ratio to the usual rate; signal: decades


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check, of one channel where it looks at channels."""

    check: Check
    channel: str | None  # $PnN; None of the flow rate
    status: CheckStatus
    verdict: Verdict | None  # None: the check could not be made
    n_flagged: int = 0
    fraction_flagged: float | None = None
    size: float | None = None  # the largest of its windows' sizes, or what there is instead of any
    windows: tuple[Window, ...] = ()
    flagged: tuple[tuple[int, int], ...] = ()  # first event and the one after the last; not margin
    n_top: int | None = None  # margin: events at or above the top of the scale
    n_floor: int | None = None  # margin: events in the lowest value, where they pile up there
    n_nan: int | None = None  # margin: events that are no number


@dataclass(frozen=True, slots=True)
class QualityBin:
    """A stretch of events of about equal number, for plots over time."""

    first_event: int
    n_events: int
    start_seconds: float | None
    events_per_second: float | None
    medians: tuple[float | None, ...]  # linear, uncompensated, per channel of the report


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Verdict on one file's acquisition, with the numbers and stretches behind it."""

    n_events: int
    verdict: Verdict | None  # the worst of the checks that could be made; None: none could
    flags: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    channels: tuple[str, ...]  # $PnN of what was looked at
    bins: tuple[QualityBin, ...] = ()

    def flagged(self, *checks: Check) -> tuple[tuple[int, int], ...]:
        """Stretches of events that checks flag (default: rate and signal), joined and in order.

        Each is (first event, the one after the last). Margins flag single events, not stretches:
        `margin_mask`.
        """
        asked = checks or ("rate", "signal")
        return joined(r for result in self.checks if result.check in asked for r in result.flagged)

    def kept(self) -> tuple[tuple[int, int], ...]:
        """Stretches of events that neither rate nor signal flags, as `flagged` gives them."""
        borders = [0, *(border for stretch in self.flagged() for border in stretch), self.n_events]
        pairs = zip(borders[::2], borders[1::2], strict=True)
        return tuple((first, stop) for first, stop in pairs if stop > first)

    def mask(self, *checks: Check) -> NDArray[np.bool_]:
        """Events that checks flag (default: rate and signal): bool (n_events,), in file order."""
        mask = np.zeros(self.n_events, dtype=np.bool_)
        for first, stop in self.flagged(*checks):
            mask[first:stop] = True
        return mask


def joined(stretches: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Stretches in order, those that touch or overlap made one."""
    found: list[tuple[int, int]] = []
    for first, stop in sorted(stretches):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((first, stop))
    return tuple(found)
