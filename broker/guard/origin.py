"""MCP transports (DNS rebinding): which Host a request may be for, and from which Origin it may come."""

from collections.abc import Collection
from urllib.parse import urlsplit

from broker.guard.request import Reply, Request

ANY = "*"
_PORTS = {"http": 80, "https": 443}


class Origins:
    """By default the resource's own host and origin. `*` lets any through."""

    def __init__(
        self, resource: str, hosts: Collection[str] | None = None, origins: Collection[str] | None = None
    ) -> None:
        own = urlsplit(resource)
        self._hosts = frozenset(_host(name, own.scheme) for name in (hosts or (own.netloc,)))
        self._origins = frozenset(_origin(name) for name in (origins or (f"{own.scheme}://{own.netloc}",)))
        self._scheme = own.scheme

    def stranger(self, request: Request) -> Reply | None:
        """The refusal of a request from or for an address that is not known here, before anything else is done."""
        hosts, origins = request.values(b"host"), request.values(b"origin")
        if ANY not in self._hosts and (len(hosts) != 1 or self._host_of(hosts[0]) not in self._hosts):
            return _refused(b'{"error":"unknown_host"}')
        if ANY in self._origins or not origins:
            return None
        if len(origins) != 1 or _origin(origins[0].decode("latin-1")) not in self._origins:
            return _refused(b'{"error":"unknown_origin"}')
        return None

    def _host_of(self, value: bytes) -> str:
        return _host(value.decode("latin-1"), self._scheme)


def _host(name: str, scheme: str) -> str:
    """In lower case and with its port, so that one host has one spelling."""
    folded = name.strip().lower()
    bare = folded.endswith("]") or ":" not in folded
    return f"{folded}:{_PORTS.get(scheme, 443)}" if bare and folded != ANY else folded


def _origin(text: str) -> str:
    scheme, _, host = text.strip().lower().partition("://")
    return f"{scheme}://{_host(host, scheme)}" if host else scheme


def _refused(body: bytes) -> Reply:
    """Not to be read from any origin, other than the guard's other answers."""
    return Reply(403, body, ((b"content-type", b"application/json"), (b"cache-control", b"no-store")))
