"""RFC 6749 section 3.3, OpenID Connect Core section 5.4: the scopes a request asks for, of resource and user; pure."""

from collections.abc import Collection
from dataclasses import dataclass

from broker.audit.unknown import unknown
from broker.estate import rules as estate_rules
from broker.estate.model import Resource
from broker.identity.clients.model import Client
from broker.protocol import scope as scope_rules
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import IDENTITY_SCOPES, OFFLINE_ACCESS, OPENID

_TOLD = 10  # unknown scopes that a refusal names
# OpenID Connect has these too, and nothing is known here that they could tell: asked for, they give nothing.
_SERVERS = frozenset({OFFLINE_ACCESS, *IDENTITY_SCOPES, "address", "phone"})


@dataclass(frozen=True, slots=True)
class Asked:
    """`scopes` are the resource's, `identity` what is asked about the user: `openid` and what comes with it."""

    scopes: tuple[str, ...]
    identity: tuple[str, ...]


def parse(text: str | None) -> tuple[str, ...]:
    try:
        return scope_rules.parse(text)
    except ValueError:
        raise OAuthError("invalid_scope", "The scope is malformed.", Reason.SCOPE_UNKNOWN) from None


def only_who(asked: Collection[str]) -> bool:
    """Whether it is asked who the user is, and for nothing else."""
    return OPENID in asked and _SERVERS.issuperset(asked)


def judged(client: Client, resource: Resource, elsewhere: Collection[str], asked: tuple[str, ...]) -> Asked:
    """What of `asked` this client can be allowed; OAuthError `invalid_scope`. `elsewhere`: scopes of other resources.

    Without a scope of the resource, its defaults. What the server itself offers is left out where the client is not
    registered for it, as some clients ask for every scope that the server lists.
    """
    cap = client.scopes
    identity = tuple(name for name in IDENTITY_SCOPES if name in asked and (cap is None or name in cap))
    if OPENID not in identity:
        identity = ()
    if resource.door is not None:
        if not identity:
            raise OAuthError("invalid_scope", "Ask for openid.", Reason.SCOPE_EMPTY)
        return Asked(identity, identity)
    offered = estate_rules.offered(resource)
    named = tuple(name for name in asked if name in offered or name not in _SERVERS)
    if any(name in offered for name in named):
        named = tuple(name for name in named if name in offered or name not in elsewhere)
    if strange := [name for name in named if name not in offered]:
        raise OAuthError(
            "invalid_scope",
            "The resource has no such scope at present.",
            Reason.SCOPE_UNKNOWN,
            detail=" ".join(map(unknown, strange[:_TOLD])),
        )
    if cap is not None and (beyond := [name for name in named if name not in cap]):
        raise OAuthError(
            "invalid_scope",
            "The client is not registered for that scope.",
            Reason.SCOPE_WIDENED,
            detail=" ".join(beyond)[:300],
        )
    usual = tuple(name for name in estate_rules.defaults(resource) if cap is None or name in cap)
    if not (named or usual):
        raise OAuthError("invalid_scope", "Nothing is left to allow: name a scope.", Reason.SCOPE_EMPTY)
    return Asked(named or usual, identity)
