"""RFC 8725 section 3.8: where an issuer's word counts, and which workload its claims are; pure."""

from collections.abc import Iterable, Mapping

from broker.identity.federation.trusted.model import TrustedIssuer, Use, Workload
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Door
from broker.protocol import resource as resource_uri

SEPARATOR = "#"
"""Between an issuer and its own tenant, or its subject: no issuer has one."""


def served(entry: TrustedIssuer, door: Door, doors: Doors) -> list[str]:
    """The tenants for which its word counts at this door: a tenant's own issuer speaks at its own door alone."""
    if entry.tenant is not None and entry.tenant != door.tenant:
        return []
    return [tenant for tenant in entry.tenants if doors.serves(door, tenant)]


def trusted(
    issuers: Iterable[TrustedIssuer], issuer: object, use: Use, door: Door, doors: Doors
) -> TrustedIssuer | None:
    """The entry by which this issuer, to the letter, is believed at this door: the tenant's own before the server's.

    Our own doors never are: nobody gets in here by what they got out of here.
    """
    if isinstance(issuer, str) and ours(issuer, doors):
        return None
    found = [
        entry
        for entry in issuers
        if entry.issuer == issuer and use in entry.uses and served(entry, door, doors)
    ]
    return next((entry for entry in found if entry.tenant is not None), found[0] if found else None)


def ours(issuer: str, doors: Doors) -> bool:
    """Whether an issuer is a door of this server, or looks like one."""
    root, named = resource_uri.folded(doors.root.issuer), resource_uri.folded(issuer)
    return named == root or named.startswith(f"{root}/")


def subject(claims: Mapping[str, object]) -> tuple[str, str]:
    """(issuer, subject) under which somebody is known here: the issuer's own tenant is part of who they are."""
    issuer, tenant = str(claims["iss"]), claims.get("tenant")
    return (f"{issuer}{SEPARATOR}{tenant}" if isinstance(tenant, str) else issuer), str(claims["sub"])


def upstream(entry: TrustedIssuer, claims: Mapping[str, object]) -> bool:
    """Whether the issuer's own tenant in these claims is one that counts: none does that is not written down."""
    said = claims.get("tenant")
    return said in entry.upstream_tenants if entry.upstream_tenants else said is None


def matching(
    workloads: Iterable[Workload], entry: TrustedIssuer, claims: Mapping[str, object]
) -> list[Workload]:
    """The workloads whose rules these claims meet."""
    return [
        workload
        for workload in workloads
        if workload.issuer == entry.id
        and workload.claims
        and all(_has(claims, name, values) for name, values in workload.claims.items())
    ]


def _has(claims: Mapping[str, object], path: str, values: tuple[str, ...]) -> bool:
    found = claim(claims, path)
    return isinstance(found, str) and found in values


def claim(claims: object, path: str) -> object:
    """A claim by its name, which may have dots in it, or by a path into objects, whose names may have some too."""
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    parts = path.split(".")
    for taken in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:taken])
        if name in claims:
            return claim(claims[name], ".".join(parts[taken:]))
    return None
