"""Ready panels on real files: the populations that others published, nearly."""

from __future__ import annotations

import pytest

from panels_real import CORPUS, monocytes, spleen

pytestmark = pytest.mark.skipif(
    not (CORPUS / "FlowSOM").is_dir(), reason=f"no real files in {CORPUS.name}"
)


def test_lymphocytes_gated_by_hand():
    found = {c.population: c.jaccard for c in spleen()}
    assert found.keys() == {"t_cells", "cd4_t", "cd8_t", "b_cells", "nk_cells"}
    for population, least in (("cd4_t", 0.95), ("b_cells", 0.95), ("cd8_t", 0.9), ("t_cells", 0.9)):
        assert found[population] >= least
    assert found["nk_cells"] >= 0.85, "312 cells"


def test_monocytes_of_a_published_hierarchy():
    found = {c.population: c for c in monocytes()}
    assert found["monocytes"].jaccard >= 0.99
    assert found["cd14_high"].jaccard >= 0.95
    # a tail, cut elsewhere by two methods: see docs/panels.md
    assert 0.4 <= found["intermediate"].jaccard < 0.95
