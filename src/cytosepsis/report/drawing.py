"""How figures look, and a figure as an image that lies in its page.

Colours are Okabe and Ito's, densities are viridis: both are told apart by colour-blind readers and
in grey. Text of figures is never taken for formulas, whatever dollar signs a channel name has.
"""
# ruff: noqa: PLC0415 - matplotlib is slow to import and an extra: imported where a figure is made

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cytosepsis.errors import CytosepsisError
from cytosepsis.report.scales import PlotAxis, ticks_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, Color Universal Design.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, PALE = "#5f6368", "#e8eaed"
STATUS_COLOURS = {"ok": BLUE, "flagged": VERMILLION, "failed": GREY}

_STYLE: dict[str, Any] = {
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "svg.fonttype": "none",  # text stays text: searched, copied, sharp in print
    "svg.hashsalt": "cytosepsis",  # the same figure gives the same bytes
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.0,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "axes.titlesize": 8.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Figures made inside look like ours, whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()
        for name, value in _STYLE.items():
            mpl.rcParams[name] = value  # type: ignore[index]
        yield


def require_extra() -> None:
    """Raise where the libraries that reports need are not installed."""
    try:
        import jinja2  # noqa: F401
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise CytosepsisError(
            f"a report needs {error.name}, which is not installed: "
            "pip install 'cytosepsis[report]'",
            code="extra_missing",
        ) from error


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, which belongs to nobody but the caller."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def svg_uri(figure: Figure) -> str:
    """A figure as the address of an image that lies in the page itself."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()


def dress(axes: Axes, x: PlotAxis, y: PlotAxis | None) -> None:
    """Limits, marks and names of a picture's axes."""
    marks = ticks_of(x)
    axes.set_xlim(*x.edges)
    axes.set_xticks(marks.places, marks.labels)
    _small_marks(axes, marks.minor, horizontal=True)
    axes.set_xlabel(shortened(x.label, 34))
    # Where a label stands is said, not searched for: that takes longer than all the rest.
    axes.xaxis.set_label_coords(0.5, -0.26 / axes_size(axes)[1])
    if y is not None:
        marks = ticks_of(y)
        axes.set_ylim(*y.edges)
        axes.set_yticks(marks.places, marks.labels)
        _small_marks(axes, marks.minor, horizontal=False)
        axes.set_ylabel(shortened(y.label, 30))
        axes.yaxis.set_label_coords(-0.42 / axes_size(axes)[0], 0.5)


def axes_size(axes: Axes) -> tuple[float, float]:
    """Width and height of axes in inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches()
    box = axes.get_position()
    return float(box.width * width), float(box.height * height)


def _small_marks(axes: Axes, places: tuple[float, ...], *, horizontal: bool) -> None:
    """Minor ticks as one line of markers: matplotlib's own cost as much as everything else."""
    zeros = (0.0,) * len(places)
    axes.plot(
        places if horizontal else zeros,
        zeros if horizontal else places,
        linestyle="none",
        marker=3 if horizontal else 0,  # down, left
        markersize=2,
        markeredgewidth=0.5,
        color="black",
        clip_on=False,
        transform=axes.get_xaxis_transform() if horizontal else axes.get_yaxis_transform(),
        scalex=False,
        scaley=False,
    )


def shortened(text: str, n: int) -> str:
    """A name that fits into a figure: one line, printable, at most n characters."""
    line = "".join(c if c.isprintable() else "�" for c in text)
    return line if len(line) <= n else line[: n - 1] + "…"
