"""The report in a real browser: no request, no complaint; filters, sorting, links, zoom, print."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import CHROMIUM, Browser
from cytosepsis.report.build import Report, write_report

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="the browser is driven through POSIX pipes"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def report(plain_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return write_report(plain_results, tmp_path_factory.mktemp("report") / "plain")


def rows(browser: Browser, column: int = 0) -> list[str]:
    """Texts of one column of the first table that is shown."""
    found: list[str] = browser.run(
        "[...document.querySelectorAll('section.grid tbody tr')]"
        f".map(row => row.children[{column}].textContent)"
    )
    return found


def choose(browser: Browser, label: str, value: str) -> None:
    browser.run(
        "(() => { const label = [...document.querySelectorAll('.controls label')]"
        f".find(l => l.textContent.startsWith({label!r}));"
        f"const field = label.querySelector('select, input'); field.value = {value!r};"
        "field.dispatchEvent(new Event(field.matches('select') ? 'change' : 'input')); })()"
    )


def test_every_page_opens_from_a_file_and_asks_nobody(browser: Browser, report: Report) -> None:
    pages = sorted(report.folder.rglob("*.html"))
    assert len(pages) > 8
    for page in pages:
        browser.open(page.as_uri())
        assert browser.requests() == [page.as_uri()]
        assert browser.complaints() == []
        unseen = browser.run(
            "Promise.all([...document.images].filter(i => i.src).map(i =>"
            " (i.loading = 'eager', i.decode().then(() => 0, () => 1))))"
            ".then(found => found.reduce((a, b) => a + b, 0))"
        )
        assert unseen == 0, page.name


def test_tables_are_sorted_and_filtered(browser: Browser, report: Report) -> None:
    browser.open(report.index.as_uri())
    every = rows(browser)
    assert len(every) > 5
    head = "document.querySelectorAll('section.grid th button')[7]"
    browser.run(f"{head}.click()")
    rising = [float(text.replace(",", "")) for text in rows(browser, 7) if text != "–"]
    assert rising == sorted(rising)
    assert rows(browser, 7)[-1] == "–"  # what has no value comes last
    browser.run(f"{head}.click()")
    falling = [float(text.replace(",", "")) for text in rows(browser, 7) if text != "–"]
    assert falling == rising[::-1]
    assert rows(browser, 7)[-1] == "–"
    sort = browser.run(f"{head}.closest('th').getAttribute('aria-sort')")
    assert sort == "descending"
    choose(browser, "Status", "failed")
    assert set(rows(browser, 10)) == {"failed"}
    choose(browser, "Status", "")
    choose(browser, "Timepoint", "D1-2")
    assert set(rows(browser, 2)) == {"D1-2"}
    choose(browser, "Sample or patient", "P002")
    assert {text[:4] for text in rows(browser)} == {"P002"}
    browser.run("document.querySelector('.clear').click()")
    assert sorted(rows(browser)) == sorted(every)


def test_a_flag_leads_to_its_samples(browser: Browser, report: Report) -> None:
    browser.open(report.index.as_uri())
    link = "document.querySelector('a[href*=\"Flags=\"]')"
    code = browser.run(f"{link}.textContent")
    browser.run(f"{link}.click()")
    browser.wait_for("document.querySelector('section.grid .state').textContent.includes(' of ')")
    assert all(code in text for text in rows(browser, 11))


def test_links_lead_to_the_sample_and_back(browser: Browser, report: Report) -> None:
    browser.open(report.index.as_uri())
    sample = rows(browser)[1]
    browser.run("document.querySelectorAll('section.grid tbody a')[3].click()")
    browser.wait_for("location.pathname.includes('/patients/')")
    browser.wait_for("document.readyState === 'complete'")
    assert sample in browser.run("document.querySelector(location.hash + ' h3').textContent")
    browser.run("document.querySelector('nav a').click()")
    browser.wait_for("location.pathname.endsWith('/index.html')")


def test_everything_is_reached_by_keys_and_pictures_are_enlarged(
    browser: Browser, report: Report
) -> None:
    page = report.folder / "patients" / "P001.html"
    browser.open(page.as_uri())
    browser.press("Tab", 9)
    assert browser.run("document.activeElement.className") == "skip"
    for _ in range(30):
        if browser.run("document.activeElement.className") == "enlarge":
            break
        browser.press("Tab", 9)
    browser.press("Enter", 13)
    browser.wait_for("document.getElementById('enlarged').open")
    width = "document.querySelector('#enlarged img').getBoundingClientRect().width"
    before = browser.run(width)
    browser.run("document.querySelector('[data-zoom=in]').click()")
    assert browser.run(width) == pytest.approx(1.5 * before, rel=0.01)
    assert browser.run("document.querySelector('#enlarged img').alt.length") > 20
    browser.press("Escape", 27)
    browser.wait_for("!document.getElementById('enlarged').open")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_runs_out_of_a_page(browser: Browser, report: Report, width: int) -> None:
    browser.size(width)
    pages = ["index.html", "patients.html", "beads.html", "provenance.html", "patients/P001.html"]
    for page in pages:
        browser.open((report.folder / page).as_uri())
        assert browser.run("document.documentElement.scrollWidth") <= width, page


def test_pages_print(browser: Browser, report: Report) -> None:
    browser.open((report.folder / "patients" / "P001.html").as_uri())
    assert browser.pdf().startswith(b"%PDF-")


def test_nothing_of_a_hostile_study_runs(
    browser: Browser, hostile_results: Path, tmp_path: Path
) -> None:
    report = write_report(hostile_results, tmp_path / "report")
    for page in sorted(report.folder.rglob("*.html")):
        browser.open(page.as_uri())
        assert browser.run("document.readyState") == "complete"
        assert browser.requests() == [page.as_uri()]
        assert browser.complaints() == []
        assert browser.dialogs() == 0
        own = browser.run("document.querySelectorAll('main script:not([type])').length")
        assert own == 0
    browser.open(report.index.as_uri())
    assert any("alert('owned')" in text for text in rows(browser, 1))
    assert (
        browser.run("document.querySelectorAll('section.grid img, section.grid svg').length") == 0
    )
    browser.run("document.querySelectorAll('section.grid tbody a')[0].click()")
    browser.wait_for("location.pathname.includes('/patients/')")
