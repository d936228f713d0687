"""A study on disk: what is read, and every fault with its file and place, all at once."""

from __future__ import annotations

import os
import tomllib
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytosepsis.config import check_study, load_study
from cytosepsis.config.problems import MAX_ALIKE
from cytosepsis.errors import StudyError
from small_study import BEADS, MATRIX, PLAN, SAMPLES, STUDY, fcs, in_study, refused, toml, write

# ------------------------------------------------------------------------------- a good study


def test_a_good_study_is_read_whole(tmp_path: Path) -> None:
    study = load_study(write(tmp_path))
    paris = timezone(timedelta(hours=1))
    first, second = study.samples
    assert (first.sample_id, first.file, first.patient_id) == ("fcs/a", "fcs/a.fcs", "P1")
    assert first.path == str(tmp_path.resolve() / "fcs" / "a.fcs")
    assert first.assay == "mhladr"
    assert first.drawn_at == datetime(2024, 3, 1, 10, tzinfo=paris)
    assert first.drawn_at_has_time
    assert (first.group, first.role, first.use) == ("patient", "sample", True)
    assert not second.drawn_at_has_time
    assert study.assay("mhladr").abc is not None
    assert study.assay("mhladr").abc.population == "root/cells/monocytes"
    assert study.assay("mhladr").gating == str(tmp_path.resolve() / "assays" / "plan.toml")
    assert study.assay("mhladr").channels[1] == ("cd14", ("FITC-A", "CD14"))
    assert study.bead_lot("96597").pe_molecules == (638, 6930, 31008, 67601)
    assert study.bead_lot("96597").expires == date(2027, 1, 31)
    assert [window.name for window in study.windows] == ["D1-2", "D3-4"]
    assert study.baseline == "D1-2"
    assert (study.bead_runs[0].bead_run, study.bead_runs[0].lot) == ("B1", "96597")
    assert [m.name for m in study.markers] == ["mhladr"] == [study.primary_marker]
    assert study.markers[0].population == "root/cells/monocytes"
    assert study.bead_max_age_hours == 24
    assert study.warnings == ()
    assert study.name == "demo"


def test_folder_and_file_are_the_same_study(tmp_path: Path) -> None:
    write(tmp_path)
    assert load_study(tmp_path) == load_study(str(tmp_path / "study.toml"))


def test_every_section_and_sheet(tmp_path: Path) -> None:
    study = load_study(
        write(
            tmp_path,
            study_toml=toml(
                (
                    "[study]\n",
                    '[study]\nclinical = "clinical.csv"\nassay_cv = 0.03\n'
                    'measurements = "measurements.csv"\nexposures = "exposures.csv"\n'
                    'overrides = "overrides.csv"\ncompare_across_sites = true\n'
                    'primary_marker = "dr"\n',
                ),
                (
                    "[assays.mhladr.abc]",
                    '[assays.mhladr.statistics]\nmonocytes = ["cd14"]\n'
                    "[assays.mhladr.limits]\nbead_slope = [0.7, 1.3]\nbead_level_events = 20\n"
                    "staining_delay_hours = { EDTA = 6 }\n[assays.mhladr.abc]",
                ),
                ('compensation = "file"', 'compensation = "assays/matrix.csv"'),
            )
            + """
[markers.dr]
assay = "mhladr"
kind = "abc"
[markers.cd14]
kind = "intensity"
population = "monocytes"
channel = "cd14"
statistic = "geometric_mean"
[markers.fraction]
kind = "fraction"
population = "monocytes"
of = "root"
[markers.n]
kind = "count"
population = "root/cells/monocytes"
[markers.ferritin]
kind = "measurement"
unit = "ng/mL"
[outcomes.infection]
event_day = "infection_day"
competing_day = "death_day"
observed_until = "followup_days"
horizon = 28
[counting_lots.L1]
beads_per_ul = 1000
""",
            assays__matrix_csv=MATRIX,
            samples_csv="file,sample_id,patient_id,dose,use,role,control_for,bead_run,counting_lot,"
            "blood_volume_ul,colour\n"
            "fcs/a.fcs,00123,7,0.5,oui,sample,,B1,L1,50,red\n"
            "fcs/b.fcs,iso,7,,NO,Isotype,00123,,,,\n",
            clinical_csv="patient_id;shock_onset;age;group;infection_day;death_day;"
            "followup_days;lactate;note\n7;2024-03-01;60,5;healthy;;3,5;28;2,5;a,b\n",
            measurements_csv="patient_id,name,value,unit,timepoint,plate\n7,ferritin,12.5,ng/mL,"
            "D1-2,A1\n",
            exposures_csv="patient_id,drug,dose,unit,start,stop\n7,prednisone,10,mg/day,"
            "2024-02-01 09:00,2024-02-01\n",
            overrides_csv="target,action,who,when,why,bead_run\n00123,assign_beads,AB,"
            "2024-04-01,other day,B1\nB1,accept,AB,2024-04-01 10:00,seen,\n",
        )
    )
    limits = study.assay("mhladr").limits
    assert limits.beads.slope == (0.7, 1.3) == limits.beads.slope_fail
    assert (limits.beads.level_events, limits.beads.level_events_fail) == (20, 20)
    assert dict(limits.staining_delay_hours) == {"edta": 6, "heparin": 4, "cytochex": 72}
    assert study.assay("mhladr").compensation == str(tmp_path.resolve() / "assays" / "matrix.csv")
    assert study.assay("mhladr").statistics == (("root/cells/monocytes", ("cd14",)),)
    first, iso = study.samples
    assert (first.sample_id, first.dose, first.use, first.extra) == (
        "00123",
        0.5,
        True,
        (("colour", "red"),),
    )
    assert first.group == "healthy", "the clinical sheet's group stands where the row gives none"
    assert (first.bead_run, first.counting_lot, first.blood_volume_ul) == ("B1", "L1", 50)
    assert (iso.use, iso.role, iso.control_for) == (False, "isotype", "00123")
    patient = study.patients[0]
    assert patient.age == 60.5
    assert not patient.shock_onset_has_time
    assert dict(patient.values) == {
        "infection_day": None,
        "death_day": "3.5",
        "followup_days": "28",
        "lactate": "2.5",
        "note": "a,b",
    }
    markers = {marker.name: marker for marker in study.markers}
    assert (markers["dr"].population, markers["dr"].unit) == ("root/cells/monocytes", "AB/C")
    assert markers["cd14"].statistic == "geometric_mean"
    assert (markers["fraction"].population, markers["fraction"].of) == (
        "root/cells/monocytes",
        "root",
    )
    assert markers["ferritin"].measurement == "ferritin"
    assert study.primary_marker == "dr"
    outcome = study.outcomes[0]
    assert (outcome.event_day, outcome.competing_day) == ("infection_day", ("death_day",))
    assert study.measurements[0].value == 12.5
    assert study.measurements[0].extra == (("plate", "A1"),)
    assert study.exposures[0].dose == 10
    assert [o.action for o in study.overrides] == ["assign_beads", "accept"]
    assert study.overrides[0].when == "2024-04-01"
    assert dict(study.overrides[0].parameters) == {"bead_run": "B1"}
    assert study.compare_across_sites
    assert study.assay_cv == 0.03
    assert study.warnings == ("clinical.csv: read with a semicolon between columns",)


def test_a_sheet_as_excel_writes_it_in_france(tmp_path: Path) -> None:
    study = load_study(
        write(
            tmp_path,
            study_toml=in_study('date_format = "dd/mm/yyyy"'),
            samples_csv=(
                "file;sample_id;patient_id;drawn_at;dose;operator;;\r\n"
                "fcs\\a.fcs;007;P1;03/04/2024 14:30;0,5;Zoé;;\r\n"
                "fcs/b.fcs;008;P2;2024-04-03;1,125;;;\r\n;;;;;;;\r\n"
            ).encode("cp1252"),
        )
    )
    first, second = study.samples
    assert (first.sample_id, first.dose, first.operator) == ("007", 0.5, "Zoé")
    assert first.drawn_at is not None
    assert first.drawn_at.isoformat() == "2024-04-03T14:30:00+02:00"
    assert second.dose == 1.125
    assert second.drawn_at is not None
    assert second.drawn_at.date() == date(2024, 4, 3)
    assert set(study.warnings) == {
        "samples.csv: read as Windows-1252: check that accented letters are right",
        "samples.csv: read with a semicolon between columns",
    }


def test_backslashes_of_windows_lead_to_the_file(tmp_path: Path) -> None:
    write(tmp_path, samples_csv="file,patient_id\nfcs\\a.fcs,P1\n", fcs__a_fcs=b"x")
    study = load_study(tmp_path)
    assert study.samples[0].path == str(tmp_path.resolve() / "fcs" / "a.fcs")
    assert study.samples[0].sample_id == "fcs/a"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "xlsx", "parquet"])
def test_formats_give_the_same_samples(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame(
        {
            "file": ["fcs/a.fcs", "fcs/b.fcs"],
            "patient_id": ["00123", "P2"],
            "drawn_at": [datetime(2024, 3, 1, 14, 30), None],
            "dose": [0.5, None],
        }
    )
    write(tmp_path, study_toml=toml(("samples.csv", f"samples.{suffix}")))
    target = tmp_path / f"samples.{suffix}"
    match suffix:
        case "csv":
            frame.write_csv(target, datetime_format="%Y-%m-%d %H:%M")
        case "tsv":
            frame.write_csv(target, separator="\t", datetime_format="%Y-%m-%dT%H:%M:%S")
        case "xlsx":
            frame.write_excel(target)
        case _:
            frame.write_parquet(target)
    study = load_study(tmp_path)
    first, second = study.samples
    assert (first.patient_id, first.dose) == ("00123", 0.5)
    assert first.drawn_at == datetime(2024, 3, 1, 13, 30, tzinfo=UTC)
    assert (second.patient_id, second.drawn_at, second.dose) == ("P2", None, None)


def test_fluorochromes_of_a_matrix_are_not_looked_for_in_files(tmp_path: Path) -> None:
    matrix = ",V1,V2,V3\nCD14,1,0.5,0\nHLA-DR,0,0.5,1\n"
    folder = write(
        tmp_path,
        study_toml=toml(('compensation = "file"', 'compensation = "m.csv"')),
        m_csv=matrix,
        fcs__a_fcs=fcs("FSC-A", "V1", "V2", "V3", "PE-A"),
        fcs__b_fcs=fcs("FSC-A", "V1", "V2", "PE-A"),
        fcs__beads_fcs=fcs("FSC-A", "PE-A"),
    )
    (problem,) = check_study(folder)
    assert problem.file == "fcs/b.fcs"
    assert "not in the file: V3" in problem.message


def test_real_study_loads_and_checks(tmp_path: Path) -> None:
    corpus = Path(os.environ.get("CYTOSEPSIS_CORPUS", Path(__file__).parents[2] / "shared/fcs"))
    folder = corpus.parent / "real_study"
    if not folder.is_dir():
        pytest.skip(f"no real study beside {corpus}")
    study = load_study(folder)
    assert [sample.sample_id for sample in study.samples] == ["hipc-001", "mouse-68983"]
    assert study.assay("mouse_wsp").channels == ()
    assert all(Path(sample.path).is_file() for sample in study.samples)
    assert check_study(folder) == ()


# ------------------------------------------------------------------------------ digest


def test_digest_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    def digest(folder: str, **files: str) -> str:
        return load_study(write(tmp_path / folder, **files)).digest

    first = digest("one")
    assert len(first) == 64
    assert first == digest("two")
    changes = {
        "study_toml": STUDY + "\n",
        "samples_csv": SAMPLES + "\n",
        "beads_csv": BEADS + "\n",
        "assays__plan_toml": PLAN + "\n",
    }
    digests = {digest(name, **{name: text}) for name, text in changes.items()}
    assert len(digests | {first}) == 5


def test_digest_covers_matrices(tmp_path: Path) -> None:
    text = toml(('"file"', '"m.csv"'))
    one = load_study(write(tmp_path / "1", study_toml=text, m_csv=MATRIX))
    two = load_study(write(tmp_path / "2", study_toml=text, m_csv=MATRIX.replace("0.1", "0.2")))
    assert one.digest != two.digest


# ------------------------------------------------------------------------------ all at once


def test_many_faults_are_reported_together_with_their_places(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        study_toml=toml(
            ("baseline", "basline"),
            ("[1, 2]", "[1, 3]"),
            ("[638, 6930, 31008, 67601]", "[638, 6930]"),
            ("[5000, 8000, 15000]", "[5000, 3000]"),
            ('population = "monocytes"', 'population = "monocyts"'),
            ('channel = "hladr"', 'channel = "hla"'),
            ("Europe/Paris", "Paris"),
        ),
        samples_csv="file,sample_id,patient_id,Group,dose,drawn_at,role,use,bead_run\n"
        "fcs/a.fcs,S1,P1,healthy,1,2024-03-01,sample,yes,B1\n"
        "fcs/b.fcs,S1,,healthy,much,01/03/2024,samples,maybe,B9\n"
        "../../etc/passwd,S3,P3,,-1,2024-02-30,,,\n",
        beads_csv="bead_run,file,lot\nB1,fcs/x.fcs,96597\nB1,fcs/y.fcs,00000\n",
    )
    expected = [
        'study.toml: study.basline: is no key that is known. Did you mean "baseline"?',
        "study.toml: bead_lots.96597.pe_molecules: found [638, 6930]; wanted 3 or more values.",
        "study.toml: assays.mhladr.abc.cutoffs: found [5000, 3000]; wanted ascending numbers",
        "study.toml: study.timezone: found 'Paris'; wanted a time zone of the IANA list",
        "study.toml: timepoints.D3-4: overlaps 'D1-2': days 1 to 3 and 3 to 4, both inclusive.",
        'samples.csv: column Group: is no column that is known. Did you mean "group"? Rename it.',
        "samples.csv: row 3, patient_id: is empty; a value is needed.",
        "samples.csv: row 3, drawn_at: found '01/03/2024'; wanted a date such as 2024-03-31",
        "samples.csv: row 3, role: found 'samples'; wanted one of sample, isotype,",
        "samples.csv: row 3, use: found 'maybe'; wanted yes or no.",
        "samples.csv: row 3, dose: found 'much'; wanted a number.",
        "samples.csv: row 4, drawn_at: found '2024-02-30': day is out of range for month.",
        "samples.csv: row 4, file: found '../../etc/passwd', which leads out of the study",
        "samples.csv: row 4, dose: found '-1'; wanted 0 or more.",
        "samples.csv: rows 2, 3: have the same sample_id 'S1'; every row needs its own.",
        "study.toml: assays.mhladr.abc.population: found 'monocyts', which the plan does not "
        'have. Did you mean "monocytes"? Populations: root, root/cells, root/cells/monocytes.',
        "study.toml: assays.mhladr.abc.channel: found 'hla', which is no role of assay mhladr. "
        'Did you mean "hladr"? Roles: fsc, cd14, hladr.',
        "beads.csv: row 3, lot: found '00000', which is not in [bead_lots] of study.toml.",
        "beads.csv: rows 2, 3: have the same bead_run 'B1'; every row needs its own.",
        "samples.csv: column bead_run: found 'B9' (once), which is no run of the bead sheet.",
    ]
    for message in expected:
        assert [text for text in found if text.startswith(message)], f"{message}\n{found}"
    assert len(found) == len(expected), found


def test_the_same_fault_in_every_row_is_counted(tmp_path: Path) -> None:
    rows = "".join(f"f{i}.fcs,P{i},soon\n" for i in range(MAX_ALIKE + 30))
    found = refused(tmp_path, samples_csv="file,patient_id,drawn_at\n" + rows)
    assert len(found) == MAX_ALIKE + 1
    assert found[-1] == "samples.csv: column drawn_at: the same in 30 more places"


# ------------------------------------------------------------------------------ study.toml

TOML_FAULTS = [
    ("a = \n", "study.toml: line 1, column 5: is not TOML: Invalid value."),
    ("[study]\n[study]\n", "study.toml: line 2, column 7: is not TOML: Cannot declare"),
    ("", "study.toml: study: this section is needed and not there."),
    ("", "study.toml: assays: wanted at least one assay, [assays.NAME]."),
    ("study = 3", "study.toml: study: found 3; wanted a section, [study]."),
    ("[study]", "study.toml: study.name: is needed and not there."),
    ("[study]", "study.toml: study.samples: is needed and not there."),
    (STUDY + "[market]\n", 'study.toml: market: is no section of a study. Did you mean "markers"?'),
    (in_study("bead_max_age_hours = 0"), "bead_max_age_hours: found 0; wanted more than 0."),
    (in_study('bead_max_age_hours = "1"'), "bead_max_age_hours: found '1'; wanted a number."),
    (in_study("bead_max_age_hours = nan"), "found nan; wanted a finite number."),
    (in_study("assay_cv = 1.5"), "study.assay_cv: found 1.5; wanted less than 1."),
    (in_study("compare_across_lysis = 1"), "found 1; wanted true or false."),
    (in_study('roots = "x"'), "study.roots: found 'x'; wanted a list, [..]."),
    (in_study('roots = ["gone"]'), "study.roots[0]: found 'gone', which is no folder."),
    (in_study('clinical = ""'), "study.clinical: found ''; wanted a text that is not empty."),
    (in_study('date_format = "%d/%m"'), "study.date_format: found '%d/%m'; wanted day, month"),
    (in_study('primary_marker = "x"'), "study.primary_marker: found 'x', which is no marker."),
    (toml(('"D1-2"\n', '"D9"\n')), "study.baseline: found 'D9', which is none of [timepoints]."),
    (toml(("[1, 2]", "[2, 1]")), "timepoints.D1-2: found [2, 1]; wanted the first number not"),
    (toml(("[1, 2]", "[0, 2]")), "timepoints.D1-2[0]: found 0; wanted 1 or more."),
    (toml(("[1, 2]", "[1, 2, 3]")), "timepoints.D1-2: found [1, 2, 3]; wanted at most 2 values."),
    (toml(("6930", "638")), "bead_lots.96597.pe_molecules: found [638, 638, 31008, 67601]; wanted "
     "every level once."),
    (toml(("638,", "-638,")), "bead_lots.96597.pe_molecules[0]: found -638; wanted more than 0."),
    (toml(("2027-01-31", '"2027-01-31"')), "expires: found '2027-01-31'; wanted a date without"),
    (toml(("[assays.mhladr]\n", "[assays]\nx = 1\n[assays.mhladr]\n")),
     "assays.x: found 1; wanted a table of keys and values."),
    (toml(('gating = "assays/plan.toml"', "")), "assays.mhladr.gating: is needed and not there."),
    (toml(('"assays/plan.toml"', '"plan.toml"')),
     "assays.mhladr.gating: there is no file 'plan.toml'."),
    (toml(('"assays/plan.toml"', '"/etc/hostname"')),
     "assays.mhladr.gating: found '/etc/hostname', which leads out of the study folder"),
    (toml(('"file"', '"fil"')), "assays.mhladr.compensation: there is no file 'fil'. Did you mean "
     '"file"? Wanted file, none, or a path.'),
    (toml(('"PE-A"', "[]")), "channels.hladr: found []; wanted 1 or more values."),
    (toml(('"PE-A"', "3")), "channels.hladr: found 3; wanted a list, [..]."),
    (toml(('["FITC-A", "CD14"]', '["FITC-A", 3]')), "channels.cd14[1]: found 3; wanted a text in"),
    (toml(("[assays.mhladr.abc]\n", '[assays.mhladr.abc]\nstatistic = "medain"\n')),
     "abc.statistic: found 'medain'; wanted 'median' or 'geometric_mean'. Did you mean"),
    (toml(("[assays.mhladr.abc]\n", "[assays.mhladr.abc]\nmin_events = 2.5\n")),
     "abc.min_events: found 2.5; wanted a whole number."),
    (toml(("[assays.mhladr.abc]\n", "[assays.mhladr.abc]\nmin_event = 2\n")),
     'abc.min_event: is no key that is known. Did you mean "min_events"? Keys here: population,'),
    (STUDY + "[assays.mhladr.limits]\nbead_recovery = [1.1, 0.9]\n",
     "limits.bead_recovery: found [1.1, 0.9]; wanted ascending numbers, each once."),
    (STUDY + "[assays.mhladr.limits]\nbead_r_squared = 1.1\n",
     "limits.bead_r_squared: found 1.1; wanted 1 or less."),
    (STUDY + "[assays.mhladr.limits]\nbead_slope_fail = [0.95, 1.2]\n",
     "limits.bead_slope_fail: found [0.95, 1.2], which does not enclose bead_slope [0.9, 1.1]."),
    (STUDY + "[assays.mhladr.limits]\nbead_level_events_fail = 300\n",
     "limits.bead_level_events_fail: found 300, above bead_level_events 200."),
    (STUDY + "[assays.mhladr.statistics]\nlymphocytes = []\n",
     "statistics.lymphocytes: found []; wanted 1 or more values."),
    (STUDY + '[assays.mhladr.statistics]\nmonocytes = ["cd15"]\n',
     "assays.mhladr.statistics.monocytes[0]: found 'cd15', which is no role of assay mhladr."),
    (STUDY + '[markers.m]\nkind = "abs"\n', "markers.m.kind: found 'abs'; wanted 'abc',"),
    (STUDY + '[markers.m]\nkind = "fraction"\npopulation = "cells"\n',
     'markers.m.of: is needed for a marker of kind "fraction" and not there.'),
    (STUDY + '[markers.m]\nkind = "abc"\nof = "cells"\n',
     'markers.m.of: has no meaning for a marker of kind "abc", which takes population, channel.'),
    (STUDY + '[markers.m]\nkind = "abc"\npopulation = "cells"\n',
     "markers.m.population: found 'root/cells', but assay mhladr quantifies 'root/cells/mono"),
    (STUDY + '[markers.m]\nkind = "abc"\nchannel = "cd14"\n',
     "markers.m.channel: found 'cd14', but assay mhladr quantifies 'hladr'."),
    (STUDY + '[markers.m]\nkind = "abc"\nassay = "mhladl"\n',
     "markers.m.assay: found 'mhladl', which is no assay of the study. Did you mean \"mhladr\"?"),
    (STUDY + '[markers.m]\nkind = "count"\npopulation = "B cells"\n',
     "markers.m.population: found 'B cells', which the plan does not have. Did you mean"),
    (STUDY + '[markers.m]\nkind = "intensity"\npopulation = "cells"\nchannel = "cd3"\n',
     "markers.m.channel: found 'cd3', which is no role of assay mhladr."),
    (STUDY + '[markers.m]\nkind = "measurement"\n',
     'markers.m: a marker of kind "measurement" needs [study] measurements.'),
    (STUDY + '[markers.m]\nkind = "abc"\n[markers.n]\nkind = "abc"\n',
     "study.primary_marker: is needed where several markers are quantified: m, n."),
    (STUDY + '[outcomes.o]\nevent_day = "d"\n', "study.clinical: is needed for [outcomes]."),
    (in_study('clinical = "beads.csv"') + '[outcomes.o]\nevent_day = "d"\nhorizon = 0\n',
     "outcomes.o.horizon: found 0;"),
    (STUDY + '[assays.b]\ncompensation = "none"\ngating = "assays/plan.toml"\n',
     "samples.csv: column assay: is needed and not there."),
    (STUDY + '[assays.b]\ncompensation = "none"\ngating = "assays/plan.toml"\n'
     '[markers.m]\nkind = "count"\npopulation = "cells"\n',
     "markers.m.assay: is needed: the study has the assays mhladr, b."),
    (STUDY + '[assays.b]\ncompensation = "none"\ngating = "assays/plan.toml"\n'
     '[markers.m]\nkind = "abc"\nassay = ["b"]\n',
     "markers.m.assay: assay b has no section [assays.b.abc], so it gives no AB/C."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), TOML_FAULTS)
def test_faults_of_study_toml(tmp_path: Path, text: str, message: str) -> None:
    found = refused(tmp_path, study_toml=text)
    assert any(message in line for line in found), found


def test_one_fault_of_study_toml_is_one_problem(tmp_path: Path) -> None:
    """A key that is left out because it is faulty must not be reported again as missing."""
    alone = [
        text
        for text, _ in TOML_FAULTS
        if text.startswith(STUDY[:9])
        and "[outcomes.o]" not in text
        and not {"b", "x"} & set(tomllib.loads(text)["assays"])
    ]
    for index, text in enumerate(alone):
        found = refused(tmp_path / str(index), study_toml=text)
        assert len(found) == 1, (text, found)


def test_an_ambiguous_population_is_refused(tmp_path: Path) -> None:
    again = PLAN + PLAN.replace('"cells"\ntype', '"others"\ntype').replace(
        'parent = "cells"', 'parent = "others"'
    )
    [found] = refused(tmp_path, assays__plan_toml=again)
    assert found == (
        "study.toml: assays.mhladr.abc.population: found 'monocytes', which names "
        "root/cells/monocytes, root/others/monocytes. Write one path in full."
    )


def test_a_broken_plan_and_a_broken_matrix_are_refused(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        study_toml=toml(('"file"', '"m.csv"')),
        assays__plan_toml="gates = 3",
        m_csv="a,b\n1,x\n",
    )
    assert len(found) == 2
    assert found[0].startswith("assays/plan.toml: ")
    assert found[0].endswith("(assays.mhladr.gating of study.toml)")
    assert found[1].startswith("m.csv: ")
    assert found[1].endswith("(assays.mhladr.compensation of study.toml)")


def test_study_toml_that_is_no_text(tmp_path: Path) -> None:
    [found] = refused(tmp_path, study_toml="[study]\nname = 'é'\n".encode("cp1252"))
    assert found == "study.toml: line 2: is not UTF-8. Save the file again as UTF-8."
    (tmp_path / "study.toml").write_bytes(b"#" * (4 * 2**20 + 1))
    with pytest.raises(StudyError, match="is larger than 4 MiB"):
        load_study(tmp_path)
    (tmp_path / "study.toml").unlink()
    with pytest.raises(StudyError, match=r"there is no study\.toml in"):
        load_study(tmp_path)
    (tmp_path / "study.toml").mkdir()
    with pytest.raises(StudyError, match=r"study\.toml"):
        load_study(tmp_path / "study.toml")


def test_a_byte_order_mark_is_skipped_and_reported(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, study_toml=b"\xef\xbb\xbf" + STUDY.encode()))
    assert study.warnings == ("study.toml: begins with a byte order mark, which was skipped",)


# ------------------------------------------------------------------------------ paths


@pytest.mark.parametrize("path", ["../x.fcs", "/etc/passwd", "fcs/../../x.fcs", "out/x.fcs", "\0"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.fcs").write_bytes(b"")
    folder = write(tmp_path / "study")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "samples.csv").write_text(f"file,patient_id\n{path},P1\n")
    with pytest.raises(StudyError, match=r"row 2, file|holds NUL bytes"):
        load_study(folder)


def test_links_and_absolute_paths_inside_are_followed(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "data").mkdir()
    (folder / "data" / "x.fcs").write_bytes(b"")
    (folder / "link.fcs").symlink_to("data/x.fcs")
    (folder / "samples.csv").write_text(f"file,patient_id\nlink.fcs,P1\n{folder}/data/y.fcs,P1\n")
    study = load_study(folder)
    assert study.samples[0].path == str(folder.resolve() / "data" / "x.fcs")
    assert study.samples[1].path == str(folder.resolve() / "data" / "y.fcs")


def test_a_circle_of_links_is_no_path(tmp_path: Path) -> None:
    folder = write(tmp_path, samples_csv="file,patient_id\na.fcs,P1\n")
    (folder / "a.fcs").symlink_to("b.fcs")
    (folder / "b.fcs").symlink_to("a.fcs")
    problems = check_study(folder)
    assert any("a.fcs" in str(problem) for problem in problems)


def test_roots_are_read_from_and_the_study_folder_comes_first(tmp_path: Path) -> None:
    for name in ("root/a.fcs", "root/b.fcs", "study/a.fcs"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    folder = write(
        tmp_path / "study",
        study_toml=in_study('roots = ["../root"]'),
        samples_csv="file,patient_id\na.fcs,P\nb.fcs,P\n../root/b.fcs,P\nno.fcs,P\n",
    )
    study = load_study(folder)
    paths = [Path(sample.path).relative_to(tmp_path.resolve()) for sample in study.samples]
    assert [str(p) for p in paths] == ["study/a.fcs", "root/b.fcs", "root/b.fcs", "study/no.fcs"]


def test_sheets_and_plans_outside_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("file,patient_id\nx,y\n")
    found = refused(tmp_path / "s", study_toml=toml(('"beads.csv"', '"../secret.csv"')))
    assert [line.split(";")[0] for line in found] == [
        "study.toml: study.beads: found '../secret.csv', which leads out of the study folder"
    ]


# ------------------------------------------------------------------------------ anything at all


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, STUDY.count("=") - 1),
    st.sampled_from(
        ["3", "''", "'..'", "true", "[]", "[[1]]", "['a', 1]", "{ a = 1 }", "nan", "2027-01-31"]
    ),
    st.binary(max_size=30),
)
def test_whatever_is_written_is_read_or_refused(key: int, value: str, tail: bytes) -> None:
    """No value of any key and no bytes in a sheet raise anything but a StudyError."""
    lines = STUDY.splitlines()
    at = [index for index, line in enumerate(lines) if "=" in line][key]
    lines[at] = lines[at].partition("=")[0] + "= " + value
    with TemporaryDirectory() as name:
        folder = write(Path(name), study_toml="\n".join(lines), samples_csv=SAMPLES.encode() + tail)
        errors = [p for p in check_study(folder) if p.severity == "error"]
        if errors:
            with pytest.raises(StudyError) as caught:
                load_study(folder)
            assert caught.value.problems == tuple(errors)
        else:
            assert load_study(folder).digest
