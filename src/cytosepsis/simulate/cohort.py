"""Cohorts of tables: patients, markers and outcomes with known effects, without an FCS file.

For statistics: a marker's level shifts with the outcome by so much that its AUC is what the
settings say (two normal distributions of one SD: AUC = Φ(shift / √2)). Values are written as
measurements, which `cytosepsis run` tabulates like any other marker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from cytosepsis.errors import CytosepsisError
from cytosepsis.simulate.settings import generator
from cytosepsis.simulate.sheets import GATING_PLAN, csv_text, write_text

WINDOWS = (("D1-2", 1, 2), ("D3-4", 3, 4), ("D6-8", 6, 8))
FOLLOWUP = 90
HORIZON = 28
ONSET = datetime(2024, 1, 8, 6, 0)
_DRAW_DAYS = (1, 3, 7)
_MEDIAN, _LOG_SD = 5_000.0, 0.55  # of mHLA-DR in septic shock at day 3-4; Waeckel 2020


@dataclass(frozen=True, slots=True)
class CohortSettings:
    """A cohort of tables; equal settings give equal bytes (with one version of numpy)."""

    seed: int = 1
    patients: int = 300
    infected: float = 0.25  # share with an ICU-acquired infection by day 28
    dead: float = 0.25  # share dead by day 28, of those without an infection
    aucs: tuple[float, ...] = (0.72, 0.62, 0.62, 0.62, 0.5)  # of mhladr, marker_1, marker_2, …
    missing: float = 0.08  # share of draws that did not take place
    donors: int = 12  # healthy, of the ex vivo wells
    ex_vivo: int = 16  # patients with wells
    drugs: tuple[tuple[str, float], ...] = (("IFN-γ", 1.8), ("placebo", 1.0))  # fold of mHLA-DR
    assay_cv: float = 0.05
    name: str = "cohort"

    def __post_init__(self) -> None:
        shares = (self.infected, self.dead, self.missing)
        if self.patients < 1 or not all(0 <= share < 1 for share in shares):
            raise CytosepsisError(
                f"A cohort needs patients, and shares below 1: found patients={self.patients}, "
                f"infected={self.infected}, dead={self.dead}, missing={self.missing}.",
                code="simulation",
            )
        if not self.aucs or not all(0 < auc < 1 for auc in self.aucs):
            raise CytosepsisError(
                f"AUCs lie between 0 and 1; found {self.aucs}.", code="simulation"
            )


@dataclass(frozen=True, slots=True)
class CohortPatients:
    """The patients of a cohort as arrays; days from shock onset, NaN: it did not happen."""

    infection_day: NDArray[np.float64]
    death_day: NDArray[np.float64]
    discharge_day: NDArray[np.float64]
    age: NDArray[np.float64]
    markers: NDArray[np.float64]  # (n_patients, n_markers), standard normal given the outcome


def draw_patients(settings: CohortSettings) -> CohortPatients:
    """Outcomes first, then markers shifted by them."""
    rng = generator(settings.seed, "cohort", settings.name)
    n = settings.patients
    infected = rng.random(n) < settings.infected
    infection = np.where(infected, rng.integers(9, HORIZON + 1, n), np.nan)
    died = rng.random(n) < settings.dead
    death = np.where(died, rng.integers(9, HORIZON + 1, n), np.nan)
    # the infection comes first where a patient has both
    death = np.where(infected & (death <= infection), np.nan, death)
    stay = rng.integers(9, 40, n).astype(np.float64)
    leaves = np.fmax(stay, infection + 1)
    discharge = np.where(np.isfinite(death) & (death <= leaves), np.nan, leaves)
    shifts = np.sqrt(2.0) * ndtri(np.array(settings.aucs))
    markers = rng.standard_normal((n, len(settings.aucs))) + infected[:, None] * shifts
    age = np.clip(np.round(rng.normal(66, 12, n)), 20, 92)
    return CohortPatients(infection, death, discharge, age, markers)


def simulate_cohort(folder: Path | str, settings: CohortSettings | None = None) -> Path:
    """Write a study of tables with known effects into a new or empty folder.

    `cytosepsis run` on it tabulates the measurements; `biomarkers`, `candidates` and `exvivo` read
    the result. Raises CytosepsisError (`simulation`) where the folder holds anything.
    """
    settings = settings or CohortSettings()
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CytosepsisError(
            f"{folder} is not an empty folder. Name a new one, or empty it.", code="simulation"
        )
    people = draw_patients(settings)
    names = marker_names(settings)
    write_text(folder / "study.toml", _study_toml(settings, names))
    write_text(folder / "assays" / "mhladr.toml", GATING_PLAN)
    write_text(folder / "samples.csv", "file,patient_id\n")
    write_text(folder / "clinical.csv", csv_text(_clinical(settings, people), _CLINICAL))
    rows = [*_measurements(settings, people, names), *_wells(settings, people)]
    write_text(folder / "measurements.csv", csv_text(rows, _MEASUREMENTS))
    return folder


def marker_names(settings: CohortSettings) -> tuple[str, ...]:
    """Names of the markers, in the order of the settings' AUCs."""
    return ("mhladr", *(f"marker_{i}" for i in range(1, len(settings.aucs))))


_CLINICAL = (
    *("patient_id", "group", "shock_onset", "age", "followup_days"),
    *("death_day", "icu_discharge_day", "infection_day"),
)
_MEASUREMENTS = (
    *("patient_id", "drawn_at", "timepoint", "name", "value", "unit"),
    *("stimulus", "drug", "dose", "dose_unit", "incubation_hours", "plate", "replicate"),
)


def _clinical(settings: CohortSettings, people: CohortPatients) -> Iterator[dict[str, object]]:
    for i in range(settings.patients):
        death = _whole(people.death_day[i])
        yield {
            "patient_id": f"P{i + 1:04d}",
            "group": "patient",
            "shock_onset": ONSET.isoformat(timespec="minutes"),
            "age": int(people.age[i]),
            "followup_days": death or FOLLOWUP,
            "death_day": death,
            "icu_discharge_day": _whole(people.discharge_day[i]),
            "infection_day": _whole(people.infection_day[i]),
        }
    for i in range(settings.donors):
        yield {"patient_id": f"H{i + 1:03d}", "group": "healthy"}


def _measurements(
    settings: CohortSettings, people: CohortPatients, names: tuple[str, ...]
) -> Iterator[dict[str, object]]:
    """Three draws each, the outcome's shift growing over time; mHLA-DR is low where it is high."""
    rng = generator(settings.seed, "draws", settings.name)
    lost = rng.random((settings.patients, len(WINDOWS))) < settings.missing
    noise = rng.standard_normal((settings.patients, len(WINDOWS), len(names)))
    ferritin = np.exp(rng.normal(np.log(1500), 1.0, settings.patients))
    for i in range(settings.patients):
        for k, day in enumerate(_DRAW_DAYS):
            if lost[i, k]:
                continue
            drawn = ONSET + timedelta(days=day - 1, hours=3)
            row: dict[str, object] = {
                "patient_id": f"P{i + 1:04d}",
                "drawn_at": drawn.isoformat(timespec="minutes"),
            }
            # the last draw shows the marker as the settings say; earlier ones with noise added
            dim = (0.8, 0.4, 0.0)[k]
            level = np.sqrt(1 - dim**2) * people.markers[i] + dim * noise[i, k]
            for name, value in zip(names, level, strict=True):
                amount = (
                    _MEDIAN * np.exp(-_LOG_SD * value)
                    if name == "mhladr"
                    else (100 * np.exp(0.5 * value))
                )
                unit = "AB/C" if name == "mhladr" else "a.u."
                yield row | {"name": name, "value": f"{amount:.4g}", "unit": unit}
            yield row | {"name": "ferritin", "value": f"{ferritin[i]:.4g}", "unit": "ng/mL"}


def _wells(settings: CohortSettings, people: CohortPatients) -> Iterator[dict[str, object]]:
    """Unstimulated, stimulated and drug wells of patients and donors, two replicates each."""
    rng = generator(settings.seed, "wells", settings.name)
    noise_sd = np.sqrt(np.log1p(settings.assay_cv**2))
    everybody: list[tuple[str, float, str | None]] = [
        (f"P{i + 1:04d}", _MEDIAN * np.exp(-_LOG_SD * people.markers[i, 0]), "D3-4")
        for i in range(min(settings.ex_vivo, settings.patients))
    ]
    everybody += [
        (f"H{i + 1:03d}", 26_000 * np.exp(0.25 * rng.standard_normal()), None)
        for i in range(settings.donors)
    ]
    for person, level, timepoint in everybody:
        wells = [("", "", 1.0), ("LPS", "", 1.2)]
        # donors are near their best: a drug adds nothing
        wells += [
            ("LPS", drug, 1.2 * (fold if timepoint else 1.0)) for drug, fold in settings.drugs
        ]
        for stimulus, drug, fold in wells:
            own = np.exp(0.10 * rng.standard_normal()) if drug else 1.0
            for replicate in ("1", "2"):
                value = level * fold * own * np.exp(noise_sd * rng.standard_normal())
                yield {
                    "patient_id": person,
                    "timepoint": timepoint,
                    "drawn_at": None if timepoint else ONSET.isoformat(timespec="minutes"),
                    "name": "mhladr",
                    "value": f"{value:.4g}",
                    "unit": "AB/C",
                    "stimulus": stimulus or "none",
                    "drug": drug or "none",
                    "dose": 100 if drug else None,
                    "dose_unit": "ng/mL" if drug else None,
                    "incubation_hours": 24,
                    "plate": "1",
                    "replicate": replicate,
                }


def _whole(day: float) -> int | None:
    return int(day) if np.isfinite(day) else None


_STUDY = """\
# A simulated cohort of tables, without FCS files: mhladr tells of infection with an AUC of
# {auc} at D6-8, IFN-γ is a drug that helps, placebo one that does not.
[study]
name = "{name}"
samples = "samples.csv"            # no files: every value is a measurement
clinical = "clinical.csv"
measurements = "measurements.csv"
baseline = "D1-2"
assay_cv = {cv}

[timepoints]
{windows}

[assays.mhladr]
compensation = "file"
gating = "assays/mhladr.toml"

{markers}
[markers.ferritin]
kind = "measurement"
unit = "ng/mL"

[analysis]
primary = {{ marker = "mhladr", timepoint = "D6-8", outcome = "icu_infection" }}
family = [{{ marker = "mhladr", timepoint = "D3-4", outcome = "icu_infection" }}]
population = "everyone"
covariates = ["age"]
logged = ["mhladr", "ferritin"]
directions = {{ mhladr = "lower" }}
cutoffs = {{ mhladr = [5000, 8000] }}
outcomes = ["icu_infection"]
resamples = 400                    # fewer than by default, to be quick
model_resamples = 100

[candidates.gm_csf]
preset = "grid"
marker = "mhladr"
cv = {cv}

[candidates.ifn_gamma]
preset = "immunosep_ifn_gamma"
marker = "mhladr"
cv = {cv}

[exvivo]
readouts = ["mhladr"]
cv = {{ mhladr = {cv} }}
"""


def _study_toml(settings: CohortSettings, names: tuple[str, ...]) -> str:
    units = {"mhladr": "AB/C"}
    return _STUDY.format(
        name=settings.name,
        auc=settings.aucs[0],
        cv=settings.assay_cv,
        windows="\n".join(f'"{name}" = [{first}, {last}]' for name, first, last in WINDOWS),
        markers="\n".join(
            f'[markers.{name}]\nkind = "measurement"\nunit = "{units.get(name, "a.u.")}"\n'
            for name in names
        ),
    )
