"""RFC 6749 section 2.3.1: the secret in the Authorization header, with and without its percent-encoding."""

import base64
import binascii
from urllib.parse import unquote_plus

from broker.identity.clients.authentication.client_secret_post import proves as proves
from broker.identity.clients.authentication.model import Attempt, Presented
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason

name = "client_secret_basic"


def presented(attempt: Attempt, door: Door) -> Presented | None:
    """Both readings of the header: some clients percent-encode the parts as the RFC says, others do not."""
    if attempt.authorization is None:
        return None
    scheme, _, encoded = attempt.authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        client_id, separator, secret = text.partition(":")
        if not separator or not client_id or "\0" in text:
            raise ValueError
    except (ValueError, binascii.Error):
        raise OAuthError(
            "invalid_client",
            "The Authorization header is not valid Basic authentication.",
            Reason.CLIENT_AUTHENTICATION_FAILED,
        ) from None
    raw = (client_id, secret)
    decoded = _decoded(client_id, secret)
    return Presented((raw,) if decoded is None or decoded == raw else (decoded, raw))


def _decoded(client_id: str, secret: str) -> tuple[str, str] | None:
    """The parts percent-decoded; None when they cannot have been encoded."""
    try:
        decoded = (unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict"))
    except ValueError:
        return None
    return None if "\0" in "".join(decoded) else decoded
