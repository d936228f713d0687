"""cytosepsis: monocyte HLA-DR and its companions, from FCS files to patient and timepoint.

The names below are imported where they are first used, so that `import cytosepsis` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cytosepsis.analyses import Analyzed, analyze_results
    from cytosepsis.bead_fit import fit_calibration
    from cytosepsis.calibration import BeadLevel, BeadLimits, BeadLot, Calibration
    from cytosepsis.compensation import Spillover, read_spillover_csv, spillover_of
    from cytosepsis.config import check_study, load_study
    from cytosepsis.counting import (
        CellCount,
        CountingLot,
        count_with_beads,
        count_with_blood_count,
    )
    from cytosepsis.errors import (
        CalibrationError,
        ChannelError,
        CompensationError,
        CytosepsisError,
        FcsError,
        GatingError,
        Problem,
        StoreError,
        StudyError,
    )
    from cytosepsis.export import export_populations
    from cytosepsis.fcs import RawEvents, read_fcs, read_keywords
    from cytosepsis.fcs_write import write_fcs
    from cytosepsis.file_results import SampleFailure, SampleResult
    from cytosepsis.flags import FLAGS, Flag
    from cytosepsis.gating.apply import Populations, gate
    from cytosepsis.gating.gatingml_export import write_gatingml
    from cytosepsis.gating.plan import GatingPlan
    from cytosepsis.gating.reader import read_gating
    from cytosepsis.protocol import Assay, Sample, Study
    from cytosepsis.quality.check import check_quality
    from cytosepsis.quality.report import QualityReport
    from cytosepsis.quality.settings import QualitySettings
    from cytosepsis.report.build import Report, write_report
    from cytosepsis.sample import analyze_sample
    from cytosepsis.simulate import SimulationSettings, simulate_study
    from cytosepsis.spillover_controls import (
        Control,
        FromControls,
        SpilloverReport,
        read_controls,
        spillover_from_controls,
    )
    from cytosepsis.store import Results, open_results
    from cytosepsis.study import Progress, run_study

_HOMES = {
    "analyses": ("Analyzed", "analyze_results"),
    "bead_fit": ("fit_calibration",),
    "calibration": ("BeadLevel", "BeadLimits", "BeadLot", "Calibration"),
    "compensation": ("Spillover", "read_spillover_csv", "spillover_of"),
    "config": ("check_study", "load_study"),
    "counting": ("CellCount", "CountingLot", "count_with_beads", "count_with_blood_count"),
    "errors": (
        "CalibrationError",
        "ChannelError",
        "CompensationError",
        "CytosepsisError",
        "FcsError",
        "GatingError",
        "Problem",
        "StoreError",
        "StudyError",
    ),
    "export": ("export_populations",),
    "fcs": ("RawEvents", "read_fcs", "read_keywords"),
    "fcs_write": ("write_fcs",),
    "flags": ("FLAGS", "Flag"),
    "gating.apply": ("Populations", "gate"),
    "gating.gatingml_export": ("write_gatingml",),
    "gating.plan": ("GatingPlan",),
    "gating.reader": ("read_gating",),
    "protocol": ("Assay", "Sample", "Study"),
    "quality.check": ("check_quality",),
    "quality.report": ("QualityReport",),
    "quality.settings": ("QualitySettings",),
    "report.build": ("Report", "write_report"),
    "sample": ("SampleFailure", "SampleResult", "analyze_sample"),
    "simulate": ("SimulationSettings", "simulate_study"),
    "spillover_controls": (
        "Control",
        "FromControls",
        "SpilloverReport",
        "read_controls",
        "spillover_from_controls",
    ),
    "store": ("Results", "open_results"),
    "study": ("Progress", "run_study"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "FLAGS",
    "Analyzed",
    "Assay",
    "BeadLevel",
    "BeadLimits",
    "BeadLot",
    "Calibration",
    "CalibrationError",
    "CellCount",
    "ChannelError",
    "CompensationError",
    "Control",
    "CountingLot",
    "CytosepsisError",
    "FcsError",
    "Flag",
    "FromControls",
    "GatingError",
    "GatingPlan",
    "Populations",
    "Problem",
    "Progress",
    "QualityReport",
    "QualitySettings",
    "RawEvents",
    "Report",
    "Results",
    "Sample",
    "SampleFailure",
    "SampleResult",
    "SimulationSettings",
    "Spillover",
    "SpilloverReport",
    "StoreError",
    "Study",
    "StudyError",
    "__version__",
    "analyze_results",
    "analyze_sample",
    "check_quality",
    "check_study",
    "count_with_beads",
    "count_with_blood_count",
    "export_populations",
    "fit_calibration",
    "gate",
    "load_study",
    "open_results",
    "read_controls",
    "read_fcs",
    "read_gating",
    "read_keywords",
    "read_spillover_csv",
    "run_study",
    "simulate_study",
    "spillover_from_controls",
    "spillover_of",
    "write_fcs",
    "write_gatingml",
    "write_report",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
