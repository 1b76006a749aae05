"""What is listed on the pages of an account."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.authorization.model import Details, Grant
from broker.estate.model import Resource
from broker.identity.clients.model import Client


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
    def downstream(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {}
        for grant in self.grants:
            for target, scopes in grant.downstream.items():
                found.setdefault(target, {}).update(dict.fromkeys(scopes))
        return {target: tuple(scopes) for target, scopes in found.items()}

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
