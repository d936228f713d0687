"""How hard property tests search: repeatably, and less where the kernels run as plain Python."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


def examples(number: int) -> settings:
    """Return settings for `number` examples, an eighth of them without the compiler."""
    return settings(
        max_examples=number if COMPILED else max(10, number // 8),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
