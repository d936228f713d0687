"""`perform`: one unit of work, in this process, in worker processes or on other machines alike."""

from __future__ import annotations

from dataclasses import replace

from cytosepsis.bead_runs import analyze_beads
from cytosepsis.file_stamps import stamp_of
from cytosepsis.roots import RootsError, machine_table, path_here
from cytosepsis.sample import analyze_sample
from cytosepsis.tasks import FILE_WORDS, Order, Outcome, SampleTask, Task, contents_of, failure


def perform(order: Order) -> Outcome:
    """Do one unit of work; whatever is wrong with the file is in the outcome."""
    try:
        task = _task_here(order)
    except RootsError as error:
        return failure(order.task, code=error.code, message=error.message)
    path = _file_of(task)
    before = stamp_of(path)
    match task:
        case SampleTask(sample, assay, aids):
            options = {"digest": order.digest, "plots": order.plots}
            outcome: Outcome = analyze_sample(sample, assay, aids, **options)
        case beads:
            outcome = analyze_beads(beads, digest=order.digest, plots=order.plots)
    if stamp_of(path) != before:
        return failure(
            order.task,
            code="changed_while_read",
            message="The file changed while it was read. Is it still being written or copied? Run "
            "the study again when it is whole.",
        )
    # Looked at after the work, so that whatever plan was read is the one that is named.
    if isinstance(task, SampleTask) and order.content not in {"", contents_of(task.assay)}:
        return failure(
            order.task,
            code="study_changed",
            message=f"The plan or matrix of assay {task.assay.name!r} is not what it was when the "
            "run began: it was edited, or another machine has another copy. Run the study again.",
        )
    return outcome


def _file_of(task: Task) -> str:
    return task.sample.path if isinstance(task, SampleTask) else task.bead_run.path


def _task_here(order: Order) -> Task:
    """The task with its paths as they are on this machine."""
    if not order.roots:
        return order.task
    table = machine_table()

    def here(path: str) -> str:
        return path_here(path, order.roots, table)

    match order.task:
        case SampleTask(sample, assay, aids):
            matrix = assay.compensation
            return SampleTask(
                replace(sample, path=here(sample.path)),
                replace(
                    assay,
                    gating=here(assay.gating),
                    compensation=matrix if matrix in FILE_WORDS else here(matrix),
                ),
                replace(
                    aids,
                    controls=tuple(replace(c, path=here(c.path)) for c in aids.controls),
                ),
            )
        case beads:
            run = beads.bead_run
            return replace(beads, bead_run=replace(run, path=here(run.path)))
