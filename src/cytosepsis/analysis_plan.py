"""What a study declares of its analyses: questions fixed beforehand, candidates, ex vivo designs.

Frozen records, as `config` parses `[analysis]`, `[candidates]` and `[exvivo]`. A default stands in
one place, the field below, with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

Direction = Literal["lower", "higher"]  # which values go with the event
Change = Literal["up", "down"]  # which change is meant to help


@dataclass(frozen=True, slots=True)
class Question:
    """One test that was fixed beforehand: a marker at a timepoint for an outcome."""

    marker: str
    timepoint: str
    outcome: str


@dataclass(frozen=True, slots=True)
class AnalysisPlan:
    """`[analysis]`: what was fixed before the data were seen; all else is exploratory."""

    primary: Question | None = None
    family: tuple[Question, ...] = ()  # tested together with the primary question's rivals
    covariates: tuple[str, ...] = ()  # columns of the clinical sheet that hold numbers
    outcomes: tuple[str, ...] = ()  # none: all
    markers: tuple[str, ...] = ()  # none: all
    timepoints: tuple[str, ...] = ()  # none: all windows
    # Who is analysed: a patient whom the cohort's rules exclude, or cannot judge, is not.
    population: Literal["included", "everyone"] = "included"
    flagged: Literal["keep", "drop"] = "keep"  # values with a doubt stay, and are counted
    directions: tuple[tuple[str, Direction], ...] = ()  # default: AB/C lower, others higher
    cutoffs: tuple[tuple[str, tuple[float, ...]], ...] = ()  # default: the assay's, for AB/C
    linear: tuple[str, ...] = ()  # markers of kind abc, intensity, count that are not logged
    logged: tuple[str, ...] = ()  # measurements and fractions that are
    combinations: tuple[tuple[str, str], ...] = ()  # none: the primary marker with each other
    # Probability of the event from which one would act, of net benefit. One in five: between
    # the rates of infection and of death that are published for septic shock.
    decision_threshold: float = 0.20
    resamples: int = 1000  # bootstraps of rankings and cut-offs: ends of intervals to 1 % of rank
    model_resamples: int = 200  # bootstraps that fit models; Harrell's usual number
    min_events: int = 5  # of each class; below, no area, test or model is given
    events_per_variable: float = 10.0  # below: flag; Peduzzi 1996, 10.1016/S0895-4356(96)00236-3
    seed: int = 1

    def direction(self, marker: str, *, is_abc: bool) -> Direction:
        """Which values of a marker go with the event, as declared."""
        return dict(self.directions).get(marker, "lower" if is_abc else "higher")


@dataclass(frozen=True, slots=True)
class Criterion:
    """A marker beyond a line: below it, or above it."""

    marker: str
    side: Literal["below", "above"]
    line: float
    inclusive: bool = False  # whether the line itself counts
    unit: str | None = None
    cv: float | None = None  # repeatability, a fraction; default: the study's assay_cv for AB/C

    @property
    def words(self) -> str:
        """The criterion as one would say it."""
        sign = {"below": "<", "above": ">"}[self.side] + ("=" if self.inclusive else "")
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.marker} {sign} {self.line:g}{unit}"


@dataclass(frozen=True, slots=True)
class CandidateRule:
    """Whom a trial would enrol: a marker beyond a line in a range of days, with a companion."""

    name: str
    criterion: Criterion
    days: tuple[float, float]  # inclusive, the first 24 h after shock onset being day 1
    consecutive: int = 1  # draws in a row that must lie beyond the line
    companion: Criterion | None = None
    drug: str | None = None
    source: str = "the study's own"


@dataclass(frozen=True, slots=True)
class DyeDilution:
    """Populations of one assay that are the generations of a dye dilution."""

    name: str
    populations: tuple[str, ...]  # generation 0, 1, 2, …


@dataclass(frozen=True, slots=True)
class ExVivoPlan:
    """`[exvivo]`: how wells are read, paired and judged."""

    readouts: tuple[str, ...] = ()  # markers; none: all that have wells
    no_stimulus: tuple[str, ...] = ("none", "unstimulated", "medium")  # besides an empty cell
    no_drug: tuple[str, ...] = ("none", "vehicle", "medium")  # besides an empty cell
    directions: tuple[tuple[str, Change], ...] = ()  # default: up, what rejuvenation means
    cv: tuple[tuple[str, float], ...] = ()  # per readout; default: the study's assay_cv for AB/C
    linear: tuple[str, ...] = ()  # readouts whose changes are differences, not ratios
    adjust: Literal["holm", "bh"] = "holm"  # over drugs × readouts; few tests, all of interest
    min_pairs: int = 6  # patients; fewer cannot reach p < 0.05 two-sided (2 / 2^5 = 0.06)
    dilutions: tuple[DyeDilution, ...] = ()

    def direction(self, readout: str) -> Change:
        """The change that is meant to help."""
        return dict(self.directions).get(readout, "up")


@dataclass(frozen=True, slots=True)
class Analyses:
    """All that a study declares of its analyses."""

    plan: AnalysisPlan = field(default_factory=AnalysisPlan)
    candidates: tuple[CandidateRule, ...] = ()
    exvivo: ExVivoPlan = field(default_factory=ExVivoPlan)


# Ferritin above or at most this parts the two arms of ImmunoSep, JAMA 2025, NCT04990232.
_FERRITIN = 4420.0

# Published enrolment rules; `abc` stands for the study's marker of HLA-DR in AB/C.
_OF_ABC = "abc"
PRESETS = {
    rule.name: rule
    for rule in (
        CandidateRule(
            "grid",
            Criterion(_OF_ABC, "below", 8000.0, unit="AB/C"),
            (3.0, 3.0),
            drug="GM-CSF",
            source="GRID, NCT02361528: mHLA-DR < 8,000 at day 3",
        ),
        CandidateRule(
            "meisel",
            Criterion(_OF_ABC, "below", 8000.0, unit="AB/C"),
            (1.0, 8.0),
            consecutive=2,
            drug="GM-CSF",
            source="Meisel 2009, 10.1164/rccm.200903-0363OC: < 8,000 on two draws in a row",
        ),
        CandidateRule(
            "immunosep_ifn_gamma",
            Criterion(_OF_ABC, "below", 5000.0, unit="AB/C"),
            (1.0, 8.0),
            companion=Criterion("ferritin", "below", _FERRITIN, inclusive=True, unit="ng/mL"),
            drug="IFN-γ",
            source="ImmunoSep, JAMA 2025: < 5,000 and ferritin ≤ 4,420 ng/mL",
        ),
        CandidateRule(
            "immunosep_anakinra",
            Criterion("ferritin", "above", _FERRITIN, unit="ng/mL"),
            (1.0, 8.0),
            drug="anakinra",
            source="ImmunoSep, JAMA 2025: ferritin > 4,420 ng/mL",
        ),
        CandidateRule(
            "il7",
            Criterion("lymphocytes", "below", 900.0, inclusive=True, unit="cells/µL"),
            (1.0, 8.0),
            drug="IL-7",
            source="IRIS-7, 10.1172/jci.insight.98960: severe lymphopenia (900/µL: confirm)",
        ),
    )
}


def preset(name: str, abc_marker: str | None) -> CandidateRule:
    """A published rule, read on the study's own marker of AB/C; a KeyError of no such rule."""
    rule = PRESETS[name]
    if rule.criterion.marker != _OF_ABC or abc_marker is None:
        return rule
    return replace(rule, criterion=replace(rule.criterion, marker=abc_marker))
