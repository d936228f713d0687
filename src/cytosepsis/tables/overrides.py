"""The frame of reviewers' decisions: what each changed, beside what stood before."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from cytosepsis.file_results import BeadRunResult
from cytosepsis.protocol import Override, Study
from cytosepsis.quantify import AbcResult, BeadRack, quantify, rack_beads
from cytosepsis.tables.columns import frame
from cytosepsis.tables.quality_schemas import OVERRIDES
from cytosepsis.tables.readings import Reading

_CHANGING = ("gate", "assign_beads")  # actions after which a sample's value is another


def overrides_frame(
    study: Study, readings: Iterable[Reading], bead_results: Iterable[BeadRunResult]
) -> pl.DataFrame:
    """The `overrides` table."""
    by_id = {reading.sample.sample_id: reading for reading in readings}
    rack = rack_beads(bead_results, study)
    rows = [_Row(o, by_id.get(o.target), rack, study) for o in study.overrides]
    return frame(
        OVERRIDES.columns,
        {
            "target": [row.override.target for row in rows],
            "action": [row.override.action for row in rows],
            "parameters": [
                json.dumps({k: v for k, v in row.override.parameters if v is not None})
                for row in rows
            ],
            "who": [row.override.who for row in rows],
            "when": [row.override.when for row in rows],
            "why": [row.override.why for row in rows],
            "stands": [stands(row.override, study) for row in rows],
            "original_bead_run": [
                row.original.bead_run
                if row.original and row.override.action == "assign_beads"
                else None
                for row in rows
            ],
            "original_abc": [row.original.abc if row.original else None for row in rows],
            "abc": [
                row.reading.abc.abc if row.reading and row.reading.abc else None for row in rows
            ],
        },
    )


def stands(override: Override, study: Study) -> bool:
    """Whether no later decision on the same thing stands instead of one."""
    subject = _subject(override)
    same = [o for o in study.overrides if _subject(o) == subject]
    return same[-1] is override


def _subject(override: Override) -> tuple[str, ...]:
    """What a decision is about: two of one subject exclude each other."""
    match override.action:
        case "accept" | "reject":
            return override.target, "review"
        case "gate":
            return override.target, "gate", str(dict(override.parameters).get("gate"))
        case action:
            return override.target, action


@dataclass(frozen=True, slots=True)
class _Row:
    """A decision with the sample that it is about, None of a bead run's."""

    override: Override
    reading: Reading | None
    rack: BeadRack
    study: Study

    @property
    def original(self) -> AbcResult | None:
        """AB/C of the sample had nobody decided about its gates and beads."""
        if self.reading is None or self.reading.result is None:
            return None
        result = self.reading.result
        mine = [o for o in self.study.overrides if o.target == self.override.target]
        if any(o.action == "gate" for o in mine):
            result = replace(result, quantified=result.quantified_by_plan)
        others = [o for o in self.study.overrides if o not in mine or o.action not in _CHANGING]
        return quantify(
            self.reading.sample, result, self.rack, replace(self.study, overrides=tuple(others))
        )
