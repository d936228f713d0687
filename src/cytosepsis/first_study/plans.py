"""A gating plan to begin with, for a panel of which only the channels are known."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cytosepsis.first_study.panels import Panel


@dataclass(frozen=True, slots=True)
class StartingPlan:
    """The text of a plan, what it is, and the population to quantify where there is one."""

    text: str
    about: str
    monocytes: str | None = None


def plan_of(panel: Panel) -> StartingPlan:
    """A plan whose gates are found on each file's own events, as far as the channels allow."""
    scatter = panel.role("fsc") and panel.role("ssc")
    channel = "fsc" if scatter else panel.roles[0].role
    return StartingPlan(
        text=f"""\
# GUESS: nothing is known of how this panel is gated: this gate keeps every event. Draw yours.
[[gates]]
name = "events"
type = "rectangle"
x = {json.dumps(channel)}
ranges = {{ x = {{ min = -1e12 }} }}
""",
        about="a gate that keeps every event: draw yours",
    )
