"""Labelled spillover matrices: from a file's keyword, from CSV; checked, and inverted once."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import CompensationError

# Keywords that carry a matrix, the first that is present and not empty wins. $SPILLOVER is FCS 3.1;
# the others are what instruments wrote before (FACSDiva: SPILL). $COMP and $DFCiTOj of FCS 3.0 and
# 2.0 are not read: they carry no names, and vendors did not agree on their direction.
SPILLOVER_KEYWORDS = ("$SPILLOVER", "SPILLOVER", "$SPILL", "SPILL")

# FCS values carry about seven digits (float32); beyond this condition number at most one of them
# would survive the inversion, and a compensated value would be noise.
MAX_CONDITION_NUMBER = 1e6


@dataclass(frozen=True, slots=True)
class Spillover:
    """S[fluorochrome, detector]: how much of each fluorochrome's light each detector sees.

    `detectors` label the columns ($PnN), `fluorochromes` the rows; `matrix` is row-major. A square
    matrix has its i-th fluorochrome's own detector at i. More detectors than fluorochromes
    (spectral) are unmixed by least squares; fewer are refused.

    Raises
    ------
    CompensationError
        Labels missing, empty or repeated; shape and labels disagree; a value that is not finite;
        a square matrix with a diagonal that is not positive.
    """

    detectors: tuple[str, ...]
    fluorochromes: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    source: str = ""

    def __post_init__(self) -> None:
        for fault in _faults_of(self):
            raise CompensationError(f"spillover matrix{_of(self.source)}: {fault}")

    @property
    def is_square(self) -> bool:
        """As many detectors as fluorochromes: compensation in the classical sense."""
        return len(self.detectors) == len(self.fluorochromes)

    @property
    def is_identity(self) -> bool:
        """Compensating would change nothing: instruments write this where nothing was set up."""
        return self.is_square and bool(np.array_equal(self.array(), np.eye(len(self.detectors))))

    @property
    def condition_number(self) -> float:
        """Ratio of the largest to the smallest singular value; 1.0 of an identity."""
        return float(np.linalg.cond(self.array()))

    def array(self) -> NDArray[np.float64]:
        """Return the matrix, float64 (n_fluorochromes, n_detectors)."""
        return np.array(self.matrix, dtype=np.float64)


def unmixing(spillover: Spillover) -> NDArray[np.float64]:
    """Weights, float64 (n_detectors, n_fluorochromes): compensated = events @ weights.

    The inverse of a square matrix; else its pseudo-inverse, i.e. ordinary least squares. NaN in an
    event makes every compensated value of that event NaN.

    Raises
    ------
    CompensationError
        Singular, or so nearly (`MAX_CONDITION_NUMBER`) that the result would be noise.
    """
    matrix = spillover.array()
    condition = float(np.linalg.cond(matrix))
    if not condition <= MAX_CONDITION_NUMBER:
        raise CompensationError(
            f"spillover matrix{_of(spillover.source)} cannot be inverted: condition number "
            f"{condition:.3g}, at most {MAX_CONDITION_NUMBER:.0e} is accepted. Two of "
            f"{_listed(spillover.fluorochromes)} look alike to the detectors; check the controls."
        )
    weights = np.linalg.inv(matrix) if spillover.is_square else np.linalg.pinv(matrix)
    return np.asarray(weights, dtype=np.float64)


def match_detectors(spillover: Spillover, pnn: Sequence[str]) -> tuple[int, ...]:
    """Index in `pnn` of each detector of the matrix: all of them, each exactly once.

    Raises
    ------
    CompensationError
        A detector is not among the file's parameters, or is there more than once. A matrix is
        never silently reduced to the detectors that happen to be there.
    """
    missing = [name for name in spillover.detectors if pnn.count(name) == 0]
    doubled = [name for name in spillover.detectors if pnn.count(name) > 1]
    if missing or doubled:
        found = [f"not in the file: {_listed(missing)}"] if missing else []
        found += [f"more than once in the file: {_listed(doubled)}"] if doubled else []
        raise CompensationError(
            f"spillover matrix{_of(spillover.source)} does not fit the file's detectors: "
            f"{'; '.join(found)}. The file's $PnN are {_listed(pnn)}. Give the matrix of this "
            "panel, or correct its header."
        )
    return tuple(pnn.index(name) for name in spillover.detectors)


def spillover_of(keywords: Mapping[str, str]) -> Spillover | None:
    """Read the matrix that a file carries; None where it carries none.

    `$SPILLOVER`, `SPILLOVER`, `$SPILL`, `SPILL`, in this order, in any case; one that is blank or
    says it has no parameter (`0`) is passed over.

    Raises
    ------
    CompensationError
        A matrix is there but cannot be read.
    """
    upper = {key.upper(): value for key, value in keywords.items()}
    for keyword in SPILLOVER_KEYWORDS:
        text = upper.get(keyword, "").strip()
        if text and text.split(",")[0].strip() != "0":
            return spillover_from_keyword(text, keyword, pnn=_pnn_of(upper))
    return None


def spillover_from_keyword(text: str, source: str, *, pnn: Sequence[str] = ()) -> Spillover:
    """Matrix from the text `n,name1,..,namen,s11,s12,..,snn` of `$SPILLOVER` (FCS 3.1, 3.2.5).

    Blanks around commas and a comma at the end are tolerated. Where the names are parameter
    numbers (old files) and `pnn` is given, they are replaced by the names of those parameters.

    Raises
    ------
    CompensationError
        The count does not agree with the names and values found, or a value is not a number.
    """
    return _parsed(text, source, tuple(pnn))


@lru_cache(maxsize=64)
def _parsed(text: str, source: str, pnn: tuple[str, ...]) -> Spillover:
    """The matrix of a text; kept, as the files of a panel often carry the same."""
    tokens = [token.strip() for token in text.split(",")]
    while tokens and not tokens[-1]:
        tokens.pop()
    if not tokens or not tokens[0].isdecimal() or int(tokens[0]) == 0:
        found = tokens[0] if tokens else ""
        raise CompensationError(f"{source}: a count of parameters was expected, found {found!r}.")
    n = int(tokens[0])
    if len(tokens) != 1 + n + n * n:
        raise CompensationError(
            f"{source}: {n} parameters need {n} names and {n * n} values, {n + n * n} entries in "
            f"all; found {len(tokens) - 1}. The keyword is cut off, or a name contains a comma."
        )
    names = _by_number(tokens[1 : n + 1], pnn)
    values = [_number(token, source) for token in tokens[n + 1 :]]
    rows = tuple(tuple(values[i * n : (i + 1) * n]) for i in range(n))
    return Spillover(names, names, rows, source)


def read_spillover_csv(path: str | Path) -> Spillover:
    """Matrix from a table: a header row of detectors ($PnN), then one row per fluorochrome.

    The separator (comma, semicolon, tab), a byte-order mark and, with the latter two separators, a
    decimal comma are detected. Cells may read `name :: marker`; the name counts. Rows may start
    with a label: labels that are the detectors are brought into the order of the header; others
    name the fluorochromes, in the order of the detectors. Without labels rows follow the header.

    Raises
    ------
    CompensationError
        The file cannot be read, has no header of names, or rows and header do not fit.
    """
    path = Path(path)
    try:
        return _spillover_from_table(_cells(path), path.name)
    except CompensationError as error:
        raise error.with_context(file=str(path), step="compensation") from None


def write_spillover_csv(spillover: Spillover, path: str | Path) -> None:
    """Write the labelled table that `read_spillover_csv` reads back, to the last bit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *spillover.detectors])
    for label, row in zip(spillover.fluorochromes, spillover.matrix, strict=True):
        writer.writerow([label, *(repr(float(value)) for value in row)])
    Path(path).write_text(text.getvalue(), encoding="utf-8")


def _faults_of(spillover: Spillover) -> Iterator[str]:
    """Faults of a matrix in words, the gravest first; each check relies on those before it."""
    detectors, rows = spillover.detectors, spillover.fluorochromes
    if not detectors or not rows:
        yield "it has no labels. Name the detectors."
    for axis, labels in (("detectors", detectors), ("fluorochromes", rows)):
        if any(not label.strip() for label in labels):
            yield f"one of the {axis} has no name: {_listed(labels)}."
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            yield f"{axis} named more than once: {_listed(repeated)}."
    widths = {len(row) for row in spillover.matrix}
    if len(spillover.matrix) != len(rows) or widths != {len(detectors)}:
        yield (
            f"{len(rows)} fluorochromes × {len(detectors)} detectors are labelled, but it has "
            f"{len(spillover.matrix)} rows of {_listed(sorted(widths))} values."
        )
    matrix = spillover.array()
    if not np.isfinite(matrix).all():
        i, j = np.argwhere(~np.isfinite(matrix))[0]
        yield f"the value of {rows[i]} in {detectors[j]} is not a finite number."
    if len(rows) > len(detectors):
        yield f"{len(rows)} fluorochromes cannot be told apart by {len(detectors)} detectors."
    if spillover.is_square and (np.diag(matrix) <= 0).any():
        i = int(np.flatnonzero(np.diag(matrix) <= 0)[0])
        yield (
            f"the diagonal value of {detectors[i]} is {matrix[i, i]:g}; it must be positive (1 or "
            "100 as a rule). Are rows and columns in the same order?"
        )


def _spillover_from_table(table: list[list[str]], source: str) -> Spillover:
    header, body = table[0], table[1:]
    if _is_number(header[-1]) and all(_is_number(cell) for cell in header if cell):
        raise CompensationError(
            "the matrix has no header. Name each column's detector ($PnN) in the first row: an "
            "unlabelled matrix is not accepted, since its order cannot be checked."
        )
    if not body:
        raise CompensationError("the matrix has a header, but no rows.")
    labelled = header[0] == "" or any(not _is_number(row[0]) for row in body)
    has_corner = labelled and len(header) == len(body[0])
    detectors = tuple(_name(cell) for cell in (header[1:] if has_corner else header))
    values: list[tuple[float, ...]] = []
    for number, row in enumerate(body, start=1):
        cells = row[1:] if labelled else row
        if len(cells) != len(detectors):
            raise CompensationError(
                f"row {number} has {len(cells)} values, the header names {len(detectors)} "
                f"detectors: {_listed(detectors)}."
            )
        values.append(tuple(_number(cell, f"row {number}") for cell in cells))
    labels = tuple(_name(row[0]) for row in body) if labelled else ()
    if not labels or all(_is_number(label) for label in labels):
        if len(values) != len(detectors):
            raise CompensationError(
                f"{len(detectors)} detectors are named, but there are {len(values)} rows. Without "
                "row labels the matrix must be square, rows in the order of the header."
            )
        return Spillover(detectors, detectors, tuple(values), source)
    known = set(labels) & set(detectors)
    if not known:
        return Spillover(detectors, labels, tuple(values), source)
    if set(labels) != set(detectors) or len(labels) != len(detectors):
        raise CompensationError(
            f"the rows are labelled {_listed(labels)}, the columns {_listed(detectors)}: some "
            "agree, others do not. Use the detectors' names on both sides, or only above."
        )
    rows = dict(zip(labels, values, strict=True))
    return Spillover(detectors, detectors, tuple(rows[name] for name in detectors), source)


def _cells(path: Path) -> list[list[str]]:
    """Cells of the table, stripped; blank lines and empty columns at the right are left out."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CompensationError(f"the matrix cannot be read: {reason}.") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = next((mark for mark in "\t;" if mark in first), ",")
    rows = [
        [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=separator)
    ]
    rows = [row for row in rows if any(row)]
    if not rows:
        raise CompensationError("the matrix is empty.")
    if separator != ",":
        rows = [
            rows[0],
            *([re.sub(r"^(-?\d*),(\d+)", r"\1.\2", c) for c in row] for row in rows[1:]),
        ]
    while all(len(row) > 1 and not row[-1] for row in rows):
        rows = [row[:-1] for row in rows]
    return rows


def _by_number(names: Sequence[str], pnn: Sequence[str]) -> tuple[str, ...]:
    """Names; where all are numbers of parameters and none is a name, those parameters' names."""
    numbered = all(name.isdecimal() and 1 <= int(name) <= len(pnn) for name in names)
    if not numbered or set(names) & set(pnn):
        return tuple(names)
    return tuple(pnn[int(name) - 1] for name in names)


def _pnn_of(upper: Mapping[str, str]) -> list[str]:
    """$P1N, $P2N, … as far as they go, of keywords with or without the dollar sign."""
    names: list[str] = []
    while True:
        number = len(names) + 1
        name = upper.get(f"$P{number}N", upper.get(f"P{number}N"))
        if name is None:
            return names
        names.append(name.strip())


def _name(cell: str) -> str:
    """`FITC-A :: CD3` is detector FITC-A."""
    return cell.split("::", maxsplit=1)[0].strip()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CompensationError(f"{where}: {text!r} is not a number.") from None


def _of(source: str) -> str:
    return f" of {source}" if source else ""


def _listed(names: Sequence[object]) -> str:
    return ", ".join(str(name) for name in names)
