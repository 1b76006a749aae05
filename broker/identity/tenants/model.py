"""A tenant, and a door: an issuer through which it is reached."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trust:
    """CIMD section 9.9: which hosts may speak for a client. A domain stands for itself and all below it.

    `deny` wins; `allow` None is everybody, and an empty one nobody.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()

    def admits(self, host: str) -> bool:
        allowed = self.allow is None or _within(host, self.allow)
        return allowed and not _within(host, self.deny)


def _within(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


@dataclass(frozen=True, slots=True)
class Tenant:
    """`root_door`: whether the root issuer serves it too. `documents`: whose client metadata documents it believes.

    `pushed_only`: whether authorization requests have to be pushed (RFC 9126 section 6). `providers`: which of the
    server's identity providers it accepts; its own need no mention. `device`: whether its people
    may connect devices by a code (RFC 8628).
    """

    id: str
    name: str
    root_door: bool = True
    documents: Trust = Trust()
    pushed_only: bool = False
    providers: tuple[str, ...] = ()
    device: bool = False


@dataclass(frozen=True, slots=True)
class Door:
    """An issuer. `tenant` is None at the root door; `path` is "" there and "/t/TENANT" at a tenant's."""

    issuer: str
    path: str
    tenant: str | None

    def url(self, path: str) -> str:
        return self.issuer + path
