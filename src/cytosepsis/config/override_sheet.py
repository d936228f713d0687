"""The sheet of a reviewer's decisions: what each needs is checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from cytosepsis.config.cells import Cells, Reading
from cytosepsis.config.problems import listed, nearest
from cytosepsis.config.study_file import StudyFile
from cytosepsis.errors import GatingError
from cytosepsis.gating.plan import GatingPlan, axes_of, path_of
from cytosepsis.gating.region import read_region
from cytosepsis.protocol import Override, instant

ACTIONS = ("accept", "reject", "gate", "assign_beads")
COLUMNS = ("target", "action", "who", "when", "why")

_UNDATED = datetime.max.replace(tzinfo=UTC)  # an error of its own; it changes no order


def read_overrides(
    file: StudyFile,
    reading: Reading,
    *,
    plans: Mapping[str, GatingPlan | None],
    bead_runs: Iterable[str] | None,
) -> tuple[Override, ...]:
    """Every decision of the override sheet, earliest first: of two on one thing the later stands.

    Parameters
    ----------
    plans
        The plan of every sample, by sample_id; None where it could not be read.
    bead_runs
        None where the bead sheet could not be read: targets are then not checked.

    """
    name = file.study.overrides if file.study else None
    if name is None:
        return ()
    sheet = reading.sheet("overrides", name, known=COLUMNS, needed=COLUMNS)
    if sheet is None:
        return ()
    runs = None if bead_runs is None else tuple(bead_runs)
    read = [_override(cells, plans, runs) for cells in reading.rows(sheet)]
    zone = file.study.timezone if file.study else None
    read.sort(key=lambda pair: _UNDATED if pair[0] is None else instant(pair[0], zone))
    return tuple(override for _, override in read)


def _override(
    cells: Cells, plans: Mapping[str, GatingPlan | None], runs: tuple[str, ...] | None
) -> tuple[datetime | None, Override]:
    target = cells.needed("target")
    action = cells.choice("action", ACTIONS)
    if action is None and cells.row.cells.get("action") is None:
        cells.needed("action")
    if target and runs is not None:
        _check_target(cells, target, action, tuple(plans), runs)
    parameters = cells.carried(COLUMNS)
    given = dict(parameters)
    if action == "assign_beads":
        named = given.get("bead_run")
        if named is None or (runs is not None and named not in runs):
            cells.error(
                "bead_run", f"found {named!r}; assign_beads wants a run of the bead sheet: "
                f"{listed(runs or ())}.",
            )  # fmt: skip
    if action == "gate":
        _check_gate(cells, given, plans.get(target))
    when, has_time = cells.moment("when")
    if when is None and cells.row.cells.get("when") is None:
        cells.needed("when")
    decided = "" if when is None else (when if has_time else when.date()).isoformat()
    return when, Override(
        target=target,
        action=cast("Any", action or "accept"),
        who=cells.needed("who"),
        when=decided,
        why=cells.needed("why"),
        parameters=parameters,
    )


def _check_target(
    cells: Cells,
    target: str,
    action: str | None,
    samples: tuple[str, ...],
    runs: tuple[str, ...],
) -> None:
    targets = (*samples, *runs)
    if target not in targets:
        cells.error(
            "target", f"found {target!r}, which is no sample and no bead run."
            f"{nearest(target, targets)}",
        )  # fmt: skip
    elif action in ("gate", "assign_beads") and target not in samples:
        cells.error("target", f"found {target!r}, a bead run; {action} is of a sample.")


def _check_gate(cells: Cells, given: Mapping[str, str | None], plan: GatingPlan | None) -> None:
    """A gate's region must be one, and of the axes of a gate of the sample's plan."""
    name, text = given.get("gate"), given.get("region")
    if name is None:
        cells.error("gate", "is empty; the action gate wants a gate of the plan.")
    if text is None:
        cells.error("region", "is empty; the action gate wants where it lies, as one JSON object.")
    if plan is None or name is None:
        named = []
    else:
        named = [gate for gate in plan if name in (path_of(gate), gate.name)]
        if len(named) != 1:
            known = [*plan.paths[1:], *(gate.name for gate in plan)]
            cells.error(
                "gate",
                f"found {name!r}, which names {len(named)} gates of the plan."
                f"{nearest(name, known)} Gates: {listed(plan.paths[1:])}.",
            )
    if text is not None and len(named) == 1:
        try:
            read_region(text, len(axes_of(named[0])))
        except GatingError as error:
            cells.error("region", f"found {text[:60]!r}: {error.message}.")
