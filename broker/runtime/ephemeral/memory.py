"""Counters, rates and places of one process, exact under threads and bounded in number."""

import heapq
import threading
from collections.abc import Callable, Sequence
from typing import Any

from broker.runtime.ephemeral.model import Bucket, Denied, Hits, Window, running, taken


class Memory:
    """The in-process store, bounded: at `capacity` keys of a kind, what has ended goes, then a tenth of the least used.

    Places are not taken from who holds them: where there is no room for more, there are no more.
    """

    failures = 0

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], Window] = {}
        self._rates: dict[tuple[str, str], float] = {}
        self._places: dict[tuple[str, str], dict[str, float]] = {}

    def hit(self, bucket: str, key: str, window: float, now: float) -> Hits:
        with self._lock:
            found = running(self._windows.get((bucket, key)), window, now)
            if (bucket, key) not in self._windows and len(self._windows) >= self._capacity:
                self._make_room(now)
            found = self._windows[(bucket, key)] = Window(found.ends, found.count + 1)
            return found.hits(now)

    def seen(self, bucket: str, key: str, window: float, now: float) -> Hits:
        with self._lock:
            return running(self._windows.get((bucket, key)), window, now).hits(now)

    def forgive(self, bucket: str, key: str) -> None:
        with self._lock:
            kept = self._windows.pop((bucket, key), None)
            if kept is not None and kept.count > 1:
                self._windows[(bucket, key)] = Window(kept.ends, kept.count - 1)

    def take(self, buckets: Sequence[Bucket], now: float) -> Denied | None:
        with self._lock:
            after: dict[tuple[str, str], float] = {}
            denied: Denied | None = None
            for bucket in buckets:
                named = (bucket.bucket, bucket.key)
                after[named], wait = taken(self._rates.get(named), bucket, now)
                if wait > bucket.tolerance and (denied is None or wait > denied.seconds):
                    denied = Denied(bucket, wait)
            if denied is None:
                if len(self._rates) + len(after) > self._capacity:
                    self._make_room_for_rates(now)
                self._rates.update(after)
            return denied

    def give_back(self, buckets: Sequence[Bucket]) -> None:
        with self._lock:
            for bucket in buckets:
                named = (bucket.bucket, bucket.key)
                if named in self._rates:
                    self._rates[named] -= bucket.amount

    def lease(self, bucket: str, key: str, holder: str, most: int, seconds: float, now: float) -> bool:
        with self._lock:
            kept = self._places.get((bucket, key), {})
            held = {name: ends for name, ends in kept.items() if ends > now}
            if holder not in held and len(held) >= most:
                return False
            if (bucket, key) not in self._places and len(self._places) >= self._capacity:
                self._drop_ended(now)
                if len(self._places) >= self._capacity:
                    return False
            self._places[(bucket, key)] = held | {holder: now + seconds}
            return True

    def release(self, bucket: str, key: str, holder: str) -> None:
        with self._lock:
            held = self._places.get((bucket, key), {})
            held.pop(holder, None)
            if not held:
                self._places.pop((bucket, key), None)

    def sweep(self, now: float) -> None:
        with self._lock:
            self._drop_ended(now)

    def healthy(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing to let go of."""

    def _drop_ended(self, now: float) -> None:
        self._windows = {key: kept for key, kept in self._windows.items() if kept.ends > now}
        self._rates = {key: until for key, until in self._rates.items() if until > now}
        self._places = {
            key: held for key, held in self._places.items() if any(ends > now for ends in held.values())
        }

    def _make_room(self, now: float) -> None:
        self._drop_ended(now)
        self._drop_least(self._windows, lambda key: self._windows[key].count)

    def _make_room_for_rates(self, now: float) -> None:
        self._drop_ended(now)
        self._drop_least(self._rates, lambda key: self._rates[key])

    def _drop_least(self, kept: dict[tuple[str, str], Any], size: Callable[[tuple[str, str]], float]) -> None:
        if len(kept) >= self._capacity:
            for key in heapq.nsmallest(max(1, self._capacity // 10), kept, key=size):
                del kept[key]
