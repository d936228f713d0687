"""What has to be read from a study's bead files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cytosepsis.calibration import BeadLimits, BeadLot
from cytosepsis.protocol import BeadRun, Statistic, Study


@dataclass(frozen=True, slots=True)
class BeadTask:
    """One bead acquisition to be read for one channel and statistic."""

    bead_run: BeadRun
    lot: BeadLot
    accepted: tuple[str, ...]  # $PnN or $PnS names of the channel, first match wins
    statistic: Statistic
    limits: BeadLimits
    assays: tuple[str, ...] = ()  # that it is read for; () where no assay quantifies anything


def bead_tasks(study: Study) -> tuple[BeadTask, ...]:
    """What has to be read from the study's bead files: once per channel, statistic and limits.

    A run that names its channel is read for that; else for every channel that an assay quantifies.
    Where no assay quantifies anything, named channels are read with the default statistic.
    """
    tasks: dict[BeadTask, tuple[str, ...]] = {}
    quantifying = [assay for assay in study.assays if assay.abc is not None]
    for run in study.bead_runs:
        lot = study.bead_lot(run.lot)
        if run.channel is not None and not quantifying:
            tasks[BeadTask(run, lot, (run.channel,), "median", BeadLimits())] = ()
        for assay in quantifying:
            assert assay.abc is not None
            roles: Mapping[str, tuple[str, ...]] = dict(assay.channels)
            accepted = roles.get(assay.abc.channel, (assay.abc.channel,))
            accepted = accepted if run.channel is None else (run.channel,)
            task = BeadTask(run, lot, accepted, assay.abc.statistic, assay.limits.beads)
            tasks[task] = (*tasks.get(task, ()), assay.name)
    return tuple(replace(task, assays=assays) for task, assays in tasks.items())
