"""What a simulated study is made of: its settings, the demo's, the known faults, the seeds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

import numpy as np

from cytosepsis.errors import CytosepsisError

# Each adds one sample of a patient of its own (and, where it needs one, a bead run) on a day far
# from all others, so that the other samples' files and rows stay as they are.
FAULTS: dict[str, str] = {
    "truncated": "the file ends in the middle of its events",
    "empty": "a file of 0 bytes",
    "garbage": "a file that is no FCS file",
    "missing": "a row of the sample sheet without its file",
    "missing_channel": "the file lacks the HLA-DR detector",
    "no_events": "the acquisition was saved before an event arrived",
    "wrong_tot": "$TOT says more events than the file holds",
    "wrong_voltage": "the HLA-DR detector ran at another voltage than in the day's bead run",
    "no_beads": "no bead run on that day, nor within a day",
    "other_cytometer": "acquired on another cytometer than the day's bead run",
    "unstable": "a clog of some seconds, after it half the light in every detector",
    "late_staining": "stained seven hours after the draw; HLA-DR has drifted up",
    "few_cells": "an acquisition stopped far too early",
    "level_missing": "the day's bead file lacks one of the four levels",
}


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """Everything a simulated study depends on; equal settings give equal bytes.

    (With one version of numpy: its random streams and its exponential may change with versions.)
    Raises CytosepsisError (`simulation`) on values that make no study.
    """

    seed: int = 1  # of everything; each patient, draw and bead run has its own stream under it
    patients: int = 10  # with septic shock, up to three draws each (D1-2, D3-4, D6-8)
    healthy: int = 5  # controls, one draw each
    events: int = 20_000  # per sample file, debris and doublets included; 6-12 % are monocytes
    bead_events: int = 10_000  # per bead file; the usual acquisition of the assay
    faults: tuple[str, ...] = ()  # names out of `FAULTS`
    ex_vivo: int = 0  # patients with ex vivo wells, four files each, and so have the controls
    assay_cv: float = 0.03  # staining and pipetting, log-normal, one factor per sample
    level_sd: float = 0.004  # of ln(intensity) of one bead level in one run, beyond counting
    start: date = date(2024, 1, 8)  # first day a patient may be enrolled
    name: str = "simulated"  # [study] name

    def __post_init__(self) -> None:
        unknown = sorted(set(self.faults) - FAULTS.keys())
        if unknown:
            raise CytosepsisError(
                f"Unknown faults: {', '.join(unknown)}. Known are: {', '.join(FAULTS)}.",
                code="simulation",
            )
        if len(set(self.faults)) < len(self.faults):
            raise CytosepsisError("A fault is named twice; name each once.", code="simulation")
        if (
            min(self.patients, self.healthy, self.ex_vivo) < 0
            or min(self.events, self.bead_events) < 1
        ):
            raise CytosepsisError(
                "A study needs at least one event per file and no negative number of people: "
                f"found patients={self.patients}, healthy={self.healthy}, events={self.events}, "
                f"bead_events={self.bead_events}.",
                code="simulation",
            )


# The project's sample_fcs/: as small as a folder of real files may be in a repository (8 MiB).
DEMO = SimulationSettings(
    name="demo", seed=20, patients=7, healthy=4, events=10_000, bead_events=4_000
)


def generator(seed: int, *key: str) -> np.random.Generator:
    """Independent random stream of one thing, named by words: others never shift it."""
    words = np.frombuffer(hashlib.sha256("\n".join(key).encode()).digest(), dtype="<u4")
    entropy = [seed, *(int(word) for word in words)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
