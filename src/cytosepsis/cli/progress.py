"""How far a run has come: a bar on a terminal, plain lines elsewhere; always on stderr."""
# ruff: noqa: PLC0415 - --help is fast: rich is imported where a bar is drawn

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cytosepsis.cli.terminal import safe, say

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from cytosepsis.study import Progress

LINE_SECONDS = 10.0  # between plain lines


class PlainLines:
    """A line every `seconds`, and one for each file that fails."""

    def __init__(self, seconds: float = LINE_SECONDS) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def __call__(self, progress: Progress) -> None:
        """Say what is worth a line."""
        if progress.compiling:
            say_compiling()
            return
        if progress.failed:
            say(f"{progress.name} failed: {progress.failed}")
        now = time.monotonic()
        if now - self._last >= self._seconds:
            self._last = now
            say(f"{progress.n_done} of {progress.n_files} files, {_pace(progress)}")


class ProgressBar:
    """A bar with files, events per second and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar: Bar = Bar(
            TextColumn("{task.fields[files]} files"),
            BarColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("", total=1, files="0", pace="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Move the bar."""
        if progress.compiling:
            self._bar.console.print(_sentence(), markup=False, highlight=False)
            return
        if progress.failed:
            text = safe(f"{progress.name} failed: {progress.failed}")
            self._bar.console.print(text, markup=False, highlight=False)
        self._bar.update(
            self._task,
            total=max(1, progress.n_files),
            completed=progress.n_done,
            files=f"{progress.n_done} of {progress.n_files}",
            pace=_pace(progress),
        )


def say_compiling() -> None:
    """Say why nothing seems to happen for a while."""
    say(_sentence())


def _sentence() -> str:
    from cytosepsis.kernel_cache import MESSAGE

    return f"{MESSAGE} ..."


def make_progress() -> PlainLines | ProgressBar:
    """The bar where somebody is watching, else plain lines."""
    return ProgressBar() if sys.stderr.isatty() else PlainLines()


@contextmanager
def counted(what: str, seconds: float = LINE_SECONDS) -> Iterator[Callable[[int, int], None]]:
    """A plain line now and then: so many of so many are done."""
    last = [time.monotonic()]

    def note(done: int, total: int) -> None:
        now = time.monotonic()
        if now - last[0] >= seconds:
            last[0] = now
            say(f"{done:,} of {total:,} {what}")

    yield note


def seconds_left(progress: Progress) -> float | None:
    """By bytes, since files differ in size; None before anything is done."""
    if not progress.n_bytes_done:
        return None
    left = progress.n_bytes - progress.n_bytes_done
    return progress.seconds * left / progress.n_bytes_done


def duration(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def events_per_second(n_events: int, seconds: float) -> str:
    """A pace with a unit that fits."""
    pace = n_events / seconds if seconds > 0 else 0.0
    return f"{pace / 1e6:.1f} M events/s" if pace >= 1e6 else f"{pace:,.0f} events/s"


def _pace(progress: Progress) -> str:
    left = seconds_left(progress)
    parts = [events_per_second(progress.n_events, progress.seconds)]
    if progress.n_failed:
        parts.append(f"{progress.n_failed} failed")
    if left is not None:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)
