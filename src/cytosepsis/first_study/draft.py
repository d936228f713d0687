"""A first study drafted from what lies in a folder: every guess is said, none is hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cytosepsis.errors import CytosepsisError
from cytosepsis.first_study.kinds import Purpose, purpose_of
from cytosepsis.first_study.names import Named, compile_pattern, guess_pattern, read_name, windows
from cytosepsis.first_study.panels import Panel, panels_of
from cytosepsis.first_study.survey import FileFacts, LeftOut, survey


@dataclass(frozen=True, slots=True)
class InitOptions:
    """What the person says; whatever is left out is guessed."""

    name: str | None = None  # of the study; default: the folder's
    pattern: str | None = None  # of patient and timepoint in a file's path, a regular expression
    lots: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # PE per bead, from a flyer
    look_at_events: bool = True  # to tell beads and controls; names alone are faster


@dataclass(frozen=True, slots=True)
class Draft:
    """A first study before it is written."""

    folder: Path
    name: str
    pattern: str
    panels: tuple[Panel, ...]  # of samples
    purposes: Mapping[str, Purpose]  # file → what it is for
    named: Mapping[str, Named]  # sample file → who and when
    beads: tuple[FileFacts, ...]
    controls: tuple[FileFacts, ...]
    left_out: tuple[LeftOut, ...]
    windows: Mapping[str, tuple[int, int]]
    unclear_labels: tuple[str, ...]
    lots: Mapping[str, tuple[float, ...]]

    @property
    def samples(self) -> tuple[FileFacts, ...]:
        """Files of the sample sheet, panel by panel."""
        return tuple(facts for panel in self.panels for facts in panel.files)

    def names_without_ending(self) -> tuple[str, ...]:
        """What the pattern is tried on."""
        return tuple(facts.file.rpartition(".")[0] for facts in self.samples)


def draft_study(
    folder: Path, options: InitOptions, progress: Callable[[str], None] | None = None
) -> Draft:
    """Look into a folder of FCS files and draft a study.

    Raises
    ------
    CytosepsisError
        The folder is none, holds no FCS file that can be read as a sample, or the pattern is none.

    """
    if not folder.is_dir():
        raise CytosepsisError(f"{folder} is no folder", code="no_folder")
    if options.pattern is not None:
        compile_pattern(options.pattern)
    files, left_out = survey(folder, progress)
    purposes = {}
    for facts in files:
        if progress is not None:
            progress(facts.file)
        purposes[facts.file] = purpose_of(facts, look=options.look_at_events)
    samples = [facts for facts in files if purposes[facts.file].kind == "sample"]
    if not samples:
        why = f" {len(left_out)} could not be read." if left_out else ""
        raise CytosepsisError(
            f"{folder} holds no FCS file that could be a sample: {len(files)} are beads or "
            f"controls.{why}",
            code="no_samples",
        )
    tried = [facts.file.rpartition(".")[0] for facts in samples]
    pattern = options.pattern or guess_pattern(tried)
    compiled = compile_pattern(pattern)
    named = {
        facts.file: read_name(name, compiled) for facts, name in zip(samples, tried, strict=True)
    }
    found, unclear = windows([n.timepoint for n in named.values() if n.timepoint])
    return Draft(
        folder=folder,
        name=options.name or folder.resolve().name,
        pattern=pattern,
        panels=panels_of(samples),
        purposes=purposes,
        named=named,
        beads=tuple(f for f in files if purposes[f.file].kind == "beads"),
        controls=tuple(f for f in files if purposes[f.file].kind in ("single_stain", "unstained")),
        left_out=left_out,
        windows=found,
        unclear_labels=unclear,
        lots=options.lots,
    )
