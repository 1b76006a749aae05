"""RFC 8705 section 3, RFC 9440: the certificate that a request came with, as its server or a trusted proxy says."""

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any

from broker.protocol import certificate


class Certificates:
    """`header` is believed of `proxies` (addresses or networks) and of nobody else.

    Who sent a request is what the ASGI server says in `scope["client"]`: it must not be told by a header of anybody.
    """

    def __init__(self, header: str | None, proxies: Collection[str]) -> None:
        if header is not None and not proxies:
            raise ValueError("a certificate_header needs trusted_proxies: of anybody else it is not believed")
        self._header = header.lower().encode("ascii") if header is not None else None
        self._proxies = [ipaddress.ip_network(text, strict=False) for text in proxies]

    def of(self, scope: Mapping[str, Any]) -> bytes | None:
        """The client's own certificate in DER; None when there is none to believe."""
        try:
            # Of a connection that a proxy makes, TLS shows the proxy's certificate, not the client's.
            return self._handed_on(scope) if self._from_proxy(scope) else _presented(scope)
        except (ValueError, TypeError):
            return None

    def _from_proxy(self, scope: Mapping[str, Any]) -> bool:
        if not self._proxies or not scope.get("client"):
            return False
        try:
            peer = ipaddress.ip_address(scope["client"][0])
        except ValueError:
            return False
        return any(peer in network for network in self._proxies)

    def _handed_on(self, scope: Mapping[str, Any]) -> bytes | None:
        found = [value for name, value in scope["headers"] if name.lower() == self._header]
        if len(found) != 1 or not found[0].strip():
            return None
        return certificate.from_header(found[0].decode("ascii").strip())[0]


def _presented(scope: Mapping[str, Any]) -> bytes | None:
    """The ASGI TLS extension; a certificate that its server found fault with is none."""
    tls = (scope.get("extensions") or {}).get("tls") or {}
    chain = tuple(tls.get("client_cert_chain") or ())
    return certificate.from_pem(chain[0])[0] if chain and not tls.get("client_cert_error") else None
