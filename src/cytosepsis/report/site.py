"""What every page of one report shares: the study's name, the pages there are, their addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from urllib.parse import quote, urlencode

VERSION = metadata.version("cytosepsis")
PATIENTS, BEADS, QUALITY = "patients", "beads", "quality"  # folders of a report


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of the navigation."""

    name: str
    label: str
    address: str  # from the report's folder


@dataclass(frozen=True, slots=True)
class Shown:
    """One figure in a page."""

    uri: str
    alt: str
    width: int  # CSS pixels
    height: int
    words: str = ""  # below it


@dataclass(frozen=True, slots=True)
class Site:
    """One report."""

    study: str
    started_at: str
    pages: tuple[Link, ...]
    patients: Mapping[str, str] = field(default_factory=dict)  # patient_id → page name
    bead_runs: Mapping[str, str] = field(default_factory=dict)  # bead_run → page name
    sample_parts: Mapping[str, str] = field(default_factory=dict)  # sample_id → its page's address

    def narrowed(
        self,
        *,
        patients: Iterable[str] = (),
        bead_runs: Iterable[str] = (),
        samples: Iterable[str] = (),
    ) -> Site:
        """The same site with some of its addresses only."""
        return replace(
            self,
            patients={k: self.patients[k] for k in patients if k in self.patients},
            bead_runs={k: self.bead_runs[k] for k in bead_runs if k in self.bead_runs},
            sample_parts={k: self.sample_parts[k] for k in samples if k in self.sample_parts},
        )

    def patient(self, patient_id: str | None) -> str | None:
        """Address of a patient's page; None of one that has none."""
        name = self.patients.get(patient_id or "")
        return None if name is None else f"{PATIENTS}/{name}.html"

    def bead_run(self, bead_run: str | None) -> str | None:
        """Address of a bead run's page."""
        name = self.bead_runs.get(bead_run or "")
        return None if name is None else f"{BEADS}/{name}.html"

    def sample(self, sample_id: str | None) -> str | None:
        """Address of a sample's section in its patient's page."""
        return self.sample_parts.get(sample_id or "")


def filtered(page: str, grid: str, **choices: str) -> str:
    """Address of a table that is filtered already, by its columns' labels."""
    return f"{page}#{grid}?{urlencode(choices, quote_via=quote)}"
