"""How many events each population holds, what became of its gate, and the doubts that follow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cytosepsis.gating.finding import GateFinding
from cytosepsis.gating.plan import ROOT, Boolean, GatingPlan, path_of

if TYPE_CHECKING:
    from cytosepsis.gating.apply import Populations

# What a population's gate is called where it is neither `ok` nor as a data-driven gate was found.
EMPTY, FULL, NO_PARENT, GIVEN = "empty", "full", "no_parent", "given"


@dataclass(frozen=True, slots=True)
class PopulationCount:
    """One population of one sample, root included."""

    path: str
    name: str
    n_events: int | None  # None where its gate, or one that it needs, could not be found
    fraction_of_parent: float | None  # None of an empty parent; root: 1.0 (None where it is empty)
    fraction_of_root: float | None
    gate_status: str = "ok"

    @property
    def n_counted(self) -> int:
        """Events of a population that is defined; asking another is a programmer's mistake."""
        assert self.n_events is not None, f"{self.path} is not defined in this sample"
        return self.n_events


def population_counts(
    populations: Populations, *, hidden: Collection[str] = ()
) -> tuple[PopulationCount, ...]:
    """Events and fractions of populations, root first, in the plan's order; without `hidden`."""
    counts, plan = populations.n_events, populations.plan
    findings = {finding.path: finding for finding in populations.findings}
    undefined = undefined_paths(plan, populations.findings)
    root = counts[ROOT]
    rows = [PopulationCount(ROOT, ROOT, root, 1.0 if root else None, 1.0 if root else None)]
    for gate, path in zip(plan, plan.paths[1:], strict=True):
        if path in hidden:
            continue
        if path in undefined:
            status = findings[path].status if path in findings else NO_PARENT
            if path in findings and gate.parent in undefined:
                status = NO_PARENT
            rows.append(PopulationCount(path, gate.name, None, None, None, status))
            continue
        n, parent = counts[path], counts[gate.parent]
        rows.append(
            PopulationCount(
                path=path,
                name=gate.name,
                n_events=n,
                fraction_of_parent=n / parent if parent else None,
                fraction_of_root=n / root if root else None,
                gate_status=_status(n, parent, findings.get(path)),
            )
        )
    return tuple(rows)


def _status(n: int, parent: int, finding: GateFinding | None) -> str:
    if finding is not None and finding.status != "ok":
        return finding.status
    if parent and n in (0, parent):
        return EMPTY if n == 0 else FULL
    return GIVEN if finding is not None and finding.standing == "override" else "ok"


def undefined_paths(plan: GatingPlan, findings: Iterable[GateFinding]) -> frozenset[str]:
    """Populations for which no gate stands, and all that are defined through them."""
    undefined = {finding.path for finding in findings if finding.standing == "nothing"}
    for gate in plan:
        needed = [gate.parent]
        own = path_of(gate)
        if isinstance(gate, Boolean) and own not in undefined:
            needed += [operand.gate for operand in gate.operands]
        if not undefined.isdisjoint(needed):
            undefined.add(own)
    return frozenset(undefined)


def gate_flags(
    plan: GatingPlan,
    findings: Sequence[GateFinding],
    counts: Sequence[PopulationCount],
    quantified: str | None,
) -> tuple[str, ...]:
    """Doubts about the gates on which the quantified population depends.

    Where nothing is quantified, those about any data-driven gate.
    """
    if quantified is None:
        return _finding_flags(findings)
    on_the_way = {path_of(gate) for gate in plan.leading_to(quantified)}
    flags = {EMPTY: "empty_population", FULL: "full_population"}
    statuses = {row.gate_status for row in counts if row.path in on_the_way}
    return (
        *(flag for status, flag in flags.items() if status in statuses),
        *_finding_flags([f for f in findings if f.path in on_the_way]),
    )


def _finding_flags(findings: Collection[GateFinding]) -> tuple[str, ...]:
    standing = {finding.standing for finding in findings}
    flags = {
        "nothing": "gate_not_found",
        "reference": "gate_reference",
        "batch": "gate_batch",
        "override": "gate_given",
    }
    clamped = any(f.status == "clamped" and f.standing == "found" for f in findings)
    return (
        *(flag for word, flag in flags.items() if word in standing),
        *(("gate_clamped",) if clamped else ()),
    )
