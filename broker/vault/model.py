"""The nouns of the vault: rows of the provider table, connections, visits, releases, and what is said of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from broker.estate.model import Resource
from broker.protocol.names import CLIENT_SECRET_BASIC
from broker.runtime.egress import Answer


class Rotation(StrEnum):
    """What becomes of a refresh token that was used, when the answer has no other.

    `kept`: it stays good. `rotates`: it is void, so the access token of that answer is the last one.
    """

    ROTATES = "rotates"
    KEPT = "kept"


class State(StrEnum):
    """`needs_reconnect`: the provider does not take our tokens any more. `disconnected`: its user ended it."""

    CONNECTED = "connected"
    NEEDS_RECONNECT = "needs_reconnect"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A token endpoint's answer, in one form for all providers. `scopes` None: it did not say; times are epoch."""

    access: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    scopes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account it is at the provider, as its own API says."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Revocation:
    """RFC 7009, or how else a provider is told: a function of (endpoint, client id, token) to (method, URL, body).

    `good`: the statuses that say that the token is void, or was. `takes`: which tokens it takes, in this order.
    """

    request: Callable[[str, str, str], tuple[str, str, bytes | None]] | None = None
    good: tuple[int, ...] = (200, 204)
    takes: tuple[str, ...] = ("refresh", "access")

    def of(self, tokens: Tokens, *, access_only: bool = False) -> list[tuple[str, str]]:
        """(kind, token) of those that the provider takes, in this order."""
        named = {"access": tokens.access, "refresh": None if access_only else tokens.refresh}
        return [(kind, token) for kind in self.takes if (token := named[kind])]


@dataclass(frozen=True, slots=True)
class Provider:
    """A row of the provider table. Endpoints that are None have to stand in the estate file.

    `always` are scopes that every visit asks for and nobody is shown; `parameters` go with the visit. `answer` and
    `account` are mappers: from what a provider answers to the members of RFC 6749 section 5, and to an account.
    `over`: whether an error of its token endpoint says that a grant has ended there.
    """

    name: str
    title: str
    answer: Callable[[Answer], Mapping[str, object]]
    account: Callable[[object, tuple[str, ...]], Account | None]
    over: Callable[[str, str], bool]
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    account_endpoint: str | None = None
    revocation: Revocation = Revocation()
    method: str = CLIENT_SECRET_BASIC
    pkce: bool = True
    scope_separator: str = " "
    parameters: Mapping[str, str] = field(default_factory=dict)
    always: tuple[str, ...] = ()
    rotation: Rotation = Rotation.KEPT


@dataclass(frozen=True, slots=True)
class Reach:
    """One vault resource with its provider's row: everything that is asked of the provider is built from this."""

    resource: Resource
    provider: Provider
    client_id: str
    method: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str | None
    account_endpoint: str | None
    issuer: str | None
    pkce: bool
    scope_separator: str
    parameters: Mapping[str, str]
    account: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """One person's account at one resource, in one tenant.

    `scopes` are what was asked for and given, `wider` what the provider gave beyond that. `expires_at` is the access
    token's end, None when the provider names none. `version` grows with every change of its tokens. `failures` in a
    row, of which the next attempt is not before `retry_at`; `why` says in a word what is wrong.
    """

    id: str
    tenant: str
    user_id: str
    resource_id: str
    provider: str
    account: Account
    scopes: tuple[str, ...]
    wider: tuple[str, ...]
    state: State
    version: int
    refreshable: bool
    expires_at: float | None
    connected_at: float
    changed_at: float
    used_at: float | None = None
    failures: int = 0
    retry_at: float | None = None
    why: str | None = None

    @property
    def holds(self) -> tuple[str, ...]:
        """Every scope that its token has at the provider."""
        return (*self.scopes, *self.wider)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What of a connection nobody can read: its data key under the key-encryption key, its tokens under the data key.

    `key_id` says which key-encryption key.
    """

    key_id: str
    key: bytes = field(repr=False)
    access: bytes | None = field(repr=False)
    refresh: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Visit:
    """A person on their way to a provider. `onward`: where they go afterwards, a path here or None."""

    tenant: str
    resource_id: str
    door: str
    user_id: str
    scopes: tuple[str, ...]
    onward: str | None
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Connected:
    """A visit came to a connection. `onward`: see `Visit`; `fewer`: what was asked for and not given."""

    connection: Connection
    onward: str | None
    fewer: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """What a page shows: a resource that a person can connect in a tenant, and their connection if there is one."""

    resource: Resource
    tenant: str
    title: str
    connection: Connection | None
