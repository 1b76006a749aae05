"""RFC 9110: a request as the guard looks at it, and an answer of the guard's own, for every kind of application."""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

LARGEST_BODY = 4 * 1024 * 1024
METHODS = ("POST", "GET", "HEAD", "DELETE", "OPTIONS")
"""Of these, only a POST has a body for the application: what nobody looked at reaches nobody."""
UNAVAILABLE = b'{"error":"temporarily_unavailable"}'
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"WWW-Authenticate, DPoP-Nonce"),
)
_OF_A_BODY = (b"content-length", b"content-type", b"transfer-encoding")
_ENCODED = re.compile(r"=\?base64\?(?P<payload>[A-Za-z0-9+/]*={0,2})\?=")

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` have their names in lower case; `url` is where it was sent, as its client knows it.

    `path` is decoded; `query` is not. `certificate`: that of the client's connection, in DER.
    """

    method: str
    path: str
    url: str
    headers: Headers
    query: str = ""
    certificate: bytes | None = None

    def values(self, name: bytes) -> tuple[bytes, ...]:
        return tuple(value for found, value in self.headers if found == name)

    def text(self, name: bytes) -> str | None:
        """The one value of a header; None when it is not sent, ValueError when it is sent twice."""
        found = self.values(name)
        if len(found) > 1:
            raise ValueError(f"more than one {name.decode()}")
        return found[0].decode("latin-1").strip() if found else None

    @property
    def preflight(self) -> bool:
        names = {name for name, _ in self.headers}
        return self.method == "OPTIONS" and {b"origin", b"access-control-request-method"} <= names


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the guard's own; the application is not asked."""

    status: int
    body: bytes
    headers: Headers

    def fresh(self, nonce: str | None) -> "Reply":
        """RFC 9449 section 8.2: with the nonce for the client's next proof."""
        if nonce is None:
            return self
        return replace(self, headers=(*self.headers, (b"dpop-nonce", nonce.encode("ascii"))))


def reply(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Reply:
    """In JSON, kept by nobody, to be read from any origin."""
    plain = (
        (b"cache-control", b"no-store"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    )
    return Reply(status, body, (*plain, *_CORS, *headers))


def public_reply(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Reply:
    """What is the same for everybody, to be read from any origin."""
    return Reply(status, body, (*_CORS, *headers))


def unavailable(seconds: int = 2) -> Reply:
    return reply(503, UNAVAILABLE, (b"retry-after", str(seconds).encode()))


def bodiless(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a request whose body is not handed on."""
    return tuple(pair for pair in headers if pair[0].lower() not in _OF_A_BODY)


def unknown_method() -> Reply:
    return reply(405, b'{"error":"method_not_allowed"}', (b"allow", ", ".join(METHODS).encode()))


def decoded(value: str | None) -> str | None:
    """A header's text, also where it was written in base64 because no header could carry it plain."""
    found = _ENCODED.fullmatch(value) if value is not None else None
    if found is None:
        return value
    try:
        return base64.b64decode(found["payload"], validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
