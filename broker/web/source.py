"""Who is at the other end: the TCP peer, or what a configured proxy says (RFC 7239 is not believed of others)."""

import ipaddress
from collections.abc import Sequence

from flask import Request, g

from broker.protocol.origin import Origin
from broker.runtime.entropy import Entropy

_LONGEST_AGENT = 300


class Sources:
    """Makes the `Origin` of requests. Headers of anybody but `trusted` proxies are ignored."""

    def __init__(self, trusted: Sequence[str], entropy: Entropy) -> None:
        self._trusted = [ipaddress.ip_network(text, strict=False) for text in trusted]
        self._entropy = entropy

    def peer(self, request: Request) -> str:
        """The address that a limit counts against and a record names."""
        address = request.remote_addr or ""
        hops = [hop.strip() for hop in ",".join(request.headers.getlist("X-Forwarded-For")).split(",")]
        while self._is_proxy(address) and hops and hops[-1]:
            address = hops.pop()
        return address[:64]

    def from_proxy(self, request: Request) -> bool:
        """Whether a trusted proxy made the connection."""
        return self._is_proxy(request.remote_addr or "")

    def cleartext(self, request: Request) -> bool:
        """Whether a trusted proxy says that the request travelled in clear."""
        return (
            self.from_proxy(request)
            and request.headers.get("X-Forwarded-Proto", "https").strip().lower() != "https"
        )

    def origin(self, request: Request, door: str) -> Origin:
        agent = request.headers.get("User-Agent", "")[:_LONGEST_AGENT]
        return Origin(request_id(), self.peer(request), door, agent=agent or None)

    def begin(self, request: Request, now: float) -> None:
        """Give the request its id: ours, never the client's."""
        g.request_id = self._entropy.identifier("req", now)

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._trusted)


def request_id() -> str:
    found: str = g.get("request_id", "")
    return found
