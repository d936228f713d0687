"""A small fault campaign: `benchmarks/faults.py` runs the same at length."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are found through /proc"
)


def test_what_is_killed_and_spoiled_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    from faults import Campaign

    campaign = Campaign(tmp_path, workers=2, seed=3)
    campaign.prepare(patients=2, events=300)
    tallies = [campaign.kill_runs(2), campaign.stop_runs(1)]
    tallies += [campaign.kill_workers(1), campaign.change_files(3)]
    disk = campaign.fill_disk(1)
    tallies += [disk] if not disk.note else []
    for tally in tallies:
        assert tally.equal, tally
        assert (tally.n_twice, tally.n_left) == (0, 0), tally
    assert tallies[0].n_faults == 2
