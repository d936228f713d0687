"""One bead acquisition from its file to its line: what has to be read, and `analyze_beads`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cytosepsis.bead_fit import fit_calibration
from cytosepsis.calibration import BeadLimits, BeadLot
from cytosepsis.errors import CalibrationError
from cytosepsis.fcs import read_fcs
from cytosepsis.panel import find
from cytosepsis.pictures import bead_densities
from cytosepsis.protocol import BeadRun, Statistic, Study
from cytosepsis.sample import BeadRunResult, file_digest, supervised


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


def analyze_beads(task: BeadTask, *, digest: bool = True, plots: bool = False) -> BeadRunResult:
    """Fit the line of one bead acquisition; what goes wrong is in the result, never raised.

    With its SHA-256 if `digest`, and pictures of the beads if `plots`, without a line too.
    """
    blank = BeadRunResult(
        bead_run=task.bead_run.bead_run,
        channel=task.accepted[0],
        statistic=task.statistic,
        lot=task.lot.name,
        sha256=None,
        calibration=None,
        cytometer=task.bead_run.cytometer,
        assays=task.assays,
    )
    known = [blank]

    def compute() -> BeadRunResult:
        path = task.bead_run.path
        if digest:
            known[0] = replace(known[0], sha256=file_digest(path))
        raw = read_fcs(path, dataset=task.bead_run.dataset)
        known[0] = replace(
            known[0],
            cytometer=task.bead_run.cytometer or raw.cytometer,
            acquired_at=raw.acquired_at,
        )
        column = find(task.accepted, raw.pnn, raw.pns)
        if column is None:
            raise CalibrationError(
                f"bead run {task.bead_run.bead_run}: no channel {' or '.join(task.accepted)}; "
                f"the file has {', '.join(raw.pnn)}",
                code="channel_missing",
            )
        known[0] = replace(
            known[0],
            channel=raw.pnn[column],
            densities=bead_densities(raw, column) if plots else (),
        )
        calibration = fit_calibration(
            raw, task.lot, raw.pnn[column], statistic=task.statistic, limits=task.limits
        )
        return replace(
            known[0],
            calibration=calibration,
            status=calibration.status,
            flags=calibration.flags,
        )

    def failed(code: str, message: str, _step: str | None, _unforeseen: bool) -> BeadRunResult:
        return replace(known[0], status="failed", error_code=code, error=message)

    return supervised(compute, failed)
