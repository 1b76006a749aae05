"""RFC 9440 section 2, RFC 8705 section 3.1: a client's certificate as proxies hand it on, and its thumbprint.

Two notations, told apart by what stands there: a structured field (`:base64 of the DER:`, the rest of the chain in a
header of its own) and PEM, percent-encoded or not, the client's own certificate first.
"""

import base64
import hashlib
import re
from urllib.parse import unquote

from cryptography import x509

MOST = 10
"""Certificates that one request may come with."""
_PEM = re.compile(r"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
_BYTES = re.compile(r"[ \t]*:([A-Za-z0-9+/]+={0,2}):[ \t]*")


def thumbprint(certificate: bytes) -> str:
    """The `x5t#S256` of a certificate in DER."""
    digest = hashlib.sha256(certificate).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def from_header(value: str, chain: str = "") -> tuple[bytes, ...]:
    """The DER of what one header says; `chain` is the value of its companion. ValueError when it is broken."""
    if not value.startswith(":"):
        return from_pem(unquote(value, errors="strict"))
    rest = chain.split(",") if chain.strip() else []
    return _readable([_structured(item) for item in (value, *rest)])


def from_pem(text: str) -> tuple[bytes, ...]:
    """The DER of one or more certificates in PEM, and nothing else beside them; ValueError."""
    found: list[bytes] = []
    position = 0
    while position < len(text) or not found:
        match = _PEM.match(text, position)
        if match is None:
            raise ValueError("not PEM")
        found.append(base64.b64decode("".join(match[1].split()), validate=True))
        position = match.end()
    return _readable(found)


def _structured(item: str) -> bytes:
    """RFC 9651 section 3.3.5: a byte sequence, without parameters."""
    match = _BYTES.fullmatch(item)
    if match is None:
        raise ValueError("not a byte sequence")
    return base64.b64decode(match[1], validate=True)


def _readable(found: list[bytes]) -> tuple[bytes, ...]:
    if len(found) > MOST:
        raise ValueError("too many certificates")
    for certificate in found:
        try:
            x509.load_der_x509_certificate(certificate)
        except x509.InvalidVersion:
            raise ValueError("of no known version") from None
    return tuple(found)
