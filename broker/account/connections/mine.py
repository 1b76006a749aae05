"""OWASP ASVS V8.2: which systems a person can connect here, and what they have connected, gone systems among it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.account.visitor import Visitor, tenants_at
from broker.estate.estate import Estate
from broker.estate.model import Resource
from broker.identity.federation.model import Provider
from broker.identity.tenants.model import Door
from broker.vault.connections import Connections
from broker.vault.model import Connection


@dataclass(frozen=True, slots=True)
class Place:
    """A system in one tenant, and the person's connection to it. `resource` is None where it cannot be connected."""

    resource_id: str
    tenant: str
    resource: Resource | None
    connection: Connection | None

    @property
    def key(self) -> str:
        """What signing in carries, to lead on here."""
        return f"{self.resource_id}~{self.tenant}"


class Mine:
    def __init__(
        self,
        connections: Connections,
        estate: Callable[[], Estate],
        providers: Callable[[], Mapping[str, Provider]],
    ) -> None:
        self._connections, self._estate, self._providers = connections, estate, providers

    def places(self, door: Door, visitor: Visitor) -> list[Place]:
        """All of them at this door, those on offer first."""
        user, tenants = visitor.user, self._tenants(door, visitor)
        offers = self._connections.offered(self._estate(), door, user.id, tenants)
        found = [Place(one.resource.id, one.tenant, one.resource, one.connection) for one in offers]
        shown = {(place.resource_id, place.tenant) for place in found}
        gone = [
            Place(one.resource_id, one.tenant, None, one)
            for one in self._connections.of(user.id, tenants)
            if (one.resource_id, one.tenant) not in shown
        ]
        return found + gone

    def at(self, door: Door, visitor: Visitor, resource_id: str, tenant: str | None) -> list[Place]:
        """This system in this tenant; without one, in each of the person's tenants."""
        return [
            place
            for place in self.places(door, visitor)
            if place.resource_id == resource_id and tenant in (None, place.tenant)
        ]

    def connected(self, door: Door, visitor: Visitor) -> int:
        """How many accounts elsewhere this person has connected."""
        return len(self._connections.of(visitor.user.id, self._tenants(door, visitor)))

    def _tenants(self, door: Door, visitor: Visitor) -> tuple[str, ...]:
        return tenants_at(door, visitor, self._estate(), self._providers())
