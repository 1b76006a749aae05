"""Connections as pages, the command line and other rooms see them; never with a token."""

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.estate.estate import Estate
from broker.estate.model import Resource
from broker.identity.tenants.model import Door
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.vault import reach, store
from broker.vault.ending import Ending
from broker.vault.model import Connection, Offer, Sealed, State
from broker.vault.sealing import Sealing
from keys.sealed import SealError

_BATCH = 100


class Connections:
    def __init__(self, world: World, recorder: Recorder, sealing: Sealing, ending: Ending) -> None:
        self._world, self._recorder = world, recorder
        self._sealing, self._ending = sealing, ending

    def offered(self, estate: Estate, door: Door, user_id: str, tenants: tuple[str, ...]) -> list[Offer]:
        """What this person can connect at this door, in these of their tenants; by name of the resource."""
        held = {(one.resource_id, one.tenant): one for one in self.of(user_id, tenants)}
        found = [
            Offer(resource, tenant, aim.provider.title, held.get((resource.id, tenant)))
            for resource in estate.resources.values()
            if (aim := reach.of(resource)) is not None
            for tenant in tenants
            if resource.serves(tenant) and estate.doors.serves(door, tenant)
        ]
        return sorted(found, key=lambda offer: (offer.resource.name.casefold(), offer.tenant))

    def of(self, user_id: str, tenants: tuple[str, ...]) -> list[Connection]:
        """Every connection of this person in these tenants that they did not end."""
        return [
            connection
            for tenant in tenants
            for connection in self._world.database.read(lambda tx: store.every(tx, user_id), tenant)
        ]

    def every(self, tenant: str | None = None, user_id: str | None = None) -> list[Connection]:
        """Of one tenant or of all, of one user or of all."""
        return self._world.database.read(lambda tx: store.every(tx, user_id), tenant)

    def get(self, connection_id: str, tenant: str | None = None) -> Connection | None:
        """Also one that was ended."""
        found = self._world.database.read(lambda tx: store.get(tx, connection_id), tenant)
        return None if found is None else found[0]

    def disconnect(
        self, user_id: str | None, connection_id: str, origin: Origin, why: str = "by its user"
    ) -> Connection | None:
        """End it: its tokens are erased here, and the provider is told once that is committed. None: not theirs.

        Without a `user_id` an administrator does it.
        """

        def unit(tx: Transaction) -> Connection | None:
            found = store.get(tx, connection_id)
            if found is None or found[0].state is State.DISCONNECTED:
                return None
            if user_id not in (None, found[0].user_id):
                return None
            tx = tx.inside(found[0].tenant)
            if self._ending.end(tx, *found, why, origin):
                return found[0]
            return unit(tx)  # it was refreshed meanwhile

        return self._world.database.write(unit)

    def end_all(
        self,
        tx: Transaction,
        why: str,
        *,
        user_id: str | None = None,
        resource_id: str | None = None,
        tenant: str | None = None,
    ) -> None:
        """Within `tx`: every connection of a user, at a resource or in a tenant, as when they are removed."""
        for connection in store.every(tx, user_id):
            if resource_id in (None, connection.resource_id) and tenant in (None, connection.tenant):
                found = store.get(tx, connection.id)
                if found is not None:
                    self._ending.end(tx, *found, why, None)

    def end_outside(self, tx: Transaction, user_id: str, tenants: tuple[str, ...]) -> None:
        """Within `tx`: those of a user in tenants of which they are no member any more."""
        gone = {one.tenant for one in store.every(tx, user_id)} - set(tenants)
        for tenant in sorted(gone):
            self.end_all(tx, "no member any more", user_id=user_id, tenant=tenant)

    def end_unserved(self, tx: Transaction, resource: Resource) -> None:
        """Within `tx`: those at a resource in tenants that it does not serve any more."""
        there = {one.tenant for one in store.every(tx, None) if one.resource_id == resource.id}
        for tenant in sorted(there):
            if not resource.serves(tenant):
                self.end_all(tx, "not served any more", resource_id=resource.id, tenant=tenant)

    def rewrap(self) -> int:
        """Seal data keys under the key-encryption key of now; how many were under another. No token is opened."""
        after, done = "", 0
        while True:
            found = self._otherwise_sealed(after)
            if not found:
                return done
            for connection_id, tenant in found:
                done += self._rewrapped(connection_id, tenant)
            after = found[-1][0]

    def unreadable(self) -> list[str]:
        """The connections whose tokens do not open: sealed under a lost key, or changed since."""
        found = []
        for connection in self.every():
            known = self._known(connection.id)
            if known is None or known[1] is None:
                continue
            try:
                self._sealing.opened(known[0], known[1])
            except SealError:
                found.append(connection.id)
        return found

    def _otherwise_sealed(self, after: str) -> list[tuple[str, str]]:
        return self._world.database.read(
            lambda tx: store.otherwise_sealed(tx, self._sealing.key_id, after, _BATCH)
        )

    def _known(self, connection_id: str) -> tuple[Connection, Sealed | None] | None:
        return self._world.database.read(lambda tx: store.get(tx, connection_id))

    def _rewrapped(self, connection_id: str, tenant: str) -> bool:
        """False where it does not open: what it was sealed under is not known here."""

        def unit(tx: Transaction) -> bool:
            found = store.get(tx, connection_id)
            if found is None or found[1] is None or found[1].key_id == self._sealing.key_id:
                return False
            connection, sealed = found[0], found[1]
            try:
                anew = self._sealing.rewrapped(connection, sealed)
            except SealError:
                return False
            if not store.rewrap(tx, connection.id, connection.version, anew):
                return False
            fact = Fact(
                "connection.rewrapped",
                tenant=tenant,
                subject=connection.user_id,
                downstream=connection.resource_id,
                change={"connection": connection.id},
            )
            self._recorder.record(tx, fact, None)
            return True

        return self._world.database.write(unit, tenant)
