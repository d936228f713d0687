"""A patient as one document: PDF pages of A4, or a PNG as long as it has to be."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cytosepsis.report.drawing import GREY, new_figure, shortened
from cytosepsis.report.html import NOTHING, moment, number
from cytosepsis.report.patients import PatientRows, kind_of_group
from cytosepsis.report.pictures import Picture, draw_picture, read_picture
from cytosepsis.report.site import VERSION
from cytosepsis.report.source import Row, flags_of
from cytosepsis.report.trajectory import draw_trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SheetFormat = Literal["pdf", "png"]

_WIDTH, _HEIGHT = 8.27, 11.69  # inches: A4
_MARGIN = 0.6
_LINE = 0.165  # inches that a line of text takes
_COLUMNS = 3
_ROW = 2.35  # inches that a row of pictures takes
_DPI = 110
_LETTERS = 112  # in a line

# Draws its block with the top at so many inches from the page's foot.
Draw = Callable[["Figure", float, float], None]


@dataclass(frozen=True, slots=True)
class _Block:
    """Something that is not parted by the end of a page."""

    height: float  # inches
    draw: Draw


def patient_sheet(patient: PatientRows, study: str, form: SheetFormat) -> bytes:
    """The document of a patient."""
    blocks = _blocks(patient, study)
    if form == "png":
        height = sum(block.height for block in blocks) + 2 * _MARGIN
        return _png(_page(blocks, height))
    from matplotlib.backends.backend_pdf import PdfPages  # noqa: PLC0415

    file = io.BytesIO()
    metadata = {"Creator": f"cytosepsis {VERSION}", "CreationDate": None}
    with PdfPages(file, metadata=metadata) as pdf:
        pages = _pages(blocks)
        for place, page in enumerate(pages, 1):
            figure = _page(page, _HEIGHT)
            foot = f"{study} · {patient.patient_id} · page {place} of {len(pages)}"
            _text(figure, shortened(foot, _LETTERS), 0.35, size=7, colour=GREY)
            pdf.savefig(figure)
    return file.getvalue()


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()


def _pages(blocks: Sequence[_Block]) -> list[list[_Block]]:
    room = _HEIGHT - 2 * _MARGIN
    pages: list[list[_Block]] = [[]]
    left = room
    for block in blocks:
        if block.height > left and pages[-1]:
            pages.append([])
            left = room
        pages[-1].append(block)
        left -= block.height
    return pages


def _page(blocks: Sequence[_Block], height: float) -> Figure:
    figure = new_figure(_WIDTH, height)
    top = height - _MARGIN
    for block in blocks:
        block.draw(figure, top, height)
        top -= block.height
    return figure


def _blocks(patient: PatientRows, study: str) -> list[_Block]:
    title = f"{kind_of_group(patient.group)} {patient.patient_id}"
    blocks = [
        _words([title], size=14, weight="bold"),
        _words([f"{study} · cytosepsis {VERSION} · for research use only"], colour=GREY),
    ]
    trajectory = patient.trajectory
    if trajectory is not None:

        def draw(figure: Figure, top: float, height: float) -> None:
            box = (0.12, (top - 2.75) / height, 0.7, 2.35 / height)
            draw_trajectory(figure.add_axes(box), trajectory)

        blocks.append(_Block(3.35, draw))
    blocks += [_words([_visit(row)]) for row in patient.visits]
    for row in patient.samples:
        blocks += _sample(patient, row)
    return blocks


def _visit(row: Row) -> str:
    interval = f"({number(row['abc_low'])} to {number(row['abc_high'])})"
    change = "" if row["ratio"] is None else f", ratio {number(row['ratio'])}"
    day = "" if row["day"] is None else f", day {row['day']}"
    codes = f"; {row['flags'].replace(';', ', ')}" if row["flags"] else ""
    return (
        f"{row['timepoint'] or NOTHING}{day}: {number(row['abc'])} AB/C {interval}"
        f"{', band ' + row['band'] if row['band'] else ''}{change}; {row['status']}{codes}"
    )


def _sample(patient: PatientRows, row: Row) -> list[_Block]:
    name = row["sample_id"]
    abc = patient.abc.get(name)
    lines = [f"{row['file']}, drawn {moment(row['drawn_at'])}, {row['status']}"]
    if row["error_code"]:
        lines.append(f"failed: {row['error']} [{row['error_code']}]")
    if abc:
        lines.append(
            f"{number(abc['abc'])} AB/C from {abc['n_cells']:,} {abc['population']}, bead run "
            f"{abc['bead_run'] or NOTHING}"
        )
    lines += [f"{flag.severity} {flag.code}: {flag.meaning}" for flag in flags_of(row["flags"])]
    by_path = {count["path"]: count for count in patient.populations.get(name, ())}
    pictures = [read_picture(found, by_path) for found in patient.densities.get(name, ())]
    rows = [pictures[k : k + _COLUMNS] for k in range(0, len(pictures), _COLUMNS)]
    return [
        _words(["", name], size=10, weight="bold"),
        _words(lines),
        *(_row(pictures) for pictures in rows),
    ]


def _row(pictures: Sequence[Picture]) -> _Block:
    def draw(figure: Figure, top: float, height: float) -> None:
        width = (_WIDTH - 2 * _MARGIN) / _COLUMNS
        for place, picture in enumerate(pictures):
            left = _MARGIN + place * width + 0.5
            box = (left / _WIDTH, (top - 1.9) / height, (width - 0.62) / _WIDTH, 1.62 / height)
            draw_picture(figure.add_axes(box), picture)

    return _Block(_ROW, draw)


def _words(
    lines: Sequence[str], *, size: float = 8, weight: str = "normal", colour: str = "black"
) -> _Block:
    broken = [part for line in lines for part in _wrapped(line)]
    step = _LINE * max(1.0, size / 8)

    def draw(figure: Figure, top: float, height: float) -> None:
        for place, line in enumerate(broken):
            at = top - (place + 0.8) * step
            _text(figure, line, at, size=size, colour=colour, weight=weight, height=height)

    return _Block(step * len(broken), draw)


def _wrapped(line: str) -> list[str]:
    import textwrap  # noqa: PLC0415

    plain = "".join(c if c.isprintable() else "�" for c in line)
    return textwrap.wrap(plain, _LETTERS) or [""]


def _text(
    figure: Figure,
    words: str,
    at: float,
    *,
    size: float,
    colour: str,
    weight: str = "normal",
    height: float = _HEIGHT,
) -> None:
    figure.text(_MARGIN / _WIDTH, at / height, words, fontsize=size, color=colour, weight=weight)
