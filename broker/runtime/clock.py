"""Time, read here and nowhere else."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""
        ...


class SystemClock:
    def now(self) -> float:
        return time.time()


def ticking() -> float:
    """Seconds of a clock that never jumps, to measure durations with; only differences mean anything."""
    return time.perf_counter()
