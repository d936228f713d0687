"""The order in which gates can be applied: what a gate needs stands before it."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from cytosepsis.errors import GatingError


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Order gates so that each stands after all it `needs`, otherwise as given.

    Raises
    ------
    GatingError
        Gates need each other in a circle; the circle is named.
    """
    position = {name: index for index, name in enumerate(needs)}
    names = list(needs)
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise GatingError(f"gates need each other in a circle: {circle}") from None
    ordered: list[str] = []
    ready: list[int] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, position[name])
        name = names[heapq.heappop(ready)]
        ordered.append(name)
        sorter.done(name)
    return ordered
