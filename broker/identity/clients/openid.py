"""OpenID Connect Registration 1.0 section 2, RP-Initiated Logout 1.0 section 3.1: a client's wishes, checked; pure."""

from collections.abc import Sequence

from broker.identity.clients.keys import Fault
from broker.protocol import redirect_uri
from broker.protocol.names import NONE, SIGNING_ALGORITHMS

MAX_URIS = 20


def check(alg: str | None, post_logout_redirect_uris: Sequence[str], application_type: str) -> Fault | None:
    """What is wrong with the algorithm of its id_tokens, or with where its users go once they signed out."""
    if alg == NONE:
        return Fault("id_token_signed_response_alg", "an unsigned token is worth nothing")
    if alg not in (None, *SIGNING_ALGORITHMS):
        return Fault("id_token_signed_response_alg", f"use one of {', '.join(SIGNING_ALGORITHMS)}")
    if len(post_logout_redirect_uris) > MAX_URIS:
        return Fault("post_logout_redirect_uris", f"at most {MAX_URIS}")
    for uri in post_logout_redirect_uris:
        if wrong := redirect_uri.check_registration(uri, application_type):
            return Fault("post_logout_redirect_uris", wrong)
    return None
