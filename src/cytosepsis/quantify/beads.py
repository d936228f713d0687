"""Which bead run turns a sample's intensity into AB/C, and what does not match between the two."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cytosepsis.calibration import Calibration
from cytosepsis.file_results import BeadRunResult, Quantified, SampleResult
from cytosepsis.protocol import Sample, Study, instant


@dataclass(frozen=True, slots=True)
class RackedRun:
    """A bead run with what the study says of it."""

    run: BeadRunResult
    at_seconds: float | None  # acquired, since 1970
    cytometer_in_sheet: bool  # else its cytometer is the file's own word
    rejected: bool  # by a reviewer
    usable: bool  # it has a line that neither limits nor a reviewer rule out


@dataclass(frozen=True, slots=True)
class BeadRack:
    """The bead runs of a study as samples choose among them; build one with `rack_beads`."""

    runs: tuple[RackedRun, ...]  # by name, channel and statistic
    timed: tuple[tuple[float, int], ...]  # seconds since 1970 and index in `runs`, ascending
    untimed: tuple[int, ...]  # indices of runs whose time is not known


@dataclass(frozen=True, slots=True)
class BeadChoice:
    """The bead run of a sample, or the reason for none."""

    run: BeadRunResult | None
    flags: tuple[str, ...] = ()
    reason: str | None = None  # None where `run` gives a line
    named: str | None = None  # the run that sheet or reviewer names, usable or not

    @property
    def calibration(self) -> Calibration | None:
        """The line to use; None where there is a reason."""
        return self.run.calibration if self.run and self.reason is None else None


def rack_beads(bead_results: Iterable[BeadRunResult], study: Study) -> BeadRack:
    """Bead results put in order, whatever order they come in, with sheet and review beside them."""
    named_cytometer = {row.bead_run: row.cytometer is not None for row in study.bead_runs}
    racked = []
    for run in bead_results:
        rejected = review_of(run.bead_run, study) == "rejected"
        failed = run.status == "failed" or run.calibration is None
        racked.append(
            RackedRun(
                run=run,
                at_seconds=_seconds(run.acquired_at, study),
                cytometer_in_sheet=named_cytometer.get(run.bead_run, False),
                rejected=rejected,
                usable=not failed and not rejected,
            )
        )
    order = sorted(racked, key=lambda r: _rank(r.run))
    times = [(racked.at_seconds, index) for index, racked in enumerate(order)]
    timed = sorted((seconds, index) for seconds, index in times if seconds is not None)
    untimed = tuple(index for seconds, index in times if seconds is None)
    return BeadRack(tuple(order), tuple(timed), untimed)


def _rank(run: BeadRunResult) -> tuple[str, str, str, int]:
    # Between equals, the harder word goes first.
    hardness = ("failed", "flagged", "ok").index(run.status)
    return run.bead_run, run.channel, run.statistic, hardness


def choose_beads(sample: Sample, result: SampleResult, rack: BeadRack, study: Study) -> BeadChoice:
    """The bead run that turns this sample's intensity into AB/C, with what does not match.

    A run that a reviewer assigns, else one that the sheet names, is used and flagged where it does
    not match. Otherwise the latest usable run before the sample, else the first after it, that was
    acquired within `bead_max_age_hours` by the same cytometer, voltage and gain. Usable: it has a
    line for the sample's detector and statistic, did not fail, and no reviewer rejected it.

    What is unknown contradicts nothing, but a run whose cytometer and voltage are known to match
    goes first; without one, a run is taken only where it is unambiguous: the runs that are left
    must agree on what the sample leaves open, and a run whose age cannot be told is taken only
    where nothing else is left. Without $PnG the gain is 1, as the standard says.
    """
    cells = result.quantified
    assert cells is not None, f"sample {sample.sample_id} quantifies nothing"
    at_seconds = _seconds(result.acquired_at, study)
    subject = _Subject(
        sample, result, at_seconds, study.assay(sample.assay).limits.voltage_tolerance
    )
    named = _assigned(sample.sample_id, study) or sample.bead_run
    if named is not None:
        of_name = [r for r in rack.runs if r.run.bead_run == named and _judged_for(r, sample)]
        return _named_run(named, cells, of_name, subject, study.bead_max_age_hours)
    return _chosen_run(cells, rack, subject, study.bead_max_age_hours)


def review_of(target: str, study: Study) -> str:
    """`accepted`, `rejected` or `pending`: a reviewer's last word on a sample or bead run."""
    words = {"accept": "accepted", "reject": "rejected"}
    said = [words[o.action] for o in study.overrides if o.target == target and o.action in words]
    return said[-1] if said else "pending"


# --- comparing a bead run with a sample


@dataclass(frozen=True, slots=True)
class _Subject:
    """The sample that a bead run is compared with."""

    sample: Sample
    result: SampleResult
    at_seconds: float | None  # acquired, since 1970
    voltage_tolerance: float  # volts


@dataclass(frozen=True, slots=True)
class _Match:
    """A bead run against a sample; None of a comparison: it could not be made."""

    run: BeadRunResult
    same_cytometer: bool | None
    same_voltage: bool | None
    age_hours: float | None  # of the beads when the sample was acquired; negative: acquired after
    mismatches: tuple[str, ...]  # flag codes of what is known to differ

    @property
    def certain(self) -> bool:
        return bool(self.same_cytometer and self.same_voltage)

    @property
    def flags(self) -> tuple[str, ...]:
        """Flag codes of everything to say about the use of this run."""
        found = {
            "beads_doubtful": self.run.status == "flagged",
            "beads_settings_unknown": self.same_cytometer is None or self.same_voltage is None,
            "beads_age_unknown": self.age_hours is None,
        }
        return (*self.mismatches, *(code for code, is_so in found.items() if is_so))


def _match(racked: RackedRun, subject: _Subject, max_age_hours: float) -> _Match:
    run, result, line = racked.run, subject.result, racked.run.calibration
    same_cytometer = _same_cytometer(result.cytometer, run.cytometer)
    # A sheet's name for a cytometer and a file's serial differ without saying anything.
    if racked.cytometer_in_sheet != (subject.sample.cytometer is not None):
        same_cytometer = same_cytometer or None
    same_voltage = None
    if line is not None and line.voltage is not None and result.voltage is not None:
        same_voltage = abs(line.voltage - result.voltage) <= subject.voltage_tolerance
    age = None
    if subject.at_seconds is not None and racked.at_seconds is not None:
        age = (subject.at_seconds - racked.at_seconds) / 3600.0
    differs = {
        "beads_other_cytometer": same_cytometer is False,
        "beads_other_voltage": same_voltage is False,
        "beads_other_gain": line is not None and _gain(line.gain) != _gain(result.gain),
        "beads_too_old": age is not None and abs(age) > max_age_hours,
    }
    mismatches = tuple(code for code, is_so in differs.items() if is_so)
    return _Match(run, same_cytometer, same_voltage, age, mismatches)


def _seconds(moment: datetime | None, study: Study) -> float | None:
    return instant(moment, study.timezone).timestamp() if moment else None


def _same_cytometer(sample: str | None, beads: str | None) -> bool | None:
    if sample is None or beads is None:
        return None
    return sample.strip().casefold() == beads.strip().casefold()


def _gain(gain: float | None) -> float:
    return 1.0 if gain is None else gain


def _serves(run: BeadRunResult, cells: Quantified) -> bool:
    return run.channel == cells.detector and run.statistic == cells.statistic


def _failed_early(run: BeadRunResult, cells: Quantified) -> bool:
    """Whether a run failed before its detector was known."""
    return run.calibration is None and run.statistic == cells.statistic


def _assigned(sample_id: str, study: Study) -> str | None:
    """The bead run that a reviewer last assigned to a sample."""
    runs = [
        dict(override.parameters).get("bead_run")
        for override in study.overrides
        if override.target == sample_id and override.action == "assign_beads"
    ]
    return runs[-1] if runs else None


# --- choosing


def _named_run(
    name: str,
    cells: Quantified,
    of_name: Sequence[RackedRun],
    subject: _Subject,
    max_age_hours: float,
) -> BeadChoice:
    exact = [racked for racked in of_name if _serves(racked.run, cells)]
    other = [racked for racked in of_name if racked.run.statistic == cells.statistic]
    # The sheet's word counts for a detector of another name, as long as it can mean only one.
    racked = exact[0] if exact else (other[0] if len(other) == 1 else None)
    if racked is None:
        has = ", ".join(f"{r.run.channel} ({r.run.statistic})" for r in of_name) or "nothing"
        reason = (
            f"bead run {name} was wanted for {cells.detector} ({cells.statistic}); it was "
            f"measured for {has}. Check `bead_run` and the bead sheet."
        )
        return BeadChoice(None, ("no_beads",), reason, name)
    if racked.rejected:
        reason = f"bead run {name} was rejected by a reviewer. Name another in `bead_run`."
        return BeadChoice(None, ("no_beads",), reason, name)
    if not racked.usable:
        why = racked.run.error or "it gives no line that the limits accept"
        return BeadChoice(racked.run, ("beads_failed",), f"bead run {name} failed: {why}", name)
    flags = _match(racked, subject, max_age_hours).flags
    if not exact:
        flags = ("beads_other_detector", *flags)
    return BeadChoice(racked.run, flags, None, name)


def _chosen_run(
    cells: Quantified, rack: BeadRack, subject: _Subject, max_age_hours: float
) -> BeadChoice:
    # Only runs that are near enough in time can fit; the others are compared for the reason alone.
    around = _serving(_around(rack, subject, max_age_hours), subject)
    near = [r for r in around if r.usable and _is_near(r, subject, max_age_hours)]
    matches = [_match(racked, subject, max_age_hours) for racked in near]
    fitting = [match for match in matches if not match.mismatches]
    timed = [match for match in fitting if match.age_hours is not None]
    certain = [match for match in timed if match.certain]
    if certain or (timed and _unambiguous(timed)):
        return _nearest(certain or timed)
    if len(fitting) == 1:
        return BeadChoice(fitting[0].run, fitting[0].flags)
    what = f"{cells.detector} ({cells.statistic})"
    if fitting:
        reason = (
            f"{len(fitting)} bead runs for {what} could be meant, and what is known of cytometer, "
            f"voltage and acquisition time does not decide. Name one in `bead_run`."
        )
        return BeadChoice(None, ("no_beads",), reason)
    serving = _serving(rack.runs, subject)
    matches = [_match(racked, subject, max_age_hours) for racked in serving if racked.usable]
    reason = (
        f"no usable bead run for {what} of the same cytometer, voltage and gain within "
        f"{max_age_hours:g} h; {_obstacles(serving, matches)}. Acquire beads, or name a "
        f"run in `bead_run`."
    )
    # What alone stood in the way of a run that fits otherwise is said by its flag too.
    alone = {match.mismatches[0] for match in matches if len(match.mismatches) == 1}
    return BeadChoice(None, ("no_beads", *sorted(alone)), reason)


def _serving(runs: Iterable[RackedRun], subject: _Subject) -> list[RackedRun]:
    cells = subject.result.quantified
    assert cells is not None
    return [
        r
        for r in runs
        if _judged_for(r, subject.sample) and (_serves(r.run, cells) or _failed_early(r.run, cells))
    ]


def _judged_for(racked: RackedRun, sample: Sample) -> bool:
    """Assays with different limits may judge one run differently: a sample hears its own's."""
    return not racked.run.assays or sample.assay in racked.run.assays


def _around(rack: BeadRack, subject: _Subject, max_age_hours: float) -> list[RackedRun]:
    """Runs that may be near in time, in the rack's order: a study may have thousands."""
    if subject.at_seconds is None:
        return list(rack.runs)
    reach = max_age_hours * 3600.0 + 1.0  # a second more than `_is_near` allows
    first = bisect_left(rack.timed, (subject.at_seconds - reach, -1))
    last = bisect_right(rack.timed, (subject.at_seconds + reach, len(rack.runs)))
    indices = sorted([*rack.untimed, *(index for _, index in rack.timed[first:last])])
    return [rack.runs[index] for index in indices]


def _is_near(racked: RackedRun, subject: _Subject, max_age_hours: float) -> bool:
    """Whether a run is not known to be too far away in time."""
    if racked.at_seconds is None or subject.at_seconds is None:
        return True
    return abs(subject.at_seconds - racked.at_seconds) / 3600.0 <= max_age_hours


def _nearest(matches: Sequence[_Match]) -> BeadChoice:
    """The latest run before the sample, else the first after it; equal times: the first name."""
    ages = [(match.age_hours or 0.0, match) for match in matches]
    before = [(age, match) for age, match in ages if age >= 0]
    _, nearest = min(before or ages, key=lambda pair: abs(pair[0]))
    late = () if before else ("beads_after_sample",)
    return BeadChoice(nearest.run, (*nearest.flags, *late))


def _unambiguous(matches: Sequence[_Match]) -> bool:
    """Whether runs agree on each setting that could not be compared with the sample's."""
    cytometers = {
        (match.run.cytometer or "").strip().casefold()
        for match in matches
        if match.same_cytometer is None
    }
    voltages = {
        match.run.calibration.voltage
        for match in matches
        if match.same_voltage is None and match.run.calibration
    }
    return len(cytometers) <= 1 and len(voltages) <= 1


_OBSTACLES = {
    "beads_other_cytometer": "of another cytometer",
    "beads_other_voltage": "at another voltage",
    "beads_other_gain": "at another gain",
    "beads_too_old": "too far away in time",
}


def _obstacles(serving: Sequence[RackedRun], matches: Sequence[_Match]) -> str:
    """Why runs were passed over, counted: `of 12 bead runs: 2 failed, 10 at another voltage`."""
    if not serving:
        return "no bead run was measured for it"
    counts = Counter(code for match in matches for code in match.mismatches)
    n_rejected = sum(racked.rejected for racked in serving)
    n_failed = len(serving) - len(matches) - n_rejected
    found = [(n_failed, "failed"), (n_rejected, "rejected by a reviewer")]
    found += [(counts[code], text) for code, text in _OBSTACLES.items()]
    what = ", ".join(f"{n} {text}" for n, text in found if n)
    return f"of {len(serving)} bead run(s): {what}"
