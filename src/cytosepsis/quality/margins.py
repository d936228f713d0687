"""Events at the ends of a channel's scale: saturated, piled up in the lowest value, or no number.

Nothing is clipped or cut. The top is that of $PnR, but where values pass it, or where they pile up
in a lower largest value, as those of a detector that saturates before its scale ends.
"""

from __future__ import annotations

from cytosepsis.panel import is_scatter
from cytosepsis.quality.report import CheckResult
from cytosepsis.quality.settings import QualitySettings, Verdict
from cytosepsis.quality.trace import Trace

# Values of a continuous scale hardly ever repeat: so many equal ones at its end are a pile.
_PILE_FRACTION = 0.001
_PILE_EVENTS = 10


def check_margins(trace: Trace, index: int, pnn: str, settings: QualitySettings) -> CheckResult:
    """Count what lies at the ends of one channel's scale, and judge it."""
    n_nan = int(trace.n_nan[index])
    n_values = trace.n_events - n_nan
    if n_values == 0:
        return CheckResult(
            "margin", pnn, "not_a_number" if trace.n_events else "few_events", None, n_nan=n_nan
        )
    if trace.least[index] == trace.most[index]:
        return CheckResult("margin", pnn, "constant", None, n_nan=n_nan)
    pile = max(_PILE_EVENTS, _PILE_FRACTION * n_values)
    n_top = int(trace.n_top[index]) if trace.n_above[index] == 0 else 0
    if trace.n_at_most[index] >= pile:
        n_top = max(n_top, int(trace.n_at_most[index]))
    n_floor = int(trace.n_at_least[index]) if trace.n_at_least[index] >= pile else 0
    top, floor = n_top / trace.n_events, n_floor / trace.n_events
    return CheckResult(
        check="margin",
        channel=pnn,
        status="not_a_number" if n_nan else "ok",
        verdict=_verdict(top, floor, pnn, settings) if n_nan == 0 else "review",
        n_flagged=n_top + n_floor,
        fraction_flagged=top + floor,
        size=top,
        n_top=n_top,
        n_floor=n_floor,
        n_nan=n_nan,
    )


def _verdict(top: float, floor: float, pnn: str, settings: QualitySettings) -> Verdict:
    limit = settings.scatter_margin_fraction if is_scatter(pnn) else settings.margin_fraction
    if top > max(limit, settings.fail_fraction):
        return "fail"
    return "review" if top > limit or floor > settings.floor_fraction else "pass"
