"""What is listed on the pages of an account."""

from dataclasses import dataclass

from broker.authorization.model import Details, Grant
from broker.denials.model import edge_ends
from broker.estate.model import Resource
from broker.identity.clients.model import Client


@dataclass(frozen=True, slots=True)
class System:
    """A downstream system by its id, the resources that reach it, and the scopes with which any of them does."""

    id: str
    sources: tuple[str, ...]
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class App:
    """What a person allowed one client at one resource in one tenant, however often they were asked.

    `grants` are newest first and never empty; the newest gives it its `id`. `client` and `resource` are None when
    they are gone. `ended`: nothing of it is in force any more. `tenants`: where the person may let the client work, if
    there are several, and at the door where they are asked; `chosen`: the one that they chose, None when they will be
    asked.
    """

    grants: tuple[Grant, ...]
    client: Client | None
    resource: Resource | None
    tenant_name: str
    ended: bool = False
    tenants: tuple[str, ...] = ()
    chosen: str | None = None

    @property
    def id(self) -> str:
        return self.grants[0].id

    @property
    def newest(self) -> Grant:
        return self.grants[0]

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(scope for grant in self.grants for scope in grant.scopes))

    @property
    def identity(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(scope for grant in self.grants for scope in grant.identity))

    @property
    def details(self) -> tuple[Details, ...]:
        """To which calls it is narrowed; a grant without details is not narrowed at all."""
        found: list[Details] = []
        if not all(grant.details for grant in self.grants):
            return ()
        for grant in self.grants:
            found += [detail for detail in grant.details if detail not in found]
        return tuple(found)

    @property
    def downstream(self) -> tuple[System, ...]:
        """What is reached, each system once."""
        found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        for grant in self.grants:
            for along, scopes in grant.downstream.items():
                source, target = edge_ends(along)
                sources, reached = found.setdefault(target, ({}, {}))
                sources[source] = None
                reached.update(dict.fromkeys(scopes))
        return tuple(
            System(target, tuple(sorted(sources)), tuple(scopes))
            for target, (sources, scopes) in sorted(found.items())
        )

    @property
    def since(self) -> float:
        return min(grant.created_at for grant in self.grants)

    @property
    def last_used_at(self) -> float | None:
        return max((grant.last_used_at for grant in self.grants if grant.last_used_at), default=None)

    @property
    def stays_until(self) -> float | None:
        """Until when it may renew its access by itself; None when it has to ask again."""
        return max((grant.expires_at for grant in self.grants if grant.offline), default=None)
