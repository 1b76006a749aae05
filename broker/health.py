"""How the server is: the parts that readiness names, and the gauges that metrics show."""

import threading
from collections import Counter
from collections.abc import Mapping

from broker import schema
from broker.audit.model import Fact
from broker.compose import Broker
from broker.runtime.clock import ticking
from broker.runtime.database import Conflict, Transaction, Unavailable, bump
from broker.web.health import State

_KEPT_SECONDS = 1.0
_WAIT_SECONDS = 2.0
_STAMP = "health"
_PARTS = ("database", "audit", "schema", "keys", "counters")
_STATES = ("pending", "active", "retiring")


class _Undone(Exception):
    """Rolls a trial back."""


class Health:
    """What it found is kept for a second: everybody may ask, and nobody can make it write more than that."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._parts: Mapping[str, State] = {}
        self._looked = float("-inf")
        self._failures = 0

    def look(self) -> Mapping[str, State]:
        """The state of each part. Who waits for another's look in vain learns that the database hangs."""
        if not self._lock.acquire(timeout=_WAIT_SECONDS):
            return dict.fromkeys(_PARTS, State.DOWN)
        try:
            if ticking() - self._looked >= _KEPT_SECONDS:
                self._parts = self._look()
                self._looked = ticking()
            return self._parts
        finally:
            self._lock.release()

    def gauges(self) -> None:
        """Bring the gauges up to now."""
        metrics, ephemeral = self._broker.metrics, self._broker.world.ephemeral
        ring = self._broker.door_keys.ring()
        doors = {name.door for name in ring.names()}
        found = Counter(record.state.value for door in doors for record in ring.published(door))
        for state in _STATES:
            metrics.keys.labels(state).set(found[state])
        metrics.waiting.set(self._broker.refusals.waiting)
        failures = ephemeral.failures
        metrics.ephemeral_failures.inc(failures - self._failures)
        self._failures = failures

    def _look(self) -> Mapping[str, State]:
        counters = State.OK if self._broker.world.ephemeral.healthy() else State.DEGRADED
        found = (self._writes(), self._records(), self._migrated(), self._signs(), counters)
        return dict(zip(_PARTS, found, strict=True))

    def _writes(self) -> State:
        """A commit, because a full disk shows itself no earlier."""
        try:
            self._broker.world.database.write(lambda tx: bump(tx, _STAMP))
        except Conflict:
            pass  # another process was first, and wrote
        except Unavailable:
            return State.DOWN
        return State.OK

    def _records(self) -> State:
        """A record of evidence, taken back."""

        def trial(tx: Transaction) -> None:
            self._broker.recorder.record(tx, Fact("refusals.counted", count=0))
            raise _Undone

        try:
            self._broker.world.database.write(trial)
        except Unavailable:
            return State.DOWN
        except _Undone:
            pass
        return State.OK

    def _migrated(self) -> State:
        try:
            return State.DOWN if self._broker.world.database.read(schema.behind) else State.OK
        except Unavailable:
            return State.DOWN

    def _signs(self) -> State:
        """Every ring there is has a key that signs, and every door a ring."""
        try:
            ring, doors = self._broker.door_keys.ring(), self._broker.estate().doors.all()
        except Unavailable:
            return State.DOWN
        names = ring.names()
        complete = {door.issuer for door in doors} <= {name.door for name in names}
        return State.OK if complete and all(ring.active(name) for name in names) else State.DOWN
