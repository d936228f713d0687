"""The jobs that the page of benchmarks compares, each a function that returns its row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import flowkit
import numpy as np

import cytosepsis as cs
from cytosepsis.fcs_write import spillover_keyword, write_fcs
from cytosepsis.gating.plan import Axis, GatingPlan, Rectangle, make_plan
from cytosepsis.tasks import Order, works_of
from cytosepsis.workers import Pool
from inputs import (
    FILE_CHANNELS,
    FILE_DYES,
    STUDY_CHANNELS,
    STUDY_DYES,
    plan_toml,
    sample_files,
    spillover,
    write_blood,
    write_study,
)
from jobs import ours, same, touch
from peers import flowkit_job, strategy
from rounds import Row, Way, differ, interleaved


def plan_of(folder: Path) -> GatingPlan:
    """The mHLA-DR plan, read from TOML."""
    path = folder / "plan.toml"
    path.write_text(plan_toml(), encoding="utf-8")
    return cs.read_gating(path)


# --- one file


def file_row(folder: Path, n_events: int, rounds: int) -> Row:
    """One file of 14 channels, 7 of them unmixed, 4 nested gates, 2 logicle axes."""
    path = write_blood(folder / "one.fcs", seed=1, n_events=n_events, channels=FILE_CHANNELS)
    plan, theirs = plan_of(folder), strategy(FILE_DYES)
    if not same(ours(path, plan), flowkit_job(path, theirs, FILE_DYES)):
        differ("the file")
    ways: dict[str, Way] = {
        "ours": lambda: ours(path, plan),
        "flowkit": lambda: flowkit_job(path, theirs, FILE_DYES),
        "touch": lambda: touch([path]),
    }
    job = f"one file, {n_events:,} events × 14 channels, 4 gates"
    return Row(job, n_events, interleaved(ways, rounds))


def growth_rows(folder: Path, rounds: int, largest: int) -> Iterator[Row]:
    """The same plan on files of 7 channels from 10⁴ events up; FlowKit up to 10⁶."""
    plan, theirs = plan_of(folder), strategy(STUDY_DYES)
    n_events = 10_000
    while n_events <= largest:
        path = long_file(folder / "growing.fcs", n_events)
        ways: dict[str, Way] = {
            "ours": partial(ours, path, plan),
            "touch": partial(touch, [path]),
        }
        if n_events <= 1_000_000:
            ways["flowkit"] = partial(flowkit_job, path, theirs, STUDY_DYES)
        few = rounds if n_events < 10_000_000 else min(rounds, 3)
        job = f"growth: {n_events:,} events × 7 channels"
        yield Row(job, n_events, interleaved(ways, few))
        path.unlink()
        n_events *= 10


def long_file(path: Path, n_events: int) -> Path:
    """A file of blood of any length: a million drawn events, over and over."""
    if n_events <= 1_000_000:
        return write_blood(path, seed=2, n_events=n_events, channels=STUDY_CHANNELS)
    once = write_blood(path, seed=2, n_events=1_000_000, channels=STUDY_CHANNELS)
    raw = cs.read_fcs(once)
    events = np.tile(raw.stored().astype(np.float32), (n_events // 1_000_000, 1))
    keywords = {"$SPILLOVER": raw.keywords["$SPILLOVER"]}
    write_fcs(path, events, pnn=STUDY_CHANNELS, keywords=keywords)
    return path


def gates_row(folder: Path, rounds: int, n_gates: int, n_events: int) -> Row:
    """Gates side by side under the root, each an interval on one of 10 axes."""
    path = write_blood(folder / "gates.fcs", seed=4, n_events=n_events, channels=FILE_CHANNELS)
    names = (*FILE_DYES, "FSC-A", "SSC-A", "FSC-H")
    chosen = [(names[k % len(names)], 100.0 * (1 + k)) for k in range(n_gates)]
    plan = make_plan(
        [
            Rectangle(f"g{k}", "root", (Axis(name),), (low,), (None,))
            for k, (name, low) in enumerate(chosen)
        ]
    )
    theirs = flowkit.GatingStrategy()
    matrix = flowkit.Matrix(spillover(len(FILE_DYES)), list(FILE_DYES))
    theirs.add_comp_matrix("spill", matrix)
    for k, (name, low) in enumerate(chosen):
        how = {"compensation_ref": "spill"} if name in FILE_DYES else {}
        dimension = flowkit.Dimension(name, range_min=low, **how)
        theirs.add_gate(flowkit.gates.RectangleGate(f"g{k}", [dimension]), ("root",))
    return _counting_row(f"{n_gates} gates", path, plan, theirs, rounds)


def channels_row(folder: Path, rounds: int, n_dyes: int, n_events: int) -> Row:
    """A matrix of so many dyes, 3 nested gates on 3 of them."""
    dyes = tuple(f"D{k}-A" for k in range(n_dyes))
    rng = np.random.default_rng(5)
    light = rng.lognormal(6.0, 1.0, (n_events, n_dyes)) @ spillover(n_dyes)
    path = folder / "channels.fcs"
    text = spillover_keyword(dyes, spillover(n_dyes))
    write_fcs(path, light, pnn=dyes, keywords={"$SPILLOVER": text})
    gated = [(dyes[0], 100.0), (dyes[n_dyes // 2], 200.0), (dyes[-1], 300.0)]
    gates, parent = [], "root"
    theirs = flowkit.GatingStrategy()
    theirs.add_comp_matrix("spill", flowkit.Matrix(spillover(n_dyes), list(dyes)))
    parents: tuple[str, ...] = ("root",)
    for k, (name, low) in enumerate(gated):
        gates.append(Rectangle(f"g{k}", parent, (Axis(name),), (low,), (None,)))
        dimension = flowkit.Dimension(name, "spill", range_min=low)
        theirs.add_gate(flowkit.gates.RectangleGate(f"g{k}", [dimension]), parents)
        parent, parents = f"{parent}/g{k}", (*parents, f"g{k}")
    return _counting_row(f"{n_dyes} channels", path, make_plan(gates), theirs, rounds)


def _counting_row(
    name: str, path: Path, plan: GatingPlan, theirs: flowkit.GatingStrategy, rounds: int
) -> Row:
    def ours_counts() -> list[int]:
        return list(cs.gate(cs.read_fcs(path), plan).n_events.values())[1:]

    def their_counts() -> list[int]:
        results = theirs.gate_sample(flowkit.Sample(path))
        return [results.get_gate_count(g, p) for g, p in theirs.get_gate_ids()]

    if ours_counts() != their_counts():
        differ(name)
    ways: dict[str, Way] = {
        "ours": ours_counts,
        "flowkit": their_counts,
        "touch": lambda: touch([path]),
    }
    n_events = cs.read_fcs(path).n_events
    return Row(f"{name}, {n_events:,} events", n_events, interleaved(ways, rounds))


# --- a study


def study_rows(folder: Path, n_files: int, n_events: int, rounds: int) -> Iterator[Row]:
    """A study of 7 channels with its beads; FlowKit's side has neither beads nor tables to make."""
    study = write_study(folder / "study", n_files=n_files, n_events=n_events)
    files, theirs = sample_files(study), strategy(STUDY_DYES)
    numbers = itertools.count()

    def run(workers: int, digest: str, *, checks: bool = True) -> Callable[[], cs.Results]:
        # A new results folder each time: nothing is taken from an earlier run.
        def job() -> cs.Results:
            out = folder / f"results{next(numbers)}"
            loaded = cs.load_study(study)
            if not checks:
                loaded = replace(loaded, assays=tuple(map(unchecked, loaded.assays)))
            return cs.run_study(loaded, out=out, workers=workers, digest=digest, plots=False)

        return job

    medians = run(1, "stat")().table("abc").sort("sample_id")["intensity"].to_numpy()
    expected = [flowkit_job(path, theirs, STUDY_DYES).median for path in files]
    if not np.allclose(medians, expected, rtol=1e-9, atol=0.0):
        differ("the study")
    total = n_files * n_events
    job = f"study, {n_files} files × {n_events:,} events × 7 channels"
    ways: dict[str, Way] = {
        "ours": run(1, "stat"),
        "flowkit": lambda: [flowkit_job(path, theirs, STUDY_DYES) for path in files],
        "touch": lambda: touch(files),
    }
    yield Row(f"{job}, one worker", total, interleaved(ways, rounds))
    ways["ours"] = run(1, "stat", checks=False)
    yield Row(f"{job}, one worker, no checks of the acquisition", total, interleaved(ways, rounds))
    ways = {"ours": run(1, "sha256"), "touch": lambda: touch(files)}
    yield Row(f"{job}, one worker, with SHA-256", total, interleaved(ways, rounds))
    start = starting(folder)
    with two_flowkits() as pool:
        ways = {
            "ours": run(2, "stat"),
            "start": start,
            "flowkit": lambda: list(pool.map(_flowkit_median, files)),
            "touch": lambda: touch(files),
        }
        found = interleaved(ways, rounds)
    started = found.pop("start")
    yield Row(f"{job}, two workers", total, found)
    yield Row("start of two workers until each has done one tiny file", 2_000, {"ours": started})
    rest = tuple(run - start for run, start in zip(found["ours"], started, strict=True))
    yield Row(f"{job}, two workers, less their start", total, {**found, "ours": rest})


def unchecked(assay: cs.Assay) -> cs.Assay:
    """An assay without checks of the acquisition."""
    return replace(assay, quality=cs.QualitySettings(checks=()))


def starting(folder: Path) -> Callable[[], object]:
    """Two workers as a run starts them, each with a tiny file to do: imports, compiled code."""
    study = cs.load_study(write_study(folder / "tiny", n_files=2, n_events=1_000))
    orders = [Order(work.task, digest=False) for work in works_of(study) if work.kind == "sample"]

    def start() -> object:
        with Pool("cytosepsis.performer:perform", 2) as pool:
            return list(pool.replies(orders))

    return start


def _flowkit_median(path: Path) -> float:
    return flowkit_job(path, strategy(STUDY_DYES), STUDY_DYES).median


@contextmanager
def two_flowkits() -> Iterator[ProcessPoolExecutor]:
    """Two processes with FlowKit imported; their start is not counted."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool
