"""What a counter tells, and the verbs that memory and Redis share."""

from collections.abc import Sequence
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
class Bucket:
    """One rate (GCRA, a leaky bucket as a meter): one in `interval` seconds, and `burst` at once after a rest.

    `key` is whom `bucket` counts, `cost` how many this takes.
    """

    bucket: str
    key: str
    interval: float
    burst: int
    cost: int = 1

    @property
    def amount(self) -> float:
        """Seconds that it takes."""
        return self.cost * self.interval

    @property
    def depth(self) -> float:
        """Seconds that there are."""
        return self.burst * self.interval

    @property
    def tolerance(self) -> float:
        """Seconds of rounding, at the size of times."""
        return min(0.001, self.interval / 2)


@dataclass(frozen=True, slots=True)
class Denied:
    """The rate that is used up, and in how many seconds it will do."""

    bucket: Bucket
    seconds: float


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

    def take(self, buckets: Sequence[Bucket], now: float) -> Denied | None:
        """Take from all of them, or from none: then the one that takes longest to be enough. Each is named once."""
        ...

    def give_back(self, buckets: Sequence[Bucket]) -> None:
        """What `take` took a moment ago was not used."""
        ...

    def lease(self, bucket: str, key: str, holder: str, most: int, seconds: float, now: float) -> bool:
        """Hold one of `most` places until `release`, and `seconds` at the longest; who holds one holds it anew."""
        ...

    def release(self, bucket: str, key: str, holder: str) -> None:
        """The place is free again, whether or not it was held."""
        ...

    def sweep(self, now: float) -> None:
        """Forget what has ended."""
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


def taken(kept: float | None, bucket: Bucket, now: float) -> tuple[float, float]:
    """The time until which the bucket is used up with one more take, and the seconds until that is allowed.

    `kept`: the time before. One too far ahead, as the clock went back or the rate is a lower one now, is none.
    """
    full = now + bucket.depth
    begins = now if kept is None or kept > full + SKEW else max(now, kept)
    until = begins + bucket.amount
    return until, until - full
