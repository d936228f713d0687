"""Ways of doing one job, timed in rounds: what a row of the page of benchmarks holds."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Way = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """One job: seconds of each way in each round."""

    job: str
    n_events: int
    seconds: Mapping[str, tuple[float, ...]]

    def ratio(self, slow: str, fast: str) -> str:
        """Median and range over the rounds of slow / fast; a dash where a way is missing."""
        if slow not in self.seconds or fast not in self.seconds:
            return "–"
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        ratios = sorted(above / below for above, below in pairs)
        return f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"

    def median(self, way: str) -> float | None:
        """Median seconds of a way; None where it is missing."""
        return statistics.median(self.seconds[way]) if way in self.seconds else None


def differ(what: str) -> None:
    """Stop: times of different answers are not compared."""
    sys.exit(f"The two sides do not give the same answer on {what}: nothing was measured.")


def interleaved(ways: Mapping[str, Way], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of each way in each round, one uncounted round first."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            gc.collect()
            start = time.perf_counter()
            way()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: tuple(values) for name, values in seconds.items()}
