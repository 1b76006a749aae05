"""What a counter tells, and the verbs that memory and Redis share."""

from dataclasses import dataclass
from typing import Protocol

SKEW = 1.0
"""Seconds by which clocks of callers may differ: a caller a little behind the one that began a window is in it."""


@dataclass(frozen=True, slots=True)
class Hits:
    """How often within the running window, and how many seconds until it ends."""

    count: int
    ends_in: float


@dataclass(frozen=True, slots=True)
class Window:
    """What is kept of a key: when its window ends (epoch seconds of the callers' clock) and the hits in it."""

    ends: float
    count: int

    def hits(self, now: float) -> Hits:
        return Hits(self.count, self.ends - now)


class Ephemeral(Protocol):
    @property
    def failures(self) -> int:
        """How often the shared store did not do what it was asked, since the start; memory never fails."""
        ...

    def hit(self, bucket: str, key: str, window: float, now: float) -> Hits:
        """Count once more in a fixed window of `window` seconds and tell the count."""
        ...

    def seen(self, bucket: str, key: str, window: float, now: float) -> Hits:
        """The count without counting."""
        ...

    def forgive(self, bucket: str, key: str) -> None:
        """Take one hit back: it turned out well."""
        ...

    def sweep(self, now: float) -> None:
        """Forget windows that have ended."""
        ...

    def healthy(self) -> bool:
        """Whether limits hold for all processes together now; asks the shared store."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def running(kept: Window | None, window: float, now: float) -> Window:
    """The window that `now` falls into: the one kept, or a new one if that ended or the clock went back."""
    if kept is not None and now < kept.ends <= now + window + SKEW:
        return kept
    return Window(now + window, 0)
