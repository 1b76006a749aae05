"""RFC 8693 section 4.1: the chain of actors: it grows by the caller, and nobody in it is dropped or replaced; pure."""

import json

from broker.guard.verifier import VerifiedToken
from broker.protocol.errors import OAuthError, Reason
from broker.tokens.model import Actor

LONGEST_CLAIM = 4096
"""Bytes of `act` as JSON: a token travels in a header."""


def grown(token: VerifiedToken, issuer: str, caller: str, depth: int) -> Actor:
    """The chain with the caller in front; `depth` is how many may be in it already. OAuthError past a limit.

    From the first exchange on, the innermost is whoever the user's client is: then everybody between stays visible.
    """
    before: Actor | None = None
    for link in reversed(token.actors):
        before = Actor(link.iss, link.sub, link.client_id, before)
    if before is None:
        before = Actor(token.issuer, token.client_id, token.client_id)
    if (len(token.actors) or 1) > depth:
        raise OAuthError(
            "invalid_request", "The chain of actors is too long for that edge.", Reason.CHAIN_TOO_DEEP
        )
    actor = Actor(issuer, caller, caller, before)
    if len(json.dumps(actor.claim(), separators=(",", ":")).encode()) > LONGEST_CLAIM:
        raise OAuthError("invalid_request", "The chain of actors is too large.", Reason.CHAIN_TOO_LARGE)
    return actor
