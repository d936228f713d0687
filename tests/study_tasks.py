"""Fakes that stand for the analysis in `test_study.py`: what a file says is what happens.

Apart from the tests, so that workers, of which there are many, load no more than they need.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from cytosepsis.bead_tasks import BeadTask
from cytosepsis.file_results import BeadRunResult, SampleFailure, SampleOutcome, SampleResult
from cytosepsis.file_stamps import file_digest
from cytosepsis.population_counts import PopulationCount
from cytosepsis.protocol import Assay, Sample
from cytosepsis.tasks import Order, SampleTask


def fake_sample(
    sample: Sample, assay: Assay, *, digest: bool = True, plots: bool = False
) -> SampleOutcome:
    path = Path(sample.path)
    with (path.parent / "calls.log").open("a") as log:
        log.write(f"{sample.sample_id}\n")
    if not path.exists():
        return SampleFailure(sample.sample_id, assay.name, None, "missing", "no such file", "read")
    word = path.read_text().strip()
    sha256 = file_digest(sample.path) if digest else None
    match word:
        case "die":
            os._exit(7)
        case "die once":
            if not path.with_suffix(".died").exists():
                path.with_suffix(".died").write_text("")
                os._exit(7)
        case "hang":
            time.sleep(600)
        case "hang once":
            if not path.with_suffix(".hung").exists():
                path.with_suffix(".hung").write_text("")
                time.sleep(600)
        case "interrupt":
            raise KeyboardInterrupt
        case "memory":
            message = "the file needs more memory than there is"
            return SampleFailure(sample.sample_id, assay.name, sha256, "out_of_memory", message)
        case "fault":
            return SampleFailure(
                sample.sample_id, assay.name, sha256, "unforeseen", "ValueError", unforeseen=True
            )
        case "broken":
            return SampleFailure(sample.sample_id, assay.name, sha256, "truncated", "too short")
    n = len(word)
    root = PopulationCount("root", "root", n, 1.0, 1.0)
    return SampleResult(sample.sample_id, assay.name, sha256, n, (root,), (), None, ())


def fake_beads(task: BeadTask, *, digest: bool = True, plots: bool = False) -> BeadRunResult:
    return BeadRunResult(
        task.bead_run.bead_run,
        channel=task.accepted[0],
        statistic=task.statistic,
        lot=task.lot.name,
        sha256=file_digest(task.bead_run.path) if digest else None,
        calibration=None,
        status="failed",
        error_code="levels_missing",
        error="no beads here",
    )


def perform(order: Order) -> object:
    match order.task:
        case SampleTask(sample, assay):
            return fake_sample(sample, assay, digest=order.digest)
        case beads:
            return fake_beads(beads, digest=order.digest)
