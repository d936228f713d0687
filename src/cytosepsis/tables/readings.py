"""A row of the sample sheet with everything that is known of it: what every table is made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cytosepsis.file_results import BeadRunResult, SampleFailure, SampleOutcome, SampleResult
from cytosepsis.flags import Status, status_of, worst
from cytosepsis.protocol import Sample, Study
from cytosepsis.quantify import (
    AbcResult,
    BeadRack,
    CountResult,
    count_populations,
    preanalytic_flags,
    quantify,
    rack_beads,
    review_of,
)
from cytosepsis.tables.blood_counts import BloodCounts
from cytosepsis.tables.timepoints import Moment, Placement, place


@dataclass(frozen=True, slots=True)
class Reading:
    """One row of the sample sheet, its outcome, its AB/C and its place in time."""

    index: int  # of the row in the sample sheet
    sample: Sample
    outcome: SampleOutcome
    abc: AbcResult | None  # None where the assay quantifies nothing, or the file failed
    placement: Placement
    review: str
    base_flags: tuple[str, ...]  # doubts of file, gates, time and design; not those of AB/C
    counts: tuple[CountResult, ...] = ()  # absolute counts; none where the assay gives none
    # AB/C with and without the events that quality flags; the same where it flags none.
    abc_all_events: float | None = None
    abc_good_events: float | None = None

    @property
    def result(self) -> SampleResult | None:
        """What was computed from the file; None where it failed."""
        return self.outcome if isinstance(self.outcome, SampleResult) else None

    @property
    def failure(self) -> SampleFailure | None:
        """Why the file failed; None where it did not."""
        return self.outcome if isinstance(self.outcome, SampleFailure) else None

    @property
    def flags(self) -> tuple[str, ...]:
        """Every doubt, that about AB/C included."""
        return (*self.base_flags, *(self.abc.flags if self.abc else ()))

    @property
    def drawn(self) -> Moment:
        """The draw's time as the sheet gives it."""
        return Moment(self.sample.drawn_at, self.sample.drawn_at_has_time)

    @property
    def status(self) -> Status:
        """The worst of file, bead run and AB/C."""
        if self.failure:
            return "failed"
        return worst([status_of(self.flags), self.abc.status if self.abc else "ok"])

    @property
    def error(self) -> tuple[str | None, str | None, str | None]:
        """(code, sentence, step) of a failed row; nothing of another."""
        if self.failure:
            return self.failure.code, self.failure.message, self.failure.step
        if self.abc and self.abc.status == "failed":
            return self.abc.reason_code, self.abc.reason, "calibration"
        return None, None, None


class Reader:
    """Makes readings of a study's outcomes; what all rows share is worked out once."""

    def __init__(self, study: Study, bead_results: Iterable[BeadRunResult]) -> None:
        self.study = study
        self._places = {sample.sample_id: index for index, sample in enumerate(study.samples)}
        self._rack = rack_beads(bead_results, study)
        self._patients = {patient.patient_id: patient for patient in study.patients}
        self._mixed = _mixed_methods(study)
        self._blood_counts = BloodCounts(study)

    def in_sheet_order(self, outcomes: Iterable[SampleOutcome]) -> tuple[SampleOutcome, ...]:
        """One outcome per row of the sample sheet: a row without one was not computed."""
        by_id = {outcome.sample_id: outcome for outcome in outcomes}
        unknown = by_id.keys() - self._places.keys()
        assert not unknown, f"outcomes of no sample: {sorted(unknown)}"
        return tuple(by_id.get(s.sample_id) or _not_computed(s) for s in self.study.samples)

    def read(self, outcome: SampleOutcome) -> Reading:
        """The reading of the row that an outcome belongs to."""
        study, index = self.study, self._places[outcome.sample_id]
        sample = study.samples[index]
        result = outcome if isinstance(outcome, SampleResult) else None
        placement = place(
            Moment(sample.drawn_at, sample.drawn_at_has_time),
            sample.timepoint,
            self._patients.get(sample.patient_id),
            study,
            of_patient=sample.group == "patient",
        )
        abc = quantify(sample, result, self._rack, study) if result else None
        all_events, good_events = _in_both_modes(sample, result, abc, self._rack, study)
        flags: tuple[str, ...] = placement.flags
        if result:
            limits = study.assay(sample.assay).limits
            flags += (*result.flags, *preanalytic_flags(sample, limits, study.timezone))
        if exclusion(sample) is None:
            flags += self._mixed.get((sample.patient_id, sample.assay), ())
        return Reading(
            index=index,
            sample=sample,
            outcome=outcome,
            abc=abc,
            placement=placement,
            review=review_of(sample.sample_id, study),
            base_flags=flags,
            counts=self._counts(sample, result, placement) if result else (),
            abc_all_events=all_events,
            abc_good_events=good_events,
        )

    def _counts(
        self, sample: Sample, result: SampleResult, placement: Placement
    ) -> tuple[CountResult, ...]:
        settings = self.study.assay(sample.assay).counting
        if settings is None:
            return ()
        near = None
        if settings.blood_count:
            near = self._blood_counts.near(sample, placement, settings)
        return count_populations(sample, result, self.study, near)


def shortened(reading: Reading, *, whole: bool = False) -> Reading:
    """A reading without what only the long tables show, so that very many fit into memory.

    What stays tells `samples`, `abc`, `patients` and the rest of the tables with a row per sample.
    `whole`: but for the pictures everything stays.
    """
    result = reading.result
    if result is None:
        return reading
    if whole:
        return replace(reading, outcome=replace(result, densities=()))
    population = reading.abc.population if reading.abc else None
    outcome = replace(
        result,
        densities=(),
        gates=tuple(gate for gate in result.gates if gate.path == population),
        quality=result.quality and replace(result.quality, checks=(), channels=(), bins=()),
        quantified=result.quantified and replace(result.quantified, quantiles=()),
        quantified_otherwise=None,
        quantified_by_plan=None,
    )
    return replace(reading, outcome=outcome)


def _in_both_modes(
    sample: Sample,
    result: SampleResult | None,
    abc: AbcResult | None,
    rack: BeadRack,
    study: Study,
) -> tuple[float | None, float | None]:
    """AB/C of all events, and of those that quality does not flag."""
    if result is None or abc is None:
        return None, None
    if result.quality is None or not result.quality.flagged():
        return abc.abc, abc.abc
    other = None
    if result.quantified_otherwise is not None:
        changed = replace(result, quantified=result.quantified_otherwise)
        otherwise = quantify(sample, changed, rack, study)
        other = otherwise.abc if otherwise else None
    keeps = study.assay(sample.assay).quality.events == "keep"
    return (abc.abc, other) if keeps else (other, abc.abc)


def exclusion(sample: Sample) -> tuple[str, str] | None:
    """Why the sheet keeps a row out of `patients`, as (code, words); None where it does not."""
    if not sample.use:
        why = f": {sample.use_reason}" if sample.use_reason else ""
        return "use_no", f"`use` is no{why}"
    if sample.role != "sample":
        return "control_role", f"a control: role {sample.role}"
    if sample.group not in {"patient", "healthy"}:
        return "control_group", f"group {sample.group}"
    given = {
        "condition": sample.condition,
        "stimulus": sample.stimulus,
        "drug": sample.drug,
    }
    named = ", ".join(f"{name} {value}" for name, value in given.items() if value)
    return ("ex_vivo", f"ex vivo: {named}") if named else None


def _mixed_methods(study: Study) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Flags of patients whose rows of an assay differ in lysis or site, by patient and assay.

    From the sheet alone, so that a file that fails changes no other row.
    """
    rows: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in study.samples:
        if exclusion(sample) is None:
            rows[sample.patient_id, sample.assay].append(sample)
    return {key: incomparable(samples, study) for key, samples in rows.items()}


def incomparable(samples: Sequence[Sample], study: Study) -> tuple[str, ...]:
    """Flags of why values of these samples may not be compared; none where they may.

    An empty cell is not another method.
    """
    methods = [method_of(sample) for sample in samples]
    lysis = {lysis for lysis, _ in methods if lysis}
    sites = {site for _, site in methods if site}
    found = {
        "mixed_lysis": len(lysis) > 1 and not study.compare_across_lysis,
        "mixed_sites": len(sites) > 1 and not study.compare_across_sites,
    }
    return tuple(code for code, is_so in found.items() if is_so)


def method_of(sample: Sample) -> tuple[str, str]:
    """(lysis, site) as they are compared: case and outer blanks make no difference."""
    return _folded(sample.lysis), _folded(sample.site)


def _folded(text: str | None) -> str:
    return (text or "").strip().casefold()


def _not_computed(sample: Sample) -> SampleFailure:
    return SampleFailure(
        sample_id=sample.sample_id,
        assay=sample.assay,
        sha256=None,
        code="not_computed",
        message=f"{sample.file} has not been computed. Run the study again to complete it.",
    )
