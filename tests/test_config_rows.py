"""The rows of a study's sheets: cells, dates, look-alikes, and what `check_study` adds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.config import check_study, load_study
from cytosepsis.config.clock import Clock, strptime_format
from cytosepsis.config.twins import near_twins
from cytosepsis.errors import StudyError
from small_study import MATRIX, SAMPLES, STUDY, fcs, in_study, refused, toml, write

# ------------------------------------------------------------------------------ cells

ROW_FAULTS = [
    ("file,patient_id\n", "samples.csv: has a header and no rows: nothing to compute."),
    ("patient_id\nP1\n", "samples.csv: column file: is needed and not there. Found: patient_id."),
    ("file,Patient ID\na,P1\n", 'samples.csv: column Patient ID: is no column that is known. Did '
     'you mean "patient_id"? Rename it.'),
    ("file,patient_id,group\na,P1,pateint\n", "samples.csv: row 2, group: found 'pateint'; wanted "
     'one of patient, healthy, control, eqa. Did you mean "patient"?'),
    ("file,patient_id,assay\na,P1,mhladx\n", "samples.csv: row 2, assay: found 'mhladx', which is "
     'not in [assays] of study.toml. Did you mean "mhladr"? There: mhladr.'),
    ("file,patient_id,counting_lot\na,P1,L9\n", "samples.csv: row 2, counting_lot: found 'L9', "
     "which is not in [counting_lots] of study.toml. There: none."),
    ("file,patient_id,blood_volume_ul\na,P1,0\n", "samples.csv: row 2, blood_volume_ul: found "
     "'0'; wanted more than 0."),
    ('file,patient_id,dose\na,P1,"1,234"\n', "samples.csv: row 2, dose: found '1,234', which may "
     "be a decimal comma or thousands."),
    ("file,patient_id,dose\na,P1,1_000\n", "samples.csv: row 2, dose: found '1_000'; wanted a "),
    ("file,patient_id,dose\na,P1,inf\n", "samples.csv: row 2, dose: found 'inf'; wanted a number."),
    ("file,patient_id,dose\na,P1,1e999\n", "samples.csv: row 2, dose: found '1e999'; wanted a "
     "finite number."),
    ("file,patient_id,dose\na,P1,NA\n", "samples.csv: row 2, dose: found 'NA'; wanted a number. "
     "Leave it empty where it is unknown."),
    ('file,patient_id\na,"P\n1"\n', "samples.csv: row 2, patient_id: found 'P\\n1'; line breaks "
     "and controls cannot be in a name."),
    ("file,patient_id,drawn_at\na,P1,45352.5\n", "samples.csv: row 2, drawn_at: found '45352.5', "
     "perhaps Excel's number of a day. Format the column as a date."),
    ("file,patient_id,drawn_at\na,P1,0204-03-01\n", "samples.csv: row 2, drawn_at: found "
     "'0204-03-01', in the year 204. Check the date."),
    ("x.fcs,P1,\n,P2\n", "samples.csv: column file: is needed and not there."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), ROW_FAULTS)
def test_faults_of_rows(tmp_path: Path, text: str, message: str) -> None:
    found = refused(tmp_path, samples_csv=text)
    assert any(line.startswith(message) for line in found), found


def test_decimal_commas_are_accepted_where_they_can_be_nothing_else(tmp_path: Path) -> None:
    text = 'file,patient_id,dose,incubation_hours\na,P,"0,5","1,25"\nb,P,"0,125","1,250"\n'
    study = load_study(write(tmp_path, samples_csv=text))
    assert [(s.dose, s.incubation_hours) for s in study.samples] == [(0.5, 1.25), (0.125, 1.25)]


def test_words_for_yes_and_no(tmp_path: Path) -> None:
    words = ("yes", "oui", "TRUE", "1", "no", "Non", "false", "0", "")
    rows = "".join(f"f{i}.fcs,P1,{word}\n" for i, word in enumerate(words))
    study = load_study(write(tmp_path, samples_csv="file,patient_id,use\n" + rows))
    assert [sample.use for sample in study.samples] == [True] * 4 + [False] * 4 + [True]


def test_default_ids_leave_the_ending_out_and_must_be_unique(tmp_path: Path) -> None:
    found = refused(tmp_path, samples_csv="file,patient_id\nP01.001,P1\nP01.002,P1\n")
    assert found == [
        "samples.csv: rows 2, 3: have the same sample_id 'P01'; every row needs its own."
    ]


def warnings_of(folder: Path, **files: str | bytes) -> list[str]:
    return list(load_study(write(folder, **files)).warnings)


def test_warnings_about_rows(tmp_path: Path) -> None:
    found = warnings_of(
        tmp_path,
        samples_csv="file,sample_id,patient_id,timepoint,drug,dose_units,control_for,drawn_at,"
        "stained_at,group\n"
        "a.fcs,S1,P1,D1-2,none,,S9,,,patient\n"
        "a.fcs,S2,P1,d1-2,,,,2024-03-01 10:00,2024-03-01 09:00,healthy\n"
        "b.fcs,S3,P2,,,,,,,\n",
    )
    expected = [
        'samples.csv: column dose_units: carried through unread. Did you mean "dose_unit"?',
        "samples.csv: row 2, drug: found 'none', kept as a name. Leave unknown cells empty.",
        "samples.csv: row 3, stained_at: lies before drawn_at. Check both.",
        "samples.csv: row 2, control_for: found 'S9', which is no sample of the sheet.",
        "samples.csv: rows 2, 3: name the same file 'a.fcs' for assay 'mhladr'",
        "samples.csv: column timepoint: found 'd1-2', which is none of [timepoints]. Did you mean",
        "samples.csv: 1 samples of patients have neither drawn_at nor timepoint",
        "samples.csv: column group: patient 'P1' is in several groups: healthy, patient.",
        "sheets: column timepoint: 'D1-2', 'd1-2' look alike and are kept apart.",
    ]
    for message in expected:
        assert [line for line in found if line.startswith(message)], (message, found)
    assert len(found) == len(expected), found


def test_warnings_about_study_toml(tmp_path: Path) -> None:
    text = toml(('beads = "beads.csv"\n', ""), ('fsc = "FSC-A"', 'fsc = "PE-A"'))
    assert warnings_of(tmp_path, study_toml=text) == [
        "study.toml: assays.mhladr.channels.hladr: accepts 'PE-A', as does the role fsc. Is that "
        "meant?",
        "study.toml: study.beads: is not given: no AB/C can be computed for mhladr.",
    ]


def test_a_primary_marker_that_gives_no_abc_is_warned_of(tmp_path: Path) -> None:
    text = in_study('primary_marker = "n"') + '[markers.n]\nkind = "count"\npopulation = "cells"\n'
    assert warnings_of(tmp_path, study_toml=text) == [
        'study.toml: study.primary_marker: "n" is not of kind "abc": the AB/C columns of '
        "`patients` stay empty."
    ]


# ------------------------------------------------------------------------------ other sheets


def test_groups_must_agree_between_sheets(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        study_toml=in_study('clinical = "clinical.csv"'),
        samples_csv="file,patient_id,group\na,P1,healthy\n",
        clinical_csv="patient_id,group\nP1,patient\n",
    )
    assert found == [
        "samples.csv: row 2, group: found 'healthy', but the clinical sheet says 'patient' of "
        "patient 'P1'. Correct one of them."
    ]


def test_faults_of_the_clinical_sheet(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        study_toml=in_study('clinical = "clinical.csv"')
        + '[outcomes.o]\nevent_day = "infection_day"\nobserved_until = "followup"\n',
        clinical_csv="patient_id,age,infection_day,followup_days\nP1,old,never,\nP1,60,1,\n",
    )
    assert found == [
        "study.toml: outcomes.o.observed_until: found 'followup', which is no column of "
        'clinical.csv. Did you mean "followup_days"?',
        "clinical.csv: row 2, infection_day: found 'never'; wanted a number.",
        "clinical.csv: row 2, age: found 'old'; wanted a number.",
        "clinical.csv: rows 2, 3: have the same patient_id 'P1'; wanted one row per patient, or an "
        "episode_id of its own in each row, where they are admissions.",
    ]


def test_patients_without_onset_are_warned_of(tmp_path: Path) -> None:
    found = warnings_of(
        tmp_path,
        study_toml=in_study('clinical = "clinical.csv"'),
        clinical_csv="patient_id,shock_onset\nP1,2024-03-01\n",
    )
    assert found == [
        "clinical.csv: column shock_onset: is not known of 1 patients with samples, so their days "
        "cannot be counted: P2."
    ]


def test_faults_of_measurements_and_exposures(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        study_toml=in_study('measurements = "m.csv"', 'exposures = "e.csv"'),
        m_csv="patient_id,name,value,drawn_at\nP1,ferritin,<5,2024-03-01\nP1,ferritin,5,\n",
        e_csv="patient_id,drug,start,stop\nP1,,2024-03-02,2024-03-01\n",
    )
    assert found == [
        "m.csv: row 2, value: found '<5'; wanted a number.",
        "m.csv: row 3, drawn_at: is empty, as is timepoint; one of them is needed.",
        "e.csv: row 2, stop: lies before start. Check both.",
        "e.csv: row 2, drug: is empty; a value is needed.",
    ]


def test_measurements_without_a_value_are_left_out_and_reported(tmp_path: Path) -> None:
    study = load_study(
        write(
            tmp_path,
            study_toml=in_study('measurements = "m.csv"')
            + '[markers.m]\nkind = "measurement"\nmeasurement = "feritin"\n',
            m_csv="patient_id,name,value,timepoint\nP1,ferritin,,D1-2\nP1,ferritin,5,D1-2\n",
        )
    )
    assert [m.value for m in study.measurements] == [5]
    assert study.warnings == (
        "m.csv: row 2, value: is empty: the row was left out.",
        "study.toml: markers.m: m.csv has no value named 'feritin'. Did you mean \"ferritin\"? "
        "Names: ferritin.",
    )


def test_faults_of_overrides(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        study_toml=in_study('overrides = "o.csv"'),
        o_csv="target,action,who,when,why,bead_run\n"
        "fcs/A1,reject,AB,2024-03-01,dim,\n"
        "fcs/a,delete,,yesterday,dim,\n"
        "fcs/a,,AB,,,\n"
        "fcs/a,assign_beads,AB,2024-03-01,late,B7\n",
    )
    assert found == [
        "o.csv: row 2, target: found 'fcs/A1', which is no sample and no bead run. Did you mean "
        '"fcs/a"?',
        "o.csv: row 3, action: found 'delete'; wanted one of accept, reject, gate, assign_beads.",
        "o.csv: row 3, when: found 'yesterday'; wanted a date such as 2024-03-31 or "
        "2024-03-31 14:30.",
        "o.csv: row 3, who: is empty; a value is needed.",
        "o.csv: row 4, action: is empty; a value is needed.",
        "o.csv: row 4, when: is empty; a value is needed.",
        "o.csv: row 4, why: is empty; a value is needed.",
        "o.csv: row 5, bead_run: found 'B7'; assign_beads wants a run of the bead sheet: B1.",
    ]


def test_faults_of_given_gates(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        study_toml=in_study('overrides = "o.csv"'),
        o_csv="target,action,who,when,why,gate,region\n"
        'fcs/a,gate,AB,2024-03-01,dim,monocyts,"{""min"": [1], ""max"": [2]}"\n'
        'fcs/a,gate,AB,2024-03-01,dim,monocytes,"{""min"": [1]}"\n'
        "fcs/a,gate,AB,2024-03-01,dim,,\n"
        'B1,gate,AB,2024-03-01,dim,monocytes,"{""min"": [1], ""max"": [2]}"\n'
        "B1,assign_beads,AB,2024-03-01,late,,\n",
    )
    assert found[0] == (
        "o.csv: row 2, gate: found 'monocyts', which names 0 gates of the plan. Did you mean "
        '"monocytes"? Gates: root/cells, root/cells/monocytes.'
    )
    assert found[1].startswith("o.csv: row 3, region: found '{\"min\": [1]}': a region has")
    assert found[2:4] == [
        "o.csv: row 4, gate: is empty; the action gate wants a gate of the plan.",
        "o.csv: row 4, region: is empty; the action gate wants where it lies, as one JSON object.",
    ]
    assert "o.csv: row 5, target: found 'B1', a bead run; gate is of a sample." in found
    assert "o.csv: row 6, target: found 'B1', a bead run; assign_beads is of a sample." in found


def test_decisions_count_in_the_order_of_their_dates(tmp_path: Path) -> None:
    study = load_study(
        write(
            tmp_path,
            study_toml=in_study('overrides = "o.csv"'),
            o_csv="target,action,who,when,why\n"
            "fcs/a,accept,AB,2024-03-02 09:00,seen again\n"
            "fcs/a,reject,AB,2024-03-02,dim\n"
            "fcs/a,reject,CD,2024-03-01,dim\n",
        )
    )
    assert [(o.action, o.who) for o in study.overrides] == [
        ("reject", "CD"),
        ("reject", "AB"),
        ("accept", "AB"),
    ]


def test_an_unreadable_sheet_is_one_problem(tmp_path: Path) -> None:
    """What would follow from it (unknown runs, unknown targets) is not reported beside it."""
    folder = write(
        tmp_path,
        study_toml=in_study('overrides = "o.csv"'),
        samples_csv="file,patient_id,bead_run\na,P1,B1\n",
        o_csv="target,action,who,when,why\nB1,accept,AB,2024-03-01,fine\n",
    )
    (folder / "beads.csv").unlink()
    with pytest.raises(StudyError) as caught:
        load_study(folder)
    assert [str(p) for p in caught.value.problems] == [
        "beads.csv: there is no such file. Check the name in study.toml."
    ]


# ------------------------------------------------------------------------------ dates


def test_zones_may_not_be_mixed_without_a_study_zone(tmp_path: Path) -> None:
    samples = "file,patient_id,drawn_at\na,P1,2024-03-01 10:00+01:00\nb,P1,2024-03-01\n"
    unzoned = toml(('timezone = "Europe/Paris"\n', ""))
    assert refused(tmp_path / "1", study_toml=unzoned, samples_csv=samples) == [
        "study.toml: study.timezone: is not set, and times with an offset (samples.csv, row 2, "
        "drawn_at) stand beside times without (samples.csv, row 3, drawn_at). Set the zone of "
        "those without."
    ]
    study = load_study(write(tmp_path / "2", samples_csv=samples))
    assert study.samples[0].drawn_at == datetime(2024, 3, 1, 9, tzinfo=UTC)
    study = load_study(write(tmp_path / "3", study_toml=unzoned, samples_csv=SAMPLES))
    assert study.samples[0].drawn_at == datetime(2024, 3, 1, 10)


def test_hours_are_counted_across_a_change_of_clocks() -> None:
    clock = Clock(timezone="Europe/Paris")
    before, after = clock.read("2024-03-30 12:00").at, clock.read("2024-03-31 12:00").at
    assert after - before == timedelta(hours=23)
    assert after.date() - before.date() == timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "what"),
    [("2024-03-31 02:30", "is skipped on that day"), ("2024-10-27 02:30", "is twice on that day")],
)
def test_hours_that_the_clocks_skip_or_repeat_are_doubted(
    tmp_path: Path, text: str, what: str
) -> None:
    [warning] = warnings_of(tmp_path, samples_csv=f"file,patient_id,drawn_at\na,P1,{text}\n")
    assert warning.startswith(f"samples.csv: row 2, drawn_at: {text}:00 {what} (Europe/Paris)")


@pytest.mark.parametrize(
    ("layout", "text", "expected", "has_time"),
    [
        ("%d/%m/%Y", "03/04/2024", datetime(2024, 4, 3), False),
        ("dd/mm/yyyy", "03/04/2024 14:30", datetime(2024, 4, 3, 14, 30), True),
        ("DD.MM.YY hh:mm:ss", "03.04.24 14:30:05", datetime(2024, 4, 3, 14, 30, 5), True),
        ("%d/%m/%Y %H:%M", "03/04/2024 00:00", datetime(2024, 4, 3), True),
        ("%d/%m/%Y", "2024-04-03", datetime(2024, 4, 3), False),
        ("%Y/%m/%d", "2024-04-03 00:00:00", datetime(2024, 4, 3), True),
        (None, "2024-04-03T14:30:05.5", datetime(2024, 4, 3, 14, 30, 5, 500000), True),
        (None, "2024-04-03T14:30Z", datetime(2024, 4, 3, 14, 30, tzinfo=UTC), True),
    ],
)
def test_dates(layout: str | None, text: str, expected: datetime, has_time: bool) -> None:
    moment = Clock(layout).read(text)
    assert (moment.at, moment.has_time) == (expected, has_time)


@pytest.mark.parametrize(
    ("layout", "text", "message"),
    [
        ("%d/%m/%Y", "31/02/2024", 'as \\[study\\] date_format "%d/%m/%Y" says'),
        ("%Y-%d-%m", "2024-01-13", "date_format"),
        (None, "20240403", "wanted a date such as"),
        (None, "03/04/2024", "If days come first, set"),
        (None, "2024-W14", "wanted a date such as"),
        (None, "2024-04-03 25:00", "hour must be in"),
    ],
)
def test_dates_that_are_none(layout: str | None, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Clock(layout).read(text)


@pytest.mark.parametrize("zone", ["Paris", "Europe", "../x", ""])
def test_zones_that_are_none(zone: str) -> None:
    with pytest.raises(ValueError, match="wanted a time zone of the IANA list"):
        Clock(timezone=zone)


@pytest.mark.parametrize("layout", ["%d/%m", "%", "day", "mm/yyyy", "%H:%M"])
def test_formats_that_are_none(layout: str) -> None:
    with pytest.raises(ValueError, match="wanted day, month and year"):
        strptime_format(layout)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31)).map(
        lambda at: at.replace(microsecond=0)
    ),
    st.sampled_from(["%d/%m/%Y", "dd.mm.yyyy", "yyyy/mm/dd", "%m-%d-%Y"]),
)
def test_what_a_format_writes_it_reads(at: datetime, layout: str) -> None:
    text = at.strftime(strptime_format(layout) + " %H:%M:%S")
    assert Clock(layout).read(text).at == at


# ------------------------------------------------------------------------------ look-alikes


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("00123", "123"),
        ("P-007", "P-7"),
        ("p1", "P1"),
        ("P 1", "P1"),
        ("P1\u200b", "P1"),
        ("\u0420\u0410", "PA"),  # Cyrillic
        ("\u0391\u0392", "AB"),  # Greek
        ("Ｐ1", "P1"),  # full width
        ("P–1", "P-1"),
        ("e\u0301", "é"),
    ],
)
def test_near_twins(first: str, second: str) -> None:
    assert near_twins([first, "other", second, first]) == ((first, second),)


@pytest.mark.parametrize(("first", "second"), [("P1", "P10"), ("100", "10"), ("A1", "A2")])
def test_different_names_are_no_twins(first: str, second: str) -> None:
    assert near_twins([first, second]) == ()


def test_patients_are_compared_over_all_sheets(tmp_path: Path) -> None:
    found = warnings_of(
        tmp_path,
        study_toml=in_study('clinical = "clinical.csv"'),
        samples_csv="file,patient_id,drawn_at\na,00123,2024-03-01\n",
        clinical_csv="patient_id,shock_onset\n123,2024-03-01\n00123,2024-03-01\n",
    )
    assert found == [
        "sheets: column patient_id: '00123' (samples), '123' (clinical) look alike and are kept "
        "apart. Is it one patient_id?"
    ]


# ------------------------------------------------------------------------------ check_study


def test_check_lists_files_that_will_fail_and_refuses_nothing(tmp_path: Path) -> None:
    write(
        tmp_path,
        samples_csv="file,patient_id,drawn_at\nok.fcs,P1,2024-03-01\ngone.fcs,P1,2024-03-01\n"
        "bad.fcs,P1,2024-03-01\nnarrow.fcs,P1,2024-03-01\n",
        beads_csv="bead_run,file,lot,channel\nB1,ok.fcs,96597,\nB2,ok.fcs,96597,APC-A\n"
        "B3,narrow.fcs,96597,\n",
    )
    (tmp_path / "ok.fcs").write_bytes(fcs("FSC-A", "FITC-A", "PE-A", SPILLOVER="1,PE-A,1"))
    (tmp_path / "narrow.fcs").write_bytes(fcs("FSC-A", "CD14"))
    (tmp_path / "bad.fcs").write_bytes(b"garbage")
    load_study(tmp_path)
    problems = check_study(tmp_path)
    assert {problem.severity for problem in problems} == {"warning"}
    found = [str(problem) for problem in problems]
    assert found[0] == "gone.fcs: sample gone: no such file."
    assert found[1].startswith("bad.fcs: sample bad: ")
    assert found[2:] == [
        "narrow.fcs: sample narrow: the file has no channel for hladr (PE-A). It has: FSC-A, CD14.",
        "ok.fcs: bead run B2: the file has no channel for APC-A. It has: FSC-A, FITC-A, PE-A.",
        "narrow.fcs: bead run B3: the file has no channel for hladr (PE-A). It has: FSC-A, CD14.",
    ]


@pytest.mark.parametrize(
    ("compensation", "keywords", "message"),
    [
        ("file", {}, "the file carries no spillover matrix, so its values stay uncompensated."),
        ("file", {"SPILLOVER": "2,PE-A"}, "$SPILLOVER"),
        ("file", {"SPILLOVER": "1,APC-A,1"}, "not in the file: APC-A"),
        ("m.csv", {}, "not in the file: FITC-A"),
        ("none", {}, ""),
    ],
)
def test_check_compares_matrices_with_files(
    tmp_path: Path, compensation: str, keywords: dict[str, str], message: str
) -> None:
    write(
        tmp_path,
        study_toml=toml(('"file"', f'"{compensation}"'), ('beads = "beads.csv"\n', "")),
        samples_csv="file,patient_id,drawn_at\na.fcs,P1,2024-03-01\n",
        m_csv=MATRIX,
    )
    (tmp_path / "a.fcs").write_bytes(fcs("FSC-A", "CD14", "PE-A", **keywords))
    found = [str(p) for p in check_study(tmp_path) if p.file == "a.fcs"]
    assert len(found) == bool(message)
    assert not message or (found[0].startswith("a.fcs: sample a: ") and message in found[0])


def test_check_lists_errors_first_and_files_too(tmp_path: Path) -> None:
    write(tmp_path, study_toml=STUDY + "[market]\n", beads_csv="bead_run;file;lot\nB1;b;96597\n")
    problems = check_study(tmp_path)
    assert [p.severity for p in problems] == ["error"] + ["warning"] * 4
    assert problems[0].place == "market"
    assert {p.file for p in problems[1:]} == {"beads.csv", "fcs/a.fcs", "fcs/b.fcs", "b"}


def test_check_of_no_study_at_all(tmp_path: Path) -> None:
    [problem] = check_study(tmp_path / "nothing")
    assert (problem.file, problem.severity) == ("study.toml", "error")
