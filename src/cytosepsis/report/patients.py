"""Pages of patients: the list of all, and for each the trajectory and every draw with its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cytosepsis.flags import Flag
from cytosepsis.report.html import Grid, Head, number, render
from cytosepsis.report.pictures import picture_uri, read_picture
from cytosepsis.report.site import PATIENTS, Shown, Site
from cytosepsis.report.source import Row, Source, flags_of
from cytosepsis.report.trajectory import Trajectory, trajectory_of, trajectory_uri

SAMPLES_PER_PAGE = 12  # each has some 0.1 MB of pictures
PICTURE = (274, 242)  # CSS pixels
HISTOGRAM = (274, 177)


@dataclass(frozen=True, slots=True)
class PatientRows:
    """Everything that the pages of one patient show; sent to worker processes."""

    patient_id: str
    group: str
    visits: tuple[Row, ...]  # rows of `patients`
    markers: tuple[Row, ...]  # rows of `marker_values`
    samples: tuple[Row, ...]
    abc: Mapping[str, Row]  # by sample
    populations: Mapping[str, tuple[Row, ...]]
    densities: Mapping[str, tuple[Row, ...]]
    unused: Mapping[str, tuple[Row, ...]]
    cutoffs: tuple[float, ...]

    @property
    def trajectory(self) -> Trajectory | None:
        """The values over time, where there are any."""
        return trajectory_of(self.visits, list(self.abc.values()), self.cutoffs)


def gather_patients(source: Source, cutoffs: Mapping[str, Sequence[float]]) -> list[PatientRows]:
    """Every patient, donor and control, as they first appear in the sample sheet."""
    by_sample = {row["sample_id"]: row for row in source.rows("abc")}
    patients = []
    for patient_id, samples in source.grouped("samples", "patient_id").items():
        names = [row["sample_id"] for row in samples]
        abc = {name: by_sample[name] for name in names if name in by_sample}
        assays = [row["assay"] for row in abc.values()]
        patients.append(
            PatientRows(
                patient_id=patient_id,
                group=samples[0]["group"],
                visits=tuple(source.of("patients", "patient_id", patient_id)),
                markers=tuple(source.of("marker_values", "patient_id", patient_id)),
                samples=tuple(samples),
                abc=abc,
                populations=_of(source, "populations", names),
                densities=_of(source, "densities", names),
                unused=_of(source, "unused", names),
                cutoffs=tuple(cutoffs.get(assays[0], ())) if assays else (),
            )
        )
    return patients


def _of(source: Source, table: str, names: Sequence[str]) -> dict[str, tuple[Row, ...]]:
    return {name: tuple(source.of(table, "sample_id", name)) for name in names}


def page_parts(samples: Sequence[Row]) -> list[Sequence[Row]]:
    """The samples of each page of a patient."""
    starts = range(0, max(1, len(samples)), SAMPLES_PER_PAGE)
    return [samples[start : start + SAMPLES_PER_PAGE] for start in starts]


def part_name(name: str, part: int) -> str:
    """Name of a patient's page; the first one's is the patient's own."""
    return name if part == 0 else f"{name}--part{part + 1}"


def sample_addresses(patients: Sequence[PatientRows], names: Mapping[str, str]) -> dict[str, str]:
    """Where each sample is shown."""
    return {
        row["sample_id"]: f"{PATIENTS}/{part_name(names[p.patient_id], part)}.html#s{place}"
        for p in patients
        for part, rows in enumerate(page_parts(p.samples))
        for place, row in enumerate(rows, part * SAMPLES_PER_PAGE + 1)
    }


@dataclass(frozen=True, slots=True)
class SampleSection:
    """One sample as its patient's page shows it."""

    anchor: str
    row: Row
    abc: Row | None
    bead_address: str | None
    flags: list[Flag]
    pictures: list[Shown]
    populations: tuple[Row, ...]
    unused: tuple[Row, ...]


def patient_pages(site: Site, patient: PatientRows, exported: str | None) -> dict[str, str]:
    """HTML of a patient's pages by address; figures are drawn here."""
    name = site.patients[patient.patient_id]
    parts = page_parts(patient.samples)
    addresses = [f"{part_name(name, part)}.html" for part in range(len(parts))]
    trajectory = patient.trajectory
    drawn = trajectory and Shown(trajectory_uri(trajectory), trajectory.alt, 634, 278)
    pages = {}
    for part, rows in enumerate(parts):
        pages[f"{PATIENTS}/{addresses[part]}"] = render(
            "patient.html",
            site=site,
            root="../",
            here="patients",
            title=f"{kind_of_group(patient.group)} {patient.patient_id}",
            patient=patient,
            part=part,
            addresses=addresses,
            trajectory=drawn if part == 0 else None,
            other_markers=_other_markers(patient),
            sections=[
                _section(site, patient, row, part * SAMPLES_PER_PAGE + place)
                for place, row in enumerate(rows, 1)
            ],
            visit_flags=[flags_of(row["flags"]) for row in patient.visits],
            exported=exported,
        )
    return pages


def kind_of_group(group: str) -> str:
    """What a row of the sample sheet's group is called."""
    return {"healthy": "Healthy donor", "control": "Control", "eqa": "EQA sample"}.get(
        group, "Patient"
    )


def _other_markers(patient: PatientRows) -> list[Row]:
    """Rows of `marker_values` that say more than the table of AB/C does."""
    shown = {(row["timepoint"], row["abc"]) for row in patient.visits}
    return [row for row in patient.markers if (row["timepoint"], row["value"]) not in shown]


def _section(site: Site, patient: PatientRows, row: Row, place: int) -> SampleSection:
    name = row["sample_id"]
    abc = patient.abc.get(name)
    bead_address = site.bead_run(abc["bead_run"]) if abc else None
    return SampleSection(
        anchor=f"s{place}",
        row=row,
        abc=abc,
        bead_address=bead_address and f"../{bead_address}",
        flags=flags_of(row["flags"]),
        pictures=_pictures(patient, name, abc),
        populations=patient.populations.get(name, ()),
        unused=patient.unused.get(name, ()),
    )


def _pictures(patient: PatientRows, name: str, abc: Row | None) -> list[Shown]:
    by_path = {row["path"]: row for row in patient.populations.get(name, ())}
    shown = []
    for row in patient.densities.get(name, ()):
        picture = read_picture(row, by_path)
        marks = []
        is_quantified = abc and abc["path"] == picture.path and row["x_channel"] == abc["channel"]
        if abc and is_quantified and picture.y is None and abc["intensity"] is not None:
            statistic = str(abc["statistic"]).replace("_", " ")
            marks = [(float(abc["intensity"]), f"{statistic} {number(abc['intensity'])}")]
        width, height = HISTOGRAM if picture.y is None else PICTURE
        uri = picture_uri(picture, marks)
        words = "; ".join(gate.words for gate in picture.gates)
        alt = picture.alt + (f" Marked: {marks[0][1]}." if marks else "")
        shown.append(Shown(uri, alt, width, height, words))
    return shown


def patients_page(site: Site, patients: Sequence[PatientRows]) -> str:
    """HTML of the list of patients: one row each, a column per timepoint."""
    timepoints = list(
        dict.fromkeys(row["timepoint"] for p in patients for row in p.visits if row["timepoint"])
    )
    rows: list[tuple[Any, ...]] = []
    for p in patients:
        values = {row["timepoint"]: row for row in p.visits}
        last = next((r for r in reversed(p.visits) if r["abc"] is not None), None)
        flagged = [r for r in p.visits if r["status"] != "ok"]
        rows.append(
            (
                (p.patient_id, site.patient(p.patient_id)),
                p.group,
                len(p.samples),
                *(values.get(t, {}).get("abc") for t in timepoints),
                last["ratio"] if last else None,
                last["band"] if last else None,
                ";".join(
                    dict.fromkeys(c for r in flagged for c in (r["flags"] or "").split(";") if c)
                ),
            )
        )
    grid = Grid(
        name="patients",
        caption="Patients, donors and controls",
        heads=(
            Head("Patient", "link"),
            Head("Group", choose=True),
            Head("Samples", "number"),
            *(Head(f"AB/C {t}", "number", title=f"Value that stands for {t}") for t in timepoints),
            Head("Last ratio", "number", title="Last value / the baseline window's"),
            Head("Last band", choose=True, title="Band of the last value"),
            Head("Flags", "flags", choose=True, title="Of timepoints that are flagged or failed"),
        ),
        rows=rows,
        file="patients.csv",
        search="Patient",
    )
    return render(
        "grid.html", site=site, root="", here="patients", title="Patients", grid=grid, words=""
    )
