"""Commands on studies: `run`, `check`, `simulate`."""
# ruff: noqa: PLC0415 - --help is fast: a command imports what it needs

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from cytosepsis.cli.progress import make_progress
from cytosepsis.cli.terminal import (
    EXIT_FILES_FAILED,
    EXIT_REFUSED,
    EXIT_UNFORESEEN,
    Format,
    command,
    safe,
    say,
    write_json,
)
from cytosepsis.errors import Problem

_STUDY = typer.Argument(help="The study's folder, or its study.toml.", show_default=False)
_MAX_WARNINGS = 20  # lines of a run; `check` says all


def run(
    study: Annotated[Path, _STUDY],
    out: Annotated[Path, typer.Option(help="Results folder.", show_default=False)],
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Worker processes; default: one per processor, one less where there is little "
            "to read.",
        ),
    ] = None,
    digest: Annotated[
        Literal["sha256", "stat"],
        typer.Option(help="sha256: of every file; stat: trust size and time, faster."),
    ] = "sha256",
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a Dask scheduler, e.g. tcp://host:8786.", show_default=False),
    ] = None,
    file_timeout: Annotated[
        float, typer.Option(help="Seconds that one file may take; 0: no limit.", min=0)
    ] = 1800,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(help="From which level on lines go to logs/run.jsonl."),
    ] = "info",
    plots: Annotated[
        bool, typer.Option("--plots/--no-plots", help="Keep what a report's pictures show.")
    ] = True,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute everything again; forget what is there.")
    ] = False,
) -> None:
    """Measure every file of a study and write the tables; continue where an earlier run stopped."""
    timeout = file_timeout or None
    is_first = scheduler is None and (fresh or not (out / "journal.sqlite").exists())
    with command(resumable=True), _workers_ahead(workers, timeout) if is_first else nullcontext():
        from cytosepsis.config import load_study
        from cytosepsis.study import run_study

        loaded = load_study(study)
        _warn(loaded.warnings)
        with make_progress() as progress:
            results = run_study(
                loaded,
                out,
                workers=workers,
                digest=digest,
                plots=plots,
                fresh=fresh,
                progress=progress,
                isolate=True,
                scheduler=scheduler,
                file_timeout_seconds=timeout,
                log_level=log_level,
            )
        from cytosepsis.cli.summary import summary

        typer.echo(safe(summary(results)))
    if results.run.n_unforeseen:
        say("An unforeseen error was met; please report it with logs/run.jsonl.")
        raise typer.Exit(EXIT_UNFORESEEN)
    if results.run.n_failed:
        raise typer.Exit(EXIT_FILES_FAILED)


def _workers_ahead(workers: int | None, timeout: float | None) -> AbstractContextManager[None]:
    """Processes for a run that import while this one does; a run to continue may need none."""
    from cytosepsis.engines import PERFORM, workers_worth
    from cytosepsis.workers import Allowance, processors, started_ahead

    most = workers or processors()
    n_ahead = workers or workers_worth((), most)  # another one once it is known what there is
    return started_ahead(PERFORM, n_ahead, Allowance.of_each(most, timeout))


def check(
    study: Annotated[Path, _STUDY],
    format: Annotated[Format, typer.Option(help="How to write it.")] = "table",
) -> None:
    """Find every problem that can be seen without reading events, all at once.

    Exit status 2 where `run` would refuse the study, 1 where it would run but files would fail.
    """
    with command():
        from cytosepsis.config import check_study

        problems = check_study(study)
        if format == "json":
            write_json([_as_json(problem) for problem in problems])
        else:
            _show_problems(problems)
        if any(problem.severity == "error" for problem in problems):
            raise typer.Exit(EXIT_REFUSED)
        if problems and _of_files(problems, study):
            raise typer.Exit(EXIT_FILES_FAILED)


def simulate(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", show_default=False)],
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal studies.")] = 1,
    patients: Annotated[int, typer.Option(min=0, help="With septic shock.")] = 10,
    healthy: Annotated[int, typer.Option(min=0, help="Healthy controls.")] = 5,
    events: Annotated[
        int | None,
        typer.Option(min=1, help="Per sample file; default 20000, of a panel what it needs."),
    ] = None,
    bead_events: Annotated[int, typer.Option(min=1, help="Per bead file.")] = 10_000,
    fault: Annotated[
        list[str] | None, typer.Option(help="A fault to build in; may be given several times.")
    ] = None,
    ex_vivo: Annotated[
        int, typer.Option(min=0, help="Patients with ex vivo wells, as FCS files.")
    ] = 0,
    cohort: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Instead: so many patients as tables with known effects, without FCS files.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="The study's name.")] = "simulated",
    panel: Annotated[
        str | None,
        typer.Option(help="Of another panel than mHLA-DR: see `panel list`.", show_default=False),
    ] = None,
) -> None:
    """Write a study with known truth: FCS files, sheets, plan, and truth.csv."""
    with command():
        if panel is not None:
            from cytosepsis.simulate import PanelSettings, simulate_panel

            of_panel = PanelSettings(panel, seed, patients, healthy, events, tuple(fault or ()))
            simulate_panel(folder, of_panel)
            typer.echo(safe(f"{folder}: a study of panel {panel} with its truth.csv"))
            typer.echo(safe(f"Next: cytosepsis run {folder} --out results"))
            return
        from cytosepsis.simulate import SimulationSettings, simulate_study

        if cohort is not None:
            from cytosepsis.simulate.cohort import CohortSettings, simulate_cohort

            simulate_cohort(folder, CohortSettings(seed=seed, patients=cohort, name=name))
            typer.echo(safe(f"{folder}: cohort {name!r} of {cohort} patients, as tables"))
            typer.echo(safe(f"Next: cytosepsis run {folder} --out results"))
            return

        settings = SimulationSettings(
            seed=seed,
            patients=patients,
            healthy=healthy,
            events=events or SimulationSettings().events,
            bead_events=bead_events,
            faults=tuple(fault or ()),
            ex_vivo=ex_vivo,
            name=name,
        )
        simulate_study(folder, settings)
        typer.echo(safe(f"{folder}: study {name!r} with its truth.csv"))
        typer.echo(safe(f"Next: cytosepsis run {folder} --out results"))


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings[:_MAX_WARNINGS]:
        say(f"Note: {warning}")
    if len(warnings) > _MAX_WARNINGS:
        say(f"Note: {len(warnings) - _MAX_WARNINGS} more; `cytosepsis check` lists them.")


def _as_json(problem: Problem) -> dict[str, str]:
    return {
        "file": problem.file,
        "place": problem.place,
        "severity": problem.severity,
        "message": problem.message,
    }


def _show_problems(problems: tuple[Problem, ...]) -> None:
    errors = [problem for problem in problems if problem.severity == "error"]
    warnings = [problem for problem in problems if problem.severity == "warning"]
    for title, found in (("Errors, each to be put right", errors), ("To look at", warnings)):
        if found:
            typer.echo(f"{title}: {len(found)}")
            for problem in found:
                typer.echo(safe(f"  {problem}"))
    if not problems:
        typer.echo("No problems found.")
    elif not errors:
        typer.echo("`cytosepsis run` accepts this study.")


def _of_files(problems: tuple[Problem, ...], study: Path) -> bool:
    """Whether more was found than reading the study alone finds: files that will fail."""
    from cytosepsis.config import load_study

    return bool({str(problem) for problem in problems} - set(load_study(study).warnings))
