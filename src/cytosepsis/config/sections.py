"""The sections of study.toml: which keys each may have, and of what kind their values are.

No default stands here: what study.toml leaves out takes the default of the frozen record.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def ascending(values: list[float]) -> list[float]:
    """Refuse numbers that do not ascend."""
    if any(low >= high for low, high in pairwise(values)):
        raise ValueError("wanted ascending numbers, each once")
    return values


def _not_descending(values: list[float]) -> list[float]:
    if values[0] > values[1]:
        raise ValueError("wanted the first number not above the second")
    return values


def _distinct(values: list[float]) -> list[float]:
    if len(set(values)) < len(values):
        raise ValueError("wanted every level once")
    return values


Text = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Text], BeforeValidator(_as_list), Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Around = Annotated[list[Positive], Field(min_length=2, max_length=2), AfterValidator(ascending)]
Days = Annotated[
    list[Annotated[float, Field(ge=1)]],
    Field(min_length=2, max_length=2),
    AfterValidator(_not_descending),
]
StatisticName = Literal["median", "geometric_mean"]


class SectionTable(BaseModel):
    """One table of study.toml: strictly typed, unknown keys refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    def given(self, *names: str) -> dict[str, Any]:
        """Collect the keys that study.toml sets (of some names, or all), lists as tuples."""
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self
            if name in self.model_fields_set and (not names or name in names)
        }


class StudyTable(SectionTable):
    """[study]."""

    name: Text
    samples: Text
    beads: Text | None = None
    clinical: Text | None = None
    measurements: Text | None = None
    exposures: Text | None = None
    overrides: Text | None = None
    roots: list[Text] = []
    baseline: Text | None = None
    bead_max_age_hours: Positive | None = None
    timezone: Text | None = None
    date_format: Text | None = None
    assay_cv: Annotated[float, Field(ge=0, lt=1)] | None = None
    primary_marker: Text | None = None
    compare_across_lysis: bool | None = None
    compare_across_sites: bool | None = None


class LotTable(SectionTable):
    """[bead_lots.*]."""

    pe_molecules: Annotated[list[Positive], Field(min_length=3), AfterValidator(_distinct)]
    expires: date | None = None


class AbcTable(SectionTable):
    """[assays.*.abc]."""

    population: Text
    channel: Text
    statistic: StatisticName | None = None
    pe_per_antibody: Positive | None = None
    min_events: Count | None = None
    cutoffs: Annotated[list[Positive], AfterValidator(ascending)] | None = None
    low: Positive | None = None
    positive: Positive | None = None


class LimitsTable(SectionTable):
    """[assays.*.limits]."""

    recommended_cells: Count | None = None
    saturated_fraction: Fraction | None = None
    staining_delay_hours: dict[str, Positive] | None = None
    voltage_tolerance: Annotated[float, Field(ge=0)] | None = None
    bead_recovery: Around | None = None
    bead_slope: Around | None = None
    bead_slope_fail: Around | None = None
    bead_r_squared: Fraction | None = None
    bead_level_events: Count | None = None
    bead_level_events_fail: Count | None = None
    bead_level_cv: Positive | None = None


class CountingLotTable(SectionTable):
    """[counting_lots.*]."""

    beads_per_tube: Positive | None = None
    beads_per_ul: Positive | None = None
    cv: Annotated[float, Field(ge=0, lt=1)] | None = None
    expires: date | None = None


class CountingTable(SectionTable):
    """[assays.*.counting]."""

    beads: Text | None = None
    bead_doublets: Text | None = None
    blood_count: Text | None = None
    blood_count_share: Text | None = None
    of: Text | None = None
    blood_count_hours: Positive | None = None
    blood_count_cv: Annotated[float, Field(ge=0, lt=1)] | None = None
    min_beads: Count | None = None
    recommended_beads: Count | None = None
    bead_doublet_fraction: Fraction | None = None
    lymphosum: Names | None = None
    lymphosum_of: Text | None = None
    lymphosum_limits: Around | None = None
    t_sum: Names | None = None
    t_sum_of: Text | None = None
    t_sum_limits: Around | None = None
    duplicate_tolerance: Fraction | None = None


class QualityTable(SectionTable):
    """[assays.*.quality]."""

    checks: list[Literal["rate", "signal", "margin"]] | None = None
    events: Literal["keep", "drop"] | None = None
    min_events: Annotated[int, Field(ge=100)] | None = None
    signal_shift: Positive | None = None
    rate_ratio: Annotated[float, Field(gt=1)] | None = None
    gap_seconds: Positive | None = None
    margin_fraction: Fraction | None = None
    scatter_margin_fraction: Fraction | None = None
    floor_fraction: Fraction | None = None
    review_fraction: Fraction | None = None
    fail_fraction: Fraction | None = None
    bins: Literal["doubtful", "all"] | None = None


class AssayTable(SectionTable):
    """[assays.*]."""

    compensation: Text
    gating: Text
    channels: dict[str, Names] = {}
    abc: AbcTable | None = None
    limits: LimitsTable | None = None
    quality: QualityTable | None = None
    statistics: dict[str, Names] = {}
    truncated: Literal["refuse", "allow"] = "refuse"
    counting: CountingTable | None = None


class MarkerTable(SectionTable):
    """[markers.*]."""

    assay: Names | None = None
    kind: Literal["abc", "intensity", "fraction", "count", "measurement"]
    population: Text | None = None
    channel: Text | None = None
    of: Text | None = None
    measurement: Text | None = None
    unit: str | None = None
    statistic: StatisticName | None = None


class OutcomeTable(SectionTable):
    """[outcomes.*]."""

    event_day: Text
    competing_day: Annotated[list[Text], BeforeValidator(_as_list)] = []
    observed_until: Text | None = None
    horizon: Positive | None = None


class WindowTable(SectionTable):
    """One line of [timepoints]."""

    days: Days


class ControlChartsTable(SectionTable):
    """[control_charts]."""

    baseline_runs: Annotated[int, Field(ge=3)] | None = None
    provisional_runs: Annotated[int, Field(ge=3)] | None = None
    bridge_hours: Positive | None = None
    bridge_bias: Annotated[float, Field(gt=0, lt=1)] | None = None
    bridge_samples: Annotated[int, Field(ge=2)] | None = None


class OwnRuleTable(SectionTable):
    """[cohort.rules.*]."""

    kind: Literal["include", "exclude"]
    column: Text
    meaning: Text | None = None
    source: Text | None = None
    answer: bool | None = None
    below: float | None = None
    above: float | None = None


CancerStates = list[Literal["active", "treated", "remission"]]


class CohortTable(SectionTable):
    """[cohort]."""

    minimum_age: Annotated[float, Field(ge=0)] | None = None
    steroid_rule: Literal["or", "and"] | None = None
    steroid_daily_mg: Positive | None = None
    steroid_cumulative_mg: Positive | None = None
    steroid_look_back_days: Annotated[int, Field(ge=1)] | None = None
    exposures_complete: bool | None = None
    steroids: dict[str, Positive] | None = None
    immunosuppressants: Names | None = None
    immunosuppressant_look_back_days: Annotated[int, Field(ge=1)] | None = None
    other_drugs: Names | None = None
    local_routes: Names | None = None
    hiv_rule: Literal["any", "cd4"] | None = None
    hiv_cd4_below: Positive | None = None
    cancer_solid: CancerStates | None = None
    cancer_blood: CancerStates | None = None
    cancer_solid_years: Positive | None = None
    cancer_blood_years: Positive | None = None
    neutrophils_below: Positive | None = None
    neutrophil_days: (
        Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_not_descending)]
        | None
    ) = None
    extracorporeal_days: Annotated[int, Field(ge=0)] | None = None
    admission: Literal["icu_admission", "shock_onset"] | None = None
    diagnosis_suffices: bool | None = None
    readmissions: Literal["first", "all"] | None = None
    skip: Names | None = None
    rules: dict[str, OwnRuleTable] | None = None


class TrajectoriesTable(SectionTable):
    """[trajectories]."""

    improver_ratio: Annotated[float, Field(gt=1)] | None = None
    decliner_ratio: Annotated[float, Field(gt=0, lt=1)] | None = None
    until_day: Annotated[float, Field(ge=1)] | None = None
    cutoffs: dict[str, Positive] | None = None
    abc_cutoff: Positive | None = None


class EndotypesTable(SectionTable):
    """[endotypes]."""

    marker: Text | None = None
    timepoints: Names | None = None
    min_values: Annotated[int, Field(ge=1)] | None = None
    max_groups: Annotated[int, Field(ge=1, le=20)] | None = None
    min_group: Annotated[int, Field(ge=2)] | None = None
    resamples: Annotated[int, Field(ge=10, le=10_000)] | None = None
    min_stability: Fraction | None = None
    seed: Count | None = None


class ReagentTable(SectionTable):
    """[reagents.*]."""

    measures: Text | None = None
    analyte: Text | None = None
    detector: Text | None = None
    reporter: Text | None = None
    clone: Text | None = None
    manufacturer: Text | None = None
    catalogue: Text | None = None
    lot: Text | None = None
    channel: Text | None = None


class ExperimentTable(SectionTable):
    """[experiment]: what only people know of an experiment, in their words."""

    purpose: Text | None = None
    keywords: Text | None = None
    variables: Text | None = None
    organization: Text | None = None
    contact: Text | None = None
    date: Text | None = None
    conclusions: Text | None = None
    quality_control: Text | None = None
    specimen: Text | None = None
    characteristics: Text | None = None
    treatment: Text | None = None
    instrument_manufacturer: Text | None = None
    fluidics: Text | None = None
    light_sources: Text | None = None
    excitation_optics: Text | None = None
    optical_filters: Text | None = None
    optical_detectors: Text | None = None
    optical_paths: Text | None = None


# Sections that are one table each.
SINGLE: dict[str, type[SectionTable]] = {
    "control_charts": ControlChartsTable,
    "cohort": CohortTable,
    "trajectories": TrajectoriesTable,
    "endotypes": EndotypesTable,
    "experiment": ExperimentTable,
}
