"""A person, and their place in a tenant."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Membership:
    tenant: str
    roles: tuple[str, ...] = ()
    attributes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    email: str | None = None
    memberships: tuple[Membership, ...] = ()

    def tenants(self) -> tuple[str, ...]:
        return tuple(membership.tenant for membership in self.memberships)
