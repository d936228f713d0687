"""What workers under test do, of a pool and of a Dask cluster; imports little: they start soon."""

from __future__ import annotations

import os
import signal
import time


def perform(task: tuple[str, int]) -> object:
    """Play the part of a task; runs in the worker's process."""
    match task:
        case ("double", n):
            return 2 * n
        case ("pid", _):
            return os.getpid()
        case ("print", n):
            print("a library prints")
            return n
        case ("die", n):
            os._exit(n)
        case ("segfault", _):
            os.kill(os.getpid(), signal.SIGSEGV)
        case ("sleep", n):
            time.sleep(n)
        case ("allocate", _):
            try:
                hoard = [bytearray(1 << 26) for _ in range(1000)]
            except MemoryError as error:
                return type(error).__name__
            return len(hoard)
        case ("memory", _):
            import resource

            return resource.getrlimit(resource.RLIMIT_DATA)[0]
    return None
