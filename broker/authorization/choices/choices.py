"""OAuth 2.1 section 7.9: a person with several tenants is asked once for which one a client works, and told where to
change it.
"""

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.authorization.choices import store
from broker.authorization.choices.model import Choice
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class Choices:
    """Every verb works within a transaction of the server: a choice is between tenants. `lifetime` in seconds."""

    def __init__(self, world: World, recorder: Recorder, lifetime: float) -> None:
        self._world, self._recorder, self._lifetime = world, recorder, lifetime

    def of(self, tx: Transaction, user_id: str, client_id: str) -> str | None:
        """The tenant that this person chose for the client; whether it still stands is another question."""
        found = store.find(tx, user_id, client_id, self._world.clock.now())
        return None if found is None else found.tenant

    def remember(
        self, tx: Transaction, user_id: str, client_id: str, tenant: str, origin: Origin | None
    ) -> None:
        """From now on it is this one; recorded when it was another, or none."""
        now = self._world.clock.now()
        before = store.find(tx, user_id, client_id, now)
        if before is not None and before.tenant != tenant:
            store.forget(tx, user_id, client_id)
        store.keep(tx, Choice(user_id, client_id, tenant, now, now + self._lifetime))
        if before is None or before.tenant != tenant:
            change: dict[str, object] = {} if before is None else {"before": before.tenant}
            self._record(tx, "tenant.chosen", tenant, user_id, client_id, change, origin)

    def forget(self, tx: Transaction, user_id: str, client_id: str, origin: Origin | None) -> bool:
        """The person is asked again the next time. False when nothing was remembered."""
        before = store.find(tx, user_id, client_id, self._world.clock.now())
        if before is None or not store.forget(tx, user_id, client_id):
            return False
        self._record(tx, "tenant.forgotten", before.tenant, user_id, client_id, {}, origin)
        return True

    def sweep(self, tx: Transaction, now: float) -> None:
        store.sweep(tx, now)

    def _record(
        self,
        tx: Transaction,
        name: str,
        tenant: str,
        user_id: str,
        client_id: str,
        change: dict[str, object],
        origin: Origin | None,
    ) -> None:
        fact = Fact(name, tenant=tenant, subject=user_id, client=client_id, change=change)
        self._recorder.record(tx, fact, origin)
