import json
from collections.abc import Mapping

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from broker.protocol.jws import VerificationKey, keys_from_jwks

NOW = 1_800_000_000.0
ISSUER = "https://as.example"
DOOR = "https://as.example/t/acme"
RESOURCE = "https://mcp.example/mcp"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Issuer:
    """Holds one ES256 key under `kid` and signs access tokens with it."""

    def __init__(self, kid: str = "k1") -> None:
        self.kid = kid
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.jwk = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True) | {
            "kid": kid,
            "alg": "ES256",
            "use": "sig",
        }

    def jwks(self) -> bytes:
        return json.dumps({"keys": [self.jwk]}).encode()

    def keys(self, issuer: str) -> Mapping[str, VerificationKey]:
        return keys_from_jwks({"keys": [self.jwk]})

    def token(self, *, typ: str = "at+jwt", **over: object) -> str:
        """A good access token with these claims replaced; None leaves one out."""
        claims = {
            "iss": ISSUER,
            "sub": "alice",
            "aud": RESOURCE,
            "client_id": "desk-app",
            "tenant": "acme",
            "scope": "tickets:read",
            "iat": NOW,
            "nbf": NOW,
            "exp": NOW + 300,
            "jti": "j1",
            "txn": "x1",
            "grant_id": "g1",
        } | over
        kept = {name: value for name, value in claims.items() if value is not None}
        signing_input = {"kid": self.kid, "typ": typ}
        # PyJWT's encode refuses some of the wrong types that tests need, so the payload is made here.
        return jwt.PyJWS().encode(
            json.dumps(kept).encode(), self._key, algorithm="ES256", headers=signing_input
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()
