"""RFC 6749 section 3.1.2, RFC 8252 section 7 and RFC 9700 section 4.1.3: redirect URIs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

LONGEST = 2048
_LONGEST_AUTHORITY = 259  # RFC 1035 section 2.3.4, and a port
_RESERVED = frozenset({"code", "state", "iss", "error"})
# Schemes that run, read or send something instead of opening the app that owns them.
_REFUSED_SCHEMES = frozenset(
    {
        *(
            "javascript",
            "vbscript",
            "livescript",
            "mocha",
            "data",
            "blob",
            "filesystem",
            "about",
            "view-source",
        ),
        *("file", "content", "resource", "jar", "chrome", "shell", "search-ms", "ms-msdt", "intent"),
        *("ws", "wss", "ftp", "ftps", "sftp", "ssh", "telnet", "gopher", "ldap", "ldaps"),
        *("mailto", "tel", "sms"),
    }
)
_CHARACTERS = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LOOPBACK = re.compile(
    r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([0-9]{1,5}))?((?:[/?].*)?)", re.IGNORECASE | re.ASCII
)
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Destination:
    """Where credentials go, for a person to read; `host` is ASCII, for an app the scheme that opens it."""

    kind: Literal["web", "loopback", "app"]
    host: str


def check_registration(uri: str, application_type: str) -> str | None:
    """None when a client of this type (`web` or `native`) may register the URI, else a plain reason."""
    reason = _malformed(uri)
    if reason is not None:
        return reason
    scheme = urlsplit(uri).scheme
    if scheme in ("http", "https"):
        return _check_http(uri, scheme, application_type)
    if scheme in _REFUSED_SCHEMES:
        return f"the scheme {scheme} is not one that an app can own"
    if application_type == "web":
        return "a web client's redirect URI must use https"
    if uri.endswith(":"):
        return "a private-use scheme needs a path or host"
    return None


def _malformed(uri: str) -> str | None:
    if len(uri) > LONGEST:
        return f"a redirect URI is at most {LONGEST} characters long"
    if "#" in uri:
        return "a redirect URI has no fragment"
    if _CHARACTERS.fullmatch(uri) is None:
        return "a redirect URI holds only the characters of RFC 3986"
    if _SCHEME.match(uri) is None:
        return "a redirect URI is absolute"
    try:
        parts = urlsplit(uri)
        names = {
            name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50)
        }
    except ValueError:
        return "the redirect URI cannot be parsed"
    if "@" in parts.netloc:
        return "a redirect URI has no user information"
    if names & _RESERVED:
        return f"the query of a redirect URI must not name {', '.join(sorted(names & _RESERVED))}"
    return None


def _check_http(uri: str, scheme: str, application_type: str) -> str | None:
    authority = urlsplit(uri).netloc
    if len(authority) > _LONGEST_AUTHORITY or _HOST.fullmatch(authority) is None or not _port_fits(authority):
        return "the host or port of the redirect URI is not valid"
    loopback = is_loopback(uri)
    if application_type == "web" and loopback:
        return "a web client's redirect URI must not be on loopback"
    if scheme == "http" and not loopback:
        return "a redirect URI uses https, or http on 127.0.0.1, [::1] or localhost"
    return None


def _port_fits(authority: str) -> bool:
    _, colon, port = authority.rpartition(":")
    return not colon or port.endswith("]") or 0 < int(port) <= 65535


def is_loopback(uri: str) -> bool:
    """Whether an http or https URI names 127.0.0.1, [::1] or localhost."""
    try:
        parts = urlsplit(uri)
        return parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK_HOSTS
    except ValueError:
        return False


def matches(registered: Iterable[str], presented: str) -> bool:
    """Byte-exact; on http loopback, under the same host string, any port (RFC 8252 section 7.3)."""
    known = tuple(registered)
    if presented in known:
        return True
    asked = _LOOPBACK.fullmatch(presented)
    if asked is None or int(asked[2] or 80) not in range(1, 65536):
        return False
    for uri in known:
        candidate = _LOOPBACK.fullmatch(uri)
        if candidate is not None and (candidate[1], candidate[3]) == (asked[1], asked[3]):
            return True
    return False


def destination(uri: str) -> Destination:
    """What to show for a registered URI."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return Destination("app", parts.scheme)
    host = parts.hostname or ""
    shown = host if host.isascii() else host.encode("idna").decode("ascii")
    return Destination("loopback" if is_loopback(uri) else "web", shown)


def source_expression(uri: str) -> str:
    """Content Security Policy Level 3 section 2.3.1: this address and no other, as exactly as a policy can say it."""
    parts = urlsplit(uri)
    if _HOST.fullmatch(parts.netloc) is None or "[" in parts.netloc:  # no policy can name an IPv6 address
        return f"{parts.scheme}:"
    path = quote(parts.path, safe="/:@!$&'()*+=~%").replace("'", "%27")
    return f"{parts.scheme}://{parts.netloc}{path}"


def with_parameters(uri: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The URI with these query parameters appended; its own query stays as it is."""
    added = urlencode(list(pairs), quote_via=quote, safe="")
    if not added:
        return uri
    if "?" not in uri:
        return f"{uri}?{added}"
    return f"{uri}{added}" if uri.endswith(("?", "&")) else f"{uri}&{added}"
