"""RFC 9449 sections 4.2, 4.3 and 7: DPoP proofs, made and verified; pure."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from broker.protocol import jws
from broker.protocol.jwk import thumbprint

ALGORITHMS = ("ES256", "Ed25519", "EdDSA", "PS256")
"""What proofs may be signed with; discovery says exactly this."""
LEEWAY = 60.0
"""By how many seconds the sender's clock may be off, either way."""

_TYPE = "dpop+jwt"
_LONGEST_JTI = 512
_PORTS = {"http": "80", "https": "443"}
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<path>(?:/(?:[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?)(?:\?[!-\"$-~]*)?(?:#[!-~]*)?",
    re.IGNORECASE | re.ASCII,
)
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


class InvalidProof(Exception):
    """The proof is refused: `reason` is a jws.Reason, or jti, htm, htu, ath."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that is right for its request; whether it is fresh and new, its reader asks.

    `jkt` is the thumbprint of its key. By its own times it is good from `begins` to `ends` (epoch seconds).
    """

    jkt: str
    jti: str
    nonce: str | None
    begins: float
    ends: float

    def timely(self, now: float) -> bool:
        return self.begins <= now <= self.ends


def verify(text: str, *, method: str, url: str | tuple[str, ...], token: str | None = None) -> Proof:
    """The proof in a DPoP header, for this method and URL and, at a resource, this access token; InvalidProof.

    Several URLs are addresses of one and the same place.
    """
    try:
        parts = jws.split(text)
        key = jws.check_embedded(parts, typ=_TYPE, algorithms=ALGORITHMS)
        claims = parts.claims
        issued_at = jws.numeric_date(claims.get("iat"))
        begins = max(issued_at, jws.numeric_date(claims.get("nbf", issued_at)))
        ends = min(issued_at, jws.numeric_date(claims.get("exp", issued_at)))
    except jws.InvalidToken as error:
        raise InvalidProof(error.reason) from None
    jti, nonce, place = claims.get("jti"), claims.get("nonce"), _place(claims.get("htu"))
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI:
        raise InvalidProof("jti")
    if nonce is not None and not isinstance(nonce, str):
        raise InvalidProof(jws.Reason.CLAIMS)
    if claims.get("htm") != method:
        raise InvalidProof("htm")
    if place is None or place not in map(_place, (url,) if isinstance(url, str) else url):
        raise InvalidProof("htu")
    if token is not None and claims.get("ath") != _hash(token):
        raise InvalidProof("ath")
    return Proof(key.kid, jti, nonce, begins - LEEWAY, ends + LEEWAY)


def is_thumbprint(text: str) -> bool:
    """Whether this can be the `dpop_jkt` of a key (section 10): a SHA-256 in base64url."""
    return _THUMBPRINT.fullmatch(text) is not None


class ProofKey:
    """A client's own key, on P-256: what it gets with its proofs is of use to nobody else."""

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        """ValueError for a key of another curve."""
        if not isinstance(key.curve, SECP256R1):
            raise ValueError("a DPoP key is on P-256")
        point = key.public_key().public_numbers()
        x, y = (_base64url(number.to_bytes(32)) for number in (point.x, point.y))
        self._key = key
        self._jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        self.jkt = thumbprint(self._jwk)

    def proof(
        self,
        *,
        method: str,
        url: str,
        now: float,
        jti: str,
        nonce: str | None = None,
        token: str | None = None,
    ) -> str:
        """The DPoP header of one request; with the access token beside it, where there is one."""
        claims: dict[str, object] = {"jti": jti, "htm": method, "htu": url, "iat": int(now)}
        if nonce is not None:
            claims["nonce"] = nonce
        if token is not None:
            claims["ath"] = _hash(token)
        header = {"typ": _TYPE, "alg": "ES256", "jwk": self._jwk}
        content = ".".join(_base64url(json.dumps(part).encode("utf-8")) for part in (header, claims))
        r, s = decode_dss_signature(self._key.sign(content.encode("ascii"), ECDSA(SHA256())))
        return f"{content}.{_base64url(r.to_bytes(32) + s.to_bytes(32))}"


def _place(url: object) -> str | None:
    """RFC 3986 section 6.2: scheme, host, port and path in their normal form; None for what is no http URL."""
    match = _URL.fullmatch(url) if isinstance(url, str) else None
    if match is None:
        return None
    scheme = match["scheme"].lower()
    port = match["port"] or _PORTS[scheme]
    return f"{scheme}://{match['host'].lower()}:{int(port)}{_ESCAPED.sub(_unescaped, match['path'] or '/')}"


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def _hash(token: str) -> str:
    return _base64url(hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
