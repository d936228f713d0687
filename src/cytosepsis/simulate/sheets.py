"""The study's text files: study.toml, the gating plan, the sheets, and the truth."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import fields
from io import StringIO
from pathlib import Path

from cytosepsis.simulate.beads import LOT, PE_MOLECULES
from cytosepsis.simulate.patients import WINDOWS
from cytosepsis.simulate.settings import SimulationSettings

RECOMMENDED_CELLS = 3_000  # the usual requirement of the assay, and the default of the limits
MIN_CELLS = 500
SMALLEST_SHARE = 0.05  # of events: fewer single monocytes than this do not occur

GATING_PLAN = """\
# Monocytes of lysed blood by CD14 and side scatter; HLA-DR takes no part in finding them.
# Every gate is found in each sample's own events: septic monocytes lose CD14, instruments drift.
# What was found, and how well, stands in the table `gates`.

[transforms.logicle]
type = "logicle"
T = 262144
W = 0.5
M = 4.5
A = 0.0

[transforms.log]
type = "log"
T = 262144
M = 3.0

[[gates]]
name = "singlets"
type = "singlet"
x = "fsc"
y = "fsc_height"

# From the valley between debris and cells up.
[[gates]]
name = "leucocytes"
parent = "singlets"
type = "threshold"
x = "fsc"
method = "valley"
valley = "first"
range = { min = 10000, max = 60000 }
on_fail = "reference"
reference = 32000

# The cluster left of the granulocytes and above the lymphocytes, whatever its CD14. Expected: CD14
# from 2,000 to 50,000 units, side scatter from 20,000 to 150,000; without one there is no number.
[[gates]]
name = "monocytes"
parent = "leucocytes"
type = "cluster"
x = { channel = "cd14", transform = "logicle" }
y = { channel = "ssc", transform = "log" }
centre = [0.66, 0.77]
drift = [0.17, 0.15]
mass = 0.995
on_fail = "fail"
"""

# The fixed gates that came before: right for donors, they cut the dimmest septic monocytes off.
FIXED_PLAN = """\
# Monocytes of lysed blood by CD14 and side scatter; HLA-DR takes no part in finding them.
# The gate reaches down to the dim CD14 of septic monocytes and leans away from the granulocytes.

[transforms.logicle]
type = "logicle"
T = 262144
W = 0.5
M = 4.5
A = 0.0

[[gates]]
name = "singlets"
type = "polygon"
x = "fsc"
y = "fsc_height"
vertices = [[1000, 500], [1000, 1600], [262000, 245000], [262000, 202000]]

[[gates]]
name = "leucocytes"
parent = "singlets"
type = "rectangle"
x = "fsc"
y = "ssc"
ranges = { x = { min = 32000, max = 262000 }, y = { min = 5000, max = 262000 } }

[[gates]]
name = "monocytes"
parent = "leucocytes"
type = "polygon"
x = { channel = "cd14", transform = "logicle" }
y = "ssc"
vertices = [
  [0.49, 20000], [1.0, 20000], [1.0, 180000],
  [0.66, 180000], [0.565, 95000], [0.49, 50000],
]
"""

_STUDY = """\
# A simulated study: truth.csv holds what the analysis should find.
[study]
name = "{name}"
samples = "samples.csv"
beads = "beads.csv"
clinical = "clinical.csv"
exposures = "exposures.csv"
baseline = "{baseline}"
bead_max_age_hours = 24
timezone = "Europe/Paris"
assay_cv = {assay_cv}

[timepoints]
{windows}

[bead_lots.{lot}]
pe_molecules = [{levels}]          # an invented lot

[assays.mhladr]
compensation = "file"
gating = "assays/mhladr.toml"

[assays.mhladr.channels]
fsc = "FSC-A"
fsc_height = "FSC-H"
ssc = "SSC-A"
cd14 = ["PerCP-Cy5-5-A", "CD14"]
hladr = ["PE-A", "HLA-DR"]

[assays.mhladr.abc]
population = "monocytes"
channel = "hladr"
statistic = "median"
pe_per_antibody = 1.0
min_events = {min_cells}
cutoffs = [5000, 8000, 15000]
{limits}
[outcomes.icu_infection]
event_day = "infection_day"
competing_day = ["death_day", "icu_discharge_day"]
observed_until = "followup_days"
horizon = 28

[outcomes.death]
event_day = "death_day"
observed_until = "followup_days"
horizon = 28

[outcomes.fungal_infection]
event_day = "fungal_day"
competing_day = ["death_day", "icu_discharge_day"]
observed_until = "followup_days"
horizon = 28

[outcomes.cmv_reactivation]
event_day = "cmv_day"
competing_day = ["death_day", "icu_discharge_day"]
observed_until = "followup_days"
horizon = 28

[outcomes.hsv_reactivation]
event_day = "hsv_day"
competing_day = ["death_day", "icu_discharge_day"]
observed_until = "followup_days"
horizon = 28
"""

_SHORT_FILES = """
[assays.mhladr.limits]
# These files are short ({events} events), to be quick and small: 3000 monocytes, the usual
# requirement, would take some {enough} events. A real study should keep the default.
recommended_cells = {cells}
"""

_README = """\
# {name}: a simulated study

Lysed blood of {patients} patients with septic shock and {healthy} healthy controls, stained for
CD14 and HLA-DR, with the bead runs of each day. No person's data: every event was drawn by
`cytosepsis.simulate` ({events} events per sample, {bead_events} per bead file).

Made by

```python
from cytosepsis.simulate import SimulationSettings, simulate_study

simulate_study("a_new_folder", SimulationSettings({arguments}))
```

The same settings give the same bytes again (with the same version of numpy);
`cytosepsis simulate DIR` makes a study like it.

`truth.csv`: per sample the patient's true level (`patient_abc`), the median of the sample's own
true single monocytes (`sample_abc`, which differs by staining and counting), true counts, and the
fault, if any. `truth_beads.csv`: per bead run the true line
log10(intensity) = slope · log10(PE molecules) + intercept. `truth_cohort.csv`: per patient
the verdict of the cohort's rules, and the rule that decides.
"""


def study_toml(settings: SimulationSettings) -> str:
    """study.toml; limits on cells are lowered, with the reason, where the files are too short."""
    smallest = int(settings.events * SMALLEST_SHARE)
    short = smallest < RECOMMENDED_CELLS
    cells = max(1, smallest // 50 * 50)
    limits = _SHORT_FILES.format(
        events=settings.events, enough=int(RECOMMENDED_CELLS / SMALLEST_SHARE), cells=cells
    )
    return _STUDY.format(
        name=settings.name,
        baseline=WINDOWS[0][0],
        assay_cv=settings.assay_cv,
        windows="\n".join(f'"{name}" = [{first}, {last}]' for name, first, last in WINDOWS),
        lot=LOT,
        levels=", ".join(f"{level:g}" for level in PE_MOLECULES),
        min_cells=min(MIN_CELLS, cells),
        limits=limits if short else "",
    )


def readme(settings: SimulationSettings) -> str:
    """README.md: what the folder is, and the call that makes it again."""
    default = SimulationSettings()
    arguments = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if getattr(settings, field.name) != getattr(default, field.name)
    }
    return _README.format(
        name=settings.name,
        patients=settings.patients,
        healthy=settings.healthy,
        events=settings.events,
        bead_events=settings.bead_events,
        arguments=", ".join(f"{key}={value!r}" for key, value in arguments.items()),
    )


def csv_text(rows: Iterable[Mapping[str, object]], columns: Iterable[str]) -> str:
    """Rows as CSV; None is an empty cell."""
    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_text(path: Path, text: str) -> None:
    """UTF-8 and line feeds on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
