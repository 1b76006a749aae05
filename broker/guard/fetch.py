"""RFC 9700 section 2.6, RFC 9110: the guard's own requests, to pinned issuers, bounded in size and time."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import httpx2

from broker.guard.clock import Clock
from broker.protocol.redirect_uri import is_loopback

LARGEST = 256 * 1024
SECONDS = 5.0
_NOT_MODIFIED = 304
_LIMITS = httpx2.Limits(max_connections=32, max_keepalive_connections=8)


class RequestFailed(Exception):
    """No usable answer: unreachable, too slow, too large, a redirect, or an address that is not https."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, of any status outside of 3xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    """RFC 6749 section 2.3.1: the header by which a client says who it is."""
    credentials = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}".encode("ascii")
    return {"Authorization": f"Basic {base64.b64encode(credentials).decode('ascii')}"}


class Http:
    """A client that follows no redirect and reads at most 256 KiB within 5 s."""

    def __init__(self, clock: Clock, client: httpx2.Client | None = None) -> None:
        self._clock = clock
        # The environment's proxies are not read; a server behind one hands in a client of its own.
        self._client = client or httpx2.Client(trust_env=False, limits=_LIMITS)

    def get(self, url: str, headers: Mapping[str, str] | None = None, largest: int = LARGEST) -> Answer:
        """The answer to a GET; RequestFailed."""
        return self._send("GET", url, headers or {}, largest=largest)

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """The answer to a form sent; RequestFailed."""
        return self._send("POST", url, headers, form)

    def post_json(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to JSON sent; RequestFailed."""
        return self._send("POST", url, {"Content-Type": "application/json", **headers}, content=body)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        largest: int = LARGEST,
    ) -> Answer:
        if urlsplit(url).scheme != "https" and not is_loopback(url):
            raise RequestFailed("only https, or http on loopback")
        until = self._clock() + SECONDS
        # Nothing compressed: what is read is what is counted.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        try:
            with self._client.stream(
                method,
                url,
                headers=headers,
                data=form,
                content=content,
                timeout=SECONDS,
                follow_redirects=False,
            ) as response:
                if response.is_redirect and response.status_code != _NOT_MODIFIED:
                    raise RequestFailed("a redirect")
                if "content-encoding" in response.headers:
                    raise RequestFailed("a compressed answer, which was not asked for")
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > largest or self._clock() > until:
                        raise RequestFailed("too large or too slow")
                return Answer(response.status_code, response.headers, bytes(body))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise RequestFailed(type(error).__name__) from error
