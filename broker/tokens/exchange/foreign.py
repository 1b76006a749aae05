"""RFC 8725 section 3.8, RFC 8693 section 4.1: a verified token of a trusted issuer, with every name in it made ours.

`ISSUER#NAME` is nobody of this server, whatever the name is: no user, no client, and no actor of ours. Pure.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

from broker.guard.verifier import Actor, VerifiedToken
from broker.identity.federation.trusted.rules import SEPARATOR
from broker.protocol import confirmation
from broker.protocol import scope as scope_rules
from broker.tokens.exchange.model import VOUCHED_BY

LONGEST_NAME = 400
DEEPEST_CHAIN = 32
_KEPT = ("may_act", "restricted_at")


class Unreadable(ValueError):
    """The token is the issuer's, but not one that can be exchanged; `what` names the claim."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def ours(
    token: str, claims: Mapping[str, object], entry_id: str, tenant: str, door: str, expires_at: float
) -> VerifiedToken:
    """As a token of this door, for the exchange alone. How its user signed in is not known here, and not said.

    `entry_id`: by which its issuer is trusted in the tenant.
    """
    issuer = str(claims["iss"])
    if "authorization_details" in claims:  # they narrow it, in words that nobody here has to understand
        raise Unreadable("authorization_details")
    try:
        scopes = frozenset(scope_rules.parse(_text(claims, "scope")))
        bound = confirmation.of(claims)
    except ValueError as wrong:
        raise Unreadable(str(wrong) if str(wrong) == "cnf" else "scope") from None
    upstream = _text(claims, "tenant")
    subject = name(issuer, _needed(claims, "sub"), upstream)
    holder = _holder(claims)
    client = subject if holder is None else name(issuer, holder, upstream)
    token_hash = hashlib.sha256(token.encode("ascii")).hexdigest()
    kept = {key: claims[key] for key in _KEPT if key in claims}
    return VerifiedToken(
        token_hash=token_hash,
        claims=MappingProxyType({**kept, VOUCHED_BY: entry_id}),
        issuer=door,
        subject=subject,
        audience=_audience(claims),
        client_id=client,
        tenant=tenant,
        scopes=scopes,
        actors=_chain(issuer, claims.get("act"), upstream) or (Actor(issuer, client, client),),
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


def _holder(claims: Mapping[str, object]) -> str | None:
    """RFC 9068 section 2.2 `client_id`, or OpenID Connect's `azp`; where both are said, they agree."""
    client, party = _text(claims, "client_id"), _text(claims, "azp")
    if client is not None and party not in (None, client):
        raise Unreadable("azp")
    return client or party


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
    found = claims.get(member)
    if found is None:
        return None
    if not isinstance(found, str) or not found or not found.isprintable():
        raise Unreadable(member)
    return found


def _quoted(said: str) -> str:
    return said.replace("%", "%25").replace(SEPARATOR, "%23")
