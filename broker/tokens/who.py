"""OpenID Connect Core sections 5.1 and 5.4: what a client is told of a user, by the scopes that the user allowed."""

from collections.abc import Collection

from broker.authorization.model import Grant
from broker.estate.model import Resource
from broker.identity.users.model import User
from broker.identity.users.people import People
from broker.protocol.names import EMAIL, OPENID, PROFILE
from broker.runtime.database import Transaction
from broker.tokens.model import Identity

CLAIMS = ("sub", "name", "preferred_username", "email", "email_verified")
"""All that `claims` can tell; discovery says exactly this of it."""


def claims(user: User, scopes: Collection[str]) -> dict[str, object]:
    """An address is as the administrator wrote it: nobody here has seen that mail to it arrives."""
    told: dict[str, object] = {"sub": user.id}
    if PROFILE in scopes:
        told |= {"name": user.name, "preferred_username": user.id}
    if EMAIL in scopes and user.email is not None:
        told |= {"email": user.email, "email_verified": False}
    return told


def identity(
    tx: Transaction,
    people: People,
    grant: Grant,
    resource: Resource,
    *,
    nonce: str | None = None,
    asked: Collection[str] = (),
) -> Identity | None:
    """What the id_token beside an access token says; None where there is none: the user or the request left it out.

    With an access token for /userinfo the client asks there; any other opens nothing there, so the id_token tells.
    """
    user = people.within(tx, grant.user_id)
    if OPENID not in grant.identity or (asked and OPENID not in asked) or user is None:
        return None
    scopes = tuple(name for name in grant.identity if not asked or name in asked)
    told = {} if resource.door is not None else claims(user, scopes)
    return Identity(scopes, told, nonce, grant.sid)
