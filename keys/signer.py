"""RFC 7515 section 5.1: what every back end that signs offers, wherever its private key lives."""

from typing import Protocol


class Signer(Protocol):
    """Three verbs and two names. A back end that cannot sign raises; it never falls back to another key."""

    @property
    def kid(self) -> str:
        """Thumbprint of the public key (RFC 7638)."""

    @property
    def alg(self) -> str:
        """One of `ALGORITHMS`."""

    def public_jwk(self) -> dict[str, str]:
        """The members of the public key."""

    def sign(self, message: bytes) -> bytes:
        """The raw JWS signature of `message`; for ES256 that is r and s, 32 bytes each."""

    def close(self) -> None:
        """Let go of the private key; `sign` raises from now on."""
