"""`check_study`: every problem of a study that can be seen without reading events."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from cytosepsis.compensation import match_detectors, spillover_of
from cytosepsis.config.assays import ReadAssay
from cytosepsis.config.load import read_study
from cytosepsis.config.problems import Problems
from cytosepsis.errors import ChannelError, CompensationError, FcsError, Problem
from cytosepsis.fcs import read_keywords
from cytosepsis.panel import resolve
from cytosepsis.protocol import BeadRun, Sample, Study


def check_study(path: str | os.PathLike[str]) -> tuple[Problem, ...]:
    """Find every problem of a study, errors first; of FCS files only the keywords are read.

    Errors are what `load_study` refuses. Warnings refuse nothing: guesses about the sheets, and
    FCS files that are missing, unreadable or lack a channel; those become rows with a reason.
    """
    problems = Problems()
    read = read_study(path, problems)
    if read.study is not None:
        _check_files(read.study, read.assays, problems)
    return problems.all


def _check_files(study: Study, assays: dict[str, ReadAssay], problems: Problems) -> None:
    for sample in study.samples:
        read = assays.get(sample.assay)
        if read is not None and sample.path:
            message = _sample_problem(sample, read)
            _warn(problems, f"sample {sample.sample_id}", sample, message)
    for run in study.bead_runs:
        if run.path:
            message = _bead_problem(run, assays)
            _warn(problems, f"bead run {run.bead_run}", run, message)


def _sample_problem(sample: Sample, read: ReadAssay) -> str:
    """Say what keeps a sample from being computed, or leaves it uncompensated; empty: nothing."""
    try:
        raw = read_keywords(sample.path, dataset=sample.dataset)
        roles = dict(read.assay.channels)
        resolve(roles, raw.pnn, raw.pns, wanted=_of_the_file(read, raw.pnn))
        spillover = read.spillover
        if read.assay.compensation == "file":
            spillover = spillover_of(raw.keywords)
            if spillover is None:
                return "the file carries no spillover matrix, so its values stay uncompensated"
        if spillover is not None:
            match_detectors(spillover, raw.pnn)
    except (FcsError, ChannelError, CompensationError) as error:
        return error.message
    return ""


def _warn(problems: Problems, place: str, row: Sample | BeadRun, message: str) -> None:
    if message:
        problems.warning(row.file, place, f"{message.rstrip('.')}.")


def _wanted(read: ReadAssay) -> tuple[str, ...]:
    """List the channels that an assay needs of a file: its plan's and those that are measured."""
    return tuple(dict.fromkeys(_needed(read)))


def _of_the_file(read: ReadAssay, pnn: Sequence[str]) -> tuple[str, ...]:
    """List the channels that the file itself must have: not those that a matrix unmixes."""
    plan = read.plan.spillovers if read.plan else ()
    matrices = [matrix for matrix in (read.spillover, *dict(plan).values()) if matrix is not None]
    unmixed = {name for matrix in matrices for name in matrix.fluorochromes} - set(pnn)
    roles = dict(read.assay.channels)
    return tuple(
        channel
        for channel in _wanted(read)
        if not unmixed.intersection(roles.get(channel, (channel,)))
    )


def _needed(read: ReadAssay) -> Iterator[str]:
    if read.plan is not None:
        yield from read.plan.channels
    if read.assay.abc is not None:
        yield read.assay.abc.channel
    for _, channels in read.assay.statistics:
        yield from channels


def _bead_problem(run: BeadRun, assays: dict[str, ReadAssay]) -> str:
    """Say what keeps a bead file from serving: its own channel, else that of every AB/C."""
    try:
        raw = read_keywords(run.path, dataset=run.dataset)
        if run.channel is not None:
            resolve({}, raw.pnn, raw.pns, wanted=(run.channel,))
    except (FcsError, ChannelError) as error:
        return error.message
    messages = []
    for read in assays.values():
        if run.channel is None and read.assay.abc is not None:
            try:
                channels = dict(read.assay.channels)
                resolve(channels, raw.pnn, raw.pns, wanted=(read.assay.abc.channel,))
            except ChannelError as error:
                messages.append(error.message)
            else:
                return ""  # beads serve the assays whose channel they have
    return messages[0] if messages else ""
