"""How hard property tests search: repeatably, and less where the kernels run as plain Python."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


def examples(number: int) -> settings:
    """Return settings for `number` examples, a fifth of them without the compiler."""
    return settings(
        max_examples=number if COMPILED else max(5, number // 5),
        derandomize=True,
        deadline=None,
        database=None,
        # what fails without the compiler is shrunk fast with it
        phases=[phase for phase in Phase if COMPILED or phase is not Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
