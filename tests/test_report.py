"""Reports: what pages say, names of pages, axes, hostile studies, documents of patients."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cytosepsis as cs
from cytosepsis.errors import CytosepsisError
from cytosepsis.report.build import Report, write_report
from cytosepsis.report.html import Grid, Head
from cytosepsis.report.names import page_names
from cytosepsis.report.pictures import DrawnGate, Picture, outline, percent
from cytosepsis.report.scales import PlotAxis, axis_of, ticks_of
from cytosepsis.transform_values import apply
from cytosepsis.transforms import Biex, Linear, Log, Logicle
from report_study import HOSTILE_IDS, SCRIPT

# ------------------------------------------------------------------------------- names of pages


@given(st.lists(st.text(max_size=60), max_size=20))
def test_every_id_has_a_page_of_its_own_on_every_file_system(ids: list[str]) -> None:
    names = page_names(ids)
    assert set(names) == set(ids)
    assert len({name.lower() for name in names.values()}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", name) for name in names.values())


def test_plain_ids_keep_their_names_and_others_are_recognised() -> None:
    names = page_names(["P001", "p002", "P002", "../x", "a/b", "CON", "com1", "日本", "é t"])
    assert names["P001"] == "P001"
    assert {names["p002"], names["P002"]}.isdisjoint({"p002", "P002"})
    assert [name.rpartition("--")[0] for name in list(names.values())[3:]] == [
        "x",
        "a-b",
        "CON",
        "com1",
        "id",
        "e-t",
    ]


# ----------------------------------------------------------------------------------------- axes


def axis(transform: object, low: float = 0.0, high: float = 1.0) -> PlotAxis:
    return PlotAxis("x", "any", transform, low, high, 128)  # type: ignore[arg-type]


def test_a_logicle_axis_has_decades_zero_and_negative_values() -> None:
    marks = ticks_of(axis(Logicle(262_144.0, 1.0, 4.5)))
    found = dict(zip(marks.labels, marks.places, strict=True))
    assert list(found) == ["0", "10⁵", "10⁴", "10³", "−10³"]
    for label, value in (("0", 0.0), ("10⁴", 1e4), ("−10³", -1e3)):
        assert found[label] == apply(Logicle(262_144.0, 1.0, 4.5), np.array([value]))[0]
    assert all(0 <= place <= 1 for place in marks.minor)


@pytest.mark.parametrize(
    "transform", [Logicle(262_144.0, 0.5, 4.5), Log(1e4, 4.0), Logicle(1e7, 1.5, 6.0, 1.0)]
)
def test_labels_do_not_touch(transform: Logicle | Log) -> None:
    places = sorted(ticks_of(axis(transform)).places)
    assert len(places) >= 4
    assert min(np.diff(places)) >= 0.07


def test_flowjos_scale_is_marked_on_its_own_length() -> None:
    marks = ticks_of(axis(Biex(), 0.0, 4096.0))
    assert {"0", "10³", "10⁴", "10⁵"} <= set(marks.labels)
    assert "10⁹" not in marks.labels  # beyond its end, where FlowJo shows it
    assert max(marks.places) > 1000


def test_an_axis_of_few_decades_is_marked_between_them() -> None:
    marks = ticks_of(PlotAxis("x", "log10", None, 3.6, 5.1, 128))
    assert marks.labels == ("5K", "10K", "20K", "50K", "100K")
    many = ticks_of(PlotAxis("x", "log10", None, 1.0, 5.1, 128))
    assert many.labels == ("10¹", "10²", "10³", "10⁴", "10⁵")


def test_a_linear_axis_is_marked_in_thousands() -> None:
    assert ticks_of(axis(None, 0.0, 262_144.0)).labels == ("0", "100K", "200K")
    assert ticks_of(axis(None, -1024.0, 4096.0)).labels == ("0", "2K", "4K")
    assert ticks_of(axis(None, 0.0, 4e6)).labels == ("0", "1M", "2M", "3M", "4M")
    marks = ticks_of(axis(Linear(1000.0, 500.0)))
    assert dict(zip(marks.labels, marks.places, strict=True))["500"] == pytest.approx(2 / 3)


def test_a_value_is_placed_on_its_axis_or_nowhere() -> None:
    assert axis(None, 0.0, 10.0).place(4.0) == 4.0
    assert axis(None, 0.0, 10.0).place(11.0) is None
    assert axis(Log(1e4, 4.0)).place(-3.0) is None
    assert PlotAxis("x", "log10", None, 0.0, 5.0, 10).place(1000.0) == pytest.approx(3.0)


def test_an_axis_says_role_detector_compensation_and_divisor() -> None:
    row = {
        "x_channel": "cd14",
        "x_detector": "APC-A",
        "x_divisor": "FSC-A",
        "x_compensated": True,
        "x_scale": "biex",
        "x_parameters": json.dumps({"positive": 4.4, "max_range": 262_144.0, "length": 4096.0}),
        "x_first_edge": 0.0,
        "x_last_edge": 4096.0,
        "x_bins": 128,
        "y_bins": None,
    }
    found = axis_of(row, "x")
    assert found is not None
    assert found.label == "cd14 · Comp-APC-A / FSC-A"
    assert found.transform == Biex(positive=4.4, max_range=262_144.0)
    assert axis_of(row, "y") is None


# --------------------------------------------------------------------------------------- gates


def drawn(form: str, *numbers: float | None) -> list[tuple[float, float]]:
    plot = axis(None, 0.0, 10.0)
    picture = Picture("root", 5, 5, plot, plot, np.zeros((128, 128), dtype=np.int64), ())
    return outline(DrawnGate("g", "root/g", form, numbers, False, 3, 0.6), picture)


def test_open_sides_of_a_gate_end_at_the_picture() -> None:
    assert drawn("rectangle", 2.0, None, None, 5.0) == [(2, 0), (10, 0), (10, 5), (2, 5)]


def test_an_ellipse_is_drawn_where_its_equation_holds() -> None:
    mean, covariance, square = np.array([3.0, 4.0]), np.array([[2.0, 0.5], [0.5, 1.0]]), 2.5
    corners = np.array(drawn("ellipse", 3.0, 4.0, 2.0, 0.5, 1.0, 2.5)) - mean
    distances = np.einsum("ni,ij,nj->n", corners, np.linalg.inv(covariance), corners)
    assert distances == pytest.approx(np.full(len(corners), square))
    assert drawn("ellipse", 3.0, 4.0, 1.0, 2.0, 1.0, 2.5) == []  # no covariance at all


def test_a_share_that_is_not_all_is_never_written_as_all() -> None:
    shares = (0.0, 1.0, 0.99999, 0.0834, 0.5)
    words = [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in shares]
    assert words == ["0 %", "100 %", ">99.9 %", "8.34 %", "50 %"]


# ---------------------------------------------------------------------------------- whole pages


@dataclass
class Made:
    report: Report
    results: Path

    def text(self, address: str) -> str:
        return (self.report.folder / address).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(plain_results: Path) -> Made:
    return Made(write_report(plain_results, export="pdf"), plain_results)


class Links(HTMLParser):
    """Addresses, ids and alternative texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.scripts: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes += list(found)
        self.addresses += [found[name] or "" for name in ("href", "src") if name in found]
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "img":
            self.images.append(found)
        if tag == "script":
            self.scripts.append(found)


def pages_of(folder: Path) -> Iterator[tuple[Path, Links]]:
    for path in sorted(folder.rglob("*.html")):
        yield path, Links(path.read_text(encoding="utf-8"))


def grid_rows(text: str) -> list[list[object]]:
    data = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    rows: list[list[object]] = json.loads(data[0])["rows"]
    return rows


def test_every_link_leads_somewhere_and_nothing_lies_elsewhere(made: Made) -> None:
    ids = {path: set(links.ids) for path, links in pages_of(made.report.folder)}
    for path, links in pages_of(made.report.folder):
        for address in links.addresses:
            if address.startswith("data:"):
                continue
            target, _, anchor = address.partition("#")
            place = (path.parent / target).resolve() if target else path
            assert place.is_file(), (path.name, address)
            if anchor and place.suffix == ".html":
                assert anchor.partition("?")[0] in ids[place], (path.name, address)
    for row in grid_rows(made.text("index.html")):
        page, _, anchor = str(row[0][1]).partition("#")  # type: ignore[index]
        assert anchor in ids[(made.report.folder / page).resolve()]


def test_the_overview_has_every_sample_and_what_needs_a_human(made: Made) -> None:
    results = cs.open_results(made.results)
    samples = results.table("samples")
    text = made.text("index.html")
    assert [row[0][0] for row in grid_rows(text)] == samples["sample_id"].to_list()  # type: ignore[index]
    for sample in samples.filter(samples["error_code"].is_not_null()).iter_rows(named=True):
        assert html.escape(sample["error"]) in text
    for code in {c for cell in samples["flags"] for c in (cell or "").split(";") if c}:
        assert f'href="index.html#samples?Flags={code}"' in text
        assert html.escape(cs.FLAGS[code].meaning) in text


def test_a_patients_page_has_values_pictures_and_words_for_them(made: Made) -> None:
    results = cs.open_results(made.results)
    row = (
        results.table("patients")
        .filter(results.table("patients")["abc"].is_not_null())
        .row(0, named=True)
    )
    text = made.text(f"patients/{row['patient_id']}.html")
    links = Links(text)
    assert f"{row['abc']:,.0f}" in text
    pictures = [image for image in links.images if (image.get("src") or "").startswith("data:")]
    assert len(pictures) >= 4
    assert all(len(image["alt"] or "") > 20 for image in pictures)
    assert "monocytes" in " ".join(image["alt"] or "" for image in pictures)
    svg = base64.b64decode((pictures[1]["src"] or "").partition(",")[2]).decode()
    assert "FSC-A" in svg  # text stays text


def test_a_failed_file_has_its_reason_on_its_patients_page(made: Made) -> None:
    samples = cs.open_results(made.results).table("samples")
    row = samples.filter(samples["error_code"].is_not_null()).row(0, named=True)
    assert html.escape(row["error"]) in made.text(f"patients/{row['patient_id']}.html")


def test_no_page_is_large(made: Made) -> None:
    assert made.report.n_bytes_largest < 2_000_000


def test_pages_carry_a_policy_and_one_script(made: Made) -> None:
    for path, links in pages_of(made.report.folder):
        text = path.read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        programs = [s for s in links.scripts if s.get("type") != "application/json"]
        assert len(programs) == 1 or path.name == "courses.html"  # and Bokeh's there
        assert "unsafe-inline" not in text.partition("script-src")[2].partition(";")[0]
        assert not any(name.startswith("on") for name in links.attributes)


def test_the_same_results_give_the_same_report(made: Made, tmp_path: Path) -> None:
    again = write_report(made.results, tmp_path / "again", patients=["P001"], workers=2)
    for address in ("index.html", "patients/P001.html", "beads.html", "provenance.html"):
        ours = made.text(address).replace('<p><a href="P001.pdf">This patient as PDF</a></p>', "")
        assert (again.folder / address).read_text(encoding="utf-8") == ours, address


def test_documents_of_patients(made: Made, tmp_path: Path) -> None:
    documents = list(made.report.folder.glob("patients/*.pdf"))
    assert len(documents) == len(list(made.report.folder.glob("patients/*.html")))
    assert all(d.read_bytes().startswith(b"%PDF-") for d in documents)
    one = write_report(made.results, tmp_path / "one", patients=["P001"], export="png")
    assert [path.name for path in (one.folder / "patients").iterdir() if path.suffix == ".png"] == [
        "P001.png"
    ]
    assert (one.folder / "patients" / "P001.png").read_bytes().startswith(b"\x89PNG")
    assert "P001.png" in (one.folder / "patients" / "P001.html").read_text()


def test_a_folder_of_something_else_is_never_replaced(made: Made, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("x")
    with pytest.raises(CytosepsisError, match="not empty and not a report"):
        write_report(made.results, tmp_path / "letters")
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]


def test_wrong_arguments_are_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(CytosepsisError, match="no patient nobody"):
        write_report(made.results, tmp_path / "out", patients=["nobody"])
    with pytest.raises(CytosepsisError, match="'pdf' or 'png' is meant"):
        write_report(made.results, tmp_path / "out", export="gif")  # type: ignore[arg-type]


def test_without_plots_the_report_says_so(made: Made, tmp_path: Path) -> None:
    study = cs.load_study(made.results.parent / "study")
    cs.run_study(study, tmp_path / "results", plots=False)
    report = write_report(tmp_path / "results")
    assert "made with --no-plots" in (report.folder / "patients" / "P001.html").read_text()


def test_a_run_does_not_mind_a_report_in_its_folder(made: Made) -> None:
    study = cs.load_study(made.results.parent / "study")
    assert cs.run_study(study, made.results).run.n_computed <= 1  # the missing file again
    assert made.report.index.exists()


# ------------------------------------------------------------------------------- hostile studies


def test_cells_cannot_end_the_element_they_lie_in() -> None:
    grid = Grid("g", "c", [Head("x")], [["</script><script>alert(1)</script><!--", float("nan")]])
    assert "<" not in grid.data
    assert json.loads(grid.data)["rows"] == [["</script><script>alert(1)</script><!--", None]]


def test_a_hostile_study_breaks_nothing(hostile_results: Path) -> None:
    report = write_report(hostile_results, export="pdf")
    names = {path.relative_to(report.folder).as_posix() for path in report.folder.rglob("*")}
    assert all(re.fullmatch(r"[A-Za-z0-9_./-]+", name) for name in names)
    assert len(list(report.folder.glob("patients/*.html"))) == len(HOSTILE_IDS)
    for _, links in pages_of(report.folder):
        allowed = ("data:image/", "data:,", "#", "../", "patients/", "beads/", "index.html")
        pages = {path.name for path in report.folder.glob("*.html")}
        for address in links.addresses:
            plain = address.partition("#")[0]
            assert address.startswith(allowed) or plain in pages or "/" not in plain, address
            assert not address.lower().startswith("javascript:")
        assert "iframe" not in links.tags
        assert (
            links.tags.count("script")
            - sum(s.get("type") == "application/json" for s in links.scripts)
            == 1
        )
        assert not any(name.startswith("on") for name in links.attributes)
        for image in links.images:
            source = image.get("src") or ""
            if source.startswith("data:image/svg"):
                svg = base64.b64decode(source.partition(",")[2]).decode()
                assert "<script" not in svg
    assert SCRIPT not in (report.folder / "index.html").read_text(encoding="utf-8")
