"""Tenants as administration uses them: listed, put and removed within its transaction."""

from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.tenants import store
from broker.identity.tenants.model import Tenant
from broker.runtime.database import Transaction
from broker.runtime.world import World


class Tenants:
    def __init__(self, world: World) -> None:
        self._world = world

    def every(self, tx: Transaction) -> list[Tenant]:
        return store.every(tx)

    def put(self, tx: Transaction, tenant: Tenant) -> None:
        """Create or change; `Conflict` when the id belonged to a tenant that was deleted."""
        store.put(tx, tenant)

    def remove(self, tx: Transaction, tenant: str) -> bool:
        removed = store.delete(tx, tenant)
        if removed:
            live.gone(tx, Target(Kind.TENANT, tenant), self._world.clock.now())
        return removed
