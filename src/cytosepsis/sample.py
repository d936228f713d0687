"""One sample from its file to its result: `analyze_sample`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from cytosepsis.compensation import Spillover, read_spillover_csv, spillover_of
from cytosepsis.errors import CytosepsisError, FcsError, GatingError
from cytosepsis.fcs import RawEvents, read_fcs
from cytosepsis.file_results import (
    Intensity,
    Quantified,
    SampleFailure,
    SampleOutcome,
    SampleResult,
)
from cytosepsis.file_stamps import Stamp, file_digest, stamp_of
from cytosepsis.flags import flags_of_notes
from cytosepsis.gating.adaptive import Resolved
from cytosepsis.gating.apply import Populations, find_gates, gate
from cytosepsis.gating.batch import ENDING
from cytosepsis.gating.flexing import NARROWER, WIDER, flexed
from cytosepsis.gating.given import GivenGate
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import UNCOMPENSATED, GatingPlan, Threshold
from cytosepsis.gating.reader import read_gating
from cytosepsis.measure import estimate, even_quantiles, summarize
from cytosepsis.panel import find
from cytosepsis.pictures import pictures_of
from cytosepsis.population_counts import gate_flags, population_counts
from cytosepsis.protocol import NO_AIDS, AbcSettings, Aids, Assay, Sample
from cytosepsis.quality.check import choose_events, watch_roles

N_QUANTILES = 501  # so that a share is told to 0.1 %

R = TypeVar("R")
F = TypeVar("F")

# ------------------------------------------------------------------------------- one sample


def analyze_sample(
    sample: Sample,
    assay: Assay,
    aids: Aids = NO_AIDS,
    *,
    digest: bool = True,
    plots: bool = False,
) -> SampleOutcome:
    """Count and measure one file; a fault is a `SampleFailure`.

    With its SHA-256 if `digest`, computed in a thread of its own beside the work: both leave
    Python's lock. With the pictures of its gates if `plots`, counted in the same walk.
    """
    pending = _hasher().submit(file_digest, sample.path) if digest else None

    def sha256() -> str | None:
        try:
            return pending.result() if pending else None
        except OSError:  # the reader says what is wrong with the file
            return None

    def compute() -> SampleResult:
        return replace(_measured(sample, assay, aids, plots=plots), sha256=sha256())

    def failed(code: str, message: str, step: str | None, unforeseen: bool) -> SampleFailure:
        return SampleFailure(
            sample.sample_id, assay.name, sha256(), code, message, step, unforeseen
        )

    return supervised(compute, failed)


@lru_cache(maxsize=1)
def _hasher() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256")


def _measured(sample: Sample, assay: Assay, aids: Aids, *, plots: bool) -> SampleResult:
    raw = read_fcs(sample.path, dataset=sample.dataset, truncated=assay.truncated)
    if raw.n_events == 0:
        raise FcsError("the file holds no events; acquire it again", code="no_events", step="read")
    plan = _plan(assay.gating, Path(sample.path).name)
    spillover, flags = _spillover(raw, assay.compensation)
    measures = _measures(assay, plan)
    watch = watch_roles(raw, [names for _, names in assay.channels], assay.quality)
    quality = None
    if watch and assay.quality.events == "drop":  # the gates wait for the verdict
        quality, watch = watch.look(), None
    events, otherwise = choose_events(raw, quality, assay.quality)
    controls = _controls(aids.controls, plan)
    channels = dict(assay.channels)
    shown = measures[0] if assay.abc is not None else None
    found = find_gates(
        events,
        plan,
        channels=channels,
        spillover=spillover,
        controls=controls,
        given=aids.given,
    )
    pictures = (
        pictures_of(raw, found.plan, channels=channels, spillover=spillover, quantified=shown)
        if plots
        else ()
    )
    used, borders = (found, {}) if shown is None else _flexed(found, shown.path)
    moved = {word: Measure(path, measures[0].channel) for word, path in borders.items()}
    populations = gate(
        events,
        used,
        channels=channels,
        spillover=spillover,
        measures=(*measures, *moved.values()),
        pictures=pictures,
        shown_to=watch.see if watch else None,
    )
    if watch:
        quality = watch.report()
        _, otherwise = choose_events(raw, quality, assay.quality)
    counts = population_counts(populations, hidden=borders.values())
    quantified = None
    if assay.abc is not None:
        quantified = _quantified(raw, assay, assay.abc, populations)
        shifted = {
            word: estimate(populations.values[measure], assay.abc.statistic).value
            for word, measure in moved.items()
        }
        quantified = replace(quantified, wider=shifted.get(WIDER), narrower=shifted.get(NARROWER))

    def again(part: RawEvents | None, given: Sequence[GivenGate]) -> Quantified | None:
        """The same of other events or gates; None where there are none."""
        if assay.abc is None or part is None:
            return None
        options: Any = {"channels": channels, "spillover": spillover, "controls": controls}
        return _quantified(
            raw, assay, assay.abc, gate(part, plan, measures=measures, given=given, **options)
        )

    detector = None if quantified is None else raw.parameters[raw.pnn.index(quantified.detector)]
    return SampleResult(
        sample_id=sample.sample_id,
        assay=assay.name,
        sha256=None,
        n_events=raw.n_events,
        populations=counts,
        intensities=_intensities(populations, measures),
        quantified=quantified,
        flags=(
            *flags,
            *flags_of_notes(raw.note_codes),
            *(quality.flags if quality else ()),
            *(("flagged_events_dropped",) if events is not raw else ()),
            *gate_flags(
                plan, populations.findings, counts, quantified.population if quantified else None
            ),
        ),
        cytometer=sample.cytometer or raw.cytometer,
        acquired_at=raw.acquired_at,
        voltage=detector.voltage if detector else None,
        gain=detector.gain if detector else None,
        notes=raw.note_codes,
        quality=quality,
        quantified_otherwise=again(otherwise, aids.given),
        quantified_by_plan=again(events, ()) if aids.given else None,
        gates=populations.findings,
        densities=tuple(picture.canvas.density() for picture in pictures),
    )


def supervised(
    compute: Callable[[], R], failed: Callable[[str, str, str | None, bool], F]
) -> R | F:
    """Run one file's work; whatever it raises becomes its row, and never stops the others."""
    try:
        return compute()
    except CytosepsisError as error:
        return failed(error.code, error.message, error.step, False)
    except FileNotFoundError:
        return failed("missing", "no such file", "read", False)
    except OSError as error:
        return failed("unreadable", f"cannot be read: {error.strerror}", "read", False)
    except MemoryError:
        return failed("out_of_memory", "the file needs more memory than there is", None, False)
    except Exception as error:  # noqa: BLE001  a fault of ours must cost one row, not the run
        return failed("unforeseen", f"{type(error).__name__}: {error}", None, True)


@lru_cache(maxsize=64)
def _read_plan(path: str, sample: str | None, _seen: tuple[Stamp | None, ...]) -> GatingPlan:
    return read_gating(path, sample=sample)


def _plan(path: str, file_name: str) -> GatingPlan:
    """A plan is read once, and again when it was edited; a workspace holds one for each sample."""
    beside = sorted(Path(path).parent.glob(f"*{ENDING}"))  # a plan may lean on one of them
    read = [Path(path), *beside] if Path(path).is_file() else []
    seen = tuple(stamp_of(str(file)) for file in read)
    try:
        return _read_plan(path, file_name if path.lower().endswith(".wsp") else None, seen)
    except CytosepsisError as error:
        raise error.with_context(step="gating") from error.__cause__


def _spillover(
    raw: RawEvents, compensation: str
) -> tuple[Spillover | Literal["none"], tuple[str, ...]]:
    """The assay's matrix, and a flag where the file should have brought one and did not."""
    if compensation == "none":
        return "none", ()
    if compensation != "file":
        return read_spillover_csv(compensation), ()
    own = spillover_of(raw.keywords)
    return ("none", ("no_spillover",)) if own is None else (own, ())


def _measures(assay: Assay, plan: GatingPlan) -> tuple[Measure, ...]:
    """Populations and channels whose values are wanted; uncompensated ones tell saturation."""
    wanted: dict[Measure, None] = {}
    if assay.abc is not None:
        path = _full_path(assay.abc.population, plan)
        wanted[Measure(path, assay.abc.channel)] = None
        wanted[Measure(path, assay.abc.channel, UNCOMPENSATED)] = None
    for population, channels in assay.statistics:
        path = _full_path(population, plan)
        for channel in channels:
            wanted[Measure(path, channel)] = None
    return tuple(wanted)


def _controls(tubes: tuple[Sample, ...], plan: GatingPlan) -> dict[str, RawEvents]:
    """The control tubes that the plan asks for, read; of one role the first in the sheet."""
    asked = {gate.control for gate in plan if isinstance(gate, Threshold)}
    first: dict[str, Sample] = {}
    for tube in tubes:
        if tube.role in asked:
            first.setdefault(tube.role, tube)
    return {role: read_fcs(tube.path, dataset=tube.dataset) for role, tube in first.items()}


def _flexed(found: Resolved, path: str) -> tuple[Resolved, dict[str, str]]:
    """The plan with the quantified population's border moved too, where that was found here."""
    here = any(f.path == path and f.standing == "found" for f in found.findings)
    if not here:
        return found, {}
    plan, paths = flexed(found.plan, path)
    return replace(found, plan=plan), paths


def _full_path(population: str, plan: GatingPlan) -> str:
    """Full path of a population given so or by a name that is unique in the plan."""
    if population in plan.paths:
        return population
    found = [path for path in plan.paths if path.rsplit("/", 1)[-1] == population]
    if len(found) != 1:
        what = "no population" if not found else f"{len(found)} populations"
        raise GatingError(
            f"the plan has {what} {population!r}; it has: {', '.join(plan.paths)}",
            code="population_missing",
            step="gating",
        )
    return found[0]


# ---------------------------------------------------------------------------- its numbers


def _intensities(populations: Populations, measures: tuple[Measure, ...]) -> tuple[Intensity, ...]:
    rows = []
    for measure in measures:
        values = populations.values[measure]
        if measure.compensation == UNCOMPENSATED:
            continue
        s = summarize(values)
        rows.append(
            Intensity(
                path=measure.path,
                channel=measure.channel,
                n_events=s.n,
                median=s.median,
                geometric_mean=s.geometric_mean,
                mean=s.mean,
                sd=s.sd,
                robust_cv=s.robust_cv,
            )
        )
    return tuple(rows)


def _quantified(
    raw: RawEvents, assay: Assay, settings: AbcSettings, populations: Populations
) -> Quantified:
    path = next(m.path for m in populations.values if m.compensation == UNCOMPENSATED)
    values = populations.values[Measure(path, settings.channel)]
    stored = populations.values[Measure(path, settings.channel, UNCOMPENSATED)]
    accepted = dict(assay.channels).get(settings.channel, (settings.channel,))
    column = find(accepted, raw.pnn, raw.pns)
    assert column is not None  # gate() found it
    interval = estimate(values, settings.statistic)
    return Quantified(
        population=path,
        channel=settings.channel,
        detector=raw.pnn[column],
        statistic=settings.statistic,
        n_cells=len(values),
        intensity=interval.value,
        low=interval.low,
        high=interval.high,
        n_saturated=_n_saturated(stored, raw.parameters[column].top_of_scale),
        quantiles=even_quantiles(values, N_QUANTILES) if settings.asks_for_shares else (),
    )


def _n_saturated(stored: NDArray[np.float64], top: float | None) -> int:
    if top is None or len(stored) == 0:
        return 0
    if float(stored.max()) > 1.01 * top + 1.0:
        return 0  # values pass $PnR: it is not the limit of this detector's scale
    return int(np.count_nonzero(stored >= top))
