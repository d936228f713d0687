"""Every analysis: what it reads, what it makes, and the function between the two.

A new analysis is one module with its function, one with its declared tables, and one entry here;
its documentation, its files and the checks on them follow.
"""
# ruff: noqa: PLC0415 - statistics bring scipy: imported by the analyses that compute with them

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from cytosepsis.analysis import biomarker_tables, candidate_tables, exvivo_tables
from cytosepsis.analysis.candidates import candidate_frames
from cytosepsis.analysis.chart_tables import TABLES as CHART_TABLES
from cytosepsis.analysis.cohort import analyze_cohort
from cytosepsis.analysis.cohort_tables import TABLES as COHORT_TABLES
from cytosepsis.analysis.control_charts import charts_frames
from cytosepsis.analysis.endotype_tables import ENDOTYPE_CODES
from cytosepsis.analysis.endotype_tables import TABLES as ENDOTYPE_TABLES
from cytosepsis.analysis.endotypes import analyze_endotypes
from cytosepsis.analysis.trajectories import analyze_trajectories
from cytosepsis.analysis.trajectory_tables import TRAJECTORIES, TRAJECTORY_CODES
from cytosepsis.analysis.troubles import TROUBLE_CODES
from cytosepsis.analysis.visit_tables import VISIT_CODES, VISITS
from cytosepsis.protocol import Study
from cytosepsis.tables.schemas import Table

Frames = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis, known by the name of its command."""

    name: str
    purpose: str  # a sentence, for the documentation
    tables: tuple[Table, ...]  # what it makes, in this order
    # Names of tables of the run, or of other analyses: those are computed again first.
    reads: tuple[str, ...]
    compute: Callable[[Study, Frames], Frames]
    codes: Mapping[str, str] = field(default_factory=dict)  # codes in its tables → meaning
    libraries: tuple[str, ...] = ()  # beyond Polars: what it computes with


def _biomarkers(study: Study, frames: Frames) -> Frames:
    from cytosepsis.analysis.biomarkers import biomarker_frames

    return biomarker_frames(study, frames)


def _exvivo(study: Study, frames: Frames) -> Frames:
    from cytosepsis.analysis.exvivo import exvivo_frames

    return exvivo_frames(study, frames)


ANALYSES: dict[str, Analysis] = {
    analysis.name: analysis
    for analysis in (
        Analysis(
            name="cohort",
            purpose="Who is in the study, and which visits took place.",
            tables=(*COHORT_TABLES, VISITS),
            reads=("samples", "marker_values"),
            compute=analyze_cohort,
            codes=TROUBLE_CODES | VISIT_CODES,
        ),
        Analysis(
            name="trajectories",
            purpose="Each marker of each patient over time: changes, slopes, nadir, course.",
            tables=(TRAJECTORIES,),
            reads=("marker_values",),
            compute=analyze_trajectories,
            codes=TRAJECTORY_CODES,
        ),
        Analysis(
            name="endotypes",
            purpose="Groups of patients with alike courses, found without outcomes.",
            tables=ENDOTYPE_TABLES,
            reads=("marker_values", "cohort"),
            compute=analyze_endotypes,
            codes=ENDOTYPE_CODES,
            libraries=("scikit-learn",),
        ),
        Analysis(
            name="biomarkers",
            purpose="Which marker at which time tells of which outcome.",
            tables=biomarker_tables.TABLES,
            reads=("samples", "patients", "marker_values", "cohort", "visits"),
            compute=_biomarkers,
            codes=biomarker_tables.CODES,
            libraries=("statsmodels",),
        ),
        Analysis(
            name="candidates",
            purpose="Who could benefit from immunostimulation, by the study's enrolment rules.",
            tables=(candidate_tables.CANDIDATES,),
            reads=("marker_values", "cohort"),
            compute=candidate_frames,
            codes=candidate_tables.CODES,
        ),
        Analysis(
            name="exvivo",
            purpose="Whether a drug brings the cells back: wells with their own controls.",
            tables=exvivo_tables.TABLES,
            reads=("samples", "populations", "intensities", "abc"),
            compute=_exvivo,
            codes=exvivo_tables.CODES,
            libraries=("statsmodels",),
        ),
        Analysis(
            name="charts",
            purpose="What must stay the same: beads, detectors, control blood, bead lots.",
            tables=CHART_TABLES,
            reads=("samples", "gates", "calibrations", "bead_levels", "abc"),
            compute=charts_frames,
        ),
    )
}


def maker_of(table: str, analyses: Mapping[str, Analysis] = ANALYSES) -> Analysis | None:
    """The analysis that makes a table; None of a table of the run."""
    makers = (a for a in analyses.values() if table in {made.name for made in a.tables})
    return next(makers, None)


def in_order(name: str, analyses: Mapping[str, Analysis] = ANALYSES) -> tuple[Analysis, ...]:
    """An analysis after those whose tables it reads, each once."""
    found: dict[str, Analysis] = {}

    def visit(analysis: Analysis) -> None:
        for table in analysis.reads:
            maker = maker_of(table, analyses)
            if maker is not None and maker.name not in found:
                visit(maker)
        found[analysis.name] = analysis

    visit(analyses[name])
    return tuple(found.values())
