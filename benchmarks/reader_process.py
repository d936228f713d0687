"""Reads FCS files on request, by a reader that this interpreter has; needs nothing of ours.

Started with a reader's name. A line `read PATH` on stdin is answered when the events are in memory,
`sum PATH` by the sum of all values, in both cases by one line on stdout. Such readers need versions
of numpy that the project does not run with, so they have an interpreter of their own.
"""

import sys
from collections.abc import Callable
from importlib import import_module, metadata
from typing import Any

import numpy as np


def _fcsparser(path: str) -> Any:
    return import_module("fcsparser").parse(path)[1]


def _flowcal(path: str) -> Any:
    return import_module("FlowCal.io").FCSData(path)


READERS: dict[str, Callable[[str], Any]] = {"fcsparser": _fcsparser, "FlowCal": _flowcal}


def main() -> None:
    """Answer until nobody asks any more."""
    name = sys.argv[1]
    sys.stdout.write(f"{metadata.version(name)}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        what, _, path = line.rstrip("\n").partition(" ")
        events = READERS[name](path)
        total = float(np.asarray(events, dtype=np.float64).sum()) if what == "sum" else 0.0
        sys.stdout.write(f"{total!r}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
