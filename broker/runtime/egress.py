"""RFC 6890, RFC 9700 section 2.6: the server's only outgoing HTTP, which reaches public addresses and no other.

The name is resolved once, every address it has is checked, and the connection goes to a checked one: a second
answer of the resolver is never asked for. No redirect, no proxy, bounded in size and in the time that all of it takes.
"""

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import httpx2

from broker.runtime.addresses import Address, public
from broker.runtime.clock import Clock

LARGEST = 1024 * 1024
SECONDS = 10.0
_LOOKUPS = 4
_MOST_WAITING = 16
_MOST_KNOWN = 1024
Resolver = Callable[[str, int], list[str]]


class EgressRefused(Exception):
    """The address is not one that this server talks to; nothing was sent."""


class EgressFailed(Exception):
    """No answer: unreachable, too slow, or not HTTP."""


class EgressUnacceptable(EgressFailed):
    """An answer that is not taken: a redirect, compressed, or too large."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, of any status but a redirect."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def resolve(host: str, port: int) -> list[str]:
    """Every address that the system's resolver has for a name, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


@cache
def _trusted(authorities: Path | None) -> ssl.SSLContext:
    """Whose certificates are believed. Reading the system's takes longer than all else that a client is made of."""
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(cafile=authorities)
    return context


class Egress:
    """`allow_loopback`: this machine may be reached too, also by plain http (development, `broker perform`).

    `authorities`: a PEM file of certificates that are trusted beside the system's. `everywhere`: for a command that
    talks to the server which its user named, private networks too. `origins`: those (scheme, host, port) that may be
    reached wherever they are, because the operator named them.
    """

    def __init__(
        self,
        allow_loopback: bool,
        clock: Clock,
        resolver: Resolver = resolve,
        authorities: Path | None = None,
        everywhere: bool = False,
        origins: Iterable[str] = (),
    ) -> None:
        self._everywhere = everywhere
        self._origins = frozenset(_origin(httpx2.URL(origin)) for origin in origins)
        self._allow_loopback, self._clock, self._resolver = allow_loopback, clock, resolver
        # Connections are not kept: one made for a name must not serve another name at the same address.
        alone = httpx2.Limits(max_keepalive_connections=0)
        self._client = httpx2.Client(
            trust_env=False, follow_redirects=False, limits=alone, verify=_trusted(authorities)
        )
        # The system's resolver knows no time limit: it is waited for, from a thread, only so long.
        # Names that were found before have threads of their own: strangers' slow ones do not hold them up.
        self._lookups = tuple(ThreadPoolExecutor(_LOOKUPS, f"egress-{whose}") for whose in ("new", "known"))
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self._known: dict[tuple[str, int], None] = {}

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        largest: int = LARGEST,
        seconds: float = SECONDS,
    ) -> Answer:
        """The answer to a GET; EgressRefused or EgressFailed."""
        return self._send("GET", url, headers or {}, None, largest, seconds)

    def post(
        self,
        url: str,
        form: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        *,
        largest: int = LARGEST,
        seconds: float = SECONDS,
    ) -> Answer:
        """The answer to a form sent; EgressRefused or EgressFailed."""
        typed = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self._send("POST", url, typed, urlencode(form).encode("ascii"), largest, seconds)

    def send(
        self,
        method: str,
        url: str,
        content: bytes | None,
        headers: Mapping[str, str] | None = None,
        *,
        largest: int = LARGEST,
        seconds: float = SECONDS,
    ) -> Answer:
        """The answer to any other request; EgressRefused or EgressFailed."""
        return self._send(method, url, headers or {}, content, largest, seconds)

    def close(self) -> None:
        for pool in self._lookups:
            pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        largest: int,
        seconds: float,
    ) -> Answer:
        try:
            target = httpx2.URL(url)
        except httpx2.InvalidURL:
            raise EgressRefused("this is no URL") from None
        if target.scheme not in ("https", "http") or not _host(target) or target.userinfo:
            raise EgressRefused("only https URLs without user information")
        until = self._clock.now() + seconds
        addresses = self._checked(target, seconds)
        for position, address in enumerate(addresses):
            try:
                with _Limit(until - self._clock.now(), len(addresses) - position) as limit:
                    return self._exchange(method, target, address, headers, content, largest, until, limit)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                if position == len(addresses) - 1:
                    raise EgressFailed(f"cannot connect to {_host(target)}") from error
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, OverflowError, IndexError) as error:
                raise EgressFailed(type(error).__name__) from error
        raise EgressFailed(f"{_host(target)} has no address")

    def _checked(self, target: httpx2.URL, seconds: float) -> list[Address]:
        """The addresses of the URL's host, all of them allowed."""
        port = _origin(target)[2]
        try:
            addresses = [ipaddress.ip_address(text) for text in self._found(_host(target), port, seconds)]
        except (OSError, UnicodeError, ValueError):  # a TimeoutError is an OSError
            raise EgressFailed(f"{_host(target)} cannot be resolved") from None
        if _origin(target) in self._origins:
            return addresses
        at_home = self._allow_loopback and all(address.is_loopback for address in addresses)
        if target.scheme == "http" and not at_home:
            raise EgressRefused("only https")
        if not at_home and not self._everywhere and not all(public(address) for address in addresses):
            raise EgressRefused(f"{_host(target)} is not on the public internet")
        return addresses

    def _found(self, host: str, port: int, seconds: float) -> list[str]:
        """What the resolver says in time; a TimeoutError otherwise, also when too many wait for it already."""
        known = (host, port) in self._known
        if not known and not self._waiting.acquire(blocking=False):
            raise TimeoutError
        asked = self._lookups[known].submit(self._resolver, host, port)
        if not known:
            asked.add_done_callback(lambda _: self._waiting.release())
        try:
            found = asked.result(seconds)
        except TimeoutError:
            asked.cancel()
            raise
        while len(self._known) >= _MOST_KNOWN:
            self._known.pop(next(iter(self._known)), None)
        self._known[host, port] = None
        return found

    def _exchange(
        self,
        method: str,
        target: httpx2.URL,
        address: Address,
        headers: Mapping[str, str],
        content: bytes | None,
        largest: int,
        until: float,
        limit: "_Limit",
    ) -> Answer:
        # The socket goes to the checked address; Host, SNI and the certificate's name are the URL's.
        request = self._client.build_request(
            method,
            target.copy_with(host=str(address)),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                **headers,
                "Host": target.netloc.decode("ascii"),
            },
            content=content,
            timeout=limit.timeout,
            extensions={"sni_hostname": _host(target), "trace": limit.watch},
        )
        response = self._client.send(request, stream=True)
        try:
            if response.is_redirect:
                raise EgressUnacceptable("a redirect")
            if "content-encoding" in response.headers:
                raise EgressUnacceptable("a compressed answer, which was not asked for")
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > largest:
                    raise EgressUnacceptable("too large")
                if self._clock.now() > until:
                    raise EgressFailed("too slow")
            if limit.over:  # an end that may have been ours
                raise EgressFailed("too slow")
            return Answer(response.status_code, response.headers, bytes(body))
        finally:
            response.close()
            self._client.cookies.clear()


def _host(target: httpx2.URL) -> str:
    """As it stands on the wire: a name that is decoded and encoded again may be another one (IDNA 2003, 2008)."""
    return target.raw_host.decode("ascii")


def _origin(target: httpx2.URL) -> tuple[str, str, int]:
    return target.scheme, _host(target), target.port or (443 if target.scheme == "https" else 80)


class _Limit:
    """Ends the connection when the time of the whole exchange is over: byte by byte, no single step is too slow.

    `addresses`: how many are left to try, each of which may take its share to connect.
    """

    def __init__(self, seconds: float, addresses: int) -> None:
        if seconds <= 0:
            raise EgressFailed("too slow")
        self.timeout = httpx2.Timeout(seconds, connect=seconds / addresses)
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._socket: socket.socket | None = None
        self.over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        if self._socket is not None:
            self._socket.close()

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """The HTTP client tells its steps: keep the connection, which TLS will hide, by a name of our own."""
        if event == "connection.connect_tcp.complete":
            self._socket = info["return_value"].get_extra_info("socket").dup()
            if self.over:
                self._end()

    def _end(self) -> None:
        self.over = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
