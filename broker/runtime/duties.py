"""Background duties: done in turn by one thread, and where a lease is asked for, by one process among all."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from broker.runtime.clock import Clock
from broker.runtime.database import Conflict, Database, Transaction, Unavailable, lease, release
from broker.runtime.log import logger
from broker.runtime.metrics import Metrics

LEASE_SECONDS = 30.0
RENEW_SECONDS = 10.0
_log = logger("duties")


@dataclass(frozen=True, slots=True)
class Duty:
    """`run` every so many seconds; `leased`: by one process among all that share the database."""

    name: str
    every: float
    run: Callable[[], object]
    leased: bool = True


class Duties:
    """Call `tick` once a second or so, and `stop` at the end; both from the same thread."""

    def __init__(
        self, database: Database, clock: Clock, metrics: Metrics, holder: str, duties: Iterable[Duty]
    ) -> None:
        self._database, self._clock, self._metrics, self._holder = database, clock, metrics, holder
        self._duties = tuple(duties)
        self._leased = tuple(duty.name for duty in self._duties if duty.leased)
        self._held: dict[str, float] = {}
        self._asked = float("-inf")
        self._done: dict[str, float] = {}

    def tick(self) -> None:
        """Renew what is held, claim what is free, do what is due. Raises nothing that a duty or database raises."""
        for duty in self._duties:
            self._renew()  # before each: the one before may have taken its time
            now = self._clock.now()
            if duty.leased and not self._holds(duty.name, now):
                continue
            if 0 <= now - self._done.get(duty.name, float("-inf")) < duty.every:
                continue
            self._done[duty.name] = now
            self._run(duty)

    def stop(self) -> None:
        """Let another process take over at once."""
        held, self._held = [*self._held], {}
        self._tell()
        if not held:
            return

        def let_go(tx: Transaction) -> None:
            for name in held:
                release(tx, name, self._holder)

        try:
            self._database.write(let_go)
        except (Unavailable, Conflict) as error:
            _log.warning("leases not released", kind=type(error).__name__)

    def _holds(self, name: str, now: float) -> bool:
        return now < self._held.get(name, float("-inf"))

    def _renew(self) -> None:
        now = self._clock.now()
        if not self._leased or 0 <= now - self._asked < RENEW_SECONDS:
            return
        self._asked = now

        def ask(tx: Transaction) -> list[str]:
            return [name for name in self._leased if lease(tx, name, self._holder, now, LEASE_SECONDS)]

        try:
            got = self._database.write(ask)
        except (Unavailable, Conflict) as error:
            # What is held ends by itself unless a later round renews it; a Conflict is a claim lost to another.
            _log.warning("leases not renewed", kind=type(error).__name__)
            return
        if lost := [name for name in self._held if name not in got]:
            _log.warning("leases lost", duties=lost)
        self._held = dict.fromkeys(got, now + LEASE_SECONDS)
        self._tell()

    def _run(self, duty: Duty) -> None:
        outcome = "done"
        try:
            duty.run()
        except Exception as error:  # noqa: BLE001  the duty runs again; its failure is seen in log and metrics
            outcome = "failed"
            _log.error("duty failed", duty=duty.name, kind=type(error).__name__)
        if duty.leased or outcome == "failed":
            self._metrics.duties.labels(duty.name, outcome).inc()

    def _tell(self) -> None:
        for name in self._leased:
            self._metrics.leases.labels(name).set(1 if name in self._held else 0)
