"""A value read once and used by every request until its version stamp moves (looked at every 250 ms at most)."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from broker.runtime.clock import Clock
from broker.runtime.database import Database, Transaction, Unavailable, stamp

T = TypeVar("T")
REREAD_SECONDS = 0.25


class Snapshot(Generic[T]):
    """Holds what `load` read at one stamp; `get` is a plain attribute read on all but four calls a second."""

    def __init__(self, name: str, database: Database, clock: Clock, load: Callable[[Transaction], T]) -> None:
        self._name, self._database, self._clock, self._load = name, database, clock, load
        self._lock = threading.Lock()
        self._number = -1
        self._looked = float("-inf")
        self._value: T | None = None

    def get(self) -> T:
        now = self._clock.now()
        if self._value is None or not 0 <= now - self._looked < REREAD_SECONDS:
            with self._lock:
                if self._value is None or not 0 <= now - self._looked < REREAD_SECONDS:
                    self._look(now)
        assert self._value is not None
        return self._value

    def refresh(self) -> T:
        """Look at the stamp now: what this process just changed, it sees at once."""
        with self._lock:
            self._look(self._clock.now())
        assert self._value is not None
        return self._value

    def _look(self, now: float) -> None:
        try:
            self._database.read(self._read)
        except Unavailable:
            if self._value is None:
                raise
        self._looked = now

    def _read(self, tx: Transaction) -> None:
        number = stamp(tx, self._name)
        if number != self._number or self._value is None:
            self._value, self._number = self._load(tx), number
