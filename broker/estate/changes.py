"""The rows of the estate as administration uses them: loaded, listed, put and removed within its transaction."""

from collections.abc import Iterable
from dataclasses import replace

from broker.denials import live
from broker.denials.model import Kind, Target
from broker.estate import store
from broker.estate.catalogue import catalogue
from broker.estate.estate import STAMP, Estate
from broker.estate.model import Edge, Resource
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.tenants import Tenants
from broker.runtime.database import Transaction, bump
from broker.runtime.world import World


class Changes:
    def __init__(self, world: World, tenants: Tenants, issuer: str) -> None:
        self._world, self._tenants, self._issuer = world, tenants, issuer

    def load(self, tx: Transaction) -> Estate:
        """The estate as this transaction sees it."""
        doors = Doors.of(self._issuer, self._tenants.every(tx))
        return Estate.of(doors, catalogue.joined(tx, store.resources(tx)), store.edges(tx))

    def resources(self, tx: Transaction) -> list[Resource]:
        """As the estate file has them, without what is kept of their tools."""
        return store.resources(tx)

    def joined(self, tx: Transaction, resources: Iterable[Resource]) -> list[Resource]:
        """These, with what is kept of their tools."""
        return catalogue.joined(tx, resources)

    def edges(self, tx: Transaction) -> list[Edge]:
        return store.edges(tx)

    def put_resource(self, tx: Transaction, resource: Resource) -> None:
        """Create or change; `Conflict` when the id was used before or the URI is another resource's."""
        store.put_resource(tx, resource)

    def remove_resource(self, tx: Transaction, resource_id: str) -> bool:
        removed = store.remove_resource(tx, resource_id)
        if removed:
            catalogue.forget(tx, resource_id)
            live.gone(tx, Target(Kind.RESOURCE, resource_id), self._world.clock.now())
        return removed

    def put_edge(self, tx: Transaction, edge: Edge, by: str | None = None) -> None:
        """Create it for `by`, or change it."""
        store.put_edge(tx, replace(edge, created_at=self._world.clock.now(), created_by=by))

    def remove_edge(self, tx: Transaction, source: str, target: str) -> bool:
        return store.remove_edge(tx, source, target)

    def announce(self, tx: Transaction) -> None:
        """Make every process read the estate anew once `tx` commits."""
        bump(tx, STAMP)
