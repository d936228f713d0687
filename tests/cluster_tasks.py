"""Tasks for the workers of a Dask cluster under test; imports little, so that they start soon."""

from __future__ import annotations

import os
import time


def perform(task: tuple[str, int]) -> object:
    """Play the part of a task; runs in a process of a Dask worker."""
    match task:
        case ("double", n):
            return 2 * n
        case ("die", n):
            os._exit(n)
        case ("sleep", n):
            time.sleep(n)
        case ("memory", _):
            import resource

            return resource.getrlimit(resource.RLIMIT_DATA)[0]
    return None
