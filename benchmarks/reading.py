"""Reading alone: every value of a file as linear float64, by us and by other readers."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import flowio
import flowkit
import numpy as np

import cytosepsis as cs
from cytosepsis.fcs_write import Datatype, write_fcs
from inputs import FILE_CHANNELS
from jobs import touch
from layouts import COLUMNS, LAYOUTS, ROWS, written
from rounds import Row, Way, differ, interleaved

HERE = Path(__file__).parent
OTHERS = HERE.parent / ".venv-readers" / "bin" / "python"  # made by `make readers`


@dataclass(frozen=True, slots=True)
class OtherReader:
    """A reader in an interpreter of its own, waiting for paths."""

    name: str
    process: subprocess.Popen[str]
    version: str

    def ask(self, what: str, path: Path) -> float:
        """Have a file read; the sum of its values where that was asked for."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what} {path}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


@contextmanager
def other_readers() -> Iterator[tuple[OtherReader, ...]]:
    """The readers of `make readers`; none where that was not done."""
    with ExitStack() as stack:
        found = []
        for name in ("fcsparser", "FlowCal") if OTHERS.exists() else ():
            process = stack.enter_context(
                subprocess.Popen(
                    [OTHERS, HERE / "reader_process.py", name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            found.append(OtherReader(name, process, process.stdout.readline().strip()))
        yield tuple(found)


def reading_row(
    folder: Path,
    rounds: int,
    others: Sequence[OtherReader],
    *,
    name: str,
    datatype: Datatype,
    top: int,
    n_events: int,
) -> Row:
    """Every value of a file of 14 columns; `top` is $PnR of them all."""
    rng = np.random.default_rng(3)
    stored = rng.integers(0, 1000, (n_events, len(FILE_CHANNELS))).astype(np.float64)
    path = folder / f"reading_{datatype}.fcs"
    ranges = [top] * len(FILE_CHANNELS)
    write_fcs(path, stored, pnn=FILE_CHANNELS, datatype=datatype, ranges=ranges)
    events = cs.read_fcs(path).linear()
    if not np.array_equal(events, flowkit.Sample(path).get_events("raw")):
        differ(name)
    ways: dict[str, Way] = {
        "ours": lambda: cs.read_fcs(path).linear(),
        "flowkit": lambda: flowkit.Sample(path),
        "flowio": lambda: flowio.FlowData(path).as_array(),
        "touch": lambda: touch([path]),
    }
    if not np.array_equal(events, flowio.FlowData(path).as_array()):
        differ(f"{name}, flowio")
    for other in others:
        if not math.isclose(other.ask("sum", path), float(events.sum()), rel_tol=1e-6):
            differ(f"{name}, {other.name}")
        ways[other.name] = partial(other.ask, "read", path)
    job = f"reading {n_events:,} × 14 {name}"
    return Row(job, n_events, interleaved(ways, rounds))


def reading_rows(
    folder: Path, rounds: int, n_events: int, others: Sequence[OtherReader]
) -> Iterator[Row]:
    """Floats, whole integers, and integers whose $PnR masks bits (those: a fifth of the events)."""
    fewer = max(n_events // 5, 1)
    kinds: tuple[tuple[str, Datatype, int, int], ...] = (
        ("32-bit floats", "F", 262_144, n_events),
        ("16-bit integers", "I16", 65_536, n_events),
        ("masked 16-bit integers", "I16", 1_024, fewer),
        ("masked 32-bit integers", "I32", 262_144, fewer),
    )
    for name, datatype, top, n in kinds:
        yield reading_row(folder, rounds, others, name=name, datatype=datatype, top=top, n_events=n)


def layout_rows(folder: Path, rounds: int) -> Iterator[Row]:
    """Every layout of FCS; FlowKit where it reads the same values."""
    for name in LAYOUTS:
        path = written(folder, name)
        ways: dict[str, Way] = {
            "ours": lambda path=path: cs.read_fcs(path).linear(),
            "touch": lambda path=path: touch([path]),
        }
        if _reads_the_same(path):
            ways["flowkit"] = lambda path=path: flowkit.Sample(path)
        yield Row(f"layout: {name}, {ROWS:,} × {COLUMNS}", ROWS, interleaved(ways, rounds))


def _reads_the_same(path: Path) -> bool:
    try:
        theirs = flowkit.Sample(path).get_events("raw")
    except Exception:  # noqa: BLE001  what FlowKit does not read it refuses in many ways
        return False
    return np.array_equal(theirs, cs.read_fcs(path).linear(), equal_nan=True)
