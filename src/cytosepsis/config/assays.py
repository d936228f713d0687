"""Assays of a study: plans and matrices read, names of populations and channels resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from cytosepsis.calibration import BeadLimits
from cytosepsis.compensation import Spillover, read_spillover_csv
from cytosepsis.config.cells import Reading
from cytosepsis.config.counting import counting_of
from cytosepsis.config.places import OutsideError
from cytosepsis.config.problems import Problems, listed, nearest
from cytosepsis.config.sections import AssayTable, LimitsTable
from cytosepsis.config.study_file import FILE, StudyFile, key_path
from cytosepsis.errors import CompensationError, GatingError
from cytosepsis.gating.plan import GatingPlan
from cytosepsis.protocol import AbcSettings, Assay, Limits, Sample
from cytosepsis.quality.settings import QualitySettings

_FILE_WORDS = ("file", "none")

# A workspace may take seconds to parse, and the samples that it lacks fail one by one anyway.
_WORKSPACE_TRIES = 3


@dataclass(frozen=True, slots=True)
class ReadAssay:
    """An assay and the roles it declares; its plan and its own matrix, None where there is none."""

    assay: Assay
    roles: tuple[str, ...]
    plan: GatingPlan | None
    spillover: Spillover | None = None

    def knows_channel(self, channel: str) -> bool:
        """Whether a name can be a channel: without roles, every name may be one of the file's."""
        used = self.plan.channels if self.plan else ()
        return not self.roles or channel in self.roles or channel in used


def read_assays(
    file: StudyFile, reading: Reading, samples: Iterable[Sample] = ()
) -> dict[str, ReadAssay]:
    """Every assay of a study that could be read, by name.

    A FlowJo workspace holds one plan per sample; that of the assay's first sample that it has
    stands for all.
    """
    files: dict[str, list[str]] = {name: [] for name in file.assays}
    for sample in samples:
        if sample.assay in files and sample.path:
            files[sample.assay].append(Path(sample.path).name)
    return {
        name: _assay(name, table, reading, roles=file.roles[name], files=files[name])
        for name, table in file.assays.items()
    }


def resolve_population(name: str, paths: Sequence[str]) -> str:
    """Full path of a population named by its path or by a unique name; LookupError says why not."""
    if name in paths:
        return name
    ends = [path for path in paths if path.endswith(f"/{name}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise LookupError(f"found {name!r}, which names {listed(ends)}. Write one path in full.")
    names = [*paths, *(path.rpartition("/")[2] for path in paths)]
    raise LookupError(
        f"found {name!r}, which the plan does not have.{nearest(name, names)} "
        f"Populations: {listed(paths)}."
    )


def _assay(
    name: str,
    table: AssayTable,
    reading: Reading,
    *,
    roles: tuple[str, ...],
    files: Sequence[str],
) -> ReadAssay:
    place: tuple[str, ...] = ("assays", name)
    gating, plan = _opened(
        table.gating, (*place, "gating"), reading, partial(_read_plan, files=files)
    )
    if plan is not None and plan.batch is not None:
        name_of_batch = str(Path(table.gating).with_name(plan.batch.source))
        reading.files.append((name_of_batch, Path(gating).with_name(plan.batch.source)))
    compensation, spillover = table.compensation, None
    if compensation not in _FILE_WORDS:
        compensation, spillover = _opened(
            compensation, (*place, "compensation"), reading, _read_matrix, words=_FILE_WORDS
        )
    _check_roles(table, place, reading.problems)
    bare = Assay(
        name=name,
        compensation=compensation,
        gating=gating,
        channels=tuple((role, tuple(names)) for role, names in table.channels.items()),
        limits=_limits(table.limits, (*place, "limits"), reading.problems),
        truncated=table.truncated,
        quality=QualitySettings(**table.quality.given()) if table.quality else QualitySettings(),
    )
    read = ReadAssay(bare, roles, plan, spillover)
    names = Names(read, reading.problems)
    abc = None
    if table.abc is not None:
        given = table.abc.given()
        given["population"] = names.path(table.abc.population, (*place, "abc", "population"))
        names.check_channel(table.abc.channel, (*place, "abc", "channel"))
        abc = AbcSettings(**given)
    statistics = []
    for written, channels in table.statistics.items():
        at = (*place, "statistics", written)
        for index, channel in enumerate(channels):
            names.check_channel(channel, (*at, index))
        statistics.append((names.path(written, at), tuple(channels)))
    counting = counting_of(table.counting, names, (*place, "counting"))
    return replace(
        read, assay=replace(bare, abc=abc, statistics=tuple(statistics), counting=counting)
    )


@dataclass(frozen=True, slots=True)
class Names:
    """Checks the names that study.toml uses of one assay."""

    read: ReadAssay
    problems: Problems

    def path(self, name: str, place: Iterable[object]) -> str:
        """Give the full path of a population; the name itself where that cannot be told."""
        if self.read.plan is None:
            return name
        try:
            return resolve_population(name, self.read.plan.paths)
        except LookupError as error:
            self.problems.error(FILE, key_path(place), str(error.args[0]))
            return name

    def check_channel(self, channel: str, place: Iterable[object]) -> None:
        """Refuse a channel that is no role, nor a name the plan itself uses."""
        if not self.read.knows_channel(channel):
            self.problems.error(
                FILE,
                key_path(place),
                f"found {channel!r}, which is no role of assay {self.read.assay.name}."
                f"{nearest(channel, self.read.roles)} Roles: {listed(self.read.roles)}.",
            )


_Opened = TypeVar("_Opened")


def _opened(
    text: str,
    place: tuple[str, ...],
    reading: Reading,
    read: Callable[[Path], _Opened],
    *,
    words: tuple[str, ...] = (),
) -> tuple[str, _Opened | None]:
    """Resolve and read a file that an assay names; the path as text, and what was in it."""
    where = key_path(place)
    hint = f"{nearest(text, words)} Wanted {listed(words)}, or a path." if words else ""
    try:
        path = reading.places.resolve(text)
        if not path.is_file():
            reading.problems.error(FILE, where, f"there is no file {text!r}.{hint}")
            return text, None
        opened = read(path)
    except OutsideError as error:
        reading.problems.error(FILE, where, str(error))
        return text, None
    except (GatingError, CompensationError) as error:
        for fault in error.message.splitlines():  # a plan's reader lists all that it found
            reading.problems.error(text, "", f"{fault} ({where} of {FILE})")
        return text, None
    except OSError as error:
        reading.problems.error(FILE, where, f"{text!r} cannot be opened: {error.strerror}.")
        return text, None
    reading.files.append((text, path))
    return str(path), opened


def _read_plan(path: Path, *, files: Sequence[str]) -> GatingPlan:
    from cytosepsis.gating.reader import read_gating  # noqa: PLC0415  (XML plans need FlowKit)

    if path.suffix.lower() != ".wsp" or not files:
        return read_gating(path)
    *others, last = dict.fromkeys(files[:_WORKSPACE_TRIES])
    for name in others:
        try:
            return read_gating(path, sample=name)
        except GatingError:  # a sample that the workspace lacks fails alone, as a row
            continue
    return read_gating(path, sample=last)


def _read_matrix(path: Path) -> Spillover:
    return read_spillover_csv(path)


def _check_roles(table: AssayTable, place: tuple[str, ...], problems: Problems) -> None:
    """Warn where two roles take the same name: one of them is probably a slip."""
    taken: dict[str, str] = {}
    for role, names in table.channels.items():
        for name in names:
            other = taken.setdefault(name, role)
            if other != role:
                problems.warning(
                    FILE,
                    key_path((*place, "channels", role)),
                    f"accepts {name!r}, as does the role {other}. Is that meant?",
                )


def _limits(table: LimitsTable | None, place: tuple[str, ...], problems: Problems) -> Limits:
    if table is None:
        return Limits()
    given = table.given()
    beads = {k.removeprefix("bead_"): given.pop(k) for k in list(given) if k.startswith("bead_")}
    delays = dict(Limits().staining_delay_hours)
    delays.update({tube.casefold(): h for tube, h in given.pop("staining_delay_hours", {}).items()})
    limits = BeadLimits(**beads)
    # A fail limit that is not given is never tighter than the warn limit that is.
    (low, high), (fail_low, fail_high) = limits.slope, limits.slope_fail
    if "slope_fail" not in beads:
        limits = replace(limits, slope_fail=(min(low, fail_low), max(high, fail_high)))
    elif not fail_low <= low < high <= fail_high:
        problems.error(
            FILE,
            key_path((*place, "bead_slope_fail")),
            f"found {[fail_low, fail_high]}, which does not enclose bead_slope {[low, high]}.",
        )
    if "level_events_fail" not in beads:
        fewest = min(limits.level_events, limits.level_events_fail)
        limits = replace(limits, level_events_fail=fewest)
    elif limits.level_events_fail > limits.level_events:
        problems.error(
            FILE,
            key_path((*place, "bead_level_events_fail")),
            f"found {limits.level_events_fail}, above bead_level_events {limits.level_events}.",
        )
    return Limits(beads=limits, staining_delay_hours=tuple(delays.items()), **given)
