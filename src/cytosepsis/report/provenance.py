"""The page of provenance: inputs, versions, limits, digests, as `run.json` has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cytosepsis.report.html import Grid, Head, render
from cytosepsis.report.site import Site
from cytosepsis.store import RunRecord


def provenance_page(site: Site, run: RunRecord) -> str:
    """HTML of the page; the machine's name is left out, which helps nobody who reads a number."""
    grid = Grid(
        name="inputs",
        caption="Files that were read",
        heads=(Head("File"), Head("SHA-256")),
        rows=[(file, digest) for file, digest in run.inputs.items()],
        file="run.json",
        search="File",
    )
    return render(
        "provenance.html",
        site=site,
        root="",
        here="provenance",
        title="Provenance",
        facts=list(_facts(run)),
        versions=sorted(run.versions.items()),
        limits=[(assay, list(_flat(limits))) for assay, limits in run.limits.items()],
        grid=grid,
    )


def _facts(run: RunRecord) -> Iterator[tuple[str, object]]:
    yield "Study", run.study
    yield "Digest of study, plans and matrices", run.study_digest
    yield "Digest of the computing code", run.code_digest
    yield "Run begun", run.started_at
    yield "Time taken", f"{run.wall_seconds:,.1f} s"
    yield "Samples", f"{run.n_samples:,}, of which {run.n_computed:,} computed in the last run"
    yield "Reasons for computing", ", ".join(f"{n} {why}" for why, n in run.reasons.items()) or "–"
    yield "Files compared by", run.digest
    yield "System", str(run.machine.get("system") or "–")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _words(value)


def _words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_words(item) for item in value)
    return "–" if value is None else str(value)
