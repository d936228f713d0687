"""`check_study`: every problem of a study that can be seen without reading events."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from cytosepsis.config.assays import ReadAssay
from cytosepsis.config.load import read_study
from cytosepsis.config.problems import Problems
from cytosepsis.errors import ChannelError, FcsError, Problem
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


def channel_problem(path: str, roles: dict[str, tuple[str, ...]], wanted: Iterable[str]) -> str:
    """Say why an FCS file cannot serve these channels; an empty text where it can."""
    if not Path(path).exists():
        return "there is no such file"
    try:
        raw = read_keywords(path)
        resolve(roles, raw.pnn, raw.pns, wanted=wanted)
    except (FcsError, ChannelError) as error:
        return error.message
    return ""


def _check_files(study: Study, assays: dict[str, ReadAssay], problems: Problems) -> None:
    for sample in study.samples:
        read = assays.get(sample.assay)
        if read is not None and sample.path:
            message = channel_problem(sample.path, dict(read.assay.channels), _wanted(read))
            _warn(problems, f"sample {sample.sample_id}", sample, message)
    for run in study.bead_runs:
        if run.path:
            message = _bead_problem(run, assays)
            _warn(problems, f"bead run {run.bead_run}", run, message)


def _warn(problems: Problems, place: str, row: Sample | BeadRun, message: str) -> None:
    if message:
        problems.warning(row.file, place, f"{message.rstrip('.')}.")


def _wanted(read: ReadAssay) -> tuple[str, ...]:
    """List the channels that an assay needs of a file: its plan's and those that are measured."""
    return tuple(dict.fromkeys(_needed(read)))


def _needed(read: ReadAssay) -> Iterator[str]:
    if read.plan is not None:
        yield from read.plan.channels
    if read.assay.abc is not None:
        yield read.assay.abc.channel
    for _, channels in read.assay.statistics:
        yield from channels


def _bead_problem(run: BeadRun, assays: dict[str, ReadAssay]) -> str:
    """Say what keeps a bead file from serving: its own channel, else that of every assay's AB/C."""
    if run.channel is not None:
        return channel_problem(run.path, {}, (run.channel,))
    quantified = [read.assay for read in assays.values() if read.assay.abc is not None]
    messages = [
        channel_problem(run.path, dict(assay.channels), (assay.abc.channel,))
        for assay in quantified
        if assay.abc is not None
    ]
    # Beads serve the assays whose channel they have; a file that serves none is doubtful.
    if messages and all(messages):
        return messages[0]
    return "" if messages else channel_problem(run.path, {}, ())
