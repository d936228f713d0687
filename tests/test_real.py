"""A real monocyte hierarchy: FACS of 77,737 events, gated by others, to the event."""

import csv

import numpy as np
import pytest

from cytosepsis.fcs import read_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.reader import read_gating
from cytosepsis.panel import find
from plan_files import CORPUS, real_file

FILE = "flowWorkspaceData/gs_DC_auto/DC_MONO_NK_12828001_001"
CHANNELS = {
    "fsc": "FSC-A",
    "ssc": "SSC-A",
    "live": "Live",
    "cd56": "CD56",
    "cd123": "CD123",
    "cd11c": "CD11c",
    "cd16": "CD16",
    "lineage": "Lineage",
    "cd14": "CD14",
    "hladr": "HLADR",
}


@pytest.fixture(scope="module")
def found():
    raw = read_fcs(real_file(f"{FILE}_scaled.fcs"))
    plan_path = CORPUS.parent / "real_study" / "assays" / "dc_mono.toml"
    if not plan_path.exists():
        pytest.skip(f"no study of real files at {plan_path.parents[1]}")
    measures = [Measure("root/boundary/Monocytes/Live/CD14+Lineage-", "hladr")]
    return raw, gate(
        raw, read_gating(plan_path), channels=CHANNELS, spillover="none", measures=measures
    )


def test_every_event_is_where_another_implementation_put_it(found):
    """Polygons, intervals and booleans; membership per event, not only counts."""
    _, populations = found
    with np.load(real_file(f"{FILE}_membership.npz")) as archive:
        theirs = dict(zip(archive["paths"].tolist(), archive["mask"], strict=True))
    masks = populations.masks()
    shared = set(masks) & set(theirs)
    assert len(shared) == len(masks) >= 20
    for path in sorted(shared):
        np.testing.assert_array_equal(masks[path], theirs[path], err_msg=path)


def test_counts_are_the_published_ones(found):
    raw, populations = found
    with real_file(f"{FILE}_populations.csv").open(newline="") as handle:
        published = {row["path"]: int(row["count"]) for row in csv.DictReader(handle)}
    assert published["root"] == raw.n_events == 77_737
    for path, count in populations.n_events.items():
        assert published[path] == count, path


def test_the_median_of_the_monocytes(found):
    raw, populations = found
    path = "root/boundary/Monocytes/Live/CD14+Lineage-"
    (values,) = populations.values.values()
    column = raw.linear()[:, find([CHANNELS["hladr"]], raw.pnn, raw.pns)]
    inside = column[populations.mask(path)]
    assert len(values) == 17_787
    assert np.median(values) == np.median(inside)
    np.testing.assert_array_equal(values, inside)
