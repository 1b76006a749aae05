"""Whoever holds a key and proves it, with signatures that PyJWT makes and not the code under test."""

import base64
import hashlib
import itertools
import json

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ABSENT = object()
"""A header parameter or claim with this value is left out."""
_jtis = itertools.count()


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def hash_of(token: str) -> str:
    """The `ath` of an access token."""
    return base64url(hashlib.sha256(token.encode()).digest())


class Holder:
    """`alg` is what it signs with; `curve` and `bits` make keys that do not fit."""

    def __init__(self, alg: str = "ES256", curve: type[ec.EllipticCurve] = ec.SECP256R1, bits: int = 2048):
        self.alg = alg
        if alg.startswith("ES"):
            self.key = ec.generate_private_key(curve())
            self.jwk = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        elif alg.startswith("Ed"):
            self.key = ed25519.Ed25519PrivateKey.generate()
            self.jwk = OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        else:
            self.key = rsa.generate_private_key(65537, bits)
            self.jwk = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        self.jwk.pop("key_ops", None)

    @property
    def jkt(self) -> str:
        members = {name: self.jwk[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in self.jwk}
        return base64url(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())

    def proof(
        self,
        url: str,
        now: float,
        method: str = "POST",
        token: str | None = None,
        header: dict[str, object] | None = None,
        **claims: object,
    ) -> str:
        """A good proof, or one with other header parameters and claims than a good one has."""
        content: dict[str, object] = {
            "jti": f"jti-{next(_jtis)}-{id(self)}",
            "htm": method,
            "htu": url,
            "iat": int(now),
        }
        if token is not None:
            content["ath"] = hash_of(token)
        content |= claims
        head = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk, **(header or {})}
        return self.signed(head, content)

    def signed(self, header: dict[str, object], content: dict[str, object]) -> str:
        parts = [
            base64url(json.dumps({n: v for n, v in part.items() if v is not ABSENT}).encode())
            for part in (header, content)
        ]
        text = ".".join(parts)
        algorithm = jwt.PyJWS().get_algorithm_by_name("EdDSA" if self.alg == "Ed25519" else self.alg)
        return f"{text}.{base64url(algorithm.sign(text.encode(), self.key))}"
