"""OpenID Connect Core section 2: who vouches for people here, and what their claims mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from broker.protocol.names import CLIENT_SECRET_BASIC

ALGORITHMS = ("RS256", "ES256", "PS256", "EdDSA")
"""The default, and all that there is: what a provider's metadata offers is never asked."""
SCOPES = ("openid", "profile", "email")
TENANT_ID = "{tenantid}"
"""Stands in the issuer of a provider that has one for each of its own tenants (Microsoft Entra ID)."""


class Accounts(StrEnum):
    """Whom a provider may sign in: people who linked their account, or also people who have none yet."""

    LINKED = "linked"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing taken from claims: `always` the same, or the claim at `path` (dots lead into objects).

    With `values` only what stands there counts, as what it is mapped to; several values of the claim are several.
    """

    path: str | None = None
    values: Mapping[str, str] | None = None
    always: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What of a person's claims becomes what here. `tenants` is for providers of the server alone."""

    user_id: Rule | None = None
    name: Rule | None = None
    email: Rule | None = None
    roles: tuple[Rule, ...] = ()
    attributes: Mapping[str, Rule] = field(default_factory=dict)
    tenants: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Worth:
    """Which `acr` or `amr` of the provider says that a second factor was proved."""

    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider. `tenant` None is the server's: for the root door, and tenants that accept it.

    `upstream_tenants` are the tenants, of an issuer with `{tenantid}`, from which people may come; `authority` stands
    for them where the provider's metadata is fetched.
    """

    id: str
    name: str
    issuer: str
    client_id: str
    tenant: str | None = None
    method: str = CLIENT_SECRET_BASIC
    scopes: tuple[str, ...] = SCOPES
    algorithms: tuple[str, ...] = ALGORITHMS
    accounts: Accounts = Accounts.LINKED
    mapping: Claims = field(default_factory=Claims)
    mfa: Worth = Worth()
    upstream_tenants: tuple[str, ...] = ()
    authority: str = "organizations"

    @property
    def templated(self) -> bool:
        return TENANT_ID in self.issuer


@dataclass(frozen=True, slots=True)
class Metadata:
    """OpenID Connect Discovery section 3: what is used of a provider's metadata."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    says_issuer: bool
    """RFC 9207: its authorization responses carry `iss`."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A visit to a provider that is under way. `onward`: what waits behind it, as whoever began it wrote it down.

    `user_id`: whom to link, None to sign in; `since`: see `Demand`.
    """

    provider: str
    door: str
    tenant: str | None
    onward: str
    user_id: str | None
    since: float | None
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Link:
    """`tenant` is the wall of a tenant's own provider: the same subject is nobody elsewhere."""

    id: str
    tenant: str | None
    issuer: str
    subject: str
    user_id: str
    provider: str
    linked_at: float
    used_at: float | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the provider says is there, verified. `auth_time` None: it does not say when they proved it."""

    issuer: str
    subject: str
    claims: Mapping[str, object]
    acr: str
    amr: tuple[str, ...]
    auth_time: float | None


@dataclass(frozen=True, slots=True)
class Place:
    """A membership as claims have it. None: the mapping says nothing about roles."""

    tenant: str
    roles: tuple[str, ...] | None
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the mapping makes of claims. `email` only where the provider says that it was verified."""

    user_id: str | None
    name: str | None
    email: str | None
    claimed_email: str | None
    places: tuple[Place, ...]
