"""RFC 7517, RFC 7518 section 6 and RFC 8037 section 2: public keys from a JWK set or a header; RFC 7638."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

LONGEST_KID = 256
MOST_REGISTERED = 20

_MOST_KEYS = 64
_RSA_BITS = range(2048, 8193)  # below is weak; above only costs time
# CVE-2017-15361: primes modulo which every modulus of a broken generator is a power of 65537.
_ROCA = {
    prime: frozenset(pow(65537, exponent, prime) for exponent in range(prime))
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{1,1400}")
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_ALGORITHMS = {"EC": ("ES256",), "OKP": ("EdDSA", "Ed25519"), "RSA": ("RS256", "PS256")}
_REQUIRED = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
# RFC 8032 section 5.1: the field of edwards25519, its constant d, and y of every point whose order divides 8.
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that verifies one algorithm; `kid` is empty for a key that has none."""

    kid: str
    alg: str
    key: PublicKey


def keys_from_jwks(document: object) -> dict[str, VerificationKey]:
    """The usable keys of a JWK set by `kid`, the first of each.

    What is not for verifying, weak, private, or junk is left out; nothing raises. A key without `alg` is for
    the usual one of its kind (RSA: RS256).
    """
    found: dict[str, VerificationKey] = {}
    for key in usable(document):
        if key.kid:
            found.setdefault(key.kid, key)
    return found


def usable(document: object, alg: str | None = None) -> list[VerificationKey]:
    """As `keys_from_jwks`, but also keys without a `kid`; one without `alg` is for `alg`, where its kind can be."""
    entries = document.get("keys") if isinstance(document, dict) else None
    found = []
    for entry in entries[:_MOST_KEYS] if isinstance(entries, list) else ():
        try:
            found.append(read(entry, alg))
        except ValueError:
            continue
    return found


def read(jwk: object, alg: str | None = None) -> VerificationKey:
    """One public key; ValueError, in plain words, when it is none that verifies. `alg` is for a key that says none."""
    if not isinstance(jwk, dict):
        raise ValueError("a key is a JSON object")
    kid, kty = jwk.get("kid", ""), jwk.get("kty")
    if not isinstance(kid, str) or ("kid" in jwk and not 0 < len(kid) <= LONGEST_KID):
        raise ValueError(f"kid is a text of 1 to {LONGEST_KID} characters")
    if not isinstance(kty, str) or kty not in _ALGORITHMS:
        raise ValueError(f"kty: use one of {', '.join(_ALGORITHMS)}")
    if private := sorted(_PRIVATE_MEMBERS.intersection(jwk)):
        raise ValueError(f"it holds the private member {private[0]}: give the public key, and make a new one")
    fitting = _ALGORITHMS[kty]
    said = jwk.get("alg", alg if alg in fitting else fitting[0])
    if said not in fitting:
        raise ValueError(f"alg: a key of kty {kty} is for {' or '.join(fitting)}")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("it is not for signatures: use sig, key_ops verify")
    try:
        return VerificationKey(kid, str(said), _READERS[kty](jwk))
    except UnsupportedAlgorithm:
        raise ValueError("this kind of key is not supported") from None


def embedded(jwk: object, alg: str) -> VerificationKey:
    """RFC 7515 section 4.1.3: the key that a header shows, for `alg` alone; its `kid` is its thumbprint. ValueError."""
    key = read(jwk, alg)
    if key.alg != alg or not isinstance(jwk, dict):
        raise ValueError("alg: the key is for another")
    return replace(key, kid=thumbprint(jwk))


def thumbprint(jwk: Mapping[str, object]) -> str:
    """RFC 7638: the SHA-256 of the members that make a key, in base64url."""
    members = {name: jwk[name] for name in _REQUIRED[str(jwk["kty"])]}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def check(document: object) -> str | None:
    """Why a client may not register this key set (RFC 7591 section 2), in plain words; None when it may."""
    return next(_faults(document), None)


def _faults(document: object) -> Iterator[str]:
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_REGISTERED:
        yield f"give an object with a list `keys` of 1 to {MOST_REGISTERED} keys"
        return
    kids: set[str] = set()
    for i, entry in enumerate(entries):
        try:
            kid = read(entry).kid
        except ValueError as error:
            yield f"keys[{i}]: {error}"
            continue
        if kid in kids:
            yield f"keys[{i}]: a kid names one key, and at most one key has none"
        kids.add(kid)


def _ec(jwk: Mapping[str, object]) -> PublicKey:
    if jwk.get("crv") != "P-256":
        raise ValueError("crv: of kty EC, only P-256")
    x, y = (int.from_bytes(_octets(jwk, name, 32)) for name in "xy")
    try:
        return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    except ValueError:
        raise ValueError("x, y: no point of the curve") from None


def _okp(jwk: Mapping[str, object]) -> PublicKey:
    if jwk.get("crv") != "Ed25519":
        raise ValueError("crv: of kty OKP, only Ed25519")
    octets = _octets(jwk, "x", 32)
    y = int.from_bytes(octets, "little") % 2**255  # without the bit that is the sign of x
    squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P)
    if y >= _P or y in _SMALL_ORDER or pow(squared, (_P - 1) // 2, _P) != 1:
        raise ValueError("x: no point of the curve, or one of small order")
    return Ed25519PublicKey.from_public_bytes(octets)


def _rsa(jwk: Mapping[str, object]) -> PublicKey:
    modulus, exponent = (int.from_bytes(_octets(jwk, name)) for name in "ne")
    if modulus.bit_length() not in _RSA_BITS or modulus % 2 == 0:
        raise ValueError(f"n: an odd modulus of {_RSA_BITS.start} to {_RSA_BITS.stop - 1} bits is needed")
    if exponent.bit_length() > 32 or exponent < 3 or exponent % 2 == 0:
        raise ValueError("e: an odd exponent from 3 on, of at most 32 bits, is needed")
    if all(modulus % prime in powers for prime, powers in _ROCA.items()):
        raise ValueError("n: a modulus of a broken generator")
    return RSAPublicNumbers(exponent, modulus).public_key()


def _octets(jwk: Mapping[str, object], name: str, size: int | None = None) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str) or _BASE64URL.fullmatch(text) is None:
        raise ValueError(f"{name}: base64url without padding is needed")
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(octets).rstrip(b"=") != text.encode("ascii"):
        raise ValueError(f"{name}: the last character has bits that mean nothing")
    if size is not None and len(octets) != size:
        raise ValueError(f"{name}: {size} bytes are needed")
    return octets


_READERS = {"EC": _ec, "OKP": _okp, "RSA": _rsa}
