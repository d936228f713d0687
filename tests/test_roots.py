"""Folders of a study that lie elsewhere on another machine: found there, and never left."""

from __future__ import annotations

from pathlib import Path

import pytest

from cytosepsis.config import load_study
from cytosepsis.errors import StudyError
from cytosepsis.fcs_write import write_fcs
from cytosepsis.file_results import SampleFailure
from cytosepsis.performer import perform
from cytosepsis.roots import Root, RootsError, machine_table, missing_here, path_here
from cytosepsis.sample import analyze_sample
from cytosepsis.tasks import SampleTask, Work, is_settled, orders_of, works_of
from small_study import PLAN, in_study, write


def table(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "roots.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("CYTOSEPSIS_ROOTS", str(folder / "roots.toml"))


def test_a_path_is_carried_over_by_its_part_inside_the_folder(tmp_path: Path) -> None:
    there = tmp_path / "there" / "deep"
    there.mkdir(parents=True)
    roots = (Root("/srv/study", "/srv/study"), Root("fcs", "/srv/study/fcs"))
    moved = {"/srv/study": str(tmp_path / "there"), "fcs": str(there)}
    assert path_here("/srv/study/a.toml", roots, moved) == str(tmp_path / "there" / "a.toml")
    # The innermost folder is meant, and the file need not exist.
    assert path_here("/srv/study/fcs/é ü/a.fcs", roots, moved) == str(there / "é ü" / "a.fcs")
    assert path_here("/srv/study/fcs/a.fcs", roots, {}) == "/srv/study/fcs/a.fcs"
    assert missing_here(roots, moved) == ()
    assert missing_here(roots, {"fcs": str(there)}) == ("/srv/study",)


def test_what_leads_out_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "link").symlink_to(tmp_path / "secret")
    roots = (Root("r", "/srv/r"),)
    moved = {"r": str(root)}
    for path in ("/srv/r/link", "/srv/r/../../secret"):
        with pytest.raises(RootsError, match="leads out of the study's folders on this machine"):
            path_here(path, roots, moved)
    with pytest.raises(RootsError, match="in none of the study's folders"):
        path_here("/etc/passwd", roots, moved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[roots", "cannot be read"),
        ("[other]", r"wanted one section, \[roots\]"),
        ("roots = 3", r"wanted one section, \[roots\]"),
        ('[roots]\nfcs = "fcs"', "'fcs': found 'fcs'; wanted an absolute path"),
        ("[roots]\nfcs = 3", "'fcs': found 3; wanted an absolute path"),
    ],
)
def test_a_table_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    table(tmp_path, monkeypatch, text)
    with pytest.raises(RootsError, match=message):
        machine_table()
    with pytest.raises(StudyError, match=message):
        load_study(write(tmp_path / "study", study_toml=in_study('roots = ["fcs"]')))


def test_a_study_is_read_by_the_roots_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = in_study('roots = ["/srv/nowhere"]')
    with pytest.raises(StudyError, match="found '/srv/nowhere', which is no folder"):
        load_study(write(tmp_path / "study", study_toml=study))
    (tmp_path / "here" / "fcs").mkdir(parents=True)
    (tmp_path / "here" / "fcs" / "a.fcs").write_text("")
    table(tmp_path, monkeypatch, f"[roots]\n'/srv/nowhere' = '{tmp_path / 'here'}'")
    loaded = load_study(tmp_path / "study")
    assert loaded.samples[0].path == str(tmp_path / "here" / "fcs" / "a.fcs")
    assert loaded.roots == (Root("/srv/nowhere", str(tmp_path / "here")),)
    table(tmp_path, monkeypatch, "[roots]\n'/srv/nowhere' = '/srv/gone'")
    with pytest.raises(StudyError, match="here '/srv/gone', as CYTOSEPSIS_ROOTS says"):
        load_study(tmp_path / "study")


def real_work(folder: Path) -> tuple[Work, tuple[Root, ...]]:
    """A study of one file that can be measured."""
    write(folder, samples_csv="file,patient_id\nfcs/a.fcs,P1\n", beads_csv="bead_run,file,lot\n")
    (folder / "fcs").mkdir(exist_ok=True)
    events = [[2000.0, 500.0, 300.0], [3000.0, 600.0, 200.0]]
    write_fcs(folder / "fcs" / "a.fcs", events, pnn=("FSC-A", "FITC-A", "PE-A"))
    study = load_study(folder)
    return works_of(study)[0], study.folders


def test_an_order_is_performed_where_the_study_lies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, folders = real_work(tmp_path / "study")
    here = perform(orders_of([work], digest=True)[0])
    (tmp_path / "study").rename(tmp_path / "moved")
    (order,) = orders_of([work], digest=True, roots=folders)
    gone = perform(order)
    assert isinstance(gone, SampleFailure)
    table(tmp_path, monkeypatch, f"[roots]\n'{folders[0].name}' = '{tmp_path / 'moved'}'")
    assert perform(order) == here
    assert not isinstance(here, SampleFailure)
    # A file that is a link out of the folder over there costs its row, and is tried again later.
    fcs = tmp_path / "moved" / "fcs" / "a.fcs"
    fcs.rename(tmp_path / "outside.fcs")
    fcs.symlink_to(tmp_path / "outside.fcs")
    outside = perform(order)
    assert isinstance(outside, SampleFailure)
    assert (outside.code, is_settled(outside)) == ("roots", False)


def test_a_plan_edited_after_the_run_began_costs_rows_and_no_wrong_numbers(tmp_path: Path) -> None:
    work, _ = real_work(tmp_path / "study")
    (order,) = orders_of([work], digest=False)
    assert isinstance(order.task, SampleTask)
    plan = tmp_path / "study" / "assays" / "plan.toml"
    plan.write_text(PLAN.replace("min = 100 ", "min = 550 "))
    edited = perform(order)
    assert isinstance(edited, SampleFailure)
    assert (edited.code, is_settled(edited)) == ("study_changed", False)
    assert "edited" in edited.message
    plan.write_text(PLAN)
    assert not isinstance(perform(order), SampleFailure)


def test_a_file_that_changes_while_it_is_read_gives_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, _ = real_work(tmp_path / "study")
    (order,) = orders_of([work], digest=False)
    file = Path(work.path)

    def copied_meanwhile(*args: object, **options: object) -> object:
        outcome = analyze_sample(*args, **options)  # type: ignore[arg-type]
        with file.open("ab") as end:
            end.write(b"more")
        return outcome

    monkeypatch.setattr("cytosepsis.performer.analyze_sample", copied_meanwhile)
    growing = perform(order)
    assert isinstance(growing, SampleFailure)
    assert (growing.code, is_settled(growing)) == ("changed_while_read", False)
