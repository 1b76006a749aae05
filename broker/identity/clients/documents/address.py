"""CIMD section 3, RFC 6761: which URL may identify a client, judged before any name is resolved; a pure rule."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

LONGEST = 512
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[::1\])(?::(?P<port>[1-9][0-9]{{0,4}}))?"
    r"(?P<path>/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})+)",
    re.ASCII,
)
_NUMBER = re.compile(
    r"[0-9]+|0x[0-9a-f]*"
)  # as a last label, it makes the whole an IPv4 address (WHATWG URL)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Names that mean something else in every network, or nothing at all.
_LOCAL = frozenset(
    {
        *("localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan"),
        *("arpa", "onion", "alt", "test", "invalid"),
    }
)


@dataclass(frozen=True, slots=True)
class Here:
    """This server: the host of its issuer and the ports it listens on.

    `loopback`: it is there for development, on this machine alone, and so may documents be. `certificates`: it sees
    those of its clients.
    """

    host: str
    ports: frozenset[int]
    loopback: bool
    certificates: bool = False

    @classmethod
    def of(cls, issuer: str, ports: Iterable[int], loopback: bool, certificates: bool = False) -> Self:
        parts = urlsplit(issuer)
        own = frozenset({*ports, parts.port or _DEFAULT_PORTS[parts.scheme]})
        return cls(parts.hostname or "", own, loopback, certificates)


def looks_like_one(client_id: str) -> bool:
    """Whether a `client_id` can only be a URL: no other id that is given out here has such a form."""
    return "://" in client_id


def refused(url: str, here: Here) -> str | None:
    """Why this server does not fetch from the URL, in plain words; None when it may.

    Every URL has one spelling, so that one client has one identity and a list of domains cannot be passed by.
    """
    found = _PLAIN.fullmatch(url) if len(url) <= LONGEST else None
    if found is None:
        return "it is not of the form https://HOST/PATH, with the host in lower case and no query"
    port = int(found["port"] or _DEFAULT_PORTS[found["scheme"]])
    if port > 65535 or found["port"] == str(_DEFAULT_PORTS[found["scheme"]]):
        return "a port is at most 65535, and the default one is left out"
    if any(part.lower().replace("%2e", ".") in (".", "..") for part in found["path"].split("/")):
        return "its path has a dot segment"
    host = found["host"]
    if host in _LOOPBACK and here.loopback:
        return "it is this server itself" if port in here.ports else None
    if found["scheme"] != "https":
        return "it is not https"
    if host == here.host:
        return "it is this server itself"
    labels = host.split(".")
    if len(labels) < 2 or labels[-1] in _LOCAL or _NUMBER.fullmatch(labels[-1]):
        return "its host is not a name of the public internet"
    return None


def host_of(url: str) -> str:
    """The host of a URL that is not refused, without its port."""
    found = _PLAIN.fullmatch(url)
    return found["host"] if found is not None else ""


def authority_of(url: str) -> str:
    """The host of a URL that is not refused, with its port where it names one."""
    return url.partition("://")[2].partition("/")[0]
