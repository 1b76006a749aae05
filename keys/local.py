"""RFC 7518 section 3 and RFC 8037 section 3.1: keys made and used in this process."""

import base64
from collections.abc import Callable
from typing import TypeAlias

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256

from keys.model import ALGORITHMS, thumbprint

# The floor of RFC 7518 section 3.3: a larger modulus costs several times more per signature, and
# rotation keeps the life of a key short.
RSA_BITS = 2048

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class SignerClosed(Exception):
    """The signer was closed and has no key any more."""


class LocalSigner:
    """Signs with a private key held in memory. Safe to share between threads."""

    def __init__(self, private: bytes, alg: str) -> None:
        """Take PKCS #8 DER as made by `generate`; ValueError if it is no key for `alg`."""
        key = serialization.load_der_private_key(private, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
            raise ValueError("not a private key of a supported type")
        self._sign: Callable[[bytes], bytes] | None = _signing(key, alg)
        self._public_jwk = _public_jwk(key)
        self.kid = thumbprint(self._public_jwk)
        self.alg = alg

    def public_jwk(self) -> dict[str, str]:
        """The members of the public key."""
        return dict(self._public_jwk)

    def sign(self, message: bytes) -> bytes:
        """The raw JWS signature; SignerClosed after `close`."""
        if self._sign is None:
            raise SignerClosed(self.kid)
        return self._sign(message)

    def close(self) -> None:
        """Let go of the private key."""
        self._sign = None


def generate(alg: str) -> tuple[bytes, dict[str, str]]:
    """Make a key pair: private part as PKCS #8 DER in clear (seal it at once), public JWK."""
    key: PrivateKey
    if alg == "ES256":
        key = ec.generate_private_key(ec.SECP256R1())
    elif alg == "EdDSA":
        key = ed25519.Ed25519PrivateKey.generate()
    elif alg in ("RS256", "PS256"):
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    else:
        raise ValueError(f"{alg!r} is not one of {', '.join(ALGORITHMS)}")
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, _public_jwk(key)


def _signing(key: PrivateKey, alg: str) -> Callable[[bytes], bytes]:
    match alg, key:
        case "ES256", ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return lambda message: _raw(key.sign(message, ec.ECDSA(SHA256())))
        case "EdDSA", ed25519.Ed25519PrivateKey():
            return key.sign
        case "RS256", rsa.RSAPrivateKey():
            return lambda message: key.sign(message, padding.PKCS1v15(), SHA256())
        case "PS256", rsa.RSAPrivateKey():
            pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=SHA256.digest_size)
            return lambda message: key.sign(message, pss, SHA256())
    raise ValueError(f"this private key cannot sign {alg!r}")


def _raw(signature: bytes) -> bytes:
    r, s = utils.decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _public_jwk(key: PrivateKey) -> dict[str, str]:
    match key:
        case ec.EllipticCurvePrivateKey():
            point = key.public_key().public_numbers()
            return {"kty": "EC", "crv": "P-256", "x": _uint(point.x, 32), "y": _uint(point.y, 32)}
        case ed25519.Ed25519PrivateKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(key.public_key().public_bytes_raw())}
        case rsa.RSAPrivateKey():
            numbers = key.public_key().public_numbers()
            return {"kty": "RSA", "n": _uint(numbers.n), "e": _uint(numbers.e)}


def _uint(number: int, size: int | None = None) -> str:
    return _base64url(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
