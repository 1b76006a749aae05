"""What a token request is, and what a grant type answers: an authority, which is a ceiling and never a token."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from broker.denials.model import Target
from broker.estate.estate import Estate
from broker.estate.model import Resource
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol.confirmation import Confirmation
from broker.protocol.details import Details
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime.database import Transaction
from broker.runtime.once import Spend


@dataclass(frozen=True, slots=True)
class Actor:
    """RFC 8693 section 4.1: who acts, and through it whoever acted before."""

    iss: str
    sub: str
    client_id: str
    before: "Actor | None" = None

    def chain(self) -> Iterator["Actor"]:
        """From the current actor back to the first."""
        actor: Actor | None = self
        while actor is not None:
            yield actor
            actor = actor.before

    def claim(self) -> dict[str, object]:
        members: dict[str, object] = {"iss": self.iss, "sub": self.sub, "client_id": self.client_id}
        if self.before is not None:
            members["act"] = self.before.claim()
        return members


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to the token endpoint after its client is known; `parameters` holds what the grant declares.

    `confirmation` is what the sender proved to hold, `spends` what is used up with the request. `vouched_by`: the
    trusted issuer on whose word alone the client is who it is.
    """

    door: Door
    client: Client
    parameters: Parameters
    estate: Estate
    origin: Origin
    now: float
    confirmation: Confirmation | None = None
    spends: tuple[Spend, ...] = ()
    vouched_by: str | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """The line of refresh tokens that a new one joins: `token` is what the client will hold, `predecessor` its row."""

    token: str
    predecessor: str | None


@dataclass(frozen=True, slots=True)
class Vouching:
    """What an ID-JAG says beside its user: for which server of others, for which resource there, for whom, how long.

    `tenant`: for whom the user acts, where the door alone does not say it.
    """

    audience: str
    resource: str
    known_as: str
    scopes: tuple[str, ...]
    lifetime: int
    recipient: str
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What an id_token says beside how the user signed in: `claims` of the user, `sid` of the browser session."""

    scopes: tuple[str, ...]
    claims: Mapping[str, object]
    nonce: str | None = None
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class Authority:
    """What a grant type entitles to, at most. `scopes` are not yet expanded; times are epoch seconds.

    `targets` is everything that must be live beside tenant, resource and client. `fact` names the record of the
    mint; `also` are records of what was spent for it. `refreshable` begins a line of refresh tokens, `successor`
    is the next token of a line that goes on. `via` is the resource that exchanges, when one does. `confirmation`
    is who alone may use the token. `details` are the only calls that it is good for, where there are any, and
    `restricted_at` names the resources at which an earlier token of the chain was good for some calls only.
    `last_used_at`: when a token was made from the grant before, as far as is known. With `identity`, an id_token goes
    with it. `vouched_by` is the trusted issuer on whose word it rests. With `vouching`, an ID-JAG is made and no
    access token: `resource` is then what its grant is for. `evidence` is what the record says beside all this.
    """

    subject: str
    tenant: str
    resource: Resource
    scopes: tuple[str, ...]
    grant_id: str
    txn: str
    issuer: str
    client: Client
    latest_expiry: float
    details: Details
    restricted_at: tuple[str, ...] = ()
    actor: Actor | None = None
    refreshable: bool = False
    successor: str | None = None
    user: bool = True
    confirmation: Confirmation | None = None
    auth: dict[str, object] = field(default_factory=dict)
    parent_jti: str | None = None
    via: str | None = None
    targets: tuple[Target, ...] = ()
    issued_token_type: str | None = None
    fact: str = "token.issued"
    also: tuple[str, ...] = ()
    identity: Identity | None = None
    last_used_at: float | None = None
    vouched_by: str | None = None
    vouching: Vouching | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Minted:
    """`expires_in` None: nobody knows. `released`: it is a provider's own token, with what the evidence says of it."""

    token: str
    jti: str
    scopes: tuple[str, ...]
    expires_in: int | None
    released: Mapping[str, object] | None = None


class GrantType(Protocol):
    """One grant type. `verify` costs no database; `redeem` spends what was handed over, inside the transaction.

    `before_walls`: that begins before the wall of the door's tenant, as accounts are found and made there.
    """

    name: str
    parameters: frozenset[str]
    public_clients: bool
    before_walls: bool

    def verify(self, request: TokenRequest) -> object:
        """Everything that signatures and the estate can say; what it returns is handed to `redeem`."""
        ...

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority: ...
