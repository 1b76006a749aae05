"""RFC 9111 section 4: documents of others, fetched once for all who ask, kept as long as they say within bounds."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar

from broker.runtime.clock import Clock
from broker.runtime.egress import Answer, Egress, EgressFailed, EgressUnacceptable

T = TypeVar("T")
V = TypeVar("V")
_MOST = 1024
_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?([0-9]{1,10})\"?\s*(?:,|$)", re.IGNORECASE)


class Unusable(Exception):
    """An answer came, and it is not what was asked for; it is never kept, nor is an older one used instead."""


class Crowded(EgressFailed):
    """Too many fetches are under way: nobody was asked."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`largest` in bytes, the rest in seconds: one fetch takes at most `seconds`, an answer is kept between `shortest`
    and `longest`, used `stale` longer while its host cannot be reached, and asked for anew once in `pause` at most.
    A host that answered nothing of use is left alone for `rest`; otherwise nothing is kept of an error. `at_once` is
    how many threads may fetch or wait for it, `of_one` how many of them for one source."""

    largest: int
    seconds: float
    shortest: float
    longest: float
    stale: float
    pause: float
    rest: float = 0.0
    at_once: int = 8
    of_one: int = 2


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """`asked_at`: when its host was asked last, also in vain."""

    value: T
    fetched_at: float
    fresh_until: float
    asked_at: float


class Fetcher(Generic[T]):
    """`read` makes the value of an answer, or raises Unusable."""

    def __init__(
        self, egress: Egress, clock: Clock, bounds: Bounds, read: Callable[[str, Answer], T]
    ) -> None:
        self._egress, self._clock, self._bounds, self._read = egress, clock, bounds, read
        self._kept: dict[str, Fetched[T]] = {}
        self._under_way: dict[str, Future[Fetched[T]]] = {}
        self._in_vain_at: dict[str, tuple[float, EgressFailed | Unusable]] = {}
        self._lock = threading.Lock()
        self._inside: Counter[str] = Counter()

    def seed(self, url: str, value: T, fetched_at: float) -> None:
        """What another process fetched, or this one before it began anew: good for the shortest time."""
        kept = self._kept.get(url)
        if kept is None or (kept.fetched_at < fetched_at and kept.value != value):
            self._keep(url, Fetched(value, fetched_at, fetched_at + self._bounds.shortest, fetched_at))

    def fresh(self, url: str) -> Fetched[T] | None:
        """What `get` would answer without asking anybody."""
        kept, now = self._kept.get(url), self._clock.now()
        if kept is None:
            return None
        if now < kept.fresh_until:
            return kept
        # Its host was asked in vain a moment ago.
        rests = kept.asked_at > kept.fetched_at and now < kept.asked_at + self._bounds.pause
        return kept if rests and self._usable(kept, now, away=True) else None

    def get(self, url: str, source: str | None = None) -> Fetched[T]:
        """A fresh value; a stale one while its host is away. EgressRefused, EgressFailed or Unusable.

        `source` is the stranger on whose word the URL is asked for.
        """
        kept = self.fresh(url)
        if kept is not None:
            return kept
        try:
            return self._fetch(url, source)
        except EgressFailed as error:
            return self._in_vain(url, error)

    def newer(self, url: str, source: str | None = None) -> Fetched[T]:
        """As `get`, but asked for anew unless that was done within the pause, also in vain."""
        kept = self._kept.get(url)
        if kept is not None and self._clock.now() < kept.asked_at + self._bounds.pause:
            return kept
        try:
            return self._fetch(url, source)
        except (EgressFailed, Unusable) as error:
            return self._in_vain(url, error)

    def _in_vain(self, url: str, error: Exception) -> Fetched[T]:
        """What is kept, where the error leaves it good: its host is away, or it is fresh."""
        kept, now = self._kept.get(url), self._clock.now()
        if kept is None or not self._usable(kept, now, isinstance(error, EgressFailed)):
            raise error
        if isinstance(error, Crowded):
            return kept
        tried = replace(kept, asked_at=now)
        self._keep(url, tried)
        return tried

    def _usable(self, kept: Fetched[T], now: float, away: bool) -> bool:
        return now < kept.fresh_until + (self._bounds.stale if away else 0.0)

    def _fetch(self, url: str, source: str | None = None) -> Fetched[T]:
        tried = self._in_vain_at.get(url)
        if tried is not None and self._clock.now() < tried[0] + self._bounds.rest:
            raise type(tried[1])(f"{tried[1]}, a moment ago")
        with self._lock:  # who fetches and who waits for it hold a thread alike
            if self._inside.total() >= self._bounds.at_once:
                raise Crowded("too many fetches are under way")
            if source is not None and self._inside[source] >= self._bounds.of_one:
                raise Crowded("too many fetches of one source are under way")
            self._inside[source or ""] += 1
            waited_for = self._under_way.get(url)
            if waited_for is None:
                mine: Future[Fetched[T]] = Future()
                self._under_way[url] = mine
        try:
            return self._fetched_now(url, mine) if waited_for is None else waited_for.result()
        finally:
            with self._lock:
                self._inside[source or ""] -= 1
                self._inside = +self._inside  # who is not inside is not remembered

    def _fetched_now(self, url: str, mine: Future[Fetched[T]]) -> Fetched[T]:
        """Fetch for all who wait for `mine`."""
        try:
            found = self._fetched(url)
        except BaseException as error:
            if isinstance(error, (EgressFailed, Unusable)) and self._bounds.rest:
                self._put(self._in_vain_at, url, (self._clock.now(), error))
            kept = self._kept.get(url)
            if isinstance(error, Unusable) and kept is not None and kept.fresh_until <= self._clock.now():
                self._kept.pop(url, None)  # its host took it back
            mine.set_exception(error)
            raise
        else:
            self._keep(url, found)
            mine.set_result(found)
            return found
        finally:
            with self._lock:
                del self._under_way[url]

    def _fetched(self, url: str) -> Fetched[T]:
        try:
            answer = self._egress.get(url, largest=self._bounds.largest, seconds=self._bounds.seconds)
        except EgressUnacceptable as error:
            raise Unusable(str(error)) from error
        if answer.status >= 500 or answer.status in (408, 429):
            raise EgressFailed(f"status {answer.status}")
        value, now = self._read(url, answer), self._clock.now()
        wanted = _freshness(answer, now)
        until = now + min(max(wanted, self._bounds.shortest), self._bounds.longest)
        return Fetched(value, now, until, now)

    def _keep(self, url: str, found: Fetched[T]) -> None:
        self._put(self._kept, url, found)

    def _put(self, into: dict[str, V], url: str, value: V) -> None:
        """As the newest; the oldest make room."""
        with self._lock:
            into.pop(url, None)
            while len(into) >= _MOST:
                del into[next(iter(into))]
            into[url] = value


def _freshness(answer: Answer, now: float) -> float:
    """RFC 9111 section 4.2: for how many seconds the answer says that it is good; 0 when it says nothing or no."""
    control = answer.headers.get("cache-control", "")
    if re.search(r"(?:^|,)\s*no-(?:store|cache)\b", control, re.IGNORECASE):
        return 0.0
    if found := _MAX_AGE.search(control):
        age = answer.headers.get("age", "0")
        return max(0.0, float(found[1]) - (float(age) if age.isascii() and age.isdecimal() else 0.0))
    try:
        return max(0.0, parsedate_to_datetime(answer.headers["expires"]).timestamp() - now)
    except (KeyError, ValueError, OverflowError):
        return 0.0
