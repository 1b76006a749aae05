"""RFC 7636 sections 4.1, 4.2 and 4.6: proof key for code exchange, method S256 and no other."""

import base64
import hashlib
import re

METHODS = ("S256",)

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def valid_challenge(challenge: str) -> bool:
    """Whether this can be an S256 challenge: a SHA-256 in base64url is 43 characters."""
    return _CHALLENGE.fullmatch(challenge) is not None


def valid_verifier(verifier: str) -> bool:
    """Whether this is 43 to 128 unreserved characters."""
    return _VERIFIER.fullmatch(verifier) is not None


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a valid verifier; ValueError on characters outside ASCII."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
