"""Acquisitions with known disturbances, for the tests and the campaign of acquisition quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cytosepsis.fcs import RawEvents
from events import raw_of

NAMES = ("FSC-A", "SSC-A", "CD14-A", "HLADR-A", "CD3-A", "CD45-A", "Time")
FIRST_FLUORESCENCE = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Acquisition:
    """Events in order: linear values (n, n_channels) and their times in seconds."""

    values: Floats
    seconds: Floats
    names: tuple[str, ...] = NAMES[:-1]
    stained: tuple[int, ...] = (2, 3, 4, 5)  # columns of fluorescence

    def raw(self) -> RawEvents:
        """The same as a file would give it."""
        rows = np.column_stack([self.values, self.seconds])
        return raw_of(rows, (*self.names, "Time"), keywords={"$TIMESTEP": "1"})


def clean(seed: int, n: int, *, rate: float = 1_000.0) -> Acquisition:
    """Lysed blood: lymphocytes, monocytes, granulocytes, debris; a rate that wanders by 5 %."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(4, size=n, p=[0.3, 0.08, 0.5, 0.12])
    # FSC, SSC, CD14, HLA-DR, CD3, CD45: medians per kind
    middle = np.array(
        [
            [70e3, 20e3, 60.0, 90.0, 6e3, 30e3],
            [95e3, 45e3, 8e3, 5e3, 40.0, 18e3],
            [110e3, 120e3, 300.0, 120.0, 50.0, 8e3],
            [15e3, 12e3, 40.0, 40.0, 30.0, 100.0],
        ]
    )
    spread = np.array([0.15, 0.25, 0.5, 0.6, 0.4, 0.3])
    values = middle[kind] * np.exp(spread * rng.standard_normal((n, 6)))
    values[:, FIRST_FLUORESCENCE:] += rng.normal(0.0, 60.0, (n, 4))
    values = np.clip(values, None, 262_143.0)
    wander = np.exp(0.05 * np.sin(np.linspace(0.0, 9.0, n) + seed))
    steps = rng.exponential(1.0 / rate, n) * wander
    return Acquisition(values, 1.0 + np.cumsum(steps))


@dataclass(frozen=True)
class Disturbed:
    """An acquisition, and where its disturbance lies: events, seconds, and its channel if any."""

    acquisition: Acquisition
    first_event: int
    stop_event: int
    start_seconds: float
    stop_seconds: float
    channel: int | None = None


Injection = Callable[[Acquisition, np.random.Generator], Disturbed]


def _place(run: Acquisition, rng: np.random.Generator, share: float) -> tuple[int, int]:
    """A random stretch that holds a share of the events and no end of the file."""
    n = len(run.seconds)
    size = int(share * n)
    first = int(rng.uniform(0.05, 0.95 - share) * n)
    return first, first + size


def _disturbed(run: Acquisition, first: int, stop: int, channel: int | None = None) -> Disturbed:
    seconds = run.seconds
    end = float(seconds[min(stop, len(seconds) - 1)])
    return Disturbed(run, first, stop, float(seconds[first]), end, channel)


def pause(run: Acquisition, rng: np.random.Generator) -> Disturbed:
    """A clog: no event for two seconds."""
    first, _ = _place(run, rng, 0.02)
    seconds = run.seconds.copy()
    seconds[first:] += 2.0
    changed = replace(run, seconds=seconds)
    return Disturbed(changed, first, first, float(seconds[first - 1]), float(seconds[first]))


def clog(run: Acquisition, rng: np.random.Generator) -> Disturbed:
    """A partial clog: a fifth of the rate for a twentieth of the events."""
    first, stop = _place(run, rng, 0.05)
    return _disturbed(_paced(run, first, stop, 5.0), first, stop)


def burst(run: Acquisition, rng: np.random.Generator) -> Disturbed:
    """A burst: five times the rate for a tenth of the events."""
    first, stop = _place(run, rng, 0.10)
    return _disturbed(_paced(run, first, stop, 0.2), first, stop)


def _paced(run: Acquisition, first: int, stop: int, factor: float) -> Acquisition:
    steps = np.diff(run.seconds, prepend=run.seconds[0])
    steps[first:stop] *= factor
    return replace(run, seconds=run.seconds[0] + np.cumsum(steps))


def _scaled(run: Acquisition, channel: int, decades: Floats) -> Acquisition:
    values = run.values.copy()
    values[:, channel] *= 10.0**decades
    return replace(run, values=values)


def step(run: Acquisition, rng: np.random.Generator) -> Disturbed:
    """A step of 0.3 decade in one channel, up or down, to the end of the file."""
    n = len(run.seconds)
    first = int(rng.uniform(0.15, 0.85) * n)
    channel = int(rng.choice(run.stained))
    decades = np.zeros(n)
    decades[first:] = 0.3 * rng.choice([-1.0, 1.0])
    return _disturbed(_scaled(run, channel, decades), first, n, channel)


def drift(run: Acquisition, rng: np.random.Generator) -> Disturbed:
    """A slow drift of 0.5 decade in one channel over the whole file."""
    n = len(run.seconds)
    channel = int(rng.choice(run.stained))
    decades = np.linspace(0.0, 0.5, n) * rng.choice([-1.0, 1.0])
    return _disturbed(_scaled(run, channel, decades), 0, n, channel)


def back_flush(run: Acquisition, rng: np.random.Generator) -> Disturbed:
    """A back-flush: a quarter of every signal for a twentieth of the events, at half the rate."""
    first, stop = _place(run, rng, 0.05)
    values = run.values.copy()
    values[first:stop] *= 0.25
    return _disturbed(_paced(replace(run, values=values), first, stop, 2.0), first, stop)


INJECTIONS: dict[str, Injection] = {
    "pause": pause,
    "clog": clog,
    "burst": burst,
    "step": step,
    "drift": drift,
    "back_flush": back_flush,
}
