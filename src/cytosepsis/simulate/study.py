"""Putting a study together: who is drawn, which days have bead runs, what is written where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from cytosepsis.errors import CytosepsisError
from cytosepsis.simulate.beads import LOT, draw_beads
from cytosepsis.simulate.blood import stained_blood
from cytosepsis.simulate.eligibility import (
    COHORT_TRUTH_COLUMNS,
    CRITERIA_COLUMNS,
    EXPOSURE_COLUMNS,
    REACTIVATION_COLUMNS,
    cohort_truth,
    criteria,
    exposures,
    reactivations,
)
from cytosepsis.simulate.faults import (
    ACQUIRING,
    NO_EVENTS_IN_FILE,
    Acquiring,
    damage,
    faulty_patient,
)
from cytosepsis.simulate.instrument import (
    VOLTAGES,
    Acquisition,
    Response,
    acquire,
    response_of_day,
    save,
)
from cytosepsis.simulate.patients import Draw, SimulatedPatient, healthy_draw, simulated_patient
from cytosepsis.simulate.settings import SimulationSettings, generator
from cytosepsis.simulate.sheets import GATING_PLAN, csv_text, readme, study_toml, write_text
from cytosepsis.simulate.wells import COLUMNS as WELL_COLUMNS
from cytosepsis.simulate.wells import wells_of

CYTOMETER = "SIM0001"
PE_VOLTAGE = VOLTAGES[4]
SAMPLE_COLUMNS = (
    *("file", "sample_id", "patient_id", "group", "timepoint", "drawn_at", "stained_at"),
    *("tube", "lysis", "site", "cytometer"),
)
BEAD_COLUMNS = ("bead_run", "file", "lot", "cytometer", "site")
CLINICAL_COLUMNS = (
    *("patient_id", "shock_onset", "age", "followup_days"),
    *("death_day", "icu_discharge_day", "infection_day"),
    *REACTIVATION_COLUMNS,
    *CRITERIA_COLUMNS,
)
KIND_COUNTS = (
    *("lymphocytes", "activated_t_cells", "b_cells", "monocytes", "cd14_low_monocytes"),
    *("granulocytes", "debris", "doublets", "clumps"),
)
TRUTH_COLUMNS = (
    *("sample_id", "patient_id", "timepoint", "trajectory", "fault", "patient_abc", "sample_abc"),
    *("n_events", "n_true_monocytes", *(f"n_{kind}" for kind in KIND_COUNTS)),
)
BEAD_TRUTH_COLUMNS = ("bead_run", "slope", "intercept", "fault")

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class SimulatedStudy:
    """What was written."""

    folder: Path
    n_samples: int
    n_bead_runs: int
    n_patients: int


def simulate_study(
    folder: Path | str, settings: SimulationSettings | None = None
) -> SimulatedStudy:
    """Write a whole study with known truth into a new or empty folder.

    `study.toml`, `samples.csv`, `beads.csv`, `clinical.csv`, `exposures.csv`,
    `assays/mhladr.toml`, `fcs/`, `truth.csv` (what the analysis should find), `truth_beads.csv`,
    `truth_cohort.csv` and `README.md`. Samples of the
    settings' faults are added; the others' files are the same with and without them.

    Raises CytosepsisError (`simulation`) where the folder holds anything.
    """
    settings = settings or SimulationSettings()
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CytosepsisError(
            f"{folder} is not an empty folder. Name a new one, or empty it.", code="simulation"
        )
    (folder / "fcs").mkdir(parents=True, exist_ok=True)
    numbered = [(simulated_patient(settings, i + 1), i + 1) for i in range(settings.patients)]
    numbered += [(faulty_patient(settings, fault), 0) for fault in settings.faults]
    patients = [patient for patient, _ in numbered]
    draws = [draw for patient in patients for draw in patient.draws]
    draws += [healthy_draw(settings, i + 1) for i in range(settings.healthy)]
    wells = wells_of(settings, draws)
    samples, truth = _write_samples(folder, settings, draws)
    for well in wells:
        row, true = _write_sample(folder, settings, well.draw)
        # stained after an incubation: the delay from draw to staining says nothing
        row |= {"drawn_at": _minute(well.blood.drawn_at), "stained_at": None, **well.columns}
        samples.append(row)
        truth.append(true)
    beads, bead_truth = _write_beads(folder, settings, [*draws, *(well.draw for well in wells)])

    write_text(folder / "study.toml", study_toml(settings))
    write_text(folder / "assays" / "mhladr.toml", GATING_PLAN)
    write_text(folder / "README.md", readme(settings))
    sheets = (
        ("samples", samples, (*SAMPLE_COLUMNS, *(WELL_COLUMNS if wells else ()))),
        ("beads", beads, BEAD_COLUMNS),
        ("clinical", [_clinical_row(settings, *one) for one in numbered], CLINICAL_COLUMNS),
        ("exposures", [r for one in numbered for r in exposures(settings, *one)], EXPOSURE_COLUMNS),
        ("truth", truth, TRUTH_COLUMNS),
        ("truth_beads", bead_truth, BEAD_TRUTH_COLUMNS),
        ("truth_cohort", [cohort_truth(*one) for one in numbered], COHORT_TRUTH_COLUMNS),
    )
    for name, rows, columns in sheets:
        write_text(folder / f"{name}.csv", csv_text(rows, columns))
    return SimulatedStudy(folder, len(samples), len(beads), len(patients))


def _write_samples(
    folder: Path, settings: SimulationSettings, draws: list[Draw]
) -> tuple[list[Row], list[Row]]:
    rows, truths = [], []
    for draw in draws:
        row, truth = _write_sample(folder, settings, draw)
        rows.append(row)
        truths.append(truth)
    return rows, truths


def _write_sample(folder: Path, settings: SimulationSettings, draw: Draw) -> tuple[Row, Row]:
    """Stain, acquire and save one draw; its rows of the sample sheet and of the truth."""
    rng = generator(settings.seed, "sample", draw.sample_id)
    changed = ACQUIRING.get(draw.fault or "", Acquiring())
    stained_at, began_at = _handling(draw, changed, rng)
    staining = np.exp(np.sqrt(np.log1p(settings.assay_cv**2)) * rng.standard_normal())
    bound = draw.abc * float(staining) * changed.drift
    blood = stained_blood(bound, septic=draw.group == "patient", rng=rng)
    n_events = settings.events if changed.events is None else min(changed.events, settings.events)
    particles = blood.draw(n_events, rng)
    cytometer, voltage = changed.cytometer or CYTOMETER, changed.pe_voltage or PE_VOLTAGE
    response = _response(settings, cytometer, began_at.date()).at_voltage(voltage)
    events = acquire(particles, response, rng=rng, clog=changed.clog)
    path = folder / "fcs" / f"{draw.sample_id}.fcs"
    save(path, events, Acquisition(began_at, cytometer, voltage), without=changed.without)
    if draw.fault:
        damage(path, draw.fault, settings.seed)

    monocytes = blood.monocytes(particles)
    readable = draw.fault not in NO_EVENTS_IN_FILE
    truth: Row = {
        "sample_id": draw.sample_id,
        "patient_id": draw.patient_id,
        "timepoint": draw.timepoint,
        "trajectory": draw.trajectory,
        "fault": draw.fault,
        "patient_abc": f"{draw.abc:.2f}",
    }
    if readable:
        truth |= {
            "sample_abc": f"{np.median(particles.pe[monocytes]):.2f}",
            "n_events": len(particles),
            "n_true_monocytes": int(monocytes.sum()),
        }
        truth |= {f"n_{kind}": n for kind, n in blood.counts(particles).items()}
    row: Row = {
        "file": f"fcs/{path.name}",
        "sample_id": draw.sample_id,
        "patient_id": draw.patient_id,
        "group": draw.group,
        "timepoint": draw.timepoint,
        "drawn_at": _minute(draw.drawn_at),
        "stained_at": _minute(stained_at),
        "tube": "EDTA",
        "lysis": "lyse-wash",
        "site": "SIM",
        "cytometer": cytometer,
    }
    return row, truth


def _handling(
    draw: Draw, changed: Acquiring, rng: np.random.Generator
) -> tuple[datetime, datetime]:
    """When the draw was stained and when its acquisition began: well within EDTA's four hours."""
    hours = changed.staining_hours or float(rng.uniform(0.3, 2.5))
    stained_at = draw.drawn_at + timedelta(hours=hours)
    return stained_at, stained_at + timedelta(hours=float(rng.uniform(0.8, 1.6)))


def _write_beads(
    folder: Path, settings: SimulationSettings, draws: list[Draw]
) -> tuple[list[Row], list[Row]]:
    """One bead run on each day of a draw, in the morning; none where that is the fault."""
    faults = {draw.drawn_at.date(): draw.fault for draw in draws if draw.fault}
    rows: list[Row] = []
    truths: list[Row] = []
    for day in sorted({draw.drawn_at.date() for draw in draws}):
        fault = faults.get(day)
        if fault == "no_beads":
            continue
        bead_run = f"B{day:%Y%m%d}"
        rng = generator(settings.seed, "beads", bead_run)
        response = _response(settings, CYTOMETER, day)
        began_at = datetime.combine(day, time(7, 0)) + timedelta(minutes=float(rng.uniform(0, 29)))
        particles = draw_beads(
            settings.bead_events,
            level_sd=settings.level_sd,
            without_level=2 if fault == "level_missing" else None,
            rng=rng,
        )
        events = acquire(particles, response, rng=rng)
        save(folder / "fcs" / f"{bead_run}.fcs", events, Acquisition(began_at, CYTOMETER))
        rows.append(
            {
                "bead_run": bead_run,
                "file": f"fcs/{bead_run}.fcs",
                "lot": LOT,
                "cytometer": CYTOMETER,
                "site": "SIM",
            }
        )
        truths.append(
            {
                "bead_run": bead_run,
                "slope": f"{response.slope:.6f}",
                "intercept": f"{response.intercept:.6f}",
                "fault": fault if fault == "level_missing" else None,
            }
        )
    return rows, truths


def _response(settings: SimulationSettings, cytometer: str, day: date) -> Response:
    return response_of_day(generator(settings.seed, "response", cytometer, day.isoformat()))


def _clinical_row(settings: SimulationSettings, patient: SimulatedPatient, number: int) -> Row:
    return {
        "patient_id": patient.patient_id,
        "shock_onset": _minute(patient.shock_onset),
        "age": patient.age,
        "followup_days": patient.followup_days,
        "death_day": patient.death_day,
        "icu_discharge_day": patient.icu_discharge_day,
        "infection_day": patient.infection_day,
        **reactivations(settings, patient),
        **criteria(settings, patient, number),
    }


def _minute(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
