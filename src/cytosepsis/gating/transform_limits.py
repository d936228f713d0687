"""What the parameters of a transform may be (Gating-ML 2.0, chapter 6; FlowJo's own: FlowJo)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields

from cytosepsis.transforms import (
    Asinh,
    Biex,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    OffsetLog,
    Transform,
)

MAX_BIEX_LENGTH = 1 << 20  # rows of a table that is computed per plan; FlowJo's have 256 to 4096


def transform_faults(transform: Transform) -> Iterator[str]:
    """Name each limit that a parameter breaks, under the standard's letters; none for a sound one.

    Where a parameter is not a finite number, only that is named: the other limits compare it.
    """
    names = [field.name for field in fields(transform)]
    unsound = [
        name
        for name in names
        if getattr(transform, name) is not None and not math.isfinite(getattr(transform, name))
    ]
    if unsound:
        yield f"{', '.join(unsound)} must be finite"
        return
    match transform:
        case Linear(top=t, additional=a):
            # The standard asks 0 <= A; a negative A is FlowJo's axis that starts above zero, and
            # any A above -T maps in the right direction.
            yield from _broken((t > 0, "T", t, "> 0"), (a > -t, "A", a, "> -T"))
        case Log(top=t, decades=m):
            yield from _broken((t > 0, "T", t, "> 0"), (m > 0, "M", m, "> 0"))
        case Asinh(top=t, decades=m, additional=a):
            yield from _broken(
                (t > 0, "T", t, "> 0"), (m > 0, "M", m, "> 0"), (0 <= a <= m, "A", a, "0 to M")
            )
        case Logicle(top=t, width=w, decades=m, additional=a):
            yield from _broken((w >= 0, "W", w, ">= 0"), *_two_sided(t, w, m, a))
        case Hyperlog(top=t, width=w, decades=m, additional=a):
            yield from _broken((w > 0, "W", w, "> 0"), *_two_sided(t, w, m, a))
        case Biex():
            yield from _biex_faults(transform)
        case OffsetLog(offset=offset, decades=decades):
            yield from _broken(
                (offset > 0, "offset", offset, "> 0"), (decades > 0, "decades", decades, "> 0")
            )
    low, high = transform.bound_min, transform.bound_max
    if low is not None and high is not None and not low < high:
        yield f"boundMin {low:g} must be less than boundMax {high:g}"


Limit = tuple[bool, str, float, str]


def _two_sided(t: float, w: float, m: float, a: float) -> tuple[Limit, ...]:
    """Limits that logicle and hyperlog share; Gating-ML 2.0, 6.4 and 6.5."""
    return (
        (t > 0, "T", t, "> 0"),
        (m > 0, "M", m, "> 0"),
        (2 * w <= m, "W", w, "at most M / 2"),
        (-w <= a <= m - 2 * w, "A", a, "-W to M - 2 W"),
    )


def _biex_faults(biex: Biex) -> Iterator[str]:
    width = biex.width
    whole = isinstance(biex.length, int) and 2 <= biex.length <= MAX_BIEX_LENGTH
    yield from _broken(
        (biex.max_range > 0, "maxRange", biex.max_range, "> 0"),
        (biex.negative >= 0, "neg", biex.negative, ">= 0"),
        (width <= -1, "width", width, "at most -1"),
        (whole, "length", biex.length, f"a whole number from 2 to {MAX_BIEX_LENGTH}"),
    )
    if width <= -1 and not biex.positive > math.log10(-width) / 2:
        yield f"pos is {biex.positive:g}, must be > log10(-width) / 2"


def _broken(*limits: Limit) -> Iterator[str]:
    for holds, name, found, wanted in limits:
        if not holds:
            yield f"{name} is {found:g}, must be {wanted}"
