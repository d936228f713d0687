"""A reference learned from many samples, frozen in a file: where each gate usually lies.

Learned once, by an explicit command, and never changed by new samples. The file's SHA-256 stands in
every result that used it.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytosepsis.errors import GatingError
from cytosepsis.gating.finding import GateFinding
from cytosepsis.gating.region import Bounds, Outline, Region, read_region, region_text

ENDING = ".reference.toml"
VERSION = 1
FEWEST = 3  # samples: a gate that was found in fewer is not usual


@dataclass(frozen=True, slots=True)
class BatchGate:
    """Where one gate usually lies."""

    path: str
    region: Region
    n_samples: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A frozen reference."""

    digest: str  # SHA-256 of the file
    shrinkage: float  # 0: a sample's own gate stands as found; 1: the batch's; between: in between
    gates: tuple[BatchGate, ...]
    source: str = ""  # the file's name

    def region(self, path: str) -> Region | None:
        """Where a gate usually lies; None where that was not learned."""
        return next((gate.region for gate in self.gates if gate.path == path), None)


def shrunk(found: Region, usual: Region, shrinkage: float) -> Region:
    """Move a found gate towards the usual one by a share of the way, where their forms allow it."""
    match found, usual:
        case Bounds(), Bounds() if _sides(found) == _sides(usual):
            return Bounds(
                tuple(map(_toward(shrinkage), found.minimum, usual.minimum)),
                tuple(map(_toward(shrinkage), found.maximum, usual.maximum)),
            )
        case Outline(), Outline() if len(found.vertices) == len(usual.vertices):
            moved = np.array(found.vertices) * (1.0 - shrinkage)
            moved += np.array(usual.vertices) * shrinkage
            return Outline(tuple((float(x), float(y)) for x, y in moved))
        case _:
            return found


def _toward(shrinkage: float) -> Callable[[float | None, float | None], float | None]:
    def moved(own: float | None, usual: float | None) -> float | None:
        return None if own is None or usual is None else own + shrinkage * (usual - own)

    return moved


def _sides(bounds: Bounds) -> tuple[bool, ...]:
    return tuple(side is None for side in (*bounds.minimum, *bounds.maximum))


def learn(findings: Iterable[Sequence[GateFinding]]) -> tuple[BatchGate, ...]:
    """The usual place of every gate, over samples: medians of cuts and of vertices.

    Only gates that were found, with the status `ok`, in at least `FEWEST` samples; their order in
    the plan. The order of the samples does not matter.
    """
    regions: dict[str, list[Region]] = {}
    for sample in findings:
        for finding in sample:
            if finding.status == "ok" and finding.standing == "found" and finding.region:
                regions.setdefault(finding.path, []).append(finding.region)
    learned = []
    for path, found in regions.items():
        usual = _median(found)
        if usual is not None and len(found) >= FEWEST:
            learned.append(BatchGate(path, usual, len(found)))
    return tuple(learned)


def _median(regions: Sequence[Region]) -> Region | None:
    first = regions[0]
    if isinstance(first, Bounds):
        same = [r for r in regions if isinstance(r, Bounds) and _sides(r) == _sides(first)]
        low = [[r.minimum[k] for r in same] for k in range(len(first.minimum))]
        high = [[r.maximum[k] for r in same] for k in range(len(first.maximum))]
        return Bounds(tuple(map(_middle, low)), tuple(map(_middle, high)))
    outlines = [r.vertices for r in regions if isinstance(r, Outline)]
    if len(outlines) == len(regions) and len({len(vertices) for vertices in outlines}) == 1:
        middle = np.median(np.array(outlines), axis=0)
        return Outline(tuple((float(x), float(y)) for x, y in middle))
    return None


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if len(known) == len(values) else None


def batch_text(
    gates: Sequence[BatchGate], *, shrinkage: float, n_samples: int, plan_digest: str
) -> str:
    """Write a reference; the same samples and plan give the same text."""
    lines = [
        "# Where a plan's gates usually lie, learned by `cytosepsis learn-gates`. Do not edit:",
        "# its SHA-256 stands in the results. Learn a new one under a new name instead.",
        f"version = {VERSION}",
        f"shrinkage = {shrinkage!r}",
        f"n_samples = {n_samples}",
        f'plan_sha256 = "{plan_digest}"',
    ]
    for gate in gates:
        path = gate.path.replace("\\", "\\\\").replace('"', '\\"')
        lines += [
            "",
            "[[gates]]",
            f'path = "{path}"',
            f"n_samples = {gate.n_samples}",
            f"region = '{region_text(gate.region)}'",
        ]
    return "\n".join(lines) + "\n"


def read_batch(path: Path) -> Batch:
    """Read a reference; GatingError says what is wrong with the file."""
    try:
        content = path.read_bytes()
        document = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise GatingError(f"the batch reference cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GatingError(f"the batch reference {path.name} is not TOML: {error}") from None
    if document.get("version") != VERSION:
        raise GatingError(
            f"the batch reference {path.name} has version {document.get('version')!r}; this "
            f"version of the program reads {VERSION}. Learn it again."
        )
    shrinkage = document.get("shrinkage")
    if not isinstance(shrinkage, int | float) or not 0 <= shrinkage <= 1:
        raise GatingError(f"{path.name}: shrinkage is {shrinkage!r}; from 0 to 1 is meant")
    gates = tuple(_gate(values, path) for values in document.get("gates", []))
    return Batch(hashlib.sha256(content).hexdigest(), float(shrinkage), gates, path.name)


def _gate(values: Mapping[str, object], path: Path) -> BatchGate:
    name, region, n = (values.get(key) for key in ("path", "region", "n_samples"))
    if not isinstance(name, str) or not isinstance(region, str) or not isinstance(n, int):
        raise GatingError(f"{path.name}: a gate needs path, region and n_samples")
    return BatchGate(name, read_region(region), n)
