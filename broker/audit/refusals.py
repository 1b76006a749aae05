"""Evidence of refusals: always for those we know, the first ten a minute and then a number for strangers."""

import ipaddress
import threading
from collections.abc import Callable

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.log import note
from broker.runtime.world import World

PER_MINUTE = 10
_MINUTE = 60.0
_MOST_SOURCES = 10_000
_OTHERS = "others"


class Refusals:
    """Records a refusal in a transaction of its own, which commits whatever became of the act."""

    def __init__(self, world: World, recorder: Recorder) -> None:
        self._world, self._recorder = world, recorder
        self._lock = threading.Lock()
        self._over: dict[tuple[str, int], int] = {}

    def record(
        self,
        fact: Fact,
        origin: Origin,
        *,
        known: bool,
        consequence: Callable[[Transaction], None] | None = None,
    ) -> None:
        """Commit the evidence, and with it the refusal's consequence. `known`: an authenticated client or user."""
        note(reason=fact.reason.value if fact.reason else None)
        now = self._world.clock.now()
        write = known or consequence is not None
        if not write:
            key = source_key(origin.source)
            write = self._world.ephemeral.hit("refusals", key, _MINUTE, now).count <= PER_MINUTE
            if not write:
                self._count(key, int(now // _MINUTE))
        counted = self._due(now)
        if not write and not counted:
            return

        def refusal(tx: Transaction) -> None:
            if write:
                if consequence is not None:
                    consequence(tx)
                self._recorder.record(tx, fact, origin)

        self._commit(counted, refusal, throwing=consequence is not None)

    @property
    def waiting(self) -> int:
        """How many refusals are counted and not yet recorded."""
        with self._lock:
            return sum(self._over.values())

    def flush(self) -> None:
        """The background duty: commit the counts of minutes that are over."""
        counted = self._due(self._world.clock.now())
        if counted:
            self._commit(counted, lambda tx: None, throwing=False)

    def _commit(
        self, counted: dict[tuple[str, int], int], refusal: Callable[[Transaction], None], *, throwing: bool
    ) -> None:
        def unit(tx: Transaction) -> None:
            for (source, _), count in counted.items():
                self._recorder.record(
                    tx, Fact("refusals.counted", Outcome.DENIED, count=count), Origin("", source, "")
                )
            refusal(tx)

        try:
            self._world.database.write(unit, throwing=throwing)
        except BaseException:
            for (source, minute), count in counted.items():
                self._count(source, minute, count)
            raise

    def _count(self, source: str, minute: int, more: int = 1) -> None:
        with self._lock:
            if (source, minute) not in self._over and len(self._over) >= _MOST_SOURCES:
                source = _OTHERS
            self._over[(source, minute)] = self._over.get((source, minute), 0) + more

    def _due(self, now: float) -> dict[tuple[str, int], int]:
        """Takes out what was counted in minutes other than this one: the number by source and minute."""
        if not self._over:
            return {}
        this = int(now // _MINUTE)
        with self._lock:
            due = {key: count for key, count in self._over.items() if key[1] != this}
            for key in due:
                del self._over[key]
        return due


def source_key(source: str) -> str:
    """Whom a limit counts against: an IPv4 address, or the /64 that one IPv6 household has."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address.ipv4_mapped)
    return str(address)
