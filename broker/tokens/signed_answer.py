"""RFC 9701: the shape of an answer about a token that is signed for the one who asked; pure."""

from collections.abc import Mapping

from broker.estate.model import Resource
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import DEFAULT_ALGORITHM, TYP_INTROSPECTION

MEDIA_TYPE = f"application/{TYP_INTROSPECTION}"


def claims(door: Door, caller: Client, members: Mapping[str, object], now: float) -> dict[str, object]:
    """Section 5: what the token says stands inside one member, so that the answer never passes for a token.

    Its audience is the caller by its client id, which no access token has as its `aud`.
    """
    return {
        "iss": door.issuer,
        "aud": caller.client_id,
        "iat": int(now),
        "token_introspection": dict(members),
    }


def algorithm(caller: Client, resource: Resource | None) -> str:
    """Section 6: what the caller is registered for, else that of the tokens it already verifies."""
    return caller.introspection_alg or (resource.algorithm if resource else DEFAULT_ALGORITHM)


def unauthenticated(error: OAuthError, attempt: Attempt) -> None:
    """Section 5: who is not authenticated gets 400, but where RFC 6749 section 5.2 wants 401 for its header."""
    if (
        error.error == "invalid_client"
        and error.reason is not Reason.CLIENT_OFF
        and attempt.authorization is None
    ):
        error.status = 400
