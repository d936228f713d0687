"""From single-stain controls to a labelled matrix with the report that judges it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytosepsis.compensation import Spillover, spillover_of
from cytosepsis.errors import ChannelError, CompensationError, FcsError, StudyError
from cytosepsis.fcs import RawEvents, read_fcs
from cytosepsis.panel import find
from cytosepsis.spillover_controls.choice import Method, choose
from cytosepsis.spillover_controls.events import MIN_EVENTS, ControlEvents, usable_events
from cytosepsis.spillover_controls.report import ControlReport, FromControls, report_of
from cytosepsis.spillover_controls.sheet import Control, set_problems

Float = NDArray[np.float64]


def spillover_from_controls(
    controls: Sequence[Control], *, method: Method = "regression", scatter: bool = True
) -> FromControls:
    """Estimate a spillover matrix from single-stain controls, and judge it.

    Rows and columns stand in the order of the detectors in the files, whatever the order of the
    controls. Each control's own background is found with its slopes; an unstained control stands in
    where a control's own events do not determine a slope, and contradicts it where it must
    (`choice`).

    Parameters
    ----------
    controls : one per dye, and at most one unstained
    method : `regression` (robust lines, refined until no slope is left) or `medians` (difference
        of medians to the unstained control, which is then needed)
    scatter : whether each control is reduced to the scatter of its bright events

    Raises
    ------
    StudyError
        The controls do not make a set: two of one dye, none stained.
    CompensationError
        `controls`: files that cannot be read, lack a detector, have too few usable events or are
        brightest in another dye's detector, all named; `not_converged`, `controls_alike`,
        `no_unstained`,
        `too_few_stained`.
    """
    if faults := set_problems("controls", controls):
        raise StudyError(faults)
    files, problems = _read(controls)
    _refuse(problems)
    stained, detectors = _ordered(controls, files)
    unstained = next((c for c in controls if c.role == "unstained"), None)
    columns = {c: [files[c].pnn.index(name) for name in detectors] for c in files}
    used = [
        usable_events(files[c], columns[c], place, scatter=scatter)
        for place, c in enumerate(stained)
    ]
    blank = None if unstained is None else usable_events(files[unstained], columns[unstained], None)
    _refuse(_event_problems(stained, used, detectors, unstained, blank))
    labels = tuple(c.fluorochrome or name for c, name in zip(stained, detectors, strict=True))
    values = [events.values for events in used]
    chosen = choose(values, None if blank is None else blank.values, method)
    spillover = Spillover(
        detectors, labels, tuple(map(tuple, chosen.matrix.tolist())), "single-stain controls"
    )
    reports = [
        ControlReport(
            file=Path(control.file).name,
            fluorochrome=label,
            detector=name,
            n_events=events.n_events,
            n_saturated=events.n_saturated,
            n_used=len(events.values),
            scatter=events.scatter,
        )
        for control, label, name, events in zip(stained, labels, detectors, used, strict=True)
    ]
    everywhere = (*_setting_flags(files, columns), *_left_out_flags(files, detectors))
    report = report_of(spillover, chosen, reports, values, method=method, everywhere=everywhere)
    return FromControls(spillover, report)


def _read(controls: Sequence[Control]) -> tuple[dict[Control, RawEvents], list[str]]:
    """Every control's file, with what is wrong with any of them."""
    files: dict[Control, RawEvents] = {}
    problems: list[str] = []
    for control in controls:
        try:
            files[control] = read_fcs(control.file, dataset=control.dataset)
        except FcsError as error:
            problems.append(f"{Path(control.file).name}: {error.message}")
    wanted: list[str] = []
    for control, raw in files.items():
        if control.role == "single_stain":
            name = _own_detector(control, raw, problems)
            wanted += [name] if name else []
    for name in sorted({name for name in wanted if wanted.count(name) > 1}):
        problems.append(f"detector {name} is named by {wanted.count(name)} controls")
    for control, raw in files.items():
        lacking = [name for name in dict.fromkeys(wanted) if raw.pnn.count(name) != 1]
        if lacking:
            problems.append(
                f"{Path(control.file).name}: does not have (once) the detectors "
                f"{', '.join(lacking)} of the other controls. It has: {', '.join(raw.pnn)}. "
                "All controls are acquired with the same detectors"
            )
    return files, problems


def _own_detector(control: Control, raw: RawEvents, problems: list[str]) -> str | None:
    place = None
    try:
        place = find((control.detector,), raw.pnn, raw.pns)
        missing = f"has no detector {control.detector}. It has: {', '.join(raw.pnn)}"
    except ChannelError as error:
        missing = error.message
    if place is None:
        problems.append(f"{Path(control.file).name}: {missing}")
        return None
    return raw.pnn[place]


def _ordered(
    controls: Sequence[Control], files: dict[Control, RawEvents]
) -> tuple[list[Control], tuple[str, ...]]:
    """Stained controls and their detectors, in the order of one file that no row order changes."""
    first = files[min(controls, key=lambda control: (control.file, control.dataset or 0))]
    own: list[tuple[int, Control]] = []
    for control in controls:
        if control.role == "single_stain":
            raw = files[control]
            place = find((control.detector,), raw.pnn, raw.pns)
            assert place is not None
            own.append((first.pnn.index(raw.pnn[place]), control))
    own.sort(key=lambda pair: pair[0])
    return [control for _, control in own], tuple(first.pnn[place] for place, _ in own)


def _event_problems(
    stained: Sequence[Control],
    used: Sequence[ControlEvents],
    detectors: Sequence[str],
    unstained: Control | None,
    blank: ControlEvents | None,
) -> list[str]:
    """Too few events, or brighter in another dye's detector than in its own."""
    problems = []
    everyone = [*zip(stained, used, strict=True)]
    if unstained is not None and blank is not None:
        everyone.append((unstained, blank))
    for control, events in everyone:
        if len(events.values) < MIN_EVENTS:
            problems.append(
                f"{Path(control.file).name}: {len(events.values)} usable events of "
                f"{events.n_events} ({events.n_saturated} saturated); at least {MIN_EVENTS} are "
                "needed. Acquire more, or lower the voltage and acquire all controls again"
            )
    empty = blank is None or len(blank.values) < MIN_EVENTS
    unspecific = 0.0 if empty or blank is None else _span(blank.values)
    for own, (control, events) in enumerate(zip(stained, used, strict=True)):
        if len(events.values) < MIN_EVENTS:
            continue
        span = _span(events.values) - unspecific
        brightest = int(np.argmax(span))
        if span[brightest] > span[own]:
            problems.append(
                f"{Path(control.file).name}: given for {detectors[own]}, but brightest in "
                f"{detectors[brightest]} ({span[brightest]:.4g} against {span[own]:.4g}). Are two "
                "files or rows exchanged, or is the cell not stained?"
            )
    return problems


def _span(values: Float) -> Float:
    """How far the bright events lie above the dim ones, per detector."""
    low, high = np.quantile(values, (0.01, 0.99), axis=0)
    return np.asarray(high - low, dtype=np.float64)


def _setting_flags(
    files: dict[Control, RawEvents], columns: dict[Control, list[int]]
) -> tuple[str, ...]:
    settings = {
        tuple((raw.parameters[k].voltage, raw.parameters[k].gain) for k in columns[control])
        for control, raw in files.items()
    }
    cytometers = {raw.cytometer for raw in files.values()}
    return ("control_settings_differ",) if len(settings) > 1 or len(cytometers) > 1 else ()


def _left_out_flags(files: dict[Control, RawEvents], detectors: Sequence[str]) -> tuple[str, ...]:
    """Whether the files' own matrix covers detectors for which there is no control."""
    for raw in files.values():
        try:
            own = spillover_of(raw.keywords)
        except CompensationError:
            continue  # not asked for: only a hint
        if own is not None and set(own.detectors) - set(detectors):
            return ("detectors_without_control",)
    return ()


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise CompensationError("\n".join(problems), code="controls")
