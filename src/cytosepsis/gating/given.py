"""Gates that a reviewer has placed in one sample: records that cross processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cytosepsis.errors import GatingError
from cytosepsis.gating.region import Region, read_region


@dataclass(frozen=True, slots=True)
class GivenGate:
    """Where a reviewer puts one gate of one sample, fixed or data-driven."""

    path: str  # full path, or a name that is unique in the plan
    region: Region


def given_gate(parameters: Mapping[str, str | None]) -> GivenGate:
    """A reviewer's gate from the parameters of an override: `gate` and `region`, as text."""
    missing = [key for key in ("gate", "region") if not parameters.get(key)]
    if missing:
        raise GatingError(f"a gate is given without its {' and '.join(missing)}", step="gating")
    region = read_region(str(parameters["region"]))
    return GivenGate(str(parameters["gate"]), region)
