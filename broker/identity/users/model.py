"""A person, and their place in a tenant."""

from dataclasses import dataclass, field

GROUP = "group:"


@dataclass(frozen=True, slots=True)
class Membership:
    tenant: str
    roles: tuple[str, ...] = ()
    attributes: dict[str, object] = field(default_factory=dict)

    def parts(self) -> frozenset[str]:
        """Roles, and as `group:NAME` the groups that the attribute `groups` names: a text, or a list of them."""
        said = self.attributes.get("groups")
        named = said if isinstance(said, list) else [said]
        groups = (f"{GROUP}{name}" for name in named if isinstance(name, str))
        return frozenset((*(role for role in self.roles if not role.startswith(GROUP)), *groups))


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    email: str | None = None
    memberships: tuple[Membership, ...] = ()

    def tenants(self) -> tuple[str, ...]:
        return tuple(membership.tenant for membership in self.memberships)
