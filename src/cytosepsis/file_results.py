"""What came of one file: records that cross processes and are kept, so no arrays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cytosepsis.calibration import BeadLevel, Calibration
from cytosepsis.densities import Density
from cytosepsis.flags import Status
from cytosepsis.gating.finding import GateFinding
from cytosepsis.population_counts import PopulationCount
from cytosepsis.quality.report import QualityReport


@dataclass(frozen=True, slots=True)
class Intensity:
    """Linear, compensated intensities of one population in one channel; None: not defined."""

    path: str
    channel: str  # the role of the study
    n_events: int
    median: float | None
    geometric_mean: float | None  # None where any value is not positive
    mean: float | None
    sd: float | None  # n - 1
    robust_cv: float | None  # (P84.13 - P15.87) / (2 · median), a fraction


@dataclass(frozen=True, slots=True)
class Quantified:
    """The statistic of the population that an assay quantifies, on the linear compensated scale."""

    population: str  # full path
    channel: str  # the role of the study
    detector: str  # $PnN
    statistic: Literal["median", "geometric_mean"]
    n_cells: int
    intensity: float | None  # None of an empty population, or where the statistic is not defined
    low: float | None  # 95 % interval of the statistic, from the cells alone
    high: float | None
    n_saturated: int  # cells in the detector's top value
    wider: float | None = None  # the statistic where the population's found gate is widened
    narrower: float | None = None  # or narrowed, by `gating.flexing.FLEX`; None: not looked at
    # of the cells, evenly from the least to the greatest: what tells the share beyond a threshold
    # that is known only with the bead line; empty without cells, and where no share is asked for
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleResult:
    """Everything computed from one file; crosses processes, so no arrays."""

    sample_id: str
    assay: str
    sha256: str | None
    n_events: int
    populations: tuple[PopulationCount, ...]
    intensities: tuple[Intensity, ...]
    quantified: Quantified | None  # None where the assay quantifies nothing
    flags: tuple[str, ...]  # of the file and its gates
    cytometer: str | None = None  # sheet first, then the file ($CYT and $CYTSN)
    acquired_at: datetime | None = None
    voltage: float | None = None  # of the quantified detector
    gain: float | None = None
    notes: tuple[str, ...] = ()  # codes of what was odd about the file, see docs/fcs-support.md
    quality: QualityReport | None = None  # None where the assay asks for no check
    # The same as `quantified` with the events that quality flags the other way: left out where the
    # assay keeps them, in where it drops them. None where none is flagged.
    quantified_otherwise: Quantified | None = None
    # The same by the plan's own gates, where a reviewer has given some; else None.
    quantified_by_plan: Quantified | None = None
    gates: tuple[GateFinding, ...] = ()  # how data-driven and given gates were found
    densities: tuple[Density, ...] = ()  # pictures of the gates, where plots were asked for


@dataclass(frozen=True, slots=True)
class SampleFailure:
    """A file from which nothing could be computed, and why."""

    sample_id: str
    assay: str
    sha256: str | None
    code: str
    message: str
    step: str | None = None  # read, panel, compensation, gating, measure, calibration
    unforeseen: bool = False  # not an error of ours: exit status 3


SampleOutcome = SampleResult | SampleFailure


@dataclass(frozen=True, slots=True)
class BeadRunResult:
    """What a bead file gave for one channel and statistic: a calibration or why there is none."""

    bead_run: str
    channel: str  # $PnN
    statistic: str
    lot: str
    sha256: str | None
    calibration: Calibration | None
    cytometer: str | None = None  # sheet first, then the file
    acquired_at: datetime | None = None
    status: Status = "ok"
    flags: tuple[str, ...] = ()
    error_code: str | None = None
    error: str | None = None
    assays: tuple[str, ...] = ()  # whose limits judged it; () serves any
    densities: tuple[Density, ...] = ()  # pictures of the beads, where plots were asked for

    @property
    def levels(self) -> tuple[BeadLevel, ...]:
        """The levels found; none where the run failed."""
        return self.calibration.levels if self.calibration else ()
