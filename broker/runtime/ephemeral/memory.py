"""Counters of one process, exact under threads and bounded in number."""

import heapq
import threading

from broker.runtime.ephemeral.model import Hits, Window, running


class Memory:
    """The in-process store, bounded: at `capacity` keys, finished windows go, then a tenth with the fewest hits."""

    failures = 0

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], Window] = {}

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
            kept = self._windows.get((bucket, key))
            if kept is not None:
                self._windows[(bucket, key)] = Window(kept.ends, max(0, kept.count - 1))

    def sweep(self, now: float) -> None:
        with self._lock:
            self._drop_ended(now)

    def healthy(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing to let go of."""

    def _drop_ended(self, now: float) -> None:
        self._windows = {key: kept for key, kept in self._windows.items() if kept.ends > now}

    def _make_room(self, now: float) -> None:
        self._drop_ended(now)
        if len(self._windows) >= self._capacity:
            least = heapq.nsmallest(
                max(1, self._capacity // 10), self._windows, key=lambda key: self._windows[key].count
            )
            for key in least:
                del self._windows[key]
