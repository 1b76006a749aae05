"""RFC 8725 section 3.8, RFC 8693 section 4.1: a verified token of a trusted issuer, with every name in it made ours.

`ISSUER#NAME` is nobody of this server, whatever the name is: no user, no client, and no actor of ours. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType

from broker.guard.verifier import Actor, VerifiedToken
from broker.identity.federation.trusted import rules
from broker.identity.federation.trusted.model import Reading, TrustedIssuer
from broker.identity.federation.trusted.rules import SEPARATOR
from broker.protocol import confirmation
from broker.protocol import scope as scope_rules
from broker.tokens.exchange.model import VOUCHED_BY

LONGEST_NAME = 400
DEEPEST_CHAIN = 32
MOST_RESTRICTED = 2000
"""Characters of `restricted_at` together: they go into every token that is made of this one."""
_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")
"""OpenID Connect Core sections 2 and 3.3.2.11: what no access token has."""


class Unreadable(ValueError):
    """The token is the issuer's, but not one that can be exchanged; `what` names the claim."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class OfAnother(Unreadable):
    """The token was given to a client from which it does not count."""


def ours(
    token: str, claims: Mapping[str, object], entry: TrustedIssuer, tenant: str, door: str, expires_at: float
) -> VerifiedToken:
    """As a token of this door, for the exchange alone. How its user signed in is not known here, and not said.

    `entry`: by which its issuer is trusted in the tenant.
    """
    issuer = str(claims["iss"])
    for narrowing in ("authorization_details", *_OF_ID_TOKENS):
        if narrowing in claims:
            raise Unreadable(narrowing)
    try:
        bound = confirmation.of(claims)
    except ValueError:
        raise Unreadable("cnf") from None
    upstream = _text(claims, "tenant")
    subject = name(issuer, _needed(claims, "sub"), upstream)
    holder = _holder(claims, entry.reading)
    client = subject if holder is None else name(issuer, holder, upstream)
    token_hash = hashlib.sha256(token.encode("ascii")).hexdigest()
    kept: dict[str, object] = {"may_act": claims["may_act"]} if "may_act" in claims else {}
    if "restricted_at" in claims:
        kept["restricted_at"] = _restricted(claims["restricted_at"])
    return VerifiedToken(
        token_hash=token_hash,
        claims=MappingProxyType({**kept, VOUCHED_BY: entry.id}),
        issuer=door,
        subject=subject,
        audience=_audience(claims),
        client_id=client,
        tenant=tenant,
        scopes=_scopes(claims, entry.reading),
        actors=_held(_chain(issuer, claims.get("act"), upstream), issuer, client, anybody=holder is None),
        expires_at=expires_at,
        jti=name(issuer, _text(claims, "jti") or token_hash, upstream),
        txn=None,
        grant_id=grant_id(tenant, subject),
        kid="",
        confirmation=bound,
    )


def name(issuer: str, said: str, upstream: str | None = None) -> str:
    """`ISSUER#NAME`, or `ISSUER#TENANT#NAME` where the issuer has tenants: two people never have one."""
    parts = [issuer, *([_quoted(upstream)] if upstream else []), _quoted(said)]
    found = SEPARATOR.join(parts)
    if len(found) > LONGEST_NAME:
        raise Unreadable("name")
    return found


def grant_id(tenant: str, subject: str) -> str:
    """One fixed handle for all that is made from the tokens of such a subject in a tenant: there is no consent."""
    return "for_" + hashlib.sha256(f"{tenant}\0{subject}".encode()).hexdigest()[:26]


def _chain(issuer: str, act: object, upstream: str | None) -> tuple[Actor, ...]:
    """Everybody whom the issuer says acted, each below its name: none is believed to be somebody of ours."""
    chain: list[Actor] = []
    while act is not None:
        if not isinstance(act, dict) or len(chain) == DEEPEST_CHAIN:
            raise Unreadable("act")
        said = _needed(act, "sub" if "sub" in act else "client_id")
        elsewhere = act.get("iss", issuer)
        if not isinstance(elsewhere, str):
            raise Unreadable("act")
        known = said if elsewhere == issuer else f"{_quoted(elsewhere)}{SEPARATOR}{said}"
        chain.append(
            Actor(
                issuer,
                name(issuer, known, upstream),
                name(issuer, _text(act, "client_id") or known, upstream),
            )
        )
        act = act.get("act")
    return tuple(chain)


def _held(chain: tuple[Actor, ...], issuer: str, client: str, *, anybody: bool) -> tuple[Actor, ...]:
    """The chain with whoever holds the token in front, unless it is told of already, or nobody is named."""
    if chain and (anybody or client in {actor.client_id for actor in chain}):
        return chain
    return (Actor(issuer, client, client), *chain)


def _holder(claims: Mapping[str, object], reading: Reading) -> str | None:
    """RFC 9068 section 2.2 `client_id`, or what the entry names; whatever else says who it is has to agree.

    OpenID Connect's `azp` alone is what an ID token has.
    """
    client = _plain(rules.claim(claims, reading.client), reading.client)
    for also in ("client_id", "azp"):
        if _text(claims, also) not in (None, client):
            raise Unreadable(also)
    if reading.clients is not None and client not in reading.clients:
        raise OfAnother(reading.client)
    return client


def _scopes(claims: Mapping[str, object], reading: Reading) -> frozenset[str]:
    """One text with spaces or a list of words; as they are, or as the entry has it, and then no others."""
    said = rules.claim(claims, reading.scope)
    try:
        if isinstance(said, list):
            found = frozenset(word for item in said for word in _word(item))
        else:
            found = frozenset(scope_rules.parse(_plain(said, "scope")))
    except ValueError:
        raise Unreadable("scope") from None
    if reading.scopes is None:
        return found
    return frozenset(ours for theirs in found for ours in reading.scopes.get(theirs, ()))


def _word(item: object) -> tuple[str, ...]:
    words = scope_rules.parse(item) if isinstance(item, str) else ()
    if len(words) != 1:
        raise Unreadable("scope")
    return words


def _restricted(said: object) -> list[str]:
    if not isinstance(said, list) or not all(isinstance(uri, str) and uri.isprintable() for uri in said):
        raise Unreadable("restricted_at")
    if len(json.dumps(said)) > MOST_RESTRICTED:
        raise Unreadable("restricted_at")
    return said


def _audience(claims: Mapping[str, object]) -> str:
    """The verifier saw that it is the only one."""
    found = claims.get("aud")
    return str(found[0]) if isinstance(found, list) else str(found)


def _needed(claims: Mapping[str, object], member: str) -> str:
    found = _text(claims, member)
    if found is None:
        raise Unreadable(member)
    return found


def _text(claims: Mapping[str, object], member: str) -> str | None:
    return _plain(claims.get(member), member)


def _plain(found: object, what: str) -> str | None:
    if found is None:
        return None
    if not isinstance(found, str) or not found or not found.isprintable():
        raise Unreadable(what)
    return found


def _quoted(said: str) -> str:
    return said.replace("%", "%25").replace(SEPARATOR, "%23")
