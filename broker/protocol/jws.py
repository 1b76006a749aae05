"""RFC 7515, RFC 7519 and RFC 8725: reading and verifying compact JWS tokens, strictly."""

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from jwt.algorithms import get_default_algorithms

from broker.protocol import strict_json
from broker.protocol.jwk import LONGEST_KID, PublicKey, VerificationKey, embedded, keys_from_jwks

__all__ = [
    "ALGORITHMS",
    "LONGEST",
    "Expired",
    "InvalidToken",
    "Parts",
    "PublicKey",
    "Reason",
    "UnknownKey",
    "VerificationKey",
    "check",
    "check_embedded",
    "check_header",
    "check_signature",
    "check_times",
    "keys_from_jwks",
    "numeric_date",
    "peek_claims",
    "read_header",
    "split",
    "take_time",
    "verify",
]

ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")
LONGEST = 16384

_VERIFIERS = {name: get_default_algorithms()[name] for name in ALGORITHMS}
_VERIFIERS["Ed25519"] = _VERIFIERS["EdDSA"]  # RFC 9864; a key here is never of another curve
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]*")
# The last characters whose unused bits are zero, by length modulo 4 (RFC 4648 section 3.5).
_LAST = {2: b"AQgw", 3: b"AEIMQUYcgkosw048"}
_FURTHEST = 2**53
_DECOY = VerificationKey("", "ES256", derive_private_key(1, SECP256R1()).public_key())


class Reason(StrEnum):
    """Why a token is refused; the whole list."""

    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    TYPE = "type"
    UNKNOWN_KEY = "unknown_key"
    KEY = "key"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    CLAIMS = "claims"


class InvalidToken(Exception):
    """The token is refused, for `reason`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class UnknownKey(InvalidToken):
    """No key has the token's `kid`; a caller may look for newer keys."""

    def __init__(self) -> None:
        super().__init__(Reason.UNKNOWN_KEY)


class Expired(InvalidToken):
    """The token was good until its `exp`."""

    def __init__(self) -> None:
        super().__init__(Reason.EXPIRED)


@dataclass(frozen=True, slots=True)
class Parts:
    """A token taken apart; nothing in it is verified."""

    header: dict[str, object]
    claims: dict[str, object]
    signing_input: bytes
    signature: bytes


def split(token: str, longest: int = LONGEST) -> Parts:
    """Take a compact JWS apart; InvalidToken unless every byte of it is as RFC 7515 section 7.1 writes it."""
    if len(token) > longest or not token.isascii():
        raise InvalidToken(Reason.MALFORMED)
    raw = token.encode("ascii")
    segments = raw.split(b".", 3)
    if len(segments) != 3:
        raise InvalidToken(Reason.MALFORMED)
    header, payload, signature = (_decoded(segment) for segment in segments)
    return Parts(_object(header), _object(payload), raw[: raw.rindex(b".")], signature)


def read_header(token: str) -> dict[str, object]:
    """The header of a well-formed token, unverified."""
    return split(token).header


def peek_claims(token: str) -> dict[str, object]:
    """The claims of a well-formed token, unverified: to choose whose keys to ask, never to trust."""
    return split(token).claims


def verify(
    token: str,
    keys: Mapping[str, VerificationKey],
    *,
    typ: str | Collection[str],
    algorithms: Collection[str],
    now: float,
    leeway: float = 0.0,
) -> dict[str, object]:
    """The claims of a token whose type, algorithm, key, signature and times (epoch seconds) hold."""
    return check(split(token), keys, typ=typ, algorithms=algorithms, now=now, leeway=leeway)


def check(
    parts: Parts,
    keys: Mapping[str, VerificationKey],
    *,
    typ: str | Collection[str],
    algorithms: Collection[str],
    now: float,
    leeway: float = 0.0,
) -> dict[str, object]:
    """As `verify`, for a token already taken apart."""
    check_header(parts.header, typ=typ, algorithms=algorithms)
    check_signature(parts, _chosen(parts.header.get("kid"), keys))
    check_times(parts.claims, now=now, leeway=leeway)
    return parts.claims


def check_embedded(
    parts: Parts, *, typ: str | Collection[str], algorithms: Collection[str]
) -> VerificationKey:
    """RFC 7515 section 4.1.3: the key in the header, by which alone this is signed. Times are not looked at."""
    alg = check_header(parts.header, typ=typ, algorithms=algorithms)
    try:
        key = embedded(parts.header.get("jwk"), alg)
    except ValueError:
        raise InvalidToken(Reason.KEY) from None
    check_signature(parts, key)
    return key


def check_header(
    header: Mapping[str, object], *, typ: str | Collection[str | None], algorithms: Collection[str]
) -> str:
    """The algorithm of a header of this type (None: it may have none) that names one of these and asks for no more."""
    if "crit" in header or "b64" in header:  # no extension is understood here
        raise InvalidToken(Reason.MALFORMED)
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in algorithms or alg not in _VERIFIERS:
        raise InvalidToken(Reason.ALGORITHM)
    types = (typ,) if isinstance(typ, str) else typ
    if "typ" not in header and None in types:
        return alg
    found = header.get("typ")
    if not isinstance(found, str) or _plain_type(found) not in map(_plain_type, types):
        raise InvalidToken(Reason.TYPE)
    return alg


def check_signature(parts: Parts, key: VerificationKey) -> None:
    """InvalidToken unless `key` made the signature, with the header's algorithm."""
    if key.alg != parts.header.get("alg"):
        raise InvalidToken(Reason.ALGORITHM)
    if not _signed(parts, key):
        raise InvalidToken(Reason.SIGNATURE)


def take_time(parts: Parts) -> None:
    """As long as a signature takes, for nothing: where there is no key, the clock does not tell."""
    _signed(replace(parts, signature=b"\1" * 64), _DECOY)


def check_times(claims: Mapping[str, object], *, now: float, leeway: float = 0.0) -> None:
    """RFC 7519 sections 4.1.4 to 4.1.6: `exp` is mandatory, `nbf` and `iat` hold where present."""
    if "exp" not in claims:
        raise InvalidToken(Reason.CLAIMS)
    times = {name: numeric_date(claims[name]) for name in ("exp", "nbf", "iat") if name in claims}
    if times["exp"] <= now - leeway:
        raise Expired
    if max(times.get("nbf", 0), times.get("iat", 0)) > now + leeway:
        raise InvalidToken(Reason.NOT_YET_VALID)


def numeric_date(value: object) -> float:
    """RFC 7519 section 2: epoch seconds; InvalidToken for what is no number or no time."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidToken(Reason.CLAIMS)
    if not 0 <= value <= _FURTHEST:  # false for NaN too
        raise InvalidToken(Reason.CLAIMS)
    return value


def _decoded(segment: bytes) -> bytes:
    rest = len(segment) % 4
    if rest == 1 or _BASE64URL.fullmatch(segment) is None or (rest and segment[-1] not in _LAST[rest]):
        raise InvalidToken(Reason.MALFORMED)
    return base64.urlsafe_b64decode(segment + b"=" * (-rest % 4))


def _object(raw: bytes) -> dict[str, object]:
    try:
        value = strict_json.read(raw)
    except ValueError:
        raise InvalidToken(Reason.MALFORMED) from None
    if not isinstance(value, dict):
        raise InvalidToken(Reason.MALFORMED)
    return value


def _plain_type(typ: object) -> str | None:
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def _chosen(kid: object, keys: Mapping[str, VerificationKey]) -> VerificationKey:
    if not isinstance(kid, str) or len(kid) > LONGEST_KID:
        raise InvalidToken(Reason.MALFORMED)
    key = keys.get(kid)
    if key is None:
        raise UnknownKey
    return key


def _signed(parts: Parts, key: VerificationKey) -> bool:
    if key.alg == "ES256" and len(parts.signature) != 64:
        return False
    try:
        return _VERIFIERS[key.alg].verify(parts.signing_input, key.key, parts.signature)
    except ValueError:
        return False
