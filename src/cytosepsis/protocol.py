"""What the lab has set and declared: frozen records of a study, as `config` parses them.

Records hold scalars, strings and tuples only; they cross process borders. A default stands in one
place, the field below, with its unit and its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from cytosepsis.analysis_plan import Analyses
from cytosepsis.calibration import BeadLimits, BeadLot
from cytosepsis.cohort_rules import CohortRules
from cytosepsis.counting import CountingLot
from cytosepsis.gating.given import GivenGate
from cytosepsis.quality.settings import QualitySettings
from cytosepsis.roots import Root
from cytosepsis.trajectory_rules import EndotypeRules, TrajectoryRules

Statistic = Literal["median", "geometric_mean"]


@dataclass(frozen=True, slots=True)
class AbcSettings:
    """Which population and channel are quantified in antibodies bound per cell (AB/C), and how."""

    population: str
    channel: str
    statistic: Statistic = "median"  # the same for beads and cells
    pe_per_antibody: float = 1.0  # 1:1 conjugate (BD Quantibrite HLA-DR, clone L243)
    min_events: int = 500  # cells; below: value shown, never banded
    cutoffs: tuple[float, ...] = ()  # AB/C; bands are lower ≤ value < upper
    # AB/C of single cells, carried back through the sample's bead line; None: not counted
    low: float | None = None  # below: HLA-DR-low, of CD14+ monocytes M-MDSC
    positive: float | None = None  # from here on: HLA-DR+

    @property
    def asks_for_shares(self) -> bool:
        """Whether cells are counted beyond a threshold."""
        return self.low is not None or self.positive is not None


@dataclass(frozen=True, slots=True)
class CountingSettings:
    """How an assay's cells are counted per µL of blood, and what makes a count doubtful.

    With `beads`: single platform. With `blood_count`: dual platform, the count of a haematology
    analyser (a name in the measurements) times a fraction that cytometry finds.
    """

    beads: str | None = None  # population of the tube's counting beads
    bead_doublets: str | None = None  # two beads that stick together: each event is two beads
    blood_count: str | None = None  # cells per volume, such as white cells
    blood_count_share: str | None = None  # optional: the share of it that `of` is (% lymphocytes)
    of: str | None = None  # population that the blood count (or that share of it) counts
    # 12: a morning's and an evening's blood count belong to one day's draw; shock moves faster
    # than that only in hours that nobody samples
    blood_count_hours: float = 12.0
    blood_count_cv: float | None = None  # relative standard uncertainty of the analyser
    min_beads: int = 1000  # events; below: few_beads, counting alone gives a CV above 3.2 %
    recommended_beads: int = 2500  # events; 2 %
    bead_doublet_fraction: float = 0.10  # of bead events; above: they stick, or were not mixed
    # T + B + NK against lymphocytes: 100 ± 10 %. J Clin Pathol, table of CD4 counting guidelines
    lymphosum: tuple[str, ...] = ()
    lymphosum_of: str | None = None
    lymphosum_limits: tuple[float, float] = (0.90, 1.10)
    t_sum: tuple[str, ...] = ()  # CD4 + CD8 against CD3
    t_sum_of: str | None = None
    t_sum_limits: tuple[float, float] = (0.90, 1.10)
    duplicate_tolerance: float = 0.10  # of each duplicate from their mean


@dataclass(frozen=True, slots=True)
class Limits:
    """Every warn and fail limit of an assay; echoed in the results."""

    beads: BeadLimits = field(default_factory=BeadLimits)
    recommended_cells: int = 3000  # cells; usual requirement of the assay
    saturated_fraction: float = 0.005  # of the quantified population in the channel's top value
    # hours from draw to staining, per tube type. EDTA: Döcke 2005, 10.1373/clinchem.2005.052639;
    # CytoChex BCT: reported stable 72 h.
    staining_delay_hours: tuple[tuple[str, float], ...] = (
        ("edta", 4.0),
        ("heparin", 4.0),
        ("cytochex", 72.0),
    )
    voltage_tolerance: float = 0.0  # volts between beads and sample


@dataclass(frozen=True, slots=True)
class Assay:
    """How the files of one panel are compensated, gated and quantified."""

    name: str
    compensation: str  # "file", "none", or a CSV matrix's resolved path
    gating: str  # resolved path of the plan (.toml, .xml, .wsp)
    channels: tuple[tuple[str, tuple[str, ...]], ...]  # role -> accepted $PnN or $PnS names
    abc: AbcSettings | None = None
    limits: Limits = field(default_factory=Limits)
    statistics: tuple[tuple[str, tuple[str, ...]], ...] = ()  # population -> channels
    truncated: Literal["refuse", "allow"] = "refuse"  # files that are shorter than they say
    quality: QualitySettings = field(default_factory=QualitySettings)
    counting: CountingSettings | None = None  # None: the assay gives no counts


Group = Literal["patient", "healthy", "control", "eqa"]
SampleRole = Literal["sample", "isotype", "fmo", "unstained", "single_stain"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of the sample sheet: one acquired FCS file."""

    sample_id: str
    file: str  # as written in the sheet
    path: str  # resolved
    patient_id: str
    assay: str
    group: Group = "patient"
    timepoint: str | None = None  # label of the sheet, if any
    drawn_at: datetime | None = None
    drawn_at_has_time: bool = True
    draw_id: str | None = None
    use: bool = True
    use_reason: str | None = None
    role: SampleRole = "sample"
    control_for: str | None = None
    bead_run: str | None = None  # named in the sheet; None: chosen by rule
    condition: str | None = None
    stimulus: str | None = None
    drug: str | None = None
    dose: float | None = None
    dose_unit: str | None = None
    drug_timing: str | None = None
    incubation_hours: float | None = None
    plate: str | None = None
    replicate: str | None = None
    tube: str | None = None
    lysis: str | None = None
    stained_at: datetime | None = None
    site: str | None = None
    cytometer: str | None = None
    dataset: int | None = None  # of a file with several data sets, from 0
    operator: str | None = None
    protocol_version: str | None = None
    reagent_lot: str | None = None
    counting_lot: str | None = None
    blood_volume_ul: float | None = None
    bead_volume_ul: float | None = None
    extra: tuple[tuple[str, str | None], ...] = ()  # further columns, carried through


@dataclass(frozen=True, slots=True)
class Aids:
    """What the gates of one sample draw on besides its own file."""

    controls: tuple[Sample, ...] = ()  # its control tubes, for thresholds of `method = "control"`
    given: tuple[GivenGate, ...] = ()  # gates that a reviewer has placed


NO_AIDS = Aids()


@dataclass(frozen=True, slots=True)
class BeadRun:
    """One row of the bead sheet: one bead acquisition."""

    bead_run: str
    file: str
    path: str
    lot: str
    channel: str | None = None  # $PnN; None: the assay's quantified channel
    cytometer: str | None = None
    site: str | None = None
    dataset: int | None = None  # of a file with several data sets, from 0
    extra: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Patient:
    """One row of the clinical sheet."""

    patient_id: str
    shock_onset: datetime | None = None
    shock_onset_has_time: bool = True
    age: float | None = None
    group: Group | None = None
    icu_admission: datetime | None = None
    extracorporeal_date: datetime | None = None  # of the last extracorporeal circulation
    values: tuple[tuple[str, str | None], ...] = ()  # further columns, as text


# Columns of the clinical sheet on the scale of the timepoints: numbers, wherever they stand.
DAY_COLUMNS = (
    "followup_days",
    "death_day",
    "icu_discharge_day",
    "infection_day",
    "fungal_day",
    "cmv_day",
    "hsv_day",
)


@dataclass(frozen=True, slots=True)
class Window:
    """A timepoint: inclusive days since shock onset, the first 24 h being day 1."""

    name: str
    first_day: float
    last_day: float


@dataclass(frozen=True, slots=True)
class Marker:
    """A named quantity, one column of `patients`."""

    name: str
    kind: Literal["abc", "intensity", "fraction", "count", "measurement"]
    assay: tuple[str, ...] = ()
    population: str | None = None
    channel: str | None = None
    of: str | None = None  # denominator population of a fraction
    measurement: str | None = None
    unit: str | None = None
    statistic: Statistic = "median"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A clinical event on the scale of days since onset; names of clinical columns."""

    name: str
    event_day: str
    competing_day: tuple[str, ...] = ()
    observed_until: str | None = None
    horizon: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """A value from elsewhere (ferritin, SOFA, blood count, supernatant)."""

    patient_id: str
    name: str
    value: float
    unit: str | None = None
    drawn_at: datetime | None = None
    drawn_at_has_time: bool = True
    timepoint: str | None = None
    extra: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Exposure:
    """One course of a drug."""

    patient_id: str
    drug: str
    dose: float | None = None
    unit: str | None = None
    start: datetime | None = None
    stop: datetime | None = None
    extra: tuple[tuple[str, str | None], ...] = ()  # further columns, carried through


@dataclass(frozen=True, slots=True)
class Reagent:
    """A stain as MIFlowCyt 1.0 asks for it, 2.4.1 to 2.4.7."""

    name: str
    measures: str | None = None  # the characteristic, e.g. "expression of HLA-DR"
    analyte: str | None = None
    detector: str | None = None  # what binds the analyte, e.g. "anti-HLA-DR antibody"
    reporter: str | None = None  # fluorochrome
    clone: str | None = None
    manufacturer: str | None = None
    catalogue: str | None = None
    lot: str | None = None
    channel: str | None = None  # the role in the assays


@dataclass(frozen=True, slots=True)
class Override:
    """A reviewer's decision on a sample or a bead run."""

    target: str
    action: Literal["accept", "reject", "gate", "assign_beads"]
    who: str
    when: str
    why: str
    parameters: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class ChartSettings:
    """How control charts are judged and bead lots compared."""

    baseline_runs: int = 20  # runs that limits are learned from; CLSI C24
    provisional_runs: int = 10  # fewer, until there are as many
    bridge_hours: float = 24.0  # between the bead runs of two lots: one working day
    bridge_bias: float = 0.10  # fraction; a proposal, no official limit exists
    bridge_samples: int = 5  # samples that a comparison of lots needs


@dataclass(frozen=True, slots=True)
class Study:
    """A whole study: what to compute, on which files, for whom."""

    name: str
    folder: Path
    samples: tuple[Sample, ...]
    assays: tuple[Assay, ...]
    bead_runs: tuple[BeadRun, ...] = ()
    bead_lots: tuple[BeadLot, ...] = ()
    counting_lots: tuple[CountingLot, ...] = ()
    windows: tuple[Window, ...] = ()
    baseline: str | None = None
    patients: tuple[Patient, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    overrides: tuple[Override, ...] = ()
    markers: tuple[Marker, ...] = ()
    primary_marker: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    # Further rows of patients who were admitted again, each with an `episode_id` of its own.
    later_episodes: tuple[Patient, ...] = ()
    cohort: CohortRules = field(default_factory=CohortRules)
    trajectories: TrajectoryRules = field(default_factory=TrajectoryRules)
    endotypes: EndotypeRules = field(default_factory=EndotypeRules)
    bead_max_age_hours: float = 24.0  # one working day: beads are run daily
    assay_cv: float | None = None  # repeatability of the whole assay, a fraction
    timezone: str | None = None
    compare_across_lysis: bool = False
    compare_across_sites: bool = False
    control_charts: ChartSettings = field(default_factory=ChartSettings)
    reagents: tuple[Reagent, ...] = ()
    experiment: tuple[tuple[str, str], ...] = ()  # what only people know, for the MIFlowCyt record
    warnings: tuple[str, ...] = ()  # what reading the sheets had to guess, for the person
    digest: str = ""  # SHA-256 over study.toml, sheets, plans and matrices
    roots: tuple[Root, ...] = ()  # further folders that files may lie in
    analyses: Analyses = field(default_factory=Analyses)

    @property
    def folders(self) -> tuple[Root, ...]:
        """Every folder that files may lie in: the study's own, then its roots."""
        own = str(Path(self.folder).resolve())
        return (Root(own, own), *self.roots)

    def assay(self, name: str) -> Assay:
        """The assay of a name; the sheet's names were checked when the study was read."""
        return next(assay for assay in self.assays if assay.name == name)

    def bead_lot(self, name: str) -> BeadLot:
        """The bead lot of a name; checked when the study was read."""
        return next(lot for lot in self.bead_lots if lot.name == name)

    def counting_lot(self, name: str) -> CountingLot:
        """The lot of counting beads of a name; checked when the study was read."""
        return next(lot for lot in self.counting_lots if lot.name == name)


def window_of(windows: tuple[Window, ...], day: float) -> Window | None:
    """The window that holds a day, or None."""
    return next((w for w in windows if w.first_day <= day <= w.last_day), None)


def instant(moment: datetime, timezone: str | None = None) -> datetime:
    """A moment in UTC; one without a zone is in `timezone`, or taken as it stands without that.

    Differences are taken between instants: Python's own subtraction within one zone ignores a
    change of summer time in between.
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(timezone) if timezone else UTC)
    return moment.astimezone(UTC)


def hours_between(earlier: datetime, later: datetime, timezone: str | None = None) -> float:
    """Elapsed hours between two moments, negative where `later` comes first."""
    elapsed = instant(later, timezone) - instant(earlier, timezone)
    return elapsed.total_seconds() / 3600.0


__all__ = [
    "DAY_COLUMNS",
    "NO_AIDS",
    "AbcSettings",
    "Aids",
    "Assay",
    "BeadRun",
    "ChartSettings",
    "CountingSettings",
    "Exposure",
    "Group",
    "Limits",
    "Marker",
    "Measurement",
    "Outcome",
    "Override",
    "Patient",
    "Reagent",
    "Sample",
    "SampleRole",
    "Statistic",
    "Study",
    "Window",
    "hours_between",
    "instant",
    "window_of",
]
