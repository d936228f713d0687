"""One bead acquisition from its file to its line: `analyze_beads`."""

from __future__ import annotations

from dataclasses import replace

from cytosepsis.bead_fit import fit_calibration
from cytosepsis.bead_tasks import BeadTask
from cytosepsis.errors import CalibrationError
from cytosepsis.fcs import read_fcs
from cytosepsis.file_results import BeadRunResult
from cytosepsis.file_stamps import file_digest
from cytosepsis.panel import find
from cytosepsis.pictures import bead_densities
from cytosepsis.sample import supervised


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
