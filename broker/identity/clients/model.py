"""A client as the server knows it (RFC 7591 section 2, RFC 6749 section 2)."""

from dataclasses import dataclass
from enum import StrEnum

from broker.protocol.names import (
    CLIENT_SECRET_BASIC,
    CLIENT_SECRET_POST,
    NONE,
    PRIVATE_KEY_JWT,
    TLS_CLIENT_AUTH,
    WORKLOAD_JWT,
)

METHODS = (NONE, CLIENT_SECRET_BASIC, CLIENT_SECRET_POST, PRIVATE_KEY_JWT, TLS_CLIENT_AUTH)
"""Those that a client may register; `workload_jwt` beside them is for an administrator to give."""
GIVEN_METHODS = (*METHODS, WORKLOAD_JWT)
SECRET_METHODS = (CLIENT_SECRET_BASIC, CLIENT_SECRET_POST)


class Registered(StrEnum):
    """How the client came to be known: by an administrator, by itself, by a document, or as a resource's identity."""

    ADMIN = "admin"
    DYNAMIC = "dynamic"
    DOCUMENT = "document"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class Subject:
    """RFC 8705 section 2.1.2: what the certificate of a `tls_client_auth` client names; `member` is the metadata's."""

    member: str
    value: str


@dataclass(frozen=True, slots=True)
class Client:
    """`tenant` None is a client of the whole server. `scopes` None is no cap; `resources` None is any resource.

    `method` is the registered one, `other_methods` are those that a metadata document allows beside it. `jwks` is
    JSON text. `fetched_at`: when the document of a client that is known by one was last read (epoch seconds).
    `unused_until`: when a client that registered itself is forgotten unless it is used before. `fingerprint` is equal
    for registrations of one source that differ in nothing but loopback ports, and None once the client was used.
    `authorization_details_types`: the types of authorization details that it may use (RFC 9396 section 10).
    `pushed_only`: it pushes every authorization request (RFC 9126 section 6). `id_token_alg`: how its id_tokens are
    signed. `logout_uri`: where it is told that a user signed out; `logout_needs_sid`: it asks to be told which session.
    `introspection_alg`: how it wants answers about tokens signed (RFC 9701 section 6).
    """

    client_id: str
    name: str
    tenant: str | None
    method: str
    registered: Registered
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    application_type: str = "web"
    created_at: float = 0.0
    unused_until: float | None = None
    other_methods: tuple[str, ...] = ()
    jwks: str | None = None
    jwks_uri: str | None = None
    assertion_alg: str | None = None
    certificate: Subject | None = None
    dpop_bound: bool = False
    certificate_bound: bool = False
    fetched_at: float | None = None
    authorization_details_types: tuple[str, ...] = ()
    fingerprint: str | None = None
    pushed_only: bool = False
    id_token_alg: str | None = None
    post_logout_redirect_uris: tuple[str, ...] = ()
    logout_uri: str | None = None
    logout_needs_sid: bool = False
    introspection_alg: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        return (self.method, *self.other_methods)

    @property
    def proves(self) -> tuple[object, ...]:
        """All by which it proves itself and what it must prove: a change of it makes earlier proofs worth nothing."""
        keys = (self.jwks, self.jwks_uri, self.assertion_alg, self.certificate)
        return (*self.methods, keys, self.dpop_bound, self.certificate_bound)

    @property
    def public(self) -> bool:
        """Whether anybody may speak in its name who knows it."""
        return NONE in self.methods

    def at_door(self, tenant: str | None) -> bool:
        """Whether a door of `tenant` (None: the root) knows this client: its own tenant's, or the whole server's."""
        return self.tenant is None or tenant in (None, self.tenant)


@dataclass(frozen=True, slots=True)
class Secret:
    """The SHA-256 of a client secret, hex, and when it stops working."""

    hash: str
    expires_at: float | None
