"""How many ask providers at once: few of one resource, so that a provider that is slow stops no other one's answers."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Few:
    def __init__(self, in_all: int, of_one: int) -> None:
        self._in_all, self._of_one = in_all, of_one
        self._lock, self._asking = threading.Lock(), Counter[str]()

    @contextmanager
    def one(self, resource_id: str) -> Iterator[bool]:
        """False when as many ask already; nobody waits here."""
        with self._lock:
            may = self._asking[resource_id] < self._of_one and self._asking.total() < self._in_all
            self._asking[resource_id] += may
        try:
            yield may
        finally:
            with self._lock:
                self._asking[resource_id] -= may
