"""Learning where a plan's gates usually lie, from a study's own samples, once and explicitly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cytosepsis.errors import GatingError
from cytosepsis.file_results import SampleResult
from cytosepsis.file_stamps import file_digest
from cytosepsis.gating.batch import ENDING, FEWEST, batch_text, learn
from cytosepsis.gating.finding import GateFinding
from cytosepsis.protocol import Study
from cytosepsis.sample import analyze_sample


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned: of how many samples, and how many of them lent each gate."""

    n_samples: int  # that could be read
    n_failed: int
    gates: tuple[tuple[str, int], ...]  # full path → samples in which it was found


def learn_gates(
    study: Study,
    assay: str,
    out: Path,
    *,
    shrinkage: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Learned:
    """Write a batch reference of one assay's plan; the order of the samples does not matter.

    Samples of role `sample` that the sheet uses. Only gates that were found, with status `ok`.

    Parameters
    ----------
    study, assay
        Whose samples, and under which plan.
    out
        A new file beside the plan, ending in `.reference.toml`; it is never overwritten, since
        results name it by its digest.
    shrinkage
        How far each sample's own gate is moved towards the usual one: 0 not at all, 1 all the way.
    progress
        Called with how many samples are done, and of how many.

    Raises
    ------
    GatingError
        The file exists or cannot be written, or no gate was found in enough samples.

    """
    if not out.name.endswith(ENDING):
        raise GatingError(f"a batch reference ends in {ENDING}, found {out.name!r}")
    if out.exists():
        raise GatingError(f"{out} exists. Results may name it: learn a new one under a new name")
    if not 0.0 <= shrinkage <= 1.0:
        raise GatingError(f"shrinkage is {shrinkage:g}; from 0 to 1 is meant")
    settings = study.assay(assay)
    samples = sorted(
        (s for s in study.samples if s.assay == assay and s.use and s.role == "sample"),
        key=lambda sample: sample.sample_id,
    )
    findings: list[tuple[GateFinding, ...]] = []
    for number, sample in enumerate(samples, 1):
        outcome = analyze_sample(sample, settings, digest=False)
        if isinstance(outcome, SampleResult):
            findings.append(outcome.gates)
        if progress is not None:
            progress(number, len(samples))
    gates = learn(findings)
    if not gates:
        raise GatingError(
            f"no data-driven gate of assay {assay!r} was found in {FEWEST} samples or more, of "
            f"{len(findings)} that could be read",
            step="gating",
        )
    text = batch_text(
        gates,
        shrinkage=shrinkage,
        n_samples=len(findings),
        plan_digest=file_digest(settings.gating),
    )
    try:
        with out.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise GatingError(f"{out} cannot be written: {error.strerror}") from None
    found = tuple((gate.path, gate.n_samples) for gate in gates)
    return Learned(len(findings), len(samples) - len(findings), found)
