"""Tubes that are hard to gate, a few of them: the whole campaign is benchmarks/gates.py."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

import cytosepsis as cs
from cytosepsis.gating.lowering import Measure
from cytosepsis.gating.toml_plan import parse_toml_plan
from cytosepsis.simulate.hard_blood import hard_tube
from cytosepsis.simulate.instrument import Acquisition, save
from cytosepsis.simulate.sheets import GATING_PLAN
from effort import COMPILED

pytestmark = pytest.mark.skipif(not COMPILED, reason="takes minutes without the compiler")

CHANNELS = {
    "fsc": "FSC-A",
    "fsc_height": "FSC-H",
    "ssc": "SSC-A",
    "cd14": "PerCP-Cy5-5-A",
    "hladr": "PE-A",
}
PLAN = parse_toml_plan(tomllib.loads(GATING_PLAN))
MONOCYTES = "root/singlets/leucocytes/monocytes"


def gated(tube, folder):
    path = folder / "tube.fcs"
    save(path, tube.events, Acquisition(datetime(2024, 1, 8), "SIM"))
    found = cs.gate(cs.read_fcs(path), PLAN, channels=CHANNELS, measures=[Measure("root", "hladr")])
    return found, found.mask(MONOCYTES), found.values[Measure("root", "hladr")]


def test_monocytes_are_found_or_the_status_says_that_they_are_not(tmp_path):
    n_enough = n_good = 0
    for seed in range(24):
        tube = hard_tube(500 + seed, n_events=30_000)
        found, inside, hladr = gated(tube, tmp_path)
        true = tube.is_monocyte
        status = found.findings[-1].status
        if status != "ok":
            assert not inside.any()
        else:
            recall, purity = inside[true].mean(), true[inside].mean()
            assert recall > 0.9
            assert purity > 0.9
            if true.sum() >= 300:
                assert np.median(hladr[inside]) == pytest.approx(np.median(hladr[true]), rel=0.03)
        if true.sum() >= 300:
            n_enough += 1
            n_good += status == "ok" and recall >= 0.97 and purity >= 0.95
    assert n_enough >= 12
    assert n_good >= 0.9 * n_enough


def test_a_tube_without_monocytes_has_no_monocytes(tmp_path):
    tube = hard_tube(900, n_events=30_000)
    others = ~tube.is_monocyte
    without = replace(tube, events=tube.events[others], is_monocyte=tube.is_monocyte[others])
    found, inside, _ = gated(without, tmp_path)
    assert found.findings[-1].status in ("few_events", "one_peak", "drifted")
    assert not inside.any()
