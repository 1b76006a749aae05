"""Bounds of one server: how many calls at once, for how long, and which hosts it reaches (no token passthrough)."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import unquote

import httpx2

from broker.protocol.redirect_uri import is_loopback

Forbidden = Callable[[], str | None]
"""The text of the token of the call in progress, which no other server may get."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """`egress`: exact host names, with a port where it is not the usual one; None reaches nothing. `timeout` in
    seconds for a call, `concurrent` calls at once in this process; None: no bound."""

    egress: Collection[str] | None = None
    timeout: float | None = None
    concurrent: int | None = None


class EgressRefused(httpx2.RequestError):
    """The resource's isolation does not name this host, or the address has a token in it. Nothing was sent."""


class Slots:
    """The calls in progress in this process."""

    def __init__(self) -> None:
        self._taken, self._lock = 0, threading.Lock()

    def take(self, most: int | None) -> bool:
        with self._lock:
            if most is not None and self._taken >= most:
                return False
            self._taken += 1
            return True

    def free(self) -> None:
        with self._lock:
            self._taken -= 1


class Reach:
    """Which requests may leave. `egress` is asked each time: the catalogue may have changed."""

    def __init__(self, egress: Callable[[], Collection[str] | None], forbidden: Forbidden) -> None:
        self._egress, self._forbidden = egress, forbidden

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=_Async(self), trust_env=False, follow_redirects=False)

    def client_sync(self) -> httpx2.Client:
        return httpx2.Client(transport=_Sync(self), trust_env=False, follow_redirects=False)

    def check(self, request: httpx2.Request) -> None:
        """EgressRefused unless it may go there, and by its URL alone; takes the inbound token out of its headers."""
        name = request.url.netloc.decode("ascii").lower()
        if name not in {host.lower() for host in self._egress() or ()}:
            raise EgressRefused(f"{name} is not among the egress hosts of this resource", request=request)
        if request.url.scheme != "https" and not is_loopback(str(request.url)):
            raise EgressRefused("only https, or http on loopback", request=request)
        token = self._forbidden()
        if token and token in unquote(str(request.url)):
            raise EgressRefused("the address has the token of the call in it", request=request)
        request.headers["Host"] = name
        for header in [name for name, value in request.headers.items() if token and token in value]:
            del request.headers[header]


class _Async(httpx2.AsyncHTTPTransport):
    def __init__(self, reach: Reach) -> None:
        super().__init__(trust_env=False)
        self._reach = reach

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._reach.check(request)
        return await super().handle_async_request(request)


class _Sync(httpx2.HTTPTransport):
    def __init__(self, reach: Reach) -> None:
        super().__init__(trust_env=False)
        self._reach = reach

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._reach.check(request)
        return super().handle_request(request)
