"""RFC 7521 section 3: whose assertions count, which workloads they vouch for, and to whom we vouch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from broker.identity.federation.model import ALGORITHMS, Accounts, Claims, Worth

LONGEST = 3600
"""Seconds for which an assertion may be good, at most, unless its issuer's entry says otherwise."""
LIFETIME = 300
"""Seconds for which an ID-JAG of ours is good."""


class Use(StrEnum):
    """What an issuer's word is believed for: that a user may be served, that a workload is a client, or an exchange."""

    ID_JAG = "id_jag"
    WORKLOAD = "workload"
    SUBJECT_TOKENS = "subject_tokens"


@dataclass(frozen=True, slots=True)
class Reading:
    """How an issuer's tokens are read as subject tokens: which claims are their scopes, and the client that holds one.

    `scopes`: what each of its scopes is here, None where they are called the same; `clients`: those from which a token
    counts, None for any.
    """

    scope: str = "scope"
    client: str = "client_id"
    scopes: Mapping[str, tuple[str, ...]] | None = None
    clients: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """`tenant`: whose entry it is, None the server's; `tenants`: the tenants for which its word counts.

    Its keys are `jwks` (JSON text), those at `jwks_uri`, or those that its metadata names. `upstream_tenants`: where it
    has tenants of its own (the claim `tenant`), those that count. `longest`: for how many seconds a token may be good.
    `reusable`: a workload's token may come again until it expires. `mapping`, `mfa` and `accounts` are as a provider's,
    and for ID-JAGs; `reading` is for subject tokens.
    """

    id: str
    issuer: str
    tenant: str | None
    tenants: tuple[str, ...]
    uses: tuple[Use, ...]
    algorithms: tuple[str, ...] = ALGORITHMS
    jwks: str | None = None
    jwks_uri: str | None = None
    upstream_tenants: tuple[str, ...] = ()
    longest: int = LONGEST
    reusable: bool = False
    accounts: Accounts = Accounts.LINKED
    mapping: Claims = field(default_factory=Claims)
    mfa: Worth = field(default_factory=Worth)
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True, slots=True)
class Workload:
    """Which tokens of an issuer are which client of ours: every claim has one of its values, to the letter.

    `tenant`: whose entry it is, as its issuer's or of one of the tenants for which that counts.
    """

    id: str
    tenant: str | None
    issuer: str
    client_id: str
    claims: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """A resource at a server of others, and the scopes that one may be vouched for there."""

    uri: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bearer:
    """A client of ours that may ask for ID-JAGs: who it is there, and which scopes it may carry (None: any)."""

    client_id: str
    known_as: str
    scopes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """An authorization server of others that takes our word (EMA section 7.6.1). `tenants`: whose people it serves.

    `acr`, `max_age`: how strong and how fresh a sign-in has to be behind it; `lifetime` in seconds.
    """

    id: str
    issuer: str
    tenant: str | None
    tenants: tuple[str, ...]
    places: tuple[Place, ...]
    bearers: tuple[Bearer, ...]
    acr: str | None = None
    max_age: int | None = None
    lifetime: int = LIFETIME
