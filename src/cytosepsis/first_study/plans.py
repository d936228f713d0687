"""A gating plan to begin with, for a panel of which only the channels are known.

Its gates are found in each file's own events, so that no scale has to be known beforehand. It is a
draft: where the cells lie is for a person to say who has looked at them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from cytosepsis.first_study.panels import Panel

_HEAD = "# GUESS: a plan to begin with. Look at the pictures of the report and draw your own.\n"

_SINGLETS = """
[[gates]]
name = "singlets"
type = "singlet"
x = "fsc"
y = "fsc_height"
"""

_TRANSFORM = """
[transforms.cd14]
type = "logicle"
T = {top:g}
W = 0.5
M = 4.5
A = 0.0
"""

# The brightest cells in CD14 are the monocytes; granulocytes are dim, lymphocytes dark.
_MONOCYTES = """
[[gates]]
name = "monocytes"
{parent}type = "threshold"
x = {{ channel = "cd14", transform = "cd14" }}
method = "valley"
valley = "last"
"""

_EVERYTHING = """
# Keeps every event: nothing is known of how this panel is gated.
[[gates]]
name = "events"
type = "rectangle"
x = {channel}
ranges = {{ x = {{ min = -1e12 }} }}
"""


@dataclass(frozen=True, slots=True)
class StartingPlan:
    """The text of a plan, what it is, and the population to quantify where there is one."""

    text: str
    about: str
    monocytes: str | None = None


def plan_of(panel: Panel) -> StartingPlan:
    """Singlets where there is a height, monocytes by CD14 where there are CD14 and HLA-DR."""
    singlets = panel.role("fsc_height") is not None
    monocytes = panel.role("cd14") is not None and panel.role("hladr") is not None
    if not singlets and not monocytes:
        channel = panel.roles[0].role if panel.roles else panel.files[0].pnn[0]
        text = _HEAD + _EVERYTHING.format(channel=json.dumps(channel))
        return StartingPlan(text, "a gate that keeps every event: draw yours")
    text = _HEAD
    if monocytes:
        text += _TRANSFORM.format(top=panel.top("cd14"))
    if singlets:
        text += _SINGLETS
    if not monocytes:
        return StartingPlan(text, "singlets only: draw your populations")
    text += _MONOCYTES.format(parent='parent = "singlets"\n' if singlets else "")
    return StartingPlan(text, "monocytes as the CD14-bright cells", "monocytes")
