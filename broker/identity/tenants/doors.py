"""RFC 8414 section 2: which issuers this server is, as an immutable snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.identity.tenants.model import Door, Tenant


@dataclass(frozen=True, slots=True)
class Doors:
    """Every door of this server: found by path when a request comes in, by issuer when a token does."""

    root: Door
    tenants: Mapping[str, Tenant]

    @classmethod
    def of(cls, issuer: str, tenants: list[Tenant]) -> "Doors":
        return cls(Door(issuer, "", None), {tenant.id: tenant for tenant in tenants})

    def for_tenant(self, tenant: str) -> Door | None:
        """The door of a tenant, or None when there is no such tenant."""
        if tenant not in self.tenants:
            return None
        path = f"/t/{tenant}"
        return Door(self.root.issuer + path, path, tenant)

    def at_path(self, tenant: str | None) -> Door | None:
        """The door that an address names: None is the root."""
        return self.root if tenant is None else self.for_tenant(tenant)

    def by_issuer(self, issuer: str) -> Door | None:
        if issuer == self.root.issuer:
            return self.root
        prefix = self.root.issuer + "/t/"
        return self.for_tenant(issuer[len(prefix) :]) if issuer.startswith(prefix) else None

    def all(self) -> list[Door]:
        found = [self.root, *(self.for_tenant(tenant) for tenant in self.tenants)]
        return [door for door in found if door is not None]

    def serves(self, door: Door, tenant: str) -> bool:
        """Whether what belongs to `tenant` may come through `door`."""
        known = self.tenants.get(tenant)
        if known is None:
            return False
        return known.root_door if door.tenant is None else door.tenant == tenant

    def pushed_only(self, tenant: str | None) -> bool:
        """Whether this tenant takes no authorization request that was not pushed."""
        known = self.tenants.get(tenant) if tenant is not None else None
        return known is not None and known.pushed_only

    def pushed_only_at(self, door: Door) -> bool:
        """Whether every tenant behind this door takes pushed requests only."""
        behind = [tenant for tenant in self.tenants if self.serves(door, tenant)]
        return bool(behind) and all(self.pushed_only(tenant) for tenant in behind)

    def devices_at(self, door: Door) -> bool:
        """Whether any tenant behind this door lets its people connect devices."""
        return any(tenant.device and self.serves(door, tenant.id) for tenant in self.tenants.values())

    def name(self, door: Door, server_name: str) -> str:
        return server_name if door.tenant is None else self.tenants[door.tenant].name
