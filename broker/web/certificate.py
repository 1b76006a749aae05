"""RFC 8705 section 2, RFC 9440: a client's certificate, from the TLS layer or a trusted proxy and nobody else."""

from collections.abc import Mapping

from flask import Request

from broker.protocol import certificate
from broker.runtime.log import note
from broker.web.source import Sources

TLS_LAYER = "SSL_CLIENT_CERT"
"""Where a server that terminates TLS puts it, as PEM (CGI's convention). A header becomes `HTTP_…`, never this."""


class Certificates:
    """`header` is what the trusted proxies hand a certificate on in; None when there is none to be believed."""

    def __init__(self, header: str | None, sources: Sources) -> None:
        self._header, self._sources = header, sources

    def of(self, request: Request) -> tuple[bytes, ...]:
        """The chain in DER, the client's own certificate first; empty when there is none to believe."""
        try:
            # Of a connection that a proxy makes, the TLS layer knows the proxy's certificate, not the client's.
            return (
                self._handed_on(request) if self._sources.from_proxy(request) else _presented(request.environ)
            )
        except ValueError:
            note(client_certificate="unreadable")
            return ()

    def _handed_on(self, request: Request) -> tuple[bytes, ...]:
        if self._header is None:
            return ()
        # What stands twice is joined, here or by the server, and then no certificate.
        value, chain = (
            ",".join(request.headers.getlist(name)).strip()
            for name in (self._header, f"{self._header}-Chain")
        )
        return certificate.from_header(value, chain) if value else ()


def _presented(environ: Mapping[str, object]) -> tuple[bytes, ...]:
    names = (TLS_LAYER, *(f"{TLS_LAYER}_CHAIN_{i}" for i in range(certificate.MOST - 1)))
    texts = [value for name in names if isinstance(value := environ.get(name), str) and value]
    return certificate.from_pem("".join(texts)) if environ.get(TLS_LAYER) else ()
