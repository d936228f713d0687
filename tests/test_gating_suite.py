"""The older compliance suite (Gating-ML 1.5): geometry and compensation mean the same in 2.0."""

import re

import numpy as np
import pytest
from lxml import etree

from cytosepsis.compensation import Spillover
from cytosepsis.fcs import read_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.plan import GatingPlan
from cytosepsis.gating.reader import read_gating
from plan_files import real_file

SUITE = "gatingMLData/gml15"
GATING, TYPES, TRANSFORMS = (
    f"{{http://www.isac-net.org/std/Gating-ML/v1.5/{name}}}"
    for name in ("gating", "datatypes", "transformations")
)


def suite_document(name):
    return etree.parse(real_file(f"{SUITE}/xml/{name}.xml")).getroot()


def modern(element, tmp_path):
    """A file of version 2.0 with one gate of 1.5: every dimension must say how compensated."""
    root = etree.Element(GATING + "Gating-ML", nsmap=element.nsmap)
    root.append(element)
    for dimension in root.iter(GATING + "dimension"):
        dimension.set(GATING + "compensation-ref", "uncompensated")
    for parameter in root.iter(TYPES + "parameter"):
        parameter.tag = TYPES + "fcs-dimension"
    path = tmp_path / "gate.xml"
    path.write_bytes(etree.tostring(root).replace(b"Gating-ML/v1.5", b"Gating-ML/v2.0"))
    return read_gating(path)


@pytest.mark.parametrize(
    ("name", "fcs", "n"),
    [
        # "MinGreaterThanMax" and "EqualToMinAndMax" hold nothing: a plan that has such a gate is
        # refused here
        ("01Rectangular", "int-gating_test_file.fcs", 14),
        ("04PolygonGates", "int-gating_test_file.fcs", 20),
        ("08Ellipses", "int-gating_test_file_4D.fcs", 20),
    ],
)
def test_regions(name, fcs, n, tmp_path):
    raw = read_fcs(real_file(f"{SUITE}/fcs/{fcs}"))
    compared = 0
    for element in suite_document(name):
        label = element.get(GATING + "id")
        truth = real_file(f"{SUITE}/expected/{name}").joinpath(f"{label}.txt")
        if label in (None, "MinGreaterThanMax", "EqualToMinAndMax") or not truth.exists():
            continue
        expected = [line.strip() == "1" for line in truth.read_text().split()[1:]]
        assert gate(raw, modern(element, tmp_path)).mask(f"root/{label}").tolist() == expected, (
            label
        )
        compared += 1
    assert compared == n


def test_compensation():
    """The values that the suite's file lists in its comment, of a matrix far from symmetric."""
    document = suite_document("31TrCompensation")
    matrix = document.find(TRANSFORMS + "spilloverMatrix")
    names = tuple(p.get(TYPES + "name") for p in matrix.iter(TYPES + "parameter"))
    rows = tuple(
        tuple(float(c.get(TRANSFORMS + "value")) for c in row.findall(TRANSFORMS + "coefficient"))
        for row in matrix.findall(TRANSFORMS + "spillover")
    )
    (comment,) = (c.text for c in document.iter(etree.Comment) if "Virtual" in c.text)
    listed = [re.findall(r"\d+\.\d+|-\d+\.\d+", line) for line in comment.splitlines()]
    table = np.array([line for line in listed if len(line) == 14], dtype=float)
    assert table.shape == (10, 14)
    raw = read_fcs(real_file(f"{SUITE}/fcs/int-10_events_8_parameters.fcs"))
    measures = [Measure("root", name) for name in names]
    # In 1.5 a row is a detector, and its coefficients what it sees of each fluorochrome.
    spillover = Spillover(names, names, tuple(zip(*rows, strict=True)))
    found = gate(raw, GatingPlan(()), spillover=spillover, measures=measures).values
    compensated = np.column_stack([found[measure] for measure in measures])
    # FS is what scatter is called, which we never compensate
    kept = [k for k, name in enumerate(names) if name != "FS"]
    np.testing.assert_allclose(compensated[:, kept], table[:, 8:][:, kept], rtol=1e-9)
