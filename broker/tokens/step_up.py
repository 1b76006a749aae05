"""RFC 9470 section 6.2: no token carries a scope for which the sign-in behind it is too weak or too long ago."""

from dataclasses import replace

from broker.estate import rules as estate_rules
from broker.protocol.errors import OAuthError, Reason
from broker.tokens.model import Authority


def attained(authority: Authority, now: float) -> Authority:
    """What is left of an authority; OAuthError when nothing is."""
    held, since = authority.auth.get("acr"), authority.auth.get("auth_time")
    left = estate_rules.attained(
        authority.resource,
        authority.scopes,
        held if isinstance(held, str) else None,
        float(since) if isinstance(since, (int, float)) else None,
        now,
    )
    if left or not authority.scopes:
        return replace(authority, scopes=left)
    wanted, age = estate_rules.demanded(authority.resource, authority.scopes)
    raise OAuthError(
        _error(authority),
        "The scope takes a stronger or newer sign-in: start an authorization request for it.",
        Reason.AUTHENTICATION_TOO_WEAK,
        more=_wanted(wanted, age) if authority.vouched_by is not None else None,
        detail=f"needs {wanted or 'any class'}, {f'{age} s' if age else 'any age'}"[:200],
    )


def _wanted(acr: str | None, age: int | None) -> dict[str, object]:
    """RFC 9470 section 4: what the client has to ask the issuer for."""
    members: dict[str, object] = {"acr_values": acr, "max_age": age}
    return {name: value for name, value in members.items() if value is not None}


def _error(authority: Authority) -> str:
    """The client can sign its user in again; who exchanges cannot, and elsewhere it takes another word for that; where
    nobody signed in, nobody ever will."""
    if authority.via is not None or (authority.vouched_by is not None and authority.user):
        return "insufficient_user_authentication"
    return "invalid_grant" if authority.user else "invalid_scope"
