"""Values read once and used by every request until their version stamps move (looked at every 250 ms at most)."""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from broker.runtime.clock import Clock
from broker.runtime.database import Database, Transaction, Unavailable, stamps

T = TypeVar("T")
REREAD_SECONDS = 0.25
_within: ContextVar[bool] = ContextVar("within", default=False)


class Snapshots:
    """All snapshots of a process: one look at the stamps serves them all, so they never differ among themselves."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._all: list[Snapshot[Any]] = []
        self._looked = float("-inf")

    def of(self, name: str, load: Callable[[Transaction], T]) -> "Snapshot[T]":
        """What `load` reads, and reads again when the stamp `name` has moved."""
        snapshot = Snapshot(self, name, load)
        self._all.append(snapshot)
        self._looked = float("-inf")
        return snapshot

    def look(self) -> None:
        """Nothing but a comparison on all but four calls a second, and nothing within a unit of work.

        A unit that waited for a second connection, while others hold all there are, would wait for itself.
        """
        now = self._clock.now()
        if _within.get() or self._fresh(now):
            return
        with self._lock:
            if not self._fresh(now):
                self._read(now)

    def refresh(self) -> None:
        """Look at the stamps now: what this process just changed, it sees at once."""
        with self._lock:
            self._read(self._clock.now())

    def _fresh(self, now: float) -> bool:
        return 0 <= now - self._looked < REREAD_SECONDS

    def _read(self, now: float) -> None:
        try:
            self._database.read(self._follow)
        except Unavailable:
            if any(snapshot.value is None for snapshot in self._all):
                raise
        self._looked = now

    def _follow(self, tx: Transaction) -> None:
        numbers = stamps(tx)
        for snapshot in self._all:
            snapshot.follow(tx, numbers.get(snapshot.name, 0))


class Snapshot(Generic[T]):
    """One value of a process; made by `Snapshots.of`."""

    def __init__(self, snapshots: Snapshots, name: str, load: Callable[[Transaction], T]) -> None:
        self._snapshots, self.name, self._load = snapshots, name, load
        self._number = -1
        self.value: T | None = None

    def get(self) -> T:
        self._snapshots.look()
        assert self.value is not None, "a unit of work began before the first look"
        return self.value

    def refresh(self) -> T:
        self._snapshots.refresh()
        assert self.value is not None
        return self.value

    def follow(self, tx: Transaction, number: int) -> None:
        if number != self._number or self.value is None:
            self.value, self._number = self._load(tx), number


class Settled:
    """A database whose units begin after a look at the snapshots, find them still, and never begin another unit."""

    def __init__(self, database: Database, snapshots: Snapshots) -> None:
        self._database, self._snapshots = database, snapshots

    def write(
        self, work: Callable[[Transaction], T], tenant: str | None = None, *, throwing: bool = False
    ) -> T:
        self._begin()
        return self._database.write(_inside(work), tenant, throwing=throwing)

    def read(self, work: Callable[[Transaction], T], tenant: str | None = None) -> T:
        self._begin()
        return self._database.read(_inside(work), tenant)

    def close(self) -> None:
        self._database.close()

    def _begin(self) -> None:
        if _within.get():
            raise RuntimeError("a unit of work may not begin another")
        self._snapshots.look()


def _inside(work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
    """`work`, marked in whichever thread the engine runs it."""

    def marked(tx: Transaction) -> T:
        token = _within.set(True)
        try:
            return work(tx)
        finally:
            _within.reset(token)

    return marked
