"""Tenants as administration uses them: listed, put and removed within its transaction."""

from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.tenants import store
from broker.identity.tenants.model import Door, Tenant
from broker.protocol.errors import OAuthError, Reason
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

    def closed(self, door: Door) -> OAuthError | None:
        """Why nobody goes through this door for now: its tenant is suspended."""
        if door.tenant is None:
            return None
        target, now = Target(Kind.TENANT, door.tenant), self._world.clock.now()
        off = self._world.database.read(lambda tx: live.first_off(tx, [target], now), door.tenant)
        return suspended() if off == target else None

    def remove(self, tx: Transaction, tenant: str) -> bool:
        removed = store.delete(tx, tenant)
        if removed:
            live.gone(tx, Target(Kind.TENANT, tenant), self._world.clock.now())
        return removed


def suspended() -> OAuthError:
    return OAuthError(
        "access_denied", "This organization is suspended.", Reason.TENANT_OFF, redirectable=False
    )
